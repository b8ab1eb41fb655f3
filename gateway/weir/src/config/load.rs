//! Reading the configuration: a TOML file, then the environment over it.
//!
//! figment merges the layers and stops at the first error without a line. So the merged
//! values are walked against the schema first, where every mistake is noted with its way, and
//! only what is left is handed to serde. A parse that keeps spans tells the line of each way.

use std::path::{Path, PathBuf};

use figment::providers::{Format, Toml};
use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};
use toml_edit::ImDocument;

use super::check;
use super::mistake::{Finding, Locator, Mistake, Place, Way, Weight};
use super::model::Config;
use super::walk::Walk;

/// Variables with this prefix are configuration: `WEIR_S3__REGION` is `s3.region`.
pub const ENVIRONMENT_PREFIX: &str = "WEIR_";
/// Variables with the prefix that are not: the command line's own, and those that tell where
/// the toolchain of `weir plugin build` is.
const NOT_CONFIGURATION: &[&str] = &[
    "WEIR_ADMIN_TOKEN",
    "WEIR_ADMIN_URL",
    "WEIR_CONFIG",
    "WEIR_DATA_DIR",
    "WEIR_WASM_LIBRARY_PATH",
    "WEIR_WASM_LINKER",
    "WEIR_WASM_RUSTC",
];

/// Where a configuration comes from.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The TOML file; without one there are only defaults and the environment.
    pub file: Option<PathBuf>,
    /// Variables of the environment, all of them.
    pub environment: Vec<(String, String)>,
}

impl Sources {
    /// `file`, and the environment of this process.
    pub fn of_process(file: Option<PathBuf>) -> Self {
        // Variables that are not UTF-8 are never ours.
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self {
            file,
            environment: std::env::vars_os().filter_map(text).collect(),
        }
    }

    /// The value of a variable.
    pub fn variable(&self, name: &str) -> Option<&str> {
        let mut variables = self.environment.iter();
        variables
            .find(|(n, _)| n == name)
            .map(|(_, value)| value.as_str())
    }
}

/// What reading gave: the configuration unless there are errors, and everything found.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration, paths made absolute; meaningful only without errors.
    pub config: Config,
    /// Mistakes, in order of their place.
    pub findings: Vec<Finding>,
}

impl Loaded {
    /// The configuration, or all findings when there is an error among them.
    pub fn valid(self) -> Result<(Config, Vec<Finding>), Vec<Finding>> {
        let broken = self
            .findings
            .iter()
            .any(|f| f.mistake.weight == Weight::Error);
        if broken {
            Err(self.findings)
        } else {
            Ok((self.config, self.findings))
        }
    }
}

/// Reads and checks everything, and finds every mistake at once. `start` is what stands where
/// nothing is given (the built-in site of the first run, or the plain defaults).
pub fn load(sources: &Sources, start: Config) -> Loaded {
    let Some(file) = &sources.file else {
        return load_text(sources, Path::new(""), "", start);
    };
    match std::fs::read_to_string(file) {
        Ok(text) => load_text(sources, file, &text, start),
        Err(error) => {
            let mistake = Mistake::error(Way::default(), format!("cannot be read: {error}"), "");
            let place = Place::File(file.clone(), 1, 1);
            Loaded {
                config: start,
                findings: vec![Finding { place, mistake }],
            }
        }
    }
}

/// [`load`] with the file's text at hand.
pub fn load_text(sources: &Sources, file: &Path, text: &str, start: Config) -> Loaded {
    let document = match ImDocument::parse(text.to_owned()) {
        Ok(document) => document,
        Err(error) => {
            let locator = Locator {
                file,
                text,
                document: None,
            };
            let place = locator.place_of_offset(error.span().map_or(0, |span| span.start));
            let what = error.message().trim().replace('\n', ", ");
            let mistake = Mistake::error(Way::default(), what, "");
            return Loaded {
                config: start,
                findings: vec![Finding { place, mistake }],
            };
        }
    };
    let locator = Locator {
        file,
        text,
        document: Some(&document),
    };
    let figment = Figment::from(Toml::string(text)).merge(Environment(&sources.environment));
    let mut walk = Walk {
        figment: &figment,
        mistakes: Vec::new(),
    };
    let config = match figment.extract::<Value>() {
        Ok(Value::Dict(_, dict)) => walk.config(dict, start),
        Ok(_) => start,
        Err(error) => {
            walk.mistakes
                .push(Mistake::error(Way::default(), error.to_string(), ""));
            start
        }
    };
    let mut mistakes = walk.mistakes;
    let base = file
        .parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let config = config.with_absolute_paths(base);
    let structural: Vec<Way> = mistakes.iter().map(|m| m.way.clone()).collect();
    let further = check::check(&config, sources);
    // What follows from a value that was refused already is not told again.
    mistakes.extend(further.into_iter().filter(|m| !structural.contains(&m.way)));

    Loaded {
        config,
        findings: located(mistakes, &figment, &locator),
    }
}

/// Where mistakes stand that were found in a configuration after it was read.
pub fn locate(sources: &Sources, mistakes: Vec<Mistake>) -> Vec<Finding> {
    let file = sources.file.as_deref();
    let text = file.and_then(|file| std::fs::read_to_string(file).ok());
    let text = text.unwrap_or_default();
    // A file that was changed meanwhile and cannot be parsed gives no line.
    let document = ImDocument::parse(text.clone()).ok();
    let locator = Locator {
        file: file.unwrap_or(Path::new("")),
        text: &text,
        document: document.as_ref(),
    };
    let figment = Figment::from(Toml::string(&text)).merge(Environment(&sources.environment));
    located(mistakes, &figment, &locator)
}

fn located(mistakes: Vec<Mistake>, figment: &Figment, locator: &Locator<'_>) -> Vec<Finding> {
    let find = |mistake: Mistake| {
        let place = match environment_variable(figment, &mistake.way) {
            Some(variable) => Place::Environment(variable),
            None if locator.text.is_empty() => Place::Default,
            None => locator.place(&mistake.way),
        };
        Finding { place, mistake }
    };
    let mut findings: Vec<_> = mistakes.into_iter().map(find).collect();
    findings.sort_by(|a, b| (&a.place, &a.mistake.way).cmp(&(&b.place, &b.mistake.way)));
    findings
}

/// The variable that gave the value, if one did.
fn environment_variable(figment: &Figment, way: &Way) -> Option<String> {
    let mut keys = Vec::new();
    for step in &way.0 {
        match step {
            super::mistake::Step::Key(key) => keys.push(key.as_str()),
            super::mistake::Step::Entry(_) => break,
        }
    }
    let metadata = figment.find_metadata(&keys.join("."))?;
    let variable = format!("{ENVIRONMENT_PREFIX}{}", keys.join("__").to_uppercase());
    (metadata.name == Environment::NAME).then_some(variable)
}

/// The environment as a layer. figment's own reads the process's; this one is given it.
pub(super) struct Environment<'a>(&'a [(String, String)]);

impl Environment<'_> {
    pub(super) const NAME: &'static str = "environment";
}

impl Provider for Environment<'_> {
    fn metadata(&self) -> Metadata {
        Metadata::named(Self::NAME)
    }

    fn data(&self) -> figment::Result<Map<Profile, Dict>> {
        let mut dict = Value::from(Dict::new());
        for (name, value) in self.0 {
            let Some(rest) = name.strip_prefix(ENVIRONMENT_PREFIX) else {
                continue;
            };
            let key = rest.to_lowercase().replace("__", ".");
            if NOT_CONFIGURATION.contains(&name.as_str()) || key.split('.').any(str::is_empty) {
                continue;
            }
            let parsed = value
                .parse()
                .unwrap_or_else(|never: std::convert::Infallible| match never {});
            insert(&mut dict, &key, parsed);
        }
        match dict {
            Value::Dict(_, dict) => Ok(Profile::Default.collect(dict)),
            _ => Ok(Map::new()),
        }
    }
}

/// Puts `value` under the dotted `key`; a later variable wins over an earlier one in its way.
fn insert(into: &mut Value, key: &str, value: Value) {
    let (head, rest) = match key.split_once('.') {
        Some((head, rest)) => (head, Some(rest)),
        None => (key, None),
    };
    if !matches!(into, Value::Dict(..)) {
        *into = Value::from(Dict::new());
    }
    if let Value::Dict(_, dict) = into {
        match rest {
            None => drop(dict.insert(head.to_owned(), value)),
            Some(rest) => {
                let inner = dict
                    .entry(head.to_owned())
                    .or_insert_with(|| Dict::new().into());
                insert(inner, rest, value);
            }
        }
    }
}

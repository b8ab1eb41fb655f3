//! `weir plugin new`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::terminal::answer;
use super::{Decides, Language, templates};
use crate::error::Failure;

/// Longest name: it is part of file names.
const NAME_BYTES_MAX: usize = 64;

/// Make a folder with a policy that works.
#[derive(Debug, Args)]
pub struct New {
    /// Name of the plugin and of its folder: lowercase letters, digits and hyphens.
    pub name: String,
    /// What to write it in.
    #[arg(long, value_enum, default_value = "rust")]
    pub language: Language,
    /// What it decides, separated by commas.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "placement")]
    pub decides: Vec<Decides>,
    /// The folder in which the new one is made.
    #[arg(long, default_value = ".")]
    pub parent: PathBuf,
    /// The folder `plugin-sdk` of Weir, for Rust; looked for around the current folder and the
    /// binary when it is not given.
    #[arg(long)]
    pub sdk: Option<PathBuf>,
}

/// Writes the files of a new plugin and says what comes next.
pub(super) fn new(new: &New) -> Result<ExitCode, Failure> {
    let files = files(new)?;
    let folder = new.parent.join(&new.name);
    write(&folder, &files)?;
    let mut text = format!("{} made, with:\n", folder.display());
    for (file, _) in &files {
        text.push_str(&format!("  {file}\n"));
    }
    text.push_str(&format!(
        "next: cd {} && {}weir plugin build && weir plugin test\n",
        folder.display(),
        match new.language {
            Language::Rust => "",
            Language::Javascript => "npm install && ",
            Language::Python => "pip install 'componentize-py>=0.25,<0.26' && ",
        }
    ));
    answer(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn write(folder: &Path, files: &[(String, String)]) -> Result<(), Failure> {
    let failed = |path: &Path, e: std::io::Error| Failure::new(format!("{}: {e}", path.display()));
    if let Some(parent) = folder.parent() {
        std::fs::create_dir_all(parent).map_err(|e| failed(parent, e))?;
    }
    // Fails if it is there: nobody's work is written over.
    std::fs::create_dir(folder).map_err(|e| failed(folder, e))?;
    for (file, text) in files {
        let path = folder.join(file);
        let inner = path.parent().unwrap_or(folder);
        std::fs::create_dir_all(inner).map_err(|e| failed(inner, e))?;
        std::fs::write(&path, text).map_err(|e| failed(&path, e))?;
    }
    Ok(())
}

/// The files with their text, in alphabetical order.
pub(super) fn files(new: &New) -> Result<Vec<(String, String)>, Failure> {
    check_name(&new.name)?;
    let mut decides = new.decides.clone();
    decides.sort();
    decides.dedup();
    let sdk = match new.language {
        Language::Rust => sdk(new.sdk.as_deref())?,
        Language::Javascript | Language::Python => String::new(),
    };
    let fill = |text: &str, decides: &str| {
        text.replace("PLUGIN_NAME", &new.name)
            .replace("PluginType", &type_name(&new.name))
            .replace("PLUGIN_SDK", &sdk)
            .replace("PLUGIN_SETUP", setup(new.language))
            .replace("PLUGIN_DECIDES", decides)
    };
    let interfaces: Vec<_> = decides.iter().map(|d| d.interface()).collect();
    let in_code = decides_in_code(new.language, &decides);

    let mut files = vec![
        (
            "README.md".to_owned(),
            fill(templates::README, &interfaces.join(", ")),
        ),
        (".gitignore".to_owned(), templates::GITIGNORE.to_owned()),
    ];
    let (manifest, text) = templates::manifest(new.language);
    files.push((manifest.to_owned(), fill(text, "")));
    for source in templates::sources(new.language) {
        let parts = decides.iter().map(|decides| (source.part)(*decides));
        let parts: String = parts.collect();
        let text = [source.head, &parts, source.tail].concat();
        files.push((source.file.to_owned(), fill(&text, &in_code)));
    }
    for decides in &decides {
        let file = format!("vectors/{}.json", decides.interface());
        files.push((file, templates::vectors(*decides).to_owned()));
    }
    if new.language != Language::Rust {
        files.push(("wit/world.wit".to_owned(), world(&new.name, &interfaces)));
        for (file, text) in templates::WIT {
            let file = format!("wit/deps/weir-policy/{file}");
            files.push((file, (*text).to_owned()));
        }
    }
    files.sort();
    Ok(files)
}

fn check_name(name: &str) -> Result<(), Failure> {
    let letters = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let right = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(letters)
        && !name.ends_with('-')
        && !name.contains("--")
        && name.len() <= NAME_BYTES_MAX;
    if right {
        return Ok(());
    }
    Err(Failure::new(format!(
        "{name:?} is no name for a plugin; right: lowercase letters, digits and single hyphens, \
         beginning with a letter, such as near-first"
    )))
}

/// `near-first` → `NearFirst`.
fn type_name(name: &str) -> String {
    let capital = |word: &str| {
        let mut letters = word.chars();
        let first = letters.next().map(|first| first.to_ascii_uppercase());
        first.into_iter().chain(letters).collect::<String>()
    };
    name.split('-').map(capital).collect()
}

/// How the source says what it decides.
fn decides_in_code(language: Language, decides: &[Decides]) -> String {
    let words = decides.iter().map(|decides| {
        let snake = decides.interface().replace('-', "_");
        match (language, decides) {
            (Language::Rust, _) => snake,
            (Language::Javascript, Decides::ReadRouting) => "readRouting: true".to_owned(),
            (Language::Javascript, _) => format!("{snake}: true"),
            (Language::Python, _) => format!("Decisions.{}", snake.to_ascii_uppercase()),
        }
    });
    let words: Vec<_> = words.collect();
    match language {
        Language::Rust | Language::Javascript => words.join(", "),
        Language::Python => words.join(" | "),
    }
}

/// What has to be installed, for the README.
fn setup(language: Language) -> &'static str {
    match language {
        Language::Rust => {
            "Building needs a Rust toolchain with the target wasm32-unknown-unknown\n\
             (`rustup target add wasm32-unknown-unknown`).\n\n"
        }
        Language::Javascript => {
            "Building needs Node.js and componentize-js (`npm install`, once).\n\n"
        }
        Language::Python => {
            "Building and testing need Python and componentize-py\n\
             (`pip install 'componentize-py>=0.25,<0.26'`, once).\n\n"
        }
    }
}

/// The WIT world of exactly these interfaces.
fn world(name: &str, interfaces: &[&str]) -> String {
    let version = templates::API_VERSION;
    let mut text = format!(
        "package plugin:{name};\n\nworld plugin {{\n  import weir:policy/host@{version};\n  export \
         weir:policy/lifecycle@{version};\n"
    );
    for interface in interfaces {
        text.push_str(&format!("  export weir:policy/{interface}@{version};\n"));
    }
    text.push_str("}\n");
    text
}

/// The SDK's folder as it stands in a manifest.
fn sdk(given: Option<&Path>) -> Result<String, Failure> {
    let is_sdk = |folder: &PathBuf| folder.join("src/lib.rs").is_file();
    let found = match given {
        Some(folder) => Some(folder.to_owned()).filter(is_sdk),
        None => {
            let around = [std::env::current_dir(), std::env::current_exe()];
            let around = around.into_iter().flatten();
            around
                .flat_map(|path| path.ancestors().map(PathBuf::from).collect::<Vec<_>>())
                .map(|ancestor| ancestor.join("plugin-sdk"))
                .find(is_sdk)
        }
    };
    let found = found.and_then(|folder| folder.canonicalize().ok());
    match (found, given) {
        (Some(folder), _) => Ok(folder.to_string_lossy().replace('\\', "/")),
        (None, Some(folder)) => Err(Failure::new(format!(
            "{} is not the SDK; right: the folder plugin-sdk of a checkout of Weir",
            folder.display()
        ))),
        (None, None) => Err(Failure::new(
            "no SDK is found around the current folder or the binary; right: --sdk with the folder \
             plugin-sdk of a checkout of Weir",
        )),
    }
}

//! What an author's command looks at: a component with settings, facts and test vectors.

use std::path::{Path, PathBuf};

use clap::Args;
use weir_policy::{BackendFacts, StaticFacts, builtin};

use super::project::Project;
use super::vectors::{self, Group};
use crate::error::Failure;

/// A component, with what it is asked.
#[derive(Debug, Default, Args)]
pub struct Subject {
    /// A component, or the folder of a plugin that is built.
    #[arg(default_value = ".")]
    pub plugin: PathBuf,
    /// One that comes with Weir, such as pack, instead.
    #[arg(long, conflicts_with = "plugin")]
    pub builtin: Option<String>,
    /// File with settings in JSON; {} when it is not given.
    #[arg(long)]
    pub settings: Option<PathBuf>,
    /// File with facts in JSON, as test vectors have them; four plain backends a to d when it is
    /// not given.
    #[arg(long)]
    pub facts: Option<PathBuf>,
    /// Folder of test vectors; `vectors` in the plugin's folder when it is not given.
    #[arg(long)]
    pub vectors: Option<PathBuf>,
}

/// A [`Subject`] that was read.
pub(super) struct Loaded {
    /// What to call the component.
    pub(super) label: String,
    pub(super) component: Vec<u8>,
    /// The file beside it with its signature, if it is a file and has one.
    pub(super) signature: Option<Vec<u8>>,
    /// At least one; the test vectors, or else one without cases.
    pub(super) groups: Vec<Group>,
}

impl Subject {
    /// The plugin in a folder, or a component, with everything else at its default.
    pub(super) fn of(plugin: &Path) -> Self {
        Self {
            plugin: plugin.to_owned(),
            ..Self::default()
        }
    }

    /// Reads the files.
    pub(super) fn load(&self) -> Result<Loaded, Failure> {
        let (label, component, signature, own_vectors) = self.component()?;
        let folder = self.vectors.clone().or(own_vectors);
        let mut groups = folder.map_or_else(|| Ok(Vec::new()), |f| vectors::read(&f))?;
        if self.settings.is_some() || self.facts.is_some() || groups.is_empty() {
            groups.push(Group {
                settings: self.given_settings()?,
                facts: self.given_facts()?,
                cases: Vec::new(),
            });
        }
        Ok(Loaded {
            label,
            component,
            signature,
            groups,
        })
    }

    #[expect(clippy::type_complexity, reason = "taken apart where it is made")]
    fn component(&self) -> Result<(String, Vec<u8>, Option<Vec<u8>>, Option<PathBuf>), Failure> {
        if let Some(name) = &self.builtin {
            let component = builtin::component(name).ok_or_else(|| {
                let known = builtin::NAMES.join(", ");
                Failure::new(format!(
                    "there is no built-in policy {name:?}; right: {known}"
                ))
            })?;
            return Ok((name.clone(), component.to_vec(), None, None));
        }
        let (path, own_vectors) = if self.plugin.is_dir() {
            let project = Project::open(&self.plugin)?;
            (project.component(), Some(self.plugin.join("vectors")))
        } else {
            (self.plugin.clone(), None)
        };
        let component = match std::fs::read(&path) {
            Ok(component) => component,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound && own_vectors.is_some() => {
                return Err(Failure::new(format!(
                    "{} is not built; right: weir plugin build",
                    path.display()
                )));
            }
            Err(e) => return Err(Failure::new(format!("{}: {e}", path.display()))),
        };
        let signature = std::fs::read(signature_file(&path)).ok();
        Ok((
            path.display().to_string(),
            component,
            signature,
            own_vectors,
        ))
    }

    fn given_settings(&self) -> Result<String, Failure> {
        match &self.settings {
            None => Ok("{}".to_owned()),
            Some(file) => std::fs::read_to_string(file)
                .map_err(|e| Failure::new(format!("{}: {e}", file.display()))),
        }
    }

    fn given_facts(&self) -> Result<StaticFacts, Failure> {
        let Some(file) = &self.facts else {
            return Ok(with_backends(&StaticFacts::default(), 4));
        };
        let failed = |e: &dyn std::fmt::Display| Failure::new(format!("{}: {e}", file.display()));
        let text = std::fs::read(file).map_err(|e| failed(&e))?;
        let facts: StaticFacts = serde_json::from_slice(&text).map_err(|e| failed(&e))?;
        if facts.backends.is_empty() {
            return Err(failed(&"has no backends"));
        }
        Ok(facts)
    }
}

/// Where the signature of a component lies.
pub(super) fn signature_file(component: &Path) -> PathBuf {
    let mut file = component.as_os_str().to_owned();
    file.push(".sig");
    file.into()
}

/// `facts` with exactly so many backends: plain ones are added, the last ones left out.
pub(super) fn with_backends(facts: &StaticFacts, count: usize) -> StaticFacts {
    let mut facts = facts.clone();
    for at in facts.backends.len()..count {
        let letter = char::from(b'a' + (at % 26) as u8);
        let id = match at / 26 {
            0 => letter.to_string(),
            round => format!("{letter}{round}"),
        };
        facts.backends.push(BackendFacts {
            id,
            ..BackendFacts::default()
        });
    }
    facts.backends.truncate(count);
    facts
}

//! The folder of a plugin: which language it is written in, and what its component is called.

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use toml_edit::{DocumentMut, Item};

use crate::error::Failure;

/// What policies can be written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Language {
    /// Rust, with the SDK: components of 0.15 MB, some 2 µs a call.
    Rust,
    /// JavaScript, through componentize-js: 12 MB, 0.1 ms a call.
    Javascript,
    /// Python, through componentize-py: 18 MB, some 40 µs a call.
    Python,
}

/// A plugin's folder.
#[derive(Debug)]
pub(super) struct Project {
    pub(super) folder: PathBuf,
    pub(super) name: String,
    pub(super) language: Language,
}

impl Project {
    /// Reads the manifest of the folder's language.
    pub(super) fn open(folder: &Path) -> Result<Self, Failure> {
        for (manifest, language) in [
            ("Cargo.toml", Language::Rust),
            ("package.json", Language::Javascript),
            ("pyproject.toml", Language::Python),
        ] {
            let path = folder.join(manifest);
            let text = match std::fs::read_to_string(&path) {
                Ok(text) => text,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(Failure::new(format!("{}: {error}", path.display()))),
            };
            let name = match language {
                Language::Rust => name_in(&text, "package"),
                Language::Javascript => name_in_json(&text),
                Language::Python => name_in(&text, "project"),
            };
            let name =
                name.ok_or_else(|| Failure::new(format!("{}: has no name", path.display())))?;
            return Ok(Self {
                folder: folder.to_owned(),
                name,
                language,
            });
        }
        Err(Failure::new(format!(
            "{} is no plugin's folder: it has no Cargo.toml, package.json or pyproject.toml; `weir \
             plugin new NAME` makes one",
            folder.display()
        )))
    }

    /// Where its component is written.
    pub(super) fn component(&self) -> PathBuf {
        self.folder.join(format!("{}.wasm", self.name))
    }
}

fn name_in(toml: &str, table: &str) -> Option<String> {
    let document: DocumentMut = toml.parse().ok()?;
    let name = document.get(table).and_then(|table| table.get("name"));
    name.and_then(Item::as_str).map(str::to_owned)
}

fn name_in_json(json: &str) -> Option<String> {
    let document: serde_json::Value = serde_json::from_str(json).ok()?;
    document.get("name")?.as_str().map(str::to_owned)
}

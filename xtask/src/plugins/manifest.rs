//! `plugins/built/manifest.toml`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use xtask::Result;

use super::MANIFEST;

/// What is known about each component.
#[derive(Default)]
pub(super) struct Manifest {
    pub(super) entries: BTreeMap<String, Entry>,
}

#[derive(Default)]
pub(super) struct Entry {
    pub(super) source_sha256: String,
    pub(super) component_sha256: String,
    pub(super) toolchain: String,
}

impl Manifest {
    pub(super) fn entry(&self, plugin: &str) -> Result<&Entry> {
        self.entries
            .get(plugin)
            .ok_or_else(|| format!("{plugin}: not in {MANIFEST}"))
    }

    pub(super) fn render(&self) -> String {
        let mut text = String::from("# Written by `cargo xtask plugins build`; do not edit.\n");
        for (plugin, entry) in &self.entries {
            let _ = write!(
                text,
                "\n[{plugin}]\nsource_sha256 = \"{}\"\ncomponent_sha256 = \"{}\"\ntoolchain = \"{}\"\n",
                entry.source_sha256, entry.component_sha256, entry.toolchain
            );
        }
        text
    }

    /// Reads what [`Manifest::render`] writes.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let mut entries = BTreeMap::<String, Entry>::new();
        let mut section = String::new();
        for (number, line) in (1..).zip(text.lines()) {
            let wrong = || format!("{MANIFEST}:{number}: cannot read `{line}`");
            if let Some(name) = line
                .strip_prefix('[')
                .and_then(|rest| rest.strip_suffix(']'))
            {
                name.clone_into(&mut section);
            } else if !line.is_empty() && !line.starts_with('#') {
                let (name, value) = line.split_once(" = ").ok_or_else(wrong)?;
                let value = value.trim_matches('"').to_owned();
                let entry = entries.entry(section.clone()).or_default();
                match name {
                    "source_sha256" => entry.source_sha256 = value,
                    "component_sha256" => entry.component_sha256 = value,
                    "toolchain" => entry.toolchain = value,
                    _ => return Err(wrong()),
                }
            }
        }
        Ok(Self { entries })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugins::PLUGINS;

    #[test]
    fn survives_a_round_trip() {
        let path = xtask::paths::root().join(MANIFEST);
        let text = std::fs::read_to_string(path).expect("the manifest is committed");
        let manifest = Manifest::parse(&text).expect("as written by build");
        assert_eq!(manifest.render(), text);
        for plugin in PLUGINS {
            assert!(manifest.entry(plugin).is_ok(), "{plugin}");
        }
        assert!(Manifest::parse("[pack]\ncolour = \"red\"\n").is_err());
    }
}

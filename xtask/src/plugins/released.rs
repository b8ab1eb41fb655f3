//! Released WIT packages never change: components that were built against
//! them are out there. `wit/released.toml` lists their files with digests.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use sha2::{Digest, Sha256};
use xtask::Result;

use super::{hex, sources};

const LIST: &str = "wit/released.toml";
const HEAD: &str = "\
# The WIT packages that are released, with the SHA-256 of each file. They never
# change: whoever needs more makes a new version beside them. Written by
# `cargo xtask plugins freeze VERSION`, read by `cargo xtask plugins verify`.
";

/// Version → file name → SHA-256.
type Released = BTreeMap<String, BTreeMap<String, String>>;

/// Enters the folder `wit/VERSION`, once.
pub(super) fn freeze(root: &Path, version: &str) -> Result<()> {
    let mut released = read(root)?;
    let files = digests(root, version)?;
    if released.insert(version.to_owned(), files).is_some() {
        return Err(format!("{version} is released already"));
    }
    fs::write(root.join(LIST), render(&released)).map_err(|e| format!("{LIST}: {e}"))
}

/// Refuses any change to a released folder.
pub(super) fn verify(root: &Path) -> Result<()> {
    let released = read(root)?;
    if released.is_empty() {
        return Err(format!("{LIST}: lists no version"));
    }
    let mut mistakes = Vec::new();
    for (version, files) in released {
        let found = digests(root, &version)?;
        for name in files.keys().chain(found.keys()) {
            let mistake = match (files.get(name), found.get(name)) {
                (Some(then), Some(now)) if then == now => continue,
                (Some(_), Some(_)) => "has changed",
                (Some(_), None) => "is gone",
                (None, _) => "is new",
            };
            mistakes.push(format!(
                "wit/{version}/{name} {mistake}, but {version} is released: make a new version \
                 beside it"
            ));
        }
    }
    mistakes.sort();
    mistakes.dedup();
    if mistakes.is_empty() {
        Ok(())
    } else {
        Err(mistakes.join("\n"))
    }
}

fn digests(root: &Path, version: &str) -> Result<BTreeMap<String, String>> {
    let folder = root.join("wit").join(version);
    let mut files = Vec::new();
    sources::collect_files(&folder, &mut files)?;
    let digest = |file: &std::path::PathBuf| {
        let name = file.strip_prefix(&folder).unwrap_or(file);
        let bytes = sources::read(file)?;
        Ok((
            name.to_string_lossy().into_owned(),
            hex(&Sha256::digest(bytes)),
        ))
    };
    files.iter().map(digest).collect()
}

fn read(root: &Path) -> Result<Released> {
    let path = root.join(LIST);
    if !path.exists() {
        return Ok(Released::new());
    }
    let bytes = sources::read(&path)?;
    parse(&String::from_utf8_lossy(&bytes))
}

fn render(released: &Released) -> String {
    let mut text = HEAD.to_owned();
    for (version, files) in released {
        let _ = write!(text, "\n[\"{version}\"]\n");
        for (name, digest) in files {
            let _ = writeln!(text, "\"{name}\" = \"{digest}\"");
        }
    }
    text
}

/// Reads what [`render`] writes.
fn parse(text: &str) -> Result<Released> {
    let mut released = Released::new();
    let mut version = String::new();
    for (number, line) in (1..).zip(text.lines()) {
        let header = line
            .strip_prefix("[\"")
            .and_then(|rest| rest.strip_suffix("\"]"));
        if let Some(name) = header {
            name.clone_into(&mut version);
            released.entry(version.clone()).or_default();
        } else if !line.is_empty() && !line.starts_with('#') {
            let fields = line.split_once(" = ");
            let entry = fields.zip(released.get_mut(&version));
            let ((name, digest), files) =
                entry.ok_or_else(|| format!("{LIST}:{number}: cannot read `{line}`"))?;
            files.insert(
                name.trim_matches('"').to_owned(),
                digest.trim_matches('"').to_owned(),
            );
        }
    }
    Ok(released)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_released_packages_are_as_they_were() {
        let root = xtask::paths::root();
        assert_eq!(verify(root), Ok(()));
        let released = read(root).expect("the list is committed");
        assert!(released.contains_key("0.1.0"), "served for ever");
        let text = fs::read_to_string(root.join(LIST)).expect("the list is committed");
        assert_eq!(render(&released), text);
    }

    #[test]
    fn a_change_is_refused() {
        let root = std::env::temp_dir().join(format!("xtask-released-{}", std::process::id()));
        let folder = root.join("wit/1.0.0");
        fs::create_dir_all(&folder).expect("a folder");
        let write = |name: &str, text: &str| {
            fs::write(folder.join(name), text).expect("a file");
        };
        write("a.wit", "a");
        write("b.wit", "b");
        assert!(verify(&root).is_err(), "nothing is released");
        freeze(&root, "1.0.0").expect("the first time");
        assert!(freeze(&root, "1.0.0").is_err(), "the second time");
        assert_eq!(verify(&root), Ok(()));
        write("a.wit", "A");
        write("c.wit", "c");
        fs::remove_file(folder.join("b.wit")).expect("removed");
        let refused = verify(&root).expect_err("three changes");
        for part in ["a.wit has changed", "b.wit is gone", "c.wit is new"] {
            assert!(refused.contains(part), "{part}: {refused}");
        }
        write("a.wit", "a");
        write("b.wit", "b");
        fs::remove_file(folder.join("c.wit")).expect("removed");
        assert_eq!(verify(&root), Ok(()));
        fs::remove_dir_all(&root).expect("removed");
    }
}

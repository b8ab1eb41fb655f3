//! The digest of what a component is built from.

use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use xtask::Result;

use super::hex;

/// What of the SDK is for native tests alone.
const NATIVE_ONLY: &[&str] = &["plugin-sdk/src/testing.rs"];
/// Where the build's profile stands.
const PROFILE: &str = "[profile.plugin]";

/// SHA-256 over all that a component is made from: the sources of the plugin
/// and the SDK with their manifests, the WIT folder that the SDK names, and
/// the profile. Each file counts with its path, length and bytes, in the order
/// of the paths. Tests, vectors and other WIT versions do not count.
pub(super) fn digest(root: &Path, plugin: &str) -> Result<String> {
    let folder = format!("plugins/{plugin}");
    let mut files = vec![
        root.join(&folder).join("Cargo.toml"),
        root.join("plugin-sdk/Cargo.toml"),
    ];
    for sources in [format!("{folder}/src"), "plugin-sdk/src".to_owned()] {
        collect_files(&root.join(sources), &mut files)?;
    }
    let is_built = |file: &PathBuf| {
        let test = file.file_name().is_some_and(|name| name == "tests.rs");
        !test && !NATIVE_ONLY.iter().any(|native| file.ends_with(native))
    };
    files.retain(is_built);
    collect_files(&root.join(wit_folder(root)?), &mut files)?;
    files.sort();
    let mut digest = Sha256::new();
    for file in files {
        let name = file.strip_prefix(root).unwrap_or(&file);
        let name = name.to_string_lossy().replace('\\', "/");
        add(&mut digest, &name, &read(&file)?);
    }
    let manifest = String::from_utf8_lossy(&read(&root.join("Cargo.toml"))?).into_owned();
    add(&mut digest, PROFILE, section(&manifest, PROFILE).as_bytes());
    Ok(hex(&digest.finalize()))
}

fn add(digest: &mut Sha256, name: &str, bytes: &[u8]) {
    digest.update(format!("{name}\0{}\0", bytes.len()));
    digest.update(bytes);
}

/// The WIT folder that the SDK's bindings are generated from.
fn wit_folder(root: &Path) -> Result<String> {
    let glue = root.join("plugin-sdk/src/glue.rs");
    let text = String::from_utf8_lossy(&read(&glue)?).into_owned();
    let path = text.split("path: \"../").nth(1);
    let path = path.and_then(|rest| rest.split('"').next());
    path.map(str::to_owned)
        .ok_or_else(|| format!("{}: no `path: \"../wit/…\"`", glue.display()))
}

/// The lines from a TOML table's header to the next header.
fn section<'a>(toml: &'a str, header: &str) -> &'a str {
    let from = toml.find(header).unwrap_or(toml.len());
    let rest = &toml[from..];
    let end = rest.find("\n[").unwrap_or(rest.len());
    rest[..end].trim_end()
}

pub(super) fn collect_files(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let failed = |e| format!("{}: {e}", folder.display());
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.file_type().map_err(failed)?.is_dir() {
            collect_files(&entry.path(), files)?;
        } else {
            files.push(entry.path());
        }
    }
    Ok(())
}

pub(super) fn read(file: &Path) -> Result<Vec<u8>> {
    fs::read(file).map_err(|e| format!("{}: {e}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_and_name_of_the_sources_counts() {
        let root = std::env::temp_dir().join(format!("xtask-sources-{}", std::process::id()));
        let write = |name: &str, bytes: &str| {
            let path = root.join(name);
            fs::create_dir_all(path.parent().expect("in a folder")).expect("a folder");
            fs::write(path, bytes).expect("a file");
        };
        let digest = || digest(&root, "pack").expect("all folders are there");
        write("Cargo.toml", "[a]\n\n[profile.plugin]\nlto = true\n\n[b]\n");
        write("plugins/pack/Cargo.toml", "a");
        write("plugins/pack/src/lib.rs", "a");
        write("plugin-sdk/Cargo.toml", "b");
        write("plugin-sdk/src/glue.rs", "path: \"../wit/2\",");
        write("wit/2/host.wit", "c");
        let mut seen = vec![digest()];
        for (name, bytes) in [
            ("plugins/pack/src/lib.rs", "A"),
            ("plugins/pack/Cargo.toml", "A"),
            ("plugin-sdk/src/lib.rs", "B"),
            ("wit/2/host.wit", "C"),
            ("wit/2/empty.wit", ""),
            ("plugins/pack/src/deep/more.rs", "d"),
            (
                "Cargo.toml",
                "[a]\n\n[profile.plugin]\nlto = false\n\n[b]\n",
            ),
        ] {
            write(name, bytes);
            let fresh = digest();
            assert!(!seen.contains(&fresh), "{name}");
            seen.push(fresh);
        }
        for (name, bytes) in [
            ("plugins/spread/src/lib.rs", "another plugin"),
            ("plugins/pack/src/tests.rs", "tests"),
            ("plugins/pack/vectors/a.json", "vectors"),
            ("plugin-sdk/src/testing.rs", "native only"),
            ("plugin-sdk/README.md", "words"),
            ("wit/1/host.wit", "another version"),
            (
                "Cargo.toml",
                "[x]\n\n[profile.plugin]\nlto = false\n\n[b]\ny = 1\n",
            ),
        ] {
            write(name, bytes);
            assert_eq!(seen.last(), Some(&digest()), "{name}");
        }
        fs::remove_dir_all(&root).expect("removed");
    }
}

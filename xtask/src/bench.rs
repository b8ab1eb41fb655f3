//! `cargo xtask bench`: the benches, which are the binaries of the folder `benches`.

use std::fs;
use std::process::Command;

use xtask::{Result, paths};

const SOURCES: &str = "benches/src/bin";

/// Runs the bench that `args` start with, on the rest of them; lists them without any.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let names = names()?;
    let Some((name, rest)) = args.split_first() else {
        for name in names {
            println!("{name}");
        }
        return Ok(());
    };
    if !names.contains(name) {
        return Err(format!(
            "no bench is named {name}; there are {}",
            names.join(", ")
        ));
    }
    // What is printed is the result, so it goes straight to the caller.
    let status = Command::new(env!("CARGO"))
        .args([
            "run",
            "--release",
            "--package",
            "weir-benches",
            "--bin",
            name,
            "--",
        ])
        .args(rest)
        .current_dir(paths::root())
        .status()
        .map_err(|e| format!("cannot run cargo: {e}"))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("bench {name}: {status}"))
    }
}

/// The binaries: files, or folders with a `main.rs`.
fn names() -> Result<Vec<String>> {
    let folder = paths::root().join(SOURCES);
    let entries =
        fs::read_dir(&folder).map_err(|e| format!("cannot read {}: {e}", folder.display()))?;
    let mut names: Vec<String> = entries
        .flatten()
        .filter_map(|entry| Some(entry.path().file_stem()?.to_string_lossy().into_owned()))
        .collect();
    names.sort();
    Ok(names)
}

//! `cargo xtask bench`: the benches, each a package in a folder of its own beneath `benches`.

use std::fs;
use std::process::Command;

use xtask::{Result, paths};

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
        .args(["run", "--release", "--package"])
        .args([&format!("weir-bench-{name}"), "--"])
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

/// The folders beneath `benches` that hold a package.
fn names() -> Result<Vec<String>> {
    let folder = paths::root().join("benches");
    let entries =
        fs::read_dir(&folder).map_err(|e| format!("cannot read {}: {e}", folder.display()))?;
    let mut names: Vec<String> = entries
        .flatten()
        .filter(|entry| entry.path().join("Cargo.toml").exists())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    Ok(names)
}

//! `cargo xtask mutants`: seeded faults that the tests must notice.
//!
//! Each is a replacement of source text in a copy of the workspace. The tests that a mutant
//! names must pass without it and fail with it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde::Deserialize;
use xtask::process::Supervised;
use xtask::{Result, paths};

/// The lists of mutants, each with the package and the test target that must notice them.
const LISTS: &[List] = &[
    List {
        file: "gateway/core/tests/gateway/mutants.toml",
        package: "weir-core",
        target: &["--test", "gateway"],
    },
    List {
        file: "gateway/index/src/apply/tests/mutants.toml",
        package: "weir-index",
        target: &["--lib"],
    },
    List {
        file: "gateway/policy/tests/all/mutants.toml",
        package: "weir-policy",
        target: &["--test", "all"],
    },
];

/// The first build of the copy is a cold one.
const LIMIT: Duration = Duration::from_secs(1800);

struct List {
    file: &'static str,
    package: &'static str,
    /// As cargo names it.
    target: &'static [&'static str],
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Mutants {
    mutant: Vec<Mutant>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Mutant {
    name: String,
    file: PathBuf,
    from: String,
    to: String,
    /// Tests, by a part of their path.
    red: Vec<String>,
}

/// Checks that the text of every mutant is found once: cheap enough for every run of the tests.
pub(crate) fn check() -> Result<()> {
    let mut problems = Vec::new();
    for list in LISTS {
        for mutant in chosen(list, &[])? {
            if let Err(problem) = source(paths::root(), &mutant) {
                problems.push(problem);
            }
        }
    }
    if problems.is_empty() {
        Ok(())
    } else {
        Err(problems.join("\n"))
    }
}

/// Runs every mutant, or those whose name contains one of `wanted`.
pub(crate) fn run(wanted: &[String]) -> Result<()> {
    check()?;
    let copy = copy_workspace()?;
    let mut lived = Vec::new();
    let mut count = 0_usize;
    for list in LISTS {
        let mutants = chosen(list, wanted)?;
        if mutants.is_empty() {
            continue;
        }
        let mut all: Vec<&str> = mutants
            .iter()
            .flat_map(|m| &m.red)
            .map(String::as_str)
            .collect();
        all.sort_unstable();
        all.dedup();
        if let Ended::Failed = test(&copy, list, &all)? {
            return Err(format!(
                "{}: red without any mutant; see the log",
                list.file
            ));
        }
        for mutant in &mutants {
            count += 1;
            let start = Instant::now();
            let red: Vec<&str> = mutant.red.iter().map(String::as_str).collect();
            let ended = with(&copy, mutant, || test(&copy, list, &red))?;
            let seconds = start.elapsed().as_secs_f64();
            match ended {
                Ended::Failed => println!("caught in {seconds:.0} s: {}", mutant.name),
                Ended::Passed => {
                    println!("NOT CAUGHT in {seconds:.0} s: {}", mutant.name);
                    lived.push(mutant.name.clone());
                }
            }
        }
    }
    if !lived.is_empty() {
        return Err(format!("not caught: {}", lived.join("; ")));
    }
    println!("{count} mutants, all caught");
    Ok(())
}

fn chosen(list: &List, wanted: &[String]) -> Result<Vec<Mutant>> {
    let path = paths::root().join(list.file);
    let text = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let Mutants { mut mutant } =
        toml::from_str(&text).map_err(|e| format!("{}: {e}", path.display()))?;
    mutant.retain(|m| wanted.is_empty() || wanted.iter().any(|part| m.name.contains(part)));
    Ok(mutant)
}

/// Copies what version control knows, as it lies in the work tree. Files that are the same
/// already keep their times, so that little is built again.
fn copy_workspace() -> Result<PathBuf> {
    let copy = paths::scratch("mutants")?.join("workspace");
    let listed = Command::new("git")
        .args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ])
        .current_dir(paths::root())
        .output()
        .map_err(|e| format!("cannot run git: {e}"))?;
    if !listed.status.success() {
        return Err(String::from_utf8_lossy(&listed.stderr).into_owned());
    }
    let names = String::from_utf8_lossy(&listed.stdout).into_owned();
    for name in names.split('\0').filter(|name| !name.is_empty()) {
        // A file that was removed and not committed yet is listed too.
        if let Ok(bytes) = fs::read(paths::root().join(name)) {
            write_if_other(&copy.join(name), &bytes)?;
        }
    }
    Ok(copy)
}

fn write_if_other(path: &Path, bytes: &[u8]) -> Result<()> {
    if fs::read(path).is_ok_and(|found| found == bytes) {
        return Ok(());
    }
    let problem = |e: std::io::Error| format!("{}: {e}", path.display());
    fs::create_dir_all(path.parent().expect("a file lies in a folder")).map_err(problem)?;
    fs::write(path, bytes).map_err(problem)
}

/// The file that a mutant changes, in which its text stands once.
fn source(root: &Path, mutant: &Mutant) -> Result<String> {
    let path = root.join(&mutant.file);
    let whole = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    match whole.matches(&mutant.from).count() {
        1 => Ok(whole),
        found => {
            let file = mutant.file.display();
            Err(format!(
                "{}: its text is {found} times in {file}",
                mutant.name
            ))
        }
    }
}

/// Runs `check` while the mutant is in force.
fn with<T>(copy: &Path, mutant: &Mutant, check: impl FnOnce() -> Result<T>) -> Result<T> {
    let path = copy.join(&mutant.file);
    let whole = source(copy, mutant)?;
    write_if_other(&path, whole.replace(&mutant.from, &mutant.to).as_bytes())?;
    let result = check();
    write_if_other(&path, whole.as_bytes())?;
    result
}

#[derive(Clone, Copy)]
enum Ended {
    Passed,
    Failed,
}

/// Builds and runs tests of the copy. What does not build is an error, not a failed test.
fn test(copy: &Path, list: &List, names: &[&str]) -> Result<Ended> {
    let folder = paths::scratch("mutants")?;
    let log = folder.join("log");
    let cargo_test = |rest: &[&str]| {
        let mut command = Command::new(env!("CARGO"));
        command
            .args(["test", "--release", "--package", list.package])
            .args(list.target)
            .args(rest)
            .current_dir(copy)
            .env("CARGO_TARGET_DIR", folder.join("target"))
            .env("CARGO_INCREMENTAL", "1");
        run_logged(command, &log)
    };
    if let Ended::Failed = cargo_test(&["--no-run"])? {
        let text = fs::read_to_string(&log).unwrap_or_default();
        return Err(format!("it does not build:\n{text}"));
    }
    cargo_test(&[&["--"], names].concat())
}

fn run_logged(command: Command, log: &Path) -> Result<Ended> {
    let _ = fs::remove_file(log);
    match Supervised::start(command, log)?.wait(LIMIT)? {
        Some(status) if status.success() => Ok(Ended::Passed),
        // A test that hangs has noticed too.
        Some(_) | None => Ok(Ended::Failed),
    }
}

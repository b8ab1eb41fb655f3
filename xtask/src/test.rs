//! `cargo xtask test`: everything CI checks, in the order in which it fails fastest.

use std::ffi::OsStr;
use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use xtask::tools::Python;
use xtask::{Result, paths};

use crate::conformance;
use crate::step::{self, Step};
use crate::storms::{self, Length};

/// A check that is no command of its own.
type Check = fn() -> Result<()>;

/// Makes a step's command when its turn has come.
type Prepare = Box<dyn FnOnce() -> Result<Command>>;

enum Action {
    Run(Duration, Prepare),
    Check(Check),
    /// It reports for itself.
    Own(Check),
}

/// Runs all steps, or those named in `wanted`. Goes on after a failing step, so that one run
/// shows all there is to mend, but not after a failing build.
pub(crate) fn run(wanted: &[String]) -> Result<()> {
    let start = Instant::now();
    let steps = steps();
    if let Some(unknown) = wanted
        .iter()
        .find(|name| !steps.iter().any(|(step, _)| step == name))
    {
        let known: Vec<_> = steps.iter().map(|(name, _)| *name).collect();
        return Err(format!(
            "no step is named {unknown}; there are {}",
            known.join(", ")
        ));
    }
    let mut failed = Vec::new();
    for (name, action) in steps {
        if !wanted.is_empty() && !wanted.iter().any(|step| step == name) {
            continue;
        }
        let outcome = match action {
            Action::Run(limit, prepare) => prepare().and_then(|command| {
                step::run(Step {
                    name,
                    limit,
                    command,
                })
            }),
            Action::Check(check) => run_check(name, check),
            Action::Own(run) => run().inspect_err(|problem| eprintln!("{name}: {problem}")),
        };
        if outcome.is_err() {
            failed.push(name);
            if name == "build" {
                break;
            }
        }
    }
    let minutes = start.elapsed().as_secs_f64() / 60.0;
    if failed.is_empty() {
        eprintln!("all ok in {minutes:.1} min");
        Ok(())
    } else {
        Err(format!("FAILED in {minutes:.1} min: {}", failed.join(", ")))
    }
}

fn steps() -> Vec<(&'static str, Action)> {
    let mut steps = vec![
        ("format", cargo(60, ["fmt", "--all", "--check"])),
        ("tools", Action::Check(tools)),
        // Libraries, binaries and tests at once: one set of features, so nothing is compiled
        // a second time when the tests run.
        (
            "build",
            cargo(
                3000,
                ["build", "--release", "--workspace", "--bins", "--tests"],
            ),
        ),
        (
            "clippy",
            cargo(
                1500,
                [
                    "clippy",
                    "--release",
                    "--workspace",
                    "--all-targets",
                    "--",
                    "--deny",
                    "warnings",
                ],
            ),
        ),
        ("doc", doc()),
        (
            "plugins",
            Action::Run(Duration::from_secs(900), Box::new(verify_plugins)),
        ),
        ("generated", Action::Check(generated)),
        ("mutants", Action::Check(crate::mutants::check)),
        ("deny", Action::Check(deny)),
        ("test", cargo(1800, ["test", "--release", "--workspace"])),
        ("conformance", Action::Own(conformance::run)),
        (
            "clients",
            Action::Run(Duration::from_secs(900), Box::new(clients)),
        ),
    ];
    for storm in storms::STORMS {
        let prepare = Box::new(|| storm.command(Length::Short));
        steps.push((storm.name, Action::Run(storm.limit(Length::Short), prepare)));
    }
    steps
}

fn cargo<const N: usize>(limit_s: u64, args: [&'static str; N]) -> Action {
    let prepare = move || {
        let mut command = Command::new(env!("CARGO"));
        command.args(args);
        Ok(command)
    };
    Action::Run(Duration::from_secs(limit_s), Box::new(prepare))
}

fn doc() -> Action {
    let prepare = || {
        let mut command = Command::new(env!("CARGO"));
        command
            .args([
                "doc",
                "--release",
                "--workspace",
                "--no-deps",
                "--document-private-items",
            ])
            // The inside is documented too, so links into it resolve.
            .env(
                "RUSTDOCFLAGS",
                "--deny warnings --allow rustdoc::private_intra_doc_links",
            );
        Ok(command)
    };
    Action::Run(Duration::from_secs(900), Box::new(prepare))
}

fn verify_plugins() -> Result<Command> {
    let mut command = Command::new(paths::binary("xtask"));
    command.args(["plugins", "verify"]);
    Ok(command)
}

/// Real clients against a real gateway.
fn clients() -> Result<Command> {
    storms::pytest(&[
        "-n",
        "3",
        "--ignore=tests/clients/test_tree.py",
        "tests/clients",
    ])
}

fn run_check(name: &str, check: Check) -> Result<()> {
    let start = Instant::now();
    eprintln!("{name} …");
    let outcome = check();
    let seconds = start.elapsed().as_secs_f64();
    match &outcome {
        Ok(()) => eprintln!("{name} ok in {seconds:.1} s"),
        Err(problem) => eprintln!("{name} FAILED in {seconds:.1} s: {problem}"),
    }
    outcome
}

fn tools() -> Result<()> {
    Python::ensure().map(drop)
}

/// Files that are made from the code must be what the code makes now.
fn generated() -> Result<()> {
    let committed = paths::root().join("docs/configuration.md");
    let output = output(paths::binary("weir"), &["config", "reference", "--page"])?;
    let text = fs::read_to_string(&committed)
        .map_err(|e| format!("cannot read {}: {e}", committed.display()))?;
    if text == output {
        return Ok(());
    }
    Err(format!(
        "`weir config reference --page > {}` changes it",
        committed.display()
    ))
}

/// Licences, sources and duplicates, where cargo-deny is installed. Advisories need a
/// network, so they are not part of this.
fn deny() -> Result<()> {
    if output(env!("CARGO"), &["deny", "--version"]).is_err() {
        eprintln!("skipped: cargo-deny is not installed");
        return Ok(());
    }
    output(
        env!("CARGO"),
        &["deny", "--offline", "check", "bans", "licenses", "sources"],
    )
    .map(drop)
}

fn output(program: impl AsRef<OsStr>, args: &[&str]) -> Result<String> {
    let program = program.as_ref();
    let shown = format!("{} {}", program.to_string_lossy(), args.join(" "));
    let output = Command::new(program)
        .args(args)
        .current_dir(paths::root())
        .output()
        .map_err(|e| format!("cannot run {shown}: {e}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{shown}: {}\n{said}", output.status));
    }
    String::from_utf8(output.stdout).map_err(|_| format!("{shown} prints no UTF-8"))
}

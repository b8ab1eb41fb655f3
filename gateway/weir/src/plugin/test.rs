//! `weir plugin test`: unit tests as the language has them, then the test vectors.

use std::path::Path;
use std::process::{Command, ExitCode};

use super::build::{Python, node, succeed};
use super::check;
use super::project::{Language, Project};
use super::subject::Subject;
use super::terminal::{answer, note};
use crate::error::Failure;

/// Where the bindings of Python policies are generated.
const BINDINGS: &str = "bindings";

pub(super) fn run(folder: &Path, native: bool) -> Result<ExitCode, Failure> {
    let project = Project::open(folder)?;
    unit_tests(&project)?;
    if native {
        return Ok(ExitCode::SUCCESS);
    }
    let component = project.component();
    if !component.exists() {
        return Err(Failure::new(format!(
            "{} is not built, so the test vectors were not run; right: weir plugin build first, or \
             --native",
            component.display()
        )));
    }
    let subject = Subject::of(folder).load()?;
    let cases = subject.groups.iter().map(|group| group.cases.len());
    let cases: usize = cases.sum();
    if cases == 0 {
        note("there are no test vectors");
        return Ok(ExitCode::SUCCESS);
    }
    let findings = check::vectors(&subject)?;
    for finding in &findings {
        note(&format!("error: {finding}"));
    }
    if !findings.is_empty() {
        return Ok(ExitCode::FAILURE);
    }
    answer(&format!("vectors: {cases} of {cases} as expected\n"))?;
    Ok(ExitCode::SUCCESS)
}

fn unit_tests(project: &Project) -> Result<(), Failure> {
    let folder = &project.folder;
    match project.language {
        Language::Rust => {
            let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
            let mut command = Command::new(cargo);
            command.current_dir(folder).args(["test", "--quiet"]);
            succeed(&mut command, "cargo test")
        }
        Language::Javascript => {
            let mut command = Command::new(node()?);
            command.current_dir(folder).arg("--test");
            succeed(&mut command, "node --test")
        }
        Language::Python => {
            let python = Python::find(folder)?;
            let bindings = folder.join(BINDINGS);
            // They follow wit/; making them anew takes a moment.
            if bindings.exists() {
                std::fs::remove_dir_all(&bindings).map_err(Failure::of)?;
            }
            let mut generate = python.componentize(folder);
            generate.args(["--quiet", "bindings", BINDINGS]);
            succeed(&mut generate, "componentize-py bindings")?;
            let mut command = Command::new(&python.interpreter);
            command
                .current_dir(folder)
                .env("PYTHONPATH", BINDINGS)
                .args(["-m", "unittest"]);
            succeed(&mut command, "python3 -m unittest")
        }
    }
}

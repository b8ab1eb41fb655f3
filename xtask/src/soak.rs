//! `cargo xtask soak`: the long storms.

use std::process::Command;
use std::time::Duration;

use xtask::Result;

use crate::step::{self, Step};
use crate::storms::{Length, STORMS, Storm};

const BUILD_LIMIT: Duration = Duration::from_secs(1800);

/// Runs every storm in its long form, or those named in `wanted`.
pub(crate) fn run(wanted: &[String]) -> Result<()> {
    let mut chosen: Vec<&Storm> = STORMS.iter().collect();
    if !wanted.is_empty() {
        chosen = wanted
            .iter()
            .map(|name| find(name))
            .collect::<Result<_>>()?;
    }
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--release", "--workspace", "--bins", "--tests"]);
    step::run(Step {
        name: "build",
        limit: BUILD_LIMIT,
        command: build,
    })?;

    let mut failed = Vec::new();
    for storm in chosen {
        eprintln!("{}: {}", storm.name, storm.about);
        let (limit, command) = (storm.limit(Length::Long), storm.command(Length::Long)?);
        if step::run(Step {
            name: storm.name,
            limit,
            command,
        })
        .is_err()
        {
            failed.push(storm.name);
        }
    }
    if failed.is_empty() {
        Ok(())
    } else {
        Err(format!("FAILED: {}", failed.join(", ")))
    }
}

fn find(name: &str) -> Result<&'static Storm> {
    STORMS
        .iter()
        .find(|storm| storm.name == name)
        .ok_or_else(|| {
            let known: Vec<_> = STORMS.iter().map(|storm| storm.name).collect();
            format!("no storm is named {name}; there are {}", known.join(", "))
        })
}

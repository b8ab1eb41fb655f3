//! `weir plugin replay` and `weir plugin simulate`.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::{Subject, replay, simulate};
use crate::error::Failure;
use crate::recording::Recording;

/// Run recorded decisions against a component: does it decide the same? Exit code 1 when it
/// does not.
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// What is run, against what.
    #[command(flatten)]
    run: RunArgs,
}

/// Run recorded decisions against a component and report what would be different: where objects
/// would lie, what that costs, how full backends would be.
#[derive(Debug, Args)]
pub struct SimulateArgs {
    /// What is run, against what.
    #[command(flatten)]
    run: RunArgs,
    /// Differences that are shown.
    #[arg(long, default_value_t = 10)]
    examples: usize,
}

#[derive(Debug, Args)]
struct RunArgs {
    /// The recording: a file, or the folder of a policy's recordings.
    recording: PathBuf,
    /// The component.
    #[arg(long)]
    component: PathBuf,
    /// File with its settings in JSON; else those that were recorded.
    #[arg(long)]
    settings: Option<PathBuf>,
    /// Answer in JSON.
    #[arg(long)]
    json: bool,
}

/// `weir plugin replay`.
pub fn run_replay(args: &ReplayArgs) -> Result<ExitCode, Failure> {
    let (recording, subject) = args.run.open()?;
    let replay = replay(&recording, &subject, &tell);
    show(&replay, args.run.json)?;
    Ok(if replay.is_same() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// `weir plugin simulate`.
pub fn run_simulate(args: &SimulateArgs) -> Result<ExitCode, Failure> {
    let (recording, subject) = args.run.open()?;
    let simulation = simulate(&recording, &subject, args.examples, &tell);
    show(&simulation, args.run.json)?;
    Ok(ExitCode::SUCCESS)
}

impl RunArgs {
    fn open(&self) -> Result<(Recording, Subject), Failure> {
        let recording = Recording::read(&self.recording, &|line| tell(line))?;
        tell(format!("{} decisions recorded", recording.decisions.len()));
        let settings = self.settings.as_ref().map(|file| {
            let read = std::fs::read_to_string(file);
            read.map_err(|e| Failure::new(format!("{}: {e}", file.display())))
        });
        let settings = settings.transpose()?;
        let subject = Subject::load(&self.component, settings.as_deref(), &recording)?;
        Ok((recording, subject))
    }
}

/// A line for a person.
fn tell(line: String) {
    // A closed standard error leaves nobody to tell.
    let _closed = writeln!(std::io::stderr(), "{line}");
}

fn show<T: Serialize + std::fmt::Display>(value: &T, json: bool) -> Result<(), Failure> {
    let text = if json {
        let text = serde_json::to_string_pretty(value).map_err(Failure::of)?;
        format!("{text}\n")
    } else {
        value.to_string()
    };
    let mut out = std::io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    written.map_err(|error| Failure::new(format!("standard output: {error}")))
}

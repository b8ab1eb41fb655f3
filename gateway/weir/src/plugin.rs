//! `weir plugin …`: what the author of a policy needs, from the first file to a signed component.
//! None of it touches a gateway.
//!
//! Exit codes as everywhere: 0 when it did what it should, 1 when it found something or failed,
//! 2 for a wrong command line.

mod bench;
mod build;
mod check;
mod inspect;
mod project;
mod samples;
mod scaffold;
mod sign;
mod subject;
mod templates;
mod terminal;
mod test;
mod vectors;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Subcommand, ValueEnum};
use weir_policy::DecisionKind;

use crate::error::Failure;
use crate::simulation::{self, ReplayArgs, SimulateArgs};

pub use bench::Bench;
pub use project::Language;
pub use scaffold::New;
pub use sign::{Keygen, Sign};
pub use subject::Subject;

/// Write, build, test and sign policies of your own.
#[derive(Debug, Subcommand)]
pub enum PluginCommand {
    /// Make a folder with a policy that works, its tests and its test vectors.
    New(New),
    /// Build the component.
    Build {
        /// The plugin's folder.
        #[arg(default_value = ".")]
        folder: PathBuf,
        /// Where to write the component; NAME.wasm in the folder when it is not given.
        #[arg(long)]
        output: Option<PathBuf>,
    },
    /// Run the unit tests, which need no Wasm, then the test vectors on the built component.
    Test {
        /// The plugin's folder.
        #[arg(default_value = ".")]
        folder: PathBuf,
        /// Only the unit tests.
        #[arg(long)]
        native: bool,
    },
    /// Find out whether a gateway would take a component, and whether it keeps what a policy
    /// promises: imports, API version, size, settings, determinism, test vectors.
    Check {
        /// What is checked.
        #[command(flatten)]
        subject: Subject,
        /// Answer in JSON.
        #[arg(long)]
        json: bool,
    },
    /// Measure time, fuel and memory of calls; exit code 1 when a limit is passed.
    Bench(Bench),
    /// Say what a component is: name, version, decisions, imports, settings, signature.
    Inspect {
        /// What is looked at.
        #[command(flatten)]
        subject: Subject,
        /// Answer in JSON.
        #[arg(long)]
        json: bool,
    },
    /// Make a key that signs components.
    Keygen(Keygen),
    /// Sign a component: writes COMPONENT.sig.
    Sign(Sign),
    /// Run recorded decisions against a component: does it decide the same? Exit code 1 when it
    /// does not.
    Replay(ReplayArgs),
    /// Run recorded decisions against a component and report what would be different: where
    /// objects would lie, what that costs, how full backends would be.
    Simulate(SimulateArgs),
}

/// What a policy decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Decides {
    /// Where a new version goes.
    Placement,
    /// What happens when the preferred backends are full.
    Overflow,
    /// Which copies an object should have now.
    Replication,
    /// In which order copies are tried for a read.
    ReadRouting,
}

impl Decides {
    /// Its interface's name in the WIT package.
    const fn interface(self) -> &'static str {
        match self {
            Self::Placement => DecisionKind::Placement.name(),
            Self::Overflow => DecisionKind::Overflow.name(),
            Self::Replication => DecisionKind::Replication.name(),
            Self::ReadRouting => DecisionKind::ReadRouting.name(),
        }
    }
}

/// Runs a command of an author.
pub fn run(command: PluginCommand) -> Result<ExitCode, Failure> {
    match command {
        PluginCommand::New(new) => scaffold::new(&new),
        PluginCommand::Build { folder, output } => build::run(&folder, output.as_deref()),
        PluginCommand::Test { folder, native } => test::run(&folder, native),
        PluginCommand::Check { subject, json } => check::run(&subject, json),
        PluginCommand::Bench(bench) => bench::run(&bench),
        PluginCommand::Inspect { subject, json } => inspect::run(&subject, json),
        PluginCommand::Keygen(keygen) => sign::keygen(&keygen),
        PluginCommand::Sign(sign) => sign::sign(&sign),
        PluginCommand::Replay(args) => simulation::run_replay(&args),
        PluginCommand::Simulate(args) => simulation::run_simulate(&args),
    }
}

#[cfg(test)]
mod tests;

//! The project's own commands: `cargo xtask …`.
#![allow(clippy::print_stdout, clippy::print_stderr)] // a command line talks to its user

mod bench;
mod cli_servers;
mod conformance;
mod mutants;
mod plugins;
mod soak;
mod step;
mod storms;
mod test;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask test [STEP…]        everything CI checks, or only the steps named
       cargo xtask soak [STORM…]       the long storms, or only those named
       cargo xtask mutants [PART…]     seeded faults that tests must notice, or those so named
       cargo xtask bench [NAME [ARG…]] a bench; without a name: which there are
       cargo xtask servers start|list|stop|run …
       cargo xtask plugins build|verify|freeze
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match args
        .split_first()
        .map(|(command, rest)| (command.as_str(), rest))
    {
        Some(("plugins", rest)) => return plugins::run(rest),
        Some(("test", rest)) => test::run(rest),
        Some(("soak", rest)) => soak::run(rest),
        Some(("mutants", rest)) => mutants::run(rest),
        Some(("bench", rest)) => bench::run(rest),
        Some(("servers", rest)) => cli_servers::run(rest),
        _ => Err(USAGE.to_owned()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{}", message.trim_end());
            ExitCode::FAILURE
        }
    }
}

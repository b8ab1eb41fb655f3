//! Storms over the real binary: what only a real process, killed for real, can show.
//!
//! Every storm prints its seed first and `storm result: NAME ok` last.
#![allow(clippy::print_stdout, clippy::print_stderr)] // a command line talks to its user

mod args;
mod backends;
mod client;
mod content;
mod failover;
mod gateway;
mod kill9;
mod random;
mod restore;
mod sign;
mod sockets;
mod streams;
mod swap;

use std::process::ExitCode;

use args::Args;

/// What a storm answers: the message is for a person, and names what was broken.
pub(crate) type Result<T, E = String> = std::result::Result<T, E>;

const USAGE: &str = "\
usage: weir-e2e kill9    [--kills N] [--seed N] [--writers N] [--keys N]
       weir-e2e failover [--readers N] [--large-mib N] [--seed N]
       weir-e2e streams  [--object-mib N] [--chunk-mib N] [--parts N]
       weir-e2e restore  [--objects N] [--seed N]
       weir-e2e swap     [--swaps N] [--clients N] [--seed N]
";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match run(&words) {
        Ok(name) => {
            println!("storm result: {name} ok");
            ExitCode::SUCCESS
        }
        Err(problem) => {
            eprintln!("{problem}");
            println!("storm result: FAILED");
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[String]) -> Result<&str> {
    let (name, rest) = words.split_first().ok_or(USAGE)?;
    let args = Args::parse(rest)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| format!("no runtime: {e}"))?;
    match name.as_str() {
        "kill9" => runtime.block_on(kill9::run(&args)),
        "failover" => runtime.block_on(failover::run(&args)),
        "streams" => runtime.block_on(streams::run(&args)),
        "restore" => runtime.block_on(restore::run(&args)),
        "swap" => runtime.block_on(swap::run(&args)),
        _ => Err(USAGE.to_owned()),
    }?;
    Ok(name)
}

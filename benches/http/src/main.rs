//! CPU per request of small S3 requests through Weir, beside a raw hyper proxy, nginx and
//! Envoy with a Wasm filter and AWS signing: `cargo xtask bench http`.
//!
//! Everything runs on this machine: each contender alone on one core, the load and the
//! store behind the contenders on another. What is counted is the CPU time of the
//! contender's processes only.
#![allow(clippy::print_stdout, clippy::print_stderr)] // a command line talks to its user

mod contender;
mod cpu;
mod load;
mod objects;
mod place;
mod relay;
mod report;
mod rounds;
mod signing;
mod stats;
mod upstream;
mod wrk;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use xtask::Result;

use crate::contender::Kind;
use crate::objects::Scenario;

#[derive(Parser)]
#[command(about = "CPU per request of Weir beside raw hyper, nginx and Envoy")]
struct Cli {
    #[command(subcommand)]
    role: Option<Role>,
    #[command(flatten)]
    options: Options,
}

/// What the bench starts of itself.
#[derive(Subcommand)]
enum Role {
    /// The store behind the contenders.
    #[command(hide = true)]
    Upstream { listen: SocketAddr },
    /// The raw hyper reverse proxy.
    #[command(hide = true)]
    Relay {
        listen: SocketAddr,
        upstream: SocketAddr,
    },
}

/// What is measured, and how long.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Rounds; in each, every contender runs every scenario once.
    #[arg(long, default_value_t = 15)]
    rounds: usize,
    /// GET requests of 1 KiB in one run; half as many PUTs, a quarter of 64 KiB.
    #[arg(long, default_value_t = 16_000)]
    requests: usize,
    /// Connections of the load, each with one request at a time.
    #[arg(long, default_value_t = 32)]
    connections: usize,
    /// Only this scenario (may be repeated).
    #[arg(long = "scenario", value_enum)]
    scenarios: Vec<Scenario>,
    /// Only this contender (may be repeated).
    #[arg(long = "contender", value_enum)]
    contenders: Vec<Kind>,
    /// Core of the contenders.
    #[arg(long, default_value_t = 0)]
    contender_core: usize,
    /// Core of the load and the store.
    #[arg(long, default_value_t = 1)]
    load_core: usize,
    /// Where Weir keeps its index; else a folder beneath `target`.
    #[arg(long)]
    index_dir: Option<PathBuf>,
    /// The `weir` to measure; else it is built.
    #[arg(long)]
    weir: Option<PathBuf>,
    /// Afterwards, GET 1 KiB by wrk as a check of the load generator.
    #[arg(long)]
    wrk: bool,
}

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{}", message.trim_end());
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| format!("no runtime: {e}"))?;
    match cli.role {
        Some(Role::Upstream { listen }) => runtime.block_on(upstream::serve(listen)),
        Some(Role::Relay { listen, upstream }) => runtime.block_on(relay::serve(listen, upstream)),
        None => rounds::run(&runtime, &cli.options),
    }
}

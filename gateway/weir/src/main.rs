//! See the library of this crate.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    weir::run(weir::cli::Cli::parse())
}

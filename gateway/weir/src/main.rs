//! See the library of this crate.

use std::process::ExitCode;

use clap::Parser;
use mimalloc::MiMalloc;

/// A small request allocates about a hundred times; this allocator takes half as long for it
/// as the system's.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    weir::run(weir::cli::Cli::parse())
}

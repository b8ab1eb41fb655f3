//! See the library of this crate.

use std::process::ExitCode;

use clap::Parser;
use mimalloc::MiMalloc;

/// Small requests allocate a few dozen times each; this allocator takes a twelfth off their
/// cost (see `docs/performance.md`).
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    weir::run(weir::cli::Cli::parse())
}

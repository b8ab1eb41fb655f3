//! The project's own commands: `cargo xtask …`.

mod plugins;

use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.split_first() {
        Some((command, rest)) if command == "plugins" => plugins::run(rest),
        _ => {
            eprintln!("usage: cargo xtask plugins build|verify");
            ExitCode::FAILURE
        }
    }
}

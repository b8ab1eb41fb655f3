//! `weir-componentize IN.wasm OUT.wasm …`: makes components of core modules
//! that carry their WIT worlds in custom sections. A crate of its own, so that
//! `cargo xtask` builds without it; `cargo xtask plugins build` runs it.

use std::path::Path;
use std::process::ExitCode;

use wit_component::ComponentEncoder;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let (pairs, rest) = arguments.as_chunks();
    let outcome = if pairs.is_empty() || !rest.is_empty() {
        Err("usage: weir-componentize IN.wasm OUT.wasm …".to_owned())
    } else {
        pairs
            .iter()
            .try_for_each(|[input, output]| componentize(Path::new(input), Path::new(output)))
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            #[expect(clippy::print_stderr, reason = "a command line tool")]
            {
                eprintln!("{message}");
            }
            ExitCode::FAILURE
        }
    }
}

fn componentize(input: &Path, output: &Path) -> Result<(), String> {
    let module = std::fs::read(input).map_err(|e| format!("{}: {e}", input.display()))?;
    let component = ComponentEncoder::default()
        .validate(true)
        .module(&module)
        .and_then(|mut encoder| encoder.encode())
        .map_err(|e| format!("{}: {e:#}", input.display()))?;
    std::fs::write(output, component).map_err(|e| format!("{}: {e}", output.display()))
}

//! Answers go to standard output, everything else to standard error.

use std::io::Write;

use crate::error::Failure;

/// The answer of a command.
pub(super) fn answer(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    written.map_err(|error| Failure::new(format!("standard output: {error}")))
}

/// A line for a person.
pub(super) fn note(line: &str) {
    // A closed standard error leaves nobody to tell.
    let _closed = writeln!(std::io::stderr(), "{line}");
}

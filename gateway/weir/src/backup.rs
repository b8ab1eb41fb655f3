//! Backups of the index: written while it serves, restored where none is.

use std::path::Path;
use std::sync::Arc;

use weir_index::EmbeddedIndex;
use weir_index::backup::{Progress, RestoreOptions};
use weir_types::entropy::SystemEntropy;

use crate::error::Failure;

/// A line of progress for each so many rows.
const PROGRESS_ROWS: u64 = 1_000_000;

/// Writes a backup to a new file, and says what was written. Blocks.
pub fn write(
    index: &EmbeddedIndex,
    file: &Path,
    progress: &dyn Fn(String),
) -> Result<String, Failure> {
    let written = index
        .backup(file, &mut lines(progress))
        .map_err(Failure::of)?;
    Ok(format!(
        "{}: {} rows, {} bytes",
        file.display(),
        written.rows,
        written.bytes
    ))
}

/// Makes the index file `target`, which must not exist, from a backup. Blocks.
pub fn restore(
    file: &Path,
    target: &Path,
    new_epoch: bool,
    progress: &dyn Fn(String),
) -> Result<String, Failure> {
    let options = RestoreOptions {
        new_epoch,
        entropy: Arc::new(SystemEntropy::default()),
        ..RestoreOptions::default()
    };
    let read = weir_index::backup::restore(file, target, &options, &mut lines(progress));
    let (identity, read) = read.map_err(Failure::of)?;
    let (site, epoch) = (identity.site, identity.epoch);
    Ok(format!(
        "{}: site {site}, epoch {epoch}, {} rows restored",
        target.display(),
        read.rows
    ))
}

/// Turns the progress of blocks into a line now and then.
fn lines(progress: &dyn Fn(String)) -> impl FnMut(Progress) {
    let mut next = PROGRESS_ROWS;
    move |now: Progress| {
        if now.rows >= next {
            next = now.rows + PROGRESS_ROWS;
            progress(format!("{} rows, {} bytes", now.rows, now.bytes));
        }
    }
}

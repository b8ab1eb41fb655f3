//! Backups of an index: taken while it works, checked when they are read.
//!
//! # Format, version 1
//! All numbers are little endian.
//!
//! | bytes | what |
//! |---|---|
//! | 8 | the magic `WEIRIDXB` |
//! | 4 | version of this format |
//! | … | blocks |
//!
//! | bytes of a block | what |
//! |---|---|
//! | 4 | length of its payload; 0 marks the last block |
//! | 8 | number of rows before this block: a block that is missing, doubled or out of place shows |
//! | 4 | CRC32C of the twelve bytes above and the payload |
//! | length | rows: table (1 byte), length of key (4), length of value (4), key, value |
//!
//! The last block has no payload; its number of rows is that of the whole backup. A file that
//! ends before it was cut short. Rows are those of one snapshot, in order of table and key,
//! the format and identity of the index among them. The log of changes is not among them: it
//! goes on in the index that was backed up, not in what is made of the backup.

mod format;
mod restore;

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use weir_types::index::IndexError;

pub use format::BACKUP_VERSION;
pub use restore::{Replay, RestoreOptions, restore, restore_and_replay, verify};

use crate::StoreIndex;
use crate::file;
use crate::log::{self, LogPosition};
use crate::open::OpenError;
use crate::store::{Reader, Step, Store, Table};

/// How far a backup or a restoration is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Rows written or read so far.
    pub rows: u64,
    /// Bytes of backup written or read so far.
    pub bytes: u64,
}

/// Told of each block; blocks the work while it runs.
pub type OnProgress<'p> = dyn FnMut(Progress) + 'p;

/// Why a backup was not made, or not restored. The text is fit to be shown to an operator.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// There is something under that name already; it is left alone.
    #[error("{path} exists already; nothing was written")]
    Exists {
        /// What is in the way.
        path: PathBuf,
    },
    /// The file is not a whole, undamaged backup.
    #[error("{path} cannot be restored: {reason}")]
    Damaged {
        /// The backup.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A newer binary wrote it.
    #[error("{path} has backup format {found}; this binary reads up to {newest}")]
    TooNew {
        /// The backup.
        path: PathBuf,
        /// The format found.
        found: u32,
        /// The newest format this binary knows.
        newest: u32,
    },
    /// A file could not be read or written.
    #[error("{path}: {error}")]
    File {
        /// The file.
        path: PathBuf,
        /// What failed.
        error: io::Error,
    },
    /// The log does not go on where it should.
    #[error("the log cannot be applied: {0}")]
    Log(String),
    /// The index could not be read.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// The index could not be made or opened.
    #[error(transparent)]
    Open(#[from] OpenError),
}

impl<S: Store> StoreIndex<S> {
    /// Writes every row of the state after the last commit to a new file at `target`, while
    /// the index goes on working. Blocks until the file is whole and on disk; an attempt that
    /// fails leaves nothing under that name.
    ///
    /// While it runs, space that commits free in the index is not used again.
    pub fn backup(
        &self,
        target: &Path,
        on_progress: &mut OnProgress<'_>,
    ) -> Result<Progress, BackupError> {
        let (progress, _) = self.backup_at(target, on_progress)?;
        Ok(progress)
    }

    /// The same, and where in the log that state stands; `None` without a log.
    pub fn backup_at(
        &self,
        target: &Path,
        on_progress: &mut OnProgress<'_>,
    ) -> Result<(Progress, Option<LogPosition>), BackupError> {
        let failed = |error| BackupError::File {
            path: target.to_owned(),
            error,
        };
        if target.try_exists().map_err(failed)? {
            return Err(BackupError::Exists {
                path: target.to_owned(),
            });
        }
        let draft = file::beside(target, "partial");
        file::remove_if_there(&draft).map_err(failed)?;
        let written = create(&draft)
            .map_err(failed)
            .and_then(|file| self.write_rows(file, target, on_progress));
        match written {
            Ok(done) => {
                file::publish(&draft, target).map_err(failed)?;
                Ok(done)
            }
            Err(error) => {
                file::remove_if_there(&draft).map_err(failed)?;
                Err(error)
            }
        }
    }

    fn write_rows(
        &self,
        file: File,
        target: &Path,
        on_progress: &mut OnProgress<'_>,
    ) -> Result<(Progress, Option<LogPosition>), BackupError> {
        let failed = |error| BackupError::File {
            path: target.to_owned(),
            error,
        };
        let mut out = format::Writer::new(BufWriter::new(file)).map_err(failed)?;
        // An error of the file ends the scan from inside; the reader only knows its own kind.
        let mut file_error = None;
        let known = *self.log_tail().borrow();
        let position = self.read(|reader| {
            for table in Table::ALL {
                write_table(reader, *table, &mut out, &mut file_error, on_progress)?;
            }
            log::position(reader, known)
        })?;
        if let Some(error) = file_error {
            return Err(failed(error));
        }
        let (mut out, progress) = out.finish().map_err(failed)?;
        out.flush().map_err(failed)?;
        on_progress(progress);
        Ok((progress, position))
    }
}

fn write_table(
    reader: &dyn Reader,
    table: Table,
    out: &mut format::Writer<BufWriter<File>>,
    file_error: &mut Option<io::Error>,
    on_progress: &mut OnProgress<'_>,
) -> Result<(), IndexError> {
    if table == Table::Log {
        return Ok(());
    }
    reader.scan(table, &[], &mut |key, value| {
        if log::is_own(table, key) {
            return Ok(Step::Next);
        }
        if file_error.is_some() {
            return Ok(Step::Stop);
        }
        match out.row(table, key, value) {
            Ok(Some(progress)) => on_progress(progress),
            Ok(None) => {}
            Err(error) => *file_error = Some(error),
        }
        Ok(Step::Next)
    })
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

#[cfg(test)]
mod tests;

//! Checking backups, and making an index of one.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::sync::Arc;

use weir_types::codec::Record;
use weir_types::entropy::{Entropy, SystemEntropy};
use weir_types::index::IndexIdentity;

use super::format::{BlockReader, ReadError};
use super::{BackupError, OnProgress, Progress};
use crate::file;
use crate::log::{self, LogEntry, LogPosition};
use crate::open;
use crate::rows::{self, Identity, Predecessors};
use crate::store::{Changes, RedbStore, Store, Table};

/// How a backup is restored.
#[derive(Clone)]
pub struct RestoreOptions {
    /// Give the restored index a new epoch: backends then take it for another index, and it
    /// deletes nothing there until it is told that they are its own. Wanted when the index that
    /// was backed up may still be at work.
    pub new_epoch: bool,
    /// Give the restored index this epoch, and note in it that it succeeds the one that was
    /// backed up: what belonged to that one is its own. Wanted when that one is gone for good.
    pub successor: Option<String>,
    /// Bound on the page cache in bytes.
    pub cache_bytes: usize,
    /// Draws the new epoch.
    pub entropy: Arc<dyn Entropy>,
}

impl Default for RestoreOptions {
    fn default() -> Self {
        Self {
            new_epoch: false,
            successor: None,
            cache_bytes: 32 << 20,
            entropy: Arc::new(SystemEntropy::default()),
        }
    }
}

impl std::fmt::Debug for RestoreOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RestoreOptions")
            .field("new_epoch", &self.new_epoch)
            .field("successor", &self.successor)
            .field("cache_bytes", &self.cache_bytes)
            .finish_non_exhaustive()
    }
}

/// Reads a whole backup and checks it. Blocks.
pub fn verify(
    backup: &Path,
    on_progress: &mut OnProgress<'_>,
) -> Result<(IndexIdentity, Progress), BackupError> {
    let mut format = None;
    let mut identity = None;
    let progress = read_blocks(backup, on_progress, |block| {
        for (table, key, value) in block.iter() {
            match (table, key) {
                (Table::Meta, rows::FORMAT) => format = value.map(<[u8]>::to_vec),
                (Table::Meta, rows::IDENTITY) => identity = value.map(<[u8]>::to_vec),
                _ => {}
            }
        }
        Ok(())
    })?;
    open::check_format(format.as_deref())?;
    let identity = identity
        .filter(|_| format.is_some())
        .ok_or_else(|| BackupError::Damaged {
            path: backup.to_owned(),
            reason: "it does not say which index it is of".into(),
        })?;
    let Identity { site, epoch } = rows::decode(&identity)?;
    Ok((IndexIdentity { site, epoch }, progress))
}

/// Makes an index file at `target` of a backup, checking it first. Refuses when there is an
/// index already. Blocks until the index is on disk; an attempt that fails or is cut short
/// leaves no index there.
pub fn restore(
    backup: &Path,
    target: &Path,
    options: &RestoreOptions,
    on_progress: &mut OnProgress<'_>,
) -> Result<(IndexIdentity, Progress), BackupError> {
    restore_and_replay(backup, None, target, options, on_progress)
}

/// What follows a backup in the log.
pub struct Replay<'r> {
    /// Where in the log the backup stands.
    pub from: LogPosition,
    /// The entries after that, in order. An error ends the restoration.
    pub entries: &'r mut dyn Iterator<Item = Result<LogEntry, BackupError>>,
}

impl std::fmt::Debug for Replay<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Replay")
            .field("from", &self.from)
            .finish_non_exhaustive()
    }
}

/// Makes an index file as [`restore`] does, and applies the log to it before it gets its name.
/// An entry that does not follow the one before ends it with [`BackupError::Log`].
pub fn restore_and_replay(
    backup: &Path,
    replay: Option<Replay<'_>>,
    target: &Path,
    options: &RestoreOptions,
    on_progress: &mut OnProgress<'_>,
) -> Result<(IndexIdentity, Progress), BackupError> {
    let failed = |error| BackupError::File {
        path: target.to_owned(),
        error,
    };
    file::make_folder(target).map_err(failed)?;
    let _lock = file::lock(target)?;
    if target.try_exists().map_err(failed)? {
        return Err(BackupError::Exists {
            path: target.to_owned(),
        });
    }
    verify(backup, &mut |_| {})?;
    let draft = file::beside(target, "new");
    file::remove_if_there(&draft).map_err(failed)?;
    match fill(backup, replay, &draft, options, on_progress) {
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

fn fill(
    backup: &Path,
    replay: Option<Replay<'_>>,
    draft: &Path,
    options: &RestoreOptions,
    on_progress: &mut OnProgress<'_>,
) -> Result<(IndexIdentity, Progress), BackupError> {
    let store: RedbStore = file::open_redb(draft, options.cache_bytes)?;
    let progress = read_blocks(backup, on_progress, |block| commit(&store, block))?;
    if let Some(replay) = replay {
        apply_log(&store, replay)?;
    }
    let identity = rows::read(&store.snapshot()?, Table::Meta, rows::IDENTITY)?;
    let mut identity: Identity = rows::require(identity, "a restored index has no identity")?;
    if options.new_epoch || options.successor.is_some() {
        let mut changes = Changes::default();
        let epoch = match &options.successor {
            Some(epoch) => {
                let known = rows::read(&store.snapshot()?, Table::Meta, rows::PREDECESSORS)?;
                let Predecessors(mut epochs) = known.unwrap_or_default();
                epochs.push(identity.epoch);
                let excess = epochs.len().saturating_sub(PREDECESSORS_MAX);
                epochs.drain(..excess);
                let row = Predecessors(epochs).encode();
                changes.set(Table::Meta, rows::PREDECESSORS.to_vec(), Some(row));
                epoch.clone()
            }
            None => {
                changes.set(Table::Meta, rows::PREDECESSORS.to_vec(), None);
                open::new_epoch(&*options.entropy)
            }
        };
        identity.epoch = epoch;
        changes.set(
            Table::Meta,
            rows::IDENTITY.to_vec(),
            Some(identity.encode()),
        );
        commit(&store, &changes)?;
    }
    Ok((
        IndexIdentity {
            site: identity.site,
            epoch: identity.epoch,
        },
        progress,
    ))
}

/// Epochs that an index knows as those it succeeds.
const PREDECESSORS_MAX: usize = 64;

/// Changes of the log are applied together until they have so many bytes.
const REPLAY_BYTES_MAX: usize = 8 << 20;

fn apply_log(store: &RedbStore, replay: Replay<'_>) -> Result<(), BackupError> {
    let LogPosition {
        mut number,
        mut hash,
        ..
    } = replay.from;
    let mut changes = Changes::default();
    let mut bytes = 0;
    for entry in replay.entries {
        let entry = entry?;
        if entry.number != number + 1 || entry.before != hash {
            let found = entry.number;
            let reason = format!("entry {found} does not follow entry {number}");
            return Err(BackupError::Log(reason));
        }
        (number, hash) = (entry.number, entry.hash());
        log::decode(&entry.changes, &mut changes)?;
        bytes += entry.changes.len();
        if bytes >= REPLAY_BYTES_MAX {
            commit(store, &changes)?;
            (changes, bytes) = (Changes::default(), 0);
        }
    }
    if !changes.is_empty() {
        commit(store, &changes)?;
    }
    Ok(())
}

fn commit(store: &RedbStore, changes: &Changes) -> Result<(), BackupError> {
    store
        .commit(changes)
        .map_err(|error| BackupError::Open(error.into()))
}

/// Calls `visit` with the rows of each block.
fn read_blocks(
    backup: &Path,
    on_progress: &mut OnProgress<'_>,
    mut visit: impl FnMut(&Changes) -> Result<(), BackupError>,
) -> Result<Progress, BackupError> {
    let failed = |error| match error {
        ReadError::Io(error) => BackupError::File {
            path: backup.to_owned(),
            error,
        },
        ReadError::TooNew(found) => BackupError::TooNew {
            path: backup.to_owned(),
            found,
            newest: super::BACKUP_VERSION,
        },
        ReadError::Damaged(reason) => BackupError::Damaged {
            path: backup.to_owned(),
            reason,
        },
    };
    let file = File::open(backup).map_err(|error| failed(ReadError::Io(error)))?;
    let mut blocks = BlockReader::new(BufReader::new(file)).map_err(failed)?;
    loop {
        let mut rows = Changes::default();
        let more = blocks.block(|table, key, value| {
            rows.set(table, key.to_vec(), Some(value.to_vec()));
        });
        let more = more.map_err(failed)?;
        visit(&rows)?;
        on_progress(blocks.progress());
        if !more {
            return Ok(blocks.progress());
        }
    }
}

//! Snapshots on their way: taken once for all backends that need one.

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use tokio::sync::Mutex;
use weir_index::StoreIndex;
use weir_index::backup::{BackupError, Progress};
use weir_index::log::LogPosition;
use weir_index::store::Store;
use weir_types::clock::{Clock, Timestamp};
use weir_types::index::Index;

/// A snapshot in a file, which goes when nobody needs it any more.
#[derive(Debug)]
pub(super) struct Taken {
    path: PathBuf,
    pub(super) position: LogPosition,
    pub(super) written: Progress,
    /// It holds all that was committed before this time.
    pub(super) taken_at: Timestamp,
}

impl Taken {
    /// Up to `length` bytes from `offset` on.
    pub(super) async fn read(
        self: &Arc<Self>,
        offset: u64,
        length: usize,
    ) -> std::io::Result<Vec<u8>> {
        use std::io::{Read as _, Seek as _, SeekFrom};
        let taken = Arc::clone(self);
        let reading = tokio::task::spawn_blocking(move || {
            let mut file = std::fs::File::open(&taken.path)?;
            file.seek(SeekFrom::Start(offset))?;
            let mut bytes = Vec::with_capacity(length);
            file.take(length as u64).read_to_end(&mut bytes)?;
            Ok(bytes)
        });
        reading.await.map_err(std::io::Error::other)?
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "a shipped snapshot was not removed");
        }
    }
}

/// Makes snapshots.
#[derive(Debug)]
pub(super) struct Snapshots {
    folder: PathBuf,
    latest: Mutex<(u64, Weak<Taken>)>,
}

/// What files in the folder begin with.
const FILE: &str = "snapshot-";

impl Snapshots {
    pub(super) fn in_folder(folder: PathBuf) -> Self {
        Self {
            folder,
            latest: Mutex::default(),
        }
    }

    /// A snapshot at number `at_least` or later, that the log of `index` still goes on from:
    /// the one that another backend is being given, if it will do.
    pub(super) async fn take<S: Store>(
        &self,
        index: &Arc<StoreIndex<S>>,
        clock: &Arc<dyn Clock>,
        at_least: u64,
    ) -> Result<Arc<Taken>, String> {
        let mut latest = self.latest.lock().await;
        let tail = *index.log_tail().borrow();
        let tail = tail.ok_or("the index has no log")?;
        if let Some(taken) = latest.1.upgrade()
            && taken.position.stream == tail.stream
            && taken.position.number >= at_least
            && taken.position.number + 1 >= tail.first
        {
            return Ok(taken);
        }
        if index.is_read_only() {
            return Err("the disk under the index is nearly full: no snapshot is made".into());
        }
        latest.0 += 1;
        let (path, is_first) = (
            self.folder.join(format!("{FILE}{}", latest.0)),
            latest.0 == 1,
        );
        let taken_at = clock.now();
        let index = Arc::clone(index);
        let taking = tokio::task::spawn_blocking(move || {
            let prepared = prepare(&path, is_first);
            prepared.map_err(|error| format!("{}: {error}", path.display()))?;
            let done = index.backup_at(&path, &mut |_| {});
            let (written, position) = done.map_err(|error: BackupError| error.to_string())?;
            let position = position.ok_or("the index has no log")?;
            Ok::<_, String>(Taken {
                path,
                position,
                written,
                taken_at,
            })
        });
        let taken = taking.await.map_err(|error| error.to_string())??;
        let taken = Arc::new(taken);
        latest.1 = Arc::downgrade(&taken);
        Ok(taken)
    }
}

/// Makes the folder of `path`; the first time, removes what an earlier process left in it.
fn prepare(path: &Path, is_first: bool) -> std::io::Result<()> {
    let Some(folder) = path.parent() else {
        return Ok(());
    };
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?;
    if !is_first {
        return Ok(());
    }
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(FILE) {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

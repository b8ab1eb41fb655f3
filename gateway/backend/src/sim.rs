//! A disk that forgets: page cache and platter kept apart, for crash tests.
//!
//! Writes, new names, renames and removals go to the cache. Only a sync carries them to the
//! platter: of a file its bytes, of a folder its names. [`SimFs::crash`] throws the cache
//! away, but, as a real disk may, keeps a random part of what was never synced: any subset
//! of pending changes of names, and of a file any subset of its changed sectors at a random
//! length. A rename between two folders is one change, as on journaling file systems: it is
//! kept or lost as a whole, and a sync of either folder keeps it.
//!
//! A test can have the sync at one named site ignored and must then see data lost.

mod disk;
mod file;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

use crate::fs::layer::{FileLayer, FolderEntry, LayerFile};
use disk::{Disk, Inode};
pub use file::SimFile;

/// A simulated file system, as one run of a process sees it.
///
/// Cheap to clone; clones see the same disk. After [`SimFs::crash`] or [`SimFs::kill`] every
/// handle from before fails with [`io::ErrorKind::BrokenPipe`]: that process is gone.
#[derive(Clone)]
pub struct SimFs {
    shared: Arc<Mutex<Shared>>,
    /// The run that this handle belongs to.
    run: u64,
}

struct Shared {
    disk: Disk,
    run: u64,
    ignored: BTreeSet<&'static str>,
    synced: BTreeSet<&'static str>,
    calls: u64,
    dies_at: Option<u64>,
    bytes_max: Option<u64>,
}

impl Default for SimFs {
    fn default() -> Self {
        Self::new()
    }
}

impl SimFs {
    /// An empty disk.
    pub fn new() -> Self {
        let shared = Shared {
            disk: Disk::default(),
            run: 0,
            ignored: BTreeSet::new(),
            synced: BTreeSet::new(),
            calls: 0,
            dies_at: None,
            bytes_max: None,
        };
        Self {
            shared: Arc::new(Mutex::new(shared)),
            run: 0,
        }
    }

    /// Power loss: what was not synced is lost, or kept in part, as `seed` decides. The new
    /// handle sees what is on the platter; old handles are dead.
    #[must_use]
    pub fn crash(&self, seed: u64) -> Self {
        let mut shared = self.shared.lock();
        shared.disk.crash(seed);
        Self {
            shared: Arc::clone(&self.shared),
            run: shared.next_run(),
        }
    }

    /// The process is killed, the machine stays up: nothing is lost. Old handles are dead.
    #[must_use]
    pub fn kill(&self) -> Self {
        let mut shared = self.shared.lock();
        Self {
            shared: Arc::clone(&self.shared),
            run: shared.next_run(),
        }
    }

    /// From now on the sync at `site` does nothing and says that it did.
    pub fn ignore_sync(&self, site: &'static str) {
        self.shared.lock().ignored.insert(site);
    }

    /// Every site that was synced so far.
    pub fn sites_seen(&self) -> Vec<&'static str> {
        self.shared.lock().synced.iter().copied().collect()
    }

    /// Power goes after `calls` more calls: from then on all fail, until [`SimFs::crash`] or
    /// [`SimFs::kill`].
    pub fn die_after(&self, calls: u64) {
        let mut shared = self.shared.lock();
        shared.dies_at = Some(shared.calls + calls);
    }

    /// Whether the power went.
    pub fn is_dead(&self) -> bool {
        let shared = self.shared.lock();
        shared.run != self.run || shared.has_died()
    }

    /// Bounds the bytes of all files: writes beyond fail as on a full disk. `None`: no bound.
    pub fn set_bytes_max(&self, bytes_max: Option<u64>) {
        self.shared.lock().bytes_max = bytes_max;
    }

    /// Opens a file for random access, making it where needed: for a store that keeps its
    /// own pages. Its name is durable at once.
    pub fn file(&self, path: &str) -> io::Result<SimFile> {
        let mut shared = self.enter()?;
        let inode = shared.disk.open_durable(path)?;
        Ok(SimFile {
            fs: self.clone(),
            inode,
        })
    }

    fn enter(&self) -> io::Result<parking_lot::MutexGuard<'_, Shared>> {
        let mut shared = self.shared.lock();
        shared.calls += 1;
        if shared.run != self.run || shared.has_died() {
            return Err(io::Error::new(
                io::ErrorKind::BrokenPipe,
                "the simulated process is gone",
            ));
        }
        Ok(shared)
    }

    fn sync_file(&self, inode: Inode, site: &'static str) -> io::Result<()> {
        let mut shared = self.enter()?;
        if shared.honours(site) {
            shared.disk.file_mut(inode)?.sync();
        }
        Ok(())
    }
}

impl Shared {
    fn has_died(&self) -> bool {
        self.dies_at.is_some_and(|at| self.calls > at)
    }

    fn next_run(&mut self) -> u64 {
        self.run += 1;
        self.dies_at = None;
        self.run
    }

    fn honours(&mut self, site: &'static str) -> bool {
        self.synced.insert(site);
        !self.ignored.contains(site)
    }

    /// Refuses to let all files together grow by `more`.
    fn reserve(&self, more: u64) -> io::Result<()> {
        match self.bytes_max {
            Some(max) if self.disk.bytes() + more > max => Err(io::ErrorKind::StorageFull.into()),
            _ => Ok(()),
        }
    }
}

impl FileLayer for SimFs {
    fn blocks(&self) -> bool {
        false
    }

    fn create(&self, path: &str) -> io::Result<Box<dyn LayerFile>> {
        let inode = self.enter()?.disk.create(path)?;
        Ok(Box::new(OpenFile {
            fs: self.clone(),
            inode,
        }))
    }

    fn open(&self, path: &str) -> io::Result<Box<dyn LayerFile>> {
        let shared = self.enter()?;
        let inode = shared.disk.find(path)?;
        shared.disk.file(inode)?;
        drop(shared);
        Ok(Box::new(OpenFile {
            fs: self.clone(),
            inode,
        }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.enter()?.disk.rename(from, to)
    }

    fn unlink(&self, path: &str) -> io::Result<()> {
        self.enter()?.disk.unlink(path)
    }

    fn make_folder(&self, path: &str) -> io::Result<()> {
        self.enter()?.disk.make_folder(path)
    }

    fn remove_folder(&self, path: &str) -> io::Result<()> {
        self.enter()?.disk.remove_folder(path)
    }

    fn sync_folder(&self, path: &str, site: &'static str) -> io::Result<()> {
        let mut shared = self.enter()?;
        let honoured = shared.honours(site);
        shared.disk.sync_folder(path, honoured)
    }

    fn read_folder(&self, path: &str) -> io::Result<Vec<FolderEntry>> {
        self.enter()?.disk.read_folder(path)
    }

    fn len(&self, path: &str) -> io::Result<u64> {
        let shared = self.enter()?;
        let inode = shared.disk.find(path)?;
        Ok(shared.disk.file(inode).map_or(0, |file| file.len() as u64))
    }
}

struct OpenFile {
    fs: SimFs,
    inode: Inode,
}

impl LayerFile for OpenFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.fs.enter()?.disk.file(self.inode)?.len() as u64)
    }

    fn allocate(&mut self, until: u64, free: u64) -> io::Result<()> {
        let until = usize::try_from(until).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let mut shared = self.fs.enter()?;
        shared.reserve(free)?;
        shared.disk.file_mut(self.inode)?.allocate(until);
        Ok(())
    }

    fn append(&mut self, chunks: &[Bytes]) -> io::Result<()> {
        let mut shared = self.fs.enter()?;
        for chunk in chunks {
            let file = shared.disk.file(self.inode)?;
            let growth = (file.len() + chunk.len()).saturating_sub(file.room());
            shared.reserve(growth as u64)?;
            let file = shared.disk.file_mut(self.inode)?;
            let end = file.len();
            file.write(end, chunk);
        }
        Ok(())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        Ok(self.fs.enter()?.disk.file(self.inode)?.read(offset, buffer))
    }

    fn sync(&self, site: &'static str) -> io::Result<()> {
        self.fs.sync_file(self.inode, site)
    }
}

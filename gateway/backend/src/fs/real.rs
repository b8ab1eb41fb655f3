//! The file system of the machine.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, IoSlice, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use rustix::fs::{FallocateFlags, FlockOperation};
use rustix::io::Errno;

use super::layer::{FileLayer, FolderEntry, LayerFile};

/// How long opening waits for a process that is just ending to let go of the directory.
const LOCK_WAIT_MAX: Duration = Duration::from_secs(5);
const LOCK_RETRY: Duration = Duration::from_millis(20);

/// A directory, locked for this process while it is open.
#[derive(Debug)]
pub struct RealFs {
    root: PathBuf,
    /// Holds the lock.
    _root_handle: File,
}

impl RealFs {
    /// Opens `root`, making it (durably) where it does not exist, and locks it: a second
    /// process, or a second opening by this one, is refused.
    pub fn open(root: &Path) -> io::Result<Self> {
        make_durable(root, &sync_parent)?;
        let handle = File::open(root)?;
        lock(&handle)?;
        Ok(Self {
            root: root.to_owned(),
            _root_handle: handle,
        })
    }

    fn at(&self, path: &str) -> PathBuf {
        if path.is_empty() {
            self.root.clone()
        } else {
            self.root.join(path)
        }
    }
}

/// Makes `root` and what is above it where it is missing, and sees to it that the names are
/// durable: `sync_parent` of each that was made here, and of the one that was there, which an
/// earlier process may have made and not lived to sync.
fn make_durable(root: &Path, sync_parent: &dyn Fn(&Path) -> io::Result<()>) -> io::Result<()> {
    let named = |path: &&Path| !path.as_os_str().is_empty();
    let mut missing: Vec<&Path> = root.ancestors().take_while(|p| !p.exists()).collect();
    let there = root.ancestors().nth(missing.len());
    match there.filter(named).map(sync_parent) {
        // What cannot be read by us was not made by us.
        Some(Err(e)) if e.kind() != io::ErrorKind::PermissionDenied => return Err(e),
        _ => {}
    }
    while let Some(folder) = missing.pop() {
        if !named(&folder) {
            continue;
        }
        match private_folder(folder) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
            _ => sync_parent(folder)?,
        }
    }
    Ok(())
}

fn private_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(path)
}

fn sync_parent(folder: &Path) -> io::Result<()> {
    match folder.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => File::open(parent)?.sync_all(),
        Some(_) => File::open(".")?.sync_all(),
        // The root of all: nobody made it.
        None => Ok(()),
    }
}

#[allow(clippy::disallowed_methods)] // opening blocks by contract, before there are requests
fn lock(handle: &File) -> io::Result<()> {
    let tries = LOCK_WAIT_MAX.as_millis() / LOCK_RETRY.as_millis();
    for _ in 0..tries {
        match rustix::fs::flock(handle, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(()),
            Err(Errno::WOULDBLOCK) => std::thread::sleep(LOCK_RETRY),
            // Some network file systems have no locks; the owner marker still protects.
            Err(Errno::NOTSUP | Errno::NOLCK) => return Ok(()),
            Err(e) => return Err(e.into()),
        }
    }
    Err(io::Error::new(
        io::ErrorKind::ResourceBusy,
        "the directory is open in another process",
    ))
}

impl FileLayer for RealFs {
    fn blocks(&self) -> bool {
        true
    }

    fn create(&self, path: &str) -> io::Result<Box<dyn LayerFile>> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(self.at(path))?;
        Ok(Box::new(RealFile(file)))
    }

    fn open(&self, path: &str) -> io::Result<Box<dyn LayerFile>> {
        Ok(Box::new(RealFile(File::open(self.at(path))?)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.at(from), self.at(to))
    }

    fn unlink(&self, path: &str) -> io::Result<()> {
        std::fs::remove_file(self.at(path))
    }

    fn make_folder(&self, path: &str) -> io::Result<()> {
        private_folder(&self.at(path))
    }

    fn remove_folder(&self, path: &str) -> io::Result<()> {
        std::fs::remove_dir(self.at(path))
    }

    fn sync_folder(&self, path: &str, _site: &'static str) -> io::Result<()> {
        File::open(self.at(path))?.sync_all()
    }

    fn read_folder(&self, path: &str) -> io::Result<Vec<FolderEntry>> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(self.at(path))? {
            let entry = entry?;
            if let Ok(name) = entry.file_name().into_string() {
                found.push(FolderEntry {
                    name,
                    is_folder: entry.file_type()?.is_dir(),
                });
            }
        }
        Ok(found)
    }

    fn len(&self, path: &str) -> io::Result<u64> {
        Ok(std::fs::metadata(self.at(path))?.len())
    }
}

struct RealFile(File);

impl LayerFile for RealFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn allocate(&mut self, until: u64, free: u64) -> io::Result<()> {
        // A file system hands out what it has before it says that it is too little, and others'
        // writes would fail meanwhile. Those that do not know their size say that it is 0.
        let space = rustix::fs::fstatvfs(&self.0)?;
        if space.f_blocks > 0 && space.f_bavail.saturating_mul(space.f_frsize) < free {
            return Err(io::ErrorKind::StorageFull.into());
        }
        loop {
            match rustix::fs::fallocate(&self.0, FallocateFlags::KEEP_SIZE, 0, until) {
                Err(Errno::INTR) => {}
                Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => return Ok(()),
                Err(e) => return Err(e.into()),
            }
        }
    }

    fn append(&mut self, chunks: &[Bytes]) -> io::Result<()> {
        let mut slices: Vec<IoSlice<'_>> = chunks.iter().map(|c| IoSlice::new(c)).collect();
        let mut rest = &mut slices[..];
        IoSlice::advance_slices(&mut rest, 0);
        while !rest.is_empty() {
            match self.0.write_vectored(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => IoSlice::advance_slices(&mut rest, written),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self
                .0
                .read_at(&mut buffer[filled..], offset + filled as u64)
            {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(filled)
    }

    fn sync(&self, _site: &'static str) -> io::Result<()> {
        // The length is part of what fdatasync makes durable; times are not needed.
        self.0.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::path::Path;

    use super::make_durable;

    /// Opens `folder` below `base`; answers the names that were made durable, in order.
    fn synced(base: &Path, folder: &str) -> Vec<String> {
        let seen = RefCell::new(Vec::new());
        let sync_parent = |path: &Path| {
            assert!(
                path.exists(),
                "{}: made before it is synced",
                path.display()
            );
            let name = path.file_name().unwrap_or_default();
            seen.borrow_mut().push(name.to_string_lossy().into_owned());
            Ok(())
        };
        make_durable(&base.join(folder), &sync_parent).expect("made");
        seen.into_inner()
    }

    #[test]
    fn the_names_of_folders_are_made_durable_whoever_made_them() {
        let base = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(base.path().join("a")).expect("made by an earlier process");
        assert_eq!(synced(base.path(), "a/b/c"), ["a", "b", "c"]);
        assert_eq!(synced(base.path(), "a/b/c"), ["c"]);
        assert_eq!(synced(base.path(), "a/b"), ["b"]);
    }
}

//! The seam beneath a directory backend: what it asks of a file system.
//!
//! Calls block. Paths are relative to the backend's directory, have `/` between names, and
//! are made by `super::layout` alone. Every call that makes something durable names its
//! *site*, so that a simulated disk can be told to skip it and a test can show that data is
//! lost then.

use std::io;

use bytes::Bytes;

/// A folder tree on which files are written once, renamed into place and read.
pub trait FileLayer: Send + Sync + 'static {
    /// Whether calls may wait for a device, and so must not run on an async thread.
    fn blocks(&self) -> bool;

    /// Makes a new empty file for writing and reading; an existing one is an error.
    fn create(&self, path: &str) -> io::Result<Box<dyn LayerFile>>;

    /// Opens a file for reading.
    fn open(&self, path: &str) -> io::Result<Box<dyn LayerFile>>;

    /// Moves a file or folder atomically: a crash leaves it under one of the names. A file
    /// takes the place of an existing file; a folder does not take the place of a full one.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file.
    fn unlink(&self, path: &str) -> io::Result<()>;

    /// Makes a folder; an existing one is an error.
    fn make_folder(&self, path: &str) -> io::Result<()>;

    /// Removes an empty folder.
    fn remove_folder(&self, path: &str) -> io::Result<()>;

    /// Makes every change of names in this folder durable. `""` is the root.
    fn sync_folder(&self, path: &str, site: &'static str) -> io::Result<()>;

    /// Names in a folder, in no order.
    fn read_folder(&self, path: &str) -> io::Result<Vec<FolderEntry>>;

    /// Length of a file in bytes.
    fn len(&self, path: &str) -> io::Result<u64>;
}

/// A name in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderEntry {
    /// The name. Names that are not UTF-8 are left out: none of ours is like that.
    pub name: String,
    /// Whether it is a folder.
    pub is_folder: bool,
}

/// An open file.
pub trait LayerFile: Send + Sync + 'static {
    /// Length in bytes.
    fn len(&self) -> io::Result<u64>;

    /// Whether it has no bytes.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Sets room aside up to `until`, counted from the start; length and content stay as they
    /// are. Fails when fewer than `free` bytes are free, and succeeds where the file system
    /// knows no such thing. Makes nothing durable.
    fn allocate(&mut self, until: u64, free: u64) -> io::Result<()>;

    /// Writes all chunks at the end.
    fn append(&mut self, chunks: &[Bytes]) -> io::Result<()>;

    /// Reads at `offset`; fewer bytes than asked for only at the end.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Makes the content durable (not the name).
    fn sync(&self, site: &'static str) -> io::Result<()>;
}

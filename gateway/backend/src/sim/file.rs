//! A file of the simulated disk for random access.

use std::io;

use super::SimFs;
use super::disk::Inode;

/// A file that a store keeps its own pages in, with the crash semantics of [`SimFs`].
#[derive(Clone)]
pub struct SimFile {
    pub(super) fs: SimFs,
    pub(super) inode: Inode,
}

impl std::fmt::Debug for SimFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SimFile")
            .field("inode", &self.inode)
            .finish_non_exhaustive()
    }
}

impl SimFile {
    /// Length in bytes.
    pub fn len(&self) -> io::Result<u64> {
        Ok(self.fs.enter()?.disk.file(self.inode)?.len() as u64)
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Fills `buffer` from `offset` on; [`io::ErrorKind::UnexpectedEof`] past the end.
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let read = self.fs.enter()?.disk.file(self.inode)?.read(offset, buffer);
        if read < buffer.len() {
            Err(io::ErrorKind::UnexpectedEof.into())
        } else {
            Ok(())
        }
    }

    /// Writes at `offset`, growing the file where needed. Not durable before a sync.
    pub fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let offset = to_usize(offset)?;
        let mut shared = self.fs.enter()?;
        let room = shared.disk.file(self.inode)?.room();
        let growth = (offset + bytes.len()).saturating_sub(room);
        shared.reserve(growth as u64)?;
        shared.disk.file_mut(self.inode)?.write(offset, bytes);
        Ok(())
    }

    /// Cuts or grows (with zeros) the file. Not durable before a sync.
    pub fn set_len(&self, len: u64) -> io::Result<()> {
        let len = to_usize(len)?;
        let mut shared = self.fs.enter()?;
        let growth = len.saturating_sub(shared.disk.file(self.inode)?.room());
        shared.reserve(growth as u64)?;
        shared.disk.file_mut(self.inode)?.set_len(len);
        Ok(())
    }

    /// Makes content and length durable; `site` names the call (see [`SimFs::ignore_sync`]).
    pub fn sync(&self, site: &'static str) -> io::Result<()> {
        self.fs.sync_file(self.inode, site)
    }
}

fn to_usize(number: u64) -> io::Result<usize> {
    usize::try_from(number).map_err(|_| io::ErrorKind::FileTooLarge.into())
}

//! The guard against a full disk under the index.

use std::path::PathBuf;
use std::sync::Arc;

/// Tells how much room there is.
pub trait FreeSpace: Send + Sync + 'static {
    /// Bytes that an unprivileged process may still write.
    fn free_bytes(&self) -> u64;
}

/// Room on the file system that holds a path.
#[derive(Debug, Clone)]
pub struct DiskSpace(pub PathBuf);

impl FreeSpace for DiskSpace {
    /// One system call. A file system that does not answer counts as having room: a write that
    /// then fails ends the process, a guess here would stop writes for nothing.
    fn free_bytes(&self) -> u64 {
        match rustix::fs::statvfs(&self.0) {
            Ok(stat) => stat.f_bavail.saturating_mul(stat.f_frsize),
            Err(error) => {
                tracing::warn!(path = %self.0.display(), %error, "free space is unknown");
                u64::MAX
            }
        }
    }
}

/// Compares free space with what must stay free.
pub(crate) struct SpaceGuard {
    free_space: Option<Arc<dyn FreeSpace>>,
    free_bytes_min: u64,
}

impl SpaceGuard {
    /// Guards `free_bytes_min` bytes; without a `free_space` there is always room.
    pub(crate) fn new(free_space: Option<Arc<dyn FreeSpace>>, free_bytes_min: u64) -> Self {
        Self {
            free_space,
            free_bytes_min,
        }
    }

    /// Whether too little is free.
    pub(crate) fn is_low(&self) -> bool {
        self.free_space
            .as_ref()
            .is_some_and(|space| space.free_bytes() < self.free_bytes_min)
    }
}

//! Memory for XML bodies, shared by all requests.

use tokio::sync::{Semaphore, SemaphorePermit, TryAcquireError};
use weir_types::{Error, ErrorCode};

/// Bodies up to this are held whatever happens: connections bound their number.
const FREE_BYTES_MAX: usize = 64 * 1024;
/// What one permit stands for.
const UNIT_BYTES: usize = 1024;

/// Room for XML bodies. Who finds none is told to come back, and nobody waits in line with a
/// body half read.
#[derive(Debug)]
pub(crate) struct Room(Semaphore);

impl Room {
    /// Room for so many bytes.
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self(Semaphore::new(
            (bytes_max / UNIT_BYTES).min(Semaphore::MAX_PERMITS),
        ))
    }

    /// Takes room for a body of `bytes`, given back when the permit is dropped; `None` for a
    /// body that is small enough to need none.
    pub(crate) fn take(&self, bytes: usize) -> Result<Option<SemaphorePermit<'_>>, Error> {
        if bytes <= FREE_BYTES_MAX {
            return Ok(None);
        }
        let units = u32::try_from(bytes.div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX);
        match self.0.try_acquire_many(units) {
            Ok(permit) => Ok(Some(permit)),
            Err(TryAcquireError::NoPermits | TryAcquireError::Closed) => {
                Err(ErrorCode::SlowDown.into())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_bodies_share_what_there_is() {
        let room = Room::new(1024 * 1024);
        let first = room.take(600 * 1024).expect("room");
        let second = room.take(600 * 1024).map(drop).map_err(|e| e.code);
        assert_eq!(second, Err(ErrorCode::SlowDown));
        assert!(room.take(FREE_BYTES_MAX).expect("small").is_none());
        drop(first);
        assert!(room.take(600 * 1024).expect("room again").is_some());
    }
}

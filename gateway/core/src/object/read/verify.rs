//! Verifies one copy: all of it, at this copy and no other, in pieces.
//!
//! What a copy is worth is judged in one way, whoever asks: it has the blob's length, each of
//! its blocks has the CRC32C that was recorded, and all of it the MD5 where one was recorded.

use std::ops::Range;
use std::sync::Arc;

use futures_util::StreamExt;
use md5::{Digest as _, Md5};
use parking_lot::Mutex;
use tokio::time::timeout;
use weir_types::Error;
use weir_types::backend::{BackendError, BackendErrorKind};
use weir_types::error::ErrorCode;
use weir_types::record::{BlobRecord, CopyRecord};

use super::layout::Layout;
use super::lease::Lease;
use super::{BLOCK_MAX, BlobReader};
use crate::gateway::Gateway;
use crate::observe::OperationClass;

/// Where a reader that judges a copy leaves the last error that it met.
pub(super) type Judged = Arc<Mutex<Option<BackendError>>>;

/// Why a copy was not found right.
#[derive(Debug)]
pub(crate) enum Fault {
    /// It is not there, or is not what was stored.
    Wrong(BackendError),
    /// It could not be reached, which says nothing about it.
    Unreachable(BackendError),
    /// The index did not say what it should be.
    Unknown(Error),
}

/// A copy that is being verified. Its bytes, and its blob, stay until this is dropped.
///
/// Nothing is marked in the index, and how long the backend takes does not count as what
/// clients' reads take.
pub(crate) struct Verification {
    gateway: Arc<Gateway>,
    /// With this one copy.
    blob: BlobRecord,
    copy: CopyRecord,
    layout: Layout,
    /// The first byte that is not verified.
    at: u64,
    md5: Option<Md5>,
    is_over: bool,
    _lease: Lease,
}

impl Verification {
    /// Begins with nothing verified. `blob` was live a moment ago, so that its clean-up, if it
    /// has died since, is not due before this holds a lease.
    pub(crate) fn begin(gateway: &Arc<Gateway>, blob: &BlobRecord, copy: &CopyRecord) -> Self {
        let blob = BlobRecord {
            copies: vec![copy.clone()],
            ..blob.clone()
        };
        Self {
            _lease: Lease::take(gateway, blob.blob),
            gateway: Arc::clone(gateway),
            layout: Layout::of(&blob),
            copy: copy.clone(),
            at: 0,
            md5: blob.md5.map(|_| Md5::new()),
            is_over: false,
            blob,
        }
    }

    /// Length of the next piece: whole blocks, at least one, of not more than `bytes_max`
    /// unless a block is. `None` when all of the copy was found right; an empty one has one
    /// piece of no bytes.
    pub(crate) fn next_bytes(&self, bytes_max: u64) -> Option<u64> {
        let range = self.next_range(bytes_max);
        (!self.is_over).then_some(range.end - range.start)
    }

    fn next_range(&self, bytes_max: u64) -> Range<u64> {
        let mut end = self.at;
        if bytes_max >= self.blob.size - self.at {
            end = self.blob.size;
        }
        while end < self.blob.size {
            let block = self.layout.block_at(end);
            if end > self.at && block.end - self.at > bytes_max {
                break;
            }
            end = block.end;
        }
        self.at..end
    }

    /// Reads the next piece, whose length is as [`Verification::next_bytes`] says. After a
    /// fault nothing more is to be learned. Ends by itself when the backend is silent.
    pub(crate) async fn next(&mut self, bytes_max: u64) -> Result<(), Fault> {
        if self.blob.size == 0 {
            self.is_over = true;
            return self.require_size().await;
        }
        let range = self.next_range(bytes_max);
        let judged = Judged::default();
        if let Err(error) = self.read(range.clone(), &judged).await {
            let met = judged.lock().take();
            return Err(self.fault(met, error).await);
        }
        self.at = range.end;
        self.is_over = self.at == self.blob.size;
        let whole = self.md5.take_if(|_| self.is_over);
        match (
            whole.map(|md5| <[u8; 16]>::from(md5.finalize())),
            self.blob.md5,
        ) {
            (Some(found), Some(recorded)) if found != recorded => Err(wrong("it has another MD5")),
            _ => Ok(()),
        }
    }

    async fn read(&mut self, range: Range<u64>, judged: &Judged) -> Result<(), Error> {
        let blob = self.blob.clone();
        let mut reader = BlobReader::new(&self.gateway, blob, range, &[], Arc::default());
        reader.block_within = Some(BLOCK_MAX);
        reader.fails_over = false;
        reader.judged = Some(Arc::clone(judged));
        let mut verified = Box::new(reader).open_stream().await?;
        while let Some(chunk) = verified.next().await {
            let chunk = chunk?;
            if let Some(md5) = &mut self.md5 {
                md5.update(&chunk);
            }
        }
        Ok(())
    }

    async fn fault(&self, met: Option<BackendError>, error: Error) -> Fault {
        match met {
            None => Fault::Unknown(error),
            Some(met) => match met.kind {
                BackendErrorKind::NotFound | BackendErrorKind::Corrupt => Fault::Wrong(met),
                // A range beyond the end of what lies there is refused, for one.
                BackendErrorKind::Rejected => match self.require_size().await {
                    Err(fault) => fault,
                    Ok(()) => Fault::Unreachable(met),
                },
                _ => Fault::Unreachable(met),
            },
        }
    }

    /// Asks the backend for the length of what lies there.
    async fn require_size(&self) -> Result<(), Fault> {
        let Some(handle) = self.gateway.backends.get(&self.copy.backend) else {
            return Err(Fault::Unknown(ErrorCode::InternalError.into()));
        };
        let head = handle.backend().head(&self.copy.key);
        let head = handle.call_aside("head", OperationClass::Read, head);
        match timeout(BLOCK_MAX, head).await {
            Ok(Ok(Some(stored))) if stored.size == self.blob.size => Ok(()),
            Ok(Ok(Some(_))) => Err(wrong("it has another length")),
            Ok(Ok(None)) => {
                let missing = BackendError::new(BackendErrorKind::NotFound, "it is not there");
                Err(Fault::Wrong(missing))
            }
            Ok(Err(error)) => Err(Fault::Unreachable(error)),
            Err(_elapsed) => Err(Fault::Unreachable(super::silent())),
        }
    }
}

fn wrong(what: &str) -> Fault {
    Fault::Wrong(BackendError::new(BackendErrorKind::Corrupt, what))
}

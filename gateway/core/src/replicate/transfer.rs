//! Carrying a blob's bytes from its good copies to a further backend.

use std::ops::Range;
use std::sync::Arc;

use weir_types::Error;
use weir_types::backend::{BackendError, BackendErrorKind, BackendPart, Stored};
use weir_types::body::PutStream;
use weir_types::id::PartNumber;
use weir_types::index::Mutation;
use weir_types::record::{BLOCK_BYTES, BlobRecord, Intent};

use super::job::Job;
use crate::backends::BackendHandle;
use crate::ingest::Ingest;
use crate::object::read::incoming;
use crate::observe::OperationClass;

/// Pieces that a large blob of one segment is cut into, unless they would be too many.
const PIECE_BYTES: u64 = 1024 * 1024 * 1024;

/// How often one part is sent before the whole transfer is given up.
const PART_TRIES: u32 = 3;

/// A blob whose bytes are on their way: its first block has been read and verified.
pub(super) struct Opened {
    pieces: Vec<(PartNumber, Range<u64>)>,
    first: PutStream,
}

impl Job {
    /// Opens the blob at a copy that can be read. Comes before the intent, so that a blob
    /// that cannot be read leaves no traces at any target.
    pub(super) async fn open(&self, blob: &BlobRecord) -> Result<Opened, BackendError> {
        let pieces = pieces(blob, self.gateway.settings.put_bytes_max);
        let first = match pieces.as_slice() {
            [(_, range), _, ..] => self.verified(blob, range.clone(), None).await?,
            _ => self.verified(blob, 0..blob.size, blob.md5).await?,
        };
        Ok(Opened { pieces, first })
    }

    /// Stores the blob's bytes under the intent's key. Each block is verified on the way, and
    /// the whole against its MD5 where that is known; the target never gets a complete body
    /// that failed.
    pub(super) async fn transfer(
        &self,
        blob: &BlobRecord,
        opened: Opened,
        intent: &Intent,
        handle: &Arc<BackendHandle>,
    ) -> Result<Stored, BackendError> {
        if opened.pieces.len() > 1 {
            let stored = Box::pin(self.send_pieces(blob, opened, intent, handle)).await?;
            handle.require(&stored, blob.size, None)?;
            return Ok(stored);
        }
        let put = handle.backend().put(&intent.key, blob.size, opened.first);
        let stored = handle.call("put", OperationClass::Write, put).await?;
        handle.require(&stored, blob.size, blob.md5.as_ref())?;
        Ok(stored)
    }

    async fn send_pieces(
        &self,
        blob: &BlobRecord,
        opened: Opened,
        intent: &Intent,
        handle: &Arc<BackendHandle>,
    ) -> Result<Stored, BackendError> {
        let Self { gateway, .. } = self;
        let create = handle.backend().create_upload(&intent.key);
        let upload = handle
            .call("create_upload", OperationClass::Write, create)
            .await?;
        gateway.crash.pass("replicate:upload-begun").await;
        let note = Mutation::SetBackendUpload {
            intent: intent.intent,
            backend_upload: upload.clone(),
        };
        // Not written down, it is found by its key when the intent is discarded.
        gateway.apply(note).await.map_err(BackendError::source)?;
        gateway.crash.pass("replicate:upload-noted").await;
        let Opened { pieces, first } = opened;
        let mut first = Some(first);
        let mut parts = Vec::with_capacity(pieces.len());
        for (number, range) in pieces {
            let size = range.end - range.start;
            let body = match first.take() {
                Some(body) => body,
                None => self.verified(blob, range.clone(), None).await?,
            };
            let target = (handle, intent, upload.as_str());
            let stored = self.send_part(blob, body, target, (number, range)).await?;
            handle.require(&stored, size, None)?;
            parts.push(BackendPart {
                number,
                size,
                etag: stored.etag,
            });
            gateway.crash.pass("replicate:part-written").await;
        }
        let complete = handle
            .backend()
            .complete_upload(&intent.key, &upload, &parts);
        let stored = handle
            .call("complete_upload", OperationClass::Write, complete)
            .await?;
        gateway.crash.pass("replicate:assembled").await;
        Ok(stored)
    }

    /// Sends one part; a connection that breaks costs that part and not those before it.
    async fn send_part(
        &self,
        blob: &BlobRecord,
        mut body: PutStream,
        (handle, intent, upload): (&Arc<BackendHandle>, &Intent, &str),
        (number, range): (PartNumber, Range<u64>),
    ) -> Result<Stored, BackendError> {
        let size = range.end - range.start;
        let mut tries = 1;
        loop {
            let put = handle
                .backend()
                .put_part(&intent.key, upload, number, size, body);
            match handle.call("put_part", OperationClass::Write, put).await {
                Err(error) if error.kind == BackendErrorKind::Unavailable && tries < PART_TRIES => {
                    tries += 1;
                    body = self.verified(blob, range.clone(), None).await?;
                }
                result => return result,
            }
        }
    }

    /// A range of the blob as a body that ends in an error unless all of it was right.
    async fn verified(
        &self,
        blob: &BlobRecord,
        range: Range<u64>,
        md5: Option<[u8; 16]>,
    ) -> Result<PutStream, BackendError> {
        let size = range.end - range.start;
        let opened = self.gateway.read_blob_briskly(blob.clone(), range);
        let stream = opened
            .await
            .map_err(|error: Error| BackendError::source(error))?;
        let Some(md5) = md5 else { return Ok(stream) };
        let mut body = incoming(stream, size, None);
        body.expected.md5 = Some(md5);
        Ok(Ingest::new(body).into_stream().0)
    }
}

/// Believes only an answer that fits what was sent; the breaker learns of any other.
/// How a blob travels: whole, or in the parts it was uploaded in, or, when it is too large for
/// one put, cut at blocks' edges.
fn pieces(blob: &BlobRecord, put_bytes_max: u64) -> Vec<(PartNumber, Range<u64>)> {
    let mut at = 0;
    let mut next = |bytes: u64| {
        let range = at..at + bytes;
        at += bytes;
        range
    };
    if blob.segments.len() > 1 {
        return blob
            .segments
            .iter()
            .map(|(number, bytes)| (*number, next(*bytes)))
            .collect();
    }
    if blob.size <= put_bytes_max {
        return vec![(PartNumber::FIRST, 0..blob.size)];
    }
    let piece = PIECE_BYTES
        .min(put_bytes_max)
        .max(blob.size.div_ceil(u64::from(PartNumber::MAX)));
    let piece = piece.next_multiple_of(BLOCK_BYTES);
    let count = u16::try_from(blob.size.div_ceil(piece)).unwrap_or(PartNumber::MAX);
    let numbers = (1..=count).filter_map(|number| PartNumber::new(number).ok());
    let mut left = blob.size;
    numbers
        .map(|number| {
            let bytes = piece.min(left);
            left -= bytes;
            (number, next(bytes))
        })
        .collect()
}

#[cfg(test)]
mod tests;

//! Reads a blob: block by block, verified, from whichever copy is alive.
//!
//! A block leaves here only after its CRC32C was found right, so a failing copy can be
//! replaced by another at the block's edge, in the middle of a client's download, without a
//! wrong or doubled byte.

mod choice;
mod layout;
mod lease;
pub(crate) mod park;
mod route;
pub(crate) mod verify;

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use tokio::time::timeout;
use weir_types::backend::{BackendError, BackendErrorKind, Fetched};
use weir_types::body::{
    ExpectedChecksum, ExpectedDigests, Frame, GetStream, IncomingBody, ReplyStream,
};
use weir_types::error::ErrorCode;
use weir_types::id::BackendId;
use weir_types::index::Mutation;
use weir_types::record::{BlobRecord, CopyRecord, CopyState};
use weir_types::{Error, Result};

use crate::backends::BackendHandle;
use crate::gateway::{Gateway, index_error};
use crate::ingest::{crc32c, finish_crc32c};
use crate::observe::{OperationClass, Trace};

pub(crate) use route::ReadScope;

use choice::Choice;
use layout::{Block, Layout};
use lease::Lease;
use park::Parkable;
use verify::Judged;

/// How long a copy may take to give the background a block of 256 KiB: about 4 KiB/s.
const BLOCK_MAX: Duration = Duration::from_secs(60);

/// CRCs are read from the index for so many blocks at a time: 16 MiB of data.
const CRCS_AT_ONCE: usize = 64;

impl Gateway {
    /// Opens `range` of a blob. The first block has been fetched and verified when this
    /// returns, so a blob that cannot be read at all is an error here and not a cut stream.
    ///
    /// The stream holds a lease: the blob's bytes stay until it is dropped. After the first
    /// block it fails over between copies as long as one is left, then ends in an error.
    /// While nobody takes its bytes its backend has its connection back.
    pub(crate) async fn read_blob(
        self: &Arc<Self>,
        blob: BlobRecord,
        range: Range<u64>,
        trace: Arc<Trace>,
    ) -> Result<ReplyStream> {
        self.read_blob_by(blob, range, &[], trace).await
    }

    /// The same with the copies of `route` tried first, in its order, as far as nothing speaks
    /// against them.
    pub(crate) async fn read_blob_by(
        self: &Arc<Self>,
        blob: BlobRecord,
        range: Range<u64>,
        route: &[BackendId],
        trace: Arc<Trace>,
    ) -> Result<ReplyStream> {
        if range.is_empty() {
            return Ok(stream::empty().boxed());
        }
        Box::new(BlobReader::new(self, blob, range, route, trace))
            .open_stream()
            .await
    }

    /// The same for the background, which has few hands: a copy that does not give a block
    /// within [`BLOCK_MAX`] is given up for another.
    pub(crate) async fn read_blob_briskly(
        self: &Arc<Self>,
        blob: BlobRecord,
        range: Range<u64>,
    ) -> Result<ReplyStream> {
        if range.is_empty() {
            return Ok(stream::empty().boxed());
        }
        let mut reader = BlobReader::new(self, blob, range, &[], Arc::default());
        reader.block_within = Some(BLOCK_MAX);
        Box::new(reader).open_stream().await
    }
}

/// A stored stream as a body that can be taken in again.
pub(crate) fn incoming(
    stream: ReplyStream,
    size: u64,
    checksum: Option<ExpectedChecksum>,
) -> IncomingBody {
    IncomingBody {
        size,
        expected: ExpectedDigests {
            md5: None,
            checksum,
        },
        frames: stream.map(|item| item.map(Frame::Data)).boxed(),
    }
}

struct BlobReader {
    gateway: Arc<Gateway>,
    blob: BlobRecord,
    layout: Layout,
    trace: Arc<Trace>,
    choice: Choice,
    /// The bytes the client gets.
    emit: Range<u64>,
    /// The next byte to fetch, and where fetching ends: `emit`, widened to whole blocks in
    /// strict mode.
    fetch: Range<u64>,
    source: Option<Source>,
    /// Verified chunks on their way out; at most one block.
    ready: VecDeque<Bytes>,
    crcs: CrcWindow,
    failed: bool,
    /// The index was asked for copies that were not known when the read began, since the last
    /// block arrived.
    asked_again: bool,
    /// Whether copies that were not known when the read began may serve it.
    fails_over: bool,
    /// How long a copy may take for one block.
    block_within: Option<Duration>,
    /// Where errors go when it is for the caller to judge the copy.
    judged: Option<Judged>,
    _lease: Lease,
}

/// An open read at one copy.
struct Source {
    copy: CopyRecord,
    body: Parkable,
    /// The rest of a chunk that reached beyond the block's edge.
    left: Bytes,
}

/// CRCs of consecutive blocks of one segment.
#[derive(Default)]
struct CrcWindow {
    segment: usize,
    first: u64,
    crcs: Vec<u32>,
}

impl BlobReader {
    fn new(
        gateway: &Arc<Gateway>,
        blob: BlobRecord,
        emit: Range<u64>,
        route: &[BackendId],
        trace: Arc<Trace>,
    ) -> Self {
        let lease = Lease::take(gateway, blob.blob);
        let layout = Layout::of(&blob);
        let fetch = if gateway.settings.verify_partial_blocks {
            layout.block_at(emit.start).start..layout.block_at(emit.end - 1).end
        } else {
            emit.clone()
        };
        Self {
            choice: Choice::among(gateway, &blob.copies, route),
            gateway: Arc::clone(gateway),
            layout,
            blob,
            trace,
            emit,
            fetch,
            source: None,
            ready: VecDeque::new(),
            crcs: CrcWindow::default(),
            failed: false,
            asked_again: false,
            fails_over: true,
            block_within: None,
            judged: None,
            _lease: lease,
        }
    }

    async fn open_stream(mut self: Box<Self>) -> Result<ReplyStream> {
        self.fill().await?;
        Ok(stream::unfold(self, |mut reader| async move {
            let item = reader.next().await?;
            Some((item, reader))
        })
        .boxed())
    }

    async fn next(&mut self) -> Option<Result<Bytes>> {
        loop {
            if let Some(chunk) = self.ready.pop_front() {
                return Some(Ok(chunk));
            }
            if self.failed || self.fetch.is_empty() {
                return None;
            }
            if let Err(error) = self.fill().await {
                self.failed = true;
                return Some(Err(error));
            }
        }
    }

    /// Fetches and verifies the next block, or the part of it that is wanted.
    async fn fill(&mut self) -> Result<()> {
        let block = self.layout.block_at(self.fetch.start);
        let until = block.end.min(self.fetch.end);
        let whole = self.fetch.start == block.start && until == block.end;
        let crc = if whole {
            Some(self.crc_of(&block).await?)
        } else {
            None
        };
        loop {
            let source = match self.source.take() {
                Some(source) => source,
                None => self.open().await?,
            };
            let length = until - self.fetch.start;
            let taken = match self.block_within {
                None => take_block(source, length, crc).await,
                Some(limit) => {
                    let copy = source.copy.clone();
                    match timeout(limit, take_block(source, length, crc)).await {
                        Ok(taken) => taken,
                        Err(_elapsed) => {
                            self.give_up(&copy, &silent());
                            continue;
                        }
                    }
                }
            };
            match taken {
                Ok((source, chunks)) => {
                    self.queue(chunks, self.fetch.start);
                    self.fetch.start = until;
                    self.choice.got_on();
                    self.asked_again = false;
                    // At the end the backend is free at once, however slow the client is.
                    self.source = (!self.fetch.is_empty()).then_some(source);
                    return Ok(());
                }
                Err((source, _)) if source.body.is_parked() => self.choice.resume(),
                Err((source, error)) => self.give_up(&source.copy, &error),
            }
        }
    }

    /// Puts a block's chunks on their way, without what strict mode read beyond the range.
    fn queue(&mut self, chunks: Vec<Bytes>, mut at: u64) {
        for mut chunk in chunks {
            let length = chunk.len() as u64;
            let from = self.emit.start.clamp(at, at + length) - at;
            let until = self.emit.end.clamp(at, at + length) - at;
            at += length;
            if from < until {
                let bounds = "a position within a chunk fits into memory";
                let from = usize::try_from(from).expect(bounds);
                let until = usize::try_from(until).expect(bounds);
                chunk = chunk.slice(from..until);
                self.ready.push_back(chunk);
            }
        }
    }

    /// Opens the rest of the range at the next copy that answers.
    async fn open(&mut self) -> Result<Source> {
        while let Some(copy) = self.next_copy().await? {
            let Some(handle) = self.gateway.backends.get(&copy.backend) else {
                continue;
            };
            self.trace.attempt(handle.id());
            let whole = self.fetch == (0..self.blob.size);
            let range = (!whole).then(|| self.fetch.clone());
            let get = handle.backend().get(&copy.key, range);
            let opened = match self.judged {
                None => handle.call("get", OperationClass::Read, get).await,
                Some(_) => ask_aside(handle, get).await,
            };
            match opened {
                Ok(Fetched { size, body, .. }) if size == self.blob.size => {
                    return Ok(Source {
                        copy,
                        body: self.in_care(body),
                        left: Bytes::new(),
                    });
                }
                Ok(other) => {
                    let found = format!("{} bytes instead of {}", other.size, self.blob.size);
                    self.give_up(&copy, &BackendError::new(BackendErrorKind::Corrupt, found));
                }
                // The call has told the breaker already.
                Err(error) => self.note(&copy, &error),
            }
        }
        tracing::error!(blob = %self.blob.blob, "no copy could be read");
        Err(Error::new(
            ErrorCode::ServiceUnavailable,
            "No copy of the object can be read now; retry later.",
        ))
    }

    /// A read of one block is over before its client gets the first byte.
    fn in_care(&self, body: GetStream) -> Parkable {
        if self.layout.block_at(self.emit.start).end >= self.emit.end {
            Parkable::Free(body)
        } else {
            self.gateway.parking.hold(body)
        }
    }

    /// The next copy to ask. When all that were known have failed, those that were made since:
    /// a long read may outlive every copy it began with.
    async fn next_copy(&mut self) -> Result<Option<CopyRecord>> {
        if let Some(copy) = self.choice.next() {
            return Ok(Some(copy));
        }
        if !self.fails_over || std::mem::replace(&mut self.asked_again, true) {
            return Ok(None);
        }
        let now = self.gateway.index.blob(self.blob.blob).await;
        let Some(now) = now.map_err(index_error)? else {
            return Ok(None);
        };
        let known = std::mem::replace(&mut self.blob.copies, now.copies);
        let is_new = |copy: &&CopyRecord| {
            let same = |k: &CopyRecord| (&k.backend, k.attempt) == (&copy.backend, copy.attempt);
            !known.iter().any(same)
        };
        let new: Vec<_> = self.blob.copies.iter().filter(is_new).cloned().collect();
        self.choice = Choice::among(&self.gateway, &new, &[]);
        Ok(self.choice.next())
    }

    /// A copy failed after it had been opened.
    fn give_up(&mut self, copy: &CopyRecord, error: &BackendError) {
        // Rot in what nobody reads, found by looking for it, keeps no client away.
        let sought = self.judged.is_some() && error.kind == BackendErrorKind::Corrupt;
        let handle = self.gateway.backends.get(&copy.backend);
        if let Some(handle) = handle.filter(|_| !sought) {
            handle.learn(OperationClass::Read, Some(error));
        }
        self.note(copy, error);
    }

    /// Says what happened; a copy that is missing or wrong becomes suspect.
    fn note(&mut self, copy: &CopyRecord, error: &BackendError) {
        tracing::warn!(blob = %self.blob.blob, backend = %copy.backend, %error, "a copy failed a read");
        let wrong = matches!(
            error.kind,
            BackendErrorKind::NotFound | BackendErrorKind::Corrupt
        );
        if let Some(judged) = &self.judged {
            *judged.lock() = Some(error.clone());
        }
        if !wrong {
            return;
        }
        self.choice.drop_copy(copy);
        if copy.state == CopyState::Suspect || self.judged.is_some() {
            return;
        }
        let gateway = Arc::clone(&self.gateway);
        let mark = Mutation::MarkCopy {
            blob: self.blob.blob,
            backend: copy.backend.clone(),
            attempt: copy.attempt,
            state: CopyState::Suspect,
            now: gateway.now(),
        };
        tokio::spawn(async move {
            if let Err(error) = gateway.index.apply(mark).await {
                tracing::warn!(%error, "a suspect copy could not be marked");
            }
        });
    }

    async fn crc_of(&mut self, block: &Block) -> Result<u32> {
        if let Some(crcs) = &self.blob.inline_crcs {
            return pick(crcs, block.index);
        }
        let window = &self.crcs;
        let known = window.first..window.first + window.crcs.len() as u64;
        if window.segment != block.segment || !known.contains(&block.index) {
            let number = self.layout.number(block.segment);
            let crcs = self
                .gateway
                .index
                .crcs(self.blob.blob, number, block.index, CRCS_AT_ONCE);
            let crcs = crcs.await.map_err(index_error)?;
            self.crcs = CrcWindow {
                segment: block.segment,
                first: block.index,
                crcs,
            };
        }
        pick(&self.crcs.crcs, block.index - self.crcs.first)
    }
}

/// Asks for bytes of a copy that is judged: it has only so long to answer, and what it takes is
/// no measure of clients' reads.
async fn ask_aside(
    handle: &BackendHandle,
    get: impl Future<Output = Result<Fetched, BackendError>>,
) -> Result<Fetched, BackendError> {
    let call = handle.call_aside("get", OperationClass::Read, get);
    let answer = timeout(BLOCK_MAX, call).await;
    answer.unwrap_or_else(|_elapsed| Err(silent()))
}

/// A copy gave nothing for too long.
fn silent() -> BackendError {
    let message = "a block did not come in time";
    BackendError::new(BackendErrorKind::Unavailable, message)
}

fn pick(crcs: &[u32], index: u64) -> Result<u32> {
    let found = usize::try_from(index).ok().and_then(|i| crcs.get(i));
    found.copied().ok_or_else(|| {
        tracing::error!(index, "the index has no CRC for a block");
        ErrorCode::InternalError.into()
    })
}

/// Takes exactly `length` bytes from a source and checks them against `crc`.
async fn take_block(
    mut source: Source,
    length: u64,
    crc: Option<u32>,
) -> Result<(Source, Vec<Bytes>), (Source, BackendError)> {
    let mut digest = crc.map(|_| crc32c());
    let mut chunks = Vec::new();
    let mut missing = length;
    while missing > 0 {
        let mut chunk = std::mem::take(&mut source.left);
        if chunk.is_empty() {
            chunk = match source.body.next().await {
                Some(Ok(chunk)) => chunk,
                Some(Err(error)) => return Err((source, error)),
                None => {
                    let error = BackendError::new(
                        BackendErrorKind::Unavailable,
                        "the body ended before its end",
                    );
                    return Err((source, error));
                }
            };
        }
        let wanted = usize::try_from(missing)
            .unwrap_or(usize::MAX)
            .min(chunk.len());
        source.left = chunk.split_off(wanted);
        if let Some(digest) = &mut digest {
            digest.update(&chunk);
        }
        missing -= chunk.len() as u64;
        if !chunk.is_empty() {
            chunks.push(chunk);
        }
    }
    match (digest, crc) {
        (Some(digest), Some(crc)) if finish_crc32c(&digest) != crc => {
            let error = BackendError::new(BackendErrorKind::Corrupt, "a block has another CRC32C");
            Err((source, error))
        }
        _ => Ok((source, chunks)),
    }
}

#[cfg(test)]
mod pace_tests;
#[cfg(test)]
mod tests;

//! Intent → bytes: how bytes come to lie on a backend.
//!
//! Each attempt to write has a durable intent before its first byte. The intent is held by a
//! [`WriteGuard`]: it goes in the transaction that commits the bytes, or is condemned, which
//! also happens when the request is cancelled at any await. A crash leaves the intent open;
//! the next start condemns it (see [`crate::replicate`]).

use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;
use weir_types::backend::{BackendError, BackendErrorKind};
use weir_types::body::{IncomingBody, PutStream};
use weir_types::clock::Timestamp;
use weir_types::error::ErrorCode;
use weir_types::id::{BackendId, BackendKey, BlobId, IntentId};
use weir_types::index::Mutation;
use weir_types::record::{
    BlobRecord, BlobState, CopyRecord, CopyState, INLINE_BLOCKS_MAX, Intent, IntentPurpose,
    IntentState, Placement,
};
use weir_types::{Error, Result};

use crate::backends::BackendHandle;
use crate::decide::{Decided, forbidden, no_room};
use crate::gateway::{Gateway, index_error};
use crate::ingest::{Digested, Ingest};
use crate::observe::{OperationClass, Trace};

/// Holds intents that are open. Dropped without [`WriteGuard::committed`], it condemns them.
pub(crate) struct WriteGuard {
    gateway: Arc<Gateway>,
    intents: Vec<IntentId>,
}

impl WriteGuard {
    /// Takes responsibility for intents that are about to be written to the index.
    pub(crate) fn new(gateway: &Arc<Gateway>, intents: Vec<IntentId>) -> Self {
        for intent in &intents {
            gateway.live_intents.insert(*intent);
        }
        Self {
            gateway: Arc::clone(gateway),
            intents,
        }
    }

    /// The intents.
    pub(crate) fn intents(&self) -> &[IntentId] {
        &self.intents
    }

    /// The commit that used the intents has been applied, or somebody else answers for them
    /// now: nothing is left to condemn.
    pub(crate) fn committed(mut self) {
        self.forget();
    }

    /// Gives the intents up now and waits until that is durable.
    pub(crate) async fn condemn(mut self) {
        let mutation = self.condemnation();
        if let Err(error) = self.gateway.index.apply(mutation).await {
            // The reaper will come across the open intents.
            tracing::warn!(%error, "an intent could not be condemned");
        }
        self.forget();
    }

    fn condemnation(&self) -> Mutation {
        let now = self.gateway.now();
        Mutation::Condemn {
            intents: self.intents.clone(),
            last_look_at: now.plus(self.gateway.settings.late_write_max),
            now,
        }
    }

    fn forget(&mut self) {
        for intent in self.intents.drain(..) {
            self.gateway.live_intents.remove(&intent);
        }
    }
}

impl Drop for WriteGuard {
    fn drop(&mut self) {
        if self.intents.is_empty() {
            return;
        }
        let mutation = self.condemnation();
        self.forget();
        // Outside a runtime nothing can be awaited; the reaper or the next start does it.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let gateway = Arc::clone(&self.gateway);
            runtime.spawn(async move {
                if let Err(error) = gateway.index.apply(mutation).await {
                    tracing::warn!(%error, "an intent could not be condemned");
                }
            });
        }
    }
}

/// Bytes that lie on a backend under an open intent, ready to be committed.
pub(crate) struct Written {
    /// Condemns the bytes unless they are committed.
    pub(crate) guard: WriteGuard,
    /// The copy that the commit will record.
    pub(crate) copy: CopyRecord,
    /// What the bytes hashed to.
    pub(crate) digested: Digested,
}

/// Attempt number of a blob's first copy; [`BlobRecord::next_attempt`] goes on from here.
/// Every candidate that is tried in vain uses one up.
pub(crate) const FIRST_ATTEMPT: u32 = 1;

impl Gateway {
    /// Writes a body as the first copy of `blob`, on the first candidate that takes it.
    ///
    /// A candidate that fails before the body's first byte was read costs nothing visible: the
    /// next one is asked. Small bodies are in memory and can be offered to every candidate. When
    /// all of them are full, the version may overflow to others: `decided` says so then.
    /// Cancelling condemns what was begun.
    pub(crate) async fn write_first_copy(
        self: &Arc<Self>,
        blob: BlobId,
        decided: &mut Decided<'_>,
        body: IncomingBody,
        trace: &Trace,
    ) -> Result<Written> {
        let size = body.size;
        let mut source = if size <= self.settings.small_body_bytes_max {
            let (bytes, digested) = Ingest::new(body).collect().await?;
            Source::Memory(bytes, Box::new(digested))
        } else {
            Source::Stream(SharedIngest::new(Ingest::new(body)))
        };
        let mut failure = Error::from(ErrorCode::ServiceUnavailable);
        let mut attempts = FIRST_ATTEMPT..;
        let mut tried: Vec<BackendId> = Vec::new();
        loop {
            let (mut asked, mut full) = (0, Vec::new());
            for handle in self.candidates(&decided.placement) {
                if tried.contains(handle.id()) {
                    continue;
                }
                tried.push(handle.id().clone());
                asked += 1;
                let ask = FirstCopy {
                    blob,
                    attempt: attempts.next().unwrap_or(u32::MAX),
                    size,
                    placement: &decided.placement,
                };
                match self.try_candidate(handle, ask, &mut source, trace).await {
                    Ok(written) => return Ok(written),
                    Err(Attempt::Fatal(error)) => return Err(error),
                    Err(Attempt::Next(error)) => failure = error,
                    Err(Attempt::Full(error)) => {
                        failure = error;
                        full.push(handle.id().clone());
                    }
                }
            }
            if asked == 0 || full.len() < asked {
                return Err(failure);
            }
            self.overflow_of_full(decided, &full, trace).await?;
        }
    }

    /// The candidates that may be tried: healthy ones first, each in the policy's order. When
    /// there are healthy ones, the others are probed on the side.
    pub(crate) fn candidates<'a>(
        self: &'a Arc<Self>,
        placement: &'a Placement,
    ) -> impl Iterator<Item = &'a Arc<BackendHandle>> {
        let known = placement
            .candidates
            .iter()
            .filter_map(|id| self.backends.get(id));
        let (mut chosen, others): (Vec<_>, Vec<_>) =
            known.partition(|b| b.is_healthy(OperationClass::Write));
        if !chosen.is_empty() {
            others.iter().for_each(|b| self.probe_writes(b));
        }
        chosen.extend(others);
        chosen.into_iter()
    }

    async fn try_candidate(
        self: &Arc<Self>,
        handle: &Arc<BackendHandle>,
        ask: FirstCopy<'_>,
        source: &mut Source,
        trace: &Trace,
    ) -> Result<Written, Attempt> {
        if !self.may_hold(ask.placement, handle) {
            return Err(Attempt::Next(forbidden()));
        }
        if !handle.admits(OperationClass::Write) {
            return Err(Attempt::Next(ErrorCode::ServiceUnavailable.into()));
        }
        let key = BackendKey::of(&self.site, ask.blob, ask.attempt);
        let intent = Intent {
            intent: IntentId::mint(&*self.entropy),
            backend: handle.id().clone(),
            key: key.clone(),
            blob: ask.blob,
            attempt: ask.attempt,
            purpose: IntentPurpose::Put,
            created_at: self.now(),
            backend_upload: None,
            reserved_bytes: ask.size,
            state: IntentState::Open,
        };
        let guard = self.begin(handle, intent).await?;
        self.crash.pass("put:intent-written").await;
        trace.attempt(handle.id());
        let put = handle.backend().put(&key, ask.size, source.open());
        let stored = match handle.call("put", OperationClass::Write, put).await {
            Ok(stored) => stored,
            Err(error) => {
                guard.condemn().await;
                return Err(source.after_failure(error));
            }
        };
        self.crash.pass("put:bytes-written").await;
        let digested = source.digested().map_err(Attempt::Fatal)?;
        if let Err(error) = handle.require(&stored, ask.size, Some(&digested.md5)) {
            guard.condemn().await;
            return Err(source.after_failure(error));
        }
        let copy = CopyRecord {
            backend: handle.id().clone(),
            key,
            attempt: ask.attempt,
            etag: stored.etag,
            created_at: self.now(),
            state: CopyState::Good,
        };
        Ok(Written {
            guard,
            copy,
            digested,
        })
    }

    /// Claims room and writes the intent.
    async fn begin(
        self: &Arc<Self>,
        handle: &Arc<BackendHandle>,
        intent: Intent,
    ) -> Result<WriteGuard, Attempt> {
        let claim = handle.room().claim(intent.reserved_bytes);
        if !self
            .has_room(handle.id(), &claim)
            .await
            .map_err(Attempt::Fatal)?
        {
            return Err(Attempt::Full(no_room()));
        }
        let guard = WriteGuard::new(self, vec![intent.intent]);
        let begun = self
            .apply(Mutation::Begin {
                intents: vec![intent],
            })
            .await;
        begun.map_err(Attempt::Fatal)?;
        Ok(guard)
    }

    /// Whether a claim fits on its backend.
    pub(crate) async fn has_room(
        &self,
        backend: &BackendId,
        claim: &crate::backends::PendingBytes,
    ) -> Result<bool> {
        if !claim.is_limited() {
            return Ok(true);
        }
        let ledger = self.index.ledger().await.map_err(index_error)?;
        let row = ledger
            .into_iter()
            .find(|(id, _)| id == backend)
            .map(|(_, row)| row);
        Ok(claim.fits(&row.unwrap_or_default()))
    }
}

/// Makes the record of a blob that was just written whole, and the CRCs that do not fit into it.
pub(crate) fn new_blob(
    blob: BlobId,
    placement: Placement,
    copy: CopyRecord,
    digested: Digested,
) -> (Box<BlobRecord>, Vec<u32>) {
    let inline = digested.crcs.len() <= INLINE_BLOCKS_MAX;
    let (inline_crcs, crcs) = if inline {
        (Some(digested.crcs), Vec::new())
    } else {
        (None, digested.crcs)
    };
    let record = BlobRecord {
        blob,
        size: digested.size,
        refs: 0,
        state: BlobState::Live,
        next_attempt: copy.attempt + 1,
        copies: vec![copy],
        placement,
        segments: Vec::new(),
        inline_crcs,
        md5: Some(digested.md5),
        origin: None,
    };
    (Box::new(record), crcs)
}

/// When readers that looked a blob up before `now` have taken their leases.
pub(crate) fn clean_at(gateway: &Gateway, now: Timestamp) -> Timestamp {
    now.plus(gateway.settings.clean_grace)
}

#[derive(Debug, Clone, Copy)]
struct FirstCopy<'a> {
    blob: BlobId,
    attempt: u32,
    size: u64,
    placement: &'a Placement,
}

/// Why a candidate did not take the body.
enum Attempt {
    /// Another candidate may.
    Next(Error),
    /// The same, and this one has no room.
    Full(Error),
    /// None can: the body, the client, or the index is at fault.
    Fatal(Error),
}

/// A body that can be offered to a backend.
enum Source {
    Memory(Bytes, Box<Digested>),
    Stream(SharedIngest),
}

impl Source {
    fn open(&self) -> PutStream {
        match self {
            Self::Memory(bytes, _) => {
                let bytes = bytes.clone();
                Box::pin(futures_util::stream::once(std::future::ready(Ok(bytes))))
            }
            Self::Stream(shared) => shared.open(),
        }
    }

    fn digested(&self) -> Result<Digested> {
        match self {
            Self::Memory(_, digested) => Ok((**digested).clone()),
            Self::Stream(shared) => shared.cell.take(),
        }
    }

    fn after_failure(&self, error: BackendError) -> Attempt {
        if let Some(source) = error.source {
            return Attempt::Fatal(*source);
        }
        let answer = client_error(&error);
        let full = is_full(&error);
        let untouched = match self {
            Self::Memory(..) => true,
            Self::Stream(shared) => !shared.was_read(),
        };
        match untouched {
            true if full => Attempt::Full(answer),
            true => Attempt::Next(answer),
            false => Attempt::Fatal(answer),
        }
    }
}

/// Whether a backend has no room, at least not for this.
pub(crate) fn is_full(error: &BackendError) -> bool {
    matches!(
        error.kind,
        BackendErrorKind::Full | BackendErrorKind::DoesNotFit
    )
}

/// What a client is told when a backend failed with its bytes.
pub(crate) fn client_error(error: &BackendError) -> Error {
    match error.kind {
        BackendErrorKind::Throttled => ErrorCode::SlowDown.into(),
        _ if is_full(error) => no_room(),
        _ => ErrorCode::ServiceUnavailable.into(),
    }
}

/// An [`Ingest`] that can be handed to one backend after another for as long as none has read
/// from it.
struct SharedIngest {
    stream: Arc<tokio::sync::Mutex<PutStream>>,
    read: Arc<std::sync::atomic::AtomicBool>,
    cell: crate::ingest::DigestedCell,
}

impl SharedIngest {
    fn new(ingest: Ingest) -> Self {
        let (stream, cell) = ingest.into_stream();
        Self {
            stream: Arc::new(tokio::sync::Mutex::new(stream)),
            read: Arc::default(),
            cell,
        }
    }

    fn was_read(&self) -> bool {
        self.read.load(std::sync::atomic::Ordering::SeqCst)
    }

    fn open(&self) -> PutStream {
        let read = Arc::clone(&self.read);
        let lock = Arc::clone(&self.stream).lock_owned();
        Box::pin(
            futures_util::stream::once(lock).flat_map(move |mut stream| {
                let read = Arc::clone(&read);
                futures_util::stream::poll_fn(move |cx| {
                    read.store(true, std::sync::atomic::Ordering::SeqCst);
                    stream.as_mut().poll_next(cx)
                })
            }),
        )
    }
}

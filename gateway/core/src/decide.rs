//! Where a new version goes: the policy proposes, the core disposes.
//!
//! A [`Placer`] (the Wasm policy host, or anything else) sees plain facts and proposes
//! backends in order. [`Gateway::decide`] then applies the constraints that no policy can
//! widen: ids must be known, none twice, none read-only. Room and health are checked again at
//! the moment of writing, candidate by candidate.

use std::sync::Arc;

use weir_types::error::ErrorCode;
use weir_types::id::{BackendId, BucketName, ObjectKey, Principal};
use weir_types::record::{LedgerRecord, Placement};
use weir_types::{Error, Result};

use crate::gateway::{Gateway, index_error};
use crate::observe::{OperationClass, Trace};

/// What a placement is asked about.
#[derive(Debug, Clone)]
pub struct PlaceRequest<'a> {
    /// Name of the operation in the S3 API.
    pub operation: &'static str,
    /// The bucket.
    pub bucket: &'a BucketName,
    /// The key.
    pub key: &'a ObjectKey,
    /// Length in bytes, when it is known.
    pub size_bytes: Option<u64>,
    /// Content-Type.
    pub content_type: Option<&'a str>,
    /// Storage class, when not STANDARD.
    pub storage_class: Option<&'a str>,
    /// Tags.
    pub tags: &'a [(String, String)],
    /// Who asks.
    pub principal: &'a Principal,
    /// Milliseconds since the Unix epoch.
    pub now_ms: u64,
    /// Random bits: the only ones a policy gets.
    pub entropy: u64,
    /// Copies that the configuration asks for.
    pub copies: u8,
}

/// What is known about a backend at this moment; static facts were given to the policy once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BackendState {
    /// Bytes of copies.
    pub used_bytes: u64,
    /// Bytes reserved by writes in flight and by what waits to be deleted.
    pub reserved_bytes: u64,
    /// Bytes it may hold at most.
    pub bytes_max: Option<u64>,
    /// Number of copies.
    pub objects: u64,
    /// Takes new bytes as far as is known.
    pub writable: bool,
    /// Its write breaker is closed.
    pub healthy: bool,
    /// Smoothed time to the first byte of reads, in microseconds; 0 when unknown.
    pub latency_us: u64,
}

/// What a placer answers. Nothing in it is trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// Who answered: `name@digest`, or `native`.
    pub revision: String,
    /// Why.
    pub reason: String,
    /// Positions in the list of backends, best first.
    pub candidates: Vec<usize>,
    /// Copies wanted.
    pub copies: u8,
}

/// Proposes where a new version goes. Synchronous and quick (microseconds): it runs on the
/// request path. A placer that fails inside falls back inside; an `Err` means that the
/// binding's rule is to refuse.
pub trait Placer: Send + Sync + 'static {
    /// `backends` is in the order of the configuration.
    fn place(&self, request: &PlaceRequest<'_>, backends: &[BackendState]) -> Result<Proposal>;
}

/// Places by use alone, least used first, without any policy: the native fallback, and what
/// models and tests run on.
#[derive(Debug, Clone, Copy, Default)]
pub struct LeastUsed;

impl Placer for LeastUsed {
    fn place(&self, request: &PlaceRequest<'_>, backends: &[BackendState]) -> Result<Proposal> {
        let mut candidates: Vec<usize> = (0..backends.len()).collect();
        candidates.sort_by_key(|&i| {
            let b = &backends[i];
            (!b.writable, !b.healthy, b.used_bytes + b.reserved_bytes)
        });
        Ok(Proposal {
            revision: "native".into(),
            reason: "least used".into(),
            candidates,
            copies: request.copies,
        })
    }
}

impl Gateway {
    /// Asks the placer and keeps what the host's constraints allow.
    ///
    /// Fails with ServiceUnavailable when nothing is left, which the client may retry.
    pub(crate) async fn decide(
        &self,
        request: PlaceRequest<'_>,
        trace: &Trace,
    ) -> Result<Placement> {
        let states = self.backend_states().await?;
        let proposal = self.placer.place(&request, &states)?;
        trace.policy(&proposal.revision);
        let handles: Vec<_> = self.backends.iter().collect();
        let mut candidates: Vec<BackendId> = Vec::with_capacity(proposal.candidates.len());
        for position in proposal.candidates {
            let Some(handle) = handles.get(position) else {
                continue;
            };
            if !handle.facts().read_only && !candidates.contains(handle.id()) {
                candidates.push(handle.id().clone());
            }
        }
        if candidates.is_empty() {
            return Err(Error::new(
                ErrorCode::ServiceUnavailable,
                "The placement policy found no backend for this object.",
            ));
        }
        let most = u8::try_from(candidates.len()).unwrap_or(u8::MAX);
        Ok(Placement {
            revision: proposal.revision,
            reason: proposal.reason,
            copies_wanted: proposal.copies.clamp(1, most),
            candidates,
        })
    }

    /// The state of each backend, in the order of the configuration.
    pub async fn backend_states(&self) -> Result<Vec<BackendState>> {
        let ledger = self.index.ledger().await.map_err(index_error)?;
        let find = |id: &BackendId| ledger.iter().find(|(b, _)| b == id).map(|(_, l)| l);
        let nothing = LedgerRecord::default();
        let state = |handle: &Arc<crate::backends::BackendHandle>| {
            let used = find(handle.id()).unwrap_or(&nothing);
            let latency = handle.latency().unwrap_or_default().as_micros();
            BackendState {
                used_bytes: used.used_bytes,
                reserved_bytes: used.reserved_bytes,
                bytes_max: handle.room().bytes_max(),
                objects: used.used_objects,
                writable: !handle.facts().read_only,
                healthy: handle.is_healthy(OperationClass::Write),
                latency_us: u64::try_from(latency).unwrap_or(u64::MAX),
            }
        };
        Ok(self.backends.iter().map(state).collect())
    }
}

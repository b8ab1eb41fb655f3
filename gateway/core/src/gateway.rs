//! The running gateway: its parts, and what requests share.

use std::sync::Arc;

use dashmap::{DashMap, DashSet};
use tokio::sync::Semaphore;
use weir_types::clock::{Clock, Timestamp};
use weir_types::crash::CrashPoints;
use weir_types::entropy::Entropy;
use weir_types::error::ErrorCode;
use weir_types::id::{BlobId, BucketName, IntentId, PartNumber, SiteId, UploadId};
use weir_types::index::{Applied, Index, IndexError, Mutation, Refusal};
use weir_types::record::BucketRecord;
use weir_types::{Error, Result};

use crate::authorize::Grants;
use crate::backends::Backends;
use crate::decide::{Decider, RecentStates};
use crate::object::Parking;
use crate::observe::Observer;
use crate::replicate::Scrub;
use crate::replicate::ageing::Ageing;
use crate::settings::Settings;
use crate::steady::SteadyClock;

/// What a gateway is put together from.
pub struct Parts {
    /// The durable record of everything.
    pub index: Arc<dyn Index>,
    /// Where bytes lie.
    pub backends: Backends,
    /// Who decides what is left to policies.
    pub decider: Arc<dyn Decider>,
    /// Who may do what.
    pub grants: Arc<dyn Grants>,
    /// Who is told what happens.
    pub observer: Arc<dyn Observer>,
    /// Wall-clock time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// Where tests end the process.
    pub crash: CrashPoints,
    /// Limits and times.
    pub settings: Settings,
}

/// See [`Gateway::upload_locks`].
type UploadLocks = DashMap<(UploadId, Option<PartNumber>), Arc<tokio::sync::Mutex<()>>>;

/// A running gateway. Shared by every request and by the background.
pub struct Gateway {
    pub(crate) index: Arc<dyn Index>,
    pub(crate) backends: Backends,
    pub(crate) decider: Arc<dyn Decider>,
    pub(crate) grants: Arc<dyn Grants>,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) clock: SteadyClock,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) crash: CrashPoints,
    pub(crate) settings: Settings,
    pub(crate) site: SiteId,
    /// Slots of operations that run on when their client has gone.
    pub(crate) long_operations: Arc<Semaphore>,
    /// Intents whose writer is alive in this process: the reaper leaves them alone.
    pub(crate) live_intents: DashSet<IntentId>,
    /// What is known of the backends, from a moment ago.
    pub(crate) recent_states: RecentStates,
    /// How old things are.
    pub(crate) ageing: Ageing,
    /// Blobs that are being read, with the number of readers: the cleaner leaves them alone.
    pub(crate) leases: DashMap<BlobId, u32>,
    /// How far the verification of copies has come.
    pub(crate) scrub: Scrub,
    /// Open reads, each of which gives its backend up while its client stalls.
    pub(crate) parking: Parking,
    /// One writer at a time per part of an upload, because the backend and the index must agree
    /// on which bytes are the part; and one at a time (`None`) that finishes the upload, because
    /// a backend that is still putting parts together may deny all knowledge of them.
    pub(crate) upload_locks: UploadLocks,
}

impl Gateway {
    /// Puts a gateway together. Nothing runs yet: requests come through
    /// [`crate::pipeline`], the background through [`crate::replicate::run`].
    pub fn new(parts: Parts) -> Arc<Self> {
        let site = parts.index.identity().site;
        Arc::new(Self {
            index: parts.index,
            backends: parts.backends,
            decider: parts.decider,
            grants: parts.grants,
            observer: parts.observer,
            clock: SteadyClock::new(parts.clock),
            entropy: parts.entropy,
            crash: parts.crash,
            long_operations: Arc::new(Semaphore::new(parts.settings.long_operations_max)),
            settings: parts.settings,
            site,
            live_intents: DashSet::new(),
            recent_states: RecentStates::default(),
            ageing: Ageing::default(),
            leases: DashMap::new(),
            scrub: Scrub::default(),
            parking: Parking::new(),
            upload_locks: DashMap::new(),
        })
    }

    /// The index, for reports.
    pub fn index(&self) -> &Arc<dyn Index> {
        &self.index
    }

    /// The backends, for reports.
    pub fn backends(&self) -> &Backends {
        &self.backends
    }

    /// The limits and times in force.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The time for clients' eyes. It may leap in both directions.
    pub(crate) fn wall(&self) -> Timestamp {
        self.clock.wall()
    }

    /// The time that orders work and measures ages. It never goes back.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Takes the clock to where an earlier process saw it: what is due by that is due.
    pub(crate) async fn raise_clock(&self) {
        let seen = async {
            let noted = self.index.clock_note().await?.seen;
            Ok::<_, IndexError>(noted.max(self.index.newest_write().await?))
        };
        match seen.await {
            Ok(seen) => self.clock.raise(seen),
            Err(error) => tracing::error!(%error, "what the clock showed before is not known"),
        }
    }

    /// The bucket, or NoSuchBucket.
    pub(crate) async fn bucket(&self, name: &BucketName) -> Result<BucketRecord> {
        let found = self.index.bucket(name).await.map_err(index_error)?;
        found.ok_or_else(|| no_such_bucket(name))
    }

    /// Applies a mutation; refusals become the client's error.
    pub(crate) async fn apply(&self, mutation: Mutation) -> Result<Applied> {
        self.index.apply(mutation).await.map_err(index_error)
    }
}

impl std::fmt::Debug for Gateway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gateway")
            .field("site", &self.site)
            .finish_non_exhaustive()
    }
}

/// NoSuchBucket for `name`.
pub(crate) fn no_such_bucket(name: &BucketName) -> Error {
    Error::from(ErrorCode::NoSuchBucket).with("BucketName", name.as_str())
}

/// What a client is told when the index refuses or fails.
pub(crate) fn index_error(error: IndexError) -> Error {
    match error {
        IndexError::Refused(refusal) => refusal_code(refusal).into(),
        IndexError::Full => ErrorCode::ReadOnly.into(),
        IndexError::Storage(reason) => {
            tracing::error!(%reason, "index read failed");
            ErrorCode::InternalError.into()
        }
    }
}

fn refusal_code(refusal: Refusal) -> ErrorCode {
    match refusal {
        Refusal::NoSuchBucket => ErrorCode::NoSuchBucket,
        Refusal::BucketExists => ErrorCode::BucketAlreadyOwnedByYou,
        Refusal::BucketNotEmpty | Refusal::TooManyUploads => ErrorCode::BucketNotEmpty,
        Refusal::NoSuchKey => ErrorCode::NoSuchKey,
        Refusal::PreconditionFailed => ErrorCode::PreconditionFailed,
        Refusal::Conflict => ErrorCode::ConditionalRequestConflict,
        Refusal::NoSuchUpload => ErrorCode::NoSuchUpload,
        Refusal::InvalidPart => ErrorCode::InvalidPart,
        // Another actor was faster; the same request made again sees the new state.
        Refusal::IntentGone | Refusal::BlobGone | Refusal::BlobLive | Refusal::LastCopy => {
            ErrorCode::OperationAborted
        }
    }
}

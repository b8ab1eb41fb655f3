//! What a caller passes in and gets back. Independent of the WIT version that
//! a component was built against; `wire` converts.

use std::sync::Arc;

use crate::error::Fault;
use crate::revision::RevisionId;

/// What a backend charges, in millionths of the operator's currency unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// For one GB (10^9 bytes) kept for a month.
    pub storage_gb_month_micros: u64,
    /// For one GB (10^9 bytes) read out.
    pub egress_gb_micros: u64,
    /// For a thousand writing requests.
    pub write_thousand_micros: u64,
    /// For a thousand reading requests.
    pub read_thousand_micros: u64,
}

/// What does not change about a backend while a revision is loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BackendFacts {
    /// The operator's name for it.
    pub id: String,
    /// Region.
    pub region: Option<String>,
    /// Provider.
    pub provider: Option<String>,
    /// Backends that share it are expected to fail together.
    pub failure_domain: Option<String>,
    /// Where the law says the bytes lie.
    pub residency: Option<String>,
    /// Free labels, name and value.
    pub labels: Vec<(String, String)>,
    /// What it can hold; `None` when unknown or unlimited.
    pub capacity_bytes: Option<u64>,
    /// Prices.
    pub cost: Cost,
}

/// What does not change about the gateway's own site.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SiteFacts {
    /// The site's name.
    pub id: String,
    /// Region.
    pub region: Option<String>,
    /// Free labels, name and value.
    pub labels: Vec<(String, String)>,
}

/// Everything static. A policy gets it once, when it is configured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StaticFacts {
    /// Changes whenever `backends` does. An input of another generation is
    /// never shown to a policy, because indices would name other backends.
    pub generation: u64,
    /// The gateway's own site.
    pub site: SiteFacts,
    /// The backends. Everything later names them by their index here.
    pub backends: Vec<BackendFacts>,
}

/// What the client does that needs a place for a new version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Operation {
    /// PutObject.
    #[default]
    PutObject,
    /// CopyObject that moves bytes.
    CopyObject,
    /// CreateMultipartUpload: all parts follow this decision.
    CreateMultipartUpload,
    /// A form upload.
    PostObject,
    /// An object that existed before Weir.
    Import,
}

/// The request that is being decided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestFacts<'a> {
    /// What the client does.
    pub operation: Operation,
    /// Bucket.
    pub bucket: &'a str,
    /// Key.
    pub key: &'a str,
    /// Size of the content; `None` when the client has not said.
    pub size_bytes: Option<u64>,
    /// Content type.
    pub content_type: Option<&'a str>,
    /// `x-amz-storage-class`.
    pub storage_class: Option<&'a str>,
    /// Object tags, name and value.
    pub tags: &'a [(&'a str, &'a str)],
    /// Who asks.
    pub principal: &'a str,
    /// The site at which the client's request arrived.
    pub site: &'a str,
    /// Copies that the bucket's configuration asks for.
    pub copies: u32,
    /// Copies that the bucket's configuration wants durable before the 200.
    pub ack: u32,
    /// The caller's clock, milliseconds since 1970-01-01T00:00:00Z.
    pub now_ms: u64,
    /// Fresh random bits.
    pub entropy: u64,
}

/// What the caller's checks and breakers think of a backend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Health {
    /// Works.
    #[default]
    Healthy,
    /// Slow or failing now and then.
    Degraded,
    /// Does not answer.
    Down,
}

/// One backend at the moment of the call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BackendState {
    /// Bytes stored.
    pub used_bytes: u64,
    /// Promised to writes in flight, not in `used_bytes` yet.
    pub reserved_bytes: u64,
    /// The quota or capacity in force; `None` when unlimited.
    pub limit_bytes: Option<u64>,
    /// Health.
    pub health: Health,
    /// False while drained, read-only or full.
    pub writable: bool,
    /// Moving estimate of the time to the first byte; 0 when unknown.
    pub latency_us: u32,
    /// Moving estimate of failed calls per thousand.
    pub errors_permille: u32,
    /// Slots in use.
    pub slots_used: u32,
    /// Slots there are.
    pub slots_max: u32,
    /// Copies still to be written there.
    pub copies_pending: u32,
}

/// One question to a policy.
#[derive(Clone, Copy, Debug)]
pub struct PlacementInput<'a> {
    /// [`StaticFacts::generation`] of the facts that `backends` follows.
    pub facts_generation: u64,
    /// The request.
    pub request: RequestFacts<'a>,
    /// One entry for each of [`StaticFacts::backends`], in that order.
    pub backends: &'a [BackendState],
}

/// An answer of the right shape: at least one candidate, each a known index
/// and there once, `1 <= ack <= copies`. Nothing more is promised: quota,
/// health and permission are the caller's to check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlacementDecision {
    /// Indices of backends, best first.
    pub candidates: Vec<u32>,
    /// Copies wanted; may be more than there are candidates.
    pub copies: u32,
    /// Copies durable before the client gets its 200.
    pub ack: u32,
    /// Why: one short line without control characters.
    pub reason: String,
    /// Who decided.
    pub decided_by: DecidedBy,
    /// The same as text to keep with the object: `name@digest` of the
    /// revision, or `native`.
    pub revision: Arc<str>,
    /// What the active revision did wrong, if another had to decide.
    pub fault: Option<Fault>,
}

/// Who made a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecidedBy {
    /// This revision.
    Revision(RevisionId),
    /// The native default.
    Native(NativeCause),
}

/// Why the native default decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NativeCause {
    /// The binding has no active revision, or there is no such binding.
    Unbound,
    /// The revisions were configured with facts of another generation.
    StaleFacts,
    /// The revision failed, and so did the one before it or there was none.
    Fault,
    /// The revision is in quarantine, and so is the one before it or there
    /// was none.
    Quarantine,
}

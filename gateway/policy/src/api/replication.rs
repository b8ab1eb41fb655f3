//! Which copies an object should have now.

use serde::{Deserialize, Serialize};

use super::{BackendState, Origin};

/// Why the question is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Occasion {
    /// The object was just committed.
    #[default]
    Committed,
    /// A copy is missing, looked wrong, or lies on a backend that is gone.
    Repair,
    /// Nothing happened; it is looked at again now and then.
    Review,
}

/// What is known about a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CopyState {
    /// Nothing is known against it.
    Good,
    /// Looked wrong to a reader; not verified again yet.
    Suspect,
}

/// One copy of the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopyFacts {
    /// Index of the backend.
    pub backend: u32,
    /// What is known about it.
    pub state: CopyState,
    /// When it was written, milliseconds since 1970.
    pub written_at_ms: u64,
}

/// The object with what is known about it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ObjectFacts<'a> {
    /// Bucket.
    pub bucket: &'a str,
    /// Key.
    pub key: &'a str,
    /// Size.
    pub size_bytes: u64,
    /// Content type.
    pub content_type: Option<&'a str>,
    /// `x-amz-storage-class`.
    pub storage_class: Option<&'a str>,
    /// The operator's storage policy that applies.
    pub storage_policy: Option<&'a str>,
    /// Object tags, name and value.
    pub tags: &'a [(&'a str, &'a str)],
    /// User metadata, name without its prefix and value. A policy sees it only if it said that
    /// it needs it.
    pub user_metadata: &'a [(&'a str, &'a str)],
    /// When the version was committed, milliseconds since 1970.
    pub created_at_ms: u64,
    /// Copies that its placement wants.
    pub copies_wanted: u32,
    /// Indices of the backends that its placement proposed, best first.
    pub candidates: &'a [u32],
    /// Its copies.
    pub copies: &'a [CopyFacts],
    /// Why the question is asked.
    pub occasion: Occasion,
    /// The caller's clock, milliseconds since 1970-01-01T00:00:00Z.
    pub now_ms: u64,
    /// Fresh random bits.
    pub entropy: u64,
}

/// Which copies should this object have now?
#[derive(Clone, Copy, Debug)]
pub struct ReplicationInput<'a> {
    /// [`super::StaticFacts::generation`] of the facts that `backends` follows.
    pub facts_generation: u64,
    /// The object.
    pub object: ObjectFacts<'a>,
    /// One entry for each of [`super::StaticFacts::backends`], in that order.
    pub backends: &'a [BackendState],
}

/// A copy that should be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Addition {
    /// Index of a backend that holds no good copy.
    pub backend: u32,
    /// 0 is done first.
    pub priority: u8,
    /// Not earlier than this time, milliseconds since 1970; 0: now.
    pub not_before_ms: u64,
}

/// An answer of the right shape: every index is known, none twice, none both added and
/// dropped, nothing added where a good copy lies, nothing dropped where none lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicationDecision {
    /// Copies that should be made, in order.
    pub add: Vec<Addition>,
    /// Indices of backends whose copies should go, worst first.
    pub drop: Vec<u32>,
    /// Why: one short line without control characters.
    pub reason: String,
    /// Who decided.
    pub origin: Origin,
}

/// [`ReplicationDecision`] without its origin.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplicationAnswer {
    /// Copies that should be made, in order.
    pub add: Vec<Addition>,
    /// Indices of backends whose copies should go, worst first.
    pub drop: Vec<u32>,
    /// Why.
    pub reason: String,
}

impl ReplicationAnswer {
    pub(crate) fn by(self, origin: Origin) -> ReplicationDecision {
        let Self { add, drop, reason } = self;
        ReplicationDecision {
            add,
            drop,
            reason,
            origin,
        }
    }
}

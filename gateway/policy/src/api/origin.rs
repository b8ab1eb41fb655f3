//! Who made a decision.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::error::Fault;
use crate::revision::RevisionId;

/// Who made a decision, and what went wrong before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Who decided.
    pub decided_by: DecidedBy,
    /// The same as text to keep with the object: `name@digest` of the
    /// revision, or `native`.
    pub revision: Arc<str>,
    /// What the revision that was asked first did wrong, if another had to decide.
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NativeCause {
    /// The binding has no active revision, or there is no such binding.
    Unbound,
    /// The active revision does not answer this question.
    NotDecided,
    /// The revisions were configured with facts of another generation.
    StaleFacts,
    /// The revision failed, and so did the one before it or there was none.
    Fault,
    /// The revision is in quarantine, and so is the one before it or there
    /// was none.
    Quarantine,
}

//! How a binding is set, and how it stands.

use crate::api::Decisions;
use crate::revision::{Description, Isolation, RevisionId};

/// Who decides when the active revision gives no answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnFault {
    /// The revision that was active before, then the native default.
    #[default]
    PreviousThenNative,
    /// The native default.
    Native,
    /// Nobody: the request is refused. Reads are still routed, by the native default.
    Refuse,
}

/// How a binding asks its policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BindingSettings {
    /// Who decides when the active revision gives no answer.
    pub on_fault: OnFault,
    /// Whether instances decide more than once.
    pub isolation: Isolation,
}

/// A revision that takes part in some of the decisions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// The revision.
    pub revision: RevisionId,
    /// In how many of a thousand.
    pub permille: u16,
}

/// One binding as it stands.
#[derive(Clone, Debug)]
pub struct BindingStatus {
    /// The revision that decides.
    pub active: Option<RevisionId>,
    /// Who it says it is.
    pub description: Option<Description>,
    /// The decisions for which it is in quarantine.
    pub quarantined: Decisions,
    /// The revision before it.
    pub previous: Option<RevisionId>,
    /// The revision that decides for a share of the keys.
    pub canary: Option<Share>,
    /// The revision that decides beside it.
    pub shadow: Option<Share>,
    /// Revisions that are loaded and wait to be activated, with who they say they are.
    pub waiting: Vec<(RevisionId, Description)>,
    /// How the policy is asked.
    pub settings: BindingSettings,
}

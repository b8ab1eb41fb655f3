//! What can go wrong, at load and in a call.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::api::Decisions;
use crate::cache::CacheError;
use crate::revision::RevisionId;
use crate::signature::SignatureError;

/// One mistake that a policy found in its settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigError {
    /// A JSON Pointer into the settings, empty for the whole.
    pub path: String,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.as_str() {
            "" => write!(f, "settings: {}", self.message),
            path => write!(f, "settings {path}: {}", self.message),
        }
    }
}

/// Why a component was refused. Whatever was active stays active.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file cannot be read.
    #[error("cannot read {path}: {error}")]
    Read {
        /// The file.
        path: String,
        /// Why.
        error: std::io::Error,
    },
    /// Over [`crate::Limits::component_bytes_max`].
    #[error("the component has {bytes} bytes, more than the limit of {limit}")]
    TooLarge {
        /// Its size, or how much of it was read.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// Not a component, cut off, or of features that are switched off.
    #[error("not a valid component: {0}")]
    Invalid(String),
    /// It imports what no policy may have.
    #[error("imports `{0}`; a policy may import weir:policy/host and nothing else")]
    Import(String),
    /// It was built against a version of the WIT package that is not served.
    #[error("uses `{name}`; this host serves weir:policy {supported}")]
    Version {
        /// The import or export.
        name: String,
        /// The versions that are served.
        supported: &'static str,
    },
    /// It uses two versions of the WIT package.
    #[error("uses weir:policy {version} and `{name}`; a policy uses one version")]
    MixedVersions {
        /// The version that was met first.
        version: &'static str,
        /// An import or export of another one.
        name: String,
    },
    /// It does not export what it must.
    #[error("does not export `{0}`")]
    Export(&'static str),
    /// It exports no decision.
    #[error("exports none of placement, overflow, replication and read-routing")]
    DecidesNothing,
    /// It says that it decides something else than it exports.
    #[error("says that it decides {says}, but exports {exports}")]
    Decides {
        /// What `describe` said.
        says: Decisions,
        /// What it exports.
        exports: Decisions,
    },
    /// Its functions have other types than the WIT package says.
    #[error("does not fit weir:policy {version}: {why}")]
    Type {
        /// The version that it uses.
        version: &'static str,
        /// Where it differs.
        why: String,
    },
    /// The signature is missing or wrong, and keys are configured.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// The settings are over [`crate::Limits::settings_bytes_max`] or no JSON.
    #[error("settings: {0}")]
    Settings(String),
    /// `describe` or `configure` trapped or ran into a limit.
    #[error("{function} failed: {fault}")]
    Fault {
        /// Which.
        function: &'static str,
        /// How.
        fault: Fault,
    },
    /// The policy refused its settings.
    #[error("{}", list(.0))]
    Configure(Vec<ConfigError>),
}

fn list(errors: &[ConfigError]) -> String {
    let lines: Vec<_> = errors.iter().map(ToString::to_string).collect();
    lines.join("; ")
}

/// Why the host cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The machine cannot run the engine under these limits.
    #[error("policy engine: {0}")]
    Engine(String),
    /// The folder of the compile cache is refused.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

/// Why a revision cannot be activated.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum ActivateError {
    /// No binding of this name.
    #[error("no binding `{0}`")]
    NoBinding(String),
    /// The binding has no such revision loaded (any more).
    #[error("binding `{binding}` has no revision {revision} loaded")]
    NoRevision {
        /// The binding.
        binding: String,
        /// The revision.
        revision: RevisionId,
    },
    /// A share above the whole.
    #[error("{0} permille is more than all")]
    Share(u16),
    /// There is no revision to go back to.
    #[error("binding `{0}` has no previous revision")]
    NoPrevious(String),
}

/// The binding is set to refuse, and its policy gave no answer.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("the policy of `{binding}` gave no answer: {why}")]
pub struct Refused {
    /// The binding.
    pub binding: String,
    /// What happened, in words.
    pub why: String,
}

/// What kind of wrong a revision did. One counter each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FaultKind {
    /// Out of fuel.
    Fuel,
    /// Over the time limit.
    Deadline,
    /// Over the memory or table limit.
    Memory,
    /// Stack overflow.
    Stack,
    /// Any other trap.
    Trap,
    /// Data that breaks the canonical ABI: pointers outside the memory, text
    /// that is not UTF-8, unknown cases.
    Malformed,
    /// Too many host calls, or too much data to the host.
    Output,
    /// An empty list where the answer needs one entry.
    NoCandidates,
    /// An index that is no backend's.
    UnknownBackend,
    /// A backend twice in a list.
    DuplicateBackend,
    /// Reads or drops a copy where none lies.
    NoCopy,
    /// Adds a copy where a good one lies.
    HasCopy,
    /// Adds and drops at one backend, or moves from a backend to itself.
    Contradiction,
    /// `copies` or `ack` out of range.
    CopiesRange,
    /// No instance could be made or configured.
    Instantiate,
}

impl FaultKind {
    /// Every kind, in the order of the counters.
    pub const ALL: [Self; 15] = [
        Self::Fuel,
        Self::Deadline,
        Self::Memory,
        Self::Stack,
        Self::Trap,
        Self::Malformed,
        Self::Output,
        Self::NoCandidates,
        Self::UnknownBackend,
        Self::DuplicateBackend,
        Self::NoCopy,
        Self::HasCopy,
        Self::Contradiction,
        Self::CopiesRange,
        Self::Instantiate,
    ];

    /// The value of the metric label `kind`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Fuel => "fuel",
            Self::Deadline => "deadline",
            Self::Memory => "memory",
            Self::Stack => "stack",
            Self::Trap => "trap",
            Self::Malformed => "malformed",
            Self::Output => "output",
            Self::NoCandidates => "no_candidates",
            Self::UnknownBackend => "unknown_backend",
            Self::DuplicateBackend => "duplicate_backend",
            Self::NoCopy => "no_copy",
            Self::HasCopy => "has_copy",
            Self::Contradiction => "contradiction",
            Self::CopiesRange => "copies_range",
            Self::Instantiate => "instantiate",
        }
    }
}

/// A call that gave no usable answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// The kind.
    pub kind: FaultKind,
    /// The details: one short line without control characters.
    pub message: String,
}

impl Fault {
    pub(crate) fn new(kind: FaultKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.name(), self.message)
    }
}

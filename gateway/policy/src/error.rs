//! What can go wrong, at load and in a call.

use std::fmt;

use crate::revision::RevisionId;

/// One mistake that a policy found in its settings.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// It does not export what it must.
    #[error("does not export `{0}`")]
    Export(&'static str),
    /// Its functions have other types than the WIT package says.
    #[error("does not fit the world placement-policy: {0}")]
    Type(String),
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

/// Why a revision cannot be activated.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    /// An answer without candidates.
    NoCandidates,
    /// A candidate that is no backend.
    UnknownBackend,
    /// A candidate twice.
    DuplicateBackend,
    /// `copies` or `ack` out of range.
    CopiesRange,
    /// No instance could be made or configured.
    Instantiate,
}

impl FaultKind {
    /// Every kind, in the order of the counters.
    pub const ALL: [Self; 12] = [
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
            Self::CopiesRange => "copies_range",
            Self::Instantiate => "instantiate",
        }
    }
}

/// A call that gave no usable answer.
#[derive(Clone, Debug, PartialEq, Eq)]
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

//! What the core tells about its work. The binary turns it into metrics and log lines.

use std::time::Duration;

use parking_lot::Mutex;
use weir_types::backend::BackendErrorKind;
use weir_types::id::{BackendId, Principal};

/// Told of everything worth counting. Called on the data path: implementations are quick and
/// never block.
pub trait Observer: Send + Sync + 'static {
    /// A request was answered, and its body sent or cut off.
    fn request(&self, record: &AccessRecord);
    /// A call to a backend ended.
    fn backend_call(&self, call: &BackendCall<'_>);
    /// A piece of background work ended.
    fn work(&self, kind: &'static str, outcome: WorkOutcome, took: Duration);
    /// A breaker changed its state.
    fn breaker(&self, backend: &BackendId, class: OperationClass, open: bool);
    /// Something that a policy proposed was not done, or not as it was proposed.
    fn clamped(&self, _storage_policy: &str, _what: Clamped) {}
    /// The verification of copies came to the end of one, of so many bytes.
    fn scrubbed(&self, _backend: &BackendId, _outcome: Scrubbed, _bytes: u64) {}
    /// There was no room where placement wanted a new version.
    fn overflow(&self, _storage_policy: &str, _outcome: Overflow) {}
}

/// What was not done as a policy proposed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Clamped {
    /// More than one copy before the client's 200: one is made.
    Ack,
    /// More copies than the candidates can hold under the constraints: fewer are made.
    Copies,
    /// A copy where a constraint forbids it: not made.
    Forbidden,
    /// Moves that make room: not made.
    MakeRoom,
    /// A copy at another than the first priority: made in the order within its object.
    Priority,
    /// A copy that is wanted, later than is allowed: made now.
    Postponed,
    /// A copy dropped without which too few would be left: kept.
    Kept,
    /// A second copy asked beside the first: not asked.
    Hedge,
}

impl Clamped {
    /// The label value in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ack => "ack",
            Self::Copies => "copies",
            Self::Forbidden => "forbidden",
            Self::MakeRoom => "make-room",
            Self::Priority => "priority",
            Self::Postponed => "postponed",
            Self::Kept => "kept",
            Self::Hedge => "hedge",
        }
    }
}

/// What the verification of a copy came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scrubbed {
    /// All of it was found right.
    Right,
    /// It is missing or wrong, and is repaired.
    Suspect,
    /// It could not be reached, and comes again.
    Skipped,
}

impl Scrubbed {
    /// The label value in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Right => "right",
            Self::Suspect => "suspect",
            Self::Skipped => "skipped",
        }
    }
}

/// What became of a version for which there was no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Overflow {
    /// It went to other backends.
    Spilled,
    /// It went to other backends until there is room; the room is not made.
    Meanwhile,
    /// The client was refused.
    Refused,
}

impl Overflow {
    /// The label value in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Spilled => "spilled",
            Self::Meanwhile => "meanwhile",
            Self::Refused => "refused",
        }
    }
}

/// One request from its first byte to its answer's last.
#[derive(Debug, Clone)]
pub struct AccessRecord {
    /// The request's id, also in `x-amz-request-id`.
    pub request_id: String,
    /// HTTP method.
    pub method: String,
    /// Path and query with signatures and tokens removed, control characters escaped.
    pub target: String,
    /// Name of the operation in the S3 API; empty when it was refused before that was known.
    pub operation: &'static str,
    /// Who asked; `None` when not verified.
    pub principal: Option<Principal>,
    /// HTTP status.
    pub status: u16,
    /// S3 error code, when there is one.
    pub error: Option<&'static str>,
    /// Payload bytes of the request.
    pub bytes_in: u64,
    /// Bytes of the answer's body that were handed to the connection.
    pub bytes_out: u64,
    /// Whether the answer's body was sent to its end.
    pub complete: bool,
    /// Time until the answer's head was ready.
    pub head_after: Duration,
    /// Time until the answer's body had been handed over.
    pub took: Duration,
    /// What happened on the way.
    pub trace: TraceNotes,
}

/// What happened on a request's way through the core.
#[derive(Debug, Clone, Default)]
pub struct TraceNotes {
    /// Bucket and key, control characters escaped.
    pub resource: Option<String>,
    /// The backend that served or took the bytes last.
    pub backend: Option<BackendId>,
    /// Calls to backends that carried bytes for this request.
    pub attempts: u32,
    /// The policy revision that decided.
    pub policy: Option<String>,
    /// S3 error code of an operation that failed when its answer had begun.
    pub failed_late: Option<&'static str>,
}

/// Notes that any step of a request may add to.
#[derive(Debug, Default)]
pub struct Trace(Mutex<TraceNotes>);

impl Trace {
    /// Notes an attempt at a backend.
    pub fn attempt(&self, backend: &BackendId) {
        let mut notes = self.0.lock();
        notes.attempts += 1;
        notes.backend = Some(backend.clone());
    }

    /// Notes which policy revision decided.
    pub fn policy(&self, revision: &str) {
        self.0.lock().policy = Some(revision.to_owned());
    }

    /// Notes that the operation failed after its answer had begun.
    pub fn failed_late(&self, code: &'static str) {
        self.0.lock().failed_late = Some(code);
    }

    /// Notes what the request is about.
    pub fn resource(&self, resource: String) {
        self.0.lock().resource = Some(resource);
    }

    /// The notes so far.
    pub fn notes(&self) -> TraceNotes {
        self.0.lock().clone()
    }
}

/// A call to a backend.
#[derive(Debug, Clone)]
pub struct BackendCall<'a> {
    /// Which one.
    pub backend: &'a BackendId,
    /// `put`, `get`, `delete`, …
    pub operation: &'static str,
    /// How it failed, if it did.
    pub error: Option<BackendErrorKind>,
    /// Until its answer (for `get`: until the first byte).
    pub took: Duration,
}

/// How a piece of background work ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WorkOutcome {
    /// Finished.
    Done,
    /// Not yet possible; put off without counting as a failure.
    Deferred,
    /// Failed; will be tried again.
    Failed,
}

/// Operations whose failures are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum OperationClass {
    /// get, head, list.
    Read,
    /// put, multipart, delete.
    Write,
}

impl OperationClass {
    /// The label value in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }
}

/// Tells nobody: for tests and models.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {
    fn request(&self, _: &AccessRecord) {}
    fn backend_call(&self, _: &BackendCall<'_>) {}
    fn work(&self, _: &'static str, _: WorkOutcome, _: Duration) {}
    fn breaker(&self, _: &BackendId, _: OperationClass, _: bool) {}
}

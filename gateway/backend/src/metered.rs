//! Counts what passes through a backend.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use futures_util::StreamExt as _;
use weir_types::backend::{
    Backend, BackendError, BackendErrorKind, BackendPage, BackendPart, BackendUpload, Fetched,
    Stored,
};
use weir_types::body::PutStream;
use weir_types::id::{BackendKey, PartNumber};

macro_rules! labels {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $label:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[$vdoc])* $variant,)* }

        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The label in metrics.
            pub const fn label(self) -> &'static str {
                match self { $(Self::$variant => $label,)* }
            }
        }
    };
}

labels! {
    /// What was asked of a backend.
    Operation {
        /// [`Backend::put`].
        Put = "put",
        /// [`Backend::get`].
        Get = "get",
        /// [`Backend::head`].
        Head = "head",
        /// [`Backend::delete`].
        Delete = "delete",
        /// [`Backend::list`].
        List = "list",
        /// [`Backend::create_upload`].
        CreateUpload = "create_upload",
        /// [`Backend::put_part`].
        PutPart = "put_part",
        /// [`Backend::complete_upload`].
        CompleteUpload = "complete_upload",
        /// [`Backend::abort_upload`].
        AbortUpload = "abort_upload",
        /// [`Backend::list_uploads`].
        ListUploads = "list_uploads",
        /// [`Backend::read_owner`].
        ReadOwner = "read_owner",
        /// [`Backend::write_owner`].
        WriteOwner = "write_owner",
    }
}

labels! {
    /// How a request to a backend ended; for a get, how its opening did.
    Outcome {
        /// As asked.
        Ok = "ok",
        /// [`BackendErrorKind::NotFound`].
        NotFound = "not_found",
        /// [`BackendErrorKind::Rejected`].
        Rejected = "rejected",
        /// [`BackendErrorKind::Denied`].
        Denied = "denied",
        /// [`BackendErrorKind::Throttled`].
        Throttled = "throttled",
        /// [`BackendErrorKind::Full`] and [`BackendErrorKind::DoesNotFit`].
        Full = "full",
        /// [`BackendErrorKind::Unavailable`].
        Unavailable = "unavailable",
        /// [`BackendErrorKind::Corrupt`].
        Corrupt = "corrupt",
        /// [`BackendErrorKind::Source`].
        Source = "source",
        /// The caller dropped the request before it ended.
        Cancelled = "cancelled",
    }
}

impl From<BackendErrorKind> for Outcome {
    fn from(kind: BackendErrorKind) -> Self {
        match kind {
            BackendErrorKind::NotFound => Self::NotFound,
            BackendErrorKind::Rejected => Self::Rejected,
            BackendErrorKind::Denied => Self::Denied,
            BackendErrorKind::Throttled => Self::Throttled,
            BackendErrorKind::Full | BackendErrorKind::DoesNotFit => Self::Full,
            BackendErrorKind::Unavailable => Self::Unavailable,
            BackendErrorKind::Corrupt => Self::Corrupt,
            BackendErrorKind::Source => Self::Source,
        }
    }
}

const OPERATIONS: usize = Operation::ALL.len();
const OUTCOMES: usize = Outcome::ALL.len();

#[derive(Default)]
struct Counters {
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    failed_reads: AtomicU64,
    requests: [[AtomicU64; OUTCOMES]; OPERATIONS],
}

impl Counters {
    fn count(&self, operation: Operation, outcome: Outcome) {
        self.requests[operation as usize][outcome as usize].fetch_add(1, Ordering::Relaxed);
    }
}

/// Counts one request when it ends, in whatever way.
struct Ending<'a> {
    counters: &'a Counters,
    operation: Operation,
    outcome: Outcome,
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.counters.count(self.operation, self.outcome);
    }
}

/// Requests of one operation that ended in one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestCount {
    /// What was asked.
    pub operation: Operation,
    /// How it ended.
    pub outcome: Outcome,
    /// How often, since the process started.
    pub count: u64,
}

/// The counters of one backend at one moment. All rise only.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MeterSnapshot {
    /// Bytes of bodies handed to the backend, those of failed requests included.
    pub bytes_in: u64,
    /// Bytes of bodies that came from the backend.
    pub bytes_out: u64,
    /// Reads that opened well and broke off later.
    pub failed_reads: u64,
    /// Requests; combinations that never occurred are left out.
    pub requests: Vec<RequestCount>,
}

impl MeterSnapshot {
    /// Requests of `operation`, however they ended.
    pub fn requests_of(&self, operation: Operation) -> u64 {
        self.requests
            .iter()
            .filter(|r| r.operation == operation)
            .map(|r| r.count)
            .sum()
    }
}

/// A backend with counters. Passes everything on unchanged.
pub struct Metered {
    inner: Arc<dyn Backend>,
    counters: Arc<Counters>,
}

impl std::fmt::Debug for Metered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metered")
            .field("kind", &self.inner.kind())
            .finish_non_exhaustive()
    }
}

impl Metered {
    /// Counts what passes through `inner` from now on.
    pub fn new(inner: Arc<dyn Backend>) -> Self {
        Self {
            inner,
            counters: Arc::default(),
        }
    }

    /// The counters now.
    pub fn snapshot(&self) -> MeterSnapshot {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let mut requests = Vec::new();
        for &operation in Operation::ALL {
            for &outcome in Outcome::ALL {
                let count = load(&self.counters.requests[operation as usize][outcome as usize]);
                if count > 0 {
                    requests.push(RequestCount {
                        operation,
                        outcome,
                        count,
                    });
                }
            }
        }
        MeterSnapshot {
            bytes_in: load(&self.counters.bytes_in),
            bytes_out: load(&self.counters.bytes_out),
            failed_reads: load(&self.counters.failed_reads),
            requests,
        }
    }

    async fn count<T>(
        &self,
        operation: Operation,
        request: impl Future<Output = Result<T, BackendError>> + Send,
    ) -> Result<T, BackendError> {
        let outcome = Outcome::Cancelled;
        let mut ending = Ending {
            counters: &self.counters,
            operation,
            outcome,
        };
        let result = request.await;
        ending.outcome = match &result {
            Ok(_) => Outcome::Ok,
            Err(e) => e.kind.into(),
        };
        result
    }

    fn count_in(&self, body: PutStream) -> PutStream {
        let counters = Arc::clone(&self.counters);
        Box::pin(body.inspect(move |chunk| {
            if let Ok(chunk) = chunk {
                counters
                    .bytes_in
                    .fetch_add(chunk.len() as u64, Ordering::Relaxed);
            }
        }))
    }
}

#[async_trait]
impl Backend for Metered {
    fn kind(&self) -> &'static str {
        self.inner.kind()
    }

    async fn put(
        &self,
        key: &BackendKey,
        size: u64,
        body: PutStream,
    ) -> Result<Stored, BackendError> {
        let body = self.count_in(body);
        self.count(Operation::Put, self.inner.put(key, size, body))
            .await
    }

    async fn get(
        &self,
        key: &BackendKey,
        range: Option<Range<u64>>,
    ) -> Result<Fetched, BackendError> {
        let mut fetched = self
            .count(Operation::Get, self.inner.get(key, range))
            .await?;
        let counters = Arc::clone(&self.counters);
        fetched.body = Box::pin(fetched.body.inspect(move |chunk| {
            match chunk {
                Ok(chunk) => counters
                    .bytes_out
                    .fetch_add(chunk.len() as u64, Ordering::Relaxed),
                Err(_) => counters.failed_reads.fetch_add(1, Ordering::Relaxed),
            };
        }));
        Ok(fetched)
    }

    async fn head(&self, key: &BackendKey) -> Result<Option<Stored>, BackendError> {
        self.count(Operation::Head, self.inner.head(key)).await
    }

    async fn delete(&self, key: &BackendKey) -> Result<(), BackendError> {
        self.count(Operation::Delete, self.inner.delete(key)).await
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<BackendPage, BackendError> {
        self.count(Operation::List, self.inner.list(prefix, after, limit))
            .await
    }

    async fn create_upload(&self, key: &BackendKey) -> Result<String, BackendError> {
        self.count(Operation::CreateUpload, self.inner.create_upload(key))
            .await
    }

    async fn put_part(
        &self,
        key: &BackendKey,
        upload: &str,
        part: PartNumber,
        size: u64,
        body: PutStream,
    ) -> Result<Stored, BackendError> {
        let body = self.count_in(body);
        self.count(
            Operation::PutPart,
            self.inner.put_part(key, upload, part, size, body),
        )
        .await
    }

    async fn complete_upload(
        &self,
        key: &BackendKey,
        upload: &str,
        parts: &[BackendPart],
    ) -> Result<Stored, BackendError> {
        let request = self.inner.complete_upload(key, upload, parts);
        self.count(Operation::CompleteUpload, request).await
    }

    async fn abort_upload(&self, key: &BackendKey, upload: &str) -> Result<(), BackendError> {
        self.count(Operation::AbortUpload, self.inner.abort_upload(key, upload))
            .await
    }

    async fn list_uploads(
        &self,
        prefix: &str,
        limit: usize,
    ) -> Result<Vec<BackendUpload>, BackendError> {
        self.count(
            Operation::ListUploads,
            self.inner.list_uploads(prefix, limit),
        )
        .await
    }

    async fn read_owner(&self) -> Result<Option<Vec<u8>>, BackendError> {
        self.count(Operation::ReadOwner, self.inner.read_owner())
            .await
    }

    async fn write_owner(&self, marker: &[u8]) -> Result<(), BackendError> {
        self.count(Operation::WriteOwner, self.inner.write_owner(marker))
            .await
    }

    async fn confirmed(&self) -> Result<(), BackendError> {
        self.inner.confirmed().await
    }

    fn disputed(&self) {
        self.inner.disputed();
    }
}

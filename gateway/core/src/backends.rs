//! The backends of a site: each with its facts, breaker, room and slots for the background.

mod breaker;
mod errors;
mod room;

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};
use weir_types::backend::{Backend, BackendError, BackendErrorKind, Stored};
use weir_types::id::BackendId;

pub use breaker::Breaker;
pub use room::{PendingBytes, Room};

use errors::ErrorShare;

use crate::observe::{BackendCall, Observer, OperationClass};
use crate::settings::Settings;

/// What configuration says about a backend, apart from how to reach it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackendFacts {
    /// Its id.
    pub id: BackendId,
    /// Takes no new bytes; reads and deletes go on.
    pub read_only: bool,
    /// Bytes that it may hold at most, reservations included.
    pub bytes_max: Option<u64>,
    /// Backends that share it are expected to fail together; `None`: it fails alone.
    pub failure_domain: Option<String>,
    /// Where the law says its bytes lie.
    pub residency: Option<String>,
    /// Calls that it takes at once; 0 when unknown.
    pub slots_max: u32,
}

impl BackendFacts {
    /// A backend about which nothing is said.
    pub fn new(id: BackendId) -> Self {
        Self {
            id,
            read_only: false,
            bytes_max: None,
            failure_domain: None,
            residency: None,
            slots_max: 0,
        }
    }
}

/// A backend with everything the core knows about it.
pub struct BackendHandle {
    facts: BackendFacts,
    backend: Arc<dyn Backend>,
    observer: Arc<dyn Observer>,
    read_breaker: Breaker,
    write_breaker: Breaker,
    room: Room,
    background: Arc<Semaphore>,
    latency: Mutex<Option<Duration>>,
    errors: ErrorShare,
    calls: AtomicU32,
}

impl BackendHandle {
    /// Its id.
    pub fn id(&self) -> &BackendId {
        &self.facts.id
    }

    /// What configuration says.
    pub fn facts(&self) -> &BackendFacts {
        &self.facts
    }

    /// The backend itself.
    pub fn backend(&self) -> &Arc<dyn Backend> {
        &self.backend
    }

    /// Room for further bytes.
    pub fn room(&self) -> &Room {
        &self.room
    }

    /// Whether requests of this class are let through now. While a breaker is half open, only
    /// one at a time.
    pub fn admits(&self, class: OperationClass) -> bool {
        self.breaker(class).admits()
    }

    /// Whether a request of this class would be let through now. Unlike
    /// [`BackendHandle::admits`], asking changes nothing.
    pub fn would_admit(&self, class: OperationClass) -> bool {
        self.breaker(class).would_admit()
    }

    /// Whether the breaker of this class is closed: nothing is known against the backend.
    pub fn is_healthy(&self, class: OperationClass) -> bool {
        self.breaker(class).is_closed()
    }

    /// Tries a backend whose read breaker is open and due, beside whatever the caller does:
    /// reads that another copy can serve pass it by, and would never find out that it is
    /// back. However many ask, tries are few: the breaker spaces them, and each ends soon.
    pub(crate) fn probe_reads(self: &Arc<Self>) {
        let class = OperationClass::Read;
        if self.is_healthy(class) || !self.admits(class) {
            return;
        }
        let handle = Arc::clone(self);
        tokio::spawn(async move {
            let owner = handle.backend.read_owner();
            let asked = handle.call("read_owner", class, owner);
            // The breaker learns of it, of silence too; nobody else asks.
            let _learned = timeout(SILENCE_MAX, asked).await;
        });
    }

    /// Slots for the background; requests of clients do not pass through them.
    pub fn background_slots(&self) -> &Arc<Semaphore> {
        &self.background
    }

    /// Smoothed time to the first byte of reads; `None` before the first.
    pub fn latency(&self) -> Option<Duration> {
        *self.latency.lock()
    }

    /// Smoothed share of calls that failed, in thousandths.
    pub fn errors_permille(&self) -> u32 {
        self.errors.permille()
    }

    /// Calls that are waiting for their answer.
    pub fn calls_in_flight(&self) -> u32 {
        self.calls.load(Ordering::Relaxed)
    }

    fn breaker(&self, class: OperationClass) -> &Breaker {
        match class {
            OperationClass::Read => &self.read_breaker,
            OperationClass::Write => &self.write_breaker,
        }
    }

    /// Runs one call, tells the observer, and lets the breaker learn from how it ended.
    pub async fn call<T>(
        &self,
        operation: &'static str,
        class: OperationClass,
        call: impl Future<Output = Result<T, BackendError>>,
    ) -> Result<T, BackendError> {
        let started = Instant::now();
        let result = self.call_aside(operation, class, call).await;
        if class == OperationClass::Read && result.is_ok() {
            self.learn_latency(started.elapsed());
        }
        result
    }

    /// The same for a call whose time says nothing about what clients' reads take.
    pub(crate) async fn call_aside<T>(
        &self,
        operation: &'static str,
        class: OperationClass,
        call: impl Future<Output = Result<T, BackendError>>,
    ) -> Result<T, BackendError> {
        let started = Instant::now();
        self.calls.fetch_add(1, Ordering::Relaxed);
        let mut waiting = Waiting {
            handle: self,
            class,
            since: started,
            is_answered: false,
        };
        let result = call.await;
        waiting.is_answered = true;
        let took = started.elapsed();
        let error = result.as_ref().err();
        self.observer.backend_call(&BackendCall {
            backend: self.id(),
            operation,
            error: error.map(|e| e.kind),
            took,
        });
        self.learn(class, error);
        result
    }

    /// Lets the breaker learn of a failure that showed after a call had returned, such as a
    /// body that broke off.
    pub fn learn(&self, class: OperationClass, error: Option<&BackendError>) {
        if error.is_none_or(|error| error.kind != BackendErrorKind::Source) {
            self.errors
                .learn(error.is_some_and(BackendError::is_failure));
        }
        let changed = match error {
            Some(error) if error.is_failure() => self.breaker(class).failed(error.retry_after),
            Some(error) if error.kind == BackendErrorKind::Source => None,
            _ => self.breaker(class).succeeded(),
        };
        if let Some(open) = changed {
            self.observer.breaker(self.id(), class, open);
            if open {
                tracing::warn!(backend = %self.id(), class = class.name(), error = ?error.map(ToString::to_string), "breaker opened");
            } else {
                tracing::info!(backend = %self.id(), class = class.name(), "breaker closed");
            }
        }
    }

    /// Whether what was stored are these bytes, as far as the backend tells it. If not, the
    /// breaker learns of it, and the backend asks itself what its tags are worth.
    pub(crate) fn require(
        &self,
        stored: &Stored,
        size: u64,
        md5: Option<&[u8; 16]>,
    ) -> Result<(), BackendError> {
        let judged = stored.require(size, md5);
        if let Err(error) = &judged {
            self.learn(OperationClass::Write, Some(error));
            self.backend.disputed();
        }
        judged
    }

    fn learn_latency(&self, took: Duration) {
        let mut latency = self.latency.lock();
        *latency = Some(match *latency {
            Some(old) => (old * 7 + took) / 8,
            None => took,
        });
    }
}

/// A read that was not answered for so long speaks against the backend, even when whoever
/// asked has gone: clients often give up before a backend's own timeout does, and nothing
/// would ever be learned of one that hangs.
const SILENCE_MAX: Duration = Duration::from_secs(5);

/// A call that has not been answered yet.
struct Waiting<'a> {
    handle: &'a BackendHandle,
    class: OperationClass,
    since: Instant,
    is_answered: bool,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.handle.calls.fetch_sub(1, Ordering::Relaxed);
        // A write may have waited for its own source.
        let silent = !self.is_answered && self.class == OperationClass::Read;
        if silent && self.since.elapsed() >= SILENCE_MAX {
            let silence = "no answer came before the caller gave up";
            let error = BackendError::new(BackendErrorKind::Unavailable, silence);
            self.handle.learn(self.class, Some(&error));
        }
    }
}

/// The backends of a site, in the order of the configuration.
#[derive(Clone)]
pub struct Backends {
    ordered: Arc<Vec<Arc<BackendHandle>>>,
    by_id: Arc<HashMap<BackendId, Arc<BackendHandle>>>,
}

impl Backends {
    /// Puts the backends together; ids must differ (the configuration has checked that).
    pub fn new(
        backends: Vec<(BackendFacts, Arc<dyn Backend>)>,
        observer: &Arc<dyn Observer>,
        settings: &Settings,
    ) -> Self {
        let handle = |(facts, backend): (BackendFacts, Arc<dyn Backend>)| {
            Arc::new(BackendHandle {
                room: Room::new(facts.bytes_max),
                facts,
                backend,
                observer: Arc::clone(observer),
                read_breaker: Breaker::new(settings.breaker_failures_max, settings.breaker_open),
                write_breaker: Breaker::new(settings.breaker_failures_max, settings.breaker_open),
                background: Arc::new(Semaphore::new(settings.background_per_backend_max)),
                latency: Mutex::new(None),
                errors: ErrorShare::default(),
                calls: AtomicU32::new(0),
            })
        };
        let ordered: Vec<_> = backends.into_iter().map(handle).collect();
        let by_id = ordered
            .iter()
            .map(|b| (b.id().clone(), Arc::clone(b)))
            .collect();
        Self {
            ordered: Arc::new(ordered),
            by_id: Arc::new(by_id),
        }
    }

    /// The backend with this id; `None` when the configuration no longer has it.
    pub fn get(&self, id: &BackendId) -> Option<&Arc<BackendHandle>> {
        self.by_id.get(id)
    }

    /// All of them, in the order of the configuration.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<BackendHandle>> {
        self.ordered.iter()
    }

    /// The one at this position of that order.
    pub fn at(&self, position: usize) -> Option<&Arc<BackendHandle>> {
        self.ordered.get(position)
    }

    /// Its position in that order.
    pub fn position(&self, id: &BackendId) -> Option<usize> {
        self.ordered.iter().position(|handle| handle.id() == id)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ordered.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ordered.is_empty()
    }
}

#[cfg(test)]
mod tests;

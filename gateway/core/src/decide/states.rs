//! What deciders are told about backends with every question.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;
use weir_types::Result;
use weir_types::id::BackendId;
use weir_types::record::LedgerRecord;

use crate::backends::BackendHandle;
use crate::gateway::{Gateway, index_error};
use crate::observe::OperationClass;

/// What is known about a backend at this moment; static facts were given to the policy once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BackendState {
    /// Bytes of copies.
    pub used_bytes: u64,
    /// Bytes reserved by writes in flight and by what waits to be deleted.
    pub reserved_bytes: u64,
    /// Bytes it may hold at most.
    pub bytes_max: Option<u64>,
    /// Number of copies.
    pub objects: u64,
    /// Takes new bytes as far as is known.
    pub writable: bool,
    /// Its breaker is closed: that of reads when a read is decided about, else that of writes.
    pub healthy: bool,
    /// Smoothed time to the first byte of reads, in microseconds; 0 when unknown.
    pub latency_us: u64,
    /// Smoothed share of failed calls, in thousandths.
    pub errors_permille: u32,
    /// Calls in flight.
    pub slots_used: u32,
    /// Calls that it takes at once; 0 when unknown.
    pub slots_max: u32,
}

/// Reads are routed by states of at most this age: to gather them costs more than a small read
/// may.
const RECENT: Duration = Duration::from_millis(100);

/// The states that were gathered last.
#[derive(Debug, Default)]
pub(crate) struct RecentStates(Mutex<Option<(Instant, Arc<[BackendState]>)>>);

impl Gateway {
    /// The states that reads are routed by, from a moment ago.
    pub(crate) async fn recent_states(&self) -> Result<Arc<[BackendState]>> {
        let known = self.recent_states.0.lock().clone();
        if let Some((at, states)) = known
            && at.elapsed() < RECENT
        {
            return Ok(states);
        }
        let states = self.states_of(OperationClass::Read).await?;
        let states: Arc<[BackendState]> = states.into();
        *self.recent_states.0.lock() = Some((Instant::now(), Arc::clone(&states)));
        Ok(states)
    }

    /// The state of each backend, in the order of the configuration.
    pub async fn backend_states(&self) -> Result<Vec<BackendState>> {
        self.states_of(OperationClass::Write).await
    }

    async fn states_of(&self, class: OperationClass) -> Result<Vec<BackendState>> {
        let ledger = self.index.ledger().await.map_err(index_error)?;
        let find = |id: &BackendId| ledger.iter().find(|(b, _)| b == id).map(|(_, l)| l);
        let nothing = LedgerRecord::default();
        let state = |handle: &Arc<BackendHandle>| {
            let used = find(handle.id()).unwrap_or(&nothing);
            let latency = handle.latency().unwrap_or_default().as_micros();
            BackendState {
                used_bytes: used.used_bytes,
                reserved_bytes: used.reserved_bytes,
                bytes_max: handle.room().bytes_max(),
                objects: used.used_objects,
                writable: !handle.facts().read_only,
                healthy: handle.is_healthy(class),
                latency_us: u64::try_from(latency).unwrap_or(u64::MAX),
                errors_permille: handle.errors_permille(),
                slots_used: handle.calls_in_flight(),
                slots_max: handle.facts().slots_max,
            }
        };
        Ok(self.backends.iter().map(state).collect())
    }
}

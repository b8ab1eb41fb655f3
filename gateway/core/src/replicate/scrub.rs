//! Scrub: verifies every copy in full, slowly, again and again, so that rot is found while
//! another copy is good.
//!
//! Each backend is walked by itself ([`walker`]), in the order in which the index lists its
//! copies, at a rate of its own ([`pace`]). What is missing or wrong is marked suspect, and
//! repaired as what a reader finds ([`super::repair`]). How far a walk has come stands in the
//! index ([`progress`]): it goes on after a restart, and never passes a copy by that it has not
//! judged. A copy that cannot be reached is not judged; it comes again.
//!
//! Clients come first: each piece that is read waits for a background slot, and for a moment
//! without calls of clients at its backend, though not for long.

mod pace;
mod progress;
mod walker;

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use weir_types::clock::Timestamp;
use weir_types::id::BackendId;
use weir_types::index::IndexError;
use weir_types::record::{FullPass, ScrubPass, ScrubRecord};

use crate::gateway::Gateway;
use walker::Walker;

/// Orders that may wait for one walk.
const ORDERS_MAX: usize = 8;

/// What an operator wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScrubOrder {
    /// The pass that was stopped goes on; where there is none, one begins now.
    Start,
    /// Nothing more is verified until a start, whatever restarts come between.
    Stop,
}

/// Why an order was not followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScrubRefused {
    /// The rate in the settings is 0.
    #[error("scrub is off: limits.scrub_bytes_per_second_max is 0")]
    Off,
    /// No such backend.
    #[error("there is no backend {0}")]
    NoBackend(BackendId),
    /// The background does not run.
    #[error("the background does not run")]
    NotRunning,
    /// The order could not be written down.
    #[error("{0}")]
    Index(IndexError),
}

/// What the verification of a backend's copies is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScrubState {
    /// The rate in the settings is 0.
    Off,
    /// An operator stopped it.
    Stopped,
    /// The next pass is not due.
    Resting,
    /// Its backend, or a copy there, is not reached now.
    Waiting,
    /// A pass goes on.
    Running,
}

impl ScrubState {
    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Stopped => "stopped",
            Self::Resting => "resting",
            Self::Waiting => "waiting",
            Self::Running => "running",
        }
    }
}

/// How far the verification of a backend's copies has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScrubStatus {
    /// The backend.
    pub backend: BackendId,
    /// What it is at.
    pub state: ScrubState,
    /// The pass that is not at its end.
    pub pass: Option<ScrubPass>,
    /// The last pass that left nothing out.
    pub last_full: Option<FullPass>,
    /// When the next pass begins, if nothing comes between.
    pub next_at: Option<Timestamp>,
}

/// The walks of a gateway.
#[derive(Debug, Default)]
pub(crate) struct Scrub(Mutex<BTreeMap<BackendId, Walk>>);

/// A walk as others see it.
#[derive(Debug)]
struct Walk {
    /// How far it has come, once that was read.
    record: Option<ScrubRecord>,
    is_blocked: bool,
    orders: mpsc::Sender<Ordered>,
}

/// An order, and where its answer goes.
type Ordered = (ScrubOrder, oneshot::Sender<Result<(), IndexError>>);

impl Scrub {
    fn enter(&self, backend: &BackendId) -> mpsc::Receiver<Ordered> {
        let (orders, received) = mpsc::channel(ORDERS_MAX);
        let walk = Walk {
            record: None,
            is_blocked: false,
            orders,
        };
        self.0.lock().insert(backend.clone(), walk);
        received
    }

    fn leave(&self, backend: &BackendId) {
        self.0.lock().remove(backend);
    }

    fn show(&self, backend: &BackendId, record: &ScrubRecord) {
        if let Some(walk) = self.0.lock().get_mut(backend) {
            walk.record = Some(record.clone());
        }
    }

    fn block(&self, backend: &BackendId, is_blocked: bool) {
        if let Some(walk) = self.0.lock().get_mut(backend) {
            walk.is_blocked = is_blocked;
        }
    }

    fn walk(&self, backend: &BackendId) -> Option<(ScrubRecord, bool)> {
        let walks = self.0.lock();
        let walk = walks.get(backend)?;
        Some((walk.record.clone()?, walk.is_blocked))
    }

    fn orders(&self, backend: &BackendId) -> Option<mpsc::Sender<Ordered>> {
        self.0.lock().get(backend).map(|walk| walk.orders.clone())
    }
}

/// Walks until `stop` changes; then notes how far it came. Orders are taken from the call on.
pub(super) fn run(gateway: Arc<Gateway>, stop: watch::Receiver<bool>) -> impl Future<Output = ()> {
    let is_off = gateway.settings.scrub_bytes_per_second_max == 0;
    let handles = gateway.backends.iter().filter(|_| !is_off);
    let walks: Vec<_> = handles
        .map(|handle| {
            let walker = Walker::new(Arc::clone(&gateway), Arc::clone(handle));
            (walker, gateway.scrub.enter(handle.id()))
        })
        .collect();
    async move {
        gateway.raise_clock().await;
        let mut tasks = JoinSet::new();
        for (walker, orders) in walks {
            tasks.spawn(walker::run(walker, orders, stop.clone()));
        }
        while let Some(ended) = tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "the scrub of a backend ended abnormally");
            }
        }
        for handle in gateway.backends.iter() {
            gateway.scrub.leave(handle.id());
        }
    }
}

impl Gateway {
    /// How far the verification of copies has come, for each backend in the order of the
    /// configuration.
    pub async fn scrub_status(&self) -> Result<Vec<ScrubStatus>, IndexError> {
        let mut all = Vec::with_capacity(self.backends.len());
        for handle in self.backends.iter() {
            let backend = handle.id().clone();
            let (record, is_blocked) = match self.scrub.walk(&backend) {
                Some(walk) => walk,
                None => (self.index.scrub(&backend).await?.unwrap_or_default(), false),
            };
            let state = match &record.pass {
                _ if self.settings.scrub_bytes_per_second_max == 0 => ScrubState::Off,
                _ if record.held => ScrubState::Stopped,
                None => ScrubState::Resting,
                // All that is left then are copies that could not be reached.
                Some(pass) if is_blocked || pass.walked => ScrubState::Waiting,
                Some(_) => ScrubState::Running,
            };
            let next_at = progress::due_at(&record, self.settings.scrub_interval);
            all.push(ScrubStatus {
                backend,
                state,
                next_at: next_at.filter(|_| state == ScrubState::Resting),
                pass: record.pass,
                last_full: record.last_full,
            });
        }
        Ok(all)
    }

    /// Starts or stops the verification of copies, on one backend or on all. It is written down
    /// when this returns.
    pub async fn scrub(
        &self,
        order: ScrubOrder,
        backend: Option<&BackendId>,
    ) -> Result<(), ScrubRefused> {
        if self.settings.scrub_bytes_per_second_max == 0 {
            return Err(ScrubRefused::Off);
        }
        if let Some(id) = backend.filter(|id| self.backends.get(id).is_none()) {
            return Err(ScrubRefused::NoBackend(id.clone()));
        }
        for handle in self.backends.iter() {
            if backend.is_none_or(|id| id == handle.id()) {
                self.order_scrub(order, handle.id()).await?;
            }
        }
        Ok(())
    }

    async fn order_scrub(&self, order: ScrubOrder, id: &BackendId) -> Result<(), ScrubRefused> {
        let orders = self.scrub.orders(id).ok_or(ScrubRefused::NotRunning)?;
        let (answer, answered) = oneshot::channel();
        let sent = orders.send((order, answer)).await;
        sent.map_err(|_ended| ScrubRefused::NotRunning)?;
        let written = answered.await.map_err(|_ended| ScrubRefused::NotRunning)?;
        written.map_err(ScrubRefused::Index)
    }
}

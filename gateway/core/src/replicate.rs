//! The background: does what commits left to be done, and clears what crashes left behind.
//!
//! Work stands in the index's outbox, written by the same transactions that made it
//! necessary. The [`dispatch`]er starts it when it is due, and holds back in memory what waits
//! for a backend ([`held`]); a [`job`] does one piece. Delivery
//! is at least once: a piece of work looks at what is there, not at what it was told, and
//! takes its entry out of the outbox in the transaction of its last effect. The [`reaper`]
//! looks for what has no entry: intents whose writer died, uploads that nobody finishes. The
//! [`scrub`] verifies every copy in its turn, and enters what is to be repaired.
//!
//! Requests of clients never wait for the background: it has slots of its own.

mod abort;
pub(crate) mod ageing;
mod arrivals;
mod clean;
mod complete;
mod discard;
mod dispatch;
mod held;
mod job;
mod pause;
mod plan;
mod reaper;
mod repair;
mod replica;
mod scrub;
mod transfer;

pub use complete::finish_accepted;
pub(crate) use scrub::Scrub;
pub use scrub::{ScrubOrder, ScrubRefused, ScrubState, ScrubStatus};

use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::gateway::Gateway;
use crate::object::park_stalled_reads;

/// The running background of a gateway. Dropping it does not end it; [`Background::stop`] does.
#[derive(Debug)]
pub struct Background {
    stop: watch::Sender<bool>,
    tasks: [JoinHandle<()>; 4],
}

/// Starts the background of a gateway, on the current runtime.
pub fn run(gateway: &Arc<Gateway>) -> Background {
    let (stop, stopped) = watch::channel(false);
    let dispatcher = dispatch::run(Arc::clone(gateway), stopped.clone());
    let reaper = reaper::run(Arc::clone(gateway), stopped.clone());
    let scrub = scrub::run(Arc::clone(gateway), stopped.clone());
    let parking = park_stalled_reads(Arc::clone(gateway), stopped);
    Background {
        stop,
        tasks: [
            tokio::spawn(dispatcher),
            tokio::spawn(reaper),
            tokio::spawn(scrub),
            tokio::spawn(parking),
        ],
    }
}

impl Background {
    /// Ends the background. Work in progress is dropped where it stands; what it had begun is
    /// condemned, and its entry is tried again by the next background.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        for task in self.tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "a task of the background ended abnormally");
            }
        }
    }
}

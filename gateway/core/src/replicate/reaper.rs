//! Clears what has no entry in the outbox: intents whose writer died, uploads that nobody
//! finishes, memories that have served their time.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use weir_types::clock::Timestamp;
use weir_types::id::{IntentId, UploadId};
use weir_types::index::{Applied, IndexError, Mutation, Refusal};
use weir_types::record::{Intent, IntentPurpose, IntentState};

use crate::gateway::Gateway;

/// Rows read or changed at once.
const PAGE: usize = 1000;

/// An open intent of this process that no writer holds is older than this only when its
/// condemnation failed.
const ORPHANED_AFTER: Duration = Duration::from_secs(300);

/// Memories of each kind dropped in one transaction, for which requests wait.
const EXPIRED_AT_ONCE: usize = 1000;

/// Runs until `stop` changes. The first round takes over what an earlier process left: of its
/// writers none is alive.
pub(super) async fn run(gateway: Arc<Gateway>, mut stop: watch::Receiver<bool>) {
    let mut orphaned_after = Duration::ZERO;
    // Before ages are measured: raised later, it would look like a leap.
    gateway.raise_clock().await;
    loop {
        tokio::select! {
            biased;
            _ = stop.changed() => return,
            result = round(&gateway, orphaned_after) => match result {
                Ok(()) => orphaned_after = ORPHANED_AFTER,
                Err(error) => tracing::error!(%error, "the reaper failed; it will try again"),
            },
        }
        tokio::select! {
            biased;
            _ = stop.changed() => return,
            () = sleep(gateway.settings.reaper_interval) => {}
        }
    }
}

async fn round(gateway: &Gateway, orphaned_after: Duration) -> Result<(), IndexError> {
    watch_clock(gateway).await?;
    condemn_orphans(gateway, orphaned_after).await?;
    abort_stale_uploads(gateway).await?;
    expire(gateway).await
}

/// Watches the clock from the first round on, and notes what it shows.
async fn watch_clock(gateway: &Gateway) -> Result<(), IndexError> {
    let Gateway { ageing, index, .. } = gateway;
    if !ageing.has_begun() {
        let settings = &gateway.settings;
        let shortest = settings.upload_age_max.min(settings.memory_of_deletes);
        let noted = index.clock_note().await?;
        ageing.begin(noted, gateway.now(), shortest / 2);
    }
    if let Some(note) = ageing.to_note(gateway.now()) {
        index.apply(Mutation::NoteClock(note)).await?;
    }
    Ok(())
}

/// What was there before this time has this `age`; `None` when nothing has.
fn older_than(gateway: &Gateway, age: Duration) -> Option<Timestamp> {
    let now = gateway.now();
    let oldest = Timestamp::from_millis(0);
    (now >= gateway.ageing.ripe_at(oldest, age, now))
        .then(|| earlier(now, age))
        .flatten()
}

/// Condemns open intents that no writer holds and that are at least `age` old.
async fn condemn_orphans(gateway: &Gateway, age: Duration) -> Result<(), IndexError> {
    let mut after: Option<IntentId> = None;
    loop {
        let page = gateway.index.intents(after, PAGE).await?;
        let Some(last) = page.last() else {
            return Ok(());
        };
        after = Some(last.intent);
        let now = gateway.now();
        let mut orphans = Vec::new();
        for intent in page {
            if now.since(intent.created_at) >= age && is_orphan(gateway, &intent).await? {
                orphans.push(intent.intent);
            }
        }
        if orphans.is_empty() {
            continue;
        }
        tracing::info!(
            count = orphans.len(),
            "condemning intents whose writers are gone"
        );
        let last_look_at = now.plus(gateway.settings.late_write_max);
        gateway
            .index
            .apply(Mutation::Condemn {
                intents: orphans,
                last_look_at,
                now,
            })
            .await?;
        gateway.crash.pass("reap:condemned").await;
    }
}

/// The order matters: an intent that was open when its page was read and has no writer now
/// has been committed (then condemning it does nothing), or covers an upload that is visible
/// by now, or is an orphan.
async fn is_orphan(gateway: &Gateway, intent: &Intent) -> Result<bool, IndexError> {
    if intent.state != IntentState::Open || gateway.live_intents.contains(&intent.intent) {
        return Ok(false);
    }
    match intent.purpose {
        IntentPurpose::Put | IntentPurpose::Replica => Ok(true),
        IntentPurpose::Upload(upload) => Ok(gateway.index.upload(upload).await?.is_none()),
    }
}

/// Aborts open uploads that are too old.
async fn abort_stale_uploads(gateway: &Gateway) -> Result<(), IndexError> {
    loop {
        let now = gateway.now();
        let Some(before) = older_than(gateway, gateway.settings.upload_age_max) else {
            return Ok(());
        };
        let stale: Vec<UploadId> = gateway.index.stale_uploads(before, PAGE).await?;
        if stale.is_empty() {
            return Ok(());
        }
        for upload in stale {
            let abort = Mutation::AbortUpload {
                upload,
                only_open: true,
                now,
            };
            match gateway.index.apply(abort).await {
                // Its Complete was accepted, or it was aborted, a moment ago.
                Ok(_) | Err(IndexError::Refused(Refusal::NoSuchUpload)) => {}
                Err(error) => return Err(error),
            }
            gateway.crash.pass("reap:aborted").await;
        }
    }
}

/// Forgets all that has served its time. Rests between transactions for as long as they take,
/// so that at most half of the index's time is spent on it.
async fn expire(gateway: &Gateway) -> Result<(), IndexError> {
    let Some(before) = older_than(gateway, gateway.settings.memory_of_deletes) else {
        return Ok(());
    };
    loop {
        let started = Instant::now();
        let expire = Mutation::Expire {
            before,
            limit: EXPIRED_AT_ONCE,
        };
        let Applied::Expired { more: true } = gateway.index.apply(expire).await? else {
            return Ok(());
        };
        sleep(started.elapsed()).await;
    }
}

/// `span` before `now`; `None` before the beginning of time.
fn earlier(now: Timestamp, span: Duration) -> Option<Timestamp> {
    let span = u64::try_from(span.as_millis()).ok()?;
    now.as_millis()
        .checked_sub(span)
        .map(Timestamp::from_millis)
}

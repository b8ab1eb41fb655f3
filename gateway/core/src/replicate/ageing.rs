//! How old things are, by a clock that may leap.
//!
//! What cannot be undone (aborting an upload, forgetting a delete, looking for a late write for
//! the last time) waits for an age that is measured by the wall clock, because it counts over
//! restarts. A clock that is set ahead makes everything old at once. So, when it is seen to
//! leap, all that was there before counts as new: its age begins at the leap. Nothing happens
//! before its time then, and everything at most one age late.
//!
//! A leap is a wall clock that gains on the monotonic one within a process, or that has gone
//! on for longer than half of the shortest age while no process noted it. (Less than that may
//! have been a pause of the site, and costs at most half of an age.) When it happened is noted
//! in the index. A clock that is set back is not seen here:
//! `steady.rs` goes on as time does.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;
use weir_types::clock::Timestamp;
use weir_types::index::ClockNote;

/// The wall clock may gain so much on the monotonic one between two looks.
const GAIN_MAX: Duration = Duration::from_secs(60);

/// How often the clock is noted when nothing is wrong with it.
const NOTE_EVERY: Duration = Duration::from_secs(600);

/// Watches the clock of a process.
#[derive(Debug, Default)]
pub(crate) struct Ageing(Mutex<Option<Watch>>);

#[derive(Debug)]
struct Watch {
    started: Timestamp,
    leapt: Timestamp,
    /// The last look.
    seen: (Timestamp, Instant),
    noted: ClockNote,
}

impl Ageing {
    /// Whether the clock is watched.
    pub(super) fn has_begun(&self) -> bool {
        self.0.lock().is_some()
    }

    /// Begins with what the index has noted. A pause that is longer than `pause_max` counts as
    /// a leap.
    pub(super) fn begin(&self, noted: ClockNote, now: Timestamp, pause_max: Duration) {
        let leapt = if now.since(noted.seen) > pause_max {
            if noted != ClockNote::default() {
                tracing::warn!(%now, seen = %noted.seen, "the clock was not noted for long: ages count from now");
            }
            now
        } else {
            noted.leapt
        };
        *self.0.lock() = Some(Watch {
            started: now,
            leapt,
            seen: (now, Instant::now()),
            noted,
        });
    }

    /// When what was there at `since` has its `age`: before the watch has begun, one age from
    /// now.
    pub(super) fn ripe_at(&self, since: Timestamp, age: Duration, now: Timestamp) -> Timestamp {
        let leapt = self.look(now).as_ref().map(|watch| watch.leapt);
        since.max(leapt.unwrap_or(now)).plus(age)
    }

    /// The same for ages that are so short that they are counted anew by each process.
    pub(super) fn ripe_here_at(
        &self,
        since: Timestamp,
        age: Duration,
        now: Timestamp,
    ) -> Timestamp {
        let started = self.look(now).as_ref().map(|watch| watch.started);
        self.ripe_at(since.max(started.unwrap_or(now)), age, now)
    }

    /// What should be noted in the index now, if anything.
    pub(super) fn to_note(&self, now: Timestamp) -> Option<ClockNote> {
        let mut watch = self.look(now);
        let watch = watch.as_mut()?;
        let note = ClockNote {
            seen: now,
            leapt: watch.leapt,
        };
        let due = note.leapt != watch.noted.leapt || now.since(watch.noted.seen) >= NOTE_EVERY;
        due.then(|| {
            watch.noted = note;
            note
        })
    }

    fn look(&self, now: Timestamp) -> parking_lot::MutexGuard<'_, Option<Watch>> {
        let mut watch = self.0.lock();
        if let Some(watch) = watch.as_mut() {
            let (seen, at) = watch.seen;
            let gained = now.since(seen).saturating_sub(at.elapsed());
            if gained > GAIN_MAX {
                tracing::warn!(%now, %seen, "the clock has leapt: ages count from now");
                watch.leapt = now;
            }
            watch.seen = (now, Instant::now());
        }
        watch
    }
}

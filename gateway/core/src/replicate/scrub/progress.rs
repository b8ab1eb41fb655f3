//! How far a pass has come, step by step.

use std::time::Duration;

use weir_types::clock::Timestamp;
use weir_types::record::{CopyPosition, FullPass, ScrubPass, ScrubRecord};

/// Copies of a pass that may wait to be reached. With more, the walk goes no further until some
/// have been.
pub(super) const AGAIN_MAX: usize = 256;

/// When the next pass is due; `None` when none ever began.
pub(super) fn due_at(record: &ScrubRecord, interval: Duration) -> Option<Timestamp> {
    record.began_at.map(|began| began.plus(interval))
}

/// A pass begins.
pub(super) fn begin(record: &mut ScrubRecord, now: Timestamp) {
    record.began_at = Some(now);
    record.pass = Some(ScrubPass {
        began_at: now,
        ..ScrubPass::default()
    });
}

/// Ends the pass. One that leaves copies out was not a full one.
pub(super) fn end(record: &mut ScrubRecord, now: Timestamp) {
    let Some(pass) = record.pass.take() else {
        return;
    };
    if pass.walked && pass.again.is_empty() {
        record.last_full = Some(FullPass {
            began_at: pass.began_at,
            ended_at: now,
            counts: pass.counts,
        });
    }
}

/// A copy of so many bytes was judged.
pub(super) fn judged(pass: &mut ScrubPass, position: CopyPosition, bytes: u64, is_right: bool) {
    pass.counts.copies += 1;
    pass.counts.bytes = pass.counts.bytes.saturating_add(bytes);
    pass.counts.suspects += u64::from(!is_right);
    passed(pass, position);
}

/// There is nothing to judge: the copy is gone, or is being repaired already.
pub(super) fn passed(pass: &mut ScrubPass, position: CopyPosition) {
    if !came_again(pass, position) {
        pass.cursor = pass.cursor.max(Some(position));
    }
}

/// A copy could not be reached. The walk goes on, and the copy comes again.
pub(super) fn skipped(pass: &mut ScrubPass, position: CopyPosition) {
    pass.counts.skipped += 1;
    if !came_again(pass, position) {
        pass.cursor = pass.cursor.max(Some(position));
    }
    pass.again.push(position);
}

/// Takes a copy from those that come again, if it is one of them.
fn came_again(pass: &mut ScrubPass, position: CopyPosition) -> bool {
    let before = pass.again.len();
    pass.again.retain(|waiting| *waiting != position);
    pass.again.len() < before
}

#[cfg(test)]
mod tests {
    use weir_types::id::BlobId;

    use super::*;

    #[test]
    fn a_pass_is_full_when_everything_was_judged() {
        let at = Timestamp::from_millis;
        let (a, b, c) = ((BlobId(1), 1), (BlobId(1), 2), (BlobId(7), 1));
        let hour = Duration::from_secs(3600);
        for reached in [true, false] {
            let mut record = ScrubRecord::default();
            assert_eq!(due_at(&record, hour), None);
            begin(&mut record, at(1000));
            assert_eq!(due_at(&record, hour), Some(at(3_601_000)));
            let pass = record.pass.as_mut().expect("it began");
            judged(pass, a, 10, true);
            skipped(pass, b);
            judged(pass, c, 5, false);
            skipped(pass, b);
            assert_eq!(
                (pass.cursor, pass.again.as_slice()),
                (Some(c), [b].as_slice())
            );
            if reached {
                judged(pass, b, 7, true);
                assert_eq!(pass.cursor, Some(c), "it does not go back");
            }
            pass.walked = true;
            let counts = pass.counts;
            end(&mut record, at(5000));
            let full = FullPass {
                began_at: at(1000),
                ended_at: at(5000),
                counts,
            };
            assert_eq!(record.last_full, reached.then_some(full));
            assert_eq!(record.pass, None);
            let judged = if reached { (3, 22) } else { (2, 15) };
            assert_eq!((counts.copies, counts.bytes), judged);
            assert_eq!((counts.suspects, counts.skipped), (1, 2));
        }
    }
}

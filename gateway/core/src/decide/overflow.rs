//! What happens to a new version when nothing that was proposed for it has room.

use weir_types::error::ErrorCode;
use weir_types::id::BackendId;
use weir_types::record::Placement;
use weir_types::{Error, Result};

use super::placement::Decided;
use super::{Excluded, Obstacle, OverflowProposal, Verdict};
use crate::gateway::Gateway;
use crate::observe::{Clamped, Overflow, Trace};

/// What a policy may tell a client, or leave with an object.
const REASON_CHARS_MAX: usize = 200;

impl Gateway {
    /// Lets the version overflow when none of its candidates has room for it, as far as is
    /// known: then it need not be read to be refused.
    pub(crate) fn require_room(&self, decided: &mut Decided<'_>, trace: &Trace) -> Result<()> {
        // What begins without a length needs a byte at least.
        let bytes = decided.request.size_bytes.unwrap_or(1);
        let candidates = decided.placement.candidates.iter();
        let full = candidates.filter(|id| !self.fits(decided, id, bytes));
        let excluded: Vec<Excluded> = full.filter_map(|id| self.excluded(id)).collect();
        if excluded.len() < decided.placement.candidates.len() {
            return Ok(());
        }
        self.overflow(decided, &excluded, trace)
    }

    /// The same when every candidate has said that it is full. Asks only once for a version.
    pub(crate) async fn overflow_of_full(
        &self,
        decided: &mut Decided<'_>,
        full: &[BackendId],
        trace: &Trace,
    ) -> Result<()> {
        if !decided.placement.home.is_empty() {
            return Err(no_room());
        }
        decided.states = self.backend_states().await?;
        let excluded: Vec<Excluded> = full.iter().filter_map(|id| self.excluded(id)).collect();
        self.overflow(decided, &excluded, trace)
    }

    /// Asks what is to happen, and sees that constraints and room hold in what is answered.
    fn overflow(
        &self,
        decided: &mut Decided<'_>,
        excluded: &[Excluded],
        trace: &Trace,
    ) -> Result<()> {
        let policy = &decided.policy;
        let answer = self
            .decider
            .overflow(policy, &decided.request, excluded, &decided.states)?;
        let Some(OverflowProposal {
            revision,
            reason,
            verdict,
        }) = answer
        else {
            return Err(no_room());
        };
        trace.policy(&revision);
        let reason = printable(&reason);
        let (positions, outcome) = match verdict {
            Verdict::Spill(positions) => (positions, Overflow::Spilled),
            Verdict::Refuse => {
                self.observer.overflow(&policy.name, Overflow::Refused);
                return Err(refused(ErrorCode::QuotaExceeded, &reason));
            }
            Verdict::MakeRoom { meanwhile, .. } => {
                self.observer.clamped(&policy.name, Clamped::MakeRoom);
                (meanwhile, Overflow::Meanwhile)
            }
        };
        let come_back = outcome == Overflow::Meanwhile && positions.is_empty();
        let bytes = decided.request.size_bytes.unwrap_or(1);
        let mut candidates = self.allowed(policy, &positions);
        candidates.retain(|id| {
            let is_excluded = excluded.iter().any(|full| self.is_at(full.backend, id));
            !is_excluded && self.fits(decided, id, bytes)
        });
        if candidates.is_empty() {
            self.observer.overflow(&policy.name, Overflow::Refused);
            let code = if come_back {
                ErrorCode::ServiceUnavailable
            } else {
                ErrorCode::QuotaExceeded
            };
            return Err(refused(code, &reason));
        }
        self.observer.overflow(&policy.name, outcome);
        let placement = &mut decided.placement;
        let home = std::mem::take(&mut placement.candidates);
        let further = home.iter().filter(|id| !candidates.contains(id));
        let further: Vec<BackendId> = further.cloned().collect();
        // Further copies may well find room at home.
        candidates.extend(further);
        *placement = Placement {
            reason: format!(
                "spilled over: {reason}; placed first by {}: {}",
                placement.revision, placement.reason
            ),
            revision,
            copies_wanted: placement.copies_wanted,
            candidates,
            storage_policy: placement.storage_policy.take(),
            home,
        };
        Ok(())
    }

    /// Whether a backend has room for so many bytes, as far as is known.
    fn fits(&self, decided: &Decided<'_>, id: &BackendId, bytes: u64) -> bool {
        let Some(position) = self.backends.position(id) else {
            return false;
        };
        match (self.backends.at(position), decided.states.get(position)) {
            (Some(handle), Some(state)) => {
                let noted = state.used_bytes.saturating_add(state.reserved_bytes);
                handle.room().fits(noted, bytes)
            }
            _ => false,
        }
    }

    fn excluded(&self, id: &BackendId) -> Option<Excluded> {
        let obstacle = Obstacle::Bytes;
        let position = self.backends.position(id);
        position.map(|backend| Excluded { backend, obstacle })
    }

    fn is_at(&self, position: usize, id: &BackendId) -> bool {
        self.backends.position(id) == Some(position)
    }
}

/// What a client is told when there is no room and nobody has more to say about it.
pub(crate) fn no_room() -> Error {
    refused(ErrorCode::QuotaExceeded, "")
}

fn refused(code: ErrorCode, reason: &str) -> Error {
    if reason.is_empty() {
        return Error::new(code, "The backends that this object may lie on are full.");
    }
    Error::new(code, reason.to_owned())
}

/// A policy's words, fit for a record and for an answer.
fn printable(reason: &str) -> String {
    let plain = reason.chars().map(|c| if c.is_control() { ' ' } else { c });
    let cut: String = plain.take(REASON_CHARS_MAX).collect();
    cut.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_fit_to_be_shown() {
        let long = "x".repeat(REASON_CHARS_MAX + 1);
        let cases = [
            ("full until Monday", "full until Monday"),
            (" a\r\nb\u{0}c\u{7f}\u{9b} ", "a  b c"),
            ("\n", ""),
            (long.as_str(), &long[1..]),
        ];
        for (reason, want) in cases {
            assert_eq!(printable(reason), want, "{reason:?}");
        }
    }
}

//! What the verification of copies has come to, as data and as text.

use std::fmt;

use serde::{Deserialize, Serialize};
use weir_core::replicate::{ScrubState, ScrubStatus};
use weir_types::index::{Index, IndexError};
use weir_types::record::{LedgerRecord, ScrubCounts, ScrubPass};

use crate::site::Site;

/// The verification of all backends' copies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScrubReport {
    /// Each backend, in the order of the configuration.
    pub backends: Vec<BackendScrub>,
}

/// The verification of one backend's copies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackendScrub {
    /// The backend.
    pub id: String,
    /// `off`, `stopped`, `resting`, `waiting` for its backend, `running`.
    pub state: String,
    /// The pass in progress.
    pub pass: Option<PassReport>,
    /// The last pass that left nothing out.
    pub last_full: Option<FullReport>,
    /// When the next pass begins.
    pub next_at: Option<String>,
}

/// A pass in progress.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PassReport {
    /// When it began.
    pub began_at: String,
    /// Copies verified, those that were found wrong included.
    pub copies: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Of a thousand bytes on the backend, so many are verified; copies that come and go
    /// meanwhile make it an estimate.
    pub coverage_permille: u64,
    /// Copies found wrong or missing.
    pub suspects: u64,
    /// How often a copy could not be reached.
    pub skipped: u64,
    /// Copies that could not be reached yet, and come again.
    pub to_come_again: u64,
}

/// A pass that left nothing out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FullReport {
    /// When it began: what was there then was verified since.
    pub began_at: String,
    /// When it ended.
    pub ended_at: String,
    /// Copies verified.
    pub copies: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Copies found wrong or missing.
    pub suspects: u64,
    /// How often a copy could not be reached at first.
    pub skipped: u64,
}

impl Site {
    /// What the verification of copies has come to.
    pub async fn scrub(&self) -> Result<ScrubReport, IndexError> {
        let ledger = self.index.ledger().await?;
        let nothing = LedgerRecord::default();
        let report = |status: ScrubStatus| {
            let used = ledger.iter().find(|(id, _)| *id == status.backend);
            let used = used.map_or(&nothing, |(_, used)| used);
            BackendScrub {
                id: status.backend.to_string(),
                state: status.state.name().to_owned(),
                pass: status.pass.as_ref().map(|pass| pass_report(pass, used)),
                last_full: status.last_full.map(|full| {
                    let ScrubCounts {
                        copies,
                        bytes,
                        suspects,
                        skipped,
                    } = full.counts;
                    FullReport {
                        began_at: full.began_at.to_string(),
                        ended_at: full.ended_at.to_string(),
                        copies,
                        bytes,
                        suspects,
                        skipped,
                    }
                }),
                next_at: status.next_at.map(|at| at.to_string()),
            }
        };
        let all = self.gateway.scrub_status().await?;
        let backends = all.into_iter().map(report).collect();
        Ok(ScrubReport { backends })
    }
}

fn pass_report(pass: &ScrubPass, used: &LedgerRecord) -> PassReport {
    let counts = pass.counts;
    PassReport {
        began_at: pass.began_at.to_string(),
        copies: counts.copies,
        bytes: counts.bytes,
        coverage_permille: coverage_permille(pass, used),
        suspects: counts.suspects,
        skipped: counts.skipped,
        to_come_again: pass.again.len() as u64,
    }
}

/// Of a thousand bytes on a backend, how many a pass has verified. All of them only at its end.
pub(crate) fn coverage_permille(pass: &ScrubPass, used: &LedgerRecord) -> u64 {
    let (done, all) = match used.used_bytes {
        0 => (pass.counts.copies, used.used_objects),
        bytes => (pass.counts.bytes, bytes),
    };
    let permille = u128::from(done) * 1000 / u128::from(all.max(1));
    u64::try_from(permille.min(999)).unwrap_or(999)
}

impl BackendScrub {
    /// Whether there is something to tell on a page about everything.
    pub(crate) fn is_worth_a_word(&self) -> bool {
        self.state != ScrubState::Off.name() || self.pass.is_some() || self.last_full.is_some()
    }
}

impl fmt::Display for ScrubReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for backend in &self.backends {
            writeln!(f, "{}: {backend}", backend.id)?;
        }
        Ok(())
    }
}

impl fmt::Display for BackendScrub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.state)?;
        if let Some(pass) = &self.pass {
            let share = pass.coverage_permille;
            write!(
                f,
                ", {}.{} % of a pass since {}: {} copies, {} bytes, {} suspect",
                share / 10,
                share % 10,
                pass.began_at,
                pass.copies,
                pass.bytes,
                pass.suspects
            )?;
            if pass.skipped > 0 {
                write!(
                    f,
                    ", not reached {} times, {} still to come",
                    pass.skipped, pass.to_come_again
                )?;
            }
        }
        match &self.last_full {
            Some(full) => write!(
                f,
                " · last full pass {} to {}: {} copies, {} bytes, {} suspect",
                full.began_at, full.ended_at, full.copies, full.bytes, full.suspects
            )?,
            None => f.write_str(" · no full pass yet")?,
        }
        match &self.next_at {
            Some(at) => write!(f, " · next at {at}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coverage_is_whole_only_at_the_end() {
        // Copies and bytes verified, copies and bytes there, and the share.
        for (copies, bytes, used_objects, used_bytes, share) in [
            (0, 0, 0, 0, 0),
            (1, 0, 4, 0, 250),
            (3, 100, 9, 800, 125),
            (9, 800, 9, 800, 999),
            (9, 900, 2, 10, 999),
            (9, u64::MAX, 9, u64::MAX, 999),
        ] {
            let pass = ScrubPass {
                counts: ScrubCounts {
                    copies,
                    bytes,
                    ..ScrubCounts::default()
                },
                ..ScrubPass::default()
            };
            let used = LedgerRecord {
                used_bytes,
                used_objects,
                reserved_bytes: 7,
            };
            assert_eq!(coverage_permille(&pass, &used), share, "{pass:?} {used:?}");
        }
    }

    #[test]
    fn a_report_reads_well() {
        let mut report = BackendScrub {
            id: "disk-a".into(),
            state: "resting".into(),
            pass: None,
            last_full: None,
            next_at: Some("T3".into()),
        };
        assert_eq!(
            report.to_string(),
            "resting · no full pass yet · next at T3"
        );
        report.last_full = Some(FullReport {
            began_at: "T0".into(),
            ended_at: "T1".into(),
            copies: 5,
            bytes: 70,
            suspects: 1,
            skipped: 0,
        });
        report.next_at = None;
        report.pass = Some(PassReport {
            began_at: "T2".into(),
            copies: 2,
            bytes: 40,
            coverage_permille: 567,
            suspects: 0,
            skipped: 4,
            to_come_again: 1,
        });
        assert_eq!(
            report.to_string(),
            "resting, 56.7 % of a pass since T2: 2 copies, 40 bytes, 0 suspect, not reached \
             4 times, 1 still to come · last full pass T0 to T1: 5 copies, 70 bytes, 1 suspect"
        );
    }
}

//! Where a shadow would have decided otherwise, and the audit trail, as they are shown.

use std::fmt;

use serde::Serialize;
use weir_policy::{Differences, StaticFacts};

use super::audit::{Named, Record};
use super::state::short;
use super::{Policies, PolicyError};
use crate::in_words;

/// Where the shadow of a policy would have decided otherwise.
#[derive(Debug, Clone, Serialize)]
pub struct ShownDifferences {
    /// The policy.
    pub policy: String,
    /// Counts and the latest differences.
    #[serde(flatten)]
    pub differences: Differences,
    #[serde(skip)]
    facts: StaticFacts,
}

impl Policies {
    /// Where the shadow of a policy, or its last one, would have decided otherwise.
    pub fn differences(&self, name: &str) -> Result<ShownDifferences, PolicyError> {
        let _known = self.entry(name)?;
        Ok(ShownDifferences {
            policy: name.to_owned(),
            differences: self.host.differences(name),
            facts: StaticFacts::clone(&self.facts),
        })
    }
}

impl fmt::Display for ShownDifferences {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Differences {
            revision,
            counts,
            latest,
        } = &self.differences;
        let Some(revision) = revision else {
            return writeln!(f, "{}: no revision was tried as a shadow", self.policy);
        };
        writeln!(
            f,
            "{}: shadow {}: {} compared, {} differ ({} without an answer), {} not compared, {} wait",
            self.policy,
            short(&revision.to_string()),
            counts.compared,
            counts.differing,
            counts.faults,
            counts.dropped,
            counts.waiting,
        )?;
        for difference in latest {
            let (subject, bytes) = in_words::subject(&difference.input);
            writeln!(f, "  {} {subject} ({bytes} bytes)", difference.input.kind())?;
            let decided = in_words::answer(&difference.decided, &self.facts);
            let decider = &*difference.decided_by;
            let (name, digits) = decider.split_once('@').unwrap_or((decider, ""));
            writeln!(f, "    {name} {}: {decided}", short(digits))?;
            match (&difference.shadow, &difference.fault) {
                (Some(answer), _) => {
                    writeln!(f, "    shadow: {}", in_words::answer(answer, &self.facts))?;
                }
                (None, Some(fault)) => writeln!(f, "    shadow: {fault}")?,
                (None, None) => writeln!(f, "    shadow: no answer")?,
            }
        }
        Ok(())
    }
}

/// Lines of the audit trail.
#[derive(Debug, Clone, Serialize)]
#[serde(transparent)]
pub struct Trail(pub Vec<Record>);

impl fmt::Display for Trail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = |named: &Option<Named>| {
            let revision = named
                .as_ref()
                .map(|named| short(&named.revision).to_owned());
            revision.unwrap_or_else(|| "-".to_owned())
        };
        for record in &self.0 {
            let Record {
                seq,
                at,
                who,
                policy,
                step,
                result,
                ..
            } = record;
            write!(f, "{seq} {at} {} {policy}: {}", who.name(), step.name())?;
            if record.from.is_some() || record.to.is_some() {
                write!(f, " {} → {}", named(&record.from), named(&record.to))?;
            }
            if let Some(share) = record.share_permille {
                write!(f, " ({share} of 1000)")?;
            }
            writeln!(f, ": {}", result.escape_debug())?;
        }
        Ok(())
    }
}

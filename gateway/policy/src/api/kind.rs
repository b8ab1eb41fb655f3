//! The questions themselves.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The questions that a policy may answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DecisionKind {
    /// Where a new version goes.
    Placement,
    /// What happens when the preferred backends are full.
    Overflow,
    /// Which copies an object should have now.
    Replication,
    /// In which order copies are tried.
    ReadRouting,
}

impl DecisionKind {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::Placement,
        Self::Overflow,
        Self::Replication,
        Self::ReadRouting,
    ];

    /// Its interface's name in the WIT package.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Placement => "placement",
            Self::Overflow => "overflow",
            Self::Replication => "replication",
            Self::ReadRouting => "read-routing",
        }
    }
}

impl fmt::Display for DecisionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A set of questions.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "Vec<DecisionKind>", into = "Vec<DecisionKind>")]
pub struct Decisions(u8);

impl Decisions {
    /// Whether `kind` is in it.
    #[must_use]
    pub const fn contains(self, kind: DecisionKind) -> bool {
        self.0 & (1 << kind as u8) != 0
    }

    /// Whether nothing is in it.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// What is in it, in the order of [`DecisionKind::ALL`].
    pub fn iter(self) -> impl Iterator<Item = DecisionKind> {
        DecisionKind::ALL
            .into_iter()
            .filter(move |kind| self.contains(*kind))
    }
}

impl FromIterator<DecisionKind> for Decisions {
    fn from_iter<T: IntoIterator<Item = DecisionKind>>(kinds: T) -> Self {
        let bits = |set, kind| set | 1 << kind as u8;
        Self(kinds.into_iter().fold(0, bits))
    }
}

impl From<Vec<DecisionKind>> for Decisions {
    fn from(kinds: Vec<DecisionKind>) -> Self {
        kinds.into_iter().collect()
    }
}

impl From<Decisions> for Vec<DecisionKind> {
    fn from(set: Decisions) -> Self {
        set.iter().collect()
    }
}

/// The names, joined by commas; `nothing` for the empty set.
impl fmt::Display for Decisions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("nothing");
        }
        for (n, kind) in self.iter().enumerate() {
            let comma = if n == 0 { "" } else { ", " };
            write!(f, "{comma}{kind}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Decisions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Decisions({self})")
    }
}

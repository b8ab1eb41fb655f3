//! What happens when the preferred backends are full or over a usage limit.

/// Which limit stands in the way of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// Bytes stored.
    Bytes,
    /// Objects stored.
    Objects,
    /// Writing requests of the calendar month.
    MonthWrites,
    /// Bytes sent in the calendar month.
    MonthIngress,
}

/// A backend that placement proposed and the host may not use now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Excluded {
    /// Index of the backend.
    pub backend: u32,
    /// Why.
    pub obstacle: Obstacle,
    /// When a monthly limit begins anew, milliseconds since 1970; `None` for
    /// the others.
    pub resets_at_ms: Option<u64>,
}

/// Objects that could make room by moving elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Eviction {
    /// Index of the backend that they leave.
    pub source: u32,
    /// Indices of the backends that may take them, best first.
    pub targets: Vec<u32>,
    /// Only keys that start with this.
    pub prefix: String,
    /// Only objects of this storage class; `None`: of any.
    pub storage_class: Option<String>,
    /// Only objects that were written at least so long ago.
    pub age_ms_min: u64,
    /// At most so many bytes.
    pub bytes_max: u64,
}

/// What is to happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Write to these instead, best first; at least one. The object carries a
    /// mark and goes home when there is room again.
    Spill(Vec<u32>),
    /// Write nowhere. The client is told the reason.
    Refuse,
    /// Move other objects away.
    MakeRoom {
        /// What may move; at least one.
        evictions: Vec<Eviction>,
        /// Where this object goes meanwhile, best first; when it is empty the
        /// client is told to come back later.
        meanwhile: Vec<u32>,
    },
}

/// A proposal for a write that finds no room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overflow {
    /// What is to happen.
    pub verdict: Verdict,
    /// Why, in a few words.
    pub reason: String,
}

impl Overflow {
    /// Write to these backends instead, best first; without any, refuse.
    #[must_use]
    pub fn spill(candidates: impl IntoIterator<Item = u32>) -> Self {
        let candidates: Vec<_> = candidates.into_iter().collect();
        if candidates.is_empty() {
            return Self::refuse();
        }
        Self::new(Verdict::Spill(candidates))
    }

    /// Write nowhere.
    #[must_use]
    pub fn refuse() -> Self {
        Self::new(Verdict::Refuse)
    }

    /// Move other objects away, and write this one to `meanwhile`.
    #[must_use]
    pub fn make_room(evictions: Vec<Eviction>, meanwhile: Vec<u32>) -> Self {
        Self::new(Verdict::MakeRoom {
            evictions,
            meanwhile,
        })
    }

    /// The same with a reason.
    #[must_use]
    pub fn because(mut self, reason: impl Into<String>) -> Self {
        self.reason = reason.into();
        self
    }

    fn new(verdict: Verdict) -> Self {
        Self {
            verdict,
            reason: String::new(),
        }
    }
}

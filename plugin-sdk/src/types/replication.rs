//! Which copies an object should have now.

use super::facts::{Label, label};

/// Why the host asks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Occasion {
    /// The object was just committed.
    #[default]
    Committed,
    /// A copy is missing, looked wrong, or lies on a backend that is gone.
    Repair,
    /// Nothing happened; the host looks again now and then.
    Review,
}

/// What is known about a copy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CopyState {
    /// Nothing is known against it.
    #[default]
    Good,
    /// Looked wrong to a reader; not verified again yet.
    Suspect,
}

/// One copy of an object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ObjectCopy {
    /// Index of the backend.
    pub backend: u32,
    /// What is known about it.
    pub state: CopyState,
    /// When it was written, milliseconds since 1970.
    pub written_at_ms: u64,
}

/// The object with what is known about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Object {
    /// Bucket.
    pub bucket: String,
    /// Key.
    pub key: String,
    /// Size.
    pub size_bytes: u64,
    /// Content type.
    pub content_type: Option<String>,
    /// `x-amz-storage-class`.
    pub storage_class: Option<String>,
    /// The operator's storage policy that applies.
    pub storage_policy: Option<String>,
    /// Object tags.
    pub tags: Vec<Label>,
    /// As in [`crate::Request::user_metadata`].
    pub user_metadata: Vec<Label>,
    /// When the version was committed, milliseconds since 1970.
    pub created_at_ms: u64,
    /// Copies that its placement wants.
    pub copies_wanted: u32,
    /// Indices of the backends that its placement proposed, best first.
    pub candidates: Vec<u32>,
    /// Its copies.
    pub copies: Vec<ObjectCopy>,
    /// Why the host asks.
    pub occasion: Occasion,
    /// The host's clock, milliseconds since 1970-01-01T00:00:00Z.
    pub now_ms: u64,
    /// Fresh random bits for this decision.
    pub entropy: u64,
}

impl Object {
    /// The value of one of its tags.
    #[must_use]
    pub fn tag(&self, name: &str) -> Option<&str> {
        label(&self.tags, name)
    }

    /// How long ago it was committed; 0 if that lies ahead.
    #[must_use]
    pub fn age_ms(&self) -> u64 {
        self.now_ms.saturating_sub(self.created_at_ms)
    }

    /// Whether a good copy lies on `backend`.
    #[must_use]
    pub fn has_good_copy(&self, backend: u32) -> bool {
        self.good_copies().any(|index| index == backend)
    }

    /// The backends that hold a good copy.
    pub fn good_copies(&self) -> impl Iterator<Item = u32> {
        let good = self
            .copies
            .iter()
            .filter(|copy| copy.state == CopyState::Good);
        good.map(|copy| copy.backend)
    }
}

/// A copy that should be made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Addition {
    /// Index of a backend that holds no good copy.
    pub backend: u32,
    /// 0 is done first.
    pub priority: u8,
    /// Not earlier than this time, milliseconds since 1970; 0: now.
    pub not_before_ms: u64,
}

/// A proposal: which copies to make and to drop.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replication {
    /// Copies that should be made, each backend at most once, in order.
    pub add: Vec<Addition>,
    /// Indices of backends whose copies should go, worst first, none that is
    /// in `add`.
    pub drop: Vec<u32>,
    /// Why, in a few words.
    pub reason: String,
}

impl Replication {
    /// What makes `wanted` the backends that hold the object: copies are made
    /// where none lies, and what lies elsewhere goes. The host drops nothing
    /// before enough good copies are there.
    #[must_use]
    pub fn towards(wanted: &[u32], object: &Object) -> Self {
        let missing = wanted.iter().filter(|index| !object.has_good_copy(**index));
        let add = missing.map(|index| Addition {
            backend: *index,
            ..Addition::default()
        });
        let held = object.copies.iter().map(|copy| copy.backend);
        Self {
            add: add.collect(),
            drop: held.filter(|index| !wanted.contains(index)).collect(),
            reason: String::new(),
        }
    }

    /// The same with a reason.
    #[must_use]
    pub fn because(mut self, reason: impl Into<String>) -> Self {
        self.reason = reason.into();
        self
    }
}

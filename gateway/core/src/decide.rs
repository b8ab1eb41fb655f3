//! What policies decide, and what they cannot.
//!
//! A [`Decider`] (the Wasm policy host, or anything else) sees plain facts and proposes: where a
//! new version goes, what happens when there is no room, which copies an object should have, in
//! which order they are read. The core then applies the [`Constraints`], which no policy can
//! widen; it applies them again before each write of bytes, to every copy, whoever proposed it.

mod answer;
mod constraints;
mod native;
mod overflow;
mod placement;
mod question;
mod states;

use std::sync::Arc;

use weir_types::Result;

pub use answer::{Addition, CopiesProposal, OverflowProposal, Proposal, Route, Verdict};
pub use constraints::{Constraints, StoragePolicy};
pub use native::LeastUsed;
pub(crate) use overflow::no_room;
pub(crate) use placement::{Decided, forbidden};
pub use question::{
    Excluded, HeldCopy, ObjectState, Obstacle, Occasion, PlaceRequest, ReadState, Scope,
};
pub use states::BackendState;
pub(crate) use states::RecentStates;

/// Decides what the configuration leaves to policies. Nothing in its answers is trusted.
///
/// Backends are named by their position in the list of [`BackendState`]s, which is in the order
/// of the configuration. Every method is synchronous and quick (microseconds): most run on the
/// request path. A policy that fails inside falls back inside; an `Err` means that the binding's
/// rule is to refuse.
pub trait Decider: Send + Sync + 'static {
    /// The storage policy that applies to what is written.
    fn storage_policy(&self, scope: &Scope<'_>) -> Arc<StoragePolicy>;

    /// The storage policy under which something was written: every one that
    /// [`Decider::storage_policy`] gave is found by its name, by later processes too. `None` is
    /// the name in records from before there were storage policies; it finds the default.
    /// What the configuration no longer has is not found, and gets no further copies.
    fn named(&self, name: Option<&str>) -> Option<Arc<StoragePolicy>>;

    /// Where a new version goes.
    fn place(
        &self,
        policy: &StoragePolicy,
        request: &PlaceRequest<'_>,
        backends: &[BackendState],
    ) -> Result<Proposal>;

    /// What happens to a new version when nothing that was proposed for it has room; `None`
    /// when no policy is bound to that.
    fn overflow(
        &self,
        _policy: &StoragePolicy,
        _request: &PlaceRequest<'_>,
        _excluded: &[Excluded],
        _backends: &[BackendState],
    ) -> Result<Option<OverflowProposal>> {
        Ok(None)
    }

    /// Whether a policy says which copies objects should have: asked before facts are gathered.
    fn replicates(&self, _policy: &StoragePolicy) -> bool {
        false
    }

    /// Which copies an object should have; `None` when no policy is bound to that, or its
    /// binding refuses.
    fn replicate(
        &self,
        _policy: &StoragePolicy,
        _object: &ObjectState<'_>,
        _backends: &[BackendState],
    ) -> Option<CopiesProposal> {
        None
    }

    /// Whether any storage policy has a policy that orders reads. Asked by every read: one load
    /// from memory.
    fn routes_any(&self) -> bool {
        false
    }

    /// Whether a policy orders the reads of this storage policy's objects.
    fn routes(&self, _policy: &StoragePolicy) -> bool {
        false
    }

    /// In which order an object's copies are tried; `None` when no policy is bound to that, or
    /// its binding refuses.
    fn route(
        &self,
        _policy: &StoragePolicy,
        _read: &ReadState<'_>,
        _backends: &[BackendState],
    ) -> Option<Route> {
        None
    }
}

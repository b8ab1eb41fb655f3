//! Deciders that do what a test says.

use std::sync::Arc;

use weir_core::decide::{
    BackendState, CopiesProposal, Decider, Excluded, ObjectState, OverflowProposal, PlaceRequest,
    Proposal, ReadState, Route, Scope, StoragePolicy,
};
use weir_types::Result;

type Place = dyn Fn(&StoragePolicy, &PlaceRequest<'_>, &[BackendState]) -> Proposal + Send + Sync;
type Overflow = dyn Fn(&PlaceRequest<'_>, &[Excluded], &[BackendState]) -> Option<OverflowProposal>
    + Send
    + Sync;
type Replicate = dyn Fn(&ObjectState<'_>, &[BackendState]) -> CopiesProposal + Send + Sync;
type RouteReads = dyn Fn(&ReadState<'_>, &[BackendState]) -> Route + Send + Sync;

/// Answers each question by a closure. The storage policy of an object is the one that its
/// storage class names, or the first.
pub(crate) struct Scripted {
    policies: Vec<Arc<StoragePolicy>>,
    place: Box<Place>,
    overflow: Option<Box<Overflow>>,
    replicate: Option<Box<Replicate>>,
    route: Option<Box<RouteReads>>,
}

impl Scripted {
    /// Under one storage policy without constraints: `copies` of each object, on backends in
    /// the order that `place` says.
    pub(crate) fn placing(
        copies: u8,
        place: impl Fn(&StoragePolicy, &PlaceRequest<'_>, &[BackendState]) -> Vec<usize>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        Self::proposing(copies, move |policy, request, backends| Proposal {
            revision: "scripted".into(),
            reason: "a test".into(),
            candidates: place(policy, request, backends),
            copies: policy.copies,
            ack: policy.ack,
        })
    }

    /// The same with all of a proposal.
    pub(crate) fn proposing(
        copies: u8,
        place: impl Fn(&StoragePolicy, &PlaceRequest<'_>, &[BackendState]) -> Proposal
        + Send
        + Sync
        + 'static,
    ) -> Self {
        Self {
            policies: vec![Arc::new(StoragePolicy::unconstrained("default", copies))],
            place: Box::new(place),
            overflow: None,
            replicate: None,
            route: None,
        }
    }
}

impl Decider for Scripted {
    fn storage_policy(&self, scope: &Scope<'_>) -> Arc<StoragePolicy> {
        let named = self
            .policies
            .iter()
            .find(|policy| Some(policy.name.as_str()) == scope.storage_class);
        Arc::clone(named.unwrap_or(&self.policies[0]))
    }

    fn named(&self, name: Option<&str>) -> Option<Arc<StoragePolicy>> {
        let mut policies = self.policies.iter();
        policies
            .find(|policy| name.is_none_or(|name| name == policy.name))
            .cloned()
    }

    fn place(
        &self,
        policy: &StoragePolicy,
        request: &PlaceRequest<'_>,
        backends: &[BackendState],
    ) -> Result<Proposal> {
        Ok((self.place)(policy, request, backends))
    }

    fn overflow(
        &self,
        _policy: &StoragePolicy,
        request: &PlaceRequest<'_>,
        excluded: &[Excluded],
        backends: &[BackendState],
    ) -> Result<Option<OverflowProposal>> {
        let asked = self.overflow.as_ref();
        Ok(asked.and_then(|overflow| overflow(request, excluded, backends)))
    }

    fn replicates(&self, _policy: &StoragePolicy) -> bool {
        self.replicate.is_some()
    }

    fn replicate(
        &self,
        _policy: &StoragePolicy,
        object: &ObjectState<'_>,
        backends: &[BackendState],
    ) -> Option<CopiesProposal> {
        let asked = self.replicate.as_ref();
        asked.map(|replicate| replicate(object, backends))
    }

    fn routes_any(&self) -> bool {
        self.route.is_some()
    }

    fn routes(&self, _policy: &StoragePolicy) -> bool {
        self.route.is_some()
    }

    fn route(
        &self,
        _policy: &StoragePolicy,
        read: &ReadState<'_>,
        backends: &[BackendState],
    ) -> Option<Route> {
        self.route.as_ref().map(|route| route(read, backends))
    }
}

/// Places anywhere: on two or three backends, in any order, wanting one copy or two.
pub(crate) fn scatter() -> Scripted {
    Scripted::proposing(2, |policy, request, backends| {
        let dice = super::Dice::new(request.entropy);
        let mut candidates: Vec<usize> = (0..backends.len()).collect();
        candidates.sort_by_cached_key(|_| dice.below(u64::MAX));
        if dice.chance(50) {
            candidates.truncate(2);
        }
        Proposal {
            revision: "scatter".into(),
            reason: "by dice".into(),
            candidates,
            copies: if dice.chance(20) { 1 } else { policy.copies },
            ack: 1,
        }
    })
}

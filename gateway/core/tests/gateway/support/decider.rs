//! Deciders that do what a test says.

use std::sync::Arc;

use parking_lot::Mutex;
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

/// The storage policies in force. Clones are the same.
#[derive(Clone)]
pub(crate) struct Rules(Arc<Mutex<Vec<Arc<StoragePolicy>>>>);

impl Rules {
    pub(crate) fn new(policies: Vec<StoragePolicy>) -> Self {
        Self(Arc::new(Mutex::new(
            policies.into_iter().map(Arc::new).collect(),
        )))
    }

    /// The configuration changes.
    pub(crate) fn set(&self, policies: Vec<StoragePolicy>) {
        *self.0.lock() = policies.into_iter().map(Arc::new).collect();
    }

    /// The storage policy of that name; without one the first.
    pub(crate) fn named(&self, name: Option<&str>) -> Option<Arc<StoragePolicy>> {
        let policies = self.0.lock();
        let mut policies = policies.iter();
        policies
            .find(|policy| name.is_none_or(|name| name == policy.name))
            .cloned()
    }
}

/// Answers each question by a closure. The storage policy of an object is the one that its
/// storage class names, or the first.
pub(crate) struct Scripted {
    rules: Rules,
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
            rules: Rules::new(vec![StoragePolicy::unconstrained("default", copies)]),
            place: Box::new(place),
            overflow: None,
            replicate: None,
            route: None,
        }
    }

    /// Under these storage policies.
    pub(crate) fn under(mut self, rules: &Rules) -> Self {
        self.rules = rules.clone();
        self
    }

    /// With an overflow policy.
    pub(crate) fn overflowing(
        mut self,
        overflow: impl Fn(&PlaceRequest<'_>, &[Excluded], &[BackendState]) -> Option<OverflowProposal>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        self.overflow = Some(Box::new(overflow));
        self
    }

    /// With a replication policy.
    pub(crate) fn replicating(
        mut self,
        replicate: impl Fn(&ObjectState<'_>, &[BackendState]) -> CopiesProposal + Send + Sync + 'static,
    ) -> Self {
        self.replicate = Some(Box::new(replicate));
        self
    }

    /// With a policy that orders reads.
    pub(crate) fn routing(
        mut self,
        route: impl Fn(&ReadState<'_>, &[BackendState]) -> Route + Send + Sync + 'static,
    ) -> Self {
        self.route = Some(Box::new(route));
        self
    }
}

impl Decider for Scripted {
    fn storage_policy(&self, scope: &Scope<'_>) -> Arc<StoragePolicy> {
        let named = scope
            .storage_class
            .and_then(|name| self.rules.named(Some(name)));
        named
            .or_else(|| self.rules.named(None))
            .expect("a test has a storage policy")
    }

    fn named(&self, name: Option<&str>) -> Option<Arc<StoragePolicy>> {
        self.rules.named(name)
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

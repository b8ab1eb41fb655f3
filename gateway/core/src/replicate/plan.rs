//! Which copies a blob should have, when a policy has a say in it.
//!
//! The policy is asked once for each run of a piece of work, and what it says is followed as
//! far as the host's rules go: no copy where a constraint forbids it, no copy that is wanted
//! put off for long, none dropped without which fewer would be left than are wanted. Where it
//! names fewer copies than are wanted, the placement's candidates fill up.

use std::time::Duration;

use weir_types::clock::Timestamp;
use weir_types::id::BackendId;
use weir_types::index::Mutation;
use weir_types::record::{BlobRecord, CopyRecord, CopyState, VersionRecord};

use super::job::{Halt, Job, Run};
use crate::decide::{Constraints, CopiesProposal, HeldCopy, ObjectState, Occasion, StoragePolicy};
use crate::object::write::clean_at;
use crate::observe::Clamped;

/// A copy without which fewer lie somewhere than are wanted is put off for at most so long
/// after the object was committed.
const POSTPONED_MAX: Duration = Duration::from_secs(24 * 3600);

/// A policy is asked about the same object again after this at the earliest: soon when it is
/// young, seldom when it is old, whatever it says itself.
const ASKED_AGAIN_AFTER: (Duration, Duration) =
    (Duration::from_secs(60), Duration::from_secs(3600));

/// What is to be done with a blob's copies.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// Backends that get a copy now, in order.
    pub(super) add: Vec<BackendId>,
    /// Backends that get a copy later.
    pub(super) postponed: Vec<BackendId>,
    /// How many of those are wanted.
    pub(super) owed: usize,
    /// When the first of those is due.
    pub(super) later: Option<Timestamp>,
    /// Backends whose copies should go, the first one first.
    pub(super) drop: Vec<BackendId>,
}

impl Job {
    /// What the blob's replication policy wants; `None` when it has none, or when the key that
    /// the blob came under holds other bytes by now: nobody could tell the policy what it is.
    pub(super) async fn plan(&self, blob: &BlobRecord, occasion: Occasion) -> Run<Option<Plan>> {
        let gateway = &self.gateway;
        let name = blob.placement.storage_policy.as_deref();
        let Some(policy) = gateway.decider.named(name) else {
            return Ok(None);
        };
        if !gateway.decider.replicates(&policy) {
            return Ok(None);
        }
        let Some(version) = self.version_of(blob).await? else {
            return Ok(None);
        };
        let states = gateway.backend_states().await;
        let states = states.map_err(|error| Halt::Failed(error.to_string()))?;
        let candidates = blob.placement.candidates.iter();
        let candidates: Vec<usize> = candidates
            .filter_map(|id| gateway.backends.position(id))
            .collect();
        let copies = self.held(blob);
        let (bucket, key) = match &blob.origin {
            Some(origin) => (origin.bucket.as_str(), origin.key.as_str()),
            None => return Ok(None),
        };
        let object = ObjectState {
            bucket,
            key,
            size_bytes: blob.size,
            content_type: version.headers.content_type.as_deref(),
            storage_class: version.storage_class.as_deref(),
            tags: &version.tags,
            user_metadata: &version.user_metadata,
            created_at_ms: version.hlc.wall_ms,
            copies_wanted: blob.placement.copies_wanted,
            candidates: &candidates,
            copies: &copies,
            occasion,
            now_ms: gateway.now().as_millis(),
            entropy: gateway.entropy.u64(),
        };
        let proposal = gateway.decider.replicate(&policy, &object, &states);
        Ok(proposal.map(|proposal| {
            tracing::debug!(blob = %blob.blob, revision = %proposal.revision, reason = %proposal.reason, "copies were decided");
            let created_at = Timestamp::from_millis(object.created_at_ms);
            self.checked(blob, &policy, proposal, created_at, occasion)
        }))
    }

    /// The version that the blob came under, while that points to it.
    async fn version_of(&self, blob: &BlobRecord) -> Run<Option<Box<VersionRecord>>> {
        let Some(origin) = &blob.origin else {
            return Ok(None);
        };
        let found = self.gateway.index.lookup(&origin.bucket, &origin.key);
        let found = found.await?;
        let same_life = found
            .bucket
            .is_some_and(|bucket| bucket.incarnation == origin.incarnation);
        let version = found.version.filter(|version| version.blob == blob.blob);
        Ok(version.filter(|_| same_life))
    }

    /// The copies on configured backends, one for each: a good one if there is one.
    fn held(&self, blob: &BlobRecord) -> Vec<HeldCopy> {
        let mut held: Vec<HeldCopy> = Vec::with_capacity(blob.copies.len());
        let mut copies: Vec<&CopyRecord> = blob.copies.iter().collect();
        copies.sort_by_key(|copy| copy.state == CopyState::Suspect);
        for copy in copies {
            let Some(backend) = self.gateway.backends.position(&copy.backend) else {
                continue;
            };
            if held.iter().all(|other| other.backend != backend) {
                held.push(HeldCopy {
                    backend,
                    state: copy.state,
                    written_at_ms: copy.created_at.as_millis(),
                });
            }
        }
        held
    }

    /// What may be followed of a proposal.
    fn checked(
        &self,
        blob: &BlobRecord,
        policy: &StoragePolicy,
        proposal: CopiesProposal,
        created_at: Timestamp,
        occasion: Occasion,
    ) -> Plan {
        let gateway = &self.gateway;
        let clamped = |what| gateway.observer.clamped(&policy.name, what);
        let mut plan = Plan::default();
        let now = gateway.now();
        let good = good(blob);
        let mut taken: Vec<BackendId> = good.iter().map(|id| (*id).clone()).collect();
        let standing = self.standing(blob, &policy.constraints);
        let mut missing = usize::from(blob.placement.copies_wanted).saturating_sub(standing);
        let mut add = proposal.add;
        if add.iter().any(|addition| addition.priority > 0) {
            clamped(Clamped::Priority);
        }
        add.sort_by_key(|addition| addition.priority);
        for addition in add {
            let Some(handle) = gateway.backends.at(addition.backend) else {
                continue;
            };
            let id = handle.id();
            if good.contains(&id) || handle.facts().read_only {
                continue;
            }
            let clash = |other: &BackendId| gateway.clash(&policy.constraints, other, id);
            if !policy.constraints.admit(handle.facts()) || taken.iter().any(clash) {
                clamped(Clamped::Forbidden);
                continue;
            }
            taken.push(id.clone());
            let is_wanted = missing > 0;
            missing = missing.saturating_sub(1);
            let mut due = Timestamp::from_millis(addition.not_before_ms);
            let latest = match occasion {
                Occasion::Committed => created_at.plus(POSTPONED_MAX),
                // The copies that are left may go too.
                Occasion::Repair => now,
            };
            if is_wanted && due > latest && due > now {
                clamped(Clamped::Postponed);
                due = latest;
            }
            if due > now {
                plan.owed += usize::from(is_wanted);
                plan.postponed.push(id.clone());
                plan.later = Some(plan.later.map_or(due, |later| later.min(due)));
            } else {
                plan.add.push(id.clone());
            }
        }
        let (soonest, latest) = ASKED_AGAIN_AFTER;
        let pause = (now.since(created_at) / 8).clamp(soonest, latest);
        plan.later = plan.later.map(|later| later.max(now.plus(pause)));
        for position in proposal.drop {
            let Some(handle) = gateway.backends.at(position) else {
                continue;
            };
            if good.contains(&handle.id()) && !plan.drop.contains(handle.id()) {
                plan.drop.push(handle.id().clone());
            }
        }
        plan
    }

    /// Removes the good copies that the policy wants dropped, as far as enough are left
    /// without them and without those that go anyway.
    pub(super) fn drops(
        &self,
        blob: &BlobRecord,
        drop: &[BackendId],
        going: &[&CopyRecord],
    ) -> Vec<Mutation> {
        let constraints = self.constraints(blob);
        let wanted = usize::from(blob.placement.copies_wanted).max(1);
        let goes = |copy: &CopyRecord| going.iter().any(|gone| gone.attempt == copy.attempt);
        let copies = blob.copies.iter();
        let mut left: Vec<&CopyRecord> = copies
            .filter(|copy| copy.state == CopyState::Good && !goes(copy))
            // What nobody can read does not count.
            .filter(|copy| self.gateway.backends.get(&copy.backend).is_some())
            .collect();
        let mut dropped: Vec<&CopyRecord> = Vec::new();
        for id in drop {
            let (leaves, stays): (Vec<_>, Vec<_>) =
                left.iter().partition(|copy| copy.backend == *id);
            let backends = stays.iter().map(|copy: &&CopyRecord| &copy.backend);
            if self.gateway.apart(&constraints, backends).len() < wanted {
                let name = blob.placement.storage_policy.as_deref();
                let name = name.unwrap_or_default();
                self.gateway.observer.clamped(name, Clamped::Kept);
                continue;
            }
            dropped.extend(leaves);
            left = stays;
        }
        dropped
            .into_iter()
            .map(|copy| self.removal(blob, copy))
            .collect()
    }

    /// Takes a copy off its blob.
    pub(super) fn removal(&self, blob: &BlobRecord, copy: &CopyRecord) -> Mutation {
        let now = self.gateway.now();
        Mutation::RemoveCopy {
            blob: blob.blob,
            backend: copy.backend.clone(),
            attempt: copy.attempt,
            now,
            discard_at: clean_at(&self.gateway, now),
        }
    }

    /// The same work again, later.
    pub(super) fn again_at(&self, later: Timestamp) -> Mutation {
        Mutation::Enqueue {
            work: self.entry.work.clone(),
            now: self.gateway.now(),
            not_before: later,
        }
    }

    /// What holds for the blob's copies; what is not configured any more demands nothing of
    /// those that are there.
    pub(super) fn constraints(&self, blob: &BlobRecord) -> Constraints {
        let name = blob.placement.storage_policy.as_deref();
        let policy = self.gateway.decider.named(name);
        policy.map_or_else(Constraints::default, |policy| policy.constraints.clone())
    }
}

impl Job {
    /// How many good copies stand beside each other on backends that are configured. One on a
    /// backend that is not may be there or not: nobody can read it.
    pub(super) fn standing(&self, blob: &BlobRecord, constraints: &Constraints) -> usize {
        let gateway = &self.gateway;
        let good = good(blob).into_iter();
        let configured = good.filter(|id| gateway.backends.get(id).is_some());
        gateway.apart(constraints, configured).len()
    }
}

/// The backends that hold a good copy, one after the other.
pub(super) fn good(blob: &BlobRecord) -> Vec<&BackendId> {
    let mut good: Vec<&BackendId> = Vec::with_capacity(blob.copies.len());
    for copy in &blob.copies {
        if copy.state == CopyState::Good && !good.contains(&&copy.backend) {
            good.push(&copy.backend);
        }
    }
    good
}

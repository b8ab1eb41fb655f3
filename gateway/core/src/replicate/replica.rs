//! Bringing a blob to the copies it wants.

use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;
use weir_types::backend::BackendError;
use weir_types::id::{BackendId, BlobId, IntentId};
use weir_types::index::{Applied, IndexError, Mutation, Refusal};
use weir_types::record::{BlobRecord, BlobState, CopyRecord, CopyState, Intent};

use super::job::{Halt, Job, Run, slot};
use super::plan::{Plan, good};
use crate::backends::{BackendHandle, PendingBytes};
use crate::decide::Occasion;
use crate::object::write::WriteGuard;
use crate::observe::OperationClass;

/// How an attempt to bring a blob to its copies ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Restored {
    /// Nothing needs it any more.
    Gone,
    /// It has its copies; nothing was done with the last mutations. What a policy wants besides
    /// is left to the caller.
    Whole(Option<Plan>),
    /// It has its copies, and the last mutations were applied with the last of them.
    WholeNow,
}

/// Where the next copy goes, with all that was taken for it.
struct Target<'a> {
    handle: &'a Arc<BackendHandle>,
    _slot: OwnedSemaphorePermit,
    claim: PendingBytes,
}

/// How an attempt to make one copy ended.
enum Added {
    Yes,
    BlobGone,
    /// This target did not take it; another may.
    Refused(String),
}

impl Job {
    /// [`weir_types::record::Work::Replicate`].
    pub(super) async fn replicate(&self, blob: BlobId) -> Run {
        let last = [self.finished()];
        let effects = match self.restore(blob, Occasion::Committed, &last).await? {
            Restored::WholeNow => return Ok(()),
            Restored::Whole(None) | Restored::Gone => Vec::new(),
            Restored::Whole(Some(plan)) => self.wind_up(blob, &plan).await?,
        };
        self.finish(effects).await?;
        Ok(())
    }

    /// What is left of a plan when its copies are made: others to be made later, or else those
    /// that go.
    async fn wind_up(&self, id: BlobId, plan: &Plan) -> Run<Vec<Mutation>> {
        if let Some(later) = plan.later {
            return Ok(vec![self.again_at(later)]);
        }
        let blob = self.live(id).await?;
        Ok(blob.map_or_else(Vec::new, |blob| self.drops(&blob, &plan.drop, &[])))
    }

    /// Brings a live blob to the good copies that its policy names, and in any case to the
    /// number that is wanted, on backends that its placement names. `last` is applied in the
    /// transaction that adds the last one, unless a policy has a say.
    pub(super) async fn restore(
        &self,
        id: BlobId,
        occasion: Occasion,
        last: &[Mutation],
    ) -> Run<Restored> {
        let Some(blob) = self.live(id).await? else {
            return Ok(Restored::Gone);
        };
        let Some(plan) = self.plan(&blob, occasion).await? else {
            return self.fill_up(id, None, last).await;
        };
        let unmet = self.follow(id, &plan).await?;
        match self.fill_up(id, Some(&plan), &[]).await? {
            Restored::Whole(_) | Restored::WholeNow => unmet.map(|()| Restored::Whole(Some(plan))),
            Restored::Gone => Ok(Restored::Gone),
        }
    }

    /// Makes the copies that a plan names. The inner error tells which could not be made; they
    /// hold up none of the others.
    async fn follow(&self, id: BlobId, plan: &Plan) -> Run<Run> {
        let (mut reasons, mut shut) = (Vec::new(), Vec::new());
        for backend in &plan.add {
            let Some(blob) = self.live(id).await? else {
                break;
            };
            if good(&blob).contains(&backend) {
                continue;
            }
            self.require_source(&blob)?;
            let target = match self.try_target(backend, &blob).await {
                Ok(target) => target,
                Err(Halt::Failed(reason)) => {
                    reasons.push(reason);
                    continue;
                }
                Err(Halt::Shut(doors)) => {
                    shut.extend(doors);
                    continue;
                }
                Err(other) => return Err(other),
            };
            match Box::pin(self.add_copy(&blob, target, &[])).await? {
                Added::Yes => {}
                Added::BlobGone => break,
                Added::Refused(error) => reasons.push(format!("{backend}: {error}")),
            }
        }
        Ok(if !reasons.is_empty() {
            Err(Halt::Failed(reasons.join("; ")))
        } else if !shut.is_empty() {
            Err(Halt::Shut(shut))
        } else {
            Ok(())
        })
    }

    /// Brings a live blob to its wanted number of good copies, less those that a plan puts off,
    /// on backends that its placement names.
    async fn fill_up(&self, id: BlobId, plan: Option<&Plan>, last: &[Mutation]) -> Run<Restored> {
        let mut refused: Vec<(BackendId, String)> = Vec::new();
        let postponed = plan.map_or(&[][..], |plan| &plan.postponed);
        loop {
            let Some(blob) = self.live(id).await? else {
                return Ok(Restored::Gone);
            };
            let wanted = usize::from(blob.placement.copies_wanted);
            let wanted = wanted.saturating_sub(plan.map_or(0, |plan| plan.owed));
            let standing = self.standing(&blob, &self.constraints(&blob));
            if standing >= wanted {
                return Ok(Restored::Whole(None));
            }
            self.require_source(&blob)?;
            let target = self.target(&blob, postponed, &refused).await?;
            let is_last = standing + 1 == wanted;
            let backend = target.handle.id().clone();
            let added = self.add_copy(&blob, target, if is_last { last } else { &[] });
            match Box::pin(added).await? {
                Added::Yes if is_last => return Ok(Restored::WholeNow),
                Added::Yes => {}
                Added::BlobGone => return Ok(Restored::Gone),
                Added::Refused(error) => refused.push((backend, error)),
            }
        }
    }

    /// The blob, if some version points to it.
    pub(super) async fn live(&self, id: BlobId) -> Run<Option<BlobRecord>> {
        let blob = self.gateway.index.blob(id).await?;
        Ok(blob.filter(|blob| blob.state == BlobState::Live))
    }

    /// Waits as long as every copy lies behind an open breaker.
    fn require_source(&self, blob: &BlobRecord) -> Run {
        let class = OperationClass::Read;
        let mut shut = Vec::new();
        for copy in &blob.copies {
            match self.gateway.backends.get(&copy.backend) {
                Some(handle) if handle.admits(class) => return Ok(()),
                Some(_) => shut.push((copy.backend.clone(), class)),
                None => {}
            }
        }
        if shut.is_empty() {
            return Err(Halt::Failed("no copy lies on a configured backend".into()));
        }
        Err(Halt::Shut(shut))
    }

    /// The first candidate without a good copy that can take one now; those that hold no copy
    /// at all come first.
    async fn target(
        &self,
        blob: &BlobRecord,
        postponed: &[BackendId],
        refused: &[(BackendId, String)],
    ) -> Run<Target<'_>> {
        let good = good(blob);
        let suspect = |id: &BackendId| blob.copies.iter().any(|copy| copy.backend == *id);
        let mut candidates: Vec<_> = blob
            .placement
            .candidates
            .iter()
            .filter(|id| !good.contains(id))
            .collect();
        // A copy that is missing now does not wait for the time of another.
        candidates.sort_by_key(|id| (postponed.contains(id), suspect(id)));
        let mut reasons: Vec<String> = Vec::new();
        let mut shut = Vec::new();
        for id in candidates {
            if let Some((_, error)) = refused.iter().find(|(backend, _)| backend == id) {
                reasons.push(format!("{id}: {error}"));
                continue;
            }
            match self.try_target(id, blob).await {
                Ok(target) => return Ok(target),
                Err(Halt::Failed(reason)) => reasons.push(reason),
                // A slot will be free soon: not worth another place than the policy's choice.
                Err(busy @ Halt::Busy(_)) => return Err(busy),
                Err(Halt::Shut(doors)) => shut.extend(doors),
                Err(other) => return Err(other),
            }
        }
        // What was tried and failed counts as a failure, even if another only waits.
        match reasons {
            _ if !shut.is_empty() && refused.is_empty() => Err(Halt::Shut(shut)),
            reasons if reasons.is_empty() => Err(Halt::Failed(
                "its placement names no backend for a further copy".into(),
            )),
            reasons => Err(Halt::Failed(reasons.join("; "))),
        }
    }

    async fn try_target(&self, id: &BackendId, blob: &BlobRecord) -> Run<Target<'_>> {
        let handle = self.backend(id)?;
        if handle.facts().read_only {
            return Err(Halt::Failed(format!("the backend {id} takes no new bytes")));
        }
        let slot = slot(handle)?;
        let claim = handle.room().claim(blob.size);
        let fits = self.gateway.has_room(id, &claim).await;
        // Right before the bytes go there: whoever proposed it, and however long ago.
        self.require_allowed(blob, handle)?;
        match fits {
            Ok(true) if handle.admits(OperationClass::Write) => Ok(Target {
                handle,
                _slot: slot,
                claim,
            }),
            Ok(true) => Err(Halt::Shut(vec![(id.clone(), OperationClass::Write)])),
            Ok(false) => Err(Halt::Failed(format!("the backend {id} is full"))),
            Err(error) => Err(Halt::Failed(error.to_string())),
        }
    }

    /// Fails where a further copy of the blob breaks a constraint of its storage policy.
    fn require_allowed(&self, blob: &BlobRecord, handle: &BackendHandle) -> Run {
        let name = blob.placement.storage_policy.as_deref();
        let Some(policy) = self.gateway.decider.named(name) else {
            let name = name.unwrap_or_default();
            return Err(Halt::Failed(format!(
                "its storage policy {name} is not configured: nobody knows where copies may lie"
            )));
        };
        let (id, policy) = (handle.id(), &*policy);
        if !policy.constraints.admit(handle.facts()) {
            return Err(Halt::Failed(format!(
                "its storage policy {} allows no copy on {id}",
                policy.name
            )));
        }
        let clash = |other: &&BackendId| self.gateway.clash(&policy.constraints, other, id);
        match good(blob).into_iter().find(clash) {
            Some(other) => Err(Halt::Failed(format!(
                "the backend {id} is in the failure domain of {other}, which holds a copy"
            ))),
            None => Ok(()),
        }
    }

    /// Intent → bytes → copy.
    async fn add_copy(
        &self,
        blob: &BlobRecord,
        target: Target<'_>,
        last: &[Mutation],
    ) -> Run<Added> {
        let Self { gateway, .. } = self;
        let Target {
            handle,
            _slot,
            claim,
        } = target;
        let opened = self.open(blob).await.map_err(unreadable)?;
        let id = IntentId::mint(&*gateway.entropy);
        let guard = WriteGuard::new(gateway, vec![id]);
        let begin = Mutation::BeginReplica {
            intent: id,
            blob: blob.blob,
            backend: handle.id().clone(),
            now: gateway.now(),
        };
        let intent = match gateway.index.apply(begin).await {
            Ok(Applied::Intent(intent)) => intent,
            Ok(other) => return Err(Halt::Failed(format!("the index answered {other:?}"))),
            Err(IndexError::Refused(Refusal::BlobGone)) => {
                guard.committed();
                return Ok(Added::BlobGone);
            }
            Err(error) => return Err(error.into()),
        };
        // The ledger counts them now.
        drop(claim);
        gateway.crash.pass("replicate:intent-written").await;
        let stored = match self.transfer(blob, opened, &intent, handle).await {
            Ok(stored) => stored,
            Err(error) => {
                guard.condemn().await;
                // When the source failed, no other target would fare better.
                return match error.source {
                    Some(_) => Err(unreadable(error)),
                    None => Ok(Added::Refused(error.to_string())),
                };
            }
        };
        gateway.crash.pass("replicate:bytes-written").await;
        let mut mutations = vec![self.copy_added(intent, stored.etag)];
        mutations.extend_from_slice(last);
        match gateway.index.apply(Mutation::All(mutations)).await {
            Ok(_) => {
                gateway.crash.pass("replicate:recorded").await;
                guard.committed();
                Ok(Added::Yes)
            }
            Err(IndexError::Refused(Refusal::BlobGone)) => {
                guard.condemn().await;
                Ok(Added::BlobGone)
            }
            Err(error) => {
                guard.condemn().await;
                Err(error.into())
            }
        }
    }

    fn copy_added(&self, intent: Intent, etag: String) -> Mutation {
        Mutation::AddCopy {
            blob: intent.blob,
            intent: intent.intent,
            copy: CopyRecord {
                backend: intent.backend,
                key: intent.key,
                attempt: intent.attempt,
                etag,
                created_at: self.gateway.now(),
                state: CopyState::Good,
            },
        }
    }
}

fn unreadable(error: BackendError) -> Halt {
    Halt::Failed(format!("no copy can be read: {}", error.message))
}

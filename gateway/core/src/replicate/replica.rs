//! Bringing a blob to the copies it wants.

use std::collections::HashSet;
use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;
use weir_types::backend::BackendError;
use weir_types::id::{BackendId, BlobId, IntentId};
use weir_types::index::{Applied, IndexError, Mutation, Refusal};
use weir_types::record::{BlobRecord, BlobState, CopyRecord, CopyState, Intent};

use super::job::{Halt, Job, Run, slot};
use crate::backends::{BackendHandle, PendingBytes};
use crate::object::write::WriteGuard;
use crate::observe::OperationClass;

/// How an attempt to bring a blob to its copies ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Restored {
    /// Nothing needs it any more.
    Gone,
    /// It has its copies; nothing was done with the last mutations.
    Whole,
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
        match self.restore(blob, &[self.finished()]).await? {
            Restored::WholeNow => Ok(()),
            Restored::Whole | Restored::Gone => {
                self.finish(Vec::new()).await?;
                Ok(())
            }
        }
    }

    /// Brings a live blob to its wanted number of good copies, on backends that its placement
    /// names. `last` is applied in the transaction that adds the last one.
    pub(super) async fn restore(&self, id: BlobId, last: &[Mutation]) -> Run<Restored> {
        let mut refused: Vec<(BackendId, String)> = Vec::new();
        loop {
            let Some(blob) = self.live(id).await? else {
                return Ok(Restored::Gone);
            };
            let good = holders(&blob, CopyState::Good);
            let wanted = usize::from(blob.placement.copies_wanted);
            if good.len() >= wanted {
                return Ok(Restored::Whole);
            }
            self.require_source(&blob)?;
            let target = self.target(&blob, &good, &refused).await?;
            let is_last = good.len() + 1 == wanted;
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
        good: &HashSet<BackendId>,
        refused: &[(BackendId, String)],
    ) -> Run<Target<'_>> {
        let suspect = holders(blob, CopyState::Suspect);
        let mut candidates: Vec<_> = blob
            .placement
            .candidates
            .iter()
            .filter(|id| !good.contains(*id))
            .collect();
        candidates.sort_by_key(|id| suspect.contains(*id));
        let mut reasons: Vec<String> = Vec::new();
        let mut shut = Vec::new();
        for id in candidates {
            if let Some((_, error)) = refused.iter().find(|(backend, _)| backend == id) {
                reasons.push(format!("{id}: {error}"));
                continue;
            }
            match self.try_target(id, blob.size).await {
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

    async fn try_target(&self, id: &BackendId, bytes: u64) -> Run<Target<'_>> {
        let handle = self.backend(id)?;
        if handle.facts().read_only {
            return Err(Halt::Failed(format!("the backend {id} takes no new bytes")));
        }
        let slot = slot(handle)?;
        let claim = handle.room().claim(bytes);
        let fits = self.gateway.has_room(id, &claim).await;
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

/// The backends that hold a copy in this state. Two copies on one backend count once: they
/// fail together.
fn holders(blob: &BlobRecord, state: CopyState) -> HashSet<BackendId> {
    let copies = blob.copies.iter().filter(|copy| copy.state == state);
    copies.map(|copy| copy.backend.clone()).collect()
}

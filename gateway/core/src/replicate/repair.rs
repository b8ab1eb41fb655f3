//! Replacing copies that looked wrong: first verify, then restore, then remove.

use weir_types::id::{BackendId, BlobId};
use weir_types::index::{IndexError, Mutation, Refusal};
use weir_types::record::{BlobRecord, CopyRecord, CopyState};

use super::job::{Halt, Job, Run};
use super::plan::{Plan, good};
use super::replica::Restored;
use crate::decide::Occasion;
use crate::object::read::verify::Verification;
use crate::observe::OperationClass;

impl Job {
    /// [`weir_types::record::Work::Repair`]. A suspect copy that reads well is good again; the
    /// others are removed once the blob has its copies without them, never before. So are
    /// copies that are then too many, because a suspect was replaced before it was cleared.
    pub(super) async fn repair(&self, id: BlobId) -> Run {
        let cleared = self.absolve(id).await?;
        let plan = match self.restore(id, Occasion::Repair, &[]).await? {
            Restored::Gone => {
                self.finish(Vec::new()).await?;
                return Ok(());
            }
            Restored::Whole(plan) => plan,
            Restored::WholeNow => None,
        };
        self.gateway.crash.pass("repair:restored").await;
        let effects = match self.live(id).await? {
            Some(blob) => self.removals(&blob, &cleared, plan.as_ref()),
            None => Vec::new(),
        };
        match self.finish(effects).await {
            Ok(_) => {
                self.gateway.crash.pass("repair:removed").await;
                Ok(())
            }
            Err(IndexError::Refused(Refusal::LastCopy)) => {
                Err(Halt::Failed("no other copy is known to be good".into()))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Removes what is suspect and what is too many, if the wanted copies stand without it: some
    /// may have become suspect since they were counted, which left work of its own.
    fn removals(&self, blob: &BlobRecord, cleared: &[u32], plan: Option<&Plan>) -> Vec<Mutation> {
        let wanted = usize::from(blob.placement.copies_wanted);
        let wanted = wanted.saturating_sub(plan.map_or(0, |plan| plan.owed));
        if self.standing(blob, &self.constraints(blob)) < wanted.max(1) {
            let later = plan.and_then(|plan| plan.later);
            return later
                .map(|later| self.again_at(later))
                .into_iter()
                .collect();
        }
        // A policy says itself which copies are too many.
        let most = match plan {
            Some(_) => usize::MAX,
            None => usize::from(blob.placement.copies_wanted),
        };
        let mut going: Vec<&CopyRecord> = suspects(blob).collect();
        going.extend(self.surplus(blob, cleared, most));
        let mut removals: Vec<Mutation> =
            going.iter().map(|copy| self.removal(blob, copy)).collect();
        if let Some(plan) = plan {
            match plan.later {
                Some(later) => removals.push(self.again_at(later)),
                None => removals.extend(self.drops(blob, &plan.drop, &going)),
            }
        }
        removals
    }

    /// The good copies beyond `most`, and those that may not lie beside others. Copies that
    /// were read a moment ago are kept before others.
    fn surplus<'a>(
        &self,
        blob: &'a BlobRecord,
        just_read: &[u32],
        most: usize,
    ) -> Vec<&'a CopyRecord> {
        let constraints = self.constraints(blob);
        let mut good: Vec<_> = blob
            .copies
            .iter()
            .filter(|copy| copy.state == CopyState::Good)
            .collect();
        good.sort_by_key(|copy| {
            let is_away = self.gateway.backends.get(&copy.backend).is_none();
            (is_away, !just_read.contains(&copy.attempt))
        });
        let mut kept: Vec<&CopyRecord> = Vec::new();
        good.retain(|copy| {
            let clash = |other: &&CopyRecord| {
                self.gateway
                    .clash(&constraints, &other.backend, &copy.backend)
            };
            let keep = kept.len() < most && !kept.iter().any(clash);
            if keep {
                kept.push(copy);
            }
            !keep
        });
        good
    }

    /// Reads the suspects again, and clears those that read well; tells their attempts. One
    /// that may not lie beside a good copy on another backend is not cleared: it goes.
    async fn absolve(&self, id: BlobId) -> Run<Vec<u32>> {
        let mut cleared = Vec::new();
        let Some(blob) = self.live(id).await? else {
            return Ok(cleared);
        };
        let constraints = self.constraints(&blob);
        let mut good: Vec<BackendId> = good(&blob).into_iter().cloned().collect();
        for copy in suspects(&blob) {
            let clash = |other: &BackendId| {
                *other != copy.backend && self.gateway.clash(&constraints, other, &copy.backend)
            };
            if good.iter().any(clash) {
                continue;
            }
            if Box::pin(self.reads_well(&blob, copy)).await? {
                let mark = Mutation::MarkCopy {
                    blob: id,
                    backend: copy.backend.clone(),
                    attempt: copy.attempt,
                    state: CopyState::Good,
                    now: self.gateway.now(),
                };
                self.gateway.index.apply(mark).await?;
                self.gateway.crash.pass("repair:absolved").await;
                cleared.push(copy.attempt);
                good.push(copy.backend.clone());
            }
        }
        Ok(cleared)
    }

    /// Whether all of this copy is there and right. One that cannot be reached is not: the
    /// blob gets its copies elsewhere meanwhile.
    async fn reads_well(&self, blob: &BlobRecord, copy: &CopyRecord) -> Run<bool> {
        let _entered = match self.enter(&copy.backend, OperationClass::Read) {
            Ok(entered) => entered,
            Err(busy @ Halt::Busy(_)) => return Err(busy),
            Err(_) => return Ok(false),
        };
        let mut copy = Verification::begin(&self.gateway, blob, copy);
        Ok(copy.next(u64::MAX).await.is_ok())
    }
}

fn suspects(blob: &BlobRecord) -> impl Iterator<Item = &CopyRecord> {
    blob.copies
        .iter()
        .filter(|copy| copy.state == CopyState::Suspect)
}

//! Replacing copies that looked wrong: first verify, then restore, then remove.

use futures_util::StreamExt;
use weir_types::id::BlobId;
use weir_types::index::{IndexError, Mutation, Refusal};
use weir_types::record::{BlobRecord, CopyRecord, CopyState};

use super::job::{Halt, Job, Run};
use super::replica::Restored;
use crate::ingest::Ingest;
use crate::object::read::incoming;
use crate::object::write::clean_at;
use crate::observe::OperationClass;

impl Job {
    /// [`weir_types::record::Work::Repair`]. A suspect copy that reads well is good again; the
    /// others are removed once the blob has its copies without them, never before. So are
    /// copies that are then too many, because a suspect was replaced before it was cleared.
    pub(super) async fn repair(&self, id: BlobId) -> Run {
        let cleared = self.absolve(id).await?;
        if self.restore(id, &[]).await? == Restored::Gone {
            self.finish(Vec::new()).await?;
            return Ok(());
        }
        self.gateway.crash.pass("repair:restored").await;
        let blob = self.live(id).await?;
        let unwanted = blob
            .iter()
            .flat_map(|blob| suspects(blob).chain(surplus(blob, &cleared)));
        let now = self.gateway.now();
        let removals = unwanted.map(|copy| Mutation::RemoveCopy {
            blob: id,
            backend: copy.backend.clone(),
            attempt: copy.attempt,
            now,
            discard_at: clean_at(&self.gateway, now),
        });
        match self.finish(removals.collect()).await {
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

    /// Reads the suspects again, and clears those that read well; tells their attempts.
    async fn absolve(&self, id: BlobId) -> Run<Vec<u32>> {
        let mut cleared = Vec::new();
        let Some(blob) = self.live(id).await? else {
            return Ok(cleared);
        };
        for copy in suspects(&blob) {
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
            }
        }
        Ok(cleared)
    }

    /// Whether all of this copy is there and right. One that cannot be reached is not: the
    /// blob gets its copies elsewhere meanwhile.
    async fn reads_well(&self, blob: &BlobRecord, copy: &CopyRecord) -> Run<bool> {
        let (handle, _slot) = match self.enter(&copy.backend, OperationClass::Read) {
            Ok(entered) => entered,
            Err(busy @ Halt::Busy(_)) => return Err(busy),
            Err(_) => return Ok(false),
        };
        if blob.size == 0 {
            let head = handle.backend().head(&copy.key);
            let found = handle.call("head", OperationClass::Read, head).await;
            return Ok(found.is_ok_and(|found| found.is_some_and(|stored| stored.size == 0)));
        }
        let Ok(stream) = self.gateway.read_copy(blob, copy).await else {
            return Ok(false);
        };
        let mut body = incoming(stream, blob.size, None);
        body.expected.md5 = blob.md5;
        let (mut verified, _) = Ingest::new(body).into_stream();
        while let Some(chunk) = verified.next().await {
            if chunk.is_err() {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// The good copies beyond those that are wanted, one per backend. Copies that were read a
/// moment ago are kept before others.
fn surplus<'a>(blob: &'a BlobRecord, just_read: &[u32]) -> Vec<&'a CopyRecord> {
    let mut good: Vec<_> = blob
        .copies
        .iter()
        .filter(|copy| copy.state == CopyState::Good)
        .collect();
    good.sort_by_key(|copy| !just_read.contains(&copy.attempt));
    let wanted = usize::from(blob.placement.copies_wanted);
    let mut kept: Vec<&CopyRecord> = Vec::new();
    good.retain(|copy| {
        let keep = kept.len() < wanted && kept.iter().all(|other| other.backend != copy.backend);
        if keep {
            kept.push(copy);
        }
        !keep
    });
    good
}

fn suspects(blob: &BlobRecord) -> impl Iterator<Item = &CopyRecord> {
    blob.copies
        .iter()
        .filter(|copy| copy.state == CopyState::Suspect)
}

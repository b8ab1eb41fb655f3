//! Removing blobs that nothing points to any more.

use weir_types::id::BlobId;
use weir_types::index::{IndexError, Mutation, Refusal};
use weir_types::record::BlobState;

use super::job::{Halt, Job, Run};

impl Job {
    /// [`weir_types::record::Work::Clean`]: turns a dead blob's copies into bytes to be
    /// discarded, once its readers have ended. New readers cannot come: nothing points to it,
    /// and the entry is due only after those that had looked it up took their leases.
    pub(super) async fn clean(&self, id: BlobId) -> Run {
        let blob = self.gateway.index.blob(id).await?;
        let dead = blob.is_some_and(|blob| matches!(blob.state, BlobState::Dead(_)));
        if dead && self.gateway.leases.contains_key(&id) {
            return Err(Halt::Waiting);
        }
        let retire = Mutation::RetireBlob {
            blob: id,
            now: self.gateway.now(),
        };
        self.gateway.crash.pass("clean:decided").await;
        match self
            .finish(if dead { vec![retire] } else { Vec::new() })
            .await
        {
            Ok(_) => {
                self.gateway.crash.pass("clean:retired").await;
                Ok(())
            }
            // A copy that shares the blob was faster: it lives.
            Err(IndexError::Refused(Refusal::BlobLive)) => {
                self.finish(Vec::new()).await?;
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }
}

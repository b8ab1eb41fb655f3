//! Finishing what a Complete began and did not end.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::time::timeout;
use weir_types::id::UploadId;
use weir_types::index::IndexError;
use weir_types::record::UploadState;

use super::job::{Halt, Job, Run};
use crate::gateway::Gateway;
use crate::object::multipart::finish::{Lost, Unfinished};
use crate::object::multipart::leg;
use crate::observe::OperationClass;

/// Uploads that are finished at once at a start; the background finds all.
const AT_START_MAX: usize = 10_000;

/// Uploads that are finished at one time at a start.
const AT_ONCE_MAX: usize = 16;

/// Finishes the uploads whose Complete an earlier process accepted and could not end, so that
/// whoever asks after a crash sees at once what became of them. To be called before requests
/// are served. Ends after `most`; what it leaves (a backend may be away) the background does.
pub async fn finish_accepted(gateway: &Arc<Gateway>, most: Duration) -> Result<(), IndexError> {
    gateway.raise_clock().await;
    let accepted = gateway.index.completing_uploads(AT_START_MAX).await?;
    if accepted.is_empty() {
        return Ok(());
    }
    let count = accepted.len();
    tracing::info!(
        count,
        "finishing uploads that were accepted before the stop"
    );
    let one = |id: UploadId| async move {
        let Ok(Some(upload)) = gateway.index.upload(id).await else {
            return;
        };
        if let Err(Unfinished::Later(error)) = gateway.finish_upload(&upload, Lost::MayTurnUp).await
        {
            tracing::warn!(upload = %id, %error, "an accepted upload is not finished yet");
        }
    };
    let all = futures_util::stream::iter(accepted).for_each_concurrent(AT_ONCE_MAX, one);
    if timeout(most, all).await.is_err() {
        tracing::warn!(count, "some accepted uploads are not finished yet");
    }
    Ok(())
}

impl Job {
    /// [`weir_types::record::Work::Complete`]. An upload that its request has finished is
    /// gone; one that can never be finished is aborted.
    pub(super) async fn complete(&self, id: UploadId) -> Run {
        let upload = self.gateway.index.upload(id).await?;
        let completing = |state: &UploadState| matches!(state, UploadState::Completing { .. });
        if let Some(upload) = upload.filter(|upload| completing(&upload.state)) {
            let leg = leg(&upload).map_err(|error| Halt::Failed(error.to_string()))?;
            let (_, _slot) = self.enter(&leg.backend, OperationClass::Write)?;
            match self.gateway.finish_upload(&upload, self.lost()).await {
                Ok(_) | Err(Unfinished::Never(_)) => {}
                Err(Unfinished::Later(error)) => return Err(Halt::Failed(error.to_string())),
            }
        }
        self.finish(Vec::new()).await?;
        self.gateway.crash.pass("complete:forgotten").await;
        Ok(())
    }

    /// A backend that was asked long ago has answered, or never will.
    fn lost(&self) -> Lost {
        let age = self.gateway.now().since(self.entry.created_at);
        if age > self.gateway.settings.late_write_max {
            Lost::Final
        } else {
            Lost::MayTurnUp
        }
    }
}

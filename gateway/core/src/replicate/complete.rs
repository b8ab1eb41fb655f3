//! Finishing what a Complete began and did not end.

use weir_types::id::UploadId;
use weir_types::record::UploadState;

use super::job::{Halt, Job, Run};
use crate::object::multipart::finish::{Lost, Unfinished};
use crate::object::multipart::leg;
use crate::observe::OperationClass;

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

//! Removing aborted uploads.

use weir_types::id::UploadId;
use weir_types::index::Mutation;
use weir_types::record::UploadState;

use super::discard::failed;
use super::job::{Job, Run};
use crate::observe::OperationClass;

impl Job {
    /// [`weir_types::record::Work::Abort`]: drops the uploads at the backends, then the
    /// record. The legs' keys are discarded after that: one may have become an object, and
    /// parts may still be on their way.
    pub(super) async fn abort(&self, id: UploadId) -> Run {
        let upload = self.gateway.index.upload(id).await?;
        let Some(upload) = upload.filter(|upload| upload.state == UploadState::Aborting) else {
            self.finish(Vec::new()).await?;
            return Ok(());
        };
        for leg in &upload.legs {
            let (handle, _slot) = self.enter(&leg.backend, OperationClass::Write)?;
            let abort = handle.backend().abort_upload(&leg.key, &leg.backend_upload);
            handle
                .call("abort_upload", OperationClass::Write, abort)
                .await
                .map_err(failed)?;
            self.gateway.crash.pass("abort:dropped").await;
        }
        let now = self.gateway.now();
        let last_look_at = now.plus(self.gateway.settings.late_write_max);
        self.finish(vec![Mutation::FinishAbort {
            upload: id,
            last_look_at,
            now,
        }])
        .await?;
        self.gateway.crash.pass("abort:finished").await;
        Ok(())
    }
}

//! AbortMultipartUpload.

use std::sync::Arc;

use weir_types::Result;
use weir_types::error::ErrorCode;
use weir_types::index::Mutation;
use weir_types::operation::UploadRef;

use crate::gateway::Gateway;
use crate::object::Asker;

impl Gateway {
    /// Gives an upload up. It is gone for clients when this returns; its bytes go in the
    /// background. An upload whose Complete was accepted can no longer be given up, and is as
    /// good as gone: NoSuchUpload.
    pub(crate) async fn abort_multipart_upload(
        self: &Arc<Self>,
        named: UploadRef,
        _asker: Asker<'_>,
    ) -> Result<()> {
        if self.any_upload(&named).await?.is_none() {
            return Err(ErrorCode::NoSuchUpload.into());
        }
        let abort = Mutation::AbortUpload {
            upload: named.upload,
            only_open: true,
            now: self.now(),
        };
        self.apply(abort).await?;
        self.crash.pass("abort:accepted").await;
        Ok(())
    }
}

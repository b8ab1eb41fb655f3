//! Multipart uploads. (Placeholder so that dependants compile; being written.)
use std::sync::Arc;
use weir_types::Result;
use weir_types::error::ErrorCode;
use weir_types::index::UploadsPage;
use weir_types::operation::*;
use weir_types::record::UploadRecord;
use super::Asker;
use crate::gateway::Gateway;
#[allow(clippy::unused_async)]
impl Gateway {
    pub(crate) async fn create_multipart_upload(self: &Arc<Self>, _: CreateMultipartUpload, _: Asker<'_>) -> Result<UploadRecord> { Err(ErrorCode::NotImplemented.into()) }
    pub(crate) async fn upload_part(self: &Arc<Self>, _: UploadPart, _: Asker<'_>) -> Result<UploadPartResult> { Err(ErrorCode::NotImplemented.into()) }
    pub(crate) async fn upload_part_copy(self: &Arc<Self>, _: UploadPartCopy, _: Asker<'_>) -> Result<UploadPartResult> { Err(ErrorCode::NotImplemented.into()) }
    pub(crate) async fn complete_multipart_upload(self: &Arc<Self>, _: CompleteMultipartUpload, _: Asker<'_>) -> Result<CompletedObject> { Err(ErrorCode::NotImplemented.into()) }
    pub(crate) async fn abort_multipart_upload(self: &Arc<Self>, _: UploadRef, _: Asker<'_>) -> Result<()> { Err(ErrorCode::NotImplemented.into()) }
    pub(crate) async fn list_parts(self: &Arc<Self>, _: ListParts, _: Asker<'_>) -> Result<PartsListing> { Err(ErrorCode::NotImplemented.into()) }
    pub(crate) async fn list_multipart_uploads(self: &Arc<Self>, _: ListMultipartUploads, _: Asker<'_>) -> Result<UploadsPage> { Err(ErrorCode::NotImplemented.into()) }
}

//! ListParts and ListMultipartUploads.

use std::sync::Arc;

use weir_types::Result;
use weir_types::error::ErrorCode;
use weir_types::index::{UploadsPage, UploadsQuery};
use weir_types::operation::{ListMultipartUploads, ListParts, PartsListing};
use weir_types::record::UploadState;

use crate::gateway::{Gateway, index_error};
use crate::object::Asker;

impl Gateway {
    /// A page of an upload's parts, in order of number.
    pub(crate) async fn list_parts(
        self: &Arc<Self>,
        list: ListParts,
        _asker: Asker<'_>,
    ) -> Result<PartsListing> {
        let found = self.any_upload(&list.upload).await?;
        let upload = found.filter(|u| u.state != UploadState::Aborting);
        let upload = upload.ok_or(ErrorCode::NoSuchUpload)?;
        let page = self.index.parts(upload.upload_id, list.after, list.limit);
        let page = page.await.map_err(index_error)?;
        Ok(PartsListing {
            upload: Box::new(upload),
            page,
        })
    }

    /// A page of a bucket's open uploads, in order of key and id.
    pub(crate) async fn list_multipart_uploads(
        self: &Arc<Self>,
        list: ListMultipartUploads,
        _asker: Asker<'_>,
    ) -> Result<UploadsPage> {
        let bucket = self.bucket(&list.bucket).await?;
        let query = UploadsQuery {
            bucket: bucket.incarnation,
            prefix: list.prefix,
            delimiter: list.delimiter,
            after: list.after,
            limit: list.limit,
        };
        self.index.uploads(query).await.map_err(index_error)
    }
}

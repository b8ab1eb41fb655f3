//! Multipart uploads, one file per operation.
//!
//! A client's upload runs beside an upload at one backend (its *leg*): parts go there as they
//! come, so that Complete moves no bytes. What makes this safe is the order of steps:
//!
//! - Create: intent → upload at the backend → record. A crash between leaves an intent that
//!   the reaper clears, with whatever the backend began.
//! - UploadPart: a part of the same number is forgotten before the backend may replace its
//!   bytes. A part that stands in the index is therefore always the part that the backend has.
//! - Complete: "completing" is durable before the backend is asked. From there it only rolls
//!   forward, by the request, by the client's retry, or by the background (see [`finish`]).

mod abort;
mod checksum;
mod complete;
mod create;
mod draft;
pub(crate) mod finish;
mod list;
mod part;
mod part_copy;
mod turn;

use weir_types::Result;
use weir_types::error::ErrorCode;
use weir_types::operation::UploadRef;
use weir_types::record::{UploadLeg, UploadRecord, UploadState};

use crate::gateway::{Gateway, index_error};

impl Gateway {
    /// The upload that a client names, in any state. An id that belongs to another bucket, an
    /// earlier life of the bucket, or another key is unknown.
    async fn any_upload(&self, named: &UploadRef) -> Result<Option<UploadRecord>> {
        let bucket = self.bucket(&named.bucket).await?;
        let found = self.index.upload(named.upload).await.map_err(index_error)?;
        Ok(found.filter(|u| u.incarnation == bucket.incarnation && u.key == named.key))
    }

    /// The upload that a client names, if it takes parts.
    async fn open_upload(&self, named: &UploadRef) -> Result<UploadRecord> {
        let found = self.any_upload(named).await?;
        let open = found.filter(|u| u.state == UploadState::Open);
        open.ok_or_else(|| ErrorCode::NoSuchUpload.into())
    }
}

/// The upload's one leg.
pub(crate) fn leg(upload: &UploadRecord) -> Result<&UploadLeg> {
    upload.legs.first().ok_or_else(|| {
        tracing::error!(upload = %upload.upload_id, "an upload has no leg");
        ErrorCode::InternalError.into()
    })
}

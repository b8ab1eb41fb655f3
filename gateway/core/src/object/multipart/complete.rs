//! CompleteMultipartUpload.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use weir_types::error::ErrorCode;
use weir_types::id::{Incarnation, PartNumber};
use weir_types::index::{Applied, Mutation};
use weir_types::operation::{CompleteMultipartUpload, CompletedObject};
use weir_types::record::{PartRecord, UploadRecord, UploadState, VersionRecord};
use weir_types::{Error, Result};

use super::checksum::etag_of;
use super::draft::{check_order, draw_up};
use super::finish::{Lost, Unfinished};
use super::leg;
use crate::decide::forbidden;
use crate::gateway::{Gateway, index_error};
use crate::object::Asker;
use crate::observe::OperationClass;

/// The background takes an accepted Complete over when it is this old.
const RESUME_AFTER: Duration = Duration::from_secs(60);

/// Parts are read from the index in pages of this many.
const PARTS_PER_PAGE: usize = 1000;

impl Gateway {
    /// Turns parts into an object. Once the index has accepted the Complete, it is finished by
    /// this call, by the client's next try, or by the background: a client that asks again is
    /// answered the same. Runs to its end even if the client goes away, because it is spawned
    /// by [`crate::pipeline`].
    pub(crate) async fn complete_multipart_upload(
        self: &Arc<Self>,
        complete: CompleteMultipartUpload,
        asker: Asker<'_>,
    ) -> Result<CompletedObject> {
        check_order(&complete.parts)?;
        let bucket = self.bucket(&complete.upload.bucket).await?;
        let result = match self.any_upload(&complete.upload).await? {
            Some(upload) => Box::pin(self.complete_upload(&complete, upload, asker)).await,
            None => Err(ErrorCode::NoSuchUpload.into()),
        };
        let version = match result {
            Ok(version) => version,
            // An earlier try, or the background, may have finished it meanwhile: its parts are
            // gone then.
            Err(error) if gone(&error) => {
                let before = self.completed_before(&complete, bucket.incarnation).await?;
                before.ok_or(error)?
            }
            Err(error) => return Err(error),
        };
        Ok(CompletedObject {
            bucket: complete.upload.bucket,
            key: complete.upload.key,
            etag: version.etag,
            checksum: version.checksum,
            version_id: version.version_id,
        })
    }

    async fn complete_upload(
        self: &Arc<Self>,
        complete: &CompleteMultipartUpload,
        upload: UploadRecord,
        asker: Asker<'_>,
    ) -> Result<VersionRecord> {
        if upload.state == UploadState::Aborting {
            return Err(ErrorCode::NoSuchUpload.into());
        }
        let known = self.all_parts(&upload).await?;
        let draft = draw_up(&upload, complete, &known, &self.settings, &self.site)?;
        let backend = &leg(&upload)?.backend;
        let handle = self.backends.get(backend);
        let handle = handle.filter(|b| b.admits(OperationClass::Write));
        let handle = handle.ok_or(ErrorCode::ServiceUnavailable)?;
        if !self.may_hold(&upload.placement, handle) {
            return Err(forbidden());
        }
        asker.trace.attempt(handle.id());
        asker.trace.policy(&upload.placement.revision);

        let now = self.now();
        let begin = Mutation::BeginComplete {
            upload: upload.upload_id,
            parts: complete
                .parts
                .iter()
                .map(|p| (p.number, p.etag.clone()))
                .collect(),
            draft: Box::new(draft),
            conditions: complete.conditions.clone(),
            now,
            resume_at: now.plus(RESUME_AFTER),
        };
        let Applied::Completing { upload, first } = self.apply(begin).await? else {
            tracing::error!("the index answered BeginComplete with something else");
            return Err(ErrorCode::InternalError.into());
        };
        self.crash.pass("complete:accepted").await;
        // The first to be accepted knows that no other try is at work in the backend; two that
        // came together must not both believe it.
        let lost = if first { Lost::Final } else { Lost::MayTurnUp };
        self.finish_upload(&upload, lost)
            .await
            .map_err(Unfinished::into_error)
    }

    pub(super) async fn all_parts(
        &self,
        upload: &UploadRecord,
    ) -> Result<HashMap<PartNumber, PartRecord>> {
        let mut known = HashMap::new();
        let mut after = 0;
        loop {
            let page = self.index.parts(upload.upload_id, after, PARTS_PER_PAGE);
            let page = page.await.map_err(index_error)?;
            after = page.parts.last().map_or(after, |part| part.number.get());
            known.extend(page.parts.into_iter().map(|part| (part.number, part)));
            if !page.more {
                return Ok(known);
            }
        }
    }

    /// What the same Complete made before, while that is remembered.
    async fn completed_before(
        &self,
        complete: &CompleteMultipartUpload,
        incarnation: Incarnation,
    ) -> Result<Option<VersionRecord>> {
        let found = self
            .index
            .completed(complete.upload.upload)
            .await
            .map_err(index_error)?;
        let Some((bucket, key, version)) = found else {
            return Ok(None);
        };
        let same_parts =
            etag_of(complete.parts.iter().map(|p| &p.etag)).as_ref() == Some(&version.etag);
        let same = bucket == incarnation && key == complete.upload.key && same_parts;
        Ok(same.then_some(version))
    }
}

/// Whether the error is one that a finished upload would also give.
fn gone(error: &Error) -> bool {
    matches!(error.code, ErrorCode::NoSuchUpload | ErrorCode::InvalidPart)
}

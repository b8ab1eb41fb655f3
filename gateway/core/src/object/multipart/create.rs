//! CreateMultipartUpload.

use std::sync::Arc;

use weir_types::error::ErrorCode;
use weir_types::id::{BackendKey, BlobId, Incarnation, IntentId, UploadId, VersionId};
use weir_types::index::Mutation;
use weir_types::operation::CreateMultipartUpload;
use weir_types::record::{
    Intent, IntentPurpose, IntentState, Placement, UploadLeg, UploadRecord, UploadState,
};
use weir_types::{Error, Result};

use crate::backends::BackendHandle;
use crate::decide::PlaceRequest;
use crate::gateway::Gateway;
use crate::object::Asker;
use crate::object::write::{FIRST_ATTEMPT, WriteGuard, client_error};
use crate::observe::OperationClass;

impl Gateway {
    /// Starts an upload: decide, start one at the first candidate that lets us, record it.
    /// Cancelling condemns what was begun.
    pub(crate) async fn create_multipart_upload(
        self: &Arc<Self>,
        create: CreateMultipartUpload,
        asker: Asker<'_>,
    ) -> Result<UploadRecord> {
        check_checksum(&create)?;
        let bucket = self.bucket(&create.bucket).await?;
        let request = PlaceRequest {
            operation: "CreateMultipartUpload",
            bucket: &create.bucket,
            location: bucket.location.as_deref(),
            key: &create.key,
            size_bytes: None,
            content_type: create.headers.content_type.as_deref(),
            storage_class: create.storage_class.as_deref(),
            tags: &create.tags,
            user_metadata: &create.user_metadata,
            principal: asker.principal,
            now_ms: self.wall().as_millis(),
            entropy: self.entropy.u64(),
        };
        let placement = self.decide(request, asker.trace).await?;
        let mut upload = self.draft_upload(create, bucket.incarnation, placement, asker);
        let (guard, leg) = self.open_leg(&upload, asker).await?;
        upload.legs.push(leg.clone());
        // The intent learns the backend's upload id in the transaction that makes the upload
        // visible: a crash before it leaves an intent without one, and whoever clears that
        // asks the backend which uploads it has under the key.
        let recorded = self.apply(Mutation::All(vec![
            Mutation::SetBackendUpload {
                intent: leg.intent,
                backend_upload: leg.backend_upload,
            },
            Mutation::CreateUpload {
                upload: Box::new(upload.clone()),
            },
        ]));
        if let Err(error) = recorded.await {
            guard.condemn().await;
            return Err(error);
        }
        self.crash.pass("upload:recorded").await;
        guard.committed();
        Ok(upload)
    }

    fn draft_upload(
        &self,
        create: CreateMultipartUpload,
        incarnation: Incarnation,
        placement: Placement,
        asker: Asker<'_>,
    ) -> UploadRecord {
        let now = self.now();
        UploadRecord {
            upload_id: UploadId::mint(&*self.entropy),
            bucket: create.bucket,
            incarnation,
            key: create.key,
            initiator: asker.principal.clone(),
            created_at: now,
            version_id: VersionId::mint(&*self.entropy),
            blob: BlobId::mint(now, &*self.entropy),
            headers: create.headers,
            user_metadata: create.user_metadata,
            tags: create.tags,
            storage_class: create.storage_class,
            checksum: create.checksum,
            placement,
            legs: Vec::new(),
            state: UploadState::Open,
        }
    }

    /// Starts an upload at the first candidate that lets us.
    async fn open_leg(
        self: &Arc<Self>,
        upload: &UploadRecord,
        asker: Asker<'_>,
    ) -> Result<(WriteGuard, UploadLeg)> {
        let mut failure = Error::from(ErrorCode::ServiceUnavailable);
        for (attempt, handle) in (FIRST_ATTEMPT..).zip(self.candidates(&upload.placement)) {
            if !handle.admits(OperationClass::Write) {
                continue;
            }
            // Parts claim what they need; a backend without a byte left is not even begun with.
            let claim = handle.room().claim(1);
            if !self.has_room(handle.id(), &claim).await? {
                failure = Error::new(
                    ErrorCode::QuotaExceeded,
                    "The backends that this object may lie on are full.",
                );
                continue;
            }
            drop(claim);
            asker.trace.attempt(handle.id());
            match self.begin_leg(handle, upload, attempt).await? {
                Ok(begun) => return Ok(begun),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    /// Intent, then the upload at the backend. The inner error is the backend's: another
    /// candidate may be asked.
    async fn begin_leg(
        self: &Arc<Self>,
        handle: &Arc<BackendHandle>,
        upload: &UploadRecord,
        attempt: u32,
    ) -> Result<Result<(WriteGuard, UploadLeg)>> {
        let key = BackendKey::of(&self.site, upload.blob, attempt);
        let intent = Intent {
            intent: IntentId::mint(&*self.entropy),
            backend: handle.id().clone(),
            key: key.clone(),
            blob: upload.blob,
            attempt,
            purpose: IntentPurpose::Upload(upload.upload_id),
            created_at: self.now(),
            backend_upload: None,
            reserved_bytes: 0,
            state: IntentState::Open,
        };
        let id = intent.intent;
        let guard = WriteGuard::new(self, vec![id]);
        self.apply(Mutation::Begin {
            intents: vec![intent],
        })
        .await?;
        self.crash.pass("upload:intent-written").await;
        let create = handle.backend().create_upload(&key);
        match handle
            .call("create_upload", OperationClass::Write, create)
            .await
        {
            Ok(backend_upload) => {
                self.crash.pass("upload:begun").await;
                let backend = handle.id().clone();
                Ok(Ok((
                    guard,
                    UploadLeg {
                        backend,
                        key,
                        attempt,
                        backend_upload,
                        intent: id,
                    },
                )))
            }
            Err(error) => {
                guard.condemn().await;
                Ok(Err(client_error(&error)))
            }
        }
    }
}

/// Not every algorithm comes in every type (AWS, "Checking object integrity").
fn check_checksum(create: &CreateMultipartUpload) -> Result<()> {
    match create.checksum {
        Some((algorithm, kind)) if !algorithm.allows_multipart(kind) => Err(Error::new(
            ErrorCode::InvalidRequest,
            format!(
                "The {} checksum type cannot be used with the {} checksum algorithm.",
                kind.name(),
                algorithm.name().to_ascii_lowercase()
            ),
        )),
        _ => Ok(()),
    }
}

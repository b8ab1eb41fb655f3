//! CreateMultipartUpload.

use std::sync::Arc;

use weir_types::backend::BackendError;
use weir_types::error::ErrorCode;
use weir_types::id::{BackendId, BackendKey, BlobId, Incarnation, IntentId, UploadId, VersionId};
use weir_types::index::Mutation;
use weir_types::operation::CreateMultipartUpload;
use weir_types::record::{
    Intent, IntentPurpose, IntentState, Placement, UploadLeg, UploadRecord, UploadState,
};
use weir_types::{Error, Result};

use crate::backends::BackendHandle;
use crate::decide::{Decided, PlaceRequest, forbidden, no_room};
use crate::gateway::Gateway;
use crate::object::Asker;
use crate::object::write::{FIRST_ATTEMPT, WriteGuard, client_error, is_full};
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
        let mut decided = self.decide(request, asker.trace).await?;
        self.require_room(&mut decided, asker.trace)?;
        let ids = (
            UploadId::mint(&*self.entropy),
            BlobId::mint(self.now(), &*self.entropy),
        );
        let (guard, leg) = self.open_leg(ids, &mut decided, asker).await?;
        let placement = decided.placement;
        let mut upload = self.draft_upload(ids, create, bucket.incarnation, placement, asker);
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
        (upload_id, blob): (UploadId, BlobId),
        create: CreateMultipartUpload,
        incarnation: Incarnation,
        placement: Placement,
        asker: Asker<'_>,
    ) -> UploadRecord {
        UploadRecord {
            upload_id,
            bucket: create.bucket,
            incarnation,
            key: create.key,
            initiator: asker.principal.clone(),
            created_at: self.now(),
            version_id: VersionId::mint(&*self.entropy),
            blob,
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

    /// Starts an upload at the first candidate that lets us. When all of them are full, it may
    /// overflow to others: `decided` says so then.
    async fn open_leg(
        self: &Arc<Self>,
        ids: (UploadId, BlobId),
        decided: &mut Decided<'_>,
        asker: Asker<'_>,
    ) -> Result<(WriteGuard, UploadLeg)> {
        let mut failure = Error::from(ErrorCode::ServiceUnavailable);
        let mut attempts = FIRST_ATTEMPT..;
        let mut tried: Vec<BackendId> = Vec::new();
        loop {
            let (mut asked, mut full) = (0, Vec::new());
            for handle in self.candidates(&decided.placement) {
                if tried.contains(handle.id()) {
                    continue;
                }
                tried.push(handle.id().clone());
                asked += 1;
                if !self.may_hold(&decided.placement, handle) {
                    failure = forbidden();
                    continue;
                }
                if !handle.admits(OperationClass::Write) {
                    continue;
                }
                // Parts claim what they need; a backend without a byte left is not even begun
                // with.
                let claim = handle.room().claim(1);
                if !self.has_room(handle.id(), &claim).await? {
                    failure = no_room();
                    full.push(handle.id().clone());
                    continue;
                }
                drop(claim);
                asker.trace.attempt(handle.id());
                let attempt = attempts.next().unwrap_or(u32::MAX);
                match self.begin_leg(handle, ids, attempt).await? {
                    Ok(begun) => return Ok(begun),
                    Err(error) => {
                        failure = client_error(&error);
                        if is_full(&error) {
                            full.push(handle.id().clone());
                        }
                    }
                }
            }
            if asked == 0 || full.len() < asked {
                return Err(failure);
            }
            self.overflow_of_full(decided, &full, asker.trace).await?;
        }
    }

    /// Intent, then the upload at the backend. The inner error is the backend's: another
    /// candidate may be asked.
    async fn begin_leg(
        self: &Arc<Self>,
        handle: &Arc<BackendHandle>,
        (upload, blob): (UploadId, BlobId),
        attempt: u32,
    ) -> Result<Result<(WriteGuard, UploadLeg), BackendError>> {
        let key = BackendKey::of(&self.site, blob, attempt);
        let intent = Intent {
            intent: IntentId::mint(&*self.entropy),
            backend: handle.id().clone(),
            key: key.clone(),
            blob,
            attempt,
            purpose: IntentPurpose::Upload(upload),
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
                Ok(Err(error))
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

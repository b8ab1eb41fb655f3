//! Finishing an accepted Complete: the backend puts its parts together, then the version is
//! committed.
//!
//! Every step can be made again: by two tasks at once, after a crash in between, after a
//! backend's answer was lost.

use std::sync::Arc;

use weir_types::backend::{BackendError, BackendErrorKind, BackendPart, Stored};
use weir_types::error::ErrorCode;
use weir_types::id::PartNumber;
use weir_types::index::{
    Applied, CommitContent, CommitVersion, IndexError, Mutation, Refusal, WriteConditions,
};
use weir_types::record::{
    CopyRecord, CopyState, UploadLeg, UploadRecord, UploadState, VersionRecord,
};
use weir_types::{Error, Result};

use super::leg;
use super::turn::Turn;
use crate::backends::BackendHandle;
use crate::gateway::{Gateway, index_error};
use crate::object::put::first_of;
use crate::object::write::{clean_at, client_error};
use crate::observe::OperationClass;

/// Why an accepted Complete has not become an object.
#[derive(Debug)]
pub(crate) enum Unfinished {
    /// It will, or at least nothing speaks against it.
    Later(Error),
    /// It never will: the upload is being aborted, or is gone.
    Never(Error),
}

impl Unfinished {
    /// What the client is told.
    pub(crate) fn into_error(self) -> Error {
        match self {
            Self::Later(error) | Self::Never(error) => error,
        }
    }
}

impl From<Error> for Unfinished {
    fn from(error: Error) -> Self {
        Self::Later(error)
    }
}

/// What it means that the backend knows neither the upload nor the object that it makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lost {
    /// Nobody asked the backend to put the parts together before, or long ago: they are lost.
    Final,
    /// It may still be at work on an earlier try whose answer was lost.
    MayTurnUp,
}

impl Gateway {
    /// Takes a completing upload to its end. Idempotent; cancelling leaves it completing.
    pub(crate) async fn finish_upload(
        self: &Arc<Self>,
        upload: &UploadRecord,
        lost: Lost,
    ) -> Result<VersionRecord, Unfinished> {
        let _turn = Turn::wait(self, upload.upload_id, None).await;
        let found = self
            .index
            .upload(upload.upload_id)
            .await
            .map_err(index_error)?;
        match found {
            Some(upload) => Box::pin(self.finish_alone(&upload, lost)).await,
            None => self.finished_elsewhere(upload).await,
        }
    }

    async fn finish_alone(
        self: &Arc<Self>,
        upload: &UploadRecord,
        lost: Lost,
    ) -> Result<VersionRecord, Unfinished> {
        let UploadState::Completing {
            parts,
            draft,
            conditions,
        } = &upload.state
        else {
            return Err(Unfinished::Never(ErrorCode::NoSuchUpload.into()));
        };
        let leg = leg(upload)?;
        let stored = match self.assemble(upload, leg, parts, draft.size, lost).await? {
            Ok(stored) => stored,
            Err(error) => return Err(self.give_up(upload, error).await),
        };
        self.crash.pass("complete:assembled").await;
        let copy = CopyRecord {
            backend: leg.backend.clone(),
            key: leg.key.clone(),
            attempt: leg.attempt,
            etag: stored.etag,
            created_at: self.now(),
            state: CopyState::Good,
        };
        let version = self.commit_upload(upload, draft, conditions, copy).await?;
        self.crash.pass("complete:committed").await;
        Ok(version)
    }

    /// Has the backend put the parts together. The inner error is final.
    async fn assemble(
        &self,
        upload: &UploadRecord,
        leg: &UploadLeg,
        parts: &[PartNumber],
        size: u64,
        lost: Lost,
    ) -> Result<Result<Stored>> {
        let handle = self.backends.get(&leg.backend).ok_or_else(|| {
            Error::new(
                ErrorCode::ServiceUnavailable,
                format!("The backend {} is not configured.", leg.backend),
            )
        })?;
        let parts = match self.backend_parts(upload, parts).await? {
            Some(parts) => parts,
            // Committed by another task a moment ago; the commit will say so.
            None => return Ok(Err(ErrorCode::NoSuchUpload.into())),
        };
        let complete = handle
            .backend()
            .complete_upload(&leg.key, &leg.backend_upload, &parts);
        let error = match handle
            .call("complete_upload", OperationClass::Write, complete)
            .await
        {
            Ok(stored) if stored.size == size => return Ok(Ok(stored)),
            Ok(stored) => {
                let found = format!("{} bytes of {size} were assembled", stored.size);
                let error = BackendError::new(BackendErrorKind::Corrupt, found);
                handle.learn(OperationClass::Write, Some(&error));
                return Ok(Err(client_error(&error)));
            }
            Err(error) => error,
        };
        tracing::debug!(backend = %leg.backend, %error, "an upload was not put together");
        match error.kind {
            BackendErrorKind::NotFound | BackendErrorKind::Rejected => {
                self.assembled_before(handle, leg, size, error, lost).await
            }
            _ => Err(client_error(&error)),
        }
    }

    /// The backend does not know the upload, or refuses it: an earlier try may have been
    /// carried out whose answer never came. Nothing else ever had this key.
    async fn assembled_before(
        &self,
        handle: &Arc<BackendHandle>,
        leg: &UploadLeg,
        size: u64,
        refusal: BackendError,
        lost: Lost,
    ) -> Result<Result<Stored>> {
        let head = handle.backend().head(&leg.key);
        match handle.call("head", OperationClass::Read, head).await {
            Ok(Some(stored)) if stored.size == size => Ok(Ok(stored)),
            Ok(_) if lost == Lost::MayTurnUp => Err(ErrorCode::ServiceUnavailable.into()),
            Ok(_) => {
                tracing::warn!(backend = %leg.backend, error = %refusal, "an upload is lost at its backend");
                let code = match refusal.kind {
                    BackendErrorKind::NotFound => ErrorCode::NoSuchUpload,
                    _ => ErrorCode::InvalidPart,
                };
                Ok(Err(code.into()))
            }
            Err(error) => Err(client_error(&error)),
        }
    }

    /// The chosen parts as the backend knows them; `None` when they are gone.
    async fn backend_parts(
        &self,
        upload: &UploadRecord,
        chosen: &[PartNumber],
    ) -> Result<Option<Vec<BackendPart>>> {
        let known = self.all_parts(upload).await?;
        let part = |number: &PartNumber| {
            let part = known.get(number)?;
            Some(BackendPart {
                number: *number,
                size: part.size,
                etag: part.backend_etags.first()?.clone(),
            })
        };
        Ok(chosen.iter().map(part).collect())
    }

    async fn commit_upload(
        self: &Arc<Self>,
        upload: &UploadRecord,
        draft: &VersionRecord,
        conditions: &WriteConditions,
        copy: CopyRecord,
    ) -> Result<VersionRecord, Unfinished> {
        let now = self.now();
        let commit = self.commitment(CommitVersion {
            bucket: upload.bucket.clone(),
            incarnation: upload.incarnation,
            key: upload.key.clone(),
            conditions: conditions.clone(),
            draft: draft.clone(),
            content: CommitContent::Upload {
                upload: upload.upload_id,
                copies: vec![copy],
            },
            now,
            clean_at: clean_at(self, now),
        });
        match self.index.apply(commit).await.map(first_of) {
            Ok(Applied::Committed { version, .. }) => Ok(*version),
            Ok(other) => {
                tracing::error!(?other, "the index answered a commit with something else");
                Err(Unfinished::Later(ErrorCode::InternalError.into()))
            }
            Err(IndexError::Refused(Refusal::NoSuchUpload)) => {
                self.finished_elsewhere(upload).await
            }
            Err(
                error @ IndexError::Refused(
                    Refusal::PreconditionFailed
                    | Refusal::NoSuchKey
                    | Refusal::NoSuchBucket
                    | Refusal::IntentGone,
                ),
            ) => Err(self.give_up(upload, index_error(error)).await),
            Err(error) => Err(Unfinished::Later(index_error(error))),
        }
    }

    /// The upload is not completing any more: another task has committed or aborted it.
    async fn finished_elsewhere(&self, upload: &UploadRecord) -> Result<VersionRecord, Unfinished> {
        let found = self
            .index
            .completed(upload.upload_id)
            .await
            .map_err(index_error)?;
        match found {
            Some((_, _, version)) => Ok(version),
            None => Err(Unfinished::Never(ErrorCode::NoSuchUpload.into())),
        }
    }

    /// A completing upload can never become an object: it is aborted, unless another task has
    /// finished it after all.
    async fn give_up(&self, upload: &UploadRecord, error: Error) -> Unfinished {
        let abort = Mutation::AbortUpload {
            upload: upload.upload_id,
            only_open: false,
            now: self.now(),
        };
        match self.index.apply(abort).await {
            Ok(_) | Err(IndexError::Refused(_)) => Unfinished::Never(error),
            Err(failed) => Unfinished::Later(index_error(failed)),
        }
    }
}

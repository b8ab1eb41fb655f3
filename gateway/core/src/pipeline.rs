//! A request's way through Weir, top to bottom.
//!
//! accept → authenticate → decode → authorize → execute (decide, write or read, commit) →
//! respond → record. Each step is one call; each can refuse, and what is refused has changed
//! nothing.

mod entry;

use std::sync::Arc;

use futures_util::FutureExt;
use http::{Method, Request, Response};
use tokio::time::timeout;
use weir_types::error::ErrorCode;
use weir_types::id::Principal;
use weir_types::operation::{Operation, Outcome};
use weir_types::{Error, Result};

use crate::authorize::authorize;
use crate::front::{Call, Front, ReplyBody};
use crate::gateway::Gateway;
use crate::object::Asker;
use crate::observe::Trace;

use entry::Entry;

impl Gateway {
    /// Answers one request. Dropping the future (the client went away) condemns what was being
    /// written; nothing half done stays.
    pub async fn serve<F: Front>(
        self: &Arc<Self>,
        front: &F,
        request: Request<F::Body>,
    ) -> Response<ReplyBody> {
        // accept
        let mut entry = Entry::open(self, &request);
        let head_only = request.method() == Method::HEAD;
        let resource = request.uri().path().to_owned();

        let response = match Box::pin(self.answer(front, request, &mut entry)).await {
            Ok(response) => response,
            Err(error) => {
                entry.failed(&error);
                front.refuse(head_only, &resource, entry.request_id(), error)
            }
        };

        // record, when the last byte of the answer is out
        entry.close(response)
    }

    /// The steps between accepting and recording. An `Err` is a request that was refused before
    /// its answer had a form of its own.
    async fn answer<F: Front>(
        self: &Arc<Self>,
        front: &F,
        request: Request<F::Body>,
        entry: &mut Entry,
    ) -> Result<Response<ReplyBody>> {
        let verified = front.authenticate(request)?;
        let principal = front.principal(&verified).clone();
        entry.authenticated(&principal);

        let Call {
            operation,
            rendering,
        } = front.decode(verified).await?;
        entry.decoded(&operation);

        let outcome = match authorize(&*self.grants, &principal, &operation) {
            Err(error) => Err(error),
            Ok(()) if takes_long(&operation) => {
                let mut task = self.spawn_execution(operation, principal, entry.trace())?;
                match timeout(self.settings.keep_alive_after, &mut task).await {
                    Ok(outcome) => joined(outcome),
                    Err(_still_running) => {
                        let trace = entry.trace();
                        let later = task.map(move |outcome| {
                            joined(outcome).inspect_err(|e| trace.failed_late(e.code.code()))
                        });
                        let later = later.boxed();
                        return Ok(front.respond_late(rendering, entry.request_id(), later));
                    }
                }
            }
            Ok(()) => {
                let trace = entry.trace();
                let asker = Asker {
                    principal: &principal,
                    trace: &trace,
                };
                self.execute(operation, asker).await
            }
        };

        entry.executed(&outcome);
        Ok(front.respond(rendering, entry.request_id(), outcome))
    }

    /// Runs an operation in a task of its own, which runs to its end even if the client does
    /// not wait. SlowDown when too many such tasks run already.
    fn spawn_execution(
        self: &Arc<Self>,
        operation: Operation,
        principal: Principal,
        trace: Arc<Trace>,
    ) -> Result<tokio::task::JoinHandle<Result<Outcome>>> {
        let slot = Arc::clone(&self.long_operations).try_acquire_owned();
        let slot = slot.map_err(|_none_left| ErrorCode::SlowDown)?;
        let gateway = Arc::clone(self);
        Ok(tokio::spawn(async move {
            let _slot = slot;
            let asker = Asker {
                principal: &principal,
                trace: &trace,
            };
            gateway.execute(operation, asker).await
        }))
    }

    /// Does what an authorized operation asks for. Fronts reach it through
    /// [`Gateway::serve`]; models and tests call it directly.
    pub async fn execute(
        self: &Arc<Self>,
        operation: Operation,
        asker: Asker<'_>,
    ) -> Result<Outcome> {
        match operation {
            Operation::ListBuckets => self
                .list_buckets(asker.principal)
                .await
                .map(Outcome::Buckets),
            Operation::CreateBucket { bucket, location } => {
                let made = self.create_bucket(bucket, location, asker.principal).await;
                made.map(|()| Outcome::BucketCreated)
            }
            Operation::HeadBucket { bucket } | Operation::GetBucketLocation { bucket } => {
                self.bucket_info(&bucket).await.map(Outcome::Bucket)
            }
            Operation::DeleteBucket { bucket } => self
                .delete_bucket(&bucket)
                .await
                .map(|()| Outcome::BucketDeleted),
            Operation::ListObjects(list) => self.list_objects(list).await.map(Outcome::Listing),
            Operation::PutObject(put) => Box::pin(self.put_object(*put, asker))
                .await
                .map(Outcome::Put),
            Operation::GetObject(read) => Box::pin(self.get_object(&read, asker))
                .await
                .map(Outcome::Read),
            Operation::HeadObject(read) => self.head_object(&read).await.map(Outcome::Head),
            Operation::DeleteObject(delete) => {
                self.delete_object(delete).await.map(|()| Outcome::Deleted)
            }
            Operation::DeleteObjects(delete) => Box::pin(self.delete_objects(delete, asker))
                .await
                .map(Outcome::DeletedKeys),
            Operation::CopyObject(copy) => Box::pin(self.copy_object(*copy, asker))
                .await
                .map(Outcome::Copied),
            Operation::CreateMultipartUpload(create) => {
                let created = Box::pin(self.create_multipart_upload(*create, asker)).await;
                created.map(|upload| Outcome::UploadCreated(Box::new(upload)))
            }
            Operation::UploadPart(part) => Box::pin(self.upload_part(*part, asker))
                .await
                .map(Outcome::PartPut),
            Operation::UploadPartCopy(part) => Box::pin(self.upload_part_copy(*part, asker))
                .await
                .map(Outcome::PartCopied),
            Operation::CompleteMultipartUpload(complete) => {
                let completed = Box::pin(self.complete_multipart_upload(*complete, asker)).await;
                completed.map(Outcome::Completed)
            }
            Operation::AbortMultipartUpload(upload) => self
                .abort_multipart_upload(upload, asker)
                .await
                .map(|()| Outcome::UploadAborted),
            Operation::ListParts(list) => self.list_parts(list, asker).await.map(Outcome::Parts),
            Operation::ListMultipartUploads(list) => self
                .list_multipart_uploads(list, asker)
                .await
                .map(Outcome::Uploads),
        }
    }
}

/// Operations that may move or wait for many bytes without the client sending any.
const fn takes_long(operation: &Operation) -> bool {
    matches!(
        operation,
        Operation::CopyObject(_)
            | Operation::UploadPartCopy(_)
            | Operation::CompleteMultipartUpload(_)
    )
}

/// The outcome of a spawned execution.
fn joined(outcome: Result<Result<Outcome>, tokio::task::JoinError>) -> Result<Outcome> {
    outcome.unwrap_or_else(|error| {
        tracing::error!(%error, "an execution ended abnormally");
        Err(Error::from(ErrorCode::InternalError))
    })
}

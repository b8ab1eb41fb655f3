//! UploadPart.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, stream};
use weir_types::backend::{BackendError, BackendErrorKind, Stored};
use weir_types::body::{IncomingBody, PutStream};
use weir_types::error::ErrorCode;
use weir_types::etag::ETag;
use weir_types::id::PartNumber;
use weir_types::index::Mutation;
use weir_types::operation::{UploadPart, UploadPartResult};
use weir_types::record::{PartRecord, UploadLeg, UploadRecord};
use weir_types::{Error, Result};

use super::turn::Turn;
use super::{checksum, leg};
use crate::backends::BackendHandle;
use crate::decide::forbidden;
use crate::gateway::{Gateway, index_error};
use crate::ingest::{Digested, Ingest};
use crate::object::Asker;
use crate::object::write::client_error;
use crate::observe::OperationClass;

impl Gateway {
    /// Stores a part. When this returns, its bytes are durable at the backend and its record is
    /// in the index. Cancelling leaves the part that stood before, or none.
    pub(crate) async fn upload_part(
        self: &Arc<Self>,
        part: UploadPart,
        asker: Asker<'_>,
    ) -> Result<UploadPartResult> {
        self.check_size(part.body.size)?;
        let upload = self.open_upload(&part.upload).await?;
        let mut body = part.body;
        body.expected.checksum =
            checksum::expected_of_part(upload.checksum, body.expected.checksum)?;
        self.store_part(&upload, part.number, body, asker).await
    }

    /// Takes a part in and records it.
    pub(super) async fn store_part(
        self: &Arc<Self>,
        upload: &UploadRecord,
        number: PartNumber,
        body: IncomingBody,
        asker: Asker<'_>,
    ) -> Result<UploadPartResult> {
        let leg = leg(upload)?;
        let _turn = Turn::wait(self, upload.upload_id, Some(number)).await;
        let handle = self.backends.get(&leg.backend);
        let handle = handle.filter(|b| b.admits(OperationClass::Write));
        let handle = handle.ok_or(ErrorCode::ServiceUnavailable)?;
        if !self.may_hold(&upload.placement, handle) {
            return Err(forbidden());
        }
        // Held until the part is recorded: the ledger counts its bytes then.
        let claim = handle.room().claim(body.size);
        if !self.has_room(handle.id(), &claim).await? {
            return Err(Error::new(
                ErrorCode::QuotaExceeded,
                "The backend that this upload lies on is full.",
            ));
        }
        asker.trace.attempt(handle.id());
        let replaces = self.has_part(upload, number).await?;
        let sent = self.send_part(handle, leg, upload, number, body, replaces);
        let (stored, digested) = Box::pin(sent).await?;
        self.crash.pass("part:stored").await;

        let now = self.wall();
        let result = UploadPartResult {
            etag: ETag::from_md5(digested.md5),
            last_modified: now,
            checksum: digested.checksum.clone(),
        };
        let part = PartRecord {
            number,
            size: digested.size,
            etag: result.etag.clone(),
            last_modified: now,
            checksum: digested.checksum,
            backend_etags: vec![stored.etag],
        };
        let put = Mutation::PutPart {
            upload: upload.upload_id,
            part,
            crcs: digested.crcs,
        };
        self.apply(put).await?;
        self.crash.pass("part:recorded").await;
        Ok(result)
    }

    async fn has_part(&self, upload: &UploadRecord, number: PartNumber) -> Result<bool> {
        let page = self.index.parts(upload.upload_id, number.get() - 1, 1);
        let page = page.await.map_err(index_error)?;
        Ok(page.parts.first().is_some_and(|part| part.number == number))
    }

    /// Sends the bytes to the backend. A part that they replace is forgotten once the body has
    /// proved right and before the backend has all of it.
    async fn send_part(
        self: &Arc<Self>,
        handle: &Arc<BackendHandle>,
        leg: &UploadLeg,
        upload: &UploadRecord,
        number: PartNumber,
        body: IncomingBody,
        replaces: bool,
    ) -> Result<(Stored, Digested)> {
        let size = body.size;
        let forget = replaces.then(|| self.forget_part(upload, number));
        let (stored, digested) = if size <= self.settings.small_body_bytes_max {
            let (bytes, digested) = Ingest::new(body).collect().await?;
            if let Some(forget) = forget {
                forget.await?;
            }
            let stream = stream::once(std::future::ready(Ok(bytes))).boxed();
            let stored = self.put_part(handle, leg, number, size, stream).await?;
            (stored, digested)
        } else {
            let (mut stream, cell) = Ingest::new(body).into_stream();
            if let Some(forget) = forget {
                stream = before_last(stream, forget);
            }
            let stored = self.put_part(handle, leg, number, size, stream).await?;
            (stored, cell.take()?)
        };
        if let Err(error) = handle.require(&stored, size, Some(&digested.md5)) {
            return Err(client_error(&error));
        }
        Ok((stored, digested))
    }

    fn forget_part(
        self: &Arc<Self>,
        upload: &UploadRecord,
        number: PartNumber,
    ) -> BoxFuture<'static, Result<()>> {
        let gateway = Arc::clone(self);
        let upload = upload.upload_id;
        async move {
            gateway.apply(Mutation::DropPart { upload, number }).await?;
            gateway.crash.pass("part:earlier-forgotten").await;
            Ok(())
        }
        .boxed()
    }

    async fn put_part(
        &self,
        handle: &Arc<BackendHandle>,
        leg: &UploadLeg,
        number: PartNumber,
        size: u64,
        body: PutStream,
    ) -> Result<Stored> {
        let put = handle
            .backend()
            .put_part(&leg.key, &leg.backend_upload, number, size, body);
        let stored = handle.call("put_part", OperationClass::Write, put).await;
        stored.map_err(part_error)
    }
}

/// What a client is told when the backend did not take its part.
fn part_error(error: BackendError) -> Error {
    match (error.source, error.kind) {
        (Some(source), _) => *source,
        // Someone removed the upload at the backend: no part will ever arrive there again.
        (None, BackendErrorKind::NotFound) => ErrorCode::NoSuchUpload.into(),
        (None, kind) => client_error(&BackendError::new(kind, error.message)),
    }
}

/// Passes a body on, but waits for `first` before its last chunk. When that fails, the body
/// ends in its error, and whoever reads it stores nothing.
fn before_last(body: PutStream, first: BoxFuture<'static, Result<()>>) -> PutStream {
    struct Body {
        rest: PutStream,
        held: Option<Bytes>,
        first: BoxFuture<'static, Result<()>>,
    }
    let begin = Some(Body {
        rest: body,
        held: None,
        first,
    });
    stream::unfold(begin, |body| async move {
        let mut body = body?;
        loop {
            match body.rest.next().await {
                Some(Ok(chunk)) => {
                    if let Some(earlier) = body.held.replace(chunk) {
                        return Some((Ok(earlier), Some(body)));
                    }
                }
                Some(Err(error)) => return Some((Err(error), None)),
                None => {
                    return match (body.first.await, body.held) {
                        (Ok(()), held) => held.map(|chunk| (Ok(chunk), None)),
                        (Err(error), _) => Some((Err(error), None)),
                    };
                }
            }
        }
    })
    .boxed()
}

//! Uploads in parts, by the endpoint's own multipart upload.

use std::fmt::Write as _;

use http::Method;
use weir_types::backend::{BackendError, BackendErrorKind, BackendPart, Stored};
use weir_types::body::PutStream;
use weir_types::id::{BackendKey, PartNumber};

use super::S3Backend;
use super::answer::Refusal;
use super::client::{Answer, Payload, Request};
use super::xml;

/// Our own small answers, and Complete's, which may be preceded by much white space.
const ANSWER_BYTES_MAX: usize = 1 << 20;

fn corrupt(operation: &str, message: impl std::fmt::Display) -> BackendError {
    BackendError::new(
        BackendErrorKind::Corrupt,
        format!("s3: {operation}: {message}"),
    )
}

impl S3Backend {
    pub(super) async fn start_upload(&self, key: &str) -> Result<String, BackendError> {
        const OPERATION: &str = "create upload";
        let request = Request {
            operation: OPERATION,
            method: Method::POST,
            path: self.endpoint.object_path(key),
            query: &[("uploads", "")],
            headers: self.object_headers(),
            range: None,
        };
        let answer = self.client.send(request, Payload::None).await?;
        if !answer.status.is_success() {
            return Err(self.client.refusal(OPERATION, answer, 0).await);
        }
        let text = answer.document(OPERATION, ANSWER_BYTES_MAX).await?;
        let root = xml::parse(&text).map_err(|e| corrupt(OPERATION, e))?;
        match root.text_of("UploadId") {
            Some(upload) if !upload.is_empty() => Ok(upload.to_owned()),
            _ => Err(corrupt(OPERATION, "no upload id came")),
        }
    }

    pub(super) async fn store_part(
        &self,
        key: &str,
        upload: &str,
        part: PartNumber,
        size: u64,
        body: PutStream,
    ) -> Result<Stored, BackendError> {
        self.try_disputed_tags().await;
        self.try_tags_of_parts().await;
        let answer = self.send_part(key, upload, part, size, body).await?;
        let stored = Stored {
            md5: self.tags.of_part(&answer),
            ..Stored::new(size, answer.etag())
        };
        answer.discard();
        Ok(stored)
    }

    /// UploadPart; the answer, which is a success and has an ETag.
    pub(super) async fn send_part(
        &self,
        key: &str,
        upload: &str,
        part: PartNumber,
        size: u64,
        body: PutStream,
    ) -> Result<Answer, BackendError> {
        const OPERATION: &str = "put part";
        let number = part.to_string();
        let request = Request {
            operation: OPERATION,
            method: Method::PUT,
            path: self.endpoint.object_path(key),
            query: &[("partNumber", &number), ("uploadId", upload)],
            headers: Vec::new(),
            range: None,
        };
        let answer = self.client.send(request, Payload::Body(size, body)).await?;
        if !answer.status.is_success() {
            return Err(self.client.refusal(OPERATION, answer, size).await);
        }
        if answer.etag().is_empty() {
            return Err(corrupt(
                OPERATION,
                "no ETag came: the upload could not be completed",
            ));
        }
        Ok(answer)
    }

    pub(super) async fn complete(
        &self,
        key: &BackendKey,
        upload: &str,
        parts: &[BackendPart],
    ) -> Result<Stored, BackendError> {
        const OPERATION: &str = "complete upload";
        let mut document = String::from(
            "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">",
        );
        let mut size = 0_u64;
        for part in parts {
            size = size.saturating_add(part.size);
            let etag = xml::escape(&format!("\"{}\"", part.etag));
            write!(
                document,
                "<Part><PartNumber>{}</PartNumber><ETag>{etag}</ETag></Part>",
                part.number
            )
            .expect("writing to a string never fails");
        }
        document.push_str("</CompleteMultipartUpload>");
        let request = Request {
            operation: OPERATION,
            method: Method::POST,
            path: self.endpoint.object_path(key.as_str()),
            query: &[("uploadId", upload)],
            headers: Vec::new(),
            range: None,
        };
        let answer = self
            .client
            .send(request, Payload::Document(document.into()))
            .await?;
        let status = answer.status;
        if !status.is_success() {
            return Err(self.client.refusal(OPERATION, answer, 0).await);
        }
        let text = answer.document(OPERATION, ANSWER_BYTES_MAX).await?;
        let root = xml::parse(&text).map_err(|e| corrupt(OPERATION, e))?;
        if root.name == "Error" {
            // AWS sends 200 early to keep the connection, and the failure in the body.
            let refusal = Refusal {
                operation: OPERATION,
                status,
                retry_after: None,
                body: &text,
                size: 0,
            };
            return Err(refusal.into_error());
        }
        // What truly came to be: some servers answer no ETag, and nothing but this says that
        // every part went in.
        let stored = self
            .look(key)
            .await?
            .ok_or_else(|| corrupt(OPERATION, "it was answered as done, but there is no object"))?;
        if stored.size != size {
            let message = format!("{} bytes came to be, not {size}", stored.size);
            return Err(corrupt(OPERATION, message));
        }
        Ok(stored)
    }

    pub(super) async fn abort(&self, key: &str, upload: &str) -> Result<(), BackendError> {
        const OPERATION: &str = "abort upload";
        let request = Request {
            operation: OPERATION,
            method: Method::DELETE,
            path: self.endpoint.object_path(key),
            query: &[("uploadId", upload)],
            headers: Vec::new(),
            range: None,
        };
        self.remove(OPERATION, request).await
    }
}

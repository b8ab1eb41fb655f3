//! A bucket at an S3-compatible endpoint as a backend.
//!
//! Requests go over pooled HTTP/1.1 connections and are signed here (Signature Version 4 with
//! the key of the day kept). Bodies stream; a body that fails at its source, even after its
//! last byte, breaks the request off, so that nothing is stored. There is a limit on every
//! wait (connecting, an answer, a body that stands still, a free slot) and none on the time
//! a body takes as a whole. Bodies over 64 KiB wait for `100 Continue` (see `expect`): an
//! endpoint that refuses leaves them to be stored elsewhere.
//!
//! What is known of servers, each found by the conformance suite:
//!
//! - AWS answers 403 instead of 404 for absent keys to callers that may not list the bucket:
//!   the credentials need `s3:ListBucket`.
//! - A missing bucket and a missing key look alike to HEAD; where HEAD finds nothing, the
//!   bucket is asked for too, and a missing bucket is [`BackendErrorKind::Unavailable`].
//! - Some servers (radosgw 16) give no ETag for a completed upload; it is read by HEAD, and
//!   its size with it.
//! - SeaweedFS 4.48 keeps every promise. It lists folder by folder, which is byte order for
//!   the keys of one site.
//!   It takes a body that was cut off before its first byte for an empty one (see `body`).
//! - rclone serve s3 1.75 streams parts on as they come: they must be numbered from 1 without
//!   gaps and cannot be replaced or left out, so clients' multipart uploads work on it only
//!   when they are simple. It answers ranges with 200 and a right `Content-Range`. It stores an
//!   aws-chunked body once it has all payload bytes, so the last payload chunk is held back
//!   until the source ended.
//! - The JuiceFS gateway 1.4 keeps every promise.
//! - moto 5.2 answers 500 to requests on unknown uploads and checks no signature: it is a test
//!   double, not a store.

mod answer;
mod body;
mod chunked;
mod client;
mod connect;
#[cfg(test)]
mod double;
mod endpoint;
mod expect;
#[cfg(test)]
mod fault_tests;
mod list;
mod multipart;
#[cfg(test)]
mod server_tests;
mod sign;
mod tags;
#[cfg(test)]
mod tags_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tls_tests;
mod xml;

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt as _;
use http::{Method, StatusCode, header};
use weir_types::backend::{
    Backend, BackendError, BackendErrorKind, BackendPage, BackendPart, BackendUpload, Fetched,
    OWNER_KEY, Stored,
};
use weir_types::body::PutStream;
use weir_types::clock::Clock;
use weir_types::id::{BackendKey, PartNumber};

use crate::S3Config;
use client::{Answer, Client, Payload, Request};
use endpoint::Endpoint;
use tags::Tags;

/// The largest owner marker.
const OWNER_BYTES_MAX: usize = 64 << 10;

/// A bucket at an S3-compatible endpoint.
pub struct S3Backend {
    client: Client,
    endpoint: Endpoint,
    /// Sent with every object: storage class and encryption.
    object_headers: Vec<(&'static str, String)>,
    tags: Tags,
}

impl std::fmt::Debug for S3Backend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("S3Backend")
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}

fn corrupt(operation: &str, message: impl std::fmt::Display) -> BackendError {
    BackendError::new(
        BackendErrorKind::Corrupt,
        format!("s3: {operation}: {message}"),
    )
}

/// Reads `Content-Range: bytes first-last/size` (RFC 9110, 14.4).
fn content_range(text: &str) -> Option<(Range<u64>, u64)> {
    let (range, size) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let end = last.parse::<u64>().ok()?.checked_add(1)?;
    Some((first.parse().ok()?..end, size.parse().ok()?))
}

impl S3Backend {
    /// A backend for `config`. Touches no network; the error is for the operator.
    pub fn new(config: &S3Config, clock: Arc<dyn Clock>) -> Result<Self, String> {
        let endpoint = Endpoint::parse(config)?;
        let object_headers = [
            ("x-amz-storage-class", &config.storage_class),
            (
                "x-amz-server-side-encryption",
                &config.server_side_encryption,
            ),
            (
                "x-amz-server-side-encryption-aws-kms-key-id",
                &config.sse_kms_key_id,
            ),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value.clone()?)))
        .collect();
        let client = Client::new(config, endpoint.clone(), clock)?;
        Ok(Self {
            client,
            endpoint,
            object_headers,
            tags: Tags::default(),
        })
    }

    fn object_headers(&self) -> Vec<(&'static str, String)> {
        self.object_headers.clone()
    }

    fn object_request<'a>(
        &self,
        operation: &'static str,
        method: Method,
        key: &str,
    ) -> Request<'a> {
        Request {
            operation,
            method,
            path: self.endpoint.object_path(key),
            query: &[],
            headers: Vec::new(),
            range: None,
        }
    }

    /// PUT of a whole object; the answer, which is a success.
    async fn store(&self, key: &str, size: u64, body: PutStream) -> Result<Answer, BackendError> {
        let request = Request {
            headers: self.object_headers(),
            ..self.object_request("put", Method::PUT, key)
        };
        let answer = self.client.send(request, Payload::Body(size, body)).await?;
        if !answer.status.is_success() {
            return Err(self.client.refusal("put", answer, size).await);
        }
        Ok(answer)
    }

    /// HEAD; `None` when there is nothing.
    async fn look(&self, key: &BackendKey) -> Result<Option<Stored>, BackendError> {
        let request = self.object_request("head", Method::HEAD, key.as_str());
        let answer = self.client.send(request, Payload::None).await?;
        if answer.status == StatusCode::NOT_FOUND {
            answer.discard();
            return self.confirm_bucket().await.map(|()| None);
        }
        if !answer.status.is_success() {
            return Err(self.client.refusal("head", answer, 0).await);
        }
        let size = answer.content_length();
        let size = size.ok_or_else(|| corrupt("head", "no Content-Length came"))?;
        let etag = answer.etag();
        answer.discard();
        Ok(Some(Stored::new(size, etag)))
    }

    /// Tells "no such key" from "no such bucket", which HEAD does not.
    async fn confirm_bucket(&self) -> Result<(), BackendError> {
        let request = Request {
            path: self.endpoint.bucket_path(),
            ..self.object_request("head bucket", Method::HEAD, "")
        };
        let answer = self.client.send(request, Payload::None).await?;
        let status = answer.status;
        answer.discard();
        if status == StatusCode::NOT_FOUND {
            return Err(client::unavailable("head", "the bucket does not exist"));
        }
        Ok(())
    }

    /// A request that removes; nothing to remove is success.
    async fn remove(
        &self,
        operation: &'static str,
        request: Request<'_>,
    ) -> Result<(), BackendError> {
        let answer = self.client.send(request, Payload::None).await?;
        if answer.status.is_success() {
            answer.discard();
            return Ok(());
        }
        match self.client.refusal(operation, answer, 0).await {
            e if e.kind == BackendErrorKind::NotFound => Ok(()),
            e => Err(e),
        }
    }

    async fn fetch(&self, key: &str, range: Option<Range<u64>>) -> Result<Opened, BackendError> {
        let asked = range.as_ref().map(|range| {
            // An empty range cannot be said; it is refused like any other that is not there.
            format!(
                "bytes={}-{}",
                range.start,
                range.end.saturating_sub(1).max(range.start)
            )
        });
        let request = Request {
            range: asked,
            ..self.object_request("get", Method::GET, key)
        };
        let answer = self.client.send(request, Payload::None).await?;
        if !answer.status.is_success() {
            return Err(self.client.refusal("get", answer, 0).await);
        }
        let length = answer.content_length();
        let (size, bytes) = match range {
            None => {
                let size = length.ok_or_else(|| corrupt("get", "no Content-Length came"))?;
                (size, size)
            }
            // The header decides, not the status: some servers send it with 200.
            Some(range) => match answer.header(&header::CONTENT_RANGE).map(content_range) {
                Some(Some((given, size))) if given == range => (size, range.end - range.start),
                // Everything was asked for, and some servers then answer as if without range.
                None if range.start == 0 && length == Some(range.end) => (range.end, range.end),
                _ => return Err(corrupt("get", "another range came than was asked for")),
            },
        };
        if length.is_some_and(|length| length != bytes) {
            return Err(corrupt(
                "get",
                "the announced length is not that of the range",
            ));
        }
        Ok(Opened {
            size,
            bytes,
            answer,
        })
    }
}

/// A read whose answer has come.
struct Opened {
    /// Length of the whole object.
    size: u64,
    /// Length of the body.
    bytes: u64,
    answer: Answer,
}

#[async_trait]
impl Backend for S3Backend {
    fn kind(&self) -> &'static str {
        "s3"
    }

    async fn put(
        &self,
        key: &BackendKey,
        size: u64,
        body: PutStream,
    ) -> Result<Stored, BackendError> {
        self.try_disputed_tags().await;
        let answer = self.store(key.as_str(), size, body).await?;
        let stored = Stored {
            md5: self.tags.of_object(&answer),
            ..Stored::new(size, answer.etag())
        };
        answer.discard();
        Ok(stored)
    }

    async fn get(
        &self,
        key: &BackendKey,
        range: Option<Range<u64>>,
    ) -> Result<Fetched, BackendError> {
        let opened = self.fetch(key.as_str(), range).await?;
        Ok(Fetched {
            size: opened.size,
            etag: opened.answer.etag(),
            body: opened.answer.stream("get", opened.bytes),
        })
    }

    async fn head(&self, key: &BackendKey) -> Result<Option<Stored>, BackendError> {
        self.look(key).await
    }

    async fn delete(&self, key: &BackendKey) -> Result<(), BackendError> {
        let request = self.object_request("delete", Method::DELETE, key.as_str());
        self.remove("delete", request).await
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<BackendPage, BackendError> {
        self.objects(prefix, after, limit).await
    }

    async fn create_upload(&self, key: &BackendKey) -> Result<String, BackendError> {
        self.start_upload(key.as_str()).await
    }

    async fn put_part(
        &self,
        key: &BackendKey,
        upload: &str,
        part: PartNumber,
        size: u64,
        body: PutStream,
    ) -> Result<Stored, BackendError> {
        self.store_part(key.as_str(), upload, part, size, body)
            .await
    }

    async fn complete_upload(
        &self,
        key: &BackendKey,
        upload: &str,
        parts: &[BackendPart],
    ) -> Result<Stored, BackendError> {
        self.complete(key, upload, parts).await
    }

    async fn abort_upload(&self, key: &BackendKey, upload: &str) -> Result<(), BackendError> {
        self.abort(key.as_str(), upload).await
    }

    async fn list_uploads(
        &self,
        prefix: &str,
        limit: usize,
    ) -> Result<Vec<BackendUpload>, BackendError> {
        match self.unfinished(prefix, limit).await {
            // rclone's answer when there are none.
            Err(e) if e.kind == BackendErrorKind::NotFound => Ok(Vec::new()),
            found => found,
        }
    }

    async fn read_owner(&self) -> Result<Option<Vec<u8>>, BackendError> {
        let opened = match self.fetch(OWNER_KEY, None).await {
            Ok(opened) => opened,
            Err(e) if e.kind == BackendErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e),
        };
        let claimed = tags::claimed(&opened.answer);
        let mut body = opened.answer.stream("read owner", opened.bytes);
        let mut marker = Vec::new();
        while let Some(chunk) = body.next().await {
            marker.extend_from_slice(&chunk?);
            if marker.len() > OWNER_BYTES_MAX {
                return Err(corrupt("read owner", "the owner marker is too large"));
            }
        }
        self.tags.learn(claimed, &marker);
        Ok(Some(marker))
    }

    async fn write_owner(&self, marker: &[u8]) -> Result<(), BackendError> {
        let size = marker.len() as u64;
        let bytes = Bytes::copy_from_slice(marker);
        let body = futures_util::stream::once(async move { Ok(bytes) }).boxed();
        let answer = self.store(OWNER_KEY, size, body).await?;
        self.tags.learn(tags::claimed(&answer), marker);
        answer.discard();
        Ok(())
    }

    async fn confirmed(&self) -> Result<(), BackendError> {
        Ok(())
    }

    fn disputed(&self) {
        self.tags.disputed();
    }
}

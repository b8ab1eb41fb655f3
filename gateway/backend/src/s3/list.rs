//! Listings of objects and of uploads.

use http::Method;
use percent_encoding::percent_decode_str;
use weir_types::backend::{
    BackendEntry, BackendError, BackendErrorKind, BackendPage, BackendUpload,
};

use super::S3Backend;
use super::client::{Payload, Request};
use super::xml::{self, Element};

/// What S3 gives in one page.
const PAGE_MAX: usize = 1000;
/// A page of 1,000 keys of 1,024 bytes, encoded, with room.
const LISTING_BYTES_MAX: usize = 8 << 20;

fn corrupt(message: impl std::fmt::Display) -> BackendError {
    BackendError::new(BackendErrorKind::Corrupt, format!("s3: list: {message}"))
}

/// A key of a listing, decoded where the endpoint says that it encoded it.
fn key(element: &Element, name: &str, is_encoded: bool) -> Result<String, BackendError> {
    let text = element
        .text_of(name)
        .ok_or_else(|| corrupt(format!("no {name}")))?;
    if !is_encoded {
        return Ok(text.to_owned());
    }
    let plain = text.replace('+', " ");
    let decoded = percent_decode_str(&plain).decode_utf8();
    decoded.map(std::borrow::Cow::into_owned).map_err(corrupt)
}

fn is_encoded(root: &Element) -> bool {
    root.text_of("EncodingType")
        .is_some_and(|kind| kind.eq_ignore_ascii_case("url"))
}

fn is_truncated(root: &Element) -> bool {
    root.text_of("IsTruncated")
        .is_some_and(|flag| flag.eq_ignore_ascii_case("true"))
}

impl S3Backend {
    async fn listing(
        &self,
        operation: &'static str,
        query: &[(&str, &str)],
        root: &str,
    ) -> Result<Element, BackendError> {
        let request = Request {
            operation,
            method: Method::GET,
            path: self.endpoint.bucket_path(),
            query,
            headers: Vec::new(),
            range: None,
        };
        let answer = self.client.send(request, Payload::None).await?;
        if !answer.status.is_success() {
            return Err(self.client.refusal(operation, answer, 0).await);
        }
        let text = answer.document(operation, LISTING_BYTES_MAX).await?;
        let found = xml::parse(&text).map_err(corrupt)?;
        if found.name == root {
            Ok(found)
        } else {
            Err(corrupt("another document came"))
        }
    }

    /// One page by ListObjectsV2.
    pub(super) async fn objects(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<BackendPage, BackendError> {
        let (prefix, max) = (self.endpoint.key(prefix), limit.min(PAGE_MAX).to_string());
        let start_after = after.map(|after| self.endpoint.key(after));
        let mut query = vec![
            ("list-type", "2"),
            ("encoding-type", "url"),
            ("max-keys", &max),
            ("prefix", &prefix),
        ];
        query.extend(start_after.as_deref().map(|after| ("start-after", after)));
        let root = self.listing("list", &query, "ListBucketResult").await?;

        let encoded = is_encoded(&root);
        let mut entries = Vec::new();
        for element in root.all("Contents") {
            let key = key(element, "Key", encoded)?;
            let Some(key) = self.endpoint.strip(&key) else {
                continue;
            };
            let size = element.text_of("Size").and_then(|size| size.parse().ok());
            let size = size.ok_or_else(|| corrupt("no size"))?;
            if after.is_none_or(|after| after < key) {
                entries.push(BackendEntry {
                    key: key.to_owned(),
                    size,
                });
            }
        }
        // Some servers list folder by folder; within what we ask for the order is the same.
        entries.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        let more = is_truncated(&root);
        if more && entries.is_empty() {
            return Err(corrupt("a page without keys that says there are more"));
        }
        Ok(BackendPage { entries, more })
    }

    /// Unfinished uploads by ListMultipartUploads, page after page.
    pub(super) async fn unfinished(
        &self,
        prefix: &str,
        limit: usize,
    ) -> Result<Vec<BackendUpload>, BackendError> {
        let prefix = self.endpoint.key(prefix);
        let mut found: Vec<BackendUpload> = Vec::new();
        let mut markers: Option<(String, String)> = None;
        while found.len() < limit {
            let max = (limit - found.len()).min(PAGE_MAX).to_string();
            let mut query = vec![
                ("uploads", ""),
                ("encoding-type", "url"),
                ("max-uploads", &max),
                ("prefix", &prefix),
            ];
            if let Some((key, upload)) = &markers {
                query.extend([("key-marker", key.as_str()), ("upload-id-marker", upload)]);
            }
            let root = self
                .listing("list uploads", &query, "ListMultipartUploadsResult")
                .await?;
            let encoded = is_encoded(&root);
            for element in root.all("Upload") {
                let key = key(element, "Key", encoded)?;
                let upload = element
                    .text_of("UploadId")
                    .ok_or_else(|| corrupt("no upload id"))?;
                // A server that ignores the prefix must not hand us strangers' uploads.
                if let Some(own) = self
                    .endpoint
                    .strip(&key)
                    .filter(|_| key.starts_with(&prefix))
                {
                    found.push(BackendUpload {
                        key: own.to_owned(),
                        upload: upload.to_owned(),
                    });
                }
            }
            if !is_truncated(&root) {
                break;
            }
            let next_key = key(&root, "NextKeyMarker", encoded)?;
            let next_upload = root
                .text_of("NextUploadIdMarker")
                .unwrap_or_default()
                .to_owned();
            let next = Some((next_key, next_upload));
            if next == markers {
                return Err(corrupt("the listing does not go on"));
            }
            markers = next;
        }
        found.truncate(limit);
        Ok(found)
    }
}

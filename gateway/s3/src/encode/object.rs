//! Objects: headers of reads and writes, and the small documents of copies and deletes.

use std::time::{Duration, UNIX_EPOCH};

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use weir_types::checksum::{Checksum, ChecksumKind, ObjectChecksum};
use weir_types::clock::Timestamp;
use weir_types::operation::{CopiedObject, DeletedKey, ObjectInfo, ReadSpan, UploadPartResult};

use super::xml::Xml;
use super::{Answer, insert};
use crate::decode::ReadSpelling;

/// What AWS answers for objects that were stored without a Content-Type.
const DEFAULT_CONTENT_TYPE: HeaderValue = HeaderValue::from_static("binary/octet-stream");

/// Status and headers of GetObject and HeadObject.
pub(super) fn read(info: &ObjectInfo, spelling: &ReadSpelling) -> Answer {
    let version = &info.version;
    let (offset, length) = info.span.resolve(version.size);
    let mut answer = Answer::empty(StatusCode::OK);
    let headers = &mut answer.headers;
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::CONTENT_LENGTH, length.into());
    insert(headers, header::ETAG, &version.etag.to_string());
    insert(
        headers,
        header::LAST_MODIFIED,
        &http_date(version.last_modified),
    );
    content_headers(headers, info);
    user_metadata(headers, &version.user_metadata);
    if !version.tags.is_empty() {
        headers.insert("x-amz-tagging-count", version.tags.len().into());
    }
    if let Some(class) = &version.storage_class {
        insert(
            headers,
            HeaderName::from_static("x-amz-storage-class"),
            class,
        );
    }
    if let (true, Some(parts)) = (spelling.part, version.parts) {
        headers.insert("x-amz-mp-parts-count", parts.into());
    }
    match info.span {
        ReadSpan::Whole => {
            if spelling.checksum {
                checksum_headers(headers, version.checksum.as_ref());
            }
        }
        // The checksum is that of the whole object: it would not match these bytes.
        ReadSpan::Range { .. } => {
            answer.status = StatusCode::PARTIAL_CONTENT;
            let last = (offset + length).saturating_sub(1);
            let range = format!("bytes {offset}-{last}/{}", version.size);
            insert(&mut answer.headers, header::CONTENT_RANGE, &range);
        }
    }
    for (name, value) in &spelling.overrides {
        answer.headers.insert(name.clone(), value.clone());
    }
    answer
}

fn content_headers(headers: &mut HeaderMap, info: &ObjectInfo) {
    let kept = &info.version.headers;
    headers.insert(header::CONTENT_TYPE, DEFAULT_CONTENT_TYPE);
    for (name, value) in [
        (header::CONTENT_TYPE, &kept.content_type),
        (header::CACHE_CONTROL, &kept.cache_control),
        (header::CONTENT_DISPOSITION, &kept.content_disposition),
        (header::CONTENT_ENCODING, &kept.content_encoding),
        (header::CONTENT_LANGUAGE, &kept.content_language),
        (header::EXPIRES, &kept.expires),
        (
            HeaderName::from_static("x-amz-website-redirect-location"),
            &kept.website_redirect,
        ),
    ] {
        if let Some(value) = value {
            insert(headers, name, value);
        }
    }
}

/// What cannot stand in a header is counted, as AWS does.
fn user_metadata(headers: &mut HeaderMap, metadata: &[(String, String)]) {
    let mut missing: u64 = 0;
    for (name, value) in metadata {
        let name = HeaderName::from_bytes(format!("x-amz-meta-{name}").as_bytes());
        let value = HeaderValue::from_bytes(value.as_bytes());
        match (name, value) {
            (Ok(name), Ok(value)) => {
                headers.insert(name, value);
            }
            _ => missing += 1,
        }
    }
    if missing > 0 {
        headers.insert("x-amz-missing-meta", missing.into());
    }
}

/// `x-amz-checksum-…` and its type.
pub(super) fn checksum_headers(headers: &mut HeaderMap, checksum: Option<&ObjectChecksum>) {
    let Some(checksum) = checksum else { return };
    let name = HeaderName::from_static(checksum.checksum.algorithm.header());
    insert(headers, name, &checksum.to_string());
    insert(
        headers,
        HeaderName::from_static("x-amz-checksum-type"),
        checksum.kind.name(),
    );
}

/// The answer to UploadPart.
pub(super) fn part_put(part: &UploadPartResult) -> Answer {
    let mut answer = Answer::empty(StatusCode::OK);
    insert(&mut answer.headers, header::ETAG, &part.etag.to_string());
    if let Some(checksum) = &part.checksum {
        let name = HeaderName::from_static(checksum.algorithm.header());
        insert(&mut answer.headers, name, &checksum.to_string());
    }
    answer
}

/// CopyObjectResult.
pub(super) fn copied(copy: &CopiedObject) -> String {
    Xml::document("CopyObjectResult", |xml| {
        xml.value("LastModified", copy.last_modified);
        xml.value("ETag", &copy.etag);
        checksum_elements(xml, copy.checksum.as_ref());
    })
}

/// CopyPartResult.
pub(super) fn part_copied(part: &UploadPartResult) -> String {
    Xml::document("CopyPartResult", |xml| {
        xml.value("LastModified", part.last_modified);
        xml.value("ETag", &part.etag);
        if let Some(checksum) = &part.checksum {
            part_checksum_element(xml, checksum);
        }
    })
}

/// `Checksum…` and `ChecksumType`.
pub(super) fn checksum_elements(xml: &mut Xml, checksum: Option<&ObjectChecksum>) {
    let Some(object) = checksum else { return };
    xml.text(
        &format!("Checksum{}", object.checksum.algorithm.name()),
        &object.to_string(),
    );
    xml.text("ChecksumType", object.kind.name());
}

/// `Checksum…` of a part.
pub(super) fn part_checksum_element(xml: &mut Xml, checksum: &Checksum) {
    xml.text(
        &format!("Checksum{}", checksum.algorithm.name()),
        &checksum.to_string(),
    );
}

/// DeleteResult.
pub(super) fn deleted(keys: &[DeletedKey], quiet: bool) -> String {
    Xml::document("DeleteResult", |xml| {
        for deleted in keys {
            match &deleted.error {
                None if quiet => {}
                None => xml.group("Deleted", |xml| xml.text("Key", deleted.key.as_str())),
                Some(error) => xml.group("Error", |xml| {
                    xml.text("Key", deleted.key.as_str());
                    xml.text("Code", error.code.code());
                    xml.text("Message", &error.message);
                }),
            }
        }
    })
}

/// The algorithm and type that an object in a listing carries.
pub(super) fn checksum_kind_elements(xml: &mut Xml, name: &str, kind: ChecksumKind) {
    xml.text("ChecksumAlgorithm", name);
    xml.text("ChecksumType", kind.name());
}

/// An HTTP date; the format ends with the year 9999.
fn http_date(at: Timestamp) -> String {
    const LAST_SECS: u64 = 253_402_300_799;
    httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(at.as_secs().min(LAST_SECS)))
}

//! Listings: buckets, objects, uploads, parts.

use std::borrow::Cow;

use weir_types::id::UploadId;
use weir_types::index::{ListEntry, ListPage, UploadsPage};
use weir_types::operation::{BucketInfo, PartsListing};
use weir_types::record::VersionRecord;

use super::object::{checksum_kind_elements, part_checksum_element};
use super::xml::Xml;
use crate::config::S3Config;
use crate::decode::{Page, token};
use crate::percent;

/// Which buckets to show: the parameters of ListBuckets.
pub(super) struct BucketFilter<'a> {
    pub(super) prefix: Option<&'a str>,
    pub(super) region: Option<&'a str>,
    pub(super) after: Option<&'a str>,
    pub(super) limit: Option<usize>,
}

/// ListAllMyBucketsResult.
pub(super) fn buckets(
    buckets: &[BucketInfo],
    filter: &BucketFilter<'_>,
    config: &S3Config,
) -> String {
    let mut shown = buckets.iter().filter(|bucket| {
        let name = bucket.name.as_str();
        filter.prefix.is_none_or(|prefix| name.starts_with(prefix))
            && filter.region.is_none_or(|region| region == config.region)
            && filter.after.is_none_or(|after| name > after)
    });
    let page: Vec<_> = shown
        .by_ref()
        .take(filter.limit.unwrap_or(usize::MAX))
        .collect();
    let more = shown.next().is_some();
    Xml::document("ListAllMyBucketsResult", |xml| {
        owner(xml, "Owner", &config.owner_id);
        xml.group("Buckets", |xml| {
            for bucket in &page {
                xml.group("Bucket", |xml| {
                    xml.text("Name", bucket.name.as_str());
                    xml.value("CreationDate", bucket.created_at);
                    if filter.limit.is_some() {
                        xml.text("BucketRegion", &config.region);
                    }
                });
            }
        });
        xml.optional("Prefix", filter.prefix);
        if let (true, Some(last)) = (more, page.last()) {
            xml.text("ContinuationToken", &token::encode(last.name.as_str()));
        }
    })
}

/// LocationConstraint: empty means us-east-1 to every SDK.
pub(super) fn location(bucket: &BucketInfo, config: &S3Config) -> String {
    let region = Some(config.region.as_str()).filter(|region| *region != "us-east-1");
    let location = bucket.location.as_deref().or(region);
    Xml::document("LocationConstraint", |xml| {
        xml.escaped(location.unwrap_or(""))
    })
}

/// ListBucketResult of version 1.
pub(super) fn objects_v1(
    listing: &ListPage,
    page: &Page,
    marker: &str,
    config: &S3Config,
) -> String {
    let more = listing.more && page.limit > 0;
    Xml::document("ListBucketResult", |xml| {
        xml.text("Name", page.bucket.as_str());
        xml.text("Prefix", &encoded(page, &page.prefix));
        xml.text("Marker", &encoded(page, marker));
        // Clients continue after the last key by themselves where there is no delimiter.
        if let (true, Some(_), Some(last)) = (more, &page.delimiter, listing.entries.last()) {
            xml.text("NextMarker", &encoded(page, entry_text(last)));
        }
        limits(xml, page, "MaxKeys");
        xml.value("IsTruncated", more);
        entries(xml, listing, page, Some(&config.owner_id));
    })
}

/// What ListObjectsV2 echoes besides the page.
pub(super) struct V2<'a> {
    pub(super) token: Option<&'a str>,
    pub(super) start_after: Option<&'a str>,
    pub(super) fetch_owner: bool,
}

/// ListBucketResult of version 2.
pub(super) fn objects_v2(
    listing: &ListPage,
    page: &Page,
    echo: &V2<'_>,
    config: &S3Config,
) -> String {
    let more = listing.more && page.limit > 0;
    Xml::document("ListBucketResult", |xml| {
        xml.text("Name", page.bucket.as_str());
        xml.text("Prefix", &encoded(page, &page.prefix));
        if let Some(start_after) = echo.start_after {
            xml.text("StartAfter", &encoded(page, start_after));
        }
        xml.optional("ContinuationToken", echo.token);
        if let (true, Some(last)) = (more, listing.entries.last()) {
            xml.text("NextContinuationToken", &token::encode(entry_text(last)));
        }
        xml.value("KeyCount", listing.entries.len());
        limits(xml, page, "MaxKeys");
        xml.value("IsTruncated", more);
        let owner_id = echo.fetch_owner.then_some(config.owner_id.as_str());
        entries(xml, listing, page, owner_id);
    })
}

fn entry_text(entry: &ListEntry) -> &str {
    match entry {
        ListEntry::Object(key, _) => key.as_str(),
        ListEntry::Prefix(prefix) => prefix,
    }
}

fn limits(xml: &mut Xml, page: &Page, max: &str) {
    xml.value(max, page.limit);
    if let Some(delimiter) = &page.delimiter {
        xml.text("Delimiter", &encoded(page, delimiter));
    }
    if page.url_encoded {
        xml.text("EncodingType", "url");
    }
}

fn entries(xml: &mut Xml, listing: &ListPage, page: &Page, owner_id: Option<&str>) {
    for entry in &listing.entries {
        if let ListEntry::Object(key, version) = entry {
            xml.group("Contents", |xml| {
                xml.text("Key", &encoded(page, key.as_str()));
                contents(xml, version, owner_id);
            });
        }
    }
    for entry in &listing.entries {
        if let ListEntry::Prefix(prefix) = entry {
            common_prefix(xml, page, prefix);
        }
    }
}

fn contents(xml: &mut Xml, version: &VersionRecord, owner_id: Option<&str>) {
    xml.value("LastModified", version.last_modified);
    xml.value("ETag", &version.etag);
    if let Some(checksum) = &version.checksum {
        checksum_kind_elements(xml, checksum.checksum.algorithm.name(), checksum.kind);
    }
    xml.value("Size", version.size);
    if let Some(id) = owner_id {
        owner(xml, "Owner", id);
    }
    xml.text(
        "StorageClass",
        version.storage_class.as_deref().unwrap_or("STANDARD"),
    );
}

fn common_prefix(xml: &mut Xml, page: &Page, prefix: &str) {
    xml.group("CommonPrefixes", |xml| {
        xml.text("Prefix", &encoded(page, prefix))
    });
}

fn owner(xml: &mut Xml, name: &str, id: &str) {
    xml.group(name, |xml| {
        xml.text("ID", id);
        xml.text("DisplayName", id);
    });
}

fn encoded<'a>(page: &Page, text: &'a str) -> Cow<'a, str> {
    if page.url_encoded {
        Cow::Owned(percent::encode_key(text))
    } else {
        Cow::Borrowed(text)
    }
}

/// ListMultipartUploadsResult.
pub(super) fn uploads(
    listing: &UploadsPage,
    page: &Page,
    (key_marker, upload_marker): (&str, &str),
    config: &S3Config,
) -> String {
    let next = listing.next.as_ref().filter(|_| page.limit > 0);
    Xml::document("ListMultipartUploadsResult", |xml| {
        xml.text("Bucket", page.bucket.as_str());
        xml.text("KeyMarker", &encoded(page, key_marker));
        xml.text("UploadIdMarker", upload_marker);
        if let Some((key, upload)) = next {
            xml.text("NextKeyMarker", &encoded(page, key));
            let upload = upload.map(|id: UploadId| id.to_string());
            xml.text("NextUploadIdMarker", upload.as_deref().unwrap_or(""));
        }
        xml.text("Prefix", &encoded(page, &page.prefix));
        limits(xml, page, "MaxUploads");
        xml.value("IsTruncated", next.is_some());
        for upload in &listing.uploads {
            xml.group("Upload", |xml| {
                xml.text("Key", &encoded(page, upload.key.as_str()));
                xml.value("UploadId", upload.upload_id);
                owner(xml, "Initiator", upload.initiator.as_str());
                owner(xml, "Owner", &config.owner_id);
                xml.text(
                    "StorageClass",
                    upload.storage_class.as_deref().unwrap_or("STANDARD"),
                );
                xml.value("Initiated", upload.created_at);
                if let Some((algorithm, kind)) = upload.checksum {
                    checksum_kind_elements(xml, algorithm.name(), kind);
                }
            });
        }
        for prefix in &listing.prefixes {
            common_prefix(xml, page, prefix);
        }
    })
}

/// ListPartsResult.
pub(super) fn parts(listing: &PartsListing, after: u16, limit: usize, config: &S3Config) -> String {
    let upload = &listing.upload;
    let more = listing.page.more && limit > 0;
    Xml::document("ListPartsResult", |xml| {
        xml.text("Bucket", upload.bucket.as_str());
        xml.text("Key", upload.key.as_str());
        xml.value("UploadId", upload.upload_id);
        owner(xml, "Initiator", upload.initiator.as_str());
        owner(xml, "Owner", &config.owner_id);
        xml.text(
            "StorageClass",
            upload.storage_class.as_deref().unwrap_or("STANDARD"),
        );
        xml.value("PartNumberMarker", after);
        let last = listing
            .page
            .parts
            .last()
            .map_or(after, |part| part.number.get());
        xml.value("NextPartNumberMarker", last);
        xml.value("MaxParts", limit);
        xml.value("IsTruncated", more);
        if let Some((algorithm, kind)) = upload.checksum {
            checksum_kind_elements(xml, algorithm.name(), kind);
        }
        for part in &listing.page.parts {
            xml.group("Part", |xml| {
                xml.value("PartNumber", part.number);
                xml.value("LastModified", part.last_modified);
                xml.value("ETag", &part.etag);
                xml.value("Size", part.size);
                if let Some(checksum) = &part.checksum {
                    part_checksum_element(xml, checksum);
                }
            });
        }
    })
}

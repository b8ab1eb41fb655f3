//! Responses: status, headers and XML, and that the XML is XML whatever is in it.

use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{HeaderMap, Response, StatusCode};
use http_body_util::BodyExt as _;
use weir_core::front::{Front as _, ReplyBody};
use weir_s3::Rendering;
use weir_types::checksum::{Checksum, ChecksumAlgorithm, ChecksumKind, ObjectChecksum};
use weir_types::clock::{Hlc, Timestamp};
use weir_types::etag::ETag;
use weir_types::id::{BlobId, Incarnation, PartNumber, Seq, UploadId, VersionId};
use weir_types::index::{ListEntry, ListPage, PartsPage, UploadsPage};
use weir_types::operation::{
    BucketInfo, CompletedObject, CopiedObject, DeletedKey, ObjectInfo, ObjectRead, Outcome,
    PartsListing, PutResult, ReadSpan, UploadPartResult,
};
use weir_types::record::{
    ContentHeaders, PartRecord, Placement, UploadRecord, UploadState, VersionRecord,
};
use weir_types::{Error, ErrorCode, Result};

use crate::support::{Dice, Draft, NOW_SECS, config, decode, front, front_with};

fn now() -> Timestamp {
    Timestamp::from_millis(NOW_SECS * 1000 + 7)
}

fn etag() -> ETag {
    ETag::from_client("0123")
}

fn checksum() -> ObjectChecksum {
    let checksum = Checksum {
        algorithm: ChecksumAlgorithm::Crc32,
        value: vec![0, 0, 0, 1],
    };
    ObjectChecksum {
        checksum,
        kind: ChecksumKind::Composite,
        parts: Some(3),
    }
}

fn version() -> VersionRecord {
    VersionRecord {
        version_id: VersionId(1),
        seq: Seq(1),
        hlc: Hlc::default(),
        site: "site".parse().expect("a site"),
        blob: BlobId(1),
        size: 10,
        etag: etag(),
        last_modified: now(),
        headers: ContentHeaders::default(),
        user_metadata: Vec::new(),
        tags: Vec::new(),
        storage_class: None,
        checksum: None,
        parts: None,
        placement: Placement::default(),
    }
}

fn upload() -> Box<UploadRecord> {
    Box::new(UploadRecord {
        upload_id: UploadId(5),
        bucket: "bucket".parse().expect("a bucket"),
        incarnation: Incarnation(1),
        key: "k&y".parse().expect("a key"),
        initiator: "AKIDEXAMPLE".parse().expect("a principal"),
        created_at: now(),
        version_id: VersionId(1),
        blob: BlobId(1),
        headers: ContentHeaders::default(),
        user_metadata: Vec::new(),
        tags: Vec::new(),
        storage_class: None,
        checksum: Some((ChecksumAlgorithm::Crc32, ChecksumKind::Composite)),
        placement: Placement::default(),
        legs: Vec::new(),
        state: UploadState::Open,
    })
}

async fn rendering(draft: Draft) -> Rendering {
    decode(&front(), draft.signed())
        .await
        .expect("decodes")
        .rendering
}

async fn text(response: Response<ReplyBody>) -> (StatusCode, HeaderMap, String) {
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.expect("a whole body").to_bytes();
    let length = parts.headers.get("content-length");
    if let (Some(length), false) = (length, bytes.is_empty()) {
        assert_eq!(length.to_str().ok(), Some(bytes.len().to_string().as_str()));
    }
    (
        parts.status,
        parts.headers,
        String::from_utf8(bytes.to_vec()).expect("UTF-8"),
    )
}

async fn answer(draft: Draft, outcome: Result<Outcome>) -> (StatusCode, HeaderMap, String) {
    let rendering = rendering(draft).await;
    text(front().respond(rendering, "REQ1", outcome)).await
}

/// All leaves of a document as `name=text`, read by a real parser.
fn leaves(xml: &str) -> Vec<String> {
    use quick_xml::events::Event;
    let mut reader = quick_xml::Reader::from_str(xml);
    let mut out = Vec::new();
    let mut text = String::new();
    let mut leaf = false;
    loop {
        match reader.read_event().expect("well formed") {
            Event::Start(_) => {
                text.clear();
                leaf = true;
            }
            Event::Text(t) => text.push_str(&t.xml10_content()),
            Event::GeneralRef(r) => match r.resolve_char_ref().expect("a reference") {
                Some(c) => text.push(c),
                None => text.push(match &*r.into_inner() {
                    "amp" => '&',
                    "lt" => '<',
                    "gt" => '>',
                    "quot" => '"',
                    other => panic!("unknown entity {other}"),
                }),
            },
            Event::End(end) => {
                if leaf {
                    let name = end.local_name();
                    let name: &str = name.as_ref();
                    out.push(format!("{name}={text}"));
                }
                text.clear();
                leaf = false;
            }
            Event::Eof => return out,
            _ => {}
        }
    }
}

fn has(xml: &str, leaf: &str) {
    let all = leaves(xml);
    assert!(all.iter().any(|l| l == leaf), "{leaf} in {all:?}");
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).map(|v| v.to_str().expect("text"))
}

#[tokio::test]
async fn every_answer_names_its_request() {
    let (status, headers, body) =
        answer(Draft::new("DELETE", "/bucket/key"), Ok(Outcome::Deleted)).await;
    assert_eq!((status, body.as_str()), (StatusCode::NO_CONTENT, ""));
    assert_eq!(header(&headers, "x-amz-request-id"), Some("REQ1"));
    assert_eq!(header(&headers, "x-amz-id-2"), Some("weir"));
    assert_eq!(header(&headers, "server"), Some("Weir"));
    for (outcome, status) in [
        (Outcome::BucketDeleted, 204),
        (Outcome::UploadAborted, 204),
        (Outcome::BucketCreated, 200),
    ] {
        let got = answer(Draft::new("DELETE", "/bucket"), Ok(outcome)).await;
        assert_eq!(got.0.as_u16(), status);
    }
}

#[tokio::test]
async fn reads() {
    let version = VersionRecord {
        headers: ContentHeaders {
            content_type: Some("text/plain".into()),
            cache_control: Some("no-cache".into()),
            ..ContentHeaders::default()
        },
        user_metadata: vec![("a".into(), "ü".into()), ("bad name".into(), "x".into())],
        tags: vec![("t".into(), "1".into())],
        storage_class: Some("COLD".into()),
        checksum: Some(checksum()),
        parts: Some(3),
        ..version()
    };
    let info = |span| ObjectInfo {
        version: Box::new(version.clone()),
        span,
    };
    let read = |span| {
        let (_, length) = match span {
            ReadSpan::Whole => (0, 10),
            ReadSpan::Range { offset, length } => (offset, length),
        };
        let bytes = Bytes::from("0123456789"[..usize::try_from(length).expect("small")].to_owned());
        let body = Box::pin(futures_util::stream::iter([Ok(bytes)]));
        Ok(Outcome::Read(ObjectRead {
            info: info(span),
            body,
        }))
    };
    let get = || Draft::new("GET", "/bucket/key");

    let (status, headers, body) = answer(get(), read(ReadSpan::Whole)).await;
    assert_eq!((status.as_u16(), body.as_str()), (200, "0123456789"));
    for (name, value) in [
        ("etag", Some("\"0123\"")),
        ("last-modified", Some("Sat, 21 Nov 2026 12:00:00 GMT")),
        ("accept-ranges", Some("bytes")),
        ("content-length", Some("10")),
        ("content-type", Some("text/plain")),
        ("cache-control", Some("no-cache")),
        ("x-amz-tagging-count", Some("1")),
        ("x-amz-storage-class", Some("COLD")),
        ("x-amz-missing-meta", Some("1")),
        ("content-range", None),
        ("x-amz-checksum-crc32", None),
        ("x-amz-mp-parts-count", None),
        ("x-amz-version-id", None),
    ] {
        assert_eq!(header(&headers, name), value, "{name}");
    }
    assert_eq!(headers["x-amz-meta-a"].as_bytes(), "ü".as_bytes());

    let enabled = || get().header("x-amz-checksum-mode", "ENABLED");
    let (_, headers, _) = answer(enabled(), read(ReadSpan::Whole)).await;
    assert_eq!(header(&headers, "x-amz-checksum-crc32"), Some("AAAAAQ==-3"));
    assert_eq!(header(&headers, "x-amz-checksum-type"), Some("COMPOSITE"));

    let span = ReadSpan::Range {
        offset: 2,
        length: 3,
    };
    let (status, headers, body) = answer(enabled(), read(span)).await;
    assert_eq!((status.as_u16(), body.as_str()), (206, "012"));
    assert_eq!(header(&headers, "content-range"), Some("bytes 2-4/10"));
    assert_eq!(header(&headers, "x-amz-checksum-crc32"), None);

    let part = Draft::new("HEAD", "/bucket/key?partNumber=1");
    let (status, headers, body) = answer(part, Ok(Outcome::Head(info(span)))).await;
    assert_eq!((status.as_u16(), body.as_str()), (206, ""));
    assert_eq!(header(&headers, "x-amz-mp-parts-count"), Some("3"));
    assert_eq!(header(&headers, "content-length"), Some("3"));

    let target = "/bucket/key?response-content-type=a%2Fb&response-cache-control=private";
    let (_, headers, _) = answer(Draft::new("GET", target), read(ReadSpan::Whole)).await;
    assert_eq!(header(&headers, "content-type"), Some("a/b"));
    assert_eq!(header(&headers, "cache-control"), Some("private"));
}

#[tokio::test]
async fn errors() {
    let get = || Draft::new("GET", "/bucket/k%26%01");
    for code in ErrorCode::ALL {
        let (status, headers, body) = answer(get(), Err(Error::from(*code))).await;
        assert_eq!(status, code.status());
        if *code == ErrorCode::NotModified {
            assert_eq!(body, "");
            continue;
        }
        has(&body, &format!("Code={}", code.code()));
        has(&body, "Resource=/bucket/k&\u{FFFD}");
        has(&body, "RequestId=REQ1");
        assert_eq!(
            headers.contains_key("retry-after"),
            status.as_u16() == 503,
            "{code:?}"
        );
    }
    let error = Error::from(ErrorCode::NotModified).with("ETag", "\"x\"");
    let (status, headers, _) = answer(get(), Err(error)).await;
    assert_eq!(
        (status.as_u16(), header(&headers, "etag")),
        (304, Some("\"x\""))
    );

    let head = Draft::new("HEAD", "/bucket/key");
    let (status, _, body) = answer(head, Err(ErrorCode::NoSuchKey.into())).await;
    assert_eq!((status.as_u16(), body.as_str()), (404, ""));

    let error = Error::from(ErrorCode::InvalidRequest).with("Connection", "close");
    let refused = front().refuse(false, "/x", "REQ2", error);
    let (_, headers, body) = text(refused).await;
    assert_eq!(header(&headers, "connection"), Some("close"));
    assert!(!leaves(&body).iter().any(|l| l.starts_with("Connection")));
    let error = Error::from(ErrorCode::AuthorizationHeaderMalformed).with("Region", "r1");
    let (_, headers, body) = text(front().refuse(true, "/x", "REQ2", error)).await;
    assert_eq!(
        (header(&headers, "x-amz-bucket-region"), body.as_str()),
        (Some("r1"), "")
    );
}

/// Keys come back from a listing as they were put, through a real XML parser.
#[tokio::test]
async fn listings_survive_hostile_keys() {
    for seed in 0..200 {
        let dice = Dice::new(seed);
        let mut keys: Vec<String> = (0..5).map(|_| format!("k{}", dice.text(8))).collect();
        keys.sort();
        let entries: Vec<_> = keys
            .iter()
            .enumerate()
            .map(|(nth, key)| match nth {
                4 => ListEntry::Prefix(key.clone()),
                _ => ListEntry::Object(key.parse().expect("a key"), Box::new(version())),
            })
            .collect();
        for encoded in [false, true] {
            let mut target = "/bucket?list-type=2&delimiter=%2F".to_owned();
            if encoded {
                target.push_str("&encoding-type=url");
            }
            let page = ListPage {
                entries: entries.clone(),
                more: true,
            };
            let draft = Draft::new("GET", target.clone());
            let (_, _, body) = answer(draft, Ok(Outcome::Listing(page))).await;
            let leaves = leaves(&body);
            let got: Vec<String> = leaves
                .iter()
                .filter_map(|l| {
                    l.strip_prefix("Key=")
                        .or(l.strip_prefix("Prefix=k").map(|_| &l[7..]))
                })
                .map(|l| {
                    if encoded {
                        decode_percent(l)
                    } else {
                        l.to_owned()
                    }
                })
                .collect();
            // XML 1.0 has no way to write the other control characters.
            let expected: Vec<_> = keys
                .iter()
                .map(|k| {
                    if encoded {
                        k.clone()
                    } else {
                        k.replace('\u{1}', "\u{FFFD}")
                    }
                })
                .collect();
            assert_eq!(got, expected, "seed {seed}");
            let token = leaves
                .iter()
                .find_map(|l| l.strip_prefix("NextContinuationToken="))
                .expect("a token");
            let next = Draft::new(
                "GET",
                format!("/bucket?list-type=2&continuation-token={token}"),
            );
            let call = decode(&front(), next.signed()).await.expect("decodes");
            let weir_types::operation::Operation::ListObjects(list) = call.operation else {
                panic!("a listing")
            };
            assert_eq!(list.query.after.as_ref(), keys.last(), "seed {seed}");
        }
    }
}

fn decode_percent(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first == b'%' {
            let hex = std::str::from_utf8(&rest[..2]).expect("hex");
            bytes.push(u8::from_str_radix(hex, 16).expect("hex"));
            rest = &rest[2..];
        } else {
            assert_ne!(*first, b'+');
            bytes.push(*first);
        }
    }
    String::from_utf8(bytes).expect("UTF-8")
}

#[tokio::test]
async fn listing_echoes() {
    let page = || ListPage {
        entries: vec![
            ListEntry::Object(
                "a/1".parse().expect("a key"),
                Box::new(VersionRecord {
                    checksum: Some(checksum()),
                    ..version()
                }),
            ),
            ListEntry::Prefix("a/b/".into()),
        ],
        more: true,
    };
    let target = "/bucket?prefix=a%2F&delimiter=%2F&marker=a%2F0&max-keys=2";
    let (_, _, body) = answer(Draft::new("GET", target), Ok(Outcome::Listing(page()))).await;
    for leaf in [
        "Name=bucket",
        "Prefix=a/",
        "Marker=a/0",
        "NextMarker=a/b/",
        "MaxKeys=2",
        "Delimiter=/",
        "IsTruncated=true",
        "Key=a/1",
        "LastModified=2026-11-21T12:00:00.007Z",
        "ETag=\"0123\"",
        "Size=10",
        "StorageClass=STANDARD",
        "ID=weir",
        "ChecksumAlgorithm=CRC32",
        "ChecksumType=COMPOSITE",
        "Prefix=a/b/",
    ] {
        has(&body, leaf);
    }
    assert!(body.contains("xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\""));
    let target = "/bucket?list-type=2&start-after=a";
    let (_, _, body) = answer(Draft::new("GET", target), Ok(Outcome::Listing(page()))).await;
    has(&body, "KeyCount=2");
    has(&body, "StartAfter=a");
    assert!(
        !leaves(&body).iter().any(|l| l.starts_with("ID=")),
        "no owner was asked for"
    );
    let (_, _, body) = answer(
        Draft::new("GET", "/bucket?list-type=2&max-keys=0"),
        Ok(Outcome::Listing(ListPage {
            entries: Vec::new(),
            more: true,
        })),
    )
    .await;
    has(&body, "IsTruncated=false");
}

#[tokio::test]
async fn buckets() {
    let info = |name: &str, location: Option<&str>| BucketInfo {
        name: name.parse().expect("a bucket"),
        created_at: now(),
        location: location.map(str::to_owned),
    };
    let all = || vec![info("aaa", None), info("abb", None), info("bbb", None)];
    let (_, _, body) = answer(Draft::new("GET", "/"), Ok(Outcome::Buckets(all()))).await;
    assert_eq!(
        leaves(&body)
            .iter()
            .filter(|l| l.starts_with("Name="))
            .count(),
        3
    );
    let target = "/?prefix=a&max-buckets=1";
    let (_, _, body) = answer(Draft::new("GET", target), Ok(Outcome::Buckets(all()))).await;
    let token = leaves(&body)
        .iter()
        .find_map(|l| l.strip_prefix("ContinuationToken=").map(str::to_owned))
        .expect("a token");
    let target = format!("/?prefix=a&max-buckets=1&continuation-token={token}");
    let (_, _, body) = answer(Draft::new("GET", target), Ok(Outcome::Buckets(all()))).await;
    has(&body, "Name=abb");
    assert!(!body.contains("ContinuationToken") && !body.contains("aaa"));

    for (region, location, expected) in [
        ("us-east-1", None, ""),
        ("us-east-1", Some("cold"), "cold"),
        ("eu-1", None, "eu-1"),
    ] {
        let mut settings = config();
        settings.region = region.to_owned();
        let rendering = rendering(Draft::new("GET", "/bucket?location")).await;
        let outcome = Ok(Outcome::Bucket(info("bucket", location)));
        let (_, _, body) = text(front_with(settings).respond(rendering, "R", outcome)).await;
        has(&body, &format!("LocationConstraint={expected}"));
    }
    let outcome = Ok(Outcome::Bucket(info("bucket", None)));
    let (_, headers, body) = answer(Draft::new("HEAD", "/bucket"), outcome).await;
    assert_eq!(
        (header(&headers, "x-amz-bucket-region"), body.as_str()),
        (Some("us-east-1"), "")
    );
}

#[tokio::test]
async fn writes() {
    let put = PutResult {
        etag: etag(),
        version_id: VersionId(1),
        checksum: Some(checksum()),
        size: 3,
    };
    let (_, headers, body) = answer(
        Draft::new("PUT", "/bucket/key").body(""),
        Ok(Outcome::Put(put)),
    )
    .await;
    assert_eq!(
        (header(&headers, "etag"), body.as_str()),
        (Some("\"0123\""), "")
    );
    assert_eq!(header(&headers, "x-amz-checksum-type"), Some("COMPOSITE"));
    assert_eq!(header(&headers, "x-amz-version-id"), None);

    let part = || UploadPartResult {
        etag: etag(),
        last_modified: now(),
        checksum: Some(checksum().checksum),
    };
    let target = format!("/bucket/key?partNumber=1&uploadId={}", "0".repeat(32));
    let draft = Draft::new("PUT", target.clone()).body("");
    let (_, headers, _) = answer(draft, Ok(Outcome::PartPut(part()))).await;
    assert_eq!(header(&headers, "x-amz-checksum-crc32"), Some("AAAAAQ=="));
    let draft = Draft::new("PUT", target).header("x-amz-copy-source", "a-b/c");
    let (_, _, body) = answer(draft, Ok(Outcome::PartCopied(part()))).await;
    has(&body, "ETag=\"0123\"");
    has(&body, "ChecksumCRC32=AAAAAQ==");

    let copied = CopiedObject {
        etag: etag(),
        last_modified: now(),
        checksum: Some(checksum()),
        version_id: VersionId(1),
    };
    let draft = Draft::new("PUT", "/bucket/key").header("x-amz-copy-source", "a-b/c");
    let (_, _, body) = answer(draft, Ok(Outcome::Copied(copied))).await;
    for leaf in [
        "ETag=\"0123\"",
        "LastModified=2026-11-21T12:00:00.007Z",
        "ChecksumType=COMPOSITE",
    ] {
        has(&body, leaf);
    }

    let keys = |quiet: bool| {
        let xml = format!("<Delete><Quiet>{quiet}</Quiet><Object><Key>a</Key></Object></Delete>");
        let draft = Draft::new("POST", "/bucket?delete").body(xml.clone());
        let md5 = <md5::Md5 as md5::Digest>::digest(xml);
        use base64::Engine as _;
        draft.header(
            "content-md5",
            base64::engine::general_purpose::STANDARD.encode(md5),
        )
    };
    let outcome = || {
        Ok(Outcome::DeletedKeys(vec![
            DeletedKey {
                key: "a".parse().expect("a key"),
                error: None,
            },
            DeletedKey {
                key: "<b>".parse().expect("a key"),
                error: Some(ErrorCode::AccessDenied.into()),
            },
        ]))
    };
    let (_, _, body) = answer(keys(false), outcome()).await;
    assert_eq!(
        leaves(&body)[..3],
        ["Key=a", "Key=<b>", "Code=AccessDenied"]
    );
    let (_, _, body) = answer(keys(true), outcome()).await;
    assert_eq!(leaves(&body)[..2], ["Key=<b>", "Code=AccessDenied"]);
}

#[tokio::test]
async fn multipart() {
    let (_, headers, body) = answer(
        Draft::new("POST", "/bucket/key?uploads"),
        Ok(Outcome::UploadCreated(upload())),
    )
    .await;
    let id = UploadId(5).to_string();
    has(&body, &format!("UploadId={id}"));
    has(&body, "Key=k&y");
    assert_eq!(header(&headers, "x-amz-checksum-algorithm"), Some("CRC32"));

    let part = PartRecord {
        number: PartNumber::new(7).expect("a number"),
        size: 9,
        etag: etag(),
        last_modified: now(),
        checksum: Some(checksum().checksum),
        backend_etags: Vec::new(),
    };
    let page = PartsPage {
        parts: vec![part],
        more: true,
    };
    let target = format!("/bucket/key?uploadId={id}&part-number-marker=3&max-parts=1");
    let listing = PartsListing {
        upload: upload(),
        page,
    };
    let (_, _, body) = answer(Draft::new("GET", target), Ok(Outcome::Parts(listing))).await;
    for leaf in [
        "PartNumberMarker=3",
        "NextPartNumberMarker=7",
        "MaxParts=1",
        "IsTruncated=true",
        "PartNumber=7",
        "Size=9",
        "ChecksumCRC32=AAAAAQ==",
        "ID=AKIDEXAMPLE",
    ] {
        has(&body, leaf);
    }

    let page = UploadsPage {
        uploads: vec![*upload()],
        prefixes: vec!["p/".into()],
        next: Some(("k&y".into(), Some(UploadId(5)))),
    };
    let target = "/bucket?uploads&delimiter=%2F&key-marker=a";
    let (_, _, body) = answer(Draft::new("GET", target), Ok(Outcome::Uploads(page))).await;
    let next = format!("NextUploadIdMarker={id}");
    for leaf in [
        "KeyMarker=a",
        "NextKeyMarker=k&y",
        &next,
        "IsTruncated=true",
        "Prefix=p/",
    ] {
        has(&body, leaf);
    }
}

#[tokio::test(start_paused = true)]
async fn slow_answers_keep_the_connection_alive() {
    let xml = "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>a</ETag></Part>\
        </CompleteMultipartUpload>";
    let draft =
        || Draft::new("POST", format!("/bucket/k%20y?uploadId={}", "0".repeat(32))).body(xml);
    let completed = || CompletedObject {
        bucket: "bucket".parse().expect("a bucket"),
        key: "k y".parse().expect("a key"),
        etag: etag(),
        checksum: None,
        version_id: VersionId(1),
    };
    for (seconds, outcome) in [
        (0, Ok(())),
        (17, Ok(())),
        (17, Err(Error::from(ErrorCode::InternalError))),
    ] {
        let failed = outcome.is_err();
        let outcome = async move {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            outcome.map(|()| Outcome::Completed(completed()))
        };
        let response = front().respond_late(rendering(draft()).await, "REQ1", outcome.boxed());
        let (status, headers, body) = text(response).await;
        assert_eq!(
            (status.as_u16(), header(&headers, "content-type")),
            (200, Some("application/xml"))
        );
        let spaces = " ".repeat(usize::try_from(seconds / 5).expect("small"));
        let start = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{spaces}<");
        assert!(body.starts_with(&start), "{body}");
        if failed {
            has(&body, "Code=InternalError");
            has(&body, "RequestId=REQ1");
        } else {
            has(&body, "Location=http://s3.example.com/bucket/k%20y");
            has(&body, "ETag=\"0123\"");
        }
    }
}

#[tokio::test]
async fn the_location_of_a_virtual_hosted_upload_names_its_bucket_once() {
    let xml = "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>e</ETag></Part>\
        </CompleteMultipartUpload>";
    for (host, path) in [
        ("s3.example.com", "/bucket/k"),
        ("bucket.s3.example.com", "/k"),
        ("bucket.s3.example.com:9000", "/k"),
    ] {
        let target = format!("{path}?uploadId={}", "0".repeat(32));
        let mut draft = Draft::new("POST", target).body(xml);
        draft.host = host;
        let outcome = Outcome::Completed(CompletedObject {
            bucket: "bucket".parse().expect("a bucket"),
            key: "k".parse().expect("a key"),
            etag: etag(),
            checksum: None,
            version_id: VersionId(1),
        });
        let response = front().respond(rendering(draft).await, "REQ1", Ok(outcome));
        let (_, _, body) = text(response).await;
        has(&body, &format!("Location=http://{host}{path}"));
    }
}

//! Requests that are understood, and the operations they become.

use weir_types::ErrorCode::{self, *};
use weir_types::checksum::{ChecksumAlgorithm, ChecksumKind};
use weir_types::operation::{Directive, Operation, RangeSpec};

use crate::support::{Body, Draft, config, decode, front, front_with};

async fn operation(request: http::Request<Body>) -> Operation {
    decode(&front(), request).await.expect("decodes").operation
}

#[tokio::test]
async fn routing() {
    let id = "0123456789abcdef0123456789abcdef";
    for (method, target, name) in [
        ("GET", "/".to_owned(), "ListBuckets"),
        ("GET", "/?max-buckets=5&prefix=a".to_owned(), "ListBuckets"),
        ("PUT", "/bucket".to_owned(), "CreateBucket"),
        ("HEAD", "/bucket".to_owned(), "HeadBucket"),
        ("DELETE", "/bucket/".to_owned(), "DeleteBucket"),
        ("GET", "/bucket?location".to_owned(), "GetBucketLocation"),
        ("GET", "/bucket".to_owned(), "ListObjects"),
        (
            "GET",
            "/bucket?list-type=2&fetch-owner=true".to_owned(),
            "ListObjects",
        ),
        (
            "GET",
            "/bucket?uploads&prefix=a&max-uploads=3".to_owned(),
            "ListMultipartUploads",
        ),
        (
            "GET",
            "/bucket/a%20b?versionId=null&partNumber=3".to_owned(),
            "GetObject",
        ),
        ("HEAD", "/bucket/key".to_owned(), "HeadObject"),
        ("PUT", "/bucket/key?x-id=PutObject".to_owned(), "PutObject"),
        (
            "DELETE",
            "/bucket/key?versionId=null".to_owned(),
            "DeleteObject",
        ),
        (
            "POST",
            "/bucket/key?uploads".to_owned(),
            "CreateMultipartUpload",
        ),
        (
            "PUT",
            format!("/bucket/key?partNumber=1&uploadId={id}"),
            "UploadPart",
        ),
        (
            "DELETE",
            format!("/bucket/key?uploadId={id}"),
            "AbortMultipartUpload",
        ),
        (
            "GET",
            format!("/bucket/key?uploadId={id}&max-parts=5"),
            "ListParts",
        ),
    ] {
        let request = Draft::new(method, target.clone()).body("").signed();
        assert_eq!(operation(request).await.name(), name, "{method} {target}");
    }
    let part = format!("/bucket/key?partNumber=1&uploadId={id}");
    for (target, name) in [
        ("/bucket/key", "CopyObject"),
        (part.as_str(), "UploadPartCopy"),
    ] {
        let request = Draft::new("PUT", target)
            .header("x-amz-copy-source", "a-b/c")
            .signed();
        assert_eq!(operation(request).await.name(), name);
    }
}

#[tokio::test]
async fn keys_are_kept_byte_for_byte() {
    for (target, key) in [
        ("/bucket//a", "/a"),
        ("/bucket/a//b/", "a//b/"),
        ("/bucket/../x", "../x"),
        ("/bucket/%2e%2e/x", "../x"),
        ("/bucket/a%5Cb", "a\\b"),
        ("/bucket/a%20%2B+b", "a ++b"),
        ("/bucket/%C3%A4%00", ""),
    ] {
        let mut request = Draft::new("GET", "/bucket/key").signed();
        // Signed for what it is: the signer normalises nothing.
        request = match target.parse::<http::Uri>() {
            Ok(_) => Draft::new("GET", target.replace("%2e", ".").replace("+b", "%2Bb")).signed(),
            Err(_) => request,
        };
        *request.uri_mut() = target.parse().expect("a target");
        match decode(&front(), request).await {
            Ok(call) => {
                let Operation::GetObject(get) = call.operation else {
                    panic!("a GetObject")
                };
                assert_eq!(get.key.as_str(), key, "{target}");
            }
            Err(error) => assert_eq!((error.code, key), (InvalidURI, ""), "{target}"),
        }
    }
}

#[tokio::test]
async fn virtual_hosts() {
    for (host, target, resource) in [
        ("bucket.s3.example.com", "/a/b", "a/b"),
        ("bucket.s3.example.com:9000", "/a/b", "a/b"),
        ("s3.example.com:9000", "/bucket/a", "a"),
        ("127.0.0.1:9000", "/bucket/a", "a"),
        ("[::1]:9000", "/bucket/a", "a"),
    ] {
        let request = Draft {
            host,
            ..Draft::new("GET", target)
        }
        .signed();
        let Operation::GetObject(get) = operation(request).await else {
            panic!("a GetObject")
        };
        assert_eq!(
            (get.bucket.as_str(), get.key.as_str()),
            ("bucket", resource),
            "{host}"
        );
    }
    let request = Draft {
        host: "A_b.s3.example.com",
        ..Draft::new("GET", "/a")
    }
    .signed();
    let code = decode(&front(), request).await.err().map(|e| e.code);
    assert_eq!(code, Some(InvalidBucketName));
}

#[tokio::test]
async fn reads() {
    let request = Draft::new("GET", "/bucket/key")
        .header("range", "bytes=5-9")
        .header("if-none-match", "\"a\", W/\"b\"")
        .header("if-modified-since", "Sat, 21 Nov 2026 12:00:00 GMT")
        .header("if-unmodified-since", "never")
        .signed();
    let Operation::GetObject(get) = operation(request).await else {
        panic!("a GetObject")
    };
    assert_eq!(get.range, Some(RangeSpec::FromTo(5, Some(9))));
    let tags = get.conditions.if_none_match.expect("tags");
    assert_eq!(
        tags.iter().map(|t| t.as_str()).collect::<Vec<_>>(),
        ["a", "b"]
    );
    assert_eq!(
        get.conditions.if_modified_since.map(|t| t.as_secs()),
        Some(1_795_262_400)
    );
    assert_eq!(get.conditions.if_unmodified_since, None);
    check("/bucket/key?versionId=abc", InvalidArgument).await;
    check("/bucket/key?versionId=", InvalidArgument).await;
    check(
        &format!("/bucket/key?versionId={}", "a".repeat(32)),
        NoSuchVersion,
    )
    .await;
    check("/bucket/key?partNumber=0", InvalidArgument).await;
    check("/bucket/key?response-content-type=a%0Ab", InvalidArgument).await;
    check("/bucket/key?response-other=a", NotImplemented).await;
}

async fn check(target: &str, code: ErrorCode) {
    let got = decode(&front(), Draft::new("GET", target).signed())
        .await
        .err()
        .map(|e| e.code);
    assert_eq!(got, Some(code), "{target}");
}

#[tokio::test]
async fn listings() {
    let list = async |target: &str| match operation(Draft::new("GET", target).signed()).await {
        Operation::ListObjects(list) => list.query,
        other => panic!("{}", other.name()),
    };
    let query = list("/bucket?prefix=a%2F&delimiter=%2F&marker=a%2Fb&max-keys=7").await;
    assert_eq!(
        (query.prefix.as_str(), query.delimiter.as_deref()),
        ("a/", Some("/"))
    );
    assert_eq!((query.after.as_deref(), query.limit), (Some("a/b"), 7));
    let query = list("/bucket?list-type=2&start-after=x&max-keys=5000&delimiter=").await;
    assert_eq!((query.after.as_deref(), query.limit), (Some("x"), 1000));
    assert_eq!(query.delimiter, None);
    assert_eq!(list("/bucket?max-keys=0").await.limit, 0);
    for target in [
        "/bucket?max-keys=-1",
        "/bucket?max-keys=x",
        "/bucket?max-keys=2147483648",
        "/bucket?list-type=3",
        "/bucket?list-type=2&continuation-token=forged",
        "/bucket?encoding-type=base64",
        "/bucket?prefix=a&prefix=b",
        "/bucket?uploads=1",
        "/bucket?uploads&key-marker=a&upload-id-marker=x",
        "/?max-buckets=0",
        "/?continuation-token=x",
    ] {
        check(target, InvalidArgument).await;
    }
    check("/bucket?list-type=2&marker=a", NotImplemented).await;
    check("/bucket?start-after=a", NotImplemented).await;
    check(
        &format!("/bucket?prefix={}", "p".repeat(1025)),
        KeyTooLongError,
    )
    .await;
}

#[tokio::test]
async fn writes() {
    let request = Draft::new("PUT", "/bucket/key")
        .header("content-type", "text/plain")
        .header("content-encoding", "aws-chunked, gzip")
        .header("cache-control", "no-cache")
        .header("expires", "soon")
        .header("x-amz-meta-Name", "Grüße =?UTF-8?Q?x?=")
        .header("x-amz-tagging", "a=1&b=2")
        .header("x-amz-storage-class", "STANDARD_IA")
        .header("if-none-match", "*")
        .body("hello")
        .signed();
    let Operation::PutObject(put) = operation(request).await else {
        panic!("a PutObject")
    };
    assert_eq!(put.headers.content_type.as_deref(), Some("text/plain"));
    assert_eq!(put.headers.content_encoding.as_deref(), Some("gzip"));
    assert_eq!(put.headers.expires.as_deref(), Some("soon"));
    assert_eq!(
        put.user_metadata,
        [("name".into(), "Grüße =?UTF-8?Q?x?=".into())]
    );
    assert_eq!(
        put.tags,
        [("a".into(), "1".into()), ("b".into(), "2".into())]
    );
    assert_eq!(put.storage_class.as_deref(), Some("STANDARD_IA"));
    assert!(put.conditions.if_none_match && put.body.size == 5);
}

/// SDKs move headers into the query when they presign.
#[tokio::test]
async fn presigned_headers_count() {
    let target = "/bucket/key?x-amz-meta-a=b%20c&x-amz-tagging=a%3D1&X-Amz-Storage-Class=COLD";
    let request = Draft::new("PUT", target).body("hello").presigned();
    let Operation::PutObject(put) = operation(request).await else {
        panic!("a PutObject")
    };
    assert_eq!(put.user_metadata, [("a".into(), "b c".into())]);
    assert_eq!(put.tags, [("a".into(), "1".into())]);
    assert_eq!(put.storage_class.as_deref(), Some("COLD"));
    let acl = Draft::new("PUT", "/bucket/key?x-amz-acl=public-read")
        .body("")
        .presigned();
    assert_eq!(
        decode(&front(), acl).await.err().map(|e| e.code),
        Some(NotImplemented)
    );
    let twice = Draft::new("PUT", "/bucket/key?x-amz-meta-a=1&X-Amz-Meta-A=2").body("");
    let code = decode(&front(), twice.presigned())
        .await
        .err()
        .map(|e| e.code);
    assert_eq!(code, Some(InvalidArgument));
}

#[tokio::test]
async fn copies() {
    let request = Draft::new("PUT", "/bucket/key")
        .header("x-amz-copy-source", "/other/a%2Fb?versionId=null")
        .header("x-amz-copy-source-if-match", "\"t\"")
        .header("x-amz-metadata-directive", "REPLACE")
        .header("x-amz-tagging-directive", "REPLACE")
        .header("x-amz-tagging", "t=1")
        .header("content-type", "a/b")
        .header("x-amz-storage-class", "STANDARD")
        .header("x-amz-checksum-algorithm", "SHA256")
        .signed();
    let Operation::CopyObject(copy) = operation(request).await else {
        panic!("a CopyObject")
    };
    assert_eq!(copy.source.key.as_str(), "a/b");
    assert!(copy.source.conditions.if_match.is_some());
    assert!(matches!(copy.metadata, Directive::Replace(_)));
    assert_eq!(
        copy.tagging,
        Directive::Replace(vec![("t".into(), "1".into())])
    );
    assert_eq!(copy.storage_class, Some(None));
    assert_eq!(copy.checksum, Some(ChecksumAlgorithm::Sha256));
    let bad = Draft::new("PUT", "/bucket/key")
        .header("x-amz-copy-source", "other/key")
        .header("x-amz-metadata-directive", "MOVE");
    assert_eq!(
        decode(&front(), bad.signed()).await.err().map(|e| e.code),
        Some(InvalidArgument)
    );
}

#[tokio::test]
async fn multipart() {
    for (algorithm, kind, expected) in [
        (
            Some("CRC32"),
            None,
            Ok(Some((ChecksumAlgorithm::Crc32, ChecksumKind::Composite))),
        ),
        (
            Some("crc64nvme"),
            None,
            Ok(Some((
                ChecksumAlgorithm::Crc64Nvme,
                ChecksumKind::FullObject,
            ))),
        ),
        (
            Some("CRC32"),
            Some("FULL_OBJECT"),
            Ok(Some((ChecksumAlgorithm::Crc32, ChecksumKind::FullObject))),
        ),
        (None, None, Ok(None)),
        (Some("SHA1"), Some("FULL_OBJECT"), Err(InvalidRequest)),
        (Some("CRC64NVME"), Some("COMPOSITE"), Err(InvalidRequest)),
        (Some("MD4"), None, Err(InvalidRequest)),
        (Some("CRC32"), Some("HALF"), Err(InvalidRequest)),
        (None, Some("COMPOSITE"), Err(InvalidRequest)),
    ] {
        let mut draft = Draft::new("POST", "/bucket/key?uploads");
        if let Some(algorithm) = algorithm {
            draft = draft.header("x-amz-checksum-algorithm", algorithm);
        }
        if let Some(kind) = kind {
            draft = draft.header("x-amz-checksum-type", kind);
        }
        let got = decode(&front(), draft.signed())
            .await
            .map_err(|e| e.code)
            .map(|call| {
                let Operation::CreateMultipartUpload(create) = call.operation else {
                    panic!("create")
                };
                create.checksum
            });
        assert_eq!(got, expected, "{algorithm:?} {kind:?}");
    }

    let xml = "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Part>\
        <PartNumber>2</PartNumber><ETag>\"a\"</ETag></Part></CompleteMultipartUpload>";
    let target = format!("/bucket/key?uploadId={}", "0".repeat(32));
    let complete = Draft::new("POST", target)
        .header("x-amz-checksum-crc32", "AAAAAA==-1")
        .header("x-amz-checksum-type", "COMPOSITE")
        .header("x-amz-mp-object-size", "77")
        .header("if-match", "\"e\"")
        .body(xml);
    let Operation::CompleteMultipartUpload(got) = operation(complete.signed()).await else {
        panic!("complete")
    };
    assert_eq!((got.parts.len(), got.size), (1, Some(77)));
    assert_eq!(
        got.checksum,
        Some((ChecksumAlgorithm::Crc32, "AAAAAA==-1".to_owned()))
    );
    assert_eq!(got.checksum_kind, Some(ChecksumKind::Composite));
    assert!(got.conditions.if_match.is_some());
}

#[tokio::test]
async fn buckets() {
    let create = async |xml: &str| {
        let request = Draft::new("PUT", "/bucket").body(xml.to_owned()).signed();
        match decode(&front_with(config()), request)
            .await
            .map(|c| c.operation)
        {
            Ok(Operation::CreateBucket { location, .. }) => Ok(location),
            Ok(other) => panic!("{}", other.name()),
            Err(error) => Err(error.code),
        }
    };
    let of =
        |inner: &str| format!("<CreateBucketConfiguration>{inner}</CreateBucketConfiguration>");
    assert_eq!(create("").await, Ok(None));
    assert_eq!(create(&of("")).await, Ok(None));
    let location = of("<LocationConstraint>eu-1</LocationConstraint>");
    assert_eq!(create(&location).await, Ok(Some("eu-1".to_owned())));
    let twice = of(&"<LocationConstraint>a</LocationConstraint>".repeat(2));
    assert_eq!(create(&twice).await, Err(MalformedXML));
    assert_eq!(
        create(&of("<Bucket><Type>Directory</Type></Bucket>")).await,
        Err(NotImplemented)
    );
    let odd = of("<LocationConstraint>a b</LocationConstraint>");
    assert_eq!(create(&odd).await, Err(IllegalLocationConstraintException));
    let no_length = Draft::new("PUT", "/bucket").signed();
    assert_eq!(operation(no_length).await.name(), "CreateBucket");
}

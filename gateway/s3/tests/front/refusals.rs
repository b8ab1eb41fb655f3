//! Requests whose sender is known and that are refused all the same.

use base64::Engine as _;
use http::Request;
use md5::Digest as _;
use weir_types::ErrorCode::*;
use weir_types::operation::Operation;

use crate::support::*;

#[tokio::test]
async fn forms_are_refused_before_their_body() {
    let form = || {
        Request::builder()
            .method("POST")
            .uri("/bucket")
            .header("host", HOST)
            .header("content-type", "Multipart/Form-Data; boundary=x")
            .body(full("--x".into()))
            .expect("a request")
    };
    check("POST form", form(), NotImplemented).await;
    let signed = Draft::new("POST", "/bucket").header("content-type", "multipart/form-data");
    check("signed POST form", signed.signed(), NotImplemented).await;
}

#[tokio::test]
async fn sub_resources_are_not_passed_over() {
    for name in [
        "acl",
        "tagging",
        "retention",
        "legal-hold",
        "torrent",
        "policy",
        "cors",
        "website",
        "lifecycle",
        "encryption",
        "versioning",
        "versions",
        "replication",
        "notification",
        "object-lock",
        "publicAccessBlock",
        "attributes",
        "restore",
        "select",
        "anything",
        "x-amz-acl",
        "X-Amz-Meta-A",
        "renameObject",
    ] {
        for method in ["GET", "PUT", "POST", "DELETE", "HEAD"] {
            for path in ["/bucket", "/bucket/key"] {
                for value in ["", "=", "=1"] {
                    let target = format!("{path}?{name}{value}");
                    let request = Draft::new(method, target.clone()).body("").signed();
                    check(&format!("{method} {target}"), request, NotImplemented).await;
                }
            }
        }
    }
    check(
        "x-id",
        Draft::new("GET", "/bucket/key?x-id=GetObject").signed(),
        None,
    )
    .await;
    check(
        "service",
        Draft::new("GET", "/?acl").signed(),
        NotImplemented,
    )
    .await;
    check(
        "PATCH",
        Draft::new("PATCH", "/bucket/key").signed(),
        MethodNotAllowed,
    )
    .await;
}

#[tokio::test]
async fn headers_that_ask_for_what_is_not_built() {
    for (name, value, code) in [
        ("x-amz-acl", "private", None),
        ("x-amz-acl", "bucket-owner-full-control", None),
        ("x-amz-acl", "public-read", Some(NotImplemented)),
        ("x-amz-grant-read", "id=1", Some(NotImplemented)),
        (
            "x-amz-server-side-encryption",
            "AES256",
            Some(NotImplemented),
        ),
        (
            "x-amz-server-side-encryption",
            "aws:kms",
            Some(NotImplemented),
        ),
        (
            "x-amz-server-side-encryption-customer-algorithm",
            "AES256",
            Some(NotImplemented),
        ),
        ("x-amz-object-lock-mode", "GOVERNANCE", Some(NotImplemented)),
        ("x-amz-object-lock-legal-hold", "ON", Some(NotImplemented)),
        ("x-amz-write-offset-bytes", "1", Some(NotImplemented)),
        ("x-amz-never-heard-of", "1", Some(NotImplemented)),
        ("x-amz-expected-bucket-owner", "weir", None),
        (
            "x-amz-expected-bucket-owner",
            "somebody",
            Some(AccessDenied),
        ),
        ("if-none-match", "*", None),
        ("if-none-match", "\"a\"", Some(NotImplemented)),
        ("if-match", "\"a\"", None),
        ("if-match", "*", Some(NotImplemented)),
        ("if-match", "\"a\",\"b\"", Some(NotImplemented)),
        (
            "if-unmodified-since",
            "Sat, 21 Nov 2026 12:00:00 GMT",
            Some(NotImplemented),
        ),
        ("x-amz-storage-class", "STANDARD", None),
        ("x-amz-storage-class", "a b", Some(InvalidStorageClass)),
        ("x-amz-website-redirect-location", "/x", None),
        (
            "x-amz-website-redirect-location",
            "x",
            Some(InvalidArgument),
        ),
    ] {
        check(
            &format!("{name}: {value}"),
            put().header(name, value).signed(),
            code,
        )
        .await;
    }
    let both = put().header("if-match", "a").header("if-none-match", "*");
    check("both conditions", both.signed(), InvalidRequest).await;
    let part = Draft::new(
        "PUT",
        format!("/bucket/key?partNumber=1&uploadId={}", "0".repeat(32)),
    );
    check(
        "part with condition",
        part.header("if-none-match", "*").body("").signed(),
        NotImplemented,
    )
    .await;
    check(
        "SSE-C read",
        get()
            .header("x-amz-server-side-encryption-customer-key", "k")
            .signed(),
        NotImplemented,
    )
    .await;
    check(
        "unknown on a read",
        get().header("x-amz-never-heard-of", "1").signed(),
        None,
    )
    .await;
}

#[tokio::test]
async fn sizes() {
    let metadata = |n: usize| put().header("x-amz-meta-a", "v".repeat(n)).signed();
    check("2048 bytes of metadata", metadata(2047), None).await;
    check("2049 bytes of metadata", metadata(2048), MetadataTooLarge).await;
    let mut many = get();
    for nth in 0..101 {
        many = many.header(&format!("h{nth}"), "v");
    }
    check("101 headers", many.signed(), InvalidRequest).await;
    let large = get().unsigned("x-large", "v".repeat(33 * 1024));
    check(
        "large section",
        large.signed(),
        RequestHeaderSectionTooLarge,
    )
    .await;
    for (key, code) in [
        ("k".repeat(1024), None),
        ("k".repeat(1025), Some(KeyTooLongError)),
        ("ä".repeat(512), None),
        ("ä".repeat(513), Some(KeyTooLongError)),
        ("a\0".to_owned(), Some(InvalidURI)),
    ] {
        let target = format!("/bucket/{}", encode(&key, true));
        check(&target, Draft::new("GET", target.clone()).signed(), code).await;
    }
    for path in ["/bucket/%zz", "/bucket/%"] {
        let mut request = get().signed();
        *request.uri_mut() = path.parse().expect("a target");
        check(path, request, InvalidURI).await;
    }
    // A path that is no UTF-8 can be signed, and is refused all the same.
    check(
        "not UTF-8",
        Draft::new("GET", "/bucket/%FF").signed(),
        InvalidURI,
    )
    .await;
    for bucket in [
        "..",
        "A_b",
        "127.0.0.1",
        "ab",
        &"b".repeat(64),
        "-ab",
        "a..b",
    ] {
        let target = format!("/{bucket}/key");
        check(
            &target,
            Draft::new("GET", target.clone()).signed(),
            InvalidBucketName,
        )
        .await;
    }
}

#[tokio::test]
async fn tags() {
    let many = |n: usize| {
        (0..n)
            .map(|i| format!("k{i}=v"))
            .collect::<Vec<_>>()
            .join("&")
    };
    for (text, code) in [
        ("a=b&c=", None),
        ("a%20b=c+d", None),
        (&many(10), None),
        (&many(11), Some(BadRequestTags)),
        ("a=1&a=2", Some(InvalidTag)),
        ("=v", Some(InvalidTag)),
        ("aws:x=v", Some(InvalidTag)),
        ("a=%00", Some(InvalidTag)),
        ("a=%zz", Some(InvalidArgument)),
        (&format!("{}=v", "k".repeat(129)), Some(InvalidTag)),
        (&format!("k={}", "v".repeat(257)), Some(InvalidTag)),
        (&format!("{}={}", "k".repeat(128), "v".repeat(256)), None),
    ] {
        check(text, put().header("x-amz-tagging", text).signed(), code).await;
    }
}

#[tokio::test]
async fn xml_bodies() {
    let delete = |xml: String| {
        let md5 = md5_base64(xml.as_bytes());
        Draft::new("POST", "/bucket?delete")
            .header("content-md5", md5)
            .body(xml)
    };
    let object = "<Object><Key>k</Key></Object>";
    let good = format!("<Delete>{object}</Delete>");
    check("good", delete(good.clone()).signed(), None).await;
    let bare = Draft::new("POST", "/bucket?delete").body(good.clone());
    check("no digest", bare.clone().signed(), InvalidRequest).await;
    let crc = bare.clone().header("x-amz-checksum-crc32", "AAAAAA==");
    check("wrong checksum", crc.signed(), BadDigest).await;
    let md5 = bare.header("content-md5", "XUFAKrxLKna5cZ2REBfFkg==");
    check("wrong MD5", md5.signed(), BadDigest).await;
    let swapped = delete(good.clone())
        .signed()
        .map(|_| full(good.replace('k', "j").into()));
    check("another body", swapped, XAmzContentSHA256Mismatch).await;
    let cut = delete(good.clone())
        .signed()
        .map(|_| full(good[..20].to_owned().into()));
    check("cut", cut, IncompleteBody).await;
    for bad in [
        "<Other/>".to_owned(),
        format!("<!DOCTYPE x><Delete>{object}</Delete>"),
        format!("<Delete>{}</Delete>", object.repeat(1001)),
        format!("<Delete {}>{object}</Delete>", "a='1' ".repeat(100_000)),
        "<Delete>".repeat(50_000),
        format!("<Delete>{}</Delete>", "&x;".repeat(1000)),
    ] {
        let shown: String = bad.chars().take(40).collect();
        check(&shown, delete(bad).signed(), MalformedXML).await;
    }
    let huge = format!("<Delete>{}</Delete>", " ".repeat(9 * 1024 * 1024));
    check("over the cap", delete(huge).signed(), MalformedXML).await;
}

fn md5_base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    use md5::Digest as _;
    base64::engine::general_purpose::STANDARD.encode(md5::Md5::digest(bytes))
}

#[tokio::test]
async fn parts() {
    let id = "0".repeat(32);
    for (number, code) in [
        ("1", None),
        ("10000", None),
        ("0", Some(InvalidArgument)),
        ("10001", Some(InvalidArgument)),
        ("-1", Some(InvalidArgument)),
        ("+1", Some(InvalidArgument)),
        ("", Some(InvalidArgument)),
    ] {
        let target = format!("/bucket/key?partNumber={number}&uploadId={id}");
        check(number, Draft::new("PUT", target).body("").signed(), code).await;
    }
    for (target, code) in [
        (format!("/bucket/key?uploadId={id}"), InvalidArgument),
        ("/bucket/key?partNumber=1".to_owned(), InvalidArgument),
        (
            "/bucket/key?partNumber=1&uploadId=nobody".to_owned(),
            NoSuchUpload,
        ),
        (
            "/bucket/key?partNumber=1&uploadId=".to_owned(),
            NoSuchUpload,
        ),
        (
            format!("/bucket/key?partNumber=1&uploadId={id}&uploadId={id}"),
            InvalidArgument,
        ),
        (
            format!("/bucket/key?partNumber=1&uploadId={id}&tagging"),
            NotImplemented,
        ),
    ] {
        check(
            &target,
            Draft::new("PUT", target.clone()).body("").signed(),
            code,
        )
        .await;
    }
}

#[tokio::test]
async fn copy_sources() {
    let id = "0".repeat(32);
    let part = format!("/bucket/key?partNumber=1&uploadId={id}");
    for target in ["/bucket/key", part.as_str()] {
        for (source, code) in [
            ("other/key", None),
            ("/other/a%20b", None),
            ("", Some(InvalidArgument)),
            ("other", Some(InvalidArgument)),
            ("other/%zz", Some(InvalidArgument)),
            ("https://host/other/key", Some(InvalidArgument)),
            ("arn:aws:s3:::other/key", Some(NotImplemented)),
        ] {
            let request = Draft::new("PUT", target)
                .header("x-amz-copy-source", source)
                .signed();
            check(&format!("{target} from {source}"), request, code).await;
        }
    }
    let itself = Draft::new("PUT", "/bucket/key").header("x-amz-copy-source", "bucket/key");
    check("to itself", itself.clone().signed(), InvalidRequest).await;
    let replaced = itself.header("x-amz-metadata-directive", "REPLACE");
    check("to itself with new metadata", replaced.signed(), None).await;
}

#[tokio::test(start_paused = true)]
async fn a_body_that_pauses_times_out() {
    use http_body_util::{BodyExt as _, StreamBody};
    let mut settings = config();
    settings.limits.body_idle_timeout = std::time::Duration::from_secs(7);
    let request = put().signed().map(|_| {
        StreamBody::new(futures_util::stream::pending::<Result<_, std::io::Error>>()).boxed_unsync()
    });
    let call = decode(&front_with(settings), request)
        .await
        .expect("decodes");
    let Operation::PutObject(put) = call.operation else {
        panic!("a PutObject")
    };
    let before = tokio::time::Instant::now();
    let ended = read(put.body.frames).await.1.err().map(|e| e.code);
    assert_eq!(
        (ended, before.elapsed().as_secs()),
        (Some(RequestTimeout), 7)
    );
}

#[tokio::test]
async fn a_connection_that_breaks_is_an_incomplete_body() {
    use http_body_util::{BodyExt as _, StreamBody};
    let broken = put().signed().map(|_| {
        let pieces = [
            Ok(http_body::Frame::data(bytes::Bytes::from_static(b"hel"))),
            Err(std::io::Error::other("reset")),
        ];
        StreamBody::new(futures_util::stream::iter(pieces)).boxed_unsync()
    });
    assert_eq!(body_end(broken).await, Some(IncompleteBody));
}

#[test]
fn the_tests_know_what_time_it_is() {
    let time = Draft { at: 0, ..get() }.time();
    let secs = time
        .duration_since(std::time::UNIX_EPOCH)
        .expect("after 1970")
        .as_secs();
    assert_eq!(secs, NOW_SECS);
}

#[tokio::test]
async fn large_xml_bodies_share_what_memory_there_is() {
    let mut config = config();
    config.limits.xml_bodies_bytes_max = 256 * 1024;
    let front = front_with(config);
    let delete = |bytes: usize| {
        let xml = format!(
            "<Delete>{}<Object><Key>k</Key></Object></Delete>",
            " ".repeat(bytes)
        );
        let md5 = base64::engine::general_purpose::STANDARD.encode(md5::Md5::digest(&xml));
        let draft = Draft::new("POST", "/bucket?delete").header("content-md5", md5);
        draft.body(xml)
    };
    // A body that has begun and does not go on.
    let stuck = delete(200 * 1024).signed().map(|_| pieces_that_stall());
    let mut stuck = Box::pin(decode(&front, stuck));
    assert!(futures_util::poll!(&mut stuck).is_pending());
    let code = |bytes| {
        let request = delete(bytes).signed();
        async { decode(&front, request).await.map(drop).map_err(|e| e.code) }
    };
    assert_eq!(code(100 * 1024).await, Err(SlowDown));
    assert_eq!(
        code(10 * 1024).await,
        Ok(()),
        "small ones are not told to wait"
    );
    drop(stuck);
    assert_eq!(code(100 * 1024).await, Ok(()));
}

fn pieces_that_stall() -> Body {
    use http_body_util::BodyExt as _;
    let never = futures_util::stream::pending::<Result<http_body::Frame<bytes::Bytes>, _>>();
    http_body_util::StreamBody::new(never).boxed_unsync()
}

//! Requests that must be refused, and how.

use http::{HeaderValue, Request};
use weir_types::ErrorCode::{self, *};
use weir_types::body::ExpectedChecksum;
use weir_types::operation::Operation;

use crate::support::{
    Body, Draft, HOST, NOW_SECS, code_of, config, decode, encode, front, front_with, full, read,
};

async fn check(name: &str, request: Request<Body>, expected: impl Into<Option<ErrorCode>>) {
    let expected = expected.into();
    assert_eq!(code_of(request).await, expected, "{name}");
}

fn get() -> Draft {
    Draft::new("GET", "/bucket/key")
}

fn put() -> Draft {
    Draft::new("PUT", "/bucket/key").body("hello")
}

/// The request with one header set as it is, or removed.
fn with(mut request: Request<Body>, name: &'static str, value: Option<&str>) -> Request<Body> {
    match value {
        None => request.headers_mut().remove(name),
        Some(value) => request
            .headers_mut()
            .insert(name, HeaderValue::from_str(value).expect("a value")),
    };
    request
}

/// The Authorization header with a piece replaced.
fn edit(request: Request<Body>, from: &str, to: &str) -> Request<Body> {
    let text = request.headers()["authorization"]
        .to_str()
        .expect("text")
        .to_owned();
    assert!(text.contains(from), "{from} in {text}");
    with(request, "authorization", Some(&text.replacen(from, to, 1)))
}

/// The target with a piece replaced.
fn edit_target(mut request: Request<Body>, from: &str, to: &str) -> Request<Body> {
    let text = request.uri().to_string();
    assert!(text.contains(from), "{from} in {text}");
    *request.uri_mut() = text.replacen(from, to, 1).parse().expect("a target");
    request
}

#[tokio::test]
async fn without_valid_credentials() {
    let unsigned = || with(get().signed(), "authorization", None);
    check("anonymous", unsigned(), AccessDenied).await;
    for (text, code) in [
        ("junk", InvalidArgument),
        ("", InvalidArgument),
        ("Basic dTpw", InvalidArgument),
        ("Bearer x", InvalidArgument),
        ("AWS AKIDEXAMPLE:c2ln", InvalidRequest),
        ("AWS4-HMAC-SHA256", AuthorizationHeaderMalformed),
        ("AWS4-HMAC-SHA256 x", AuthorizationHeaderMalformed),
        (
            "AWS4-HMAC-SHA256 Credential=,SignedHeaders=,Signature=",
            AuthorizationHeaderMalformed,
        ),
        ("AWS4-ECDSA-P256-SHA256 Credential=a", NotImplemented),
    ] {
        check(text, with(unsigned(), "authorization", Some(text)), code).await;
    }
    let v2 = edit_target(
        unsigned(),
        "/key",
        "/key?AWSAccessKeyId=a&Signature=b&Expires=1",
    );
    check("SigV2 query", v2, InvalidRequest).await;
    check(
        "unknown key",
        Draft {
            access_key: "AKIDOTHER",
            ..get()
        }
        .signed(),
        InvalidAccessKeyId,
    )
    .await;
    check(
        "wrong secret",
        Draft {
            secret_key: "x",
            ..get()
        }
        .signed(),
        SignatureDoesNotMatch,
    )
    .await;
    let token = get().header("x-amz-security-token", "t").signed();
    check("session token", token, InvalidToken).await;
}

#[tokio::test]
async fn authorization_header() {
    let malformed = AuthorizationHeaderMalformed;
    for (from, to, code) in [
        ("Credential=", "Other=", malformed),
        ("SignedHeaders=host;", "SignedHeader=host;", malformed),
        ("Signature=", "Sig=", malformed),
        ("Signature=", "Signature=a,Signature=", malformed),
        ("/us-east-1/", "/us-east-1/x/", malformed),
        ("aws4_request", "aws3_request", malformed),
        ("AKIDEXAMPLE/", "/", malformed),
        ("SignedHeaders=host;", "SignedHeaders=", AccessDenied),
        ("x-amz-date", "x-amz-data", AccessDenied),
        (
            "SignedHeaders=host;",
            "SignedHeaders=host;absent;",
            SignatureDoesNotMatch,
        ),
        ("Signature=", "Signature=0", SignatureDoesNotMatch),
    ] {
        check(from, edit(get().signed(), from, to), code).await;
    }
    check(
        "region",
        Draft {
            region: "eu-west-1",
            ..get()
        }
        .signed(),
        malformed,
    )
    .await;
    check(
        "service",
        Draft {
            service: "ec2",
            ..get()
        }
        .signed(),
        malformed,
    )
    .await;
    check(
        "scope date",
        edit(get().signed(), "/20261121/", "/20261120/"),
        malformed,
    )
    .await;
    let region = decode(
        &front(),
        Draft {
            region: "eu-west-1",
            ..get()
        }
        .signed(),
    )
    .await
    .err();
    assert!(region.is_some_and(|e| e.details.contains(&("Region", "us-east-1".to_owned()))));
}

#[tokio::test]
async fn time() {
    for (at, code) in [
        (0, None),
        (15 * 60, None),
        (-15 * 60, None),
        (16 * 60, Some(RequestTimeTooSkewed)),
        (-16 * 60, Some(RequestTimeTooSkewed)),
        (365 * 86_400, Some(RequestTimeTooSkewed)),
    ] {
        check(&format!("{at} s"), Draft { at, ..get() }.signed(), code).await;
    }
    check(
        "no date",
        with(get().signed(), "x-amz-date", None),
        AccessDenied,
    )
    .await;
    check(
        "bad date",
        with(get().signed(), "x-amz-date", Some("today")),
        AccessDenied,
    )
    .await;
}

#[tokio::test]
async fn headers_that_are_not_signed() {
    for name in [
        "x-amz-copy-source",
        "x-amz-tagging",
        "x-amz-acl",
        "x-amz-meta-a",
        "x-amz-storage-class",
    ] {
        check(name, put().unsigned(name, "/b/k").signed(), AccessDenied).await;
        check(name, put().unsigned(name, "/b/k").presigned(), AccessDenied).await;
    }
    let free = || {
        get()
            .unsigned("content-type", "a/b")
            .unsigned("x-custom", "1")
    };
    check("unsigned content-type", free().signed(), None).await;
    check("unsigned content-type, presigned", free().presigned(), None).await;
}

#[tokio::test]
async fn two_mechanisms() {
    let mut request = get().presigned();
    let signed = get().signed();
    let authorization = signed.headers()["authorization"].clone();
    request.headers_mut().insert("authorization", authorization);
    check("both", request, InvalidArgument).await;
    let v2 = edit_target(get().signed(), "/key", "/key?Signature=x");
    check("header and SigV2 query", v2, InvalidArgument).await;
}

#[tokio::test]
async fn forged_streams() {
    let payload = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";
    let stream = || {
        put()
            .payload(payload)
            .header("x-amz-trailer", "x-amz-checksum-crc32")
            .header("x-amz-decoded-content-length", "5")
    };
    check("well signed", stream().signed(), None).await;
    let forged = edit(stream().signed(), "Signature=", "Signature=f");
    check("forged", forged, SignatureDoesNotMatch).await;
    let wrong = Draft {
        secret_key: "x",
        ..stream()
    }
    .presigned();
    check("query, forged", wrong, SignatureDoesNotMatch).await;
    let query = stream().header("x-amz-content-sha256", payload).presigned();
    check("query", query, InvalidRequest).await;
    // The header is not signed by name, but its value is part of what is signed.
    let smuggled = put().unsigned("x-amz-content-sha256", payload).presigned();
    check("query, header added", smuggled, SignatureDoesNotMatch).await;
}

#[tokio::test]
async fn payload_hash() {
    let sha256 = "x-amz-content-sha256";
    for bad in [
        "garbage",
        "",
        "UNSIGNED",
        "STREAMING-AWS4-HMAC-SHA512-PAYLOAD",
        "00",
    ] {
        check(
            bad,
            with(put().signed(), sha256, Some(bad)),
            InvalidArgument,
        )
        .await;
    }
    check(
        "missing",
        with(put().signed(), sha256, None),
        InvalidRequest,
    )
    .await;
    for ecdsa in [
        "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD",
        "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER",
    ] {
        check(
            ecdsa,
            with(put().signed(), sha256, Some(ecdsa)),
            NotImplemented,
        )
        .await;
    }
    let ended = body_end(with_body(put().signed(), "jello")).await;
    assert_eq!(ended, Some(XAmzContentSHA256Mismatch));
    assert_eq!(body_end(put().signed()).await, None);
    assert_eq!(
        body_end(with_body(
            put().payload("UNSIGNED-PAYLOAD").signed(),
            "jello"
        ))
        .await,
        None
    );
}

fn with_body(request: Request<Body>, body: &'static str) -> Request<Body> {
    request.map(|_| full(body.into()))
}

/// How the body of a PutObject ends.
async fn body_end(request: Request<Body>) -> Option<ErrorCode> {
    let call = decode(&front(), request).await.expect("decodes");
    let Operation::PutObject(put) = call.operation else {
        panic!("a PutObject")
    };
    read(put.body.frames).await.1.err().map(|e| e.code)
}

#[tokio::test]
async fn lengths() {
    check(
        "missing",
        with(put().signed(), "content-length", None),
        MissingContentLength,
    )
    .await;
    assert_eq!(
        body_end(with_body(put().signed(), "hell")).await,
        Some(IncompleteBody)
    );
    assert_eq!(
        body_end(with_body(put().signed(), "hello!")).await,
        Some(IncompleteBody)
    );
    for bad in ["-1", "5x", "", "99999999999999999999999", "0x5"] {
        check(
            bad,
            with(put().signed(), "content-length", Some(bad)),
            InvalidRequest,
        )
        .await;
    }
    let huge = with(put().signed(), "content-length", Some("5368709121"));
    check("over 5 GiB", huge, EntityTooLarge).await;
    check(
        "twice",
        put().unsigned("content-length", "5").signed(),
        InvalidRequest,
    )
    .await;
    let both = put().unsigned("transfer-encoding", "chunked").signed();
    let error = decode(&front(), both).await.err().expect("ambiguous");
    assert!(
        error.code == InvalidRequest && error.details.contains(&("Connection", "close".into()))
    );
    let chunked = || put().payload("STREAMING-AWS4-HMAC-SHA256-PAYLOAD");
    check(
        "no decoded length",
        chunked().signed(),
        MissingContentLength,
    )
    .await;
    let bad = chunked().header("x-amz-decoded-content-length", "-5");
    check("bad decoded length", bad.signed(), InvalidArgument).await;
    let empty = Draft::new("PUT", "/bucket/key").body("");
    assert_eq!(body_end(empty.signed()).await, None);
}

#[tokio::test]
async fn digests() {
    for (name, value, code) in [
        ("content-md5", "XUFAKrxLKna5cZ2REBfFkg==", None),
        ("content-md5", "XUFAKrxLKna5cZ2REBfFkg", Some(InvalidDigest)),
        ("content-md5", "AAAA", Some(InvalidDigest)),
        ("content-md5", "!", Some(InvalidDigest)),
        ("x-amz-checksum-crc32", "AAAAAA==", None),
        ("x-amz-checksum-crc32", "AAAA", Some(InvalidRequest)),
        ("x-amz-checksum-sha512", "AAAA", Some(NotImplemented)),
        ("x-amz-sdk-checksum-algorithm", "CRC64NVME", None),
        ("x-amz-sdk-checksum-algorithm", "MD4", Some(InvalidRequest)),
        (
            "x-amz-trailer",
            "x-amz-checksum-crc32",
            Some(InvalidArgument),
        ),
    ] {
        check(name, put().header(name, value).signed(), code).await;
    }
    let crc = || put().header("x-amz-checksum-crc32", "AAAAAA==");
    let two = crc().header("x-amz-checksum-crc32c", "AAAAAA==");
    check("two checksums", two.signed(), InvalidRequest).await;
    let other = crc().header("x-amz-sdk-checksum-algorithm", "SHA1");
    check("another algorithm", other.signed(), InvalidRequest).await;
    let trailer = || {
        put()
            .payload("STREAMING-UNSIGNED-PAYLOAD-TRAILER")
            .header("x-amz-decoded-content-length", "5")
    };
    check(
        "trailer not announced",
        trailer().signed(),
        MalformedTrailerError,
    )
    .await;
    let both = trailer()
        .header("x-amz-trailer", "x-amz-checksum-crc32")
        .header("x-amz-checksum-crc32", "AAAAAA==");
    check("header and trailer", both.signed(), InvalidRequest).await;
    let two = trailer().header("x-amz-trailer", "x-amz-checksum-crc32,x-amz-checksum-sha1");
    check("two trailers", two.signed(), InvalidRequest).await;
    let other = trailer().header("x-amz-trailer", "x-other");
    check("unknown trailer", other.signed(), NotImplemented).await;

    let call = decode(&front(), crc().signed()).await.expect("decodes");
    let Operation::PutObject(put) = call.operation else {
        panic!("a PutObject")
    };
    assert!(matches!(
        put.body.expected.checksum,
        Some(ExpectedChecksum::Given(_))
    ));
}

#[tokio::test]
async fn presigned() {
    let parameters = AuthorizationQueryParametersError;
    check("good", get().presigned(), None).await;
    for (at, expires, code) in [
        (-900, 900, None),
        (-901, 900, Some(AccessDenied)),
        (-604_800, 604_800, None),
        (-604_801, 604_800, Some(AccessDenied)),
        (15 * 60, 900, None),
        (15 * 60 + 1, 900, Some(AccessDenied)),
    ] {
        let draft = Draft {
            at,
            expires,
            ..get()
        };
        check(&format!("{at} + {expires}"), draft.presigned(), code).await;
    }
    for expires in [
        "0",
        "-1",
        "abc",
        "604801",
        "",
        "1e3",
        "+5",
        "99999999999999999999",
    ] {
        let to = format!("X-Amz-Expires={expires}");
        let request = edit_target(get().presigned(), "X-Amz-Expires=900", &to);
        check(&to, request, parameters).await;
    }
    for (from, to, code) in [
        (
            "X-Amz-Expires=900",
            "X-Amz-Expires=900&X-Amz-Expires=900",
            parameters,
        ),
        (
            "X-Amz-Expires=900",
            "X-Amz-Expires=901",
            SignatureDoesNotMatch,
        ),
        ("X-Amz-Expires=900", "x=1", parameters),
        ("X-Amz-Date=", "X-Amz-Data=", parameters),
        (
            "X-Amz-Signature=",
            "x-amz-signature=a&X-Amz-Signature=",
            parameters,
        ),
        ("X-Amz-Signature=", "X=", parameters),
        (
            "X-Amz-Algorithm=AWS4-HMAC-SHA256",
            "X-Amz-Algorithm=AWS4-HMAC-SHA1",
            parameters,
        ),
        (
            "X-Amz-Algorithm=AWS4-HMAC-SHA256",
            "X-Amz-Algorithm=AWS4-ECDSA-P256-SHA256",
            NotImplemented,
        ),
        ("SignedHeaders=host", "SignedHeaders=range", AccessDenied),
        ("us-east-1", "eu-west-1", parameters),
        ("20261121%2F", "20261120%2F", parameters),
        ("/key?", "/other?", SignatureDoesNotMatch),
        ("/key?", "/key?versionId=null&", SignatureDoesNotMatch),
        (
            "/key?",
            "/key?X-Amz-Acl=public-read&",
            SignatureDoesNotMatch,
        ),
        ("/key?", "/key?X-Amz-Security-Token=x&", InvalidToken),
    ] {
        check(to, edit_target(get().presigned(), from, to), code).await;
    }
    let mut other = get().presigned();
    *other.method_mut() = http::Method::PUT;
    check("GET used as PUT", other, SignatureDoesNotMatch).await;
    check(
        "region",
        Draft {
            region: "eu-west-1",
            ..get()
        }
        .presigned(),
        parameters,
    )
    .await;
}

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
    check("101 headers", many.signed(), RequestHeaderSectionTooLarge).await;
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
    check(
        "over the cap",
        delete(huge).signed(),
        MaxMessageLengthExceeded,
    )
    .await;
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

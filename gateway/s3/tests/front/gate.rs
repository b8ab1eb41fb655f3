//! Requests that the gate refuses, and how.

use weir_types::ErrorCode::*;
use weir_types::body::ExpectedChecksum;
use weir_types::operation::Operation;

use crate::support::*;

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
    for (region_aliases, code) in [
        (vec![], Some(malformed)),
        (vec!["eu-west-1".to_owned()], None),
    ] {
        let name = format!("aliases {region_aliases:?}");
        let front = front_with(weir_s3::S3Config {
            region_aliases,
            ..config()
        });
        let abroad = Draft {
            region: "eu-west-1",
            ..get()
        };
        let got = decode(&front, abroad.signed()).await;
        assert_eq!(got.err().map(|e| e.code), code, "{name}");
    }
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
    let error = decode(&front(), both).await.expect_err("ambiguous");
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

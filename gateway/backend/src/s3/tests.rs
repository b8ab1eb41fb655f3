use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PercentEncodingMode, SignableBody, SignableRequest, SigningSettings, UriPathNormalizationMode,
    sign,
};
use aws_sigv4::sign::v4;
use bytes::Bytes;
use futures_util::StreamExt as _;
use http::{HeaderMap, HeaderValue, StatusCode};
use proptest::prelude::*;
use weir_types::backend::BackendErrorKind;
use weir_types::body::PutStream;
use weir_types::clock::{ManualClock, Timestamp};

use super::answer::{Refusal, retry_after};
use super::endpoint::{Endpoint, canonical_query};
use super::sign::{Canonical, Signer};
use super::{S3Backend, chunked, content_range, xml};
use crate::{S3Config, Secret};

const NOW_SECS: u64 = 1_795_000_000;

fn secret() -> Secret {
    "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned().into()
}

fn config(endpoint: &str) -> S3Config {
    S3Config::at(endpoint, "bucket", "AKIDEXAMPLE", secret())
}

fn signer(token: Option<&str>) -> Signer {
    let token = token.map(|token| token.to_owned().into());
    Signer::new("AKIDEXAMPLE".into(), secret(), token, "eu-west-1".into())
}

/// What the reference implementation signs for the same request.
fn oracle(
    method: &str,
    uri: &str,
    headers: &[(&'static str, String)],
    payload: &str,
    token: Option<&str>,
) -> String {
    let credentials = Credentials::new(
        "AKIDEXAMPLE",
        secret().reveal(),
        token.map(str::to_owned),
        None,
        "test",
    );
    let identity = credentials.into();
    let mut settings = SigningSettings::default();
    settings.percent_encoding_mode = PercentEncodingMode::Single;
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region("eu-west-1")
        .name("s3")
        .time(UNIX_EPOCH + Duration::from_secs(NOW_SECS))
        .settings(settings)
        .build()
        .expect("parameters")
        .into();
    let headers = headers.iter().map(|(name, value)| (*name, value.as_str()));
    let body = SignableBody::Precomputed(payload.to_owned());
    let request = SignableRequest::new(method, uri, headers, body).expect("a request");
    let (_, signature) = sign(request, &params).expect("a signature").into_parts();
    signature
}

fn check_signature(
    method: &str,
    key: &str,
    query: &[(&str, &str)],
    extra: &[(&'static str, &str)],
    payload: &str,
    token: Option<&str>,
) {
    let endpoint = Endpoint::parse(&config("http://localhost:9000")).expect("valid");
    let path = endpoint.object_path(key);
    let query = canonical_query(query);
    let uri = endpoint.uri(&path, &query).expect("a URI").to_string();
    let mut headers = vec![("host", endpoint.host)];
    headers.extend(
        extra
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned())),
    );
    let mut given = headers.clone();
    // The reference adds date and token itself, but not this one unless told to.
    given.push(("x-amz-content-sha256", payload.to_owned()));
    let wanted = oracle(method, &uri, &given, payload, token);
    let canonical = Canonical {
        method,
        path: &path,
        query: &query,
        payload,
    };
    let now = Timestamp::from_millis(NOW_SECS * 1000);
    let signed = signer(token).sign(now, &canonical, &mut headers);
    let ours = signed.authorization.rsplit('=').next().unwrap_or_default();
    assert_eq!(ours, wanted, "{method} {uri} {headers:?}");
}

#[test]
fn signs_like_the_reference() {
    let plain = "w1/site/abc/0123.00000001";
    let empty = super::sign::EMPTY_SHA256;
    check_signature("GET", plain, &[], &[], empty, None);
    check_signature("PUT", plain, &[], &[], "UNSIGNED-PAYLOAD", None);
    check_signature(
        "PUT",
        plain,
        &[],
        &[],
        "UNSIGNED-PAYLOAD",
        Some("a/token+with=signs"),
    );
    check_signature("POST", plain, &[("uploads", "")], &[], empty, None);
    let part = [("uploadId", "a b/c+d=&é"), ("partNumber", "10")];
    check_signature("PUT", plain, &part, &[], "UNSIGNED-PAYLOAD", None);
    let list = [
        ("list-type", "2"),
        ("prefix", "w1/x/"),
        ("start-after", "w1/x/~*'()!"),
    ];
    check_signature("GET", "", &list, &[], empty, None);
    let headers = [
        ("x-amz-storage-class", "STANDARD_IA"),
        ("x-amz-server-side-encryption", "aws:kms"),
        (
            "x-amz-server-side-encryption-aws-kms-key-id",
            "arn:aws:kms:eu:1:key/x",
        ),
    ];
    check_signature("PUT", plain, &[], &headers, "UNSIGNED-PAYLOAD", None);
}

proptest! {
    #[test]
    fn signs_any_key_and_query_like_the_reference(
        key in "[ -~é/]{1,40}",
        value in "[ -~ü]{0,20}",
    ) {
        check_signature("GET", &key, &[("prefix", &value), ("z", "")], &[], "UNSIGNED-PAYLOAD", None);
    }
}

#[test]
fn a_new_day_has_a_new_key() {
    let signer = signer(None);
    let canonical = Canonical {
        method: "GET",
        path: "/",
        query: "",
        payload: "UNSIGNED-PAYLOAD",
    };
    let at = |secs| {
        let mut headers = vec![("host", "h".to_owned())];
        let now = Timestamp::from_millis(secs * 1000);
        signer.sign(now, &canonical, &mut headers).authorization
    };
    let first = at(NOW_SECS);
    assert_ne!(at(NOW_SECS + 86_400), first);
    assert_eq!(at(NOW_SECS), first, "and back");
}

/// AWS, "Signature calculations … multiple chunks", the worked example: 66,560 bytes of `a`.
#[tokio::test]
async fn signed_chunks_have_the_announced_length_and_form() {
    for (size, chunk_bytes) in [
        (0_usize, 10_usize),
        (1, 10),
        (65_535, 1000),
        (65_536, 65_536),
        (65_537, 9),
        (200_000, 70_000),
    ] {
        let canonical = Canonical {
            method: "PUT",
            path: "/x",
            query: "",
            payload: "UNSIGNED-PAYLOAD",
        };
        let now = Timestamp::from_millis(NOW_SECS * 1000);
        let signed = signer(None).sign(now, &canonical, &mut Vec::new());
        let payload = vec![b'a'; size];
        let chunks: Vec<_> = payload
            .chunks(chunk_bytes)
            .map(|c| Ok(Bytes::copy_from_slice(c)))
            .collect();
        let body: PutStream = Box::pin(futures_util::stream::iter(chunks));
        let mut encoded = Vec::new();
        let mut stream = chunked::encode(body, size as u64, signed.chunks);
        while let Some(piece) = stream.next().await {
            encoded.extend_from_slice(&piece.expect("a piece"));
        }
        assert_eq!(
            encoded.len() as u64,
            chunked::encoded_bytes(size as u64),
            "{size} bytes"
        );
        assert_eq!(decode(&encoded), payload, "{size} bytes");
    }
}

/// Reads aws-chunked, trusting every signature.
fn decode(mut encoded: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    loop {
        let line = encoded
            .windows(2)
            .position(|w| w == b"\r\n")
            .expect("a chunk's head");
        let head = std::str::from_utf8(&encoded[..line]).expect("text");
        let (hex, signature) = head.split_once(";chunk-signature=").expect("a signature");
        assert_eq!(signature.len(), 64);
        let size = usize::from_str_radix(hex, 16).expect("hex");
        let data = &encoded[line + 2..line + 2 + size];
        out.extend_from_slice(data);
        assert_eq!(&encoded[line + 2 + size..line + 4 + size], b"\r\n");
        encoded = &encoded[line + 4 + size..];
        if size == 0 {
            assert!(encoded.is_empty(), "nothing follows the last chunk");
            return out;
        }
    }
}

#[test]
fn refusals_mean_what_they_say() {
    use BackendErrorKind::{Denied, Full, NotFound, Rejected, Throttled, Unavailable};
    let after = Some(Duration::from_secs(3));
    for (status, code, size, retry_after, kind) in [
        (404, "NoSuchKey", 0, None, NotFound),
        (404, "NoSuchUpload", 0, None, NotFound),
        (404, "", 0, None, NotFound),
        (404, "NoSuchBucket", 0, None, Unavailable),
        (403, "AccessDenied", 0, None, Denied),
        (403, "InvalidAccessKeyId", 0, None, Denied),
        (403, "SignatureDoesNotMatch", 0, None, Denied),
        (403, "RequestTimeTooSkewed", 0, None, Denied),
        (403, "", 0, None, Denied),
        (401, "", 0, None, Denied),
        (400, "AuthorizationHeaderMalformed", 0, None, Denied),
        (400, "ExpiredToken", 0, None, Denied),
        (403, "QuotaExceeded", 0, None, Full),
        (507, "", 0, None, Full),
        (507, "XMinioStorageFull", 0, None, Full),
        (400, "EntityTooLarge", 1000, None, Full),
        (400, "EntityTooLarge", 6 << 30, None, Rejected),
        (429, "", 0, after, Throttled),
        (503, "SlowDown", 0, None, Throttled),
        (503, "", 0, after, Throttled),
        (503, "", 0, None, Unavailable),
        (503, "ServiceUnavailable", 0, None, Unavailable),
        (500, "InternalError", 0, None, Unavailable),
        (200, "InternalError", 0, None, Unavailable),
        (502, "", 0, None, Unavailable),
        (501, "", 0, None, Rejected),
        (501, "NotImplemented", 0, None, Rejected),
        (400, "RequestTimeout", 0, None, Unavailable),
        (400, "IncompleteBody", 0, None, Unavailable),
        (409, "OperationAborted", 0, None, Unavailable),
        (412, "PreconditionFailed", 0, None, Rejected),
        (416, "InvalidRange", 0, None, Rejected),
        (400, "InvalidPart", 0, None, Rejected),
        (400, "EntityTooSmall", 0, None, Rejected),
        (301, "PermanentRedirect", 0, None, Unavailable),
        (307, "", 0, None, Unavailable),
    ] {
        let body = match code {
            "" => String::new(),
            code => {
                format!("<Error><Code>{code}</Code><Message>No &amp; no\u{7}</Message></Error>")
            }
        };
        let status = StatusCode::from_u16(status).expect("a status");
        let operation = "get";
        let refusal = Refusal {
            operation,
            status,
            retry_after,
            body: &body,
            size,
        };
        let error = refusal.into_error();
        assert_eq!(error.kind, kind, "{status} {code}: {error}");
        assert_eq!(error.retry_after, retry_after);
        assert!(error.message.contains(status.as_str()) && error.message.contains(code));
        assert!(!error.message.contains('\u{7}'), "control characters");
    }
}

#[test]
fn retry_after_is_seconds_or_a_date() {
    let now = Timestamp::from_millis(784_111_777_000);
    for (text, seconds) in [
        ("7", Some(7)),
        ("Sun, 06 Nov 1994 08:49:47 GMT", Some(10)),
        ("Sun, 06 Nov 1994 08:40:00 GMT", Some(0)),
        ("99999999999", Some(3600)),
        ("soon", None),
    ] {
        let mut headers = HeaderMap::new();
        headers.insert("retry-after", HeaderValue::from_static(text));
        assert_eq!(
            retry_after(&headers, now),
            seconds.map(Duration::from_secs),
            "{text}"
        );
    }
}

#[test]
fn xml_is_read_and_bounded() {
    let text = "\n <?xml version=\"1.0\"?><s3:R xmlns:s3=\"u\"><A>1 &lt; 2&#33;</A><B/>\
                <A><![CDATA[<x>]]></A><C><D>d</D></C></s3:R>";
    let root = xml::parse(text).expect("well-formed");
    assert_eq!(root.name, "R");
    assert_eq!(root.text_of("A"), Some("1 < 2!"));
    assert_eq!(root.all("A").count(), 2);
    assert_eq!(root.all("C").next().and_then(|c| c.text_of("D")), Some("d"));
    for bad in [
        "",
        "text",
        "<a>",
        "<a></b>",
        "<a>&own;</a>",
        "<!DOCTYPE a><a/>",
        &"<a>".repeat(100),
    ] {
        assert!(xml::parse(bad).is_err(), "{bad:.40}");
    }
    assert_eq!(xml::escape("\"<&"), "&quot;&lt;&amp;");
}

#[test]
fn content_ranges() {
    for (text, wanted) in [
        ("bytes 0-0/700000", Some((0..1, 700_000))),
        ("bytes 5-9/10", Some((5..10, 10))),
        ("bytes 5-9/*", None),
        ("bytes */10", None),
        ("5-9/10", None),
        ("bytes 5-18446744073709551615/10", None),
    ] {
        assert_eq!(content_range(text), wanted, "{text}");
    }
}

#[test]
fn endpoints() {
    for (url, path_style, host, object) in [
        (
            "https://s3.example.com",
            true,
            "s3.example.com",
            "/bucket/k%20/x",
        ),
        (
            "https://s3.example.com:443/",
            true,
            "s3.example.com",
            "/bucket/k%20/x",
        ),
        ("http://localhost:80", true, "localhost", "/bucket/k%20/x"),
        ("http://[::1]:9000", true, "[::1]:9000", "/bucket/k%20/x"),
        (
            "https://s3.example.com:8443",
            false,
            "bucket.s3.example.com:8443",
            "/k%20/x",
        ),
    ] {
        let config = S3Config {
            path_style,
            ..config(url)
        };
        let endpoint = Endpoint::parse(&config).expect(url);
        assert_eq!(endpoint.host, host);
        assert_eq!(endpoint.object_path("k /x"), object);
    }
    for url in [
        "",
        "s3.example.com",
        "ftp://x",
        "https://x/path",
        "https://x/?q",
        "https://u:p@x",
    ] {
        let error = Endpoint::parse(&config(url)).expect_err(url);
        assert!(!error.contains("u:p"), "{error}");
    }
    let config = S3Config {
        key_prefix: "a/".into(),
        ..config("http://x")
    };
    let endpoint = Endpoint::parse(&config).expect("valid");
    assert_eq!(endpoint.object_path("k"), "/bucket/a/k");
    assert_eq!(endpoint.strip("a/k"), Some("k"));
    assert_eq!(endpoint.strip("b/k"), None);
}

#[test]
fn nothing_secret_is_shown() {
    let config = S3Config {
        session_token: Some("tok-tok".to_owned().into()),
        ..config("http://x")
    };
    let backend = S3Backend::new(&config, Arc::new(ManualClock::default())).expect("a backend");
    let shown = format!("{config:?} {backend:?}");
    assert!(
        !shown.contains(secret().reveal()) && !shown.contains("tok-tok"),
        "{shown}"
    );
}

#[test]
fn a_bad_ca_bundle_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ca.pem");
    let open = || {
        let config = S3Config {
            ca_bundle: Some(path.clone()),
            ..config("https://x")
        };
        S3Backend::new(&config, Arc::new(ManualClock::default())).map(drop)
    };
    assert!(open().expect_err("no file").contains("ca.pem"));
    std::fs::write(&path, "no certificate").expect("write");
    assert!(
        open()
            .expect_err("no certificate")
            .contains("holds no certificate")
    );
}

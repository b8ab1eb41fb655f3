//! A front with one known key, requests signed by the `aws-sigv4` crate, and a generator of
//! hostile texts.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation,
    SigningParams, SigningSettings, UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use bytes::Bytes;
use futures_util::StreamExt as _;
use http::{HeaderName, HeaderValue, Request};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use weir_core::front::{Call, Front as _};
use weir_s3::{Credential, CredentialStore, Rendering, S3Config, S3Front, Secret, Verified};
use weir_types::body::{Frame, FrameStream};
use weir_types::clock::{ManualClock, Timestamp};
use weir_types::entropy::{Entropy as _, SeededEntropy};
use weir_types::operation::Operation;
use weir_types::{Error, ErrorCode, Result};

pub(crate) const ACCESS_KEY: &str = "AKIDEXAMPLE";
pub(crate) const SECRET_KEY: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
pub(crate) const HOST: &str = "s3.example.com";
/// 2026-11-21T12:00:00Z
pub(crate) const NOW_SECS: u64 = 1_795_262_400;

pub(crate) type Body = UnsyncBoxBody<Bytes, std::io::Error>;
pub(crate) type Front = S3Front<Body>;

struct OneKey(Arc<Credential>);

impl CredentialStore for OneKey {
    fn lookup(&self, access_key_id: &str) -> Option<Arc<Credential>> {
        (access_key_id == ACCESS_KEY).then(|| Arc::clone(&self.0))
    }
}

pub(crate) fn front_with(config: S3Config) -> Front {
    let credential = Credential {
        principal: ACCESS_KEY.parse().expect("a valid principal"),
        secret: Secret::new(SECRET_KEY.to_owned()),
    };
    let clock = ManualClock::at(Timestamp::from_millis(NOW_SECS * 1000));
    S3Front::new(
        config,
        Arc::new(OneKey(Arc::new(credential))),
        Arc::new(clock),
    )
}

pub(crate) fn config() -> S3Config {
    S3Config {
        base_domains: vec![HOST.to_owned()],
        ..S3Config::default()
    }
}

pub(crate) fn front() -> Front {
    front_with(config())
}

/// A request to be signed.
#[derive(Clone)]
pub(crate) struct Draft {
    pub(crate) method: &'static str,
    /// Path and query, encoded.
    pub(crate) target: String,
    pub(crate) host: &'static str,
    /// Signed.
    pub(crate) headers: Vec<(String, String)>,
    /// Added after signing.
    pub(crate) unsigned: Vec<(&'static str, String)>,
    pub(crate) body: Bytes,
    /// What is signed for the body; its hash when `None`.
    pub(crate) payload: Option<&'static str>,
    pub(crate) access_key: &'static str,
    pub(crate) secret_key: &'static str,
    pub(crate) region: &'static str,
    pub(crate) service: &'static str,
    /// Seconds after [`NOW_SECS`] at which it is signed.
    pub(crate) at: i64,
    /// Seconds for which it is valid, when it is presigned.
    pub(crate) expires: u64,
}

impl Draft {
    pub(crate) fn new(method: &'static str, target: impl Into<String>) -> Self {
        Self {
            method,
            target: target.into(),
            host: HOST,
            headers: Vec::new(),
            unsigned: Vec::new(),
            body: Bytes::new(),
            payload: None,
            access_key: ACCESS_KEY,
            secret_key: SECRET_KEY,
            region: "us-east-1",
            service: "s3",
            at: 0,
            expires: 900,
        }
    }

    pub(crate) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub(crate) fn unsigned(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.unsigned.push((name, value.into()));
        self
    }

    /// A body with its length.
    pub(crate) fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        let length = self.body.len().to_string();
        self.unsigned("content-length", length)
    }

    pub(crate) fn payload(mut self, payload: &'static str) -> Self {
        self.payload = Some(payload);
        self
    }

    pub(crate) fn time(&self) -> SystemTime {
        let secs = NOW_SECS.checked_add_signed(self.at).expect("near now");
        UNIX_EPOCH + Duration::from_secs(secs)
    }

    /// Signed in the header.
    pub(crate) fn signed(self) -> Request<Body> {
        self.finish(false)
    }

    /// Signed in the query.
    pub(crate) fn presigned(self) -> Request<Body> {
        self.finish(true)
    }

    fn finish(self, presigned: bool) -> Request<Body> {
        let uri = format!("http://{}{}", self.host, self.target);
        let body = match (self.payload, presigned) {
            (Some(payload), _) => SignableBody::Precomputed(payload.to_owned()),
            (None, true) => SignableBody::UnsignedPayload,
            (None, false) => SignableBody::Bytes(&self.body),
        };
        let headers = self.headers.iter().map(|(n, v)| (n.as_str(), v.as_str()));
        let signable = SignableRequest::new(self.method, uri, headers, body).expect("signable");
        let mut settings = SigningSettings::default();
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        if presigned {
            settings.signature_location = SignatureLocation::QueryParams;
            settings.expires_in = Some(Duration::from_secs(self.expires));
        } else {
            settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        }
        let identity =
            Credentials::new(self.access_key, self.secret_key, None, None, "test").into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(self.region)
            .name(self.service)
            .time(self.time())
            .settings(settings)
            .build()
            .expect("complete");
        let (instructions, _) = sign(signable, &SigningParams::V4(params))
            .expect("signed")
            .into_parts();
        let (added, query) = instructions.into_parts();

        let mut target = self.target.clone();
        for (name, value) in query {
            target.push(if target.contains('?') { '&' } else { '?' });
            target.push_str(&format!("{name}={}", encode(&value, false)));
        }
        let mut request = Request::builder().method(self.method).uri(target);
        let headers = request.headers_mut().expect("a valid request");
        headers.insert("host", HeaderValue::from_static(self.host));
        for (name, value) in &self.headers {
            append(headers, name, value);
        }
        for header in added {
            append(headers, header.name(), header.value());
        }
        for (name, value) in &self.unsigned {
            append(headers, name, value);
        }
        request.body(full(self.body)).expect("a valid request")
    }
}

fn append(headers: &mut http::HeaderMap, name: &str, value: &str) {
    let name = HeaderName::from_bytes(name.as_bytes()).expect("a valid name");
    headers.append(
        name,
        HeaderValue::from_bytes(value.as_bytes()).expect("a valid value"),
    );
}

pub(crate) fn full(body: Bytes) -> Body {
    Full::new(body)
        .map_err(|never| match never {})
        .boxed_unsync()
}

/// A body that arrives in these pieces.
pub(crate) fn pieces(pieces: Vec<Bytes>) -> Body {
    let frames = pieces.into_iter().map(|p| Ok(http_body::Frame::data(p)));
    StreamBody::new(futures_util::stream::iter(frames)).boxed_unsync()
}

/// Percent-encoding as SigV4 wants it.
pub(crate) fn encode(text: &str, keep_slash: bool) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        let plain = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        if plain || (byte == b'/' && keep_slash) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// Authenticates and decodes.
pub(crate) async fn decode(front: &Front, request: Request<Body>) -> Result<Call<Rendering>> {
    front.decode(front.authenticate(request)?).await
}

/// Only authenticates.
pub(crate) fn authenticate(request: Request<Body>) -> Result<Verified<Body>> {
    front().authenticate(request)
}

pub(crate) async fn code_of(request: Request<Body>) -> Option<ErrorCode> {
    decode(&front(), request).await.err().map(|e| e.code)
}

/// The answer to a request must be this code, or none.
pub(crate) async fn check(
    name: &str,
    request: Request<Body>,
    expected: impl Into<Option<ErrorCode>>,
) {
    let expected = expected.into();
    assert_eq!(code_of(request).await, expected, "{name}");
}

/// A small GET.
pub(crate) fn get() -> Draft {
    Draft::new("GET", "/bucket/key")
}

/// A small PUT.
pub(crate) fn put() -> Draft {
    Draft::new("PUT", "/bucket/key").body("hello")
}

/// The request with one header set as it is, or removed.
pub(crate) fn with(
    mut request: Request<Body>,
    name: &'static str,
    value: Option<&str>,
) -> Request<Body> {
    match value {
        None => request.headers_mut().remove(name),
        Some(value) => request
            .headers_mut()
            .insert(name, HeaderValue::from_str(value).expect("a value")),
    };
    request
}

/// The Authorization header with a piece replaced.
pub(crate) fn edit(request: Request<Body>, from: &str, to: &str) -> Request<Body> {
    let text = request.headers()["authorization"]
        .to_str()
        .expect("text")
        .to_owned();
    assert!(text.contains(from), "{from} in {text}");
    with(request, "authorization", Some(&text.replacen(from, to, 1)))
}

/// The target with a piece replaced.
pub(crate) fn edit_target(mut request: Request<Body>, from: &str, to: &str) -> Request<Body> {
    let text = request.uri().to_string();
    assert!(text.contains(from), "{from} in {text}");
    *request.uri_mut() = text.replacen(from, to, 1).parse().expect("a target");
    request
}

/// The request with another body.
pub(crate) fn with_body(request: Request<Body>, body: &'static str) -> Request<Body> {
    request.map(|_| full(body.into()))
}

/// How the body of a PutObject ends.
pub(crate) async fn body_end(request: Request<Body>) -> Option<ErrorCode> {
    let call = decode(&front(), request).await.expect("decodes");
    let Operation::PutObject(put) = call.operation else {
        panic!("a PutObject")
    };
    read(put.body.frames).await.1.err().map(|e| e.code)
}

/// Reads a body to its end: the bytes, and how it ended.
pub(crate) async fn read(mut frames: FrameStream) -> (Vec<u8>, Result<Vec<Frame>, Error>) {
    let mut bytes = Vec::new();
    let mut rest = Vec::new();
    while let Some(frame) = frames.next().await {
        match frame {
            Ok(Frame::Data(data)) => bytes.extend_from_slice(&data),
            Ok(other) => rest.push(other),
            Err(error) => return (bytes, Err(error)),
        }
    }
    (bytes, Ok(rest))
}

/// Random numbers and hostile texts from a seed.
pub(crate) struct Dice(SeededEntropy);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(SeededEntropy::new(seed))
    }

    pub(crate) fn below(&self, n: usize) -> usize {
        usize::try_from(self.0.u64() % (n.max(1) as u64)).expect("below a usize")
    }

    pub(crate) fn pick<T: Clone>(&self, from: &[T]) -> T {
        from[self.below(from.len())].clone()
    }

    pub(crate) fn bytes(&self, n: usize) -> Vec<u8> {
        let mut out = vec![0; n];
        self.0.fill(&mut out);
        out
    }

    /// A text of up to `pieces` pieces that signers, paths and XML have trouble with.
    pub(crate) fn text(&self, pieces: usize) -> String {
        const PIECES: [&str; 34] = [
            "a", "Z", "0", "-", "_", ".", "~", "/", "//", "..", "../", " ", "  ", "+", "%", "%20",
            "%2F", "&", "=", "?", "#", ";", ":", "'", "\"", "<", ">", "\\", "ä", "日本", "🦀",
            "\t", "\u{1}", "\r\n",
        ];
        (0..self.below(pieces + 1))
            .map(|_| self.pick(&PIECES))
            .collect()
    }
}

//! What the gate costs per request: `cargo bench --profile release -p weir-s3`.
//!
//! Prints the median over rounds, in microseconds, of verifying one small GET that is signed
//! in its header, and one that is presigned; the copy of the request that each check consumes
//! is measured alone and subtracted.

use std::sync::Arc;
use std::time::{Duration, Instant, UNIX_EPOCH};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation,
    SigningParams, SigningSettings, UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use bytes::Bytes;
use http::Request;
use http_body_util::Empty;
use weir_core::front::Front as _;
use weir_s3::{Credential, CredentialStore, S3Config, S3Front, Secret};
use weir_types::clock::{ManualClock, Timestamp};

const KEY: &str = "AKIDEXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const NOW_SECS: u64 = 1_795_262_400;
const ROUNDS: usize = 31;
const REQUESTS: u32 = 20_000;

type Body = Empty<Bytes>;

struct OneKey(Arc<Credential>);

impl CredentialStore for OneKey {
    fn lookup(&self, access_key_id: &str) -> Option<Arc<Credential>> {
        (access_key_id == KEY).then(|| Arc::clone(&self.0))
    }
}

fn main() {
    let credential = Credential {
        principal: KEY.parse().expect("a valid principal"),
        secret: Secret::new(SECRET.to_owned()),
    };
    let clock = ManualClock::at(Timestamp::from_millis(NOW_SECS * 1000));
    let store = OneKey(Arc::new(credential));
    let front: S3Front<Body> = S3Front::new(S3Config::default(), Arc::new(store), Arc::new(clock));
    for (name, presigned) in [("header", false), ("presigned", true)] {
        let request = request(presigned);
        let mut checks = Vec::new();
        for _ in 0..ROUNDS {
            let copies = time(|| {
                std::hint::black_box(copy(&request));
            });
            let both = time(|| {
                let verified = front.authenticate(copy(&request));
                assert!(std::hint::black_box(verified).is_ok());
            });
            checks.push(both.saturating_sub(copies));
        }
        checks.sort();
        let micros = |at: usize| checks[at].as_nanos() as f64 / f64::from(REQUESTS) / 1000.0;
        let line = format!(
            "{name}: {:.2} µs per check (fastest {:.2}, slowest {:.2}, {ROUNDS} rounds)\n",
            micros(ROUNDS / 2),
            micros(0),
            micros(ROUNDS - 1),
        );
        std::io::Write::write_all(&mut std::io::stdout(), line.as_bytes()).expect("stdout");
    }
}

fn time(mut work: impl FnMut()) -> Duration {
    let start = Instant::now();
    for _ in 0..REQUESTS {
        work();
    }
    start.elapsed()
}

fn copy(request: &Request<Body>) -> Request<Body> {
    let mut copy = Request::new(Empty::new());
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    copy
}

/// A small GET as an SDK sends it.
fn request(presigned: bool) -> Request<Body> {
    let mut target = "/bucket/folder/some%20object-0000000000000042.bin".to_owned();
    let uri = format!("http://s3.example.com:9000{target}");
    let body = if presigned {
        SignableBody::UnsignedPayload
    } else {
        SignableBody::Bytes(b"")
    };
    let signable = SignableRequest::new("GET", uri, std::iter::empty(), body).expect("signable");
    let mut settings = SigningSettings::default();
    settings.percent_encoding_mode = PercentEncodingMode::Single;
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    if presigned {
        settings.signature_location = SignatureLocation::QueryParams;
        settings.expires_in = Some(Duration::from_secs(900));
    } else {
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    }
    let identity = Credentials::new(KEY, SECRET, None, None, "bench").into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region("us-east-1")
        .name("s3")
        .time(UNIX_EPOCH + Duration::from_secs(NOW_SECS))
        .settings(settings)
        .build()
        .expect("complete");
    let (instructions, _) = sign(signable, &SigningParams::V4(params))
        .expect("signed")
        .into_parts();
    let (headers, query) = instructions.into_parts();
    for (nth, (name, value)) in query.iter().enumerate() {
        let value = value.replace('/', "%2F").replace(';', "%3B");
        target.push_str(&format!(
            "{}{name}={value}",
            if nth == 0 { '?' } else { '&' }
        ));
    }
    let mut request = Request::builder()
        .uri(target)
        .header("host", "s3.example.com:9000")
        .header("user-agent", "aws-sdk-rust/1.0 os/linux lang/rust")
        .header("accept", "*/*")
        .header(
            "amz-sdk-invocation-id",
            "7f0b2b2c-0000-4000-8000-000000000000",
        );
    for header in headers {
        request = request.header(header.name(), header.value());
    }
    request.body(Empty::new()).expect("a valid request")
}

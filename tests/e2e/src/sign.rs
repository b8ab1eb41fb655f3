//! SigV4 for the storms' own requests, with the payload unsigned.

use aws_lc_rs::{digest, hmac};
use http::{HeaderMap, HeaderValue};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use time::OffsetDateTime;
use weir_types::clock::{Clock, SystemClock};

/// What AWS leaves as it is in a canonical request.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
const PATH: &AsciiSet = &QUERY.remove(b'/');

const PAYLOAD: &str = "UNSIGNED-PAYLOAD";

/// Keys and where they are good.
#[derive(Debug, Clone)]
pub(crate) struct Signer {
    pub(crate) access_key: String,
    pub(crate) secret_key: String,
    pub(crate) region: String,
    pub(crate) host: String,
}

/// Path and query as they are sent.
pub(crate) fn target(path: &str, query: &[(&str, &str)]) -> String {
    let path = utf8_percent_encode(path, PATH);
    let query = canonical_query(query);
    if query.is_empty() {
        path.to_string()
    } else {
        format!("{path}?{query}")
    }
}

fn canonical_query(query: &[(&str, &str)]) -> String {
    let encode = |text| utf8_percent_encode(text, QUERY).to_string();
    let mut pairs: Vec<_> = query.iter().map(|(n, v)| (encode(n), encode(v))).collect();
    pairs.sort();
    let pairs: Vec<_> = pairs
        .into_iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    pairs.join("&")
}

impl Signer {
    /// Adds the headers of a signed request. Every header that is there already is signed; the
    /// payload is unsigned unless `x-amz-content-sha256` says otherwise.
    pub(crate) fn sign(&self, method: &str, target: &str, headers: &mut HeaderMap) {
        let now = amz_date();
        put(headers, "host", &self.host);
        put(headers, "x-amz-date", &now);
        headers
            .entry("x-amz-content-sha256")
            .or_insert(HeaderValue::from_static(PAYLOAD));
        let payload = headers
            .get("x-amz-content-sha256")
            .and_then(|value| value.to_str().ok());
        let payload = payload.unwrap_or(PAYLOAD).to_owned();
        let mut lines: Vec<_> = headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.to_str().unwrap_or_default().trim()))
            .collect();
        lines.sort_unstable();
        let names: Vec<_> = lines.iter().map(|(name, _)| *name).collect();
        let names = names.join(";");
        let block: String = lines
            .iter()
            .map(|(name, value)| format!("{name}:{value}\n"))
            .collect();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let request = format!("{method}\n{path}\n{query}\n{block}\n{names}\n{payload}");

        let scope = format!("{}/{}/s3/aws4_request", &now[..8], self.region);
        let hashed = hex::encode(digest::digest(&digest::SHA256, request.as_bytes()));
        let text = format!("AWS4-HMAC-SHA256\n{now}\n{scope}\n{hashed}");
        let key = scope.split('/').fold(
            format!("AWS4{}", self.secret_key).into_bytes(),
            |key, part| mac(&key, part),
        );
        let signature = hex::encode(mac(&key, &text));
        let value = format!(
            "AWS4-HMAC-SHA256 Credential={}/{scope},SignedHeaders={names},Signature={signature}",
            self.access_key
        );
        put(headers, "authorization", &value);
    }
}

fn put(headers: &mut HeaderMap, name: &'static str, value: &str) {
    headers.insert(name, value.parse().expect("made of visible ASCII"));
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes())
        .as_ref()
        .to_vec()
}

fn amz_date() -> String {
    let seconds = i64::try_from(SystemClock.now().as_secs()).unwrap_or(i64::MAX);
    let now = OffsetDateTime::from_unix_timestamp(seconds).expect("a time within reach");
    format!(
        "{:04}{:02}{:02}T{:02}{:02}{:02}Z",
        now.year(),
        u8::from(now.month()),
        now.day(),
        now.hour(),
        now.minute(),
        now.second()
    )
}

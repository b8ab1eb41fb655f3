//! Signature Version 4 for outbound requests (AWS, "Signature Version 4 for API requests").

use std::sync::Arc;

use aws_lc_rs::{digest, hmac};
use parking_lot::Mutex;
use weir_types::clock::Timestamp;

use crate::secret::Secret;

/// SHA-256 of no bytes.
pub(super) const EMPTY_SHA256: &str =
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
/// Room for a canonical request of ours, most of the time.
const TEXT_BYTES: usize = 768;

/// Signs with one set of credentials. What depends on the time alone is kept: the day's key
/// and, for a second, the texts.
pub(super) struct Signer {
    access_key_id: String,
    secret: Secret,
    token: Option<Secret>,
    region: String,
    now: Mutex<Option<Arc<Moment>>>,
}

/// A second, as signatures name it.
struct Moment {
    /// Since 1970.
    second: u64,
    /// `20261121T093000Z`.
    time: String,
    /// `20261121/us-east-1/s3/aws4_request`.
    scope: String,
    /// The key of the day.
    key: hmac::Key,
}

/// What is signed of a request.
pub(super) struct Canonical<'a> {
    /// The method.
    pub(super) method: &'a str,
    /// The path as it is sent.
    pub(super) path: &'a str,
    /// The query in canonical form.
    pub(super) query: &'a str,
    /// SHA-256 of the body in hex, or one of the names that stand for none.
    pub(super) payload: &'a str,
}

/// A signature made, and what the signatures of chunks continue from.
pub(super) struct Signed {
    /// The value of `Authorization`.
    pub(super) authorization: String,
    /// See [`ChunkSigner`].
    pub(super) chunks: ChunkSigner,
}

/// Signs the chunks of a body, each over the one before.
pub(super) struct ChunkSigner {
    moment: Arc<Moment>,
    previous: String,
}

/// Lowercase hex.
fn push_hex(out: &mut String, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        out.push(char::from(DIGITS[usize::from(byte >> 4)]));
        out.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
}

fn hex(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(2 * bytes.len());
    push_hex(&mut out, bytes);
    out
}

/// Lowercase hex of the SHA-256 of `bytes`.
pub(super) fn sha256_hex(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

fn hmac_hex(key: &hmac::Key, text: &str) -> String {
    hex(hmac::sign(key, text.as_bytes()).as_ref())
}

/// All of `parts`, one after the other.
fn joined(parts: &[&str]) -> String {
    let mut out = String::with_capacity(parts.iter().map(|part| part.len()).sum());
    out.extend(parts.iter().copied());
    out
}

/// `20261121T093000Z`.
fn basic_time(now: Timestamp) -> String {
    // RFC 3339 without its separators and fraction.
    let text = now.to_string();
    let whole = text.split('.').next().unwrap_or_default();
    let mut basic: String = whole.chars().filter(|c| !matches!(c, '-' | ':')).collect();
    basic.push('Z');
    basic
}

impl Signer {
    /// A signer for one region of `s3`.
    pub(super) fn new(
        access_key_id: String,
        secret: Secret,
        token: Option<Secret>,
        region: String,
    ) -> Self {
        Self {
            access_key_id,
            secret,
            token,
            region,
            now: Mutex::new(None),
        }
    }

    fn moment(&self, at: Timestamp) -> Arc<Moment> {
        let second = at.as_millis() / 1000;
        let mut now = self.now.lock();
        if let Some(known) = now.as_ref().filter(|known| known.second == second) {
            return Arc::clone(known);
        }
        let time = basic_time(at);
        let day = &time[..time.len().min(8)];
        let scope = joined(&[day, "/", &self.region, "/s3/aws4_request"]);
        let same_day = now.as_ref().filter(|known| known.scope == scope);
        let key = match same_day {
            Some(known) => known.key.clone(),
            None => self.day_key(day),
        };
        let fresh = Arc::new(Moment {
            second,
            time,
            scope,
            key,
        });
        *now = Some(Arc::clone(&fresh));
        fresh
    }

    fn day_key(&self, day: &str) -> hmac::Key {
        let first = zeroize::Zeroizing::new(format!("AWS4{}", self.secret.reveal()));
        let mut key = hmac::Key::new(hmac::HMAC_SHA256, first.as_bytes());
        for step in [day, &self.region, "s3", "aws4_request"] {
            key = hmac::Key::new(
                hmac::HMAC_SHA256,
                hmac::sign(&key, step.as_bytes()).as_ref(),
            );
        }
        key
    }

    /// Signs a request at `now`. Every header in `headers` is signed; those that signing
    /// itself needs are added.
    pub(super) fn sign(
        &self,
        now: Timestamp,
        request: &Canonical<'_>,
        headers: &mut Vec<(&'static str, String)>,
    ) -> Signed {
        let moment = self.moment(now);
        headers.push(("x-amz-content-sha256", request.payload.to_owned()));
        headers.push(("x-amz-date", moment.time.clone()));
        if let Some(token) = &self.token {
            headers.push(("x-amz-security-token", token.reveal().to_owned()));
        }
        headers.sort_unstable_by_key(|(name, _)| *name);

        let mut names = String::with_capacity(32 * headers.len());
        let mut text = String::with_capacity(TEXT_BYTES);
        text.extend([
            request.method,
            "\n",
            request.path,
            "\n",
            request.query,
            "\n",
        ]);
        for (name, value) in headers.iter() {
            if !names.is_empty() {
                names.push(';');
            }
            names.push_str(name);
            text.extend([name, ":", value.trim(), "\n"]);
        }
        text.extend(["\n", &names, "\n", request.payload]);

        let Moment { time, scope, .. } = &*moment;
        let digest = sha256_hex(text.as_bytes());
        let to_sign = joined(&["AWS4-HMAC-SHA256\n", time, "\n", scope, "\n", &digest]);
        let signature = hmac_hex(&moment.key, &to_sign);
        let authorization = joined(&[
            "AWS4-HMAC-SHA256 Credential=",
            &self.access_key_id,
            "/",
            scope,
            ", SignedHeaders=",
            &names,
            ", Signature=",
            &signature,
        ]);
        let chunks = ChunkSigner {
            moment,
            previous: signature,
        };
        Signed {
            authorization,
            chunks,
        }
    }
}

impl ChunkSigner {
    /// The signature of the next chunk (AWS, "Signature calculations for the Authorization
    /// header: transferring payload in multiple chunks").
    pub(super) fn sign(&mut self, chunk: &[u8]) -> &str {
        let to_sign = joined(&[
            "AWS4-HMAC-SHA256-PAYLOAD\n",
            &self.moment.time,
            "\n",
            &self.moment.scope,
            "\n",
            &self.previous,
            "\n",
            EMPTY_SHA256,
            "\n",
            &sha256_hex(chunk),
        ]);
        self.previous = hmac_hex(&self.moment.key, &to_sign);
        &self.previous
    }
}

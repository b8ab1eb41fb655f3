//! Signature Version 4 for outbound requests (AWS, "Signature Version 4 for API requests").

use std::sync::Arc;

use aws_lc_rs::{digest, hmac};
use parking_lot::Mutex;
use weir_types::clock::Timestamp;

use crate::secret::Secret;

/// SHA-256 of no bytes.
pub(super) const EMPTY_SHA256: &str =
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// Signs with one set of credentials. The key derived for a day is kept.
pub(super) struct Signer {
    access_key_id: String,
    secret: Secret,
    token: Option<Secret>,
    region: String,
    today: Mutex<Option<Arc<DayKey>>>,
}

struct DayKey {
    day: String,
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
    key: Arc<DayKey>,
    time: String,
    scope: String,
    previous: String,
}

/// Lowercase hex of the SHA-256 of `bytes`.
pub(super) fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(digest::digest(&digest::SHA256, bytes))
}

fn hmac_hex(key: &hmac::Key, text: &str) -> String {
    hex::encode(hmac::sign(key, text.as_bytes()))
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
            today: Mutex::new(None),
        }
    }

    fn day_key(&self, day: &str) -> Arc<DayKey> {
        let mut today = self.today.lock();
        if let Some(known) = today.as_ref().filter(|known| known.day == day) {
            return Arc::clone(known);
        }
        let first = zeroize::Zeroizing::new(format!("AWS4{}", self.secret.reveal()));
        let mut key = hmac::Key::new(hmac::HMAC_SHA256, first.as_bytes());
        for step in [day, &self.region, "s3", "aws4_request"] {
            key = hmac::Key::new(
                hmac::HMAC_SHA256,
                hmac::sign(&key, step.as_bytes()).as_ref(),
            );
        }
        let fresh = Arc::new(DayKey {
            day: day.to_owned(),
            key,
        });
        *today = Some(Arc::clone(&fresh));
        fresh
    }

    /// Signs a request at `now`. Every header in `headers` is signed; those that signing
    /// itself needs are added.
    pub(super) fn sign(
        &self,
        now: Timestamp,
        request: &Canonical<'_>,
        headers: &mut Vec<(&'static str, String)>,
    ) -> Signed {
        let time = basic_time(now);
        headers.push(("x-amz-content-sha256", request.payload.to_owned()));
        headers.push(("x-amz-date", time.clone()));
        if let Some(token) = &self.token {
            headers.push(("x-amz-security-token", token.reveal().to_owned()));
        }
        headers.sort_unstable_by_key(|(name, _)| *name);

        let names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
        let names = names.join(";");
        let mut text = format!("{}\n{}\n{}\n", request.method, request.path, request.query);
        for (name, value) in headers.iter() {
            text.extend([name, ":", value.trim(), "\n"]);
        }
        text.extend(["\n", &names, "\n", request.payload]);

        let day = &time[..time.len().min(8)];
        let key = self.day_key(day);
        let scope = format!("{day}/{}/s3/aws4_request", self.region);
        let to_sign = format!(
            "AWS4-HMAC-SHA256\n{time}\n{scope}\n{}",
            sha256_hex(text.as_bytes())
        );
        let signature = hmac_hex(&key.key, &to_sign);
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={signature}",
            self.access_key_id
        );
        let chunks = ChunkSigner {
            key,
            time,
            scope,
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
        let to_sign = format!(
            "AWS4-HMAC-SHA256-PAYLOAD\n{}\n{}\n{}\n{EMPTY_SHA256}\n{}",
            self.time,
            self.scope,
            self.previous,
            sha256_hex(chunk)
        );
        self.previous = hmac_hex(&self.key.key, &to_sign);
        &self.previous
    }
}

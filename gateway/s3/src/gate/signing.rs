//! Signing keys, and the cache that spares deriving them per request.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use aws_lc_rs::{constant_time, digest, hmac};
use parking_lot::RwLock;

use super::credential::Credential;
use super::scope::Scope;

/// A signature in lowercase hex.
pub(crate) type SignatureHex = [u8; 64];

/// SHA-256 in lowercase hex.
pub(crate) fn sha256_hex(bytes: &[u8]) -> SignatureHex {
    to_hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

/// 32 bytes in lowercase hex.
pub(crate) fn to_hex(bytes: &[u8]) -> SignatureHex {
    let mut out = [0; 64];
    hex::encode_to_slice(bytes, &mut out).expect("32 bytes are 64 hex digits");
    out
}

/// A key for one access key, day, region and service.
#[derive(Clone)]
pub(crate) struct SigningKey(Arc<hmac::Key>);

impl SigningKey {
    /// Derives the key (AWS, "Derive a signing key for SigV4").
    fn derive(credential: &Credential, scope: &Scope<'_>) -> Self {
        let mut start = zeroize::Zeroizing::new(b"AWS4".to_vec());
        start.extend_from_slice(credential.secret.expose().as_bytes());
        let mut key = hmac::Key::new(hmac::HMAC_SHA256, &start);
        for step in [scope.day, scope.region, "s3", "aws4_request"] {
            let tag = hmac::sign(&key, step.as_bytes());
            key = hmac::Key::new(hmac::HMAC_SHA256, tag.as_ref());
        }
        Self(Arc::new(key))
    }

    /// Signs.
    pub(crate) fn sign(&self, string_to_sign: &[u8]) -> SignatureHex {
        to_hex(hmac::sign(&self.0, string_to_sign).as_ref())
    }
}

/// Compares signatures in a time that does not depend on where they differ.
pub(crate) fn matches(calculated: &SignatureHex, given: &[u8]) -> bool {
    constant_time::verify_slices_are_equal(calculated, given).is_ok()
}

/// Signing keys of recent requests. An entry is used only while the store still hands out
/// the very credential it was derived from.
pub(crate) struct SigningKeys {
    entries: RwLock<HashMap<Box<str>, Entry>>,
    entries_max: usize,
}

struct Entry {
    credential: Weak<Credential>,
    key: SigningKey,
}

impl SigningKeys {
    pub(crate) fn new(entries_max: usize) -> Self {
        Self {
            entries: RwLock::default(),
            entries_max: entries_max.max(1),
        }
    }

    /// The key for `scope`, derived now or kept from before in the place named `slot`: one per
    /// known credential and day. Callers must not let strangers choose it freely, or they
    /// could flush the cache.
    pub(crate) fn get(
        &self,
        slot: &str,
        credential: &Arc<Credential>,
        scope: &Scope<'_>,
    ) -> SigningKey {
        if let Some(entry) = self.entries.read().get(slot) {
            // A Weak keeps the allocation, so an equal pointer is the same credential.
            if std::ptr::eq(entry.credential.as_ptr(), Arc::as_ptr(credential)) {
                return entry.key.clone();
            }
        }
        let key = SigningKey::derive(credential, scope);
        let entry = Entry {
            credential: Arc::downgrade(credential),
            key: key.clone(),
        };
        let mut entries = self.entries.write();
        if entries.len() >= self.entries_max {
            // Rare: thousands of keys, or a walk through many days. Starting over costs
            // five HMACs per key in use.
            entries.clear();
        }
        entries.insert(slot.into(), entry);
        key
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::Secret;

    fn credential(secret: &str) -> Arc<Credential> {
        Arc::new(Credential {
            principal: "AKIDEXAMPLE".parse().expect("a valid principal"),
            secret: Secret::new(secret.to_owned()),
        })
    }

    #[test]
    fn a_changed_secret_is_never_served_from_the_cache() {
        let keys = SigningKeys::new(2);
        let scope =
            Scope::parse("AKIDEXAMPLE/20130524/us-east-1/s3/aws4_request").expect("a valid scope");
        let (old, new) = (credential("old"), credential("new"));
        let first = keys.get("a", &old, &scope).sign(b"x");
        assert_eq!(keys.get("a", &old, &scope).sign(b"x"), first);
        let second = keys.get("a", &new, &scope).sign(b"x");
        assert_ne!(first, second);
        drop(old);
        assert_eq!(keys.get("a", &new, &scope).sign(b"x"), second);
    }

    #[test]
    fn the_cache_is_bounded() {
        let keys = SigningKeys::new(4);
        let credential = credential("s");
        for day in 10..31 {
            let text = format!("AKIDEXAMPLE/201305{day}/us-east-1/s3/aws4_request");
            keys.get(
                &text,
                &credential,
                &Scope::parse(&text).expect("a valid scope"),
            );
            assert!(keys.entries.read().len() <= 4);
        }
    }

    #[test]
    fn secrets_are_not_printed() {
        assert!(!format!("{:?}", credential("hunter2")).contains("hunter2"));
    }
}

//! Signatures of components: Ed25519 over the component's SHA-256.
//!
//! The message is the 32 bytes of the digest. Keys and signatures are written as lines of
//! hexadecimal digits, so that they can be pasted into a configuration; `FILE.sig` next to a
//! component `FILE` holds its signature.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use serde::{Deserialize, Serialize};

use crate::revision::sha256;

/// Bytes of a signature; as text twice as many.
const SIGNATURE_BYTES: usize = 64;

/// Most bytes of a signature file that are worth reading.
pub const SIGNATURE_FILE_BYTES_MAX: usize = 4096;

/// Why a component's signature is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// Keys are configured, so a signature is needed.
    #[error("the component is not signed, and keys are configured")]
    Missing,
    /// No 128 hexadecimal digits.
    #[error("the signature is not a line of 128 hexadecimal digits")]
    Malformed,
    /// Of another component, or by a key that is not trusted.
    #[error("no trusted key made this signature for this component")]
    Untrusted,
}

/// A key that is not one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a key: wanted 64 hexadecimal digits")]
pub struct KeyError;

/// What verifies signatures.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublicKey([u8; 32]);

/// What makes them. Written as 64 hexadecimal digits, as public keys are.
pub struct SigningKey {
    pair: Ed25519KeyPair,
}

impl SigningKey {
    /// The key of these 32 bytes, which must be random and stay secret.
    pub fn from_seed(seed: &[u8; 32]) -> Result<Self, KeyError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| KeyError)?;
        Ok(Self { pair })
    }

    /// What verifies this key's signatures.
    pub fn public(&self) -> Result<PublicKey, KeyError> {
        let bytes = self.pair.public_key().as_ref();
        bytes.try_into().map(PublicKey).map_err(|_| KeyError)
    }

    /// The signature of a component, as its signature file holds it: one line.
    #[must_use]
    pub fn sign(&self, component: &[u8]) -> String {
        let signature = self.pair.sign(&sha256(component));
        format!("{}\n", hex::encode(signature.as_ref()))
    }
}

impl FromStr for SigningKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        Self::from_seed(&key_bytes(text)?)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(…)")
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        key_bytes(text).map(Self)
    }
}

impl TryFrom<String> for PublicKey {
    type Error = KeyError;

    fn try_from(text: String) -> Result<Self, KeyError> {
        text.parse()
    }
}

impl From<PublicKey> for String {
    fn from(key: PublicKey) -> Self {
        key.to_string()
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

/// Which of `keys` made `signature`, the content of a signature file, for `component`.
pub fn verify(
    component: &[u8],
    signature: &[u8],
    keys: &[PublicKey],
) -> Result<PublicKey, SignatureError> {
    let mut bytes = [0; SIGNATURE_BYTES];
    hex::decode_to_slice(signature.trim_ascii(), &mut bytes)
        .map_err(|_| SignatureError::Malformed)?;
    let digest = sha256(component);
    let made_it = |key: &&PublicKey| {
        let key = UnparsedPublicKey::new(&ED25519, key.0);
        key.verify(&digest, &bytes).is_ok()
    };
    let signer = keys.iter().find(made_it);
    signer.copied().ok_or(SignatureError::Untrusted)
}

/// What must hold where `keys` are trusted: without keys everything is.
pub(crate) fn require(
    component: &[u8],
    signature: Option<&[u8]>,
    keys: &[PublicKey],
) -> Result<(), SignatureError> {
    if keys.is_empty() {
        return Ok(());
    }
    let signature = signature.ok_or(SignatureError::Missing)?;
    verify(component, signature, keys).map(drop)
}

fn key_bytes(text: &str) -> Result<[u8; 32], KeyError> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(text.trim(), &mut bytes).map_err(|_| KeyError)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_seed(&[seed; 32]).expect("32 bytes")
    }

    fn public(seed: u8) -> PublicKey {
        key(seed).public().expect("32 bytes")
    }

    #[test]
    fn only_a_trusted_keys_signature_of_this_component_is_taken() {
        let component = b"a component";
        let signature = key(1).sign(component);
        let signature = signature.as_bytes();
        let mut flipped = signature.to_vec();
        flipped[7] = if flipped[7] == b'0' { b'1' } else { b'0' };
        let trusted = [public(2), public(1)];
        for (component, signature, keys, expected) in [
            (&component[..], Some(signature), &trusted[..], Ok(())),
            (component, Some(signature), &[], Ok(())),
            (component, None, &[], Ok(())),
            (component, None, &trusted, Err(SignatureError::Missing)),
            (
                component,
                Some(signature),
                &trusted[..1],
                Err(SignatureError::Untrusted),
            ),
            (
                b"another",
                Some(signature),
                &trusted,
                Err(SignatureError::Untrusted),
            ),
            (
                component,
                Some(&flipped),
                &trusted,
                Err(SignatureError::Untrusted),
            ),
            (
                component,
                Some(b""),
                &trusted,
                Err(SignatureError::Malformed),
            ),
            (
                component,
                Some(&signature[..127]),
                &trusted,
                Err(SignatureError::Malformed),
            ),
            (
                component,
                Some(&[0; 64]),
                &trusted,
                Err(SignatureError::Malformed),
            ),
        ] {
            assert_eq!(require(component, signature, keys), expected);
        }
        assert_eq!(verify(component, signature, &trusted), Ok(public(1)));
    }

    /// RFC 8032, section 7.1, test 1: the public key of a known seed.
    #[test]
    fn keys_are_those_of_rfc_8032() {
        let secret = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
        let public = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
        let key: SigningKey = secret.parse().expect("64 digits");
        assert_eq!(
            key.public().map(|key| key.to_string()),
            Ok(public.to_owned())
        );
        assert_eq!(format!("{key:?}"), "SigningKey(…)");
        for bad in [
            "",
            "d75a",
            "zz5a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        ] {
            assert_eq!(bad.parse::<PublicKey>(), Err(KeyError));
        }
    }
}

//! The form of a file on a backend: sealed with a key, or plain with a digest.
//!
//! | bytes | what |
//! |---|---|
//! | 8 | the magic `WEIRINS1` |
//! | 1 | 0 plain, 1 AES-256-GCM |
//! | 8 + 12 | if sealed: name of the key, nonce |
//! | … | what is inside, encrypted if sealed |
//! | 16 or 32 | if sealed the tag of AES-GCM, else the SHA-256 of the file's key, of all before |
//!
//! The file's own key on the backend is authenticated with it: a file that lies under another
//! name is refused. Nonces are random; each stream has an AES key of its own, made of the
//! configured one with HMAC-SHA-256, so that a key seals few enough files for random nonces
//! (2^32, by NIST SP 800-38D 8.3) for as long as a stream lasts. The name of a key is the first
//! half of an HMAC of it, and tells nothing about it.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::{digest, hmac};
use weir_types::entropy::Entropy;
use zeroize::Zeroizing;

use crate::name::Place;

const MAGIC: &[u8; 8] = b"WEIRINS1";
const PLAIN: u8 = 0;
const AES_GCM: u8 = 1;
const KEY_BYTES: usize = 32;
const KEY_NAME_BYTES: usize = 8;
const DIGEST_BYTES: usize = 32;
const HEAD_BYTES: usize = MAGIC.len() + 1;

/// The key that files are sealed with.
#[derive(Clone, PartialEq, Eq)]
pub struct Key(Zeroizing<[u8; KEY_BYTES]>);

impl Key {
    /// Reads 64 hexadecimal digits.
    pub fn parse(text: &str) -> Result<Self, InvalidKey> {
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        hex::decode_to_slice(text.trim(), &mut *key).map_err(|_| InvalidKey)?;
        Ok(Self(key))
    }

    /// Tells keys apart, and nothing about them.
    pub fn name(&self) -> KeyName {
        let mac = self.derive(b"weir index insurance: name of the key");
        let mut name = [0; KEY_NAME_BYTES];
        name.copy_from_slice(&mac.as_ref()[..KEY_NAME_BYTES]);
        KeyName(name)
    }

    fn derive(&self, what: &[u8]) -> hmac::Tag {
        hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &*self.0), what)
    }

    fn of_stream(&self, place: &Place) -> LessSafeKey {
        let tag = self.derive(format!("weir index insurance: {}", place.prefix()).as_bytes());
        let key = UnboundKey::new(&AES_256_GCM, tag.as_ref());
        LessSafeKey::new(key.expect("an HMAC-SHA-256 has the length of an AES-256 key"))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.name())
    }
}

/// A text that is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a key is 64 hexadecimal digits, such as `openssl rand -hex 32` prints")]
pub struct InvalidKey;

/// Names a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyName([u8; KEY_NAME_BYTES]);

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// Why a file could not be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// It is none, or was changed, cut, or lies under another's name.
    #[error("it is damaged, or not what its name says")]
    Damaged,
    /// It is sealed with another key.
    #[error("it is sealed with key {0}, which is not the one that is configured")]
    OtherKey(KeyName),
    /// It is sealed and no key is configured.
    #[error("it is sealed with key {0}, and no key is configured")]
    NoKey(KeyName),
    /// It is plain although a key is configured: anybody could have written it.
    #[error("it is not sealed although a key is configured")]
    NotSealed,
}

/// Seals and opens the files of one stream.
pub struct Sealer {
    key: Option<(KeyName, LessSafeKey)>,
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer")
            .field("key", &self.key.as_ref().map(|(name, _)| name))
            .finish()
    }
}

impl Sealer {
    /// For the files of `place`; plain without a key.
    pub fn new(key: Option<&Key>, place: &Place) -> Self {
        let key = key.map(|key| (key.name(), key.of_stream(place)));
        Self { key }
    }

    /// The file that is to lie under `key`, with `inside` in it.
    pub fn seal(&self, key: &str, inside: &[u8], entropy: &dyn Entropy) -> Vec<u8> {
        let mut file = Vec::with_capacity(inside.len() + 64);
        file.extend(MAGIC);
        let Some((name, cipher)) = &self.key else {
            file.push(PLAIN);
            file.extend(inside);
            let digest = digest_of(key, &file);
            file.extend(digest.as_ref());
            return file;
        };
        let mut nonce = [0; NONCE_LEN];
        entropy.fill(&mut nonce);
        file.push(AES_GCM);
        file.extend(name.0);
        file.extend(nonce);
        let mut inside = inside.to_vec();
        let nonce = Nonce::assume_unique_for_key(nonce);
        cipher
            .seal_in_place_append_tag(nonce, Aad::from(key.as_bytes()), &mut inside)
            .expect("a file is far shorter than AES-GCM allows");
        file.extend(inside);
        file
    }

    /// What is inside the file that lay under `key`.
    pub fn open(&self, key: &str, mut file: Vec<u8>) -> Result<Vec<u8>, OpenError> {
        if file.len() < HEAD_BYTES || !file.starts_with(MAGIC) {
            return Err(OpenError::Damaged);
        }
        match (file[MAGIC.len()], &self.key) {
            (PLAIN, None) => {
                let length = file
                    .len()
                    .checked_sub(DIGEST_BYTES)
                    .ok_or(OpenError::Damaged)?;
                let digest = file.split_off(length);
                if file.len() < HEAD_BYTES || digest_of(key, &file).as_ref() != digest {
                    return Err(OpenError::Damaged);
                }
                file.drain(..HEAD_BYTES);
                Ok(file)
            }
            (PLAIN, Some(_)) => Err(OpenError::NotSealed),
            (AES_GCM, ours) => {
                let rest = &file[HEAD_BYTES..];
                let (name, rest) = rest.split_first_chunk().ok_or(OpenError::Damaged)?;
                let (nonce, _) = rest
                    .split_first_chunk::<NONCE_LEN>()
                    .ok_or(OpenError::Damaged)?;
                let name = KeyName(*name);
                let (our_name, cipher) = ours.as_ref().ok_or(OpenError::NoKey(name))?;
                if *our_name != name {
                    return Err(OpenError::OtherKey(name));
                }
                let nonce = Nonce::assume_unique_for_key(*nonce);
                file.drain(..HEAD_BYTES + KEY_NAME_BYTES + NONCE_LEN);
                let inside = cipher
                    .open_in_place(nonce, Aad::from(key.as_bytes()), &mut file)
                    .map_err(|_| OpenError::Damaged)?
                    .len();
                file.truncate(inside);
                Ok(file)
            }
            _ => Err(OpenError::Damaged),
        }
    }
}

fn digest_of(key: &str, file: &[u8]) -> digest::Digest {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(&(key.len() as u64).to_be_bytes());
    context.update(key.as_bytes());
    context.update(file);
    context.finish()
}

#[cfg(test)]
mod tests {
    use weir_index::log::StreamId;
    use weir_types::entropy::SeededEntropy;
    use weir_types::id::SiteId;

    use super::*;

    fn key(digit: char) -> Key {
        Key::parse(&digit.to_string().repeat(64)).expect("a valid key")
    }

    fn sealer(key: Option<&Key>, stream: u8) -> Sealer {
        let place = Place {
            site: SiteId::parse("here").expect("a valid site"),
            epoch: "e".into(),
            stream: StreamId([stream; 16]),
        };
        Sealer::new(key, &place)
    }

    #[test]
    fn only_the_file_that_was_sealed_under_this_name_opens() {
        let entropy = SeededEntropy::new(1);
        for key in [None, Some(key('a'))] {
            let ours = sealer(key.as_ref(), 1);
            for inside in [&b""[..], b"x", &[7; 100_000]] {
                let file = ours.seal("k", inside, &entropy);
                assert_eq!(ours.open("k", file.clone()).as_deref(), Ok(inside));
                assert_eq!(ours.open("j", file.clone()), Err(OpenError::Damaged));
                for at in [0, 8, 9, 17, 30, file.len() / 2, file.len() - 1] {
                    let mut spoilt = file.clone();
                    if let Some(byte) = spoilt.get_mut(at) {
                        *byte ^= 1;
                        assert!(ours.open("k", spoilt).is_err(), "byte {at}");
                    }
                }
                for cut in [0, 1, 8, 9, 20, file.len() - 1] {
                    let cut = file[..cut].to_vec();
                    assert_eq!(ours.open("k", cut), Err(OpenError::Damaged));
                }
            }
        }
    }

    #[test]
    fn another_key_is_named_and_never_shown() {
        let entropy = SeededEntropy::new(2);
        let (a, b) = (key('a'), key('b'));
        let file = sealer(Some(&a), 1).seal("k", b"secret inside", &entropy);
        assert!(!file.windows(6).any(|bytes| bytes == b"secret"));
        let again = sealer(Some(&a), 1).seal("k", b"secret inside", &entropy);
        assert_ne!(file, again, "another nonce");
        let open = |sealer: Sealer| sealer.open("k", file.clone());
        assert_eq!(
            open(sealer(Some(&b), 1)),
            Err(OpenError::OtherKey(a.name()))
        );
        assert_eq!(open(sealer(None, 1)), Err(OpenError::NoKey(a.name())));
        assert_eq!(
            open(sealer(Some(&a), 2)),
            Err(OpenError::Damaged),
            "another stream"
        );
        let plain = sealer(None, 1).seal("k", b"x", &entropy);
        assert_eq!(
            sealer(Some(&a), 1).open("k", plain),
            Err(OpenError::NotSealed)
        );
        assert!(!format!("{a:?} {:?}", sealer(Some(&a), 1)).contains("aaaa"));
        for wrong in ["", "ab", &"g".repeat(64), &"a".repeat(66)] {
            assert_eq!(Key::parse(wrong), Err(InvalidKey));
        }
    }
}

//! Entity tags as S3 answers them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The ETag of a version or part, without its quotes: the MD5 of the bytes in hex, or, for
/// multipart objects, the MD5 over the parts' binary MD5s, a hyphen and the number of parts
/// (AWS, "Checking object integrity"). Imported objects keep whatever tag they had.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ETag(String);

impl ETag {
    /// The tag of bytes that were put whole or of one part.
    pub fn from_md5(md5: [u8; 16]) -> Self {
        Self(hex::encode(md5))
    }

    /// The tag of a multipart object; `md5` is taken over the parts' binary MD5s.
    pub fn from_multipart(md5: [u8; 16], parts: usize) -> Self {
        Self(format!("{}-{parts}", hex::encode(md5)))
    }

    /// Reads a tag as clients send it, with or without quotes.
    pub fn from_client(text: &str) -> Self {
        let text = text.trim();
        let bare = text.strip_prefix('"').and_then(|t| t.strip_suffix('"'));
        Self(bare.unwrap_or(text).to_owned())
    }

    /// The 16 bytes, when this is the plain MD5 of some bytes.
    pub fn as_md5(&self) -> Option<[u8; 16]> {
        let mut md5 = [0; 16];
        hex::decode_to_slice(&self.0, &mut md5).ok()?;
        Some(md5)
    }

    /// The tag without quotes.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ETag {
    /// With the quotes, as it stands in a header or in XML.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0)
    }
}

//! What names a revision.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest::{Context, Digest, SHA256, digest};
use serde::{Deserialize, Serialize};

/// Names a component together with its settings: SHA-256 over the SHA-256 of
/// each. Equal ids decide equally on equal facts.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RevisionId([u8; 32]);

impl RevisionId {
    /// The id of this component with these settings.
    #[must_use]
    pub fn of(component: &[u8], settings: &str) -> Self {
        let mut context = Context::new(&SHA256);
        context.update(&sha256(component));
        context.update(&sha256(settings.as_bytes()));
        Self(bytes_of(&context.finish()))
    }

    /// The 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for RevisionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for RevisionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RevisionId({self})")
    }
}

impl FromStr for RevisionId {
    type Err = hex::FromHexError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut id = [0; 32];
        hex::decode_to_slice(text, &mut id)?;
        Ok(Self(id))
    }
}

impl TryFrom<String> for RevisionId {
    type Error = hex::FromHexError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<RevisionId> for String {
    fn from(id: RevisionId) -> Self {
        id.to_string()
    }
}

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    bytes_of(&digest(&SHA256, bytes))
}

fn bytes_of(digest: &Digest) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest.as_ref());
    bytes
}

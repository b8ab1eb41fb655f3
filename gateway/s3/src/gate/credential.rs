//! Access keys and where they come from.

use std::fmt;
use std::sync::Arc;

use weir_types::id::Principal;
use zeroize::Zeroizing;

/// A secret access key. Wiped from memory when dropped; never printed.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes the text over.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text, for deriving keys only.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(redacted)")
    }
}

/// An access key: who it stands for, and its secret.
#[derive(Debug)]
pub struct Credential {
    /// Who signs with it.
    pub principal: Principal,
    /// The secret access key.
    pub secret: Secret,
}

/// Where credentials are looked up, once per request.
///
/// A store that reloads hands out a new [`Arc`] for every credential it read anew: signing
/// keys derived from the old one are then no longer used.
pub trait CredentialStore: Send + Sync + 'static {
    /// The credential with this access key id, if there is one.
    fn lookup(&self, access_key_id: &str) -> Option<Arc<Credential>>;
}

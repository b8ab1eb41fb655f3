//! Where a new version goes.

use super::facts::{Label, label};

/// What the client does that needs a place for a new version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Operation {
    /// PutObject.
    #[default]
    PutObject,
    /// CopyObject that moves bytes.
    CopyObject,
    /// CreateMultipartUpload: all parts follow this decision.
    CreateMultipartUpload,
    /// A form upload.
    PostObject,
    /// An object that existed before Weir.
    Import,
}

/// The request that is being decided.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// What the client does.
    pub operation: Operation,
    /// Bucket.
    pub bucket: String,
    /// Key.
    pub key: String,
    /// Size of the content; `None` when the client has not said.
    pub size_bytes: Option<u64>,
    /// Content type.
    pub content_type: Option<String>,
    /// `x-amz-storage-class`.
    pub storage_class: Option<String>,
    /// The operator's storage policy that applies.
    pub storage_policy: Option<String>,
    /// Object tags.
    pub tags: Vec<Label>,
    /// `x-amz-meta-…`, names in lowercase without the prefix. Empty unless
    /// the description says [`crate::Description::needing_user_metadata`].
    pub user_metadata: Vec<Label>,
    /// Who asks.
    pub principal: String,
    /// The site at which the client's request arrived.
    pub site: String,
    /// Copies that the configuration asks for.
    pub copies: u32,
    /// Copies that the configuration wants durable before the 200.
    pub ack: u32,
    /// The host's clock, milliseconds since 1970-01-01T00:00:00Z.
    pub now_ms: u64,
    /// Fresh random bits for this decision.
    pub entropy: u64,
}

impl Request {
    /// The value of one of its tags.
    #[must_use]
    pub fn tag(&self, name: &str) -> Option<&str> {
        label(&self.tags, name)
    }

    /// The value of one entry of its user metadata.
    #[must_use]
    pub fn metadata(&self, name: &str) -> Option<&str> {
        label(&self.user_metadata, name)
    }
}

/// A proposal: which backends, best first, how many copies, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placement {
    /// Indices into `facts.backends`, best first, each at most once, at least
    /// one.
    pub candidates: Vec<u32>,
    /// Copies wanted, 1 or more.
    pub copies: u32,
    /// Copies durable before the client gets its 200: from 1 to `copies`.
    pub ack: u32,
    /// Why, in a few words.
    pub reason: String,
}

impl Placement {
    /// These candidates, with the copies and `ack` that the request asks for.
    #[must_use]
    pub fn new(candidates: impl IntoIterator<Item = u32>, request: &Request) -> Self {
        Self {
            candidates: candidates.into_iter().collect(),
            copies: request.copies,
            ack: request.ack,
            reason: String::new(),
        }
    }

    /// The same with another number of copies; `ack` is lowered to it.
    #[must_use]
    pub fn with_copies(mut self, copies: u32) -> Self {
        self.copies = copies.max(1);
        self.ack = self.ack.clamp(1, self.copies);
        self
    }

    /// The same with a reason.
    #[must_use]
    pub fn because(mut self, reason: impl Into<String>) -> Self {
        self.reason = reason.into();
        self
    }
}

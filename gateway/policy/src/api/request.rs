//! What policies are told about a client's request.

use serde::{Deserialize, Serialize};

use super::{BackendState, Subject};

/// What the client does that needs a place for a new version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestFacts<'a> {
    /// What the client does.
    pub operation: Operation,
    /// Bucket.
    pub bucket: &'a str,
    /// Key.
    pub key: &'a str,
    /// Size of the content; `None` when the client has not said.
    pub size_bytes: Option<u64>,
    /// Content type.
    pub content_type: Option<&'a str>,
    /// `x-amz-storage-class`.
    pub storage_class: Option<&'a str>,
    /// The operator's storage policy that applies.
    pub storage_policy: Option<&'a str>,
    /// Object tags, name and value.
    pub tags: &'a [(&'a str, &'a str)],
    /// User metadata, name without its prefix and value. A policy sees it only if it said that
    /// it needs it.
    pub user_metadata: &'a [(&'a str, &'a str)],
    /// Who asks.
    pub principal: &'a str,
    /// The site at which the client's request arrived.
    pub site: &'a str,
    /// Copies that the bucket's configuration asks for.
    pub copies: u32,
    /// Copies that the bucket's configuration wants durable before the 200.
    pub ack: u32,
    /// The caller's clock, milliseconds since 1970-01-01T00:00:00Z.
    pub now_ms: u64,
    /// Fresh random bits.
    pub entropy: u64,
}

impl<'a> RequestFacts<'a> {
    pub(crate) fn subject(
        &self,
        facts_generation: u64,
        backends: &'a [BackendState],
    ) -> Subject<'a> {
        Subject {
            facts_generation,
            backends,
            bucket: self.bucket,
            key: self.key,
            principal: self.principal,
            now_ms: self.now_ms,
        }
    }
}

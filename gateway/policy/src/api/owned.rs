//! A question that can be kept: in a recording, a file of test vectors, a list of differences.

use serde::{Deserialize, Serialize};

use super::{
    BackendState, CopyFacts, DecisionKind, Excluded, Input, ObjectFacts, Occasion, Operation,
    OverflowInput, PlacementInput, ReadFacts, ReplicationInput, RequestFacts, RoutingInput,
};

/// A question with everything it refers to. Whoever writes one by hand may leave out the fields
/// that are at their defaults.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OwnedInput {
    /// Where does a new version go?
    Placement(OwnedPlacement),
    /// Nowhere that placement prefers is room: what now?
    Overflow(OwnedOverflow),
    /// Which copies should this object have now?
    Replication(OwnedReplication),
    /// In which order are the copies tried?
    ReadRouting(OwnedRouting),
}

/// [`PlacementInput`], owned.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OwnedPlacement {
    /// Generation of the facts that `backends` follows.
    pub facts_generation: u64,
    /// The request.
    pub request: OwnedRequest,
    /// The state of every backend.
    pub backends: Vec<BackendState>,
}

/// [`OverflowInput`], owned.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OwnedOverflow {
    /// Generation of the facts that `backends` follows.
    pub facts_generation: u64,
    /// The request.
    pub request: OwnedRequest,
    /// What placement proposed in vain.
    pub excluded: Vec<Excluded>,
    /// The state of every backend.
    pub backends: Vec<BackendState>,
}

/// [`ReplicationInput`], owned.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OwnedReplication {
    /// Generation of the facts that `backends` follows.
    pub facts_generation: u64,
    /// The object.
    pub object: OwnedObject,
    /// The state of every backend.
    pub backends: Vec<BackendState>,
}

/// [`RoutingInput`], owned.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OwnedRouting {
    /// Generation of the facts that `backends` follows.
    pub facts_generation: u64,
    /// The read.
    pub read: OwnedRead,
    /// The state of every backend.
    pub backends: Vec<BackendState>,
}

/// [`RequestFacts`], owned; its fields mean the same.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the fields are those of RequestFacts")]
pub struct OwnedRequest {
    pub operation: Operation,
    pub bucket: String,
    pub key: String,
    pub size_bytes: Option<u64>,
    pub content_type: Option<String>,
    pub storage_class: Option<String>,
    pub storage_policy: Option<String>,
    pub tags: Vec<(String, String)>,
    pub user_metadata: Vec<(String, String)>,
    pub principal: String,
    pub site: String,
    pub copies: u32,
    pub ack: u32,
    pub now_ms: u64,
    pub entropy: u64,
}

/// [`ObjectFacts`], owned; its fields mean the same.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the fields are those of ObjectFacts")]
pub struct OwnedObject {
    pub bucket: String,
    pub key: String,
    pub size_bytes: u64,
    pub content_type: Option<String>,
    pub storage_class: Option<String>,
    pub storage_policy: Option<String>,
    pub tags: Vec<(String, String)>,
    pub user_metadata: Vec<(String, String)>,
    pub created_at_ms: u64,
    pub copies_wanted: u32,
    pub candidates: Vec<u32>,
    pub copies: Vec<CopyFacts>,
    pub occasion: Occasion,
    pub now_ms: u64,
    pub entropy: u64,
}

/// [`ReadFacts`], owned; its fields mean the same.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the fields are those of ReadFacts")]
pub struct OwnedRead {
    pub bucket: String,
    pub key: String,
    pub size_bytes: u64,
    pub length_bytes: u64,
    pub storage_class: Option<String>,
    pub principal: String,
    pub site: String,
    pub copies: Vec<u32>,
    pub now_ms: u64,
    pub entropy: u64,
}

impl OwnedInput {
    /// Which question it is.
    #[must_use]
    pub const fn kind(&self) -> DecisionKind {
        match self {
            Self::Placement(_) => DecisionKind::Placement,
            Self::Overflow(_) => DecisionKind::Overflow,
            Self::Replication(_) => DecisionKind::Replication,
            Self::ReadRouting(_) => DecisionKind::ReadRouting,
        }
    }

    /// Calls `use_it` with the question as the host takes it.
    pub fn borrow<R>(&self, use_it: impl FnOnce(Input<'_>) -> R) -> R {
        match self {
            Self::Placement(owned) => owned.request.borrow(|request| {
                use_it(Input::Placement(PlacementInput {
                    facts_generation: owned.facts_generation,
                    request,
                    backends: &owned.backends,
                }))
            }),
            Self::Overflow(owned) => owned.request.borrow(|request| {
                use_it(Input::Overflow(OverflowInput {
                    facts_generation: owned.facts_generation,
                    request,
                    excluded: &owned.excluded,
                    backends: &owned.backends,
                }))
            }),
            Self::Replication(owned) => owned.object.borrow(|object| {
                use_it(Input::Replication(ReplicationInput {
                    facts_generation: owned.facts_generation,
                    object,
                    backends: &owned.backends,
                }))
            }),
            Self::ReadRouting(owned) => use_it(Input::ReadRouting(RoutingInput {
                facts_generation: owned.facts_generation,
                read: owned.read.facts(),
                backends: &owned.backends,
            })),
        }
    }

    /// Names the generation of the facts that it is to be asked with: a recording of another
    /// gateway's may carry another.
    pub fn set_facts_generation(&mut self, generation: u64) {
        match self {
            Self::Placement(owned) => owned.facts_generation = generation,
            Self::Overflow(owned) => owned.facts_generation = generation,
            Self::Replication(owned) => owned.facts_generation = generation,
            Self::ReadRouting(owned) => owned.facts_generation = generation,
        }
    }
}

impl From<&Input<'_>> for OwnedInput {
    fn from(input: &Input<'_>) -> Self {
        match input {
            Input::Placement(input) => Self::Placement(OwnedPlacement {
                facts_generation: input.facts_generation,
                request: OwnedRequest::of(&input.request),
                backends: input.backends.to_vec(),
            }),
            Input::Overflow(input) => Self::Overflow(OwnedOverflow {
                facts_generation: input.facts_generation,
                request: OwnedRequest::of(&input.request),
                excluded: input.excluded.to_vec(),
                backends: input.backends.to_vec(),
            }),
            Input::Replication(input) => Self::Replication(OwnedReplication {
                facts_generation: input.facts_generation,
                object: OwnedObject::of(&input.object),
                backends: input.backends.to_vec(),
            }),
            Input::ReadRouting(input) => Self::ReadRouting(OwnedRouting {
                facts_generation: input.facts_generation,
                read: OwnedRead::of(&input.read),
                backends: input.backends.to_vec(),
            }),
        }
    }
}

impl OwnedRequest {
    fn of(facts: &RequestFacts<'_>) -> Self {
        Self {
            operation: facts.operation,
            bucket: facts.bucket.to_owned(),
            key: facts.key.to_owned(),
            size_bytes: facts.size_bytes,
            content_type: facts.content_type.map(str::to_owned),
            storage_class: facts.storage_class.map(str::to_owned),
            storage_policy: facts.storage_policy.map(str::to_owned),
            tags: owned(facts.tags),
            user_metadata: owned(facts.user_metadata),
            principal: facts.principal.to_owned(),
            site: facts.site.to_owned(),
            copies: facts.copies,
            ack: facts.ack,
            now_ms: facts.now_ms,
            entropy: facts.entropy,
        }
    }

    fn borrow<R>(&self, use_it: impl FnOnce(RequestFacts<'_>) -> R) -> R {
        use_it(RequestFacts {
            operation: self.operation,
            bucket: &self.bucket,
            key: &self.key,
            size_bytes: self.size_bytes,
            content_type: self.content_type.as_deref(),
            storage_class: self.storage_class.as_deref(),
            storage_policy: self.storage_policy.as_deref(),
            tags: &borrowed(&self.tags),
            user_metadata: &borrowed(&self.user_metadata),
            principal: &self.principal,
            site: &self.site,
            copies: self.copies,
            ack: self.ack,
            now_ms: self.now_ms,
            entropy: self.entropy,
        })
    }
}

impl OwnedObject {
    fn of(facts: &ObjectFacts<'_>) -> Self {
        Self {
            bucket: facts.bucket.to_owned(),
            key: facts.key.to_owned(),
            size_bytes: facts.size_bytes,
            content_type: facts.content_type.map(str::to_owned),
            storage_class: facts.storage_class.map(str::to_owned),
            storage_policy: facts.storage_policy.map(str::to_owned),
            tags: owned(facts.tags),
            user_metadata: owned(facts.user_metadata),
            created_at_ms: facts.created_at_ms,
            copies_wanted: facts.copies_wanted,
            candidates: facts.candidates.to_vec(),
            copies: facts.copies.to_vec(),
            occasion: facts.occasion,
            now_ms: facts.now_ms,
            entropy: facts.entropy,
        }
    }

    fn borrow<R>(&self, use_it: impl FnOnce(ObjectFacts<'_>) -> R) -> R {
        use_it(ObjectFacts {
            bucket: &self.bucket,
            key: &self.key,
            size_bytes: self.size_bytes,
            content_type: self.content_type.as_deref(),
            storage_class: self.storage_class.as_deref(),
            storage_policy: self.storage_policy.as_deref(),
            tags: &borrowed(&self.tags),
            user_metadata: &borrowed(&self.user_metadata),
            created_at_ms: self.created_at_ms,
            copies_wanted: self.copies_wanted,
            candidates: &self.candidates,
            copies: &self.copies,
            occasion: self.occasion,
            now_ms: self.now_ms,
            entropy: self.entropy,
        })
    }
}

impl OwnedRead {
    fn of(facts: &ReadFacts<'_>) -> Self {
        Self {
            bucket: facts.bucket.to_owned(),
            key: facts.key.to_owned(),
            size_bytes: facts.size_bytes,
            length_bytes: facts.length_bytes,
            storage_class: facts.storage_class.map(str::to_owned),
            principal: facts.principal.to_owned(),
            site: facts.site.to_owned(),
            copies: facts.copies.to_vec(),
            now_ms: facts.now_ms,
            entropy: facts.entropy,
        }
    }

    fn facts(&self) -> ReadFacts<'_> {
        ReadFacts {
            bucket: &self.bucket,
            key: &self.key,
            size_bytes: self.size_bytes,
            length_bytes: self.length_bytes,
            storage_class: self.storage_class.as_deref(),
            principal: &self.principal,
            site: &self.site,
            copies: &self.copies,
            now_ms: self.now_ms,
            entropy: self.entropy,
        }
    }
}

fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    pairs.iter().map(owned).collect()
}

fn borrowed(pairs: &[(String, String)]) -> Vec<(&str, &str)> {
    let borrowed = |(name, value)| (String::as_str(name), String::as_str(value));
    pairs
        .iter()
        .map(|pair| borrowed((&pair.0, &pair.1)))
        .collect()
}

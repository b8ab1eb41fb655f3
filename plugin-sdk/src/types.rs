//! The data a policy sees and answers with. The fields are those of the WIT
//! package in `wit/`, which says what each means.

/// One name with its value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Label {
    /// Name, unique within its list.
    pub name: String,
    /// Value.
    pub value: String,
}

/// What a backend charges, in millionths of the operator's currency unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// For one GB (10^9 bytes) kept for a month.
    pub storage_gb_month_micros: u64,
    /// For one GB (10^9 bytes) read out.
    pub egress_gb_micros: u64,
    /// For a thousand writing requests.
    pub write_thousand_micros: u64,
    /// For a thousand reading requests.
    pub read_thousand_micros: u64,
}

/// What does not change about a backend while an instance lives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BackendFacts {
    /// The operator's name for it.
    pub id: String,
    /// Region.
    pub region: Option<String>,
    /// Provider.
    pub provider: Option<String>,
    /// Backends that share it are expected to fail together.
    pub failure_domain: Option<String>,
    /// Where the law says the bytes lie.
    pub residency: Option<String>,
    /// Free labels.
    pub labels: Vec<Label>,
    /// What it can hold; `None` when unknown or unlimited.
    pub capacity_bytes: Option<u64>,
    /// Prices.
    pub cost: Cost,
}

/// What does not change about the gateway's own site.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SiteFacts {
    /// The site's name.
    pub id: String,
    /// Region.
    pub region: Option<String>,
    /// Free labels.
    pub labels: Vec<Label>,
}

/// Everything static, passed once to `configure`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The gateway's own site.
    pub site: SiteFacts,
    /// The backends. A decision names them by their index here.
    pub backends: Vec<BackendFacts>,
}

impl Facts {
    /// The index of the backend with this id.
    #[must_use]
    pub fn index_of(&self, id: &str) -> Option<u32> {
        let at = self.backends.iter().position(|backend| backend.id == id)?;
        u32::try_from(at).ok()
    }
}

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
    /// Object tags.
    pub tags: Vec<Label>,
    /// Who asks.
    pub principal: String,
    /// The site at which the client's request arrived.
    pub site: String,
    /// Copies that the bucket's configuration asks for.
    pub copies: u32,
    /// Copies that the bucket's configuration wants durable before the 200.
    pub ack: u32,
    /// The host's clock, milliseconds since 1970-01-01T00:00:00Z.
    pub now_ms: u64,
    /// Fresh random bits for this decision.
    pub entropy: u64,
}

/// What the host's checks and breakers think of a backend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Health {
    /// Works.
    #[default]
    Healthy,
    /// Slow or failing now and then.
    Degraded,
    /// Does not answer.
    Down,
}

/// One backend at the moment of the call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BackendState {
    /// Bytes stored.
    pub used_bytes: u64,
    /// Promised to writes in flight, not in `used_bytes` yet.
    pub reserved_bytes: u64,
    /// The quota or capacity that the host enforces; `None` when unlimited.
    pub limit_bytes: Option<u64>,
    /// Health.
    pub health: Health,
    /// False while drained, read-only or full: the host will not write there.
    pub writable: bool,
    /// Moving estimate of the time to the first byte; 0 when unknown.
    pub latency_us: u32,
    /// Moving estimate of failed calls per thousand.
    pub errors_permille: u32,
    /// Slots in use.
    pub slots_used: u32,
    /// Slots there are.
    pub slots_max: u32,
    /// Copies still to be written there.
    pub copies_pending: u32,
}

impl BackendState {
    /// Whether a write has a chance there now.
    #[must_use]
    pub fn usable(&self) -> bool {
        self.writable && self.health != Health::Down
    }

    /// Thousandths of `limit_bytes` in use once `extra_bytes` more are
    /// stored, reservations included, rounded down. 1000 and above is full;
    /// a limit of 0 is full.
    #[must_use]
    pub fn fill_permille(&self, extra_bytes: u64, limit_bytes: u64) -> u64 {
        if limit_bytes == 0 {
            return 1000;
        }
        let used = [self.used_bytes, self.reserved_bytes, extra_bytes];
        let thousandfold = used
            .iter()
            .try_fold(0_u64, |sum, bytes| sum.checked_add(*bytes));
        match thousandfold.and_then(|sum| sum.checked_mul(1000)) {
            Some(thousandfold) => thousandfold / limit_bytes,
            // Above 18 PB. Division of 128 bits is slow in Wasm.
            None => {
                let used: u128 = used.iter().map(|bytes| u128::from(*bytes)).sum();
                u64::try_from(used * 1000 / u128::from(limit_bytes)).unwrap_or(u64::MAX)
            }
        }
    }
}

/// A proposal: which backends, best first, how many copies, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// Indices into `facts.backends`, best first, each at most once.
    pub candidates: Vec<u32>,
    /// Copies wanted.
    pub copies: u32,
    /// Copies durable before the client gets its 200.
    pub ack: u32,
    /// Why, in a few words.
    pub reason: String,
}

impl Decision {
    /// These candidates, with the copies and `ack` that the bucket asks for.
    #[must_use]
    pub fn new(candidates: impl IntoIterator<Item = u32>, request: &Request) -> Self {
        Self {
            candidates: candidates.into_iter().collect(),
            copies: request.copies,
            ack: request.ack,
            reason: String::new(),
        }
    }

    /// The same with a reason.
    #[must_use]
    pub fn because(mut self, reason: impl Into<String>) -> Self {
        self.reason = reason.into();
        self
    }
}

/// Who a policy is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Description {
    /// Name, as in `pack`.
    pub name: String,
    /// Version, as in `1.2.0`.
    pub version: String,
    /// One sentence.
    pub summary: String,
    /// A JSON Schema for the settings; empty when there are none.
    pub settings_schema: String,
}

impl Description {
    /// A policy without settings.
    #[must_use]
    pub fn new(name: &str, version: &str, summary: &str) -> Self {
        Self {
            name: name.to_owned(),
            version: version.to_owned(),
            summary: summary.to_owned(),
            settings_schema: String::new(),
        }
    }

    /// The same with a JSON Schema for its settings.
    #[must_use]
    pub fn with_schema(mut self, schema: &str) -> Self {
        schema.clone_into(&mut self.settings_schema);
        self
    }
}

/// One mistake in the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// Where: a JSON Pointer into the settings, empty for the whole.
    pub path: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl ConfigError {
    /// A mistake at `path`.
    #[must_use]
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            message: message.into(),
        }
    }
}

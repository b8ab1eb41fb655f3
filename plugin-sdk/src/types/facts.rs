//! What does not change while an instance lives.

/// One name with its value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Label {
    /// Name, unique within its list.
    pub name: String,
    /// Value.
    pub value: String,
}

impl Label {
    /// A label.
    #[must_use]
    pub fn new(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            value: value.into(),
        }
    }
}

/// The value of the label `name` in a list of labels, tags or metadata.
#[must_use]
pub fn label<'a>(labels: &'a [Label], name: &str) -> Option<&'a str> {
    let found = labels.iter().find(|label| label.name == name)?;
    Some(&found.value)
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

/// What may be used of a backend; `None` where there is no limit. The host
/// enforces them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Bytes stored.
    pub bytes: Option<u64>,
    /// Objects stored.
    pub objects: Option<u64>,
    /// Writing requests in a calendar month.
    pub month_writes: Option<u64>,
    /// Reading requests in a calendar month.
    pub month_reads: Option<u64>,
    /// Bytes sent to it in a calendar month.
    pub month_ingress_bytes: Option<u64>,
    /// Bytes read out of it in a calendar month.
    pub month_egress_bytes: Option<u64>,
}

/// What does not change about a backend.
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
    /// What may be used of it.
    pub limits: Limits,
    /// Prices.
    pub cost: Cost,
    /// What is kept for a shorter time is charged for this many days.
    pub retention_days_min: u32,
}

impl BackendFacts {
    /// The value of one of its labels.
    #[must_use]
    pub fn label(&self, name: &str) -> Option<&str> {
        label(&self.labels, name)
    }

    /// What fails together with it: its failure domain, or itself.
    #[must_use]
    pub fn domain(&self) -> &str {
        self.failure_domain.as_deref().unwrap_or(&self.id)
    }
}

/// What does not change about a site.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SiteFacts {
    /// The site's name.
    pub id: String,
    /// Region.
    pub region: Option<String>,
    /// Free labels.
    pub labels: Vec<Label>,
}

/// Everything static, passed once to [`crate::Policy::configure`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The gateway's own site.
    pub site: SiteFacts,
    /// The other sites it knows.
    pub peers: Vec<SiteFacts>,
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

    /// The indices of all backends, in their order.
    #[must_use]
    pub fn indices(&self) -> std::ops::Range<u32> {
        0..u32::try_from(self.backends.len()).unwrap_or(u32::MAX)
    }
}

//! What policies are told once.

use serde::{Deserialize, Serialize};

/// What a backend charges, in millionths of the operator's currency unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
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

/// What may be used of a backend; `None` where there is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct UsageLimits {
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

/// What does not change about a backend while a revision is loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
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
    /// Free labels, name and value.
    pub labels: Vec<(String, String)>,
    /// What may be used of it.
    pub limits: UsageLimits,
    /// Prices.
    pub cost: Cost,
    /// What is kept for a shorter time is charged for this many days.
    pub retention_days_min: u32,
}

/// What does not change about a site.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SiteFacts {
    /// The site's name.
    pub id: String,
    /// Region.
    pub region: Option<String>,
    /// Free labels, name and value.
    pub labels: Vec<(String, String)>,
}

/// Everything static. A policy gets it once, when it is configured.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StaticFacts {
    /// Changes whenever `backends` does. An input of another generation is
    /// never shown to a policy, because indices would name other backends.
    pub generation: u64,
    /// The gateway's own site.
    pub site: SiteFacts,
    /// The other sites it knows.
    pub peers: Vec<SiteFacts>,
    /// The backends. Everything later names them by their index here.
    pub backends: Vec<BackendFacts>,
}

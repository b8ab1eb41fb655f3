//! What policies are told about a backend with every question.

use serde::{Deserialize, Serialize};

/// What the caller's checks and breakers think of a backend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Health {
    /// Works.
    #[default]
    Healthy,
    /// Slow or failing now and then.
    Degraded,
    /// Does not answer.
    Down,
}

/// What was used of a backend since the calendar month began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MonthUsage {
    /// Writing requests.
    pub writes: u64,
    /// Reading requests.
    pub reads: u64,
    /// Bytes sent to it.
    pub ingress_bytes: u64,
    /// Bytes read out of it.
    pub egress_bytes: u64,
}

/// One backend at the moment of the call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BackendState {
    /// Bytes stored.
    pub used_bytes: u64,
    /// Promised to writes in flight, not in `used_bytes` yet.
    pub reserved_bytes: u64,
    /// The quota or capacity in force; `None` when unlimited.
    pub limit_bytes: Option<u64>,
    /// Objects stored.
    pub objects: u64,
    /// What was used of it since the calendar month began.
    pub month: MonthUsage,
    /// Health.
    pub health: Health,
    /// False while drained, read-only or full.
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

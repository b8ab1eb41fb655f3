//! What a policy is told about a backend with every question.

/// What the host's checks and breakers think of a backend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BackendState {
    /// Bytes stored.
    pub used_bytes: u64,
    /// Promised to writes in flight, not in `used_bytes` yet.
    pub reserved_bytes: u64,
    /// The quota or capacity that the host enforces; `None` when unlimited.
    pub limit_bytes: Option<u64>,
    /// Objects stored.
    pub objects: u64,
    /// What was used of it since the calendar month began.
    pub month: MonthUsage,
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
    /// Copies still to be written there by the replicator.
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

    /// [`BackendState::fill_permille`] of the limit in force; 0 without one.
    #[must_use]
    pub fn filled_permille(&self, extra_bytes: u64) -> u64 {
        self.limit_bytes
            .map_or(0, |limit| self.fill_permille(extra_bytes, limit))
    }
}

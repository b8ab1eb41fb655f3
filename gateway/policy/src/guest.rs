//! The host's side of one instance: its limits, and the two functions that a
//! policy may call.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use wasmtime::ResourceLimiter;

use crate::bindings::{v0_1_0, v0_2_0};
use crate::limits::Limits;
use crate::metrics::Counters;
use crate::revision::RevisionId;
use crate::text::printable;

/// What the instances of one revision share.
pub(crate) struct GuestShared {
    pub(crate) binding: String,
    pub(crate) revision: RevisionId,
    pub(crate) counters: Arc<Counters>,
    log_second: AtomicU64,
    log_lines: AtomicU32,
}

impl GuestShared {
    pub(crate) fn new(binding: &str, revision: RevisionId, counters: Arc<Counters>) -> Self {
        Self {
            binding: binding.to_owned(),
            revision,
            counters,
            log_second: AtomicU64::new(0),
            log_lines: AtomicU32::new(0),
        }
    }

    /// Whether one more line fits into the second of `now_ms`. Two threads at
    /// the edge of a second may let a line more through.
    fn log_admits(&self, now_ms: u64, lines_max: u32) -> bool {
        let second = now_ms / 1000;
        // One that is late counts towards the newest second.
        if self.log_second.fetch_max(second, Relaxed) < second {
            self.log_lines.store(0, Relaxed);
        }
        self.log_lines.fetch_add(1, Relaxed) < lines_max
    }
}

/// The state of one instance's store.
pub(crate) struct GuestState {
    shared: Arc<GuestShared>,
    limits: GuestLimits,
    /// The caller's clock at this call.
    now_ms: u64,
    /// Whether this call is made to compare: it leaves no log lines and counts nothing.
    quiet: bool,
    host_calls: u32,
    log_lines: u32,
    memory_bytes: usize,
}

struct GuestLimits {
    memory_bytes_max: usize,
    table_elements_max: usize,
    host_calls_max: u32,
    log_line_bytes_max: usize,
    log_lines_per_call_max: u32,
    log_lines_per_second_max: u32,
    counters_max: usize,
}

/// A guest wanted more memory or table than it may have.
#[derive(Debug, thiserror::Error)]
#[error("wanted {wanted} {unit}, the limit is {limit}")]
pub(crate) struct OverMemory {
    wanted: usize,
    limit: usize,
    unit: &'static str,
}

/// A guest called the host too often.
#[derive(Debug, thiserror::Error)]
#[error("more than {0} calls to the host")]
pub(crate) struct OverHostCalls(u32);

impl GuestState {
    pub(crate) fn new(shared: Arc<GuestShared>, limits: &Limits) -> Self {
        let limits = GuestLimits {
            memory_bytes_max: limits.memory_bytes_max,
            table_elements_max: limits.table_elements_max,
            host_calls_max: limits.host_calls_max,
            log_line_bytes_max: limits.log_line_bytes_max,
            log_lines_per_call_max: limits.log_lines_per_call_max,
            log_lines_per_second_max: limits.log_lines_per_second_max,
            counters_max: limits.counters_max,
        };
        Self {
            shared,
            limits,
            now_ms: 0,
            quiet: false,
            host_calls: 0,
            log_lines: 0,
            memory_bytes: 0,
        }
    }

    /// Starts the next call of the guest.
    pub(crate) fn begin(&mut self, now_ms: u64, quiet: bool) {
        self.now_ms = now_ms;
        self.quiet = quiet;
        self.host_calls = 0;
        self.log_lines = 0;
    }

    fn host_call(&mut self) -> Result<(), OverHostCalls> {
        self.host_calls += 1;
        if self.host_calls > self.limits.host_calls_max {
            return Err(OverHostCalls(self.limits.host_calls_max));
        }
        Ok(())
    }
}

impl GuestState {
    fn log(&mut self, level: Level, message: &str) -> wasmtime::Result<()> {
        self.host_call()?;
        if self.quiet {
            return Ok(());
        }
        self.log_lines += 1;
        let GuestShared {
            binding,
            revision,
            counters,
            ..
        } = &*self.shared;
        if self.log_lines > self.limits.log_lines_per_call_max
            || !self
                .shared
                .log_admits(self.now_ms, self.limits.log_lines_per_second_max)
        {
            counters.log_dropped.fetch_add(1, Relaxed);
            return Ok(());
        }
        counters.log_lines.fetch_add(1, Relaxed);
        let text = printable(message, self.limits.log_line_bytes_max);
        match level {
            Level::Debug => tracing::debug!(target: "weir::policy", binding, %revision, "{text}"),
            Level::Info => tracing::info!(target: "weir::policy", binding, %revision, "{text}"),
            Level::Warn => tracing::warn!(target: "weir::policy", binding, %revision, "{text}"),
            Level::Error => tracing::error!(target: "weir::policy", binding, %revision, "{text}"),
        }
        Ok(())
    }

    fn count(&mut self, name: String, delta: u64) -> wasmtime::Result<()> {
        self.host_call()?;
        if !self.quiet && counter_name(&name) {
            self.shared
                .counters
                .count_for_guest(name, delta, self.limits.counters_max);
        }
        Ok(())
    }

    /// Memory that the instance has now.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.memory_bytes
    }
}

enum Level {
    Debug,
    Info,
    Warn,
    Error,
}

/// Serves the functions of one WIT version. They are the same in all so far.
macro_rules! serve {
    ($version:ident) => {
        impl $version::weir::policy::host::Host for GuestState {
            fn log(
                &mut self,
                level: $version::weir::policy::host::Level,
                message: String,
            ) -> wasmtime::Result<()> {
                use $version::weir::policy::host::Level as Given;
                let level = match level {
                    Given::Debug => Level::Debug,
                    Given::Info => Level::Info,
                    Given::Warn => Level::Warn,
                    Given::Error => Level::Error,
                };
                Self::log(self, level, &message)
            }

            fn count(&mut self, name: String, delta: u64) -> wasmtime::Result<()> {
                Self::count(self, name, delta)
            }
        }

        impl $version::weir::policy::types::Host for GuestState {}
    };
}

serve!(v0_1_0);
serve!(v0_2_0);

/// `[a-z][a-z0-9_]{0,62}`.
fn counter_name(name: &str) -> bool {
    name.len() <= 63
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

impl ResourceLimiter for GuestState {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let limit = self.limits.memory_bytes_max;
        // Over all memories of the instance.
        let wanted = self
            .memory_bytes
            .saturating_add(desired.saturating_sub(current));
        if wanted > limit {
            return Err(OverMemory {
                wanted,
                limit,
                unit: "bytes of memory",
            }
            .into());
        }
        self.memory_bytes = wanted;
        Ok(true)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let limit = self.limits.table_elements_max;
        if desired > limit {
            return Err(OverMemory {
                wanted: desired,
                limit,
                unit: "table entries",
            }
            .into());
        }
        Ok(true)
    }

    fn instances(&self) -> usize {
        64
    }

    fn tables(&self) -> usize {
        64
    }

    fn memories(&self) -> usize {
        16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counter_names() {
        for (name, good) in [
            ("placed", true),
            ("a_1", true),
            ("", false),
            ("1a", false),
            ("A", false),
            ("a b", false),
            ("a\n", false),
            (&"a".repeat(63), true),
            (&"a".repeat(64), false),
        ] {
            assert_eq!(counter_name(name), good, "{name:?}");
        }
    }

    #[test]
    fn log_rate_is_per_second_of_the_callers_clock() {
        let counters = Arc::new(Counters::default());
        let shared = GuestShared::new("b", RevisionId::default(), counters);
        let admitted = |now_ms| (0..10).filter(|_| shared.log_admits(now_ms, 4)).count();
        assert_eq!(admitted(5000), 4);
        assert_eq!(admitted(5999), 0);
        assert_eq!(admitted(6000), 4);
        assert_eq!(admitted(5999), 0);
        assert_eq!(admitted(6001), 0);
    }
}

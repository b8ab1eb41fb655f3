//! Every limit of the host.

use std::time::Duration;

/// Where the memory of instances comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allocation {
    /// Mapped when an instance is made. No limit on their number.
    OnDemand,
    /// From a pool with room for this many instances, mapped at the start.
    /// Faster where every call gets an instance of its own; a full pool is a
    /// fault of kind `instantiate`, never a wait.
    Pooling {
        /// Instances at one time, over all revisions.
        instances_max: u32,
    },
}

/// The limits on components, calls and output. The defaults suit compiled
/// policies and interpreters.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Size of a component.
    pub component_bytes_max: usize,
    /// Size of a settings document.
    pub settings_bytes_max: usize,
    /// Fuel (about one unit per Wasm instruction) of one decision, beside the next.
    pub call_fuel_max: u64,
    /// Fuel that a decision gets in addition for each backend: what an interpreter needs to
    /// take in a backend's state, with room to spare.
    pub call_fuel_per_backend_max: u64,
    /// Fuel of `describe` and of `configure`, which a fresh instance runs on
    /// the request path now and then.
    pub configure_fuel_max: u64,
    /// Backstop in wall time of one decision, for threads that the system put
    /// aside. Rounded up to whole ticks of [`Limits::EPOCH_TICK`].
    pub call_time_max: Duration,
    /// The same for `describe` and `configure`.
    pub configure_time_max: Duration,
    /// Linear memory of one instance.
    pub memory_bytes_max: usize,
    /// Entries in the tables of one instance.
    pub table_elements_max: usize,
    /// Native stack that a guest may use.
    pub stack_bytes_max: usize,
    /// What one call from or answer of a guest may carry to the host, in
    /// bytes as lifted (Wasmtime's hostcall fuel).
    pub guest_output_bytes_max: usize,
    /// Host functions that a guest may call in one call of its own.
    pub host_calls_max: u32,
    /// Copies that an answer may want.
    pub copies_max: u32,
    /// Length of a reason; longer ones are cut.
    pub reason_bytes_max: usize,
    /// Length of a log line; longer ones are cut.
    pub log_line_bytes_max: usize,
    /// Log lines of one call; the rest are dropped and counted.
    pub log_lines_per_call_max: u32,
    /// Log lines of one revision in one second of the caller's clock.
    pub log_lines_per_second_max: u32,
    /// Counter names of one binding.
    pub counters_max: usize,
    /// Calls after which an instance is replaced.
    pub calls_per_instance_max: u32,
    /// Every so many calls one is repeated on a fresh instance, which must
    /// agree; 0 never.
    pub determinism_check_every: u32,
    /// Instances kept per revision: about one per thread that decides.
    pub instances_per_revision: usize,
    /// Revisions kept per binding, beside the active and the previous one.
    pub revisions_waiting_max: usize,
    /// Decisions that wait to be compared with a shadow's; more are not compared.
    pub shadow_queue_max: usize,
    /// Differences of a binding's shadow that are kept, the latest ones.
    pub differences_kept_max: usize,
    /// Distinct keys that must have failed before quarantine.
    pub quarantine_keys_min: usize,
    /// First time in quarantine; doubles each time up to the next limit.
    pub quarantine_ms_min: u64,
    /// Longest time in quarantine before the next probe.
    pub quarantine_ms_max: u64,
    /// Memory of instances.
    pub allocation: Allocation,
}

impl Limits {
    /// How often the epoch advances.
    pub const EPOCH_TICK: Duration = Duration::from_millis(10);

    /// Fuel of one decision among this many backends.
    #[must_use]
    pub fn call_fuel(&self, backends: usize) -> u64 {
        let backends = u64::try_from(backends).unwrap_or(u64::MAX);
        let in_addition = self.call_fuel_per_backend_max.saturating_mul(backends);
        self.call_fuel_max.saturating_add(in_addition)
    }

    /// Ticks after which at least `span` has gone by.
    pub(crate) fn ticks(span: Duration) -> u64 {
        let ticks = span.as_millis().div_ceil(Self::EPOCH_TICK.as_millis());
        u64::try_from(ticks).unwrap_or(u64::MAX - 1) + 1
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            component_bytes_max: 32 << 20,
            settings_bytes_max: 64 << 10,
            call_fuel_max: 5_000_000,
            call_fuel_per_backend_max: 400_000,
            configure_fuel_max: 50_000_000,
            call_time_max: Duration::from_millis(80),
            configure_time_max: Duration::from_millis(500),
            memory_bytes_max: 64 << 20,
            table_elements_max: 100_000,
            stack_bytes_max: 256 << 10,
            guest_output_bytes_max: 64 << 10,
            host_calls_max: 256,
            copies_max: 16,
            reason_bytes_max: 256,
            log_line_bytes_max: 1024,
            log_lines_per_call_max: 8,
            log_lines_per_second_max: 100,
            counters_max: 32,
            calls_per_instance_max: 10_000,
            determinism_check_every: 1000,
            instances_per_revision: std::thread::available_parallelism()
                .map_or(8, |threads| threads.get() * 2),
            revisions_waiting_max: 4,
            shadow_queue_max: 1024,
            differences_kept_max: 64,
            quarantine_keys_min: 8,
            quarantine_ms_min: 1000,
            quarantine_ms_max: 300_000,
            allocation: Allocation::OnDemand,
        }
    }
}

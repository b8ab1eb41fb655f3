//! Prometheus metrics. Names follow Prometheus usage; `docs/metrics.md` is made from the same
//! table.

mod resolved;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use prometheus::{
    Encoder, HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry, TextEncoder,
};
use weir_backend::MeterSnapshot;
use weir_core::observe::{
    AccessRecord, BackendCall, Clamped, Observer, OperationClass, Overflow, Scrubbed, WorkOutcome,
};
use weir_core::replicate::ScrubStatus;
use weir_policy::{BindingMetrics, BindingStatus, MetricsSnapshot, RevisionId};
use weir_types::backend::BackendErrorKind;
use weir_types::id::BackendId;
use weir_types::record::LedgerRecord;

use crate::access_log;
use crate::listen::Counts;
use crate::recording::Recorded;
use crate::scrub::coverage_permille;
use resolved::{CallLabels, Calls, RequestLabels, Requests, Resolved};

/// Seconds: from a metadata answer on a local disk to a large object over a slow line.
const BUCKETS: &[f64] = &[
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
    60.0, 300.0,
];

macro_rules! metrics {
    ($($field:ident: $kind:ident $name:literal [$($label:literal),*] $help:literal;)*) => {
        /// Every metric.
        pub struct Metrics {
            registry: Registry,
            /// One scrape at a time: some counters are set anew for each.
            scraping: Mutex<()>,
            requests_resolved: Resolved<RequestLabels, Requests>,
            calls_resolved: Resolved<CallLabels, Calls>,
            $($field: metric_type!($kind),)*
        }

        /// Name, kind, labels and meaning of every metric.
        pub const TABLE: &[(&str, &str, &[&str], &str)] =
            &[$(($name, stringify!($kind), &[$($label),*], $help),)*];

        impl Metrics {
            /// All metrics, at zero. Fails only when two have one name.
            pub fn new() -> Result<Self, prometheus::Error> {
                let registry = Registry::new();
                $(
                    let $field = new_metric!($kind, $name, $help, &[$($label),*])?;
                    registry.register(Box::new($field.clone()))?;
                )*
                Ok(Self {
                    registry,
                    scraping: Mutex::new(()),
                    requests_resolved: Resolved::default(),
                    calls_resolved: Resolved::default(),
                    $($field,)*
                })
            }
        }
    };
}

macro_rules! metric_type {
    (counter) => {
        IntCounterVec
    };
    (gauge) => {
        IntGaugeVec
    };
    (histogram) => {
        HistogramVec
    };
}

macro_rules! new_metric {
    (counter, $name:literal, $help:literal, $labels:expr) => {
        IntCounterVec::new(Opts::new($name, $help), $labels)
    };
    (gauge, $name:literal, $help:literal, $labels:expr) => {
        IntGaugeVec::new(Opts::new($name, $help), $labels)
    };
    (histogram, $name:literal, $help:literal, $labels:expr) => {
        HistogramVec::new(
            HistogramOpts::new($name, $help).buckets(BUCKETS.to_vec()),
            $labels,
        )
    };
}

metrics! {
    requests: counter "weir_requests_total" ["operation", "status"]
        "Requests answered, by S3 operation (`unknown` when refused before that was known) and HTTP status.";
    request_errors: counter "weir_request_errors_total" ["operation", "code"]
        "Requests answered with an error, by S3 error code.";
    requests_cut: counter "weir_requests_cut_total" ["operation"]
        "Answers that were not sent to their end.";
    request_bytes: counter "weir_request_bytes_total" ["direction"]
        "Payload bytes: `in` of request bodies, `out` of answers.";
    request_seconds: histogram "weir_request_seconds" ["operation"]
        "Time from a request's header section to the last byte of its answer.";
    request_head_seconds: histogram "weir_request_head_seconds" ["operation"]
        "Time from a request's header section to the head of its answer.";
    backend_calls: counter "weir_backend_calls_total" ["backend", "operation", "outcome"]
        "Calls to backends; the outcome is `ok` or how they failed.";
    backend_call_seconds: histogram "weir_backend_call_seconds" ["backend", "operation"]
        "Time until a backend answered (for reads: until the first byte).";
    backend_requests: counter "weir_backend_requests_total" ["backend", "operation", "outcome"]
        "Requests as the backend saw them, probes and cancelled ones included.";
    backend_bytes: counter "weir_backend_bytes_total" ["backend", "direction"]
        "Bytes of bodies: `in` to the backend, `out` from it.";
    backend_reads_broken: counter "weir_backend_reads_broken_total" ["backend"]
        "Reads from a backend that began well and broke off.";
    breaker_open: gauge "weir_backend_breaker_open" ["backend", "class"]
        "1 while the circuit breaker for `read` or `write` is not closed.";
    breaker_changes: counter "weir_backend_breaker_changes_total" ["backend", "class", "to"]
        "How often a breaker opened or closed.";
    copies: gauge "weir_backend_copies" ["backend"]
        "Copies on a backend.";
    copy_bytes: gauge "weir_backend_copy_bytes" ["backend"]
        "Bytes of copies on a backend.";
    reserved_bytes: gauge "weir_backend_reserved_bytes" ["backend"]
        "Bytes reserved on a backend: writes in flight, and what waits to be deleted.";
    limit_bytes: gauge "weir_backend_limit_bytes" ["backend"]
        "Configured limit of a backend; absent without one.";
    work: counter "weir_work_total" ["kind", "outcome"]
        "Pieces of background work by how they ended: `done`, `deferred`, `failed`.";
    work_seconds: histogram "weir_work_seconds" ["kind"]
        "Time that pieces of background work took.";
    outbox: gauge "weir_outbox_entries" ["kind"]
        "Work that waits: replicate, clean, discard, abort, complete, repair.";
    outbox_age: gauge "weir_outbox_oldest_seconds" ["kind"]
        "Time since the oldest waiting work was due, 0 while all of it waits for its time: `any`, and `replicate` for copies still owed.";
    scrub_copies: counter "weir_scrub_copies_total" ["backend", "outcome"]
        "Copies that scrub came to: `right`, `suspect` (missing or wrong, to be repaired), `skipped` (not reached, to come again).";
    scrub_bytes: counter "weir_scrub_bytes_total" ["backend"]
        "Bytes of copies that scrub verified.";
    scrub_coverage: gauge "weir_scrub_coverage_permille" ["backend"]
        "Of a thousand bytes on a backend, those verified in the pass in progress; 0 between passes.";
    scrub_unreached: gauge "weir_scrub_unreached_copies" ["backend"]
        "Copies that the pass in progress could not reach yet.";
    scrub_last_full: gauge "weir_scrub_last_full_pass_timestamp_seconds" ["backend"]
        "When the last pass that left no copy out began, in Unix time; absent before the first.";
    policy_decisions: counter "weir_policy_decisions_total" ["policy", "decision"]
        "Decisions asked for: `placement`, `overflow`, `replication`, `read-routing`.";
    policy_nanoseconds: counter "weir_policy_decision_nanoseconds_total" ["policy", "decision"]
        "Time that decisions took, fallbacks included.";
    policy_calls: counter "weir_policy_calls_total" ["policy"]
        "Calls of the component, probes included.";
    policy_faults: counter "weir_policy_faults_total" ["policy", "kind"]
        "Calls without a usable answer.";
    policy_decision_faults: counter "weir_policy_decision_faults_total" ["policy", "decision"]
        "The same by what was to be decided.";
    policy_fallbacks: counter "weir_policy_fallbacks_total" ["policy", "decision", "to"]
        "Decisions made by the `previous` revision, the `native` default, or nobody (`refused`).";
    policy_canary: counter "weir_policy_canary_decisions_total" ["policy", "decision"]
        "Decisions that the canary made.";
    policy_shadow: gauge "weir_policy_shadow_decisions" ["policy", "outcome"]
        "Decisions of the shadow, or of the last one: `compared`, of these `differing`, of these `fault`; `dropped` were not compared because too many waited. Begins anew with another shadow.";
    policy_quarantined: gauge "weir_policy_quarantined" ["policy", "decision"]
        "1 while a policy is not asked for a decision because it failed too often.";
    policy_info: gauge "weir_policy_info" ["policy", "revision", "stage"]
        "1 for each revision that decides (`active`), decides for a share of the keys (`canary`) or is tried (`shadow`).";
    policy_revisions: gauge "weir_policy_revisions" ["policy"]
        "Revisions that are in memory: those that decide, would step in, are tried or wait, and those that a decision still runs on.";
    policy_instances: gauge "weir_policy_instances" ["policy"]
        "Instances of components that are in memory.";
    policy_share: gauge "weir_policy_share_permille" ["policy", "stage"]
        "Of how many of a thousand the `canary` and the `shadow` decide.";
    policy_disagreements: counter "weir_policy_disagreements_total" ["policy"]
        "Calls that gave another answer when they were repeated on a fresh instance.";
    policy_recorded: counter "weir_policy_recorded_total" ["policy", "outcome"]
        "Decisions of recorded policies that were `written`, or `dropped` because the disk was too slow or full.";
    policy_clamped: counter "weir_policy_clamped_total" ["storage_policy", "what"]
        "Answers that were not done as they were given: `ack`, `copies`, `forbidden` (by a constraint), `make-room`, `priority`, `postponed`, `kept`, `hedge`.";
    overflows: counter "weir_overflow_total" ["storage_policy", "outcome"]
        "Versions for which there was no room where placement wanted them: `spilled`, `meanwhile`, `refused`.";
    policy_counters: counter "weir_policy_counter_total" ["policy", "name"]
        "Counters of the policies' own.";
    index_read_only: gauge "weir_index_read_only" []
        "1 while the disk under the index is nearly full.";
    insurance_lag_seconds: gauge "weir_index_insurance_lag_seconds" ["backend"]
        "Index insurance: for how long the oldest change that is not shipped to a backend is committed, at most; 0 without any.";
    insurance_lag: gauge "weir_index_insurance_lag_changes" ["backend"]
        "Index insurance: changes of the index that are not shipped to a backend.";
    insurance_snapshot: gauge "weir_index_insurance_snapshot_timestamp_seconds" ["backend"]
        "Index insurance: when the newest snapshot that is whole on a backend was taken, in Unix time; absent before the first.";
    insurance_files: counter "weir_index_insurance_files_total" ["backend", "kind"]
        "Index insurance: segments of the log and whole snapshots shipped: `segment`, `snapshot`.";
    insurance_bytes: counter "weir_index_insurance_bytes_total" ["backend"]
        "Index insurance: bytes shipped.";
    insurance_failures: counter "weir_index_insurance_failures_total" ["backend"]
        "Index insurance: attempts to ship that failed.";
    insurance_gaps: counter "weir_index_insurance_gaps_total" ["backend"]
        "Index insurance: how often the log had let go of what was to be shipped next, because a backend did not take it for too long; a snapshot followed.";
    insurance_log_bytes: gauge "weir_index_insurance_log_bytes" []
        "Index insurance: changes that wait in the index, in bytes; absent without insurance.";
    connections: gauge "weir_connections_open" ["listener"]
        "Open connections: `s3`, `admin`.";
    connections_accepted: counter "weir_connections_accepted_total" ["listener"]
        "Connections accepted.";
    connections_refused: counter "weir_connections_refused_total" ["listener"]
        "Connections closed at once because there were too many.";
    problems: gauge "weir_problems" []
        "Problems on the status page: files that could not be reloaded.";
    resident: gauge "process_resident_memory_bytes" []
        "Resident memory.";
    open_fds: gauge "process_open_fds" []
        "Open file descriptors.";
    build: gauge "weir_build_info" ["version"]
        "1, with the version as label.";
}

/// What is read anew for each scrape.
pub struct Scrape {
    /// Per backend: bytes and calls since the start.
    pub meters: Vec<(BackendId, MeterSnapshot)>,
    /// Per backend: what lies there, what is reserved, its limit.
    pub ledger: Vec<BackendUse>,
    /// Work that waits, by kind, and for how long the oldest, and the oldest replica owed, is due.
    pub outbox: ([u64; 6], Option<Duration>, Option<Duration>),
    /// How far the verification of copies has come.
    pub scrub: Vec<ScrubStatus>,
    /// The policies' counters.
    pub policies: MetricsSnapshot,
    /// The policies' revisions.
    pub stages: BTreeMap<String, BindingStatus>,
    /// What was recorded of the policies' decisions.
    pub recorded: Vec<(String, Recorded)>,
    /// Whether the index takes no writes.
    pub index_read_only: bool,
    /// Problems on the status page.
    pub problems: usize,
}

/// What lies on one backend.
pub struct BackendUse {
    /// Which.
    pub backend: BackendId,
    /// Number of copies.
    pub copies: u64,
    /// Their bytes.
    pub copy_bytes: u64,
    /// Reserved bytes.
    pub reserved_bytes: u64,
    /// Limit.
    pub bytes_max: Option<u64>,
    /// Whether the breakers for reads and writes are closed.
    pub closed: (bool, bool),
}

/// Kinds of work, in the order of the index's depths.
pub const WORK_KINDS: [&str; 6] = [
    "replicate",
    "clean",
    "discard",
    "abort",
    "complete",
    "repair",
];

impl Metrics {
    /// Everything in Prometheus' text format.
    pub fn render(
        &self,
        scrape: &Scrape,
        listeners: &[(&str, &Counts)],
    ) -> Result<Vec<u8>, prometheus::Error> {
        let _one_at_a_time = self.scraping.lock();
        self.set_backends(scrape);
        self.set_policies(scrape);
        self.set_rest(scrape, listeners);
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }

    fn set_backends(&self, scrape: &Scrape) {
        self.backend_bytes.reset();
        self.backend_requests.reset();
        self.backend_reads_broken.reset();
        for (backend, meter) in &scrape.meters {
            let id = backend.as_str();
            add(&self.backend_bytes, &[id, "in"], meter.bytes_in);
            add(&self.backend_bytes, &[id, "out"], meter.bytes_out);
            add(&self.backend_reads_broken, &[id], meter.failed_reads);
            for r in &meter.requests {
                let labels = [id, r.operation.label(), r.outcome.label()];
                add(&self.backend_requests, &labels, r.count);
            }
        }
        for used in &scrape.ledger {
            let id = used.backend.as_str();
            set(&self.copies, &[id], used.copies);
            set(&self.copy_bytes, &[id], used.copy_bytes);
            set(&self.reserved_bytes, &[id], used.reserved_bytes);
            if let Some(limit) = used.bytes_max {
                set(&self.limit_bytes, &[id], limit);
            }
            set(&self.breaker_open, &[id, "read"], u64::from(!used.closed.0));
            set(
                &self.breaker_open,
                &[id, "write"],
                u64::from(!used.closed.1),
            );
            let scrub = scrape.scrub.iter().find(|s| s.backend == used.backend);
            if let Some(scrub) = scrub {
                self.set_scrub(scrub, used);
            }
        }
    }

    fn set_scrub(&self, scrub: &ScrubStatus, used: &BackendUse) {
        let id = scrub.backend.as_str();
        let there = LedgerRecord {
            used_bytes: used.copy_bytes,
            used_objects: used.copies,
            reserved_bytes: used.reserved_bytes,
        };
        let pass = scrub.pass.as_ref();
        let coverage = pass.map_or(0, |pass| coverage_permille(pass, &there));
        set(&self.scrub_coverage, &[id], coverage);
        let unreached = pass.map_or(0, |pass| pass.again.len());
        set(&self.scrub_unreached, &[id], unreached as u64);
        if let Some(full) = &scrub.last_full {
            set(&self.scrub_last_full, &[id], full.began_at.as_secs());
        }
    }

    /// What is known about the shipping of the index.
    pub fn set_insurance(&self, watch: &weir_insurance::Watch) {
        let _not_while_scraping = self.scraping.lock();
        let counters = [
            &self.insurance_files,
            &self.insurance_bytes,
            &self.insurance_failures,
            &self.insurance_gaps,
        ];
        counters.into_iter().for_each(IntCounterVec::reset);
        for status in watch.status() {
            let id = status.backend.as_str();
            set(
                &self.insurance_lag_seconds,
                &[id],
                status.lag_ms.div_ceil(1000),
            );
            set(&self.insurance_lag, &[id], status.lag_entries);
            if let Some(snapshot) = &status.snapshot {
                let taken = snapshot.taken_at.as_millis() / 1000;
                set(&self.insurance_snapshot, &[id], taken);
            }
            add(&self.insurance_files, &[id, "segment"], status.segments);
            add(&self.insurance_files, &[id, "snapshot"], status.snapshots);
            add(&self.insurance_bytes, &[id], status.bytes);
            add(&self.insurance_failures, &[id], status.failures);
            add(&self.insurance_gaps, &[id], status.gaps);
        }
        let held = watch.tail().map_or(0, |tail| tail.bytes);
        set(&self.insurance_log_bytes, &[], held);
    }

    fn set_policies(&self, scrape: &Scrape) {
        for counter in [
            &self.policy_decisions,
            &self.policy_nanoseconds,
            &self.policy_calls,
            &self.policy_faults,
            &self.policy_decision_faults,
            &self.policy_fallbacks,
            &self.policy_canary,
            &self.policy_disagreements,
            &self.policy_recorded,
            &self.policy_counters,
        ] {
            counter.reset();
        }
        for gauge in [&self.policy_info, &self.policy_share, &self.policy_shadow] {
            gauge.reset();
        }
        for (name, binding) in &scrape.policies.bindings {
            self.set_policy(name, binding);
        }
        for (policy, status) in &scrape.stages {
            self.set_stages(policy, status);
        }
        for (policy, recorded) in &scrape.recorded {
            let dropped = ("dropped", recorded.dropped);
            for (outcome, count) in [("written", recorded.written), dropped] {
                add(&self.policy_recorded, &[policy, outcome], count);
            }
        }
    }

    fn set_policy(&self, policy: &str, binding: &BindingMetrics) {
        add(&self.policy_calls, &[policy], binding.calls);
        let mismatches = binding.determinism_mismatches;
        add(&self.policy_disagreements, &[policy], mismatches);
        set(&self.policy_revisions, &[policy], binding.revisions_live);
        set(&self.policy_instances, &[policy], binding.instances_live);
        for (kind, count) in binding.faults {
            add(&self.policy_faults, &[policy, kind.name()], count);
        }
        for (kind, metrics) in &binding.by_decision {
            let labels = [policy, kind.name()];
            add(&self.policy_decisions, &labels, metrics.decisions);
            add(&self.policy_nanoseconds, &labels, metrics.nanos);
            add(&self.policy_decision_faults, &labels, metrics.faults);
            add(&self.policy_canary, &labels, metrics.by_canary);
            for (to, count) in [
                ("previous", metrics.fallbacks_previous),
                ("native", metrics.fallbacks_native),
                ("refused", metrics.refused),
            ] {
                add(&self.policy_fallbacks, &[policy, kind.name(), to], count);
            }
            let quarantined = binding.quarantined.contains(*kind);
            set(&self.policy_quarantined, &labels, u64::from(quarantined));
        }
        let shadow = &binding.shadow;
        for (outcome, count) in [
            ("compared", shadow.compared),
            ("differing", shadow.differing),
            ("fault", shadow.faults),
            ("dropped", shadow.dropped),
        ] {
            set(&self.policy_shadow, &[policy, outcome], count);
        }
        for (name, count) in &binding.guest {
            add(&self.policy_counters, &[policy, name], *count);
        }
    }

    fn set_stages(&self, policy: &str, status: &BindingStatus) {
        let info = |revision: RevisionId, stage: &str| {
            set(
                &self.policy_info,
                &[policy, &revision.to_string(), stage],
                1,
            );
        };
        if let Some(active) = status.active {
            info(active, "active");
        }
        for (stage, share) in [("canary", status.canary), ("shadow", status.shadow)] {
            if let Some(share) = share {
                info(share.revision, stage);
                let permille = u64::from(share.permille);
                set(&self.policy_share, &[policy, stage], permille);
            }
        }
    }

    fn set_rest(&self, scrape: &Scrape, listeners: &[(&str, &Counts)]) {
        let (depth, oldest, oldest_replicate) = &scrape.outbox;
        for (kind, depth) in WORK_KINDS.iter().zip(depth) {
            set(&self.outbox, &[kind], *depth);
        }
        let seconds = |age: &Option<Duration>| age.unwrap_or_default().as_secs();
        set(&self.outbox_age, &["any"], seconds(oldest));
        set(&self.outbox_age, &["replicate"], seconds(oldest_replicate));
        set(
            &self.index_read_only,
            &[],
            u64::from(scrape.index_read_only),
        );
        set(&self.problems, &[], scrape.problems as u64);
        set(&self.build, &[crate::VERSION], 1);
        self.connections_accepted.reset();
        self.connections_refused.reset();
        for (listener, counts) in listeners {
            let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
            set(&self.connections, &[listener], read(&counts.open));
            add(
                &self.connections_accepted,
                &[listener],
                read(&counts.accepted),
            );
            add(
                &self.connections_refused,
                &[listener],
                read(&counts.refused),
            );
        }
        if let Some(bytes) = crate::process::resident_bytes() {
            set(&self.resident, &[], bytes);
        }
        if let Some(count) = crate::process::open_fds() {
            set(&self.open_fds, &[], count);
        }
    }
}

fn add(counter: &IntCounterVec, labels: &[&str], by: u64) {
    counter.with_label_values(labels).inc_by(by);
}

fn set(gauge: &IntGaugeVec, labels: &[&str], to: u64) {
    gauge
        .with_label_values(labels)
        .set(i64::try_from(to).unwrap_or(i64::MAX));
}

impl Observer for Metrics {
    fn request(&self, record: &AccessRecord) {
        access_log::write(record);
        let operation = if record.operation.is_empty() {
            "unknown"
        } else {
            record.operation
        };
        // Without an answer the client went away first: nginx's 499.
        let status = if record.status == 0 {
            499
        } else {
            record.status
        };
        if let Some(code) = record.error {
            self.request_errors
                .with_label_values(&[operation, code])
                .inc();
        }
        if !record.complete {
            self.requests_cut.with_label_values(&[operation]).inc();
        }
        let find = || Requests {
            count: self
                .requests
                .with_label_values(&[operation, &status.to_string()]),
            seconds: self.request_seconds.with_label_values(&[operation]),
            head_seconds: self.request_head_seconds.with_label_values(&[operation]),
            bytes_in: self.request_bytes.with_label_values(&["in"]),
            bytes_out: self.request_bytes.with_label_values(&["out"]),
        };
        let count = |metrics: &Requests| {
            metrics.count.inc();
            metrics.seconds.observe(record.took.as_secs_f64());
            metrics
                .head_seconds
                .observe(record.head_after.as_secs_f64());
            metrics.bytes_in.inc_by(record.bytes_in);
            metrics.bytes_out.inc_by(record.bytes_out);
        };
        self.requests_resolved
            .count(&(operation, status), find, count);
    }

    fn backend_call(&self, call: &BackendCall<'_>) {
        let labels = (call.backend.clone(), call.operation, call.error);
        let find = || {
            let backend = call.backend.as_str();
            let outcome = call.error.map_or("ok", outcome_name);
            Calls {
                count: self
                    .backend_calls
                    .with_label_values(&[backend, call.operation, outcome]),
                seconds: self
                    .backend_call_seconds
                    .with_label_values(&[backend, call.operation]),
            }
        };
        let count = |metrics: &Calls| {
            metrics.count.inc();
            metrics.seconds.observe(call.took.as_secs_f64());
        };
        self.calls_resolved.count(&labels, find, count);
    }

    fn work(&self, kind: &'static str, outcome: WorkOutcome, took: Duration) {
        let outcome = match outcome {
            WorkOutcome::Done => "done",
            WorkOutcome::Deferred => "deferred",
            WorkOutcome::Failed => "failed",
        };
        self.work.with_label_values(&[kind, outcome]).inc();
        self.work_seconds
            .with_label_values(&[kind])
            .observe(took.as_secs_f64());
    }

    fn scrubbed(&self, backend: &BackendId, outcome: Scrubbed, bytes: u64) {
        let labels = [backend.as_str(), outcome.name()];
        self.scrub_copies.with_label_values(&labels).inc();
        add(&self.scrub_bytes, &[backend.as_str()], bytes);
    }

    fn clamped(&self, storage_policy: &str, what: Clamped) {
        let labels = [storage_policy, what.name()];
        self.policy_clamped.with_label_values(&labels).inc();
    }

    fn overflow(&self, storage_policy: &str, outcome: Overflow) {
        let labels = [storage_policy, outcome.name()];
        self.overflows.with_label_values(&labels).inc();
    }

    fn breaker(&self, backend: &BackendId, class: OperationClass, open: bool) {
        let to = if open { "open" } else { "closed" };
        self.breaker_changes
            .with_label_values(&[backend.as_str(), class.name(), to])
            .inc();
    }
}

fn outcome_name(kind: BackendErrorKind) -> &'static str {
    weir_backend::Outcome::from(kind).label()
}

/// The page `docs/metrics.md`.
pub fn page() -> String {
    let mut page = String::from(
        "\
# Metrics

`GET /metrics` on the admin listener, in Prometheus' text format; without a token when the \
listener is on loopback. Histograms count seconds.

| metric | kind | labels | meaning |
|---|---|---|---|
",
    );
    for (name, kind, labels, help) in TABLE {
        let labels: Vec<_> = labels.iter().map(|label| format!("`{label}`")).collect();
        page.push_str(&format!(
            "| `{name}` | {kind} | {} | {help} |\n",
            labels.join(", ")
        ));
    }
    page
}

#[cfg(test)]
mod tests;

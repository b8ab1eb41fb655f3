//! Limits and times of the core. Every queue, retry and wait has one.

use std::time::Duration;

/// What the core may use, and how long it waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Bodies up to this size are read and verified before a backend sees them, and can be
    /// offered to one backend after another.
    pub small_body_bytes_max: u64,
    /// Largest object that one PutObject, UploadPart or CopyObject may carry (5 GiB at AWS).
    pub put_bytes_max: u64,
    /// Largest object that parts may make (AWS, "Amazon S3 multipart upload limits").
    pub object_bytes_max: u64,
    /// Smallest part that is not the last (5 MiB at AWS).
    pub part_bytes_min: u64,
    /// How long a superseded or deleted blob's bytes stay at least, for readers that looked it
    /// up but hold no lease yet.
    pub clean_grace: Duration,
    /// The longest time after which a write that was given up can still land on a backend:
    /// its key is deleted once more then.
    pub late_write_max: Duration,
    /// Open multipart uploads older than this are aborted.
    pub upload_age_max: Duration,
    /// How long tombstones and finished uploads are remembered.
    pub memory_of_deletes: Duration,
    /// Also check partial blocks at the ends of a range, by reading the whole block.
    pub verify_partial_blocks: bool,
    /// A read whose client takes no bytes for this long gives its backend back until the client
    /// goes on.
    pub stalled_read_max: Duration,
    /// Operations of the background that run at once.
    pub background_tasks_max: usize,
    /// Operations of the background that run at once against one backend.
    pub background_per_backend_max: usize,
    /// First and longest pause before failed work of the background is tried again.
    pub retry_pause: (Duration, Duration),
    /// How often the reaper looks for what requests left behind.
    pub reaper_interval: Duration,
    /// Bytes of copies that are verified in a second on each backend, without anybody asking;
    /// 0: none are.
    pub scrub_bytes_per_second_max: u64,
    /// Requests to each backend in a second for that.
    pub scrub_requests_per_second_max: u32,
    /// From the beginning of one pass over a backend's copies to that of the next.
    pub scrub_interval: Duration,
    /// After so many failures in a row a backend's breaker opens.
    pub breaker_failures_max: u32,
    /// First and longest time a breaker stays open before one request is let through.
    pub breaker_open: (Duration, Duration),
    /// A Complete or Copy that takes longer than this is answered early and kept alive with
    /// white space.
    pub keep_alive_after: Duration,
    /// Completes and Copies that run at once, those whose clients went away included; further
    /// ones get SlowDown.
    pub long_operations_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        const MIB: u64 = 1024 * 1024;
        const GIB: u64 = 1024 * MIB;
        Self {
            small_body_bytes_max: 256 * 1024,
            put_bytes_max: 5 * GIB,
            object_bytes_max: 5 * 1024 * GIB,
            part_bytes_min: 5 * MIB,
            clean_grace: Duration::from_secs(60),
            late_write_max: Duration::from_secs(3600),
            upload_age_max: Duration::from_secs(7 * 24 * 3600),
            memory_of_deletes: Duration::from_secs(30 * 24 * 3600),
            verify_partial_blocks: false,
            stalled_read_max: Duration::from_secs(10),
            background_tasks_max: 16,
            background_per_backend_max: 8,
            retry_pause: (Duration::from_millis(200), Duration::from_secs(60)),
            reaper_interval: Duration::from_secs(30),
            scrub_bytes_per_second_max: 8 * MIB,
            scrub_requests_per_second_max: 20,
            scrub_interval: Duration::from_secs(30 * 24 * 3600),
            breaker_failures_max: 5,
            breaker_open: (Duration::from_secs(1), Duration::from_secs(30)),
            keep_alive_after: Duration::from_secs(5),
            long_operations_max: 256,
        }
    }
}

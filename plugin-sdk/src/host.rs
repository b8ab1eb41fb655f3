//! What a policy may call: a log line and a counter. Natively both go into
//! buffers of the thread, which [`crate::testing`] hands to tests.

/// How much a log line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// For the author.
    Debug,
    /// Worth knowing.
    Info,
    /// Somebody should look.
    Warn,
    /// Something does not work.
    Error,
}

/// Writes a line to the gateway's log. The host shortens long lines, escapes
/// control characters and drops lines over its rate limit.
pub fn log(level: Level, message: &str) {
    #[cfg(target_arch = "wasm32")]
    crate::glue::log(level, message);
    #[cfg(not(target_arch = "wasm32"))]
    crate::testing::record_log(level, message);
}

/// Adds to a counter of this policy. Names match `[a-z][a-z0-9_]{0,62}`;
/// others are ignored, as are new names after the host's limit.
pub fn count(name: &str, delta: u64) {
    #[cfg(target_arch = "wasm32")]
    crate::glue::count(name, delta);
    #[cfg(not(target_arch = "wasm32"))]
    crate::testing::record_count(name, delta);
}

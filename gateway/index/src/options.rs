//! What can be set about an index.

use std::fmt;
use std::sync::Arc;

use weir_types::entropy::{Entropy, SystemEntropy};

use crate::log::LogOptions;
use crate::space::FreeSpace;

/// What happens when a commit fails. Production ends the process; if the action returns, as
/// in a test, the index refuses everything from then on.
pub type FatalAction = Arc<dyn Fn(&str) + Send + Sync>;

/// How mutations reach the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommitMode {
    /// A writer thread commits what waits together.
    Grouped,
    /// Each mutation is a transaction of its own, on the thread of the caller: for simulation,
    /// where no other thread may run beside a paused clock.
    Inline,
}

/// Settings of an index.
#[derive(Clone)]
pub struct IndexOptions {
    /// How mutations reach the disk.
    pub commit: CommitMode,
    /// Mutations that may wait for the writer; further callers wait to hand theirs over.
    pub queue_mutations_max: usize,
    /// Mutations in one transaction.
    pub batch_mutations_max: usize,
    /// Bound on the page cache in bytes.
    pub cache_bytes: usize,
    /// With less than this free under the index, mutations that take space are refused.
    pub free_bytes_min: u64,
    /// Where free space is read; `None` asks the file system that holds the index.
    pub free_space: Option<Arc<dyn FreeSpace>>,
    /// What happens when a commit fails.
    pub fatal: FatalAction,
    /// Whether, and how, changes are logged for a copy of the index elsewhere.
    pub log: Option<LogOptions>,
    /// Draws the epoch of a new index.
    pub entropy: Arc<dyn Entropy>,
}

impl Default for IndexOptions {
    fn default() -> Self {
        Self {
            commit: CommitMode::Grouped,
            queue_mutations_max: 1024,
            batch_mutations_max: 256,
            cache_bytes: 32 << 20,
            free_bytes_min: 256 << 20,
            free_space: None,
            fatal: Arc::new(end_process),
            log: None,
            entropy: Arc::new(SystemEntropy::default()),
        }
    }
}

impl fmt::Debug for IndexOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IndexOptions")
            .field("commit", &self.commit)
            .field("queue_mutations_max", &self.queue_mutations_max)
            .field("batch_mutations_max", &self.batch_mutations_max)
            .field("cache_bytes", &self.cache_bytes)
            .field("free_bytes_min", &self.free_bytes_min)
            .field("log", &self.log)
            .finish_non_exhaustive()
    }
}

/// Ends the process at once: no destructor runs that could acknowledge anything.
fn end_process(reason: &str) {
    tracing::error!(reason, "the index cannot go on; ending the process");
    std::process::abort();
}

//! Shipping: one worker for each backend, none waits for another.

mod clean;
mod snapshot;
#[cfg(test)]
mod tests;
mod worker;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use weir_index::StoreIndex;
use weir_index::log::{LogTail, StreamId};
use weir_index::store::Store;
use weir_types::clock::{Clock, Timestamp};
use weir_types::crash::CrashPoints;
use weir_types::entropy::Entropy;
use weir_types::index::IndexError;

use crate::Target;
use crate::seal::Key;
use crate::status::{Known, TargetStatus};
use snapshot::Snapshots;
use worker::Worker;
pub(crate) use worker::{digest, read_file};

/// How often is shipped, and how much at once.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Changes are gathered for this long before they are shipped.
    pub interval: Duration,
    /// A segment of the log is closed when it has so many bytes.
    pub segment_bytes_max: usize,
    /// Bytes of a snapshot in one file.
    pub part_bytes_max: usize,
    /// A snapshot that is older is followed by a new one.
    pub snapshot_interval: Duration,
    /// Before so many bytes of log a new snapshot is not worth it; beyond, one is made when the
    /// log since the last one is larger than that.
    pub snapshot_log_bytes_min: u64,
    /// First and longest pause after a failure.
    pub retry_pause: (Duration, Duration),
    /// What other streams of this index left is removed when the present one is so old.
    pub other_streams_kept: Duration,
    /// At the end of the shipping, what is left is shipped for so long.
    pub last_wait: Duration,
    /// Folder for snapshots that are being shipped.
    pub folder: PathBuf,
    /// What files are sealed with.
    pub key: Option<Key>,
}

impl Settings {
    /// The defaults, with snapshots waiting in `folder`.
    pub fn at(folder: PathBuf) -> Self {
        Self {
            interval: Duration::from_secs(1),
            segment_bytes_max: 4 << 20,
            part_bytes_max: 4 << 20,
            snapshot_interval: Duration::from_secs(24 * 3600),
            snapshot_log_bytes_min: 16 << 20,
            retry_pause: (Duration::from_secs(1), Duration::from_secs(30)),
            other_streams_kept: Duration::from_secs(7 * 24 * 3600),
            last_wait: Duration::from_secs(5),
            folder,
            key: None,
        }
    }

    /// The tag that the index's log must have: with another key a new stream begins.
    pub fn log_tag(&self) -> String {
        self.key
            .as_ref()
            .map_or_else(String::new, |key| key.name().to_string())
    }
}

/// What the shipping needs.
pub struct Parts<S: Store> {
    /// The index; it was opened with a log whose tag is [`Settings::log_tag`].
    pub index: Arc<StoreIndex<S>>,
    /// Where to.
    pub targets: Vec<Target>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// Where a test may end the process.
    pub crash: CrashPoints,
    /// How.
    pub settings: Settings,
}

/// What the workers share.
pub(crate) struct Shared<S: Store> {
    index: Arc<StoreIndex<S>>,
    targets: Vec<Target>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    crash: CrashPoints,
    settings: Settings,
    snapshots: Snapshots,
    board: Arc<Board>,
    trimmed: AtomicU64,
}

/// What is known, per backend.
#[derive(Default)]
struct Board(Vec<Mutex<Post>>);

#[derive(Debug, Clone, Default)]
struct Post {
    known: Known,
    /// Of which stream the following is told.
    stream: Option<StreamId>,
    /// Entries up to this one need not be held for this backend.
    sent: u64,
}

impl<S: Store> Shared<S> {
    fn tail(&self) -> Option<LogTail> {
        *self.index.log_tail().borrow()
    }

    fn tell(&self, target: usize, tell: impl FnOnce(&mut Post)) {
        tell(&mut self.board.0[target].lock());
    }

    /// Lets go of what every backend has.
    async fn trim(&self, stream: StreamId) -> Result<(), IndexError> {
        let sent = self.board.0.iter().map(|post| {
            let post = post.lock();
            if post.stream == Some(stream) {
                post.sent
            } else {
                0
            }
        });
        let through = sent.min().unwrap_or(0);
        self.crash.pass("insurance.before-trim").await;
        // Numbers of another stream begin anew: then less is more.
        if self.trimmed.swap(through, Ordering::Relaxed) != through && through > 0 {
            self.index.trim_log(stream, through).await?;
        }
        Ok(())
    }

    /// What is older than this is needed for no restoration: the newest snapshot of this backend
    /// or an older one that is whole on a second backend too.
    fn cutoff(&self, target: usize, stream: StreamId) -> Option<u64> {
        let whole = |post: &Mutex<Post>| {
            let post = post.lock();
            let snapshot = post.known.snapshot.filter(|_| post.stream == Some(stream));
            snapshot.map(|snapshot| snapshot.number)
        };
        let own = whole(&self.board.0[target])?;
        let mut all: Vec<u64> = self.board.0.iter().filter_map(whole).collect();
        all.sort_unstable_by(|a, b| b.cmp(a));
        let needed = self.targets.len().min(COPIES_MIN);
        all.get(needed - 1).map(|second| own.min(*second))
    }
}

/// On so many backends newer must be whole before older goes.
const COPIES_MIN: usize = 2;

/// The shipping of an index, at work. Dropping it does not end it; [`Shipping::stop`] does.
pub struct Shipping {
    stop: watch::Sender<bool>,
    workers: Vec<JoinHandle<()>>,
    watch: Watch,
}

impl std::fmt::Debug for Shipping {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shipping").finish_non_exhaustive()
    }
}

/// Tells how the shipping stands. It holds no index.
#[derive(Clone)]
pub struct Watch {
    ids: Vec<weir_types::id::BackendId>,
    board: Arc<Board>,
    tail: watch::Receiver<Option<LogTail>>,
    clock: Arc<dyn Clock>,
    began: Timestamp,
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch")
            .field("ids", &self.ids)
            .finish_non_exhaustive()
    }
}

impl Watch {
    /// How it stands now, per backend.
    pub fn status(&self) -> Vec<TargetStatus> {
        let (now, last) = (self.clock.now(), self.tail().map_or(0, |tail| tail.last));
        let posts = self.ids.iter().zip(&self.board.0);
        posts
            .map(|(id, post)| post.lock().known.status(id, last, self.began, now))
            .collect()
    }

    /// What the log holds.
    pub fn tail(&self) -> Option<LogTail> {
        *self.tail.borrow()
    }
}

/// Starts to ship, on the current runtime.
pub fn start<S: Store>(parts: Parts<S>) -> Shipping {
    let Parts {
        index,
        targets,
        clock,
        entropy,
        crash,
        settings,
    } = parts;
    let board = Arc::new(Board(targets.iter().map(|_| Mutex::default()).collect()));
    let began = clock.now();
    let watch = Watch {
        ids: targets.iter().map(|target| target.id.clone()).collect(),
        board: Arc::clone(&board),
        tail: index.log_tail(),
        clock: Arc::clone(&clock),
        began,
    };
    let snapshots = Snapshots::in_folder(settings.folder.clone());
    let shared = Arc::new(Shared {
        index,
        targets,
        clock,
        entropy,
        crash,
        settings,
        snapshots,
        board,
        trimmed: AtomicU64::new(0),
    });
    let (stop, stopped) = watch::channel(false);
    let workers = (0..shared.targets.len())
        .map(|target| {
            let worker = Worker::new(Arc::clone(&shared), target);
            tokio::spawn(worker.run(stopped.clone()))
        })
        .collect();
    Shipping {
        stop,
        workers,
        watch,
    }
}

impl Shipping {
    /// How it stands, also while it is being stopped.
    pub fn watch(&self) -> &Watch {
        &self.watch
    }

    /// Ships what is left, for as long as the settings say, and ends.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        for worker in self.workers {
            if let Err(error) = worker.await {
                tracing::error!(%error, "a worker of the index insurance ended abnormally");
            }
        }
    }

    /// Ends at once, as if the process had been killed.
    #[cfg(test)]
    pub(crate) async fn kill(self) {
        for worker in self.workers {
            worker.abort();
            let _aborted = worker.await;
        }
    }
}

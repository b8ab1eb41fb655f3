//! What the tests share: an index in memory, backends in memory, and the way there and back.

use std::sync::Arc;
use std::time::Duration;

use weir_backend::memory::MemoryBackend;
use weir_index::log::LogOptions;
use weir_index::store::{MemoryStore, Store};
use weir_index::{CommitMode, EmbeddedIndex, IndexOptions, MemoryIndex, StoreIndex};
use weir_types::clock::{Clock, Timestamp};
use weir_types::crash::CrashPoints;
use weir_types::entropy::{Entropy, SeededEntropy};
use weir_types::id::{BackendId, BucketName, SiteId};
use weir_types::index::{Index, Mutation};

use crate::restore::{Collected, RestoreError, collect, survey};
use crate::seal::Key;
use crate::{Parts, Settings, Shipping, Target, TargetStatus, start};

pub(crate) fn site() -> SiteId {
    SiteId::parse("here").expect("a valid site")
}

/// A wall clock that goes as tokio's paused one does.
#[derive(Debug)]
struct PausedClock(tokio::time::Instant);

impl Clock for PausedClock {
    fn now(&self) -> Timestamp {
        let ms = u64::try_from(self.0.elapsed().as_millis()).expect("short");
        Timestamp::from_millis(1_000_000 + ms)
    }
}

/// Everything that outlives a process.
pub(crate) struct World {
    pub(crate) store: MemoryStore,
    pub(crate) backends: Vec<MemoryBackend>,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<SeededEntropy>,
    pub(crate) key: Option<Key>,
    pub(crate) log_bytes_max: u64,
    pub(crate) settings: Settings,
}

pub(crate) fn key(digit: char) -> Key {
    Key::parse(&digit.to_string().repeat(64)).expect("a valid key")
}

impl World {
    /// On tokio's paused clock.
    pub(crate) fn new(backends: usize, seed: u64) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let settings = Settings {
            part_bytes_max: 1 << 10,
            snapshot_log_bytes_min: 8 << 10,
            ..Settings::at(folder.path().join("insurance"))
        };
        Self {
            store: MemoryStore::default(),
            backends: (0..backends).map(|_| MemoryBackend::new()).collect(),
            folder,
            clock: Arc::new(PausedClock(tokio::time::Instant::now())),
            entropy: Arc::new(SeededEntropy::new(seed)),
            key: None,
            log_bytes_max: 1 << 20,
            settings,
        }
    }

    pub(crate) fn settings(&self) -> Settings {
        Settings {
            key: self.key.clone(),
            ..self.settings.clone()
        }
    }

    pub(crate) fn open(&self) -> Arc<MemoryIndex> {
        let options = IndexOptions {
            commit: CommitMode::Inline,
            entropy: Arc::<SeededEntropy>::clone(&self.entropy),
            log: Some(LogOptions {
                bytes_max: self.log_bytes_max,
                tag: self.settings().log_tag(),
            }),
            ..IndexOptions::default()
        };
        let index = MemoryIndex::over(self.store.clone(), site(), options);
        Arc::new(index.expect("it opens"))
    }

    pub(crate) fn targets(&self) -> Vec<Target> {
        let target = |(number, backend): (usize, &MemoryBackend)| Target {
            id: BackendId::parse(&format!("b{number}")).expect("a valid id"),
            backend: Arc::new(backend.clone()),
        };
        self.backends.iter().enumerate().map(target).collect()
    }

    pub(crate) fn ship(&self, index: &Arc<MemoryIndex>) -> Shipping {
        self.ship_until(index, CrashPoints::none())
    }

    pub(crate) fn ship_until(&self, index: &Arc<MemoryIndex>, crash: CrashPoints) -> Shipping {
        start(Parts {
            index: Arc::clone(index),
            targets: self.targets(),
            clock: Arc::clone(&self.clock),
            entropy: Arc::<SeededEntropy>::clone(&self.entropy),
            crash,
            settings: self.settings(),
        })
    }

    /// What a restoration finds.
    pub(crate) async fn collect(&self) -> Result<Collected, RestoreError> {
        let targets = self.targets();
        let found = survey(&site(), &targets, self.key.as_ref()).await;
        let chosen = found.choose(&site(), None, &[])?;
        let folder = self.folder.path();
        collect(chosen, &targets, self.key.as_ref(), folder, &|_| {}).await
    }

    /// Restores, and compares row for row with `index` as it is now.
    pub(crate) async fn must_be_restored(&self, index: &Arc<MemoryIndex>, context: &str) {
        let collected = self.collect().await;
        let collected = collected.unwrap_or_else(|error| panic!("{context}: {error}"));
        let tail = (*index.log_tail().borrow()).expect("a log");
        assert_eq!(collected.reached.number, tail.last, "{context}");
        assert_eq!(collected.gap, None, "{context}");
        assert!(self.rows(&collected) == self.rows_of(&**index), "{context}");
    }

    /// Every row of what was collected, under a set epoch.
    pub(crate) fn rows(&self, collected: &Collected) -> Vec<u8> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("index");
        let entropy = Arc::<SeededEntropy>::clone(&self.entropy);
        collected
            .build(&path, "next".into(), entropy, &mut |_| {})
            .expect("it was checked");
        rows_at(&path)
    }

    /// Every row of `index`, as if it had been restored.
    pub(crate) fn rows_of<S: Store>(&self, index: &StoreIndex<S>) -> Vec<u8> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (backup, path) = (folder.path().join("backup"), folder.path().join("index"));
        index.backup(&backup, &mut |_| {}).expect("there is room");
        let options = weir_index::backup::RestoreOptions {
            successor: Some("next".into()),
            ..Default::default()
        };
        weir_index::backup::restore(&backup, &path, &options, &mut |_| {}).expect("whole");
        rows_at(&path)
    }
}

fn rows_at(path: &std::path::Path) -> Vec<u8> {
    let index = EmbeddedIndex::open(path, site(), IndexOptions::default()).expect("it opens");
    assert_eq!(index.identity().epoch, "next");
    assert_eq!(index.audit().expect("readable").problems, [""; 0]);
    let backup = path.with_extension("rows");
    index.backup(&backup, &mut |_| {}).expect("there is room");
    std::fs::read(backup).expect("just written")
}

/// Some commits: buckets come and go.
pub(crate) async fn change(index: &MemoryIndex, entropy: &SeededEntropy, commits: u64) {
    for _ in 0..commits {
        let name = format!("bucket-{:04}", entropy.u64() % 200);
        let name = BucketName::parse(&name).expect("a valid name");
        let now = Timestamp::from_millis(1);
        let made = index.apply(Mutation::CreateBucket {
            name: name.clone(),
            owner: None,
            location: Some("x".repeat(100)),
            now,
        });
        if made.await.is_err() {
            let gone = index.apply(Mutation::DeleteBucket { name, now }).await;
            gone.expect("it is there and empty");
        }
    }
}

/// Waits, on the paused clock, until every backend has everything.
pub(crate) async fn shipped(shipping: &Shipping) {
    until(shipping, |status| {
        status
            .iter()
            .all(|s| s.shipped.is_some() && s.lag_entries == 0 && s.under_way.is_none())
    })
    .await;
}

/// Waits, on the paused clock, for what `done` wants.
pub(crate) async fn until(shipping: &Shipping, done: impl Fn(&[TargetStatus]) -> bool) {
    for _ in 0..2000 {
        if done(&shipping.watch().status()) {
            return;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    panic!("it does not come: {:#?}", shipping.watch().status());
}

/// Keys of the files of one kind on a backend.
pub(crate) fn files(backend: &MemoryBackend, kind: &str) -> Vec<String> {
    let keys = backend.contents().into_iter().map(|held| held.key);
    keys.filter(|key| {
        key.rsplit('/')
            .next()
            .is_some_and(|file| file.starts_with(kind))
    })
    .collect()
}

//! A site whose disks outlive its process.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;
use weir_backend::Operation;
use weir_backend::fs::FsBackend;
use weir_backend::memory::{Call, Fault, MemoryBackend};
use weir_backend::sim::SimFs;
use weir_core::authorize::AllowAll;
use weir_core::backends::{BackendFacts, Backends};
use weir_core::decide::{Decider, LeastUsed};
use weir_core::observe::{Observer, Silent};
use weir_core::replicate::{self, Background};
use weir_core::{Gateway, Parts, Settings};
use weir_index::{Audit, CommitMode, EmbeddedIndex, IndexOptions, MemoryIndex};
use weir_types::backend::Backend;
use weir_types::clock::{Clock, Timestamp};
use weir_types::crash::CrashPoints;
use weir_types::entropy::{Entropy, SeededEntropy};
use weir_types::id::{BackendId, BucketName, SiteId};
use weir_types::index::{Index, IndexError, Mutation};

use super::file::ForgetfulFile;
use super::hesitant::Hesitant;
use super::{Client, Dice};

/// Limits small enough that tests meet them.
pub(crate) fn settings() -> Settings {
    Settings {
        small_body_bytes_max: 1024,
        put_bytes_max: 1024 * 1024,
        object_bytes_max: 3 * 1024 * 1024,
        part_bytes_min: 1000,
        late_write_max: Duration::from_secs(600),
        upload_age_max: Duration::from_secs(7200),
        reaper_interval: Duration::from_secs(60),
        // Only where it is the subject: it would find before others what they are to find.
        scrub_bytes_per_second_max: 0,
        ..Settings::default()
    }
}

/// The disks of a site, and the time that goes on between the lives of its process.
pub(crate) struct World {
    pub(crate) settings: Settings,
    disks: Disks,
    facts: Vec<BackendFacts>,
    pub(crate) decider: Arc<dyn Decider>,
    pub(crate) observer: Arc<dyn Observer>,
    /// Seed of the moments that mutations wait for, if they do.
    pub(crate) hesitation: Option<u64>,
    wall_ms: Cell<u64>,
    entropy: Arc<dyn Entropy>,
}

enum Disks {
    Memory {
        index: Arc<MemoryIndex>,
        backends: Vec<MemoryBackend>,
    },
    Files {
        index: RefCell<ForgetfulFile>,
        backends: RefCell<Vec<SimFs>>,
        seed: Cell<u64>,
    },
}

impl World {
    /// A site on an index and `backends` backends in memory: nothing that was written is
    /// ever lost.
    pub(crate) fn in_memory(seed: u64, backends: usize) -> Self {
        let disks = Disks::Memory {
            index: Arc::new(MemoryIndex::new(site())),
            backends: (0..backends).map(|_| MemoryBackend::new()).collect(),
        };
        Self::on(disks, seed, backends)
    }

    /// A site on an index file and directories on simulated disks, which lose what was not
    /// synced whenever the process dies.
    pub(crate) fn on_files(seed: u64, backends: usize) -> Self {
        let disks = Disks::Files {
            index: RefCell::default(),
            backends: RefCell::new((0..backends).map(|_| SimFs::new()).collect()),
            seed: Cell::new(seed),
        };
        Self::on(disks, seed, backends)
    }

    fn on(disks: Disks, seed: u64, backends: usize) -> Self {
        let facts = |number| BackendFacts::new(backend_id(number));
        Self {
            settings: settings(),
            disks,
            facts: (0..backends).map(facts).collect(),
            decider: Arc::new(LeastUsed::default()),
            observer: Arc::new(Silent),
            hesitation: None,
            wall_ms: Cell::new(1_700_000_000_000),
            entropy: Arc::new(SeededEntropy::new(seed)),
        }
    }

    /// What configuration says about the backends.
    pub(crate) fn configured(&self) -> &[BackendFacts] {
        &self.facts
    }

    /// Changes what configuration says about a backend, from the next life on.
    pub(crate) fn facts(&mut self, number: usize) -> &mut BackendFacts {
        &mut self.facts[number]
    }

    /// Takes a backend out of the configuration, from the next life on.
    pub(crate) fn unconfigure(&mut self, number: usize) {
        let id = backend_id(number);
        self.facts.retain(|facts| facts.id != id);
    }

    /// Puts it back.
    pub(crate) fn configure(&mut self, number: usize) {
        self.facts.push(BackendFacts::new(backend_id(number)));
    }

    /// The backend in memory of that number.
    pub(crate) fn memory(&self, number: usize) -> &MemoryBackend {
        match &self.disks {
            Disks::Memory { backends, .. } => &backends[number],
            Disks::Files { .. } => panic!("this world's backends lie on disks"),
        }
    }

    /// The disk of that number.
    pub(crate) fn disk(&self, number: usize) -> SimFs {
        match &self.disks {
            Disks::Files { backends, .. } => backends.borrow()[number].clone(),
            Disks::Memory { .. } => panic!("this world's backends lie in memory"),
        }
    }

    /// From now on, syncs at one site of the directories (`None`: of the index) do nothing.
    pub(crate) fn ignore_sync(&self, site: Option<&'static str>) {
        let Disks::Files {
            index, backends, ..
        } = &self.disks
        else {
            panic!("nothing is synced in memory")
        };
        match site {
            Some(site) => backends
                .borrow()
                .iter()
                .for_each(|disk| disk.ignore_sync(site)),
            None => index.borrow().ignore_sync(),
        }
    }

    /// On one backend, so many calls of one operation go wrong; others never do.
    pub(crate) fn fail(&self, number: usize, operation: Operation, times: u64, fault: Fault) {
        let left = AtomicU64::new(times);
        let plan = move |call: &Call<'_>| {
            let take = |left: u64| left.checked_sub(1);
            let hit = call.operation == operation
                && left
                    .fetch_update(Ordering::SeqCst, Ordering::SeqCst, take)
                    .is_ok();
            hit.then_some(fault)
        };
        self.memory(number).set_plan(Some(Arc::new(plan)));
    }

    /// The same on every backend, each for itself.
    pub(crate) fn fail_everywhere(&self, operation: Operation, times: u64, fault: Fault) {
        for number in 0..self.backend_count() {
            self.fail(number, operation, times, fault);
        }
    }

    /// Nothing goes wrong any more.
    pub(crate) fn calm(&self) {
        for number in 0..self.backend_count() {
            self.memory(number).set_plan(None);
        }
    }

    /// Backends in memory misbehave at random from now on; disks only forget.
    pub(crate) fn trouble(&self, seed: u64) {
        if let Disks::Memory { backends, .. } = &self.disks {
            for (number, backend) in (1..).zip(backends) {
                let trouble = crate::crash::Trouble::new(seed.wrapping_mul(31) + number);
                backend.set_plan(Some(Arc::new(trouble)));
            }
        }
    }

    /// Each call to a backend in memory takes a moment of its own.
    pub(crate) fn slow_down(&self, seed: u64) {
        for number in 0..self.backend_count() {
            let dice = Dice::new(seed.wrapping_mul(31) + number as u64);
            let plan = move |_: &Call<'_>| Some(Fault::Slow(Duration::from_millis(dice.below(20))));
            self.memory(number).set_plan(Some(Arc::new(plan)));
        }
    }

    /// Nothing goes wrong any more, whatever the world is made of.
    pub(crate) fn calm_all(&self) {
        if let Disks::Memory { .. } = &self.disks {
            self.calm();
        }
    }

    pub(crate) fn backend_count(&self) -> usize {
        match &self.disks {
            Disks::Memory { backends, .. } => backends.len(),
            Disks::Files { backends, .. } => backends.borrow().len(),
        }
    }

    /// One life of the process, under a clock that leaps to the next timer when nobody has
    /// anything to do. It ends without warning when `story` does: every task vanishes where it
    /// stands, and disks lose what was not synced.
    pub(crate) fn live<T>(&self, crash: CrashPoints, story: impl AsyncFnOnce(Life) -> T) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime without input and output starts");
        runtime.block_on(async {
            let clock = Arc::new(PausedClock {
                base_ms: AtomicU64::new(self.wall_ms.get()),
                origin: Instant::now(),
            });
            let life = self.open(crash, Arc::clone(&clock));
            let end = story(life).await;
            self.wall_ms.set(clock.now().as_millis() + 1);
            self.cut_power();
            end
        })
    }

    fn cut_power(&self) {
        if let Disks::Files {
            index,
            backends,
            seed,
        } = &self.disks
        {
            seed.set(
                seed.get()
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1),
            );
            index.replace_with(|file| file.crash(seed.get()));
            backends.replace_with(|disks| {
                (1..)
                    .zip(disks)
                    .map(|(n, disk)| disk.crash(seed.get() ^ n))
                    .collect()
            });
        }
    }

    fn open(&self, crash: CrashPoints, clock: Arc<PausedClock>) -> Life {
        let (index, backends): (TestIndex, Vec<Arc<dyn Backend>>) = match &self.disks {
            Disks::Memory { index, backends } => {
                let shared = |b: &MemoryBackend| Arc::new(b.clone()) as Arc<dyn Backend>;
                (
                    TestIndex::Memory(Arc::clone(index)),
                    backends.iter().map(shared).collect(),
                )
            }
            Disks::Files {
                index, backends, ..
            } => {
                let file = Box::new(index.borrow().clone());
                let options = IndexOptions {
                    commit: CommitMode::Inline,
                    free_bytes_min: 0,
                    fatal: Arc::new(|_reason| {}),
                    entropy: Arc::clone(&self.entropy),
                    ..IndexOptions::default()
                };
                let opened = EmbeddedIndex::open_on(file, site(), options);
                let index = TestIndex::File(Arc::new(opened.expect("the index opens")));
                let directory = |disk: &SimFs| {
                    let layer = Arc::new(disk.clone());
                    let opened = FsBackend::on_layer(layer, Arc::clone(&self.entropy));
                    Arc::new(opened.expect("the directory opens")) as Arc<dyn Backend>
                };
                (index, backends.borrow().iter().map(directory).collect())
            }
        };
        let observer = Arc::clone(&self.observer);
        let configured = self.facts.iter().map(|facts| {
            let number = backends
                .iter()
                .enumerate()
                .position(|(n, _)| backend_id(n) == facts.id);
            let number = number.expect("only backends of this world are configured");
            (facts.clone(), Arc::clone(&backends[number]))
        });
        let time = Arc::clone(&clock);
        let gateway = Gateway::new(Parts {
            index: match self.hesitation {
                Some(seed) => Arc::new(Hesitant::new(index.shared(), seed ^ self.wall_ms.get())),
                None => index.shared(),
            },
            backends: Backends::new(configured.collect(), &observer, &self.settings),
            decider: Arc::clone(&self.decider),
            grants: Arc::new(AllowAll),
            observer,
            clock: clock as Arc<dyn Clock>,
            entropy: Arc::clone(&self.entropy),
            crash,
            settings: self.settings.clone(),
        });
        Life {
            client: Client::of(&gateway),
            gateway,
            index,
            backends,
            clock: time,
        }
    }
}

/// One life of a site's process.
pub(crate) struct Life {
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) client: Client,
    pub(crate) index: TestIndex,
    pub(crate) backends: Vec<Arc<dyn Backend>>,
    clock: Arc<PausedClock>,
}

impl Life {
    /// The time on the wall.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Sets the clock on the wall ahead, while no time passes.
    pub(crate) fn set_ahead(&self, span: Duration) {
        let span = u64::try_from(span.as_millis()).expect("a span of some years at most");
        self.clock.base_ms.fetch_add(span, Ordering::SeqCst);
    }

    /// Sets it back.
    pub(crate) fn set_back(&self, span: Duration) {
        let span = u64::try_from(span.as_millis()).expect("a span of some years at most");
        self.clock.base_ms.fetch_sub(span, Ordering::SeqCst);
    }

    /// Makes the bucket that clients use, unless it is there.
    pub(crate) async fn make_bucket(&self) {
        let create = Mutation::CreateBucket {
            name: bucket(),
            owner: None,
            location: None,
            now: Timestamp::from_millis(1),
        };
        let _there_already = self.gateway.index().apply(create).await;
    }

    /// Starts the background.
    pub(crate) fn start_background(&self) -> Background {
        replicate::run(&self.gateway)
    }
}

/// An index that can be audited.
pub(crate) enum TestIndex {
    Memory(Arc<MemoryIndex>),
    File(Arc<EmbeddedIndex>),
}

impl TestIndex {
    fn shared(&self) -> Arc<dyn Index> {
        match self {
            Self::Memory(index) => Arc::clone(index) as Arc<dyn Index>,
            Self::File(index) => Arc::clone(index) as Arc<dyn Index>,
        }
    }

    pub(crate) fn audit(&self) -> Result<Audit, IndexError> {
        match self {
            Self::Memory(index) => index.audit(),
            Self::File(index) => index.audit(),
        }
    }
}

/// Wall-clock time that follows the runtime's paused clock.
struct PausedClock {
    base_ms: AtomicU64,
    origin: Instant,
}

impl Clock for PausedClock {
    fn now(&self) -> Timestamp {
        let base = Timestamp::from_millis(self.base_ms.load(Ordering::SeqCst));
        base.plus(Instant::now() - self.origin)
    }
}

fn site() -> SiteId {
    SiteId::parse("here").expect("a valid site")
}

pub(crate) fn backend_id(number: usize) -> BackendId {
    BackendId::parse(&format!("b{number}")).expect("a valid id")
}

pub(crate) fn bucket() -> BucketName {
    BucketName::parse("bucket").expect("a valid name")
}

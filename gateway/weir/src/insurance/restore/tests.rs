use weir_backend::memory::{Call, Fault, MemoryBackend};
use weir_index::log::LogOptions;
use weir_insurance::{Parts, Settings, start};
use weir_types::backend::BackendErrorKind;
use weir_types::crash::CrashPoints;
use weir_types::id::BucketName;

use super::*;

const BACKENDS: [&str; 2] = ["disk-a", "disk-b"];

fn site() -> SiteId {
    SiteId::parse("here").expect("a valid site")
}

fn id(name: &str) -> BackendId {
    BackendId::parse(name).expect("a valid id")
}

/// An index with one bucket, shipped to both of `backends`; its epoch and its stream.
async fn ship(backends: &[MemoryBackend; 2], bucket: &str) -> (String, String) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let options = IndexOptions {
        log: Some(LogOptions {
            bytes_max: 1 << 20,
            tag: String::new(),
        }),
        ..IndexOptions::default()
    };
    let index = EmbeddedIndex::open(&folder.path().join("index"), site(), options);
    let index = Arc::new(index.expect("it opens"));
    let made = index.apply(Mutation::CreateBucket {
        name: BucketName::parse(bucket).expect("a valid name"),
        owner: None,
        location: None,
        now: SystemClock.now(),
    });
    made.await.expect("made");
    let targets = BACKENDS.iter().zip(backends).map(|(name, backend)| Target {
        id: id(name),
        backend: Arc::new(backend.clone()),
    });
    let shipping = start(Parts {
        index: Arc::clone(&index),
        targets: targets.collect(),
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy::default()),
        crash: CrashPoints::none(),
        settings: Settings {
            interval: Duration::from_millis(10),
            ..Settings::at(folder.path().join("insurance"))
        },
    });
    let is_there = |shipping: &weir_insurance::Shipping| {
        let status = shipping.watch().status();
        status
            .iter()
            .all(|s| s.shipped.is_some() && s.lag_entries == 0)
    };
    while !is_there(&shipping) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    shipping.stop().await;
    let stream = index.log_tail().borrow().expect("a log").stream;
    (index.identity().epoch, stream.to_string())
}

async fn mark(backend: &MemoryBackend, name: &str, site: &str, epoch: &str) {
    let identity = IndexIdentity {
        site: SiteId::parse(site).expect("a valid site"),
        epoch: epoch.to_owned(),
    };
    let owned = Owned::new(id(name), Arc::new(backend.clone()), &identity);
    owned.adopt().await.expect("written");
}

/// One restoration, in `folder`.
async fn run(
    folder: &Path,
    backends: &[MemoryBackend; 2],
    wanted: &Wanted,
) -> Result<Report, Failure> {
    let config = Config {
        data_dir: folder.to_owned(),
        ..Config::default()
    };
    let target = config.data_dir.join(INDEX_FILE);
    let named = BACKENDS.iter().zip(backends);
    let restoration = Restoration {
        config: &config,
        sources: &Sources::default(),
        wanted,
        tell: &|_| {},
        site: site(),
        target,
        backends: named
            .map(|(name, backend)| (id(name), Arc::new(Metered::new(Arc::new(backend.clone())))))
            .collect(),
    };
    let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy::default());
    restoration.run(&entropy).await
}

#[tokio::test]
async fn what_may_be_newer_elsewhere_stops_it_before_anything_is_changed() {
    let backends = [MemoryBackend::new(), MemoryBackend::new()];
    let (older, stream) = ship(&backends, "older").await;
    let (newer, newer_stream) = ship(&backends, "newer").await;
    let later = "f".repeat(32);
    let (a, b) = ("disk-a", "disk-b");
    // Markers of both (site and epoch), which backend is down, options, and what comes of it:
    // the epoch that is restored, or what the refusal names.
    type Case<'a> = (
        [(&'a str, &'a str); 2],
        Option<usize>,
        Option<&'a str>,
        Option<&'a str>,
        Result<&'a str, Vec<&'a str>>,
    );
    let (old, new) = (("here", older.as_str()), ("here", newer.as_str()));
    let cases: [Case<'_>; 10] = [
        ([old, old], None, None, None, Ok(&older)),
        ([new, new], None, None, None, Ok(&newer)),
        (
            [old, old],
            Some(1),
            None,
            None,
            Err(vec!["--without disk-b"]),
        ),
        (
            [old, old],
            Some(1),
            Some(a),
            None,
            Err(vec!["--without disk-b"]),
        ),
        ([old, old], Some(1), Some(b), None, Ok(&older)),
        (
            [new, old],
            None,
            None,
            None,
            Err(vec![b, &older, "--stream"]),
        ),
        ([new, old], None, None, Some(&stream), Ok(&older)),
        (
            [new, ("here", &later)],
            None,
            None,
            None,
            Err(vec![b, &later, &newer_stream]),
        ),
        (
            [("there", &newer), new],
            None,
            None,
            None,
            Err(vec![a, "there"]),
        ),
        ([("here", &later), new], Some(0), Some(a), None, Ok(&newer)),
    ];
    for (number, (markers, down, without, stream, expected)) in cases.into_iter().enumerate() {
        for ((name, backend), (site, epoch)) in BACKENDS.iter().zip(&backends).zip(markers) {
            backend.set_plan(None);
            mark(backend, name, site, epoch).await;
        }
        if let Some(down) = down {
            let fails = |_: &Call<'_>| Some(Fault::Fail(BackendErrorKind::Unavailable));
            backends[down].set_plan(Some(Arc::new(fails)));
        }
        let mut wanted = Wanted {
            no_wait: true,
            dry_run: true,
            stream: stream.map(str::to_owned),
            without: without.map(str::to_owned).into_iter().collect(),
            ..Wanted::default()
        };
        let folder = tempfile::tempdir().expect("a temporary folder");
        let is_empty = || {
            let mut left = std::fs::read_dir(folder.path()).expect("readable");
            left.next().is_none()
        };
        let dry = run(folder.path(), &backends, &wanted).await;
        let dry = dry.unwrap_or_else(|error| panic!("case {number}: {error}"));
        assert_eq!(dry.refusals.is_empty(), expected.is_ok(), "case {number}");
        assert!(is_empty(), "case {number}");
        let says = |report: &Report, what: &str| report.to_string().contains(what);
        assert_eq!(
            says(&dry, "nothing that was shipped is missing"),
            down.is_none(),
            "case {number}: {dry}"
        );
        wanted.dry_run = false;
        let done = run(folder.path(), &backends, &wanted).await;
        match (done, expected) {
            (Ok(report), Ok(epoch)) => {
                assert_eq!(report.epoch, epoch, "case {number}");
                assert!(folder.path().join(INDEX_FILE).exists(), "case {number}");
            }
            (Err(refused), Err(names)) => {
                let refused = refused.to_string();
                for name in names {
                    assert!(refused.contains(name), "case {number}: {refused}");
                    assert!(says(&dry, name), "case {number}: {dry}");
                }
                assert!(is_empty(), "case {number}");
            }
            (done, _) => panic!("case {number}: {done:?}"),
        }
    }
}

#[tokio::test]
async fn an_attempt_that_was_cut_short_is_gone_on_with() {
    let backends = [MemoryBackend::new(), MemoryBackend::new()];
    let (older, _) = ship(&backends, "older").await;
    let _newer = ship(&backends, "newer").await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let successor = "e".repeat(32);
    let note = folder.path().join(format!("{INDEX_FILE}.successor"));
    std::fs::write(&note, format!("{successor} {older}")).expect("written");
    mark(&backends[0], BACKENDS[0], "here", &successor).await;
    mark(&backends[1], BACKENDS[1], "here", &older).await;
    let wanted = Wanted {
        no_wait: true,
        ..Wanted::default()
    };
    let report = run(folder.path(), &backends, &wanted).await;
    let report = report.expect("its own marker does not stop it");
    assert_eq!((report.epoch, report.successor), (older, successor));
    assert_eq!(report.foreign, [""; 0]);
    assert!(!note.exists());
}

//! What the log of changes costs a commit: the same index with it and without, in turns.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;
use weir_index::log::LogOptions;
use weir_index::store::RedbStore;
use weir_index::{IndexOptions, StoreIndex};

use crate::workload;

const CACHE_BYTES: usize = 32 << 20;
const PUT_SPAN: Duration = Duration::from_secs(1);
const WRITERS: [u64; 3] = [1, 16, 64];
/// As a shipper does that is never behind for longer.
const TRIM_INTERVAL: Duration = Duration::from_secs(1);
/// Ticks of `/proc/self/stat` in a second, as Linux has them.
const TICKS_PER_SECOND: f64 = 100.0;

/// An index, the folder it lies in, what was measured.
struct Side {
    index: Arc<StoreIndex<RedbStore>>,
    _folder: tempfile::TempDir,
    /// PUT/s and CPU µs per PUT, by number of writers, by round.
    samples: [Vec<(f64, f64)>; WRITERS.len()],
}

impl Side {
    fn new(runtime: &Runtime, log: Option<LogOptions>, objects: u64) -> Self {
        let folder = tempfile::tempdir_in("target").expect("a temporary folder");
        let store = store(folder.path());
        let options = IndexOptions {
            log,
            ..IndexOptions::default()
        };
        let index = StoreIndex::over(store, workload::site(), options).expect("it opens");
        let index = Arc::new(index);
        let trimmed = Arc::clone(&index);
        runtime.spawn(async move {
            loop {
                tokio::time::sleep(TRIM_INTERVAL).await;
                let tail = *trimmed.log_tail().borrow();
                if let Some(tail) = tail {
                    let done = trimmed.trim_log(tail.stream, tail.last).await;
                    done.expect("the index works");
                }
            }
        });
        workload::fill(runtime, &index, objects);
        Self {
            index,
            _folder: folder,
            samples: Default::default(),
        }
    }

    fn round(&mut self, runtime: &Runtime) {
        for (writers, samples) in WRITERS.iter().zip(&mut self.samples) {
            let before = cpu_seconds();
            let rate = workload::puts(runtime, &self.index, *writers, PUT_SPAN);
            let puts = rate * PUT_SPAN.as_secs_f64();
            samples.push((rate, (cpu_seconds() - before) * 1e6 / puts));
        }
    }
}

fn store(folder: &Path) -> RedbStore {
    RedbStore::open_file(&folder.join("index"), CACHE_BYTES).expect("the file is the bench's own")
}

/// Time of this process on all cores.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("this is Linux");
    let fields = stat.rsplit_once(')').expect("as proc(5) has it").1;
    let ticks = fields.split_whitespace().skip(11).take(2);
    let ticks: f64 = ticks
        .map(|field| field.parse::<f64>().expect("as proc(5) has it"))
        .sum();
    ticks / TICKS_PER_SECOND
}

/// Runs both in turns, and prints medians with least and greatest, of the ratios too.
pub(crate) fn run(runtime: &Runtime, objects: u64, rounds: u64) {
    let log = LogOptions {
        bytes_max: 64 << 20,
        tag: String::new(),
    };
    let mut plain = Side::new(runtime, None, objects);
    let mut logged = Side::new(runtime, Some(log), objects);
    for number in 0..rounds {
        // Whoever comes second finds a disk that the other has warmed.
        if number % 2 == 0 {
            plain.round(runtime);
            logged.round(runtime);
        } else {
            logged.round(runtime);
            plain.round(runtime);
        }
    }
    println!("| writers | measure | plain | logged | logged / plain |\n|---|---|---|---|---|");
    for (number, writers) in WRITERS.iter().enumerate() {
        let (plain, logged) = (&plain.samples[number], &logged.samples[number]);
        for (measure, of) in [
            ("PUT/s", (|s: &(f64, f64)| s.0) as fn(&(f64, f64)) -> f64),
            ("CPU µs per PUT", |s| s.1),
        ] {
            let ratios = plain.iter().zip(logged).map(|(p, l)| of(l) / of(p));
            println!(
                "| {writers} | {measure} | {} | {} | {} |",
                median(plain.iter().map(of).collect(), 0),
                median(logged.iter().map(of).collect(), 0),
                median(ratios.collect(), 2)
            );
        }
    }
}

fn median(mut values: Vec<f64>, digits: usize) -> String {
    values.sort_by(f64::total_cmp);
    let middle = values[values.len() / 2];
    let (least, greatest) = (values[0], values[values.len() - 1]);
    format!("{middle:.digits$} ({least:.digits$} … {greatest:.digits$})")
}

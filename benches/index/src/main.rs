//! Decides the index's engine: redb against fjall, with the gateway's own access pattern and
//! the gateway's own rules above the storage seam.
//!
//! `cargo run --release -p weir-bench-index -- [OBJECTS] [ROUNDS]`; with `log` before them, what
//! the log of changes costs instead.
//!
//! Engines take turns within each round, so that a machine that slows down slows all of them.

#![allow(clippy::print_stdout)] // the table is what this program is for

mod fjall_store;
mod logged;
mod redb_one_tree;
mod workload;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use weir_index::store::{RedbStore, Store};
use weir_index::{IndexOptions, StoreIndex};

use fjall_store::FjallStore;
use redb_one_tree::RedbOneTree;

const CACHE_BYTES: usize = 32 << 20;
const PUT_SPAN: Duration = Duration::from_millis(1500);
const COLUMNS: [&str; 7] = [
    "PUT/s 1 writer",
    "PUT/s 16 writers",
    "PUT/s 64 writers",
    "lookup µs",
    "list folded µs/entry",
    "list plain µs/entry",
    "reopen after kill ms",
];

/// One engine with a filled index.
struct Contender<S: Store> {
    name: &'static str,
    open: fn(&Path) -> S,
    folder: tempfile::TempDir,
    index: Arc<StoreIndex<S>>,
    samples: Vec<[f64; COLUMNS.len()]>,
}

/// A contender whatever its engine.
trait Contends {
    fn round(&mut self, runtime: &Runtime, objects: u64, number: u64);
    fn print(&self);
}

impl<S: Store> Contender<S> {
    fn new(runtime: &Runtime, name: &'static str, open: fn(&Path) -> S, objects: u64) -> Self {
        let folder = tempfile::tempdir_in("target").expect("a temporary folder");
        let index = Arc::new(index_over(open(folder.path())));
        let started = Instant::now();
        workload::fill(runtime, &index, objects);
        let bytes = folder_bytes(folder.path());
        println!(
            "{name}: filled with {objects} objects in {:.1} s, {} MiB",
            started.elapsed().as_secs_f64(),
            bytes >> 20
        );
        Self {
            name,
            open,
            folder,
            index,
            samples: Vec::new(),
        }
    }

    /// What a process finds that starts after this one was killed now: the files as they are.
    fn reopen_ms(&self) -> f64 {
        let found = tempfile::tempdir_in("target").expect("a temporary folder");
        copy_folder(self.folder.path(), found.path());
        let started = Instant::now();
        let index = index_over((self.open)(found.path()));
        let elapsed = started.elapsed().as_secs_f64() * 1e3;
        drop(index);
        elapsed
    }
}

impl<S: Store> Contends for Contender<S> {
    fn round(&mut self, runtime: &Runtime, objects: u64, number: u64) {
        let index = &self.index;
        self.samples.push([
            workload::puts(runtime, index, 1, PUT_SPAN),
            workload::puts(runtime, index, 16, PUT_SPAN),
            workload::puts(runtime, index, 64, PUT_SPAN),
            workload::lookups(runtime, index, objects, number),
            workload::listing(runtime, index, true),
            workload::listing(runtime, index, false),
            self.reopen_ms(),
        ]);
    }

    fn print(&self) {
        for (column, title) in COLUMNS.iter().enumerate() {
            let mut values: Vec<f64> = self.samples.iter().map(|sample| sample[column]).collect();
            values.sort_by(f64::total_cmp);
            let (low, high) = (values[0], values[values.len() - 1]);
            let median = values[values.len() / 2];
            println!(
                "| {title} | {} | {median:.1} | {low:.1} … {high:.1} |",
                self.name
            );
        }
    }
}

fn index_over<S: Store>(store: S) -> StoreIndex<S> {
    StoreIndex::over(store, workload::site(), IndexOptions::default()).expect("it opens")
}

fn folder_bytes(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).expect("the bench's own folder");
    entries
        .map(|entry| {
            let entry = entry.expect("the bench's own folder");
            let data = entry.metadata().expect("a file that is there");
            if data.is_dir() {
                folder_bytes(&entry.path())
            } else {
                data.len()
            }
        })
        .sum()
}

fn copy_folder(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).expect("the bench's own folder") {
        let entry = entry.expect("the bench's own folder");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            std::fs::create_dir(&target).expect("a new folder");
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("room for a copy");
        }
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1).peekable();
    let of_the_log = arguments.next_if(|first| first == "log").is_some();
    let mut numbers = arguments.map(|argument| {
        argument
            .parse::<u64>()
            .expect("arguments: OBJECTS ROUNDS, both numbers")
    });
    let objects = numbers
        .next()
        .unwrap_or(200_000)
        .max(workload::KEYS_PER_FOLDER);
    let rounds = numbers.next().unwrap_or(5).max(1);
    let runtime = Runtime::new().expect("a runtime starts");
    if of_the_log {
        return logged::run(&runtime, objects, rounds);
    }

    let mut contenders: Vec<Box<dyn Contends>> = vec![
        Box::new(Contender::new(
            &runtime,
            "redb",
            |folder| {
                RedbStore::open_file(&folder.join("index"), CACHE_BYTES)
                    .expect("the file is the bench's own")
            },
            objects,
        )),
        Box::new(Contender::new(
            &runtime,
            "redb, one tree",
            |folder| RedbOneTree::open(&folder.join("index"), CACHE_BYTES, false),
            objects,
        )),
        Box::new(Contender::new(
            &runtime,
            "redb, one tree, quick repair",
            |folder| RedbOneTree::open(&folder.join("index"), CACHE_BYTES, true),
            objects,
        )),
        Box::new(Contender::new(
            &runtime,
            "fjall",
            |folder| FjallStore::open(&folder.join("index"), CACHE_BYTES),
            objects,
        )),
    ];
    for number in 0..rounds {
        println!("round {} of {rounds}", number + 1);
        for contender in &mut contenders {
            contender.round(&runtime, objects, number);
        }
    }
    println!("\n| measure | engine | median | least … greatest |\n|---|---|---|---|");
    for contender in &contenders {
        contender.print();
    }
}

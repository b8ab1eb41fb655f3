//! Three real S3 servers; one is killed while many reads that it serves are open.
//!
//! No client may see an error or a wrong byte, new writes go on, and after the server's return
//! every object has its factor again, counted by listing the servers themselves.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use xtask::paths::fresh_folder;
use xtask::servers::{Kind, Server};

use crate::Result;
use crate::args::Args;
use crate::backends::{blob_of, copies};
use crate::client::Client;
use crate::content::{identify, matches, slice, storm_bytes};
use crate::gateway::{BACKEND_BUCKET, Gateway, backend_bucket};
use crate::random::{Random, seed};
use crate::sockets::connections_to;

const BUCKET: &str = "storm";
const IDS: [&str; 3] = ["sea", "weed", "clone"];
const KINDS: [Kind; 3] = [Kind::SeaweedFs, Kind::SeaweedFs, Kind::Rclone];
const FACTOR: usize = 2;
const LARGE_OBJECTS: u64 = 12;
const SMALL_OBJECTS: u64 = 300;
const SMALL_READERS: u64 = 8;
/// So many reads are opened at most for each that one server must serve.
const READS_PER_SERVED: usize = 4;
/// Small reads are there to notice a failure, not to take the machine.
const SMALL_PAUSE: Duration = Duration::from_millis(20);
const RESTORE_LIMIT: Duration = Duration::from_secs(120);
/// A client that gets nothing for so long has failed.
const SILENCE_MAX: Duration = Duration::from_secs(120);
/// Reads that are opened, and after the kill read to their end, at one time. All others take a
/// little now and then: two thousand at full speed want more memory for sockets than a small
/// machine's kernel has.
const READERS_AT_ONCE: usize = 64;
/// Readers are added in groups of this size until one server serves enough.
const READERS_ADDED: usize = 100;
/// How often a waiting reader takes bytes: a client that takes none is given up.
const SIP_EVERY: Duration = Duration::from_secs(2);
/// What a reader's connection holds of what it has not taken yet.
const RECEIVE_BUFFER_BYTES: usize = 64 << 10;
const LIMITS: &str = "retry_pause_ms_min = 100\nretry_pause_ms_max = 1000\n\
    breaker_open_ms_max = 2000\nclean_grace_ms = 200\nlate_write_ms_max = 12000\nreaper_interval_ms = 500\n";

/// Runs the storm.
pub(crate) async fn run(args: &Args) -> Result<()> {
    let seed = seed(args);
    let readers = args.count("readers", 200);
    let large_bytes = args.get("large-mib", 16) << 20;

    let folder = fresh_folder("failover-servers")?;
    let mut servers = start_servers(&folder)?;
    let mut direct = Vec::new();
    for server in &servers {
        direct.push(backend_bucket(server).await?);
    }
    let named: Vec<_> = IDS.into_iter().zip(&servers).collect();
    // Every open read holds a slot of its backend, and after the kill of the next one.
    let backends = Gateway::servers(&named, READS_PER_SERVED * readers + 64);
    let gateway = Gateway::start("failover", &backends, LIMITS).await?;
    let client = gateway.client();
    client.create_bucket(BUCKET).await?;
    fill(&client, large_bytes).await?;
    gateway.settle().await?;
    check_factor(&direct).await?;

    let ports: Vec<u16> = servers.iter().map(port_of).collect::<Result<_>>()?;
    let mut storm = Storm::start(&client, large_bytes, seed);
    let (victim, served) = storm.open_until(readers, &ports).await?;
    println!(
        "{} reads of {large_bytes} bytes are open, {served} of them at {}, which is killed now",
        storm.large.len(),
        IDS[victim]
    );
    servers[victim].kill();
    let during = Instant::now();
    storm.killed.store(true, Ordering::SeqCst);
    let writes = write_meanwhile(&client).await?;
    let small_reads = storm.finish().await?;
    println!(
        "all reads whole after {:.1} s, {small_reads} small reads and {writes} writes meanwhile",
        during.elapsed().as_secs_f64()
    );

    servers[victim].restart()?;
    restored(&gateway, &direct).await?;
    everything_readable(&client, large_bytes, writes).await?;
    println!(
        "{} has returned and every object has {FACTOR} copies",
        IDS[victim]
    );
    drop(servers);
    std::fs::remove_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    gateway.remove()
}

fn start_servers(folder: &Path) -> Result<Vec<Server>> {
    IDS.iter()
        .zip(KINDS)
        .map(|(id, kind)| Server::start(kind, &folder.join(id)))
        .collect()
}

fn large(number: u64) -> String {
    format!("/{BUCKET}/large/{number}")
}

fn small(id: u64) -> String {
    format!("/{BUCKET}/small/{id}")
}

async fn fill(client: &Client, large_bytes: u64) -> Result<()> {
    for number in 0..LARGE_OBJECTS {
        client
            .put(&large(number), slice(number, 0, large_bytes))
            .await?;
    }
    for id in 0..SMALL_OBJECTS {
        client
            .put(&small(id), slice(id, 0, storm_bytes(id)))
            .await?;
    }
    Ok(())
}

fn port_of(server: &Server) -> Result<u16> {
    let endpoint = server.endpoint();
    let port = endpoint.rsplit(':').next().unwrap_or_default();
    port.parse().map_err(|e| format!("{endpoint}: {e}"))
}

/// The readers.
struct Storm {
    client: Client,
    large_bytes: u64,
    /// Reads that have got their first bytes.
    opened: Arc<AtomicUsize>,
    turns: Arc<Semaphore>,
    killed: Arc<AtomicBool>,
    over: Arc<AtomicBool>,
    large: JoinSet<Result<()>>,
    small: JoinSet<Result<()>>,
    small_reads: Arc<AtomicU64>,
}

impl Storm {
    fn start(client: &Client, large_bytes: u64, seed: u64) -> Self {
        let mut storm = Self {
            client: client.holding_at_most(RECEIVE_BUFFER_BYTES),
            large_bytes,
            opened: Arc::default(),
            turns: Arc::new(Semaphore::new(READERS_AT_ONCE)),
            killed: Arc::new(AtomicBool::new(false)),
            over: Arc::new(AtomicBool::new(false)),
            large: JoinSet::new(),
            small: JoinSet::new(),
            small_reads: Arc::new(AtomicU64::new(0)),
        };
        for reader in 0..SMALL_READERS {
            let random = Random::new(seed, reader);
            let (client, over) = (client.clone(), Arc::clone(&storm.over));
            let count = Arc::clone(&storm.small_reads);
            storm.small.spawn(async move {
                while !over.load(Ordering::SeqCst) {
                    read_small(&client, random.below(SMALL_OBJECTS)).await?;
                    count.fetch_add(1, Ordering::Relaxed);
                    sleep(SMALL_PAUSE).await;
                }
                Ok(())
            });
        }
        storm
    }

    /// Opens reads until one of the servers has at least `wanted` connections; answers which,
    /// and how many it has.
    async fn open_until(&mut self, wanted: usize, ports: &[u16]) -> Result<(usize, usize)> {
        loop {
            while self.opened.load(Ordering::SeqCst) < self.large.len() {
                if let Some(ended) = self.large.try_join_next() {
                    ended.map_err(|e| e.to_string())??;
                    return Err("a read ended before the kill".to_owned());
                }
                sleep(Duration::from_millis(10)).await;
            }
            let served = ports.iter().map(|port| connections_to(*port));
            let served: Vec<usize> = served.collect::<Result<_>>()?;
            let busiest = (0..ports.len()).max_by_key(|at| served[*at]).unwrap_or(0);
            if served[busiest] >= wanted {
                return Ok((busiest, served[busiest]));
            }
            let open = self.large.len();
            eprintln!("{open} reads are open, by server {served:?}; one shall have {wanted}");
            if open >= READS_PER_SERVED * wanted {
                return Err("no server serves enough reads".to_owned());
            }
            for number in open..open + READERS_ADDED {
                self.open_one(number as u64 % LARGE_OBJECTS);
            }
        }
    }

    fn open_one(&mut self, number: u64) {
        let (client, turns) = (self.client.clone(), Arc::clone(&self.turns));
        let (opened, killed) = (Arc::clone(&self.opened), Arc::clone(&self.killed));
        let large_bytes = self.large_bytes;
        self.large.spawn(async move {
            let (mut body, mut read) = open(&client, number, &turns).await?;
            opened.fetch_add(1, Ordering::SeqCst);
            let mut sipped = Instant::now();
            let _turn = loop {
                sleep(Duration::from_millis(10)).await;
                if killed.load(Ordering::SeqCst)
                    && let Ok(turn) = turns.try_acquire()
                {
                    break turn;
                }
                if sipped.elapsed() >= SIP_EVERY {
                    sipped = Instant::now();
                    match next(&mut body, number, read).await? {
                        Some(sip) => read += sip,
                        None if killed.load(Ordering::SeqCst) => {
                            break turns.acquire().await.map_err(|e| e.to_string())?;
                        }
                        None => return Err("the bytes ended before the kill".to_owned()),
                    }
                }
            };
            read_on(body, number, read, large_bytes).await
        });
    }

    /// Waits for every reader; answers how many small reads there were.
    async fn finish(mut self) -> Result<u64> {
        let large = all(&mut self.large).await;
        self.over.store(true, Ordering::SeqCst);
        all(&mut self.small).await?;
        large.map(|()| self.small_reads.load(Ordering::Relaxed))
    }
}

async fn all(tasks: &mut JoinSet<Result<()>>) -> Result<()> {
    let mut failed = Vec::new();
    while let Some(done) = tasks.join_next().await {
        if tasks.len().is_multiple_of(READERS_ADDED) && !tasks.is_empty() {
            eprintln!("{} readers are left", tasks.len());
        }
        if let Err(problem) = done.map_err(|e| e.to_string()).flatten() {
            failed.push(problem);
        }
    }
    match failed.first() {
        None => Ok(()),
        Some(first) => Err(format!(
            "{} clients saw a failure; the first: {first}",
            failed.len()
        )),
    }
}

/// Begins to read a large object and stops after the first bytes.
async fn open(
    client: &Client,
    number: u64,
    turns: &Semaphore,
) -> Result<(hyper::body::Incoming, u64)> {
    let _turn = turns.acquire().await.map_err(|e| e.to_string())?;
    let mut body = client.open(&large(number)).await?.into_body();
    let first = next(&mut body, number, 0)
        .await?
        .ok_or(format!("{} is empty", large(number)))?;
    Ok((body, first))
}

async fn read_on(
    mut body: hyper::body::Incoming,
    number: u64,
    mut read: u64,
    whole: u64,
) -> Result<()> {
    while let Some(bytes) = next(&mut body, number, read).await? {
        read += bytes;
    }
    if read == whole {
        Ok(())
    } else {
        Err(format!("{}: {read} of {whole} bytes", large(number)))
    }
}

/// Length of the next piece, which has been compared.
async fn next(body: &mut hyper::body::Incoming, number: u64, at: u64) -> Result<Option<u64>> {
    loop {
        let frame = timeout(SILENCE_MAX, body.frame()).await;
        let Some(frame) = frame.map_err(|_| format!("{} stood still at {at}", large(number)))?
        else {
            return Ok(None);
        };
        let frame = frame.map_err(|e| format!("{} broke off at {at}: {e}", large(number)))?;
        let Some(bytes) = frame.data_ref() else {
            continue;
        };
        if !matches(number, at, bytes) {
            return Err(format!("{}: wrong bytes at {at}", large(number)));
        }
        return Ok(Some(bytes.len() as u64));
    }
}

async fn read_small(client: &Client, id: u64) -> Result<()> {
    let body: Bytes = client
        .get(&small(id))
        .await
        .map_err(|e| format!("{}: {e}", small(id)))?;
    match identify(&body)? {
        found if found == id => Ok(()),
        found => Err(format!("{}: the bytes of {found}", small(id))),
    }
}

/// New objects while the server is away.
async fn write_meanwhile(client: &Client) -> Result<u64> {
    const WRITES: u64 = 50;
    for id in SMALL_OBJECTS..SMALL_OBJECTS + WRITES {
        let put = client.put(&small(id), slice(id, 0, storm_bytes(id))).await;
        put.map_err(|e| format!("writing {} meanwhile: {e}", small(id)))?;
    }
    Ok(WRITES)
}

async fn everything_readable(client: &Client, large_bytes: u64, writes: u64) -> Result<()> {
    for id in 0..SMALL_OBJECTS + writes {
        read_small(client, id).await?;
    }
    for number in 0..LARGE_OBJECTS {
        let body = client.get(&large(number)).await?;
        if body.len() as u64 != large_bytes || !matches(number, 0, &body) {
            return Err(format!("{} is wrong in the end", large(number)));
        }
    }
    Ok(())
}

async fn restored(gateway: &Gateway, direct: &[Client]) -> Result<()> {
    let start = Instant::now();
    gateway.settle().await?;
    loop {
        match check_factor(direct).await {
            Ok(()) => return Ok(()),
            Err(problem) if start.elapsed() > RESTORE_LIMIT => return Err(problem),
            Err(_) => sleep(Duration::from_millis(200)).await,
        }
    }
}

/// Lists the servers themselves: every blob lies on as many as it should.
async fn check_factor(direct: &[Client]) -> Result<()> {
    let mut blobs = Vec::new();
    for (id, client) in IDS.into_iter().zip(direct) {
        let listed = client
            .list(BACKEND_BUCKET)
            .await
            .map_err(|e| format!("{id}: {e}"))?;
        let objects = listed.iter().filter(|entry| entry.key.starts_with("w1/"));
        blobs.push((
            id,
            objects
                .map(|entry| blob_of(Path::new(&entry.key)))
                .collect(),
        ));
    }
    let copies = copies(blobs)?;
    if (copies.len() as u64) < LARGE_OBJECTS + SMALL_OBJECTS {
        return Err(format!("only {} blobs lie on the servers", copies.len()));
    }
    let wrong: BTreeSet<_> = copies.iter().filter(|(_, on)| on.len() != FACTOR).collect();
    match wrong.first() {
        None => Ok(()),
        Some((blob, on)) => Err(format!(
            "{} blobs are wrong: {blob} lies on {on:?}",
            wrong.len()
        )),
    }
}

//! The rounds: in each, every contender runs every scenario, in an order that rotates.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use bytes::Bytes;
use tokio::runtime::Runtime;
use weir_types::clock::{Clock, SystemClock};
use xtask::{Result, paths};

use crate::contender::{CLIENT, Contender, Kind, Running, Site, free_address, own_role};
use crate::cpu::{CpuReading, core_busy};
use crate::load::{Connections, Prepared, Signer, fetch, tags};
use crate::objects::{GET_KEYS, Scenario};
use crate::place::Place;
use crate::report::{Sample, Samples};
use crate::upstream::SEEN_PATH;
use crate::{Options, report, wrk};

/// Starts everything, measures, prints.
pub(crate) fn run(runtime: &Runtime, options: &Options) -> Result<()> {
    let weir = match &options.weir {
        Some(path) => path.clone(),
        None => build_weir()?,
    };
    let folder = paths::fresh_folder("bench-http")?;
    let index = index_folder(options, &folder)?;
    let _place = Place::take(options.load_core)?;
    let upstream = start_upstream(options, &folder)?;
    let site = Site {
        folder: &folder,
        upstream: upstream.address,
        weir: &weir,
        index: &index,
        core: options.contender_core,
    };
    let kinds = if options.contenders.is_empty() {
        &Kind::ALL[..]
    } else {
        &options.contenders
    };
    let contenders: Vec<Contender> = kinds
        .iter()
        .map(|&kind| Contender::start(kind, &site))
        .collect::<Result<_>>()?;

    let bench = Bench {
        upstream: upstream.address,
        options,
    };
    let samples = runtime.block_on(bench.measure(&contenders))?;
    report::print(&samples, kinds, options);
    if options.wrk {
        let plans: Vec<_> = contenders
            .iter()
            .map(|contender| {
                (
                    contender,
                    get_plan(contender.running.address, Scenario::Get1K),
                )
            })
            .collect();
        wrk::run(&plans, options, &folder)?;
    }
    drop((contenders, upstream));
    for gone in [&folder, &index] {
        // Nothing is left to say about a folder that cannot be removed.
        let _ = fs::remove_dir_all(gone);
    }
    Ok(())
}

struct Bench<'a> {
    upstream: SocketAddr,
    options: &'a Options,
}

impl Bench<'_> {
    async fn measure(&self, contenders: &[Contender]) -> Result<Samples> {
        let scenarios = match &self.options.scenarios[..] {
            [] => &Scenario::ALL[..],
            some => some,
        };
        let mut samples = Samples::default();
        // Round 0 warms up: caches, pools, V8, and the objects that are read.
        for round in 0..=self.options.rounds {
            for &scenario in scenarios {
                for turn in 0..contenders.len() {
                    let contender = &contenders[(turn + round) % contenders.len()];
                    if round == 0 && !scenario.is_put() {
                        self.put_what_is_read(contender, scenario).await?;
                    }
                    let sample = self.run(contender, scenario, round).await.map_err(|e| {
                        format!("{}, {}: {e}", contender.kind.title(), scenario.title())
                    })?;
                    if round > 0 {
                        samples.add(scenario, contender.kind, sample);
                    }
                }
            }
            eprintln!("round {round} of {}", self.options.rounds);
        }
        Ok(samples)
    }

    async fn put_what_is_read(&self, contender: &Contender, scenario: Scenario) -> Result<()> {
        let address = contender.running.address;
        let paths = (0..GET_KEYS).map(|number| scenario.get_path(number));
        let plan = put_plan(address, scenario, paths);
        Connections::open(address, 1)
            .await?
            .send(&plan, plan.len())
            .await
            .map_err(|e| format!("{}, storing what is read: {e}", contender.kind.title()))
    }

    /// One run. Fails when a request does, or when the store did not see all of them signed
    /// as they should be.
    async fn run(&self, contender: &Contender, scenario: Scenario, run: usize) -> Result<Sample> {
        let address = contender.running.address;
        let connections_count = self.options.connections;
        let total = scenario.requests(self.options.requests);
        let plan = if scenario.is_put() {
            let paths = (0..total + connections_count).map(|n| scenario.put_path(run, n));
            put_plan(address, scenario, paths)
        } else {
            get_plan(address, scenario)
        };
        let (first, timed) = if scenario.is_put() {
            plan.split_at(connections_count)
        } else {
            (&plan[..], &plan[..])
        };

        let mut connections = Connections::open(address, connections_count).await?;
        connections.send(first, connections_count).await?;
        let seen_before = Seen::ask(self.upstream).await?;
        let busy_before = core_busy(self.options.contender_core)?;
        let cpu_before = CpuReading::of_group(contender.running.group())?;
        let start = Instant::now();
        connections.send(timed, total).await?;
        let wall = start.elapsed();
        let cpu = CpuReading::of_group(contender.running.group())?.since(&cpu_before);
        let busy = core_busy(self.options.contender_core)?.saturating_sub(busy_before);
        let seen = Seen::ask(self.upstream).await?;

        let passed = match scenario.is_put() {
            true => seen.puts - seen_before.puts,
            false => seen.gets - seen_before.gets,
        };
        if passed < total as u64 {
            return Err(format!("of {total} requests, {passed} reached the store"));
        }
        if seen.access_key != contender.kind.upstream_key() {
            return Err(format!(
                "the store saw requests signed by {}",
                seen.access_key
            ));
        }
        Ok(Sample {
            cpu_us: cpu.as_secs_f64() * 1e6 / total as f64,
            per_second: total as f64 / wall.as_secs_f64(),
            others: busy.saturating_sub(cpu).as_secs_f64() / wall.as_secs_f64(),
        })
    }
}

/// What the store has seen.
struct Seen {
    gets: u64,
    puts: u64,
    access_key: String,
}

impl Seen {
    async fn ask(upstream: SocketAddr) -> Result<Self> {
        let text = fetch(upstream, SEEN_PATH).await?;
        let text = String::from_utf8_lossy(&text).into_owned();
        let mut words = text.split(' ');
        let mut number = || words.next().and_then(|word| word.parse().ok());
        match (number(), number(), words.next()) {
            (Some(gets), Some(puts), Some(key)) => Ok(Self {
                gets,
                puts,
                access_key: key.to_owned(),
            }),
            _ => Err(format!("the store says {text:?}")),
        }
    }
}

fn get_plan(address: SocketAddr, scenario: Scenario) -> Vec<Prepared> {
    let content = scenario.content();
    let (etag, _) = tags(&content);
    let (_, sha256) = tags(b"");
    signed(address, &sha256, &etag, |signer| {
        let path = |number| scenario.get_path(number);
        (0..GET_KEYS)
            .map(|number| Prepared::get(signer, &path(number), &content))
            .collect()
    })
}

fn put_plan(
    address: SocketAddr,
    scenario: Scenario,
    paths: impl Iterator<Item = String>,
) -> Vec<Prepared> {
    let content: Bytes = scenario.content();
    let (etag, sha256) = tags(&content);
    signed(address, &sha256, &etag, |signer| {
        paths
            .map(|path| Prepared::put(signer, &path, &content))
            .collect()
    })
}

fn signed<T>(
    address: SocketAddr,
    sha256: &str,
    etag: &str,
    make: impl FnOnce(&Signer<'_>) -> T,
) -> T {
    let seconds = i64::try_from(SystemClock.now().as_secs()).unwrap_or(i64::MAX);
    let at = time::OffsetDateTime::from_unix_timestamp(seconds)
        .expect("the clock shows a year below 10000");
    make(&Signer {
        key: CLIENT,
        host: &address.to_string(),
        at,
        sha256,
        etag,
    })
}

fn start_upstream(options: &Options, folder: &Path) -> Result<Running> {
    let address = free_address()?;
    let mut command = own_role("upstream")?;
    command.arg(address.to_string());
    Running::start(
        command,
        options.load_core,
        address,
        folder.join("upstream.log"),
    )
}

fn index_folder(options: &Options, folder: &Path) -> Result<PathBuf> {
    let index = match &options.index_dir {
        Some(path) => path.join(format!("weir-bench-{}", std::process::id())),
        None => folder.join("index"),
    };
    fs::create_dir_all(&index).map_err(|e| format!("cannot make {}: {e}", index.display()))?;
    Ok(index)
}

fn build_weir() -> Result<PathBuf> {
    let status = Command::new(env!("CARGO"))
        .args(["build", "--release", "--package", "weir"])
        .current_dir(paths::root())
        .status()
        .map_err(|e| format!("cannot run cargo: {e}"))?;
    if status.success() {
        Ok(paths::binary("weir"))
    } else {
        Err(format!("building weir: {status}"))
    }
}

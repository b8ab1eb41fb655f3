//! Policies are swapped through the admin API under load, between two that place on disjoint
//! backends and decide overflow, replication and read routing beside.
//!
//! No request may fail, every object's copies must lie where the revision that its record
//! names places things, and of the revisions that were swapped out none may stay.

mod guest;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::Result;
use crate::args::Args;
use crate::backends::{copies, walk};
use crate::client::Client;
use crate::content::{identify, slice, storm_bytes};
use crate::gateway::Gateway;
use crate::random::{Random, seed};

/// Each is a bucket, a storage policy and a policy. What `spilling` places is always too large
/// for the backend that it proposes.
const NAMES: [&str; 2] = ["storm", "spilling"];
const BACKENDS: [&str; 5] = ["a-near", "b-near", "c-far", "d-far", "e-tiny"];
const TINY: u32 = 4;
const HOMES: [[u32; 2]; 2] = [[0, 1], [2, 3]];
/// The decisions that must have been asked for.
const DECISIONS: [&str; 4] = ["placement", "overflow", "replication", "read-routing"];
/// Who decides when each fails, and how many revisions of it are in memory after the storm: the
/// one that decides, and the one before it where it would step in.
const ON_FAULT: [(&str, f64); 2] = [("previous", 2.0), ("native", 1.0)];
const NEAR: [&str; 2] = ["a-near", "b-near"];
const FAR: [&str; 2] = ["c-far", "d-far"];
const LIMITS: &str = "clean_grace_ms = 100\nlate_write_ms_max = 1000\nreaper_interval_ms = 500\n";
/// Requests between two swaps.
const REQUESTS_PER_SWAP: u64 = 30;
/// How much more memory may be in use after the swaps than after as much load without any.
const GROWTH_BYTES_MAX: u64 = 48 << 20;
/// Swaps between two lines about memory.
const REPORT_EVERY: u64 = 100;
/// Each client keeps so many keys.
const KEYS_PER_CLIENT: u64 = 20;

/// Runs the storm.
pub(crate) async fn run(args: &Args) -> Result<()> {
    let seed = seed(args);
    let swaps = args.get("swaps", 30);
    let clients = args.get("clients", 16);

    let policy = |(name, (on_fault, _))| {
        format!(
            "[policies.{name}]\nbuiltin = \"spread\"\non_fault = \"{on_fault}\"\n\n\
             [storage_policies.{name}]\nplacement = \"{name}\"\noverflow = \"{name}\"\n\
             replication = \"{name}\"\nread_routing = \"{name}\"\nfactor = 2\n\n\
             [buckets.{name}]\nstorage_policy = \"{name}\"\n\n"
        )
    };
    let tables = format!(
        "{}{}\nbytes_max = 1\n",
        NAMES
            .into_iter()
            .zip(ON_FAULT)
            .map(policy)
            .collect::<String>(),
        Gateway::directories(&BACKENDS).trim_end(),
    );
    let gateway = Gateway::start("swap", &tables, LIMITS).await?;
    let components = HOMES.map(|homes| {
        let kinds = [
            guest::component(&homes, homes),
            guest::component(&[TINY], homes),
        ];
        kinds.into_iter().collect::<Result<Vec<_>>>()
    });
    let components = components.into_iter().collect::<Result<Vec<_>>>()?;
    upload(&gateway, &components[1]).await?;
    let client = gateway.client();

    let load = Load::start(&client, clients, seed);
    // The load alone fills caches; what is measured is what the swaps add.
    load.pass(REQUESTS_PER_SWAP * swaps).await;
    let warm = gateway.resident_bytes()?;
    for (number, components) in (0..swaps).zip(components.iter().cycle()) {
        upload(&gateway, components).await?;
        load.pass(REQUESTS_PER_SWAP).await;
        if number % REPORT_EVERY == 0 {
            let resident = gateway.resident_bytes()? >> 20;
            println!("{number} of {swaps} swaps, resident {resident} MiB");
        }
    }
    let requests = load.finish().await?;
    let after = gateway.resident_bytes()?;
    println!(
        "2 x {swaps} swaps under {clients} clients, {requests} requests; resident {} MiB, then {} MiB",
        warm >> 20,
        after >> 20
    );
    if after > warm + GROWTH_BYTES_MAX {
        return Err(format!("resident memory grew from {warm} to {after} bytes"));
    }
    gateway.settle().await?;
    for bucket in NAMES {
        every_object_is_explained(&gateway, bucket).await?;
    }
    everything_was_decided(&gateway).await?;
    gateway.remove()
}

/// Swaps each of the policies.
async fn upload(gateway: &Gateway, components: &[Vec<u8>]) -> Result<()> {
    for (name, component) in NAMES.iter().zip(components) {
        let path = format!("/v1/policies/{name}");
        let uploaded = gateway.admin("POST", &path, Some(component.clone()));
        uploaded.await?;
    }
    Ok(())
}

/// All decisions were made, by the components, and what was swapped out is gone.
async fn everything_was_decided(gateway: &Gateway) -> Result<()> {
    for decision in DECISIONS {
        let label = format!("decision=\"{decision}\"");
        let made = gateway.sum("weir_policy_decisions_total", &label).await?;
        println!("{decision}: {made} decisions");
        if made == 0.0 {
            return Err(format!("no {decision} was ever decided"));
        }
    }
    for (name, (_, revisions)) in NAMES.into_iter().zip(ON_FAULT) {
        let label = format!("policy=\"{name}\"");
        for bad in ["weir_policy_faults_total", "weir_policy_fallbacks_total"] {
            let seen = gateway.sum(bad, &label).await?;
            if seen > 0.0 {
                return Err(format!("{bad}{{{label}}} is {seen}"));
            }
        }
        let loaded = gateway.sum("weir_policy_revisions", &label).await?;
        println!("{name}: {loaded} revisions are in memory");
        if loaded != revisions {
            return Err(format!("{loaded} revisions of {name} are in memory"));
        }
    }
    Ok(())
}

/// Clients that write, read, overwrite and delete their own keys.
struct Load {
    tasks: JoinSet<Result<()>>,
    requests: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
}

impl Load {
    fn start(client: &Client, clients: u64, seed: u64) -> Self {
        let (requests, over) = (
            Arc::new(AtomicU64::new(0)),
            Arc::new(AtomicBool::new(false)),
        );
        let mut tasks = JoinSet::new();
        for number in 0..clients {
            let (client, random) = (client.clone(), Random::new(seed, number));
            let (requests, over) = (Arc::clone(&requests), Arc::clone(&over));
            tasks.spawn(async move {
                let mut last = BTreeMap::new();
                let mut serial = 0;
                while !over.load(Ordering::Relaxed) {
                    serial += 1;
                    let id = (number << 40) | (serial << 8) | 1;
                    one(&client, &random, number, id, &mut last).await?;
                    requests.fetch_add(1, Ordering::Relaxed);
                }
                Ok(())
            });
        }
        Self {
            tasks,
            requests,
            over,
        }
    }

    /// Waits until `count` more requests were answered, or somebody has failed.
    async fn pass(&self, count: u64) {
        let target = self.requests.load(Ordering::Relaxed) + count;
        while self.requests.load(Ordering::Relaxed) < target && !self.tasks.is_empty() {
            sleep(Duration::from_millis(2)).await;
        }
    }

    async fn finish(mut self) -> Result<u64> {
        self.over.store(true, Ordering::Relaxed);
        while let Some(done) = self.tasks.join_next().await {
            done.map_err(|e| e.to_string())??;
        }
        Ok(self.requests.load(Ordering::Relaxed))
    }
}

async fn one(
    client: &Client,
    random: &Random,
    owner: u64,
    id: u64,
    last: &mut BTreeMap<u64, u64>,
) -> Result<()> {
    let key = random.below(KEYS_PER_CLIENT);
    let bucket = NAMES[usize::from(key.is_multiple_of(4))];
    let path = format!("/{bucket}/{owner}/{key}");
    match random.below(10) {
        0 => {
            client
                .delete(&path)
                .await
                .map_err(|e| format!("delete {path}: {e}"))?;
            last.remove(&key);
        }
        1..=5 => {
            let put = client.put(&path, slice(id, 0, storm_bytes(id))).await;
            put.map_err(|e| format!("put {path}: {e}"))?;
            last.insert(key, id);
        }
        _ => {
            let shown = match client.get(&path).await {
                Ok(body) => Some(identify(&body)?),
                Err(failure) if failure.is_not_found() => None,
                Err(failure) => return Err(format!("get {path}: {failure}")),
            };
            if shown != last.get(&key).copied() {
                return Err(format!(
                    "{path} shows {shown:x?} instead of {:x?}",
                    last.get(&key)
                ));
            }
        }
    }
    Ok(())
}

/// Compares what the records say with what lies in the directories.
async fn every_object_is_explained(gateway: &Gateway, bucket: &str) -> Result<()> {
    let mut blobs = Vec::new();
    for id in BACKENDS {
        let objects = walk(&gateway.directory(id))?.objects;
        blobs.push((id, objects.into_iter().map(|(blob, _)| blob).collect()));
    }
    let lies_on = copies(blobs)?;
    let (near, far) = (BTreeSet::from(NEAR), BTreeSet::from(FAR));
    let mut seen = BTreeMap::<String, (BTreeSet<&str>, u64)>::new();
    for entry in gateway.client().list(bucket).await? {
        let path = format!("/v1/explain?bucket={bucket}&key={}", entry.key);
        let explained = gateway.admin("GET", &path, None).await?;
        let [policy, blob] = ["policy", "blob"].map(|name| field(&explained, name));
        let (Some(policy), Some(blob)) = (policy, blob) else {
            return Err(format!("{path} explains nothing: {explained}"));
        };
        let on = lies_on
            .get(&blob)
            .ok_or(format!("{path}: blob {blob} lies nowhere"))?;
        let of = seen
            .entry(policy.clone())
            .or_insert_with(|| (on.clone(), 0));
        of.1 += 1;
        if of.0 != *on || (*on != near && *on != far) {
            return Err(format!(
                "{path}: {policy} placed it on {on:?}, others on {:?}",
                of.0
            ));
        }
    }
    println!("{bucket}: objects by revision: {seen:?}");
    let sets: BTreeSet<_> = seen.values().map(|(on, _)| on.clone()).collect();
    if sets.len() < 2 {
        return Err("only one policy ever decided: this shows nothing".to_owned());
    }
    Ok(())
}

/// The first text that JSON gives for `name`.
fn field(json: &str, name: &str) -> Option<String> {
    let (_, rest) = json.split_once(&format!("\"{name}\""))?;
    let (_, rest) = rest.split_once('"')?;
    rest.split_once('"').map(|(value, _)| value.to_owned())
}

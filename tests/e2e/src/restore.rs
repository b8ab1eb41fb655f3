//! The index is removed under a running gateway and brought back from the backends.
//!
//! Writers put, overwrite, copy and delete objects on directory backends, with index insurance
//! on. In the middle of it the data folder is removed, index and all; the gateway, which does not
//! notice, goes on. When what is there has been shipped, the writers go on once more, and the
//! gateway is killed among them: these last writes are the tail. Then the index is restored.
//! Every object that was not written in the tail reads as it was acknowledged, byte for byte; no
//! deleted one is back; one that was written in the tail has one of the states it went through.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use xtask::paths;

use crate::Result;
use crate::args::Args;
use crate::client::Client;
use crate::content;
use crate::gateway::Gateway;
use crate::random::{Random, seed};

const BUCKET: &str = "storm";
const BACKENDS: [&str; 3] = ["disk-a", "disk-b", "disk-c"];
const WRITERS: usize = 8;
const INSURANCE: &str = "[insurance]\nenabled = true\ninterval_ms = 200\n";
const LAG: &str = "weir_index_insurance_lag_changes";
const SHIPPED_LIMIT: Duration = Duration::from_secs(60);

/// Bytes stay for longer than the index is behind: what a restored index names is there.
const LIMITS: &str = "clean_grace_ms = 5000\nlate_write_ms_max = 2000\nreaper_interval_ms = 500\n";

/// What a key holds: the number that its bytes are made of, or nothing.
type Content = Option<u64>;

/// A key as the clients know it.
#[derive(Debug, Clone, Default)]
struct Known {
    /// The last state that was acknowledged before the tail.
    settled: Content,
    /// States of the tail, acknowledged or not.
    tail: Vec<Content>,
}

type Keys = Arc<Vec<Mutex<BTreeMap<String, Known>>>>;

/// Runs the storm.
pub(crate) async fn run(args: &Args) -> Result<()> {
    let seed = seed(args);
    let objects = args.count("objects", 10_000);
    let backends = format!("{}{INSURANCE}", Gateway::directories(&BACKENDS));
    let mut gateway = Gateway::start("restore", &backends, LIMITS).await?;
    gateway.client().create_bucket(BUCKET).await?;
    let keys: Keys = Arc::new((0..WRITERS).map(|_| Mutex::default()).collect());

    let per_writer = objects.div_ceil(WRITERS);
    write(&gateway, &keys, seed, 0..per_writer / 2, false, None).await?;
    gateway.remove_data()?;
    eprintln!("the data folder is gone; the gateway goes on");
    write(
        &gateway,
        &keys,
        seed,
        per_writer / 2..per_writer,
        false,
        None,
    )
    .await?;
    shipped(&gateway).await?;
    eprintln!("all is shipped; the tail begins");
    let (stop, stopped) = watch::channel(false);
    let tail = {
        let (client, keys) = (gateway.client(), Arc::clone(&keys));
        let steps = per_writer..per_writer + 1_000_000;
        tokio::spawn(
            async move { write_with(&client, &keys, seed, steps, true, Some(stopped)).await },
        )
    };
    sleep(Duration::from_millis(
        300 + Random::new(seed, u64::MAX).below(700),
    ))
    .await;
    gateway.kill();
    stop.send_replace(true);
    tail.await.map_err(|e| e.to_string())??;

    let started = Instant::now();
    let report = restore(&gateway, &["--no-wait"])?;
    eprintln!(
        "{report}\nrestored in {:.1} s",
        started.elapsed().as_secs_f64()
    );
    gateway.restart().await?;
    let counts = verify(&gateway.client(), &keys).await;
    let counts = counts.map_err(|problem| format!("seed {seed}: {problem}"))?;
    gateway.settle().await?;
    shipped(&gateway).await?;
    verify(&gateway.client(), &keys)
        .await
        .map_err(|problem| format!("seed {seed}: {problem}"))?;
    if restore(&gateway, &[]).is_ok() {
        return Err("an index was restored over one that is there".to_owned());
    }
    println!("{counts}");
    gateway.remove()
}

/// Waits until every backend of the insurance has everything.
async fn shipped(gateway: &Gateway) -> Result<()> {
    let start = Instant::now();
    loop {
        let lag = gateway.metric(LAG).await?;
        if lag.len() == 2 && lag.iter().all(|(_, value)| *value == 0.0) {
            return Ok(());
        }
        if start.elapsed() > SHIPPED_LIMIT {
            return Err(format!("the index is not shipped: {lag:?}"));
        }
        sleep(Duration::from_millis(50)).await;
    }
}

fn restore(gateway: &Gateway, options: &[&str]) -> Result<String> {
    let mut command = Command::new(paths::binary("weir"));
    command.args(["index", "restore", "--from-backends", "--config"]);
    let done = command.arg(gateway.config()).args(options).output();
    let done = done.map_err(|error| error.to_string())?;
    let (out, told) = (
        String::from_utf8_lossy(&done.stdout).into_owned(),
        String::from_utf8_lossy(&done.stderr).into_owned(),
    );
    if done.status.success() {
        Ok(out)
    } else {
        Err(format!("not restored: {out}{told}"))
    }
}

async fn write(
    gateway: &Gateway,
    keys: &Keys,
    seed: u64,
    steps: std::ops::Range<usize>,
    is_tail: bool,
    stop: Option<watch::Receiver<bool>>,
) -> Result<()> {
    write_with(&gateway.client(), keys, seed, steps, is_tail, stop).await
}

/// Every writer takes its steps on keys of its own, one after the other.
async fn write_with(
    client: &Client,
    keys: &Keys,
    seed: u64,
    steps: std::ops::Range<usize>,
    is_tail: bool,
    stop: Option<watch::Receiver<bool>>,
) -> Result<()> {
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let (client, keys, steps, stop) = (
            client.clone(),
            Arc::clone(keys),
            steps.clone(),
            stop.clone(),
        );
        writers.spawn(async move {
            for step in steps {
                if stop.as_ref().is_some_and(|stop| *stop.borrow()) {
                    break;
                }
                let number = (writer * 10_000_000 + step) as u64;
                let random = Random::new(seed, number);
                let mut keys = keys[writer].lock().await;
                let done = one(&client, &mut keys, writer, number, &random, is_tail).await;
                match done {
                    Err(_) if is_tail => break,
                    done => done.map_err(|error| format!("step {step}: {error}"))?,
                }
            }
            Ok::<_, String>(())
        });
    }
    while let Some(ended) = writers.join_next().await {
        ended.map_err(|error| error.to_string())??;
    }
    Ok(())
}

/// One step: a new object in six of ten, else something with one that is there.
async fn one(
    client: &Client,
    keys: &mut BTreeMap<String, Known>,
    writer: usize,
    number: u64,
    random: &Random,
    is_tail: bool,
) -> Result<()> {
    let (dice, count) = (random.below(10), keys.len() as u64);
    let some = (count > 0).then(|| random.below(count));
    let some = some.and_then(|n| keys.keys().nth(usize::try_from(n).ok()?).cloned());
    let fresh = format!("w{writer}/{:02}/{number}", number % 37);
    let (key, content) = match (dice, some) {
        (6 | 7, Some(key)) => (key, Some(number)),
        (8, Some(key)) => (key, None),
        (9, Some(from)) => {
            let known = keys.get(&from).cloned().unwrap_or_default();
            match known.tail.last().copied().unwrap_or(known.settled) {
                Some(content) => {
                    let to = path(&fresh);
                    note(keys, &fresh, Some(content), is_tail, false);
                    client.copy(&path(&from), &to).await?;
                    note(keys, &fresh, Some(content), is_tail, true);
                    return Ok(());
                }
                None => (fresh, Some(number)),
            }
        }
        _ => (fresh, Some(number)),
    };
    note(keys, &key, content, is_tail, false);
    match content {
        Some(id) => {
            let body = content::slice(id, 0, content::storm_bytes(id));
            client.put(&path(&key), body).await?;
        }
        None => client.delete(&path(&key)).await?,
    }
    note(keys, &key, content, is_tail, true);
    Ok(())
}

/// In the tail a state is possible from the moment on that it was asked for.
fn note(
    keys: &mut BTreeMap<String, Known>,
    key: &str,
    content: Content,
    is_tail: bool,
    is_acknowledged: bool,
) {
    let known = keys.entry(key.to_owned()).or_default();
    match (is_tail, is_acknowledged) {
        (true, false) => known.tail.push(content),
        (false, true) => known.settled = content,
        _ => {}
    }
}

fn path(key: &str) -> String {
    format!("/{BUCKET}/{key}")
}

/// Every key shows what it must, and the listing says the same.
async fn verify(client: &Client, keys: &Keys) -> Result<String> {
    let listed = client.list(BUCKET).await?;
    let mut listed: std::collections::BTreeSet<String> =
        listed.into_iter().map(|entry| entry.key).collect();
    let (mut there, mut gone, mut in_tail) = (0, 0, 0);
    for keys in keys.iter() {
        for (key, known) in keys.lock().await.iter() {
            let found = match client.get(&path(key)).await {
                Ok(body) => Some(content::identify(&body).map_err(|e| format!("{key}: {e}"))?),
                Err(failure) if failure.is_not_found() => None,
                Err(failure) => return Err(format!("{key}: {failure}")),
            };
            if found != known.settled && !known.tail.contains(&found) {
                return Err(format!("{key} holds {found:?}, known is {known:?}"));
            }
            if listed.remove(key) != found.is_some() {
                return Err(format!("{key} holds {found:?}, the listing says otherwise"));
            }
            there += u64::from(found.is_some());
            gone += u64::from(found.is_none() && known.tail.is_empty());
            in_tail += u64::from(!known.tail.is_empty());
        }
    }
    if let Some(key) = listed.pop_first() {
        return Err(format!("{key} is listed and was never written"));
    }
    Ok(format!(
        "{there} objects as they were, {gone} deleted ones stay so, {in_tail} were written in the tail"
    ))
}

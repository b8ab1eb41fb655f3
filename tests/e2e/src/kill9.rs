//! kill -9 at random instants, under concurrent puts, overwrites, copies, deletes and
//! multipart uploads on directory backends.
//!
//! After every kill the gateway starts again and each key must show what some order of the
//! writes allows, given which of them were acknowledged. At the end the directories are
//! walked: each live object has its copies and nothing else lies there; after everything was
//! deleted, nothing at all does.

mod history;
mod verify;
mod writers;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::Result;
use crate::args::Args;
use crate::gateway::Gateway;
use crate::random::{Random, seed};
use history::History;

const BUCKET: &str = "storm";
const BACKENDS: [&str; 3] = ["disk-a", "disk-b", "disk-c"];
const FACTOR: usize = 2;

/// Nothing in the process outlives a kill, so nothing has to be waited for.
const LIMITS: &str = "\
part_bytes_min = 1\n\
clean_grace_ms = 200\n\
late_write_ms_max = 500\n\
reaper_interval_ms = 200\n\
retry_pause_ms_min = 50\n\
retry_pause_ms_max = 500\n\
upload_age_seconds_max = 5\n";

/// Runs the storm.
pub(crate) async fn run(args: &Args) -> Result<()> {
    let seed = seed(args);
    let kills = args.count("kills", 15);
    let writers = args.get("writers", 12);
    let keys = args.count("keys", 40);
    let random = Random::new(seed, u64::MAX);

    let mut gateway = Gateway::start("kill9", &Gateway::directories(&BACKENDS), LIMITS).await?;
    gateway.client().create_bucket(BUCKET).await?;
    let history = Arc::new(History::new(keys));
    let start = Instant::now();
    for round in 0..kills {
        let stop = writers::start(&gateway.client(), &history, seed, round, writers);
        sleep(Duration::from_micros(random.below(900_000))).await;
        gateway.kill();
        stop.wait().await;
        gateway.restart().await?;
        verify::every_key(&gateway.client(), &history)
            .await
            .map_err(|problem| format!("seed {seed}, after kill {}: {problem}", round + 1))?;
        eprintln!(
            "kill {} of {kills} survived; {} writes acknowledged, {} cut off, {:.0} s",
            round + 1,
            history.acknowledged(),
            history.cut_off(),
            start.elapsed().as_secs_f64()
        );
    }
    if history.acknowledged() < kills as u64 {
        return Err("hardly a write was acknowledged: this shows nothing".to_owned());
    }
    verify::what_lies_there(&gateway, &history)
        .await
        .map_err(|problem| format!("seed {seed}: {problem}"))?;
    verify::deleted_to_nothing(&gateway, &history)
        .await
        .map_err(|problem| format!("seed {seed}: {problem}"))?;
    println!(
        "{kills} kills, {} writes acknowledged, {} cut off",
        history.acknowledged(),
        history.cut_off()
    );
    gateway.remove()
}

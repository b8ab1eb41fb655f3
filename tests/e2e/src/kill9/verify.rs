//! What must hold after each kill, and at the end.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::history::{History, Value};
use super::writers::path;
use super::{BACKENDS, BUCKET, FACTOR};
use crate::Result;
use crate::backends::{Directory, copies, walk};
use crate::client::Client;
use crate::content::{identify, storm_bytes};
use crate::gateway::Gateway;

const CLEAN_LIMIT: Duration = Duration::from_secs(60);
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Metric: bytes that the ledger says lie on a backend.
const USED_BYTES: &str = "weir_backend_copy_bytes";
/// Metric: bytes set aside on a backend for writes in flight.
const RESERVED_BYTES: &str = "weir_backend_reserved_bytes";

/// No acknowledged write is lost, no object torn, no delete undone; listing and reads agree.
pub(crate) async fn every_key(client: &Client, history: &History) -> Result<()> {
    let listed = client.list(BUCKET).await?;
    let mut found = 0;
    for key in 0..history.keys() {
        let path = path(key);
        let shown = read(client, &path).await?;
        if let Err(allowed) = history.settle(key, shown) {
            return Err(format!(
                "{path} shows {shown:x?}, allowed is one of {allowed:x?}"
            ));
        }
        let name = path.trim_start_matches(&format!("/{BUCKET}/"));
        let entry = listed.iter().find(|entry| entry.key == name);
        match (shown, entry) {
            (None, None) => {}
            (Some(id), Some(entry)) if entry.size == storm_bytes(id) => found += 1,
            _ => return Err(format!("{path} shows {shown:x?}, listed is {entry:?}")),
        }
    }
    if found == listed.len() {
        Ok(())
    } else {
        Err(format!("ghosts in the listing: {listed:?}"))
    }
}

async fn read(client: &Client, path: &str) -> Result<Value> {
    match client.get(path).await {
        Ok(body) => identify(&body)
            .map(Some)
            .map_err(|problem| format!("{path}: {problem}")),
        Err(failure) if failure.is_not_found() => Ok(None),
        Err(failure) => Err(format!("{path}: {failure}")),
    }
}

/// Walks the directories: every live object lies on as many backends as it should, nothing
/// else lies there, and the ledger says as many bytes as there are.
pub(crate) async fn what_lies_there(gateway: &Gateway, history: &History) -> Result<()> {
    gateway.settle().await?;
    let mut live = BTreeSet::new();
    for key in 0..history.keys() {
        live.extend(read(&gateway.client(), &path(key)).await?);
    }
    until(|| async {
        let mut blobs = Vec::new();
        let mut seen = BTreeSet::new();
        for (backend, directory) in walk_all(gateway)? {
            if let Some(path) = directory.unfinished.first() {
                return Err(format!("{backend}: unfinished {}", path.display()));
            }
            let mut bytes = 0;
            for (blob, stored) in &directory.objects {
                let body = stored.read()?;
                bytes += body.len() as u64;
                let id = identify(&body).map_err(|e| format!("{backend}, {blob}: {e}"))?;
                if !live.contains(&id) {
                    return Err(format!("{backend}: orphan {blob} of object {id:x}"));
                }
                seen.insert(id);
            }
            let label = format!("backend=\"{backend}\"");
            let ledger = gateway.sum(USED_BYTES, &label).await?;
            if ledger != bytes as f64 {
                return Err(format!(
                    "{backend}: the ledger says {ledger}, there are {bytes} bytes"
                ));
            }
            blobs.push((
                backend,
                directory
                    .objects
                    .into_iter()
                    .map(|(blob, _)| blob)
                    .collect(),
            ));
        }
        if seen != live {
            return Err(format!("without any copy: {:x?}", live.difference(&seen)));
        }
        match copies(blobs)?
            .iter()
            .find(|(_, backends)| backends.len() != FACTOR)
        {
            Some((blob, backends)) => Err(format!("blob {blob} lies on {backends:?}")),
            None => Ok(()),
        }
    })
    .await
}

/// Deletes everything; then no byte may be left anywhere.
pub(crate) async fn deleted_to_nothing(gateway: &Gateway, history: &History) -> Result<()> {
    for key in 0..history.keys() {
        gateway.client().delete(&path(key)).await?;
    }
    gateway.settle().await?;
    until(|| async {
        for (backend, directory) in walk_all(gateway)? {
            let left = directory.objects.len() + directory.unfinished.len();
            let label = format!("backend=\"{backend}\"");
            let ledger = gateway.sum(USED_BYTES, &label).await?
                + gateway.sum(RESERVED_BYTES, &label).await?;
            if left > 0 || ledger != 0.0 {
                return Err(format!(
                    "{backend}: {left} files are left, the ledger says {ledger}"
                ));
            }
        }
        Ok(())
    })
    .await
}

fn walk_all(gateway: &Gateway) -> Result<Vec<(&'static str, Directory)>> {
    BACKENDS
        .iter()
        .map(|id| Ok((*id, walk(&gateway.directory(id))?)))
        .collect()
}

/// Clean-up takes its time; what it has not done within the limit it will never do.
async fn until<F, C>(check: C) -> Result<()>
where
    C: Fn() -> F,
    F: Future<Output = Result<()>>,
{
    let start = Instant::now();
    loop {
        match check().await {
            Ok(()) => return Ok(()),
            Err(problem) if start.elapsed() > CLEAN_LIMIT => return Err(problem),
            Err(_) => sleep(POLL_INTERVAL).await,
        }
    }
}

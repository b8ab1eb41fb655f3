//! Those who write while the gateway is killed.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::task::JoinSet;

use super::BUCKET;
use super::history::{Begun, History};
use crate::client::{Client, Failure};
use crate::content::{slice, storm_bytes};
use crate::random::Random;

/// Writers at work; each ends at its first lost connection.
#[derive(Debug)]
pub(crate) struct Writers(JoinSet<()>);

impl Writers {
    /// Waits until all have noticed that the gateway is gone.
    pub(crate) async fn wait(mut self) {
        while self.0.join_next().await.is_some() {}
    }
}

/// Numbers of objects, never used twice in a run.
static NEXT_OBJECT: AtomicU64 = AtomicU64::new(1);

/// Starts `count` writers of round `round`.
pub(crate) fn start(
    client: &Client,
    history: &Arc<History>,
    seed: u64,
    round: usize,
    count: u64,
) -> Writers {
    let mut writers = JoinSet::new();
    for number in 0..count {
        let random = Random::new(seed, (round as u64) * count + number);
        let (client, history) = (client.clone(), Arc::clone(history));
        writers.spawn(async move { while one(&client, &history, &random).await {} });
    }
    Writers(writers)
}

/// The path of a key.
pub(crate) fn path(key: usize) -> String {
    format!("/{BUCKET}/dir{}/key {key}", key % 4)
}

/// One operation; `false` once the gateway is gone.
async fn one(client: &Client, history: &History, random: &Random) -> bool {
    let keys = history.keys() as u64;
    let key = usize::try_from(random.below(keys)).unwrap_or(0);
    let id = (NEXT_OBJECT.fetch_add(1, Ordering::Relaxed) << 20) | random.below(1 << 20);
    match random.below(20) {
        0..=9 => {
            let begun = history.begin(key, BTreeSet::from([Some(id)]));
            let done = client.put(&path(key), slice(id, 0, storm_bytes(id))).await;
            note(history, begun, done, None)
        }
        10..=12 => {
            let begun = history.begin(key, BTreeSet::from([None]));
            let done = client.delete(&path(key)).await;
            note(history, begun, done, None)
        }
        13..=15 => {
            let (to, from) = (history.keys() / 2 + key / 2, key / 2);
            copy(client, history, to, from).await
        }
        _ => multipart(client, history, random, key, id).await,
    }
}

/// Copies whatever `from` holds at some instant meanwhile. The lower half of the keys is
/// copied to the upper half only: what a source may hold must be known when its copy ends, and
/// of a copy's destination it is not.
async fn copy(client: &Client, history: &History, to: usize, from: usize) -> bool {
    let since = history.now();
    let begun = history.begin(to, history.possible(from, since));
    let done = client
        .copy(&path(from).replace(' ', "%20"), &path(to))
        .await;
    // What was written to the source since may have been copied too.
    let mut values = history.possible(from, since);
    if done.is_ok() {
        values.remove(&None);
    }
    match done {
        // A kill in the middle leaves what the destination had, or any of these.
        Err(Failure::Transport(_)) => {
            history.widen(begun, values);
            history.lose();
            false
        }
        done => note(history, begun, done, Some(values)),
    }
}

async fn multipart(
    client: &Client,
    history: &History,
    random: &Random,
    key: usize,
    id: u64,
) -> bool {
    let path = path(key);
    let upload = match client.create_upload(&path).await {
        Ok(upload) => upload,
        Err(Failure::Transport(_)) => return false,
        Err(_) => return true,
    };
    let length = storm_bytes(id);
    let cuts = [0, length / 3, 2 * length / 3, length];
    let mut etags = Vec::new();
    for (number, cut) in (1..).zip(cuts.windows(2)) {
        match client
            .upload_part(&path, &upload, number, slice(id, cut[0], cut[1]))
            .await
        {
            Ok(etag) => etags.push(etag),
            Err(Failure::Transport(_)) => return false,
            Err(_) => return true,
        }
    }
    match random.below(6) {
        // Left for the reaper.
        0 => true,
        1 => !matches!(
            client.abort(&path, &upload).await,
            Err(Failure::Transport(_))
        ),
        _ => {
            let begun = history.begin(key, BTreeSet::from([Some(id)]));
            let done = client.complete(&path, &upload, &etags).await;
            note(history, begun, done, None)
        }
    }
}

fn note(
    history: &History,
    begun: Begun,
    done: Result<(), Failure>,
    values: Option<BTreeSet<Option<u64>>>,
) -> bool {
    match done {
        Ok(()) => history.acknowledge(begun, values),
        Err(Failure::Transport(_)) => {
            history.lose();
            return false;
        }
        // A server's own error says nothing about what happened before it.
        Err(Failure::Refused(200 | 500.., _)) => history.lose(),
        Err(Failure::Refused(..)) => history.refuse(begun),
    }
    true
}

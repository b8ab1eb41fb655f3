//! Removing from a backend what no restoration needs any more.

use std::collections::HashSet;

use weir_index::store::Store;

use super::Shared;
use super::worker::{Standing, Trouble};
use crate::inventory::Inventory;
use crate::name::File;

/// Removes from a backend, whose newest snapshot is whole:
/// - what is older than a snapshot that is whole there and on a second backend;
/// - parts of snapshots that never became whole;
/// - other streams of this index, once the present one is old enough.
///
/// Does nothing when that was `done` already; tells what is done now.
pub(super) async fn remove_old<S: Store>(
    shared: &Shared<S>,
    target: usize,
    standing: &Standing,
    done: Option<(u64, bool)>,
) -> Result<Option<(u64, bool)>, Trouble> {
    let place = &standing.place;
    let Some(cutoff) = shared.cutoff(target, place.stream) else {
        return Ok(done);
    };
    let age = shared.clock.now().since(standing.began);
    let others_go = age >= shared.settings.other_streams_kept;
    let now = Some((cutoff, others_go));
    if now == done {
        return Ok(done);
    }
    let backend = &*shared.targets[target].backend;
    let prefix = place.epoch_prefix();
    for (found, inventory) in Inventory::list(backend, &place.site, &prefix).await? {
        let is_present = found.stream == place.stream;
        if !is_present && !others_go {
            continue;
        }
        let whole = manifests(&inventory);
        for file in inventory.files.iter() {
            if is_present && is_needed(*file, &whole, cutoff) {
                continue;
            }
            shared.crash.pass("insurance.before-removal").await;
            let key = found
                .key(*file)
                .map_err(|e| Trouble::Other(e.to_string()))?;
            backend.delete(&key).await?;
        }
    }
    Ok(now)
}

fn is_needed(file: File, whole: &HashSet<(u64, u32)>, cutoff: u64) -> bool {
    match file {
        File::Snapshot { number, .. } => number >= cutoff,
        File::Log { last, .. } => last > cutoff,
        // No upload is under way when this runs: what has no manifest never gets one.
        File::Part { number, tried, .. } => number >= cutoff && whole.contains(&(number, tried)),
    }
}

fn manifests(inventory: &Inventory) -> HashSet<(u64, u32)> {
    let of = |file: &File| match file {
        File::Snapshot { number, tried, .. } => Some((*number, *tried)),
        _ => None,
    };
    inventory.files.iter().filter_map(of).collect()
}

//! What must hold when everything has come to rest.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::StreamExt;
use weir_types::backend::Backend;
use weir_types::id::BackendKey;
use weir_types::index::UploadsQuery;
use weir_types::record::{BlobState, CopyState, IntentPurpose};

use super::Life;
use super::world::{backend_id, bucket};

/// Longer than any pause, memory excepted: after this nothing is left to wait for.
const REST_MAX: Duration = Duration::from_secs(24 * 3600);

/// Waits until the background has nothing left to do: no work, and no intents but those of
/// open uploads.
pub(crate) async fn come_to_rest(life: &Life) {
    let index = life.gateway.index();
    let step = Duration::from_secs(10);
    let mut waited = Duration::ZERO;
    loop {
        let depth: u64 = index
            .outbox_stats()
            .await
            .expect("readable")
            .depth
            .iter()
            .sum();
        let intents = index.intents(None, usize::MAX).await.expect("readable");
        let mut waiting = 0;
        for intent in &intents {
            let open = match intent.purpose {
                IntentPurpose::Upload(id) => index.upload(id).await.expect("readable").is_some(),
                IntentPurpose::Put | IntentPurpose::Replica => false,
            };
            waiting += usize::from(!open);
        }
        if depth == 0 && waiting == 0 {
            return;
        }
        if waited > REST_MAX {
            let far = weir_types::clock::Timestamp::from_millis(u64::MAX / 2);
            let due = index.due(far, 20).await.expect("readable");
            panic!("no rest: outbox {due:#?}, intents {intents:#?}");
        }
        tokio::time::sleep(step).await;
        waited += step;
    }
}

/// Runs the background until it has nothing left to do, then checks the laws.
pub(crate) async fn at_rest(life: &Life) {
    // Notes that reads take on the side come first.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let background = life.start_background();
    come_to_rest(life).await;
    background.stop().await;
    require_laws(life).await.expect("the laws hold");
}

/// What a backend lists: keys with their lengths.
pub(crate) async fn held(backend: &dyn Backend) -> BTreeMap<String, u64> {
    let mut held = BTreeMap::new();
    let mut after: Option<String> = None;
    loop {
        let page = backend
            .list("w1/", after.as_deref(), 100)
            .await
            .expect("backends list");
        after = page.entries.last().map(|entry| entry.key.clone());
        held.extend(
            page.entries
                .into_iter()
                .map(|entry| (entry.key, entry.size)),
        );
        if !page.more {
            return held;
        }
    }
}

/// Checks, at rest and with no upload open: every blob has its copies, every copy its bytes;
/// no backend holds anything else; the ledger is what the backends list; listings agree with
/// reads; the index's own laws hold.
pub(crate) async fn require_laws(life: &Life) -> Result<(), String> {
    let index = life.gateway.index();
    let audit = life.index.audit().map_err(|e| e.to_string())?;
    if audit.problems_count > 0 {
        return Err(format!("the index breaks its laws: {:#?}", audit.problems));
    }
    let intents = index.intents(None, 10).await.map_err(|e| e.to_string())?;
    if !intents.is_empty() {
        return Err(format!("intents are left: {intents:#?}"));
    }
    no_uploads(life).await?;

    let mut expected: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
    for blob in index
        .blobs(None, usize::MAX)
        .await
        .map_err(|e| e.to_string())?
    {
        if blob.state != BlobState::Live {
            return Err(format!("a dead blob is left: {blob:#?}"));
        }
        let good: BTreeSet<_> = blob
            .copies
            .iter()
            .filter(|copy| copy.state == CopyState::Good)
            .map(|copy| &copy.backend)
            .collect();
        if good.len() < usize::from(blob.placement.copies_wanted) || good.len() != blob.copies.len()
        {
            return Err(format!("a blob lacks copies, or has others: {blob:#?}"));
        }
        for copy in &blob.copies {
            let there = expected.entry(copy.backend.to_string()).or_default();
            there.insert(copy.key.to_string(), blob.size);
        }
    }
    let ledger = index.ledger().await.map_err(|e| e.to_string())?;
    for (number, backend) in life.backends.iter().enumerate() {
        let id = backend_id(number);
        let held = held(&**backend).await;
        let wanted = expected.remove(id.as_str()).unwrap_or_default();
        if held != wanted {
            return Err(format!("{id} holds {held:#?}, the index knows {wanted:#?}"));
        }
        let uploads = backend
            .list_uploads("", 10)
            .await
            .map_err(|e| e.to_string())?;
        if !uploads.is_empty() {
            return Err(format!("{id} has uploads left: {uploads:#?}"));
        }
        let row = ledger
            .iter()
            .find(|(b, _)| *b == id)
            .map(|(_, row)| row.clone());
        let row = row.unwrap_or_default();
        let sums = (held.values().sum::<u64>(), held.len() as u64, 0);
        if (row.used_bytes, row.used_objects, row.reserved_bytes) != sums {
            return Err(format!(
                "the ledger of {id} is {row:?}, but it lists {sums:?}"
            ));
        }
    }
    listing_agrees(life).await?;
    copies_agree(life).await
}

async fn no_uploads(life: &Life) -> Result<(), String> {
    let index = life.gateway.index();
    let Some(bucket) = index.bucket(&bucket()).await.map_err(|e| e.to_string())? else {
        return Ok(());
    };
    let query = UploadsQuery {
        bucket: bucket.incarnation,
        prefix: String::new(),
        delimiter: None,
        after: None,
        limit: 10,
    };
    let page = index.uploads(query).await.map_err(|e| e.to_string())?;
    if page.uploads.is_empty() {
        Ok(())
    } else {
        Err(format!("uploads are left: {page:#?}"))
    }
}

async fn listing_agrees(life: &Life) -> Result<(), String> {
    let listed = life
        .client
        .list_all("", None, 7)
        .await
        .map_err(|e| e.to_string())?;
    for (key, entry) in listed {
        let read = life
            .client
            .get(&key)
            .await
            .map_err(|e| format!("{key}: {e}"))?;
        let Some((bytes, info)) = read else {
            return Err(format!("{key} is listed only"));
        };
        let size = bytes.len() as u64;
        if entry != Some((info.version.etag, size)) {
            return Err(format!(
                "{key} is listed as {entry:?}, but has {size} bytes"
            ));
        }
    }
    Ok(())
}

/// Every copy holds the same bytes as the others of its blob, and a read gives them.
async fn copies_agree(life: &Life) -> Result<(), String> {
    let index = life.gateway.index();
    for blob in index
        .blobs(None, usize::MAX)
        .await
        .map_err(|e| e.to_string())?
    {
        let mut first: Option<Vec<u8>> = None;
        for copy in &blob.copies {
            let numbers = 0..life.backends.len();
            let number = numbers.clone().find(|n| backend_id(*n) == copy.backend);
            let backend = &life.backends[number.ok_or("a copy on an unknown backend")?];
            let bytes = bytes_of(&**backend, &copy.key).await?;
            if first.get_or_insert_with(|| bytes.clone()) != &bytes {
                return Err(format!("copies of {} differ", blob.blob));
            }
        }
    }
    Ok(())
}

async fn bytes_of(backend: &dyn Backend, key: &BackendKey) -> Result<Vec<u8>, String> {
    let mut fetched = backend.get(key, None).await.map_err(|e| e.to_string())?;
    let mut bytes = Vec::new();
    while let Some(chunk) = fetched.body.next().await {
        bytes.extend_from_slice(&chunk.map_err(|e| e.to_string())?);
    }
    Ok(bytes)
}

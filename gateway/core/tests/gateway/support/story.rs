//! What many stories begin with.

use weir_types::crash::CrashPoints;
use weir_types::record::BlobRecord;

use super::{Life, World, backend_id, object_key};

/// Runs a story over three backends in memory, with a bucket.
pub(crate) fn in_memory(seed: u64, story: impl AsyncFnOnce(&World, &Life)) {
    let world = World::in_memory(seed, 3);
    world.live(CrashPoints::none(), async |life| {
        life.make_bucket().await;
        story(&world, &life).await;
    });
}

/// The blob of a key's current version.
pub(crate) async fn blob_of(life: &Life, key: &str) -> BlobRecord {
    let found = life
        .gateway
        .index()
        .lookup(&life.client.bucket, &object_key(key))
        .await;
    *found.expect("readable").blob.expect("the key is there")
}

/// Number of the backend that holds the blob's copy at `position`.
pub(crate) fn holder(blob: &BlobRecord, position: usize) -> usize {
    let id = &blob.copies[position].backend;
    (0..3)
        .find(|number| backend_id(*number) == *id)
        .expect("one of three")
}

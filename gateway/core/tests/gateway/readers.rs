//! What is removed stays for those who read it.

use std::time::Duration;

use futures_util::StreamExt;
use tokio::time::sleep;
use weir_types::index::Mutation;
use weir_types::operation::{ObjectRead, Operation, Outcome, ReadConditions, ReadObject};
use weir_types::record::CopyState;

use crate::support::{
    Dice, Life, at_rest, blob_of, come_to_rest, held, holder, in_memory, object_key, require_laws,
};

/// A read of the whole object.
async fn open(life: &Life) -> ObjectRead {
    let get = ReadObject {
        bucket: life.client.bucket.clone(),
        key: object_key("key"),
        range: None,
        part: None,
        conditions: ReadConditions::default(),
    };
    let opened = life.client.run(Operation::GetObject(Box::new(get)));
    match opened.await {
        Ok(Outcome::Read(reader)) => reader,
        other => panic!("not a read: {other:?}"),
    }
}

async fn put_whole(life: &Life, bytes: &[u8]) {
    life.client.put("key", bytes).await.expect("is put");
}

/// An object whose checksums do not stand in its blob's row, but in rows of their own.
async fn put_in_parts(life: &Life, bytes: &[u8]) {
    let upload = life.client.create_upload("key", None).await;
    let upload = upload.expect("is created").upload_id;
    let mut parts = Vec::new();
    for (number, bytes) in (1..).zip(bytes.chunks(300_000)) {
        let part = life.client.part("key", upload, number, bytes).await;
        parts.push((number, part.expect("is taken").etag));
    }
    let complete = life.client.completion("key", upload, &parts);
    life.client.complete(complete).await.expect("is completed");
}

async fn a_deleted_object_stays(life: &Life, bytes: &[u8]) {
    at_rest(life).await;
    let background = life.start_background();
    let mut reader = open(life).await;
    let first = reader.body.next().await.expect("has bytes");
    let mut seen = first.expect("reads").to_vec();
    life.client.delete("key", None).await.expect("is deleted");
    sleep(Duration::from_secs(3600)).await;
    let mut left = 0;
    for backend in &life.backends {
        left += held(&**backend).await.len();
    }
    assert_eq!(left, 2, "both copies stay");
    assert_eq!(life.client.get("key").await, Ok(None));
    while let Some(chunk) = reader.body.next().await {
        seen.extend_from_slice(&chunk.expect("reads to the end"));
    }
    assert!(seen == bytes);
    drop(reader);
    come_to_rest(life).await;
    background.stop().await;
    require_laws(life).await.expect("the laws hold");
    for backend in &life.backends {
        assert!(held(&**backend).await.is_empty(), "nothing is left");
    }
}

#[test]
fn a_deleted_object_stays_for_its_readers() {
    in_memory(8, async |_, life| {
        let bytes = Dice::new(8).bytes(900_000);
        put_whole(life, &bytes).await;
        a_deleted_object_stays(life, &bytes).await;
        put_in_parts(life, &bytes).await;
        a_deleted_object_stays(life, &bytes).await;
    });
}

#[test]
fn a_copy_that_was_replaced_stays_for_its_readers() {
    in_memory(17, async |world, life| {
        put_whole(life, &Dice::new(17).bytes(900_000)).await;
        at_rest(life).await;
        let blob = blob_of(life, "key").await;
        let read_from = &blob.copies[0];
        let background = life.start_background();
        let mut reader = open(life).await;
        reader.body.next().await.expect("has bytes").expect("reads");
        // Wrong in its last block, which the reader has not come to.
        let key = read_from.key.as_str();
        assert!(world.memory(holder(&blob, 0)).rot(key, 899_999));
        let suspect = Mutation::MarkCopy {
            blob: blob.blob,
            backend: read_from.backend.clone(),
            attempt: read_from.attempt,
            state: CopyState::Suspect,
            now: life.now(),
        };
        life.gateway.index().apply(suspect).await.expect("marks");
        sleep(Duration::from_secs(3600)).await;
        let copies = blob_of(life, "key").await.copies;
        assert!(copies.iter().all(|copy| copy.key != read_from.key));
        let still_there = || async {
            let found = life.backends[holder(&blob, 0)].head(&read_from.key).await;
            found.expect("answers").is_some()
        };
        assert!(still_there().await, "somebody reads from it");
        drop(reader);
        come_to_rest(life).await;
        assert!(!still_there().await);
        background.stop().await;
        require_laws(life).await.expect("the laws hold");
    });
}

//! A disk that fills up under the index, and empties again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use weir_index::FreeSpace;
use weir_types::error::ErrorCode;
use weir_types::operation::{DeleteObject, Outcome, ReadConditions, ReadObject};

use super::*;

/// Room that the test sets.
struct Room(AtomicU64);

impl FreeSpace for Room {
    fn free_bytes(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

async fn execute(running: &Running, operation: Operation) -> Result<Outcome, ErrorCode> {
    let (principal, trace) = (
        Principal::parse("TEST").expect("a valid name"),
        Arc::default(),
    );
    let asker = Asker {
        principal: &principal,
        trace: &trace,
    };
    let gateway = &running.site().gateway;
    gateway.execute(operation, asker).await.map_err(|e| e.code)
}

fn photos(key: &str) -> (BucketName, ObjectKey) {
    (
        BucketName::parse("photos").expect("a valid name"),
        ObjectKey::parse(key).expect("a valid key"),
    )
}

#[tokio::test]
async fn a_full_disk_makes_the_gateway_read_only_until_there_is_room() {
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let room = Arc::new(Room(AtomicU64::new(u64::MAX)));
    let config = config(scratch.path());
    let running = Running::start(Plan {
        config: config.clone(),
        sources: Sources::default(),
        start: config,
        index: IndexOptions {
            free_space: Some(Arc::clone(&room) as Arc<dyn FreeSpace>),
            ..IndexOptions::default()
        },
    })
    .await
    .unwrap_or_else(|failure| panic!("{failure}"));
    let ready = || async {
        let (status, text) = ask(&running.admin_url, "GET", "/readyz", "", Bytes::new()).await;
        assert_eq!(status, 200, "reads go on");
        text
    };
    put(&running, "kept", b"kept").await;
    put(&running, "gone", b"gone").await;
    settled(&running).await;
    assert_eq!(ready().await, "ready\n");

    room.0.store(0, Ordering::SeqCst);
    let refused = execute(&running, put_operation("new", b"new")).await.err();
    let refused = refused.expect("refused");
    assert_eq!(refused.status().as_u16(), 503, "{refused:?}");
    assert!(ready().await.starts_with("read-only"));
    let (bucket, key) = photos("gone");
    let delete = DeleteObject {
        bucket,
        key,
        if_match: None,
    };
    let deleted = execute(&running, Operation::DeleteObject(delete)).await;
    assert!(
        matches!(deleted, Ok(Outcome::Deleted)),
        "{:?}",
        deleted.err()
    );
    let read = |key| {
        let (bucket, key) = photos(key);
        Operation::HeadObject(Box::new(ReadObject {
            bucket,
            key,
            range: None,
            part: None,
            conditions: ReadConditions::default(),
        }))
    };
    assert!(execute(&running, read("kept")).await.is_ok());
    for key in ["gone", "new"] {
        let found = execute(&running, read(key)).await.err();
        assert_eq!(found, Some(ErrorCode::NoSuchKey), "{key}");
    }

    room.0.store(u64::MAX, Ordering::SeqCst);
    put(&running, "new", b"new").await;
    assert_eq!(ready().await, "ready\n");
    let (target, token) = ("/v1/index/verify?format=text", bearer(&running));
    let (_, report) = ask(&running.admin_url, "POST", target, &token, Bytes::new()).await;
    assert!(report.ends_with("clean\n"), "{report}");
    running.stop().await;
}

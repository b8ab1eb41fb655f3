use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _};
use weir_types::backend::{Backend, BackendErrorKind, BackendPart};
use weir_types::body::PutStream;
use weir_types::entropy::SeededEntropy;
use weir_types::id::{BackendKey, BlobId, PartNumber, SiteId};

use super::FsBackend;
use super::layer::FileLayer as _;
use super::layout::FsUpload;
use crate::FsConfig;
use crate::conformance;
use crate::sim::SimFs;

fn open(path: &Path) -> FsBackend {
    let entropy = Arc::new(SeededEntropy::new(1));
    FsBackend::open(&FsConfig::at(path), entropy).expect("the directory opens")
}

fn sim(disk: &SimFs) -> FsBackend {
    FsBackend::on_layer(Arc::new(disk.clone()), Arc::new(SeededEntropy::new(1))).expect("opens")
}

fn key(site: &str, blob: u128) -> BackendKey {
    BackendKey::of(&SiteId::parse(site).expect("a site"), BlobId(blob), 0)
}

fn body(bytes: &'static [u8]) -> PutStream {
    futures_util::stream::once(async move { Ok(Bytes::from_static(bytes)) }).boxed()
}

async fn put(backend: &FsBackend, key: &BackendKey, bytes: &'static [u8]) {
    backend
        .put(key, bytes.len() as u64, body(bytes))
        .await
        .expect("put");
}

/// Every file and folder under `path`.
fn tree(path: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut open = vec![path.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path_here = entry.expect("an entry").path();
            let name = path_here
                .strip_prefix(path)
                .expect("below")
                .display()
                .to_string();
            if path_here.is_dir() {
                open.push(path_here);
            }
            found.insert(name);
        }
    }
    found
}

#[tokio::test]
async fn conforms() {
    let folder = tempfile::tempdir().expect("a folder");
    conformance::check(&open(folder.path()), 7).await;
}

#[tokio::test]
async fn conforms_on_a_simulated_disk() {
    conformance::check(&sim(&SimFs::new()), 8).await;
}

#[tokio::test]
async fn nothing_but_folders_is_left() {
    let folder = tempfile::tempdir().expect("a folder");
    let backend = open(folder.path());
    conformance::check(&backend, 9).await;
    drop(backend);
    // What was still being removed in the background is swept by the next process, once it
    // knows that the directory is its own.
    std::fs::write(folder.path().join("tmp/left"), b"half").expect("write");
    let next = open(folder.path());
    assert!(
        folder.path().join("tmp/left").exists(),
        "looking sweeps nothing"
    );
    next.confirmed().await.expect("sweeps");
    drop(next);
    let left = tree(folder.path());
    let files: Vec<&String> = left
        .iter()
        .filter(|name| !folder.path().join(name).is_dir())
        .collect();
    assert_eq!(files, ["w1-owner"], "files left");
    let open: Vec<&String> = left
        .iter()
        .filter(|n| n.starts_with("tmp/") || n.starts_with("uploads/"))
        .collect();
    assert!(open.is_empty(), "left: {open:?}");
}

#[tokio::test]
async fn lists_in_byte_order_of_whole_keys() {
    let backend = sim(&SimFs::new());
    // '-' comes before '/', so site "a-b" comes before site "a".
    let mut keys: Vec<BackendKey> = ["a", "a-b", "a0", "b"]
        .iter()
        .flat_map(|site| [1_u128, 2, 0x1001, 0xFFF, 0x2FFF].map(|blob| key(site, blob)))
        .collect();
    for (index, key) in keys.iter().enumerate() {
        if index % 3 == 0 {
            let upload = backend.create_upload(key).await.expect("create");
            let number = PartNumber::FIRST;
            let stored = backend
                .put_part(key, &upload, number, 2, body(b"xy"))
                .await
                .expect("put");
            let part = BackendPart {
                number,
                size: 2,
                etag: stored.etag,
            };
            backend
                .complete_upload(key, &upload, &[part])
                .await
                .expect("complete");
        } else {
            put(&backend, key, b"xy").await;
        }
    }
    backend.write_owner(b"me").await.expect("write owner");
    keys.sort();
    let wanted: Vec<String> = std::iter::once("w1-owner".to_owned())
        .chain(keys.iter().map(|key| key.as_str().to_owned()))
        .collect();
    for limit in 1..=wanted.len() + 1 {
        let mut found: Vec<String> = Vec::new();
        loop {
            let page = backend
                .list("", found.last().map(String::as_str), limit)
                .await
                .expect("list");
            found.extend(page.entries.into_iter().map(|entry| entry.key));
            if !page.more {
                break;
            }
        }
        assert_eq!(found, wanted, "{limit} at a time");
    }
    let page = backend
        .list("w1/a/", Some("w1/a/fff"), 10)
        .await
        .expect("list");
    assert_eq!(
        page.entries.len(),
        2,
        "what comes after a shard's name: {page:?}"
    );
}

#[tokio::test]
async fn a_vanished_directory_is_unavailable_not_empty() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().join("disk");
    let backend = open(&root);
    let key = key("a", 1);
    put(&backend, &key, b"bytes").await;
    std::fs::rename(&root, folder.path().join("elsewhere")).expect("rename");
    std::fs::create_dir(&root).expect("an empty mount point");

    let unavailable = Some(BackendErrorKind::Unavailable);
    let kind = |e: weir_types::backend::BackendError| e.kind;
    assert_eq!(backend.get(&key, None).await.err().map(kind), unavailable);
    assert_eq!(backend.head(&key).await.err().map(kind), unavailable);
    assert_eq!(backend.delete(&key).await.err().map(kind), unavailable);
    assert_eq!(backend.list("", None, 5).await.err().map(kind), unavailable);
    assert_eq!(
        backend.list_uploads("", 5).await.err().map(kind),
        unavailable
    );
    assert_eq!(backend.read_owner().await.err().map(kind), unavailable);
    assert_eq!(
        backend.put(&key, 1, body(b"x")).await.err().map(kind),
        unavailable
    );
    assert!(
        tree(&root).is_empty(),
        "nothing is written beneath the mount point"
    );
}

#[tokio::test]
async fn a_full_disk_is_full_and_recovers() {
    let disk = SimFs::new();
    let backend = sim(&disk);
    put(&backend, &key("a", 1), b"123456").await;
    disk.set_bytes_max(Some(10));
    let error = backend
        .put(&key("a", 2), 6, body(b"123456"))
        .await
        .expect_err("full");
    assert_eq!(error.kind, BackendErrorKind::Full, "{error}");
    assert_eq!(backend.head(&key("a", 2)).await, Ok(None));
    backend
        .delete(&key("a", 1))
        .await
        .expect("deletes work on a full disk");
    put(&backend, &key("a", 3), b"123456").await;
}

/// A body that tells whether anyone asked for its bytes.
fn watched(bytes: usize) -> (PutStream, Arc<AtomicBool>) {
    let asked = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&asked);
    let body = futures_util::stream::once(async move {
        seen.store(true, Ordering::SeqCst);
        Ok(Bytes::from(vec![7; bytes]))
    });
    (body.boxed(), asked)
}

/// Puts a large object and a large part; neither is taken, and neither body is touched.
async fn refuses_unread(backend: &FsBackend, wanted: BackendErrorKind) {
    const BYTES: usize = 1 << 20;
    let key = key("a", 1);
    let (body, asked) = watched(BYTES);
    let put = backend.put(&key, BYTES as u64, body).await;
    assert_eq!(put.map_err(|e| e.kind), Err(wanted));
    assert!(!asked.load(Ordering::SeqCst), "the object's body was read");
    let (body, asked) = watched(BYTES);
    let upload = "0".repeat(32);
    let put = backend.put_part(&key, &upload, PartNumber::FIRST, BYTES as u64, body);
    assert_eq!(put.await.map_err(|e| e.kind), Err(wanted));
    assert!(!asked.load(Ordering::SeqCst), "the part's body was read");
}

#[tokio::test]
async fn a_full_disk_refuses_a_large_body_before_it_is_read() {
    let disk = SimFs::new();
    let backend = sim(&disk);
    disk.set_bytes_max(Some(1_000_000));
    refuses_unread(&backend, BackendErrorKind::DoesNotFit).await;
    // What was set aside for a body that failed is free again.
    disk.set_bytes_max(Some(1 << 20));
    let (short, _) = watched(500_000);
    let cut = backend.put(&key("a", 2), 1 << 20, short).await;
    assert_eq!(cut.map_err(|e| e.kind), Err(BackendErrorKind::Source));
    let (fits, _) = watched(1 << 20);
    backend.put(&key("a", 3), 1 << 20, fits).await.expect("put");
}

#[tokio::test]
async fn a_busy_or_vanished_directory_refuses_a_large_body_before_it_is_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let busy = FsConfig {
        threads_max: 0,
        thread_wait_max_ms: 1,
        ..FsConfig::at(folder.path().join("busy"))
    };
    let entropy = Arc::new(SeededEntropy::new(1));
    let backend = FsBackend::open(&busy, entropy).expect("the directory opens");
    refuses_unread(&backend, BackendErrorKind::Throttled).await;

    let root = folder.path().join("disk");
    let backend = open(&root);
    std::fs::rename(&root, folder.path().join("elsewhere")).expect("rename");
    refuses_unread(&backend, BackendErrorKind::Unavailable).await;
}

#[test]
fn room_is_set_aside_on_a_real_file_system() {
    let folder = tempfile::tempdir().expect("a folder");
    let layer = super::RealFs::open(folder.path()).expect("opens");
    let mut file = layer.create("file").expect("creates");
    file.allocate(1 << 20, 1 << 20)
        .expect("a megabyte is there");
    file.append(&[Bytes::from_static(b"bytes")])
        .expect("writes");
    assert_eq!(file.len().expect("stat"), 5, "only what was written counts");
    let more_than_any_disk = file.allocate(1 << 60, 1 << 60).expect_err("too much");
    let kind = crate::io_error::io_error("allocate", &more_than_any_disk).kind;
    assert_eq!(kind, BackendErrorKind::Full, "{more_than_any_disk}");
}

#[tokio::test]
async fn one_process_at_a_time() {
    let folder = tempfile::tempdir().expect("a folder");
    let first = super::RealFs::open(folder.path()).expect("the first opens");
    let handle = std::fs::File::open(folder.path()).expect("opens");
    let again = rustix::fs::flock(
        &handle,
        rustix::fs::FlockOperation::NonBlockingLockExclusive,
    );
    assert_eq!(again, Err(rustix::io::Errno::WOULDBLOCK));
    drop(first);
    super::RealFs::open(folder.path()).expect("the next opens");
}

#[tokio::test]
async fn a_cancelled_put_leaves_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let backend = open(folder.path());
    let chunk = Bytes::from(vec![1; 1 << 20]);
    let endless = futures_util::stream::iter([Ok(chunk)])
        .chain(futures_util::stream::pending())
        .boxed();
    let key = key("a", 1);
    let put = backend.put(&key, 5 << 20, endless);
    assert!(
        tokio::time::timeout(Duration::from_millis(200), put)
            .await
            .is_err()
    );
    assert_eq!(backend.head(&key).await, Ok(None));
    drop(backend);
    drop(open(folder.path()));
    assert_eq!(
        tree(folder.path()),
        BTreeSet::from(["tmp", "uploads"].map(String::from))
    );
}

#[tokio::test]
async fn upload_ids_are_never_paths() {
    let backend = sim(&SimFs::new());
    let key = key("a", 1);
    let part = BackendPart {
        number: PartNumber::FIRST,
        size: 1,
        etag: String::new(),
    };
    for upload in [
        "",
        "..",
        "../../etc",
        "x",
        "ABCDEF0123456789ABCDEF0123456789",
    ] {
        let error = backend
            .complete_upload(&key, upload, std::slice::from_ref(&part))
            .await;
        assert_eq!(
            error.map_err(|e| e.kind),
            Err(BackendErrorKind::NotFound),
            "{upload:?}"
        );
        let put = backend
            .put_part(&key, upload, PartNumber::FIRST, 1, body(b"x"))
            .await;
        assert_eq!(
            put.map_err(|e| e.kind),
            Err(BackendErrorKind::NotFound),
            "{upload:?}"
        );
        assert_eq!(backend.abort_upload(&key, upload).await, Ok(()));
    }
}

#[tokio::test]
async fn an_upload_belongs_to_its_key() {
    let backend = sim(&SimFs::new());
    let (key, other) = (key("a", 1), key("a", 2));
    let upload = backend.create_upload(&key).await.expect("create");
    let put = backend
        .put_part(&other, &upload, PartNumber::FIRST, 1, body(b"x"))
        .await;
    assert_eq!(put.map_err(|e| e.kind), Err(BackendErrorKind::NotFound));
    backend
        .abort_upload(&other, &upload)
        .await
        .expect("abort of nothing");
    assert_eq!(
        backend.list_uploads("", 5).await.map(|found| found.len()),
        Ok(1)
    );
}

#[tokio::test]
async fn complete_refuses_parts_that_are_not_what_was_named() {
    let backend = sim(&SimFs::new());
    let key = key("a", 1);
    let upload = backend.create_upload(&key).await.expect("create");
    let number = PartNumber::FIRST;
    let old = backend
        .put_part(&key, &upload, number, 2, body(b"xy"))
        .await
        .expect("put")
        .etag;
    let etag = backend
        .put_part(&key, &upload, number, 2, body(b"zz"))
        .await
        .expect("put")
        .etag;
    let part = |n, size, etag: &str| BackendPart {
        number: PartNumber::new(n).expect("a number"),
        size,
        etag: etag.to_owned(),
    };
    for (what, parts) in [
        ("none", vec![]),
        ("a replaced one", vec![part(1, 2, &old)]),
        ("another length", vec![part(1, 3, &etag)]),
        (
            "one that never came",
            vec![part(1, 2, &etag), part(2, 2, &etag)],
        ),
        ("one twice", vec![part(1, 2, &etag), part(1, 2, &etag)]),
    ] {
        let completed = backend.complete_upload(&key, &upload, &parts).await;
        assert_eq!(
            completed.map_err(|e| e.kind),
            Err(BackendErrorKind::Rejected),
            "{what}"
        );
    }
    backend
        .complete_upload(&key, &upload, &[part(1, 2, &etag)])
        .await
        .expect("the right one");
}

#[tokio::test]
async fn a_part_that_was_given_up_replaces_nothing_later() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = FsConfig {
        threads_max: 1,
        ..FsConfig::at(folder.path())
    };
    let entropy = Arc::new(SeededEntropy::new(1));
    let backend = FsBackend::open(&config, entropy).expect("the directory opens");
    let key = key("here", 1);
    let upload = backend.create_upload(&key).await.expect("begins");
    let id = FsUpload::parse(&upload).expect("an id of ours");
    let number = |number| PartNumber::new(number).expect("a number");
    {
        // The job is under way and cannot end before its caller has gone.
        let _alone = backend.locks.of(id).lock();
        let put = backend.put_part(&key, &upload, number(1), 4, body(b"late"));
        assert!(put.now_or_never().is_none());
    }
    // There is one thread: this job waits for the other's end.
    let put = backend.put_part(&key, &upload, number(2), 3, body(b"two"));
    put.await.expect("is stored");
    let parts: Vec<String> = tree(&folder.path().join(id.folder(&key)))
        .into_iter()
        .collect();
    assert_eq!(parts, ["00002"]);
}

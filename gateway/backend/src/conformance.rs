//! What every backend must do, as a test that any of them can be put through.

mod bodies;
mod multipart;

use md5::{Digest as _, Md5};
use weir_types::backend::{Backend, BackendErrorKind, BackendPage};
use weir_types::clock::Timestamp;
use weir_types::entropy::SeededEntropy;
use weir_types::id::{BackendKey, BlobId, SiteId};

use bodies::{cut_body, failing_body, pattern, read, whole_body};

/// What known servers do otherwise and a gateway can live with; none of it by default. Each is
/// checked to be as it is described here.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lenience {
    /// Parts are numbered from 1 without gaps, and none is replaced by other bytes or left out
    /// in the end; all that is refused. Servers that stream parts on to a store without
    /// multipart uploads.
    pub parts_fixed: bool,
    /// Requests on unknown uploads fail, but not as not found.
    pub unknown_upload_any_error: bool,
}

/// A run against one backend.
struct Run<'a> {
    backend: &'a dyn Backend,
    lenience: Lenience,
    site: SiteId,
    entropy: SeededEntropy,
}

/// Puts `backend` through everything that [`Backend`] promises and leaves it as empty as it
/// was. `seed` chooses the keys: another seed never meets keys of an earlier run.
///
/// # Panics
/// At the first promise that is not kept, saying which.
pub async fn check(backend: &dyn Backend, seed: u64) {
    check_leniently(backend, seed, Lenience::default()).await;
}

/// As [`check`], but for what `lenience` lets pass.
///
/// # Panics
/// At the first promise that is not kept, saying which.
pub async fn check_leniently(backend: &dyn Backend, seed: u64, lenience: Lenience) {
    let site = SiteId::parse(&format!("conformance-{seed:x}")).expect("the name is valid");
    let run = Run {
        backend,
        lenience,
        site,
        entropy: SeededEntropy::new(seed),
    };
    run.owner().await;
    run.whole_objects().await;
    run.ranges().await;
    run.broken_bodies().await;
    run.absent_keys().await;
    run.paging().await;
    run.multipart().await;
    run.abort().await;
    run.unknown_uploads().await;
    run.nothing_is_left().await;
}

impl Run<'_> {
    /// A key that was never used.
    fn key(&self) -> BackendKey {
        let blob = BlobId::mint(Timestamp::from_millis(1_750_000_000_000), &self.entropy);
        BackendKey::of(&self.site, blob, 1)
    }

    async fn put(&self, key: &BackendKey, bytes: &[u8], chunk_bytes: usize) {
        let body = whole_body(bytes, chunk_bytes);
        let stored = self
            .backend
            .put(key, bytes.len() as u64, body)
            .await
            .expect("put");
        let told = stored.require(bytes.len() as u64, Some(&Md5::digest(bytes).into()));
        assert_eq!(told, Ok(()), "what put answers");
    }

    async fn delete(&self, key: &BackendKey) {
        self.backend.delete(key).await.expect("delete");
        assert_eq!(
            self.backend.head(key).await,
            Ok(None),
            "head of a deleted key"
        );
    }

    async fn expect_absent(&self, key: &BackendKey, when: &str) {
        assert_eq!(self.backend.head(key).await, Ok(None), "head {when}");
        let error = self.backend.get(key, None).await.expect_err(when);
        assert_eq!(
            error.kind,
            BackendErrorKind::NotFound,
            "get {when}: {error}"
        );
        let page = self
            .backend
            .list(key.as_str(), None, 10)
            .await
            .expect("list");
        assert_eq!(page, BackendPage::default(), "list {when}");
    }

    async fn owner(&self) {
        for marker in [&b"one"[..], b"another, longer marker"] {
            self.backend.write_owner(marker).await.expect("write owner");
            let found = self.backend.read_owner().await.expect("read owner");
            assert_eq!(found.as_deref(), Some(marker), "owner marker");
        }
    }

    async fn whole_objects(&self) {
        for (bytes, chunk_bytes) in [
            (0, 1),
            (1, 1),
            (1000, 7),
            (64 << 10, 8 << 10),
            (256 << 10, 64 << 10),
            ((256 << 10) + 1, 64 << 10),
            ((3 << 20) + 17, 1 << 20),
        ] {
            let key = self.key();
            let sent = pattern(bytes, bytes as u64);
            self.put(&key, &sent, chunk_bytes).await;

            let head = self.backend.head(&key).await.expect("head");
            let head = head.unwrap_or_else(|| panic!("{bytes} bytes put, but head finds nothing"));
            assert_eq!(head.size, bytes as u64, "size that head answers");
            let fetched = self.backend.get(&key, None).await.expect("get");
            assert_eq!(fetched.size, bytes as u64, "size that get answers");
            assert_eq!(fetched.etag, head.etag, "tags of head and get");
            assert!(
                read(fetched).await == sent,
                "{bytes} bytes come back changed"
            );
            self.delete(&key).await;
            self.expect_absent(&key, "after delete").await;
        }
    }

    async fn ranges(&self) {
        let key = self.key();
        let size = 700_000_u64;
        let sent = pattern(700_000, 1);
        self.put(&key, &sent, 100_000).await;
        for range in [
            0..1,
            0..size,
            size - 1..size,
            262_143..262_145,
            262_144..524_288,
            1..size - 1,
            333_333..333_334,
        ] {
            let wanted = &sent[range.start as usize..range.end as usize];
            let fetched = self
                .backend
                .get(&key, Some(range.clone()))
                .await
                .expect("get range");
            assert_eq!(fetched.size, size, "whole size at range {range:?}");
            assert!(read(fetched).await == wanted, "bytes of range {range:?}");
        }
        let beyond = self.backend.get(&key, Some(size..size + 1)).await;
        let error = beyond.expect_err("a range beyond the end");
        assert_eq!(
            error.kind,
            BackendErrorKind::Rejected,
            "range beyond the end: {error}"
        );
        self.delete(&key).await;
    }

    /// A body that fails, ends early or runs over leaves nothing, and is not held against the
    /// backend.
    async fn broken_bodies(&self) {
        for announced in [10_u64, 400_000, 3 << 20] {
            let half = pattern(announced as usize / 2, 2);
            let over = pattern(announced as usize + 1, 2);
            for (what, body) in [
                ("fails at once", failing_body(&[])),
                ("fails half-way", failing_body(&half)),
                ("ends early", cut_body(&half)),
                ("runs over", cut_body(&over)),
            ] {
                let key = self.key();
                let error = self
                    .backend
                    .put(&key, announced, body)
                    .await
                    .expect_err(what);
                assert_eq!(error.kind, BackendErrorKind::Source, "body {what}: {error}");
                assert!(
                    error.source.is_some(),
                    "body {what}: the source's error is kept"
                );
                self.expect_absent(&key, &format!("after a body of {announced} that {what}"))
                    .await;
            }
        }
    }

    async fn absent_keys(&self) {
        let key = self.key();
        self.expect_absent(&key, "of a key that never was").await;
        for _ in 0..2 {
            self.backend.delete(&key).await.expect("delete of nothing");
        }
        let error = self
            .backend
            .get(&key, Some(0..1))
            .await
            .expect_err("get of nothing");
        assert_eq!(
            error.kind,
            BackendErrorKind::NotFound,
            "range of nothing: {error}"
        );
    }

    async fn paging(&self) {
        let mut keys: Vec<BackendKey> = (0..23).map(|_| self.key()).collect();
        for (index, key) in keys.iter().enumerate() {
            self.put(key, &pattern(index, 3), 1 << 10).await;
        }
        let sizes: std::collections::BTreeMap<String, u64> = keys
            .iter()
            .enumerate()
            .map(|(n, key)| (key.to_string(), n as u64))
            .collect();
        keys.sort();
        let prefix = BackendKey::site_prefix(&self.site);
        for limit in [1, 2, 7, 23, 100] {
            let mut after: Option<String> = None;
            let mut found = Vec::new();
            loop {
                let page = self
                    .backend
                    .list(&prefix, after.as_deref(), limit)
                    .await
                    .expect("list");
                assert!(page.entries.len() <= limit, "a page of {limit} has more");
                after = page.entries.last().map(|entry| entry.key.clone());
                found.extend(page.entries);
                if !page.more {
                    break;
                }
                assert!(after.is_some(), "a page that is not the last is empty");
            }
            let names: Vec<&str> = found.iter().map(|entry| entry.key.as_str()).collect();
            let wanted: Vec<&str> = keys.iter().map(BackendKey::as_str).collect();
            assert_eq!(names, wanted, "keys listed {limit} at a time");
            for entry in &found {
                assert_eq!(
                    Some(&entry.size),
                    sizes.get(&entry.key),
                    "size of {}",
                    entry.key
                );
            }
        }
        let absent = self
            .backend
            .list("w1/conformance-other/", None, 5)
            .await
            .expect("list");
        assert_eq!(
            absent,
            BackendPage::default(),
            "listing of a prefix without keys"
        );
        // Copies of an index lie beside the blobs and are listed for themselves.
        let copy = BackendKey::of_index(&self.site, "e1", "stream/log-1.0").expect("a valid name");
        self.put(&copy, &pattern(5, 3), 1 << 10).await;
        let copies = BackendKey::index_prefix(&self.site);
        let page = self.backend.list(&copies, None, 100).await.expect("list");
        let names: Vec<&str> = page.entries.iter().map(|e| e.key.as_str()).collect();
        assert_eq!(names, [copy.as_str()], "listing of the index's prefix");
        let page = self.backend.list(&prefix, None, 100).await.expect("list");
        assert_eq!(
            page.entries.len(),
            keys.len(),
            "the blobs' prefix is another"
        );
        self.delete(&copy).await;
        let shard = &keys[5].as_str()[..prefix.len() + 3];
        let page = self.backend.list(shard, None, 100).await.expect("list");
        assert!(
            page.entries.iter().any(|e| e.key == keys[5].as_str()),
            "listing of a shard"
        );
        assert!(
            page.entries.iter().all(|e| e.key.starts_with(shard)),
            "only keys of the prefix"
        );
        for key in &keys {
            self.delete(key).await;
        }
    }

    async fn nothing_is_left(&self) {
        let prefix = BackendKey::site_prefix(&self.site);
        let page = self.backend.list(&prefix, None, 10).await.expect("list");
        assert_eq!(page, BackendPage::default(), "objects left at the end");
        let uploads = self
            .backend
            .list_uploads(&prefix, 10)
            .await
            .expect("list uploads");
        assert_eq!(uploads, [], "uploads left at the end");
    }
}

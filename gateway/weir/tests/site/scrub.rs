//! Bytes that are flipped on disk, behind the gateway's back, are found without a reader.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{sleep, timeout};
use weir_types::id::{BucketName, ObjectKey};
use weir_types::index::Index;
use weir_types::record::BlobRecord;

use weir::serve::Running;

use crate::{ask, bearer, config, put, settled, start};

/// Three whole blocks and a bit.
static CONTENT: [u8; 800_000] = [0x5A; 800_000];

async fn blob(running: &Running, key: &str) -> BlobRecord {
    let bucket = BucketName::parse("photos").expect("a valid name");
    let key = ObjectKey::parse(key).expect("a valid key");
    let found = running.site().index.lookup(&bucket, &key).await;
    *found.expect("readable").blob.expect("there")
}

/// The file of this name, in any folder beneath.
fn find(folder: &Path, name: &str) -> Option<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let mut paths = entries.map(|entry| entry.expect("an entry").path());
    paths.find_map(|path| {
        if path.is_dir() {
            find(&path, name)
        } else {
            let is_it = path.file_name().is_some_and(|found| found == name);
            is_it.then_some(path)
        }
    })
}

/// Where the copy at `position` lies.
fn file(data: &Path, blob: &BlobRecord, position: usize) -> PathBuf {
    let copy = &blob.copies[position];
    let (_, name) = copy
        .key
        .as_str()
        .rsplit_once('/')
        .expect("a key in a shard");
    let found = find(&data.join(copy.backend.as_str()), name);
    found.unwrap_or_else(|| panic!("{name} lies on no disk"))
}

fn flip(path: &Path, at: usize) {
    let mut bytes = std::fs::read(path).expect("readable");
    bytes[at] ^= 1;
    std::fs::write(path, bytes).expect("writable");
}

async fn scrub(running: &Running, method: &str, target: &str) -> (u16, String) {
    let token = bearer(running);
    ask(&running.admin_url, method, target, &token, Bytes::new()).await
}

async fn report(running: &Running) -> serde_json::Value {
    let (status, text) = scrub(running, "GET", "/v1/scrub").await;
    assert_eq!(status, 200, "{text}");
    serde_json::from_str(&text).expect("JSON")
}

/// Suspects of the last full pass, on all backends.
fn suspects(report: &serde_json::Value) -> u64 {
    let backends = report["backends"].as_array().expect("a list");
    let of = |b: &serde_json::Value| b["last_full"]["suspects"].as_u64().unwrap_or(0);
    backends.iter().map(of).sum()
}

/// Begins a pass and waits for its end.
async fn pass(running: &Running) -> serde_json::Value {
    let (status, text) = scrub(running, "POST", "/v1/scrub/start").await;
    assert_eq!(status, 200, "{text}");
    let ended = async {
        loop {
            let report = report(running).await;
            let backends = report["backends"].as_array().expect("a list");
            if backends.iter().all(|b| b["state"] == "resting") {
                return report;
            }
            sleep(Duration::from_millis(10)).await;
        }
    };
    let ended = timeout(Duration::from_secs(60), ended).await;
    ended.expect("it comes to its end")
}

#[tokio::test]
async fn bytes_that_were_flipped_on_disk_are_found_and_repaired() {
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let mut config = config(scratch.path());
    config.limits.scrub_bytes_per_second_max = 1 << 30;
    config.limits.scrub_requests_per_second_max = 10_000;
    // What was replaced is removed at once: nobody reads.
    config.limits.clean_grace_ms = 0;
    let data = config.data_dir.clone();
    let running = start(config.clone()).await;
    put(&running, "large", &CONTENT).await;
    put(&running, "small", b"content").await;
    put(&running, "empty", b"").await;
    settled(&running).await;
    assert_eq!(suspects(&pass(&running).await), 0);

    let large = blob(&running, "large").await;
    let small = blob(&running, "small").await;
    flip(&file(&data, &large, 0), 700_000);
    flip(&file(&data, &small, 1), 0);
    let empty = blob(&running, "empty").await;
    std::fs::remove_file(file(&data, &empty, 0)).expect("removed");
    let found = pass(&running).await;
    assert_eq!(suspects(&found), 3, "{found:#}");
    settled(&running).await;
    for (key, before, wrong) in [
        ("large", &large, 0),
        ("small", &small, 1),
        ("empty", &empty, 0),
    ] {
        let after = blob(&running, key).await;
        assert_eq!(after.copies.len(), 2, "{key}");
        let wrong = &before.copies[wrong].key;
        assert!(after.copies.iter().all(|copy| copy.key != *wrong), "{key}");
        for position in 0..2 {
            let bytes = std::fs::read(file(&data, &after, position)).expect("readable");
            let wanted: &[u8] = match key {
                "large" => &CONTENT,
                "small" => b"content",
                _ => b"",
            };
            assert!(bytes == wanted, "{key} is whole again");
        }
    }
    assert_eq!(suspects(&pass(&running).await), 0);

    // What operators ask for.
    let (status, text) = scrub(&running, "GET", "/v1/status?format=text").await;
    assert_eq!(status, 200);
    assert_eq!(
        text.matches("scrub: resting · last full pass ").count(),
        3,
        "{text}"
    );
    for (method, target, want) in [
        ("POST", "/v1/scrub/stop?backend=disk-a", 200),
        ("POST", "/v1/scrub/stop?backend=disk-z", 404),
        ("POST", "/v1/scrub/stop?backend=%2F", 400),
        ("GET", "/v1/scrub/stop", 405),
        ("POST", "/v1/scrub", 405),
        ("POST", "/v1/scrub/pause", 404),
    ] {
        let (status, text) = scrub(&running, method, target).await;
        assert_eq!(status, want, "{method} {target}: {text}");
    }
    running.stop().await;

    config.limits.scrub_bytes_per_second_max = 0;
    let running = start(config).await;
    let (status, text) = scrub(&running, "POST", "/v1/scrub/start").await;
    assert_eq!(
        (status, text.contains("scrub is off")),
        (409, true),
        "{text}"
    );
    let report = report(&running).await;
    assert_eq!(report["backends"][0]["state"], "off");
    assert!(
        report["backends"][0]["last_full"].is_object(),
        "it is remembered"
    );
    running.stop().await;
}

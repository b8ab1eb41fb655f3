//! Power goes at random instants; what was acknowledged must be there afterwards. And with
//! any one fsync left out, it must not always be: each of them is needed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _};
use weir_types::backend::{Backend, BackendError, BackendPart};
use weir_types::body::PutStream;
use weir_types::clock::Timestamp;
use weir_types::entropy::{Entropy as _, SeededEntropy};
use weir_types::id::{BackendKey, BlobId, PartNumber, SiteId};

use super::{FsBackend, SYNC_SITES};
use crate::sim::SimFs;

const ROUNDS: usize = 4;
const SEEDS: u64 = 250;

/// An upload that was acknowledged, with its acknowledged parts.
#[derive(Clone)]
struct Upload {
    key: BackendKey,
    id: String,
    parts: BTreeMap<PartNumber, (BackendPart, Vec<u8>)>,
}

/// A change that was under way when the power went; it is asked for again afterwards.
enum Doubt {
    Put(BackendKey),
    Delete(BackendKey),
    Part(Upload, PartNumber),
    Complete(Upload),
    Abort(Upload),
    Nothing,
}

/// What was acknowledged.
#[derive(Default)]
struct Acknowledged {
    objects: BTreeMap<BackendKey, Vec<u8>>,
    deleted: BTreeSet<BackendKey>,
    uploads: Vec<Upload>,
    aborted: BTreeSet<String>,
    /// The marker that was acknowledged last, and those under way since.
    owner: Vec<Vec<u8>>,
    owner_written: bool,
}

struct Storm {
    seed: u64,
    dice: SeededEntropy,
    disk: SimFs,
    site: SiteId,
    known: Acknowledged,
}

type Verdict = Result<(), String>;

fn body(bytes: &[u8]) -> PutStream {
    let chunks: Vec<_> = bytes
        .chunks(70_000)
        .map(|c| Ok(Bytes::copy_from_slice(c)))
        .collect();
    Box::pin(futures_util::stream::iter(chunks))
}

async fn read(backend: &FsBackend, key: &BackendKey) -> Result<Vec<u8>, BackendError> {
    let mut fetched = backend.get(key, None).await?;
    let mut out = Vec::new();
    while let Some(chunk) = fetched.body.next().await {
        out.extend_from_slice(&chunk?);
    }
    Ok(out)
}

impl Storm {
    fn new(seed: u64) -> Self {
        Self {
            seed,
            dice: SeededEntropy::new(seed),
            disk: SimFs::new(),
            site: SiteId::parse("storm").expect("the name is valid"),
            known: Acknowledged::default(),
        }
    }

    fn below(&self, limit: usize) -> usize {
        (self.dice.u64() % limit.max(1) as u64) as usize
    }

    fn key(&self) -> BackendKey {
        let blob = BlobId::mint(Timestamp::from_millis(self.dice.u64()), &self.dice);
        BackendKey::of(&self.site, blob, 0)
    }

    fn bytes(&self) -> Vec<u8> {
        let size = match self.below(12) {
            0 => 0,
            1 => 300_000 + self.below(300_000),
            _ => self.below(3000),
        };
        let mut out = vec![0; size];
        self.dice.fill(&mut out);
        out
    }

    fn open(&self) -> Result<FsBackend, BackendError> {
        let opened = FsBackend::on_layer(
            Arc::new(self.disk.clone()),
            Arc::new(SeededEntropy::new(self.dice.u64())),
        )?;
        let confirmed = opened.confirmed().now_or_never();
        confirmed.expect("a simulated disk never waits")?;
        Ok(opened)
    }

    /// Does something; what was acknowledged is noted, what was not comes back.
    async fn step(&mut self, backend: &FsBackend) -> Doubt {
        match self.below(9) {
            0 => self.put(backend).await,
            1 => {
                let keys: Vec<BackendKey> = self.known.objects.keys().cloned().collect();
                let Some(key) = keys.get(self.below(keys.len())).cloned() else {
                    return Doubt::Nothing;
                };
                self.known.objects.remove(&key);
                self.delete(backend, key).await
            }
            2 => {
                let key = self.key();
                if let Ok(id) = backend.create_upload(&key).await {
                    self.known.uploads.push(Upload {
                        key,
                        id,
                        parts: BTreeMap::new(),
                    });
                }
                Doubt::Nothing
            }
            3..=5 => match self.take_upload() {
                Some(upload) => self.part(backend, upload).await,
                None => Doubt::Nothing,
            },
            6 => match self.take_upload() {
                Some(mut upload) => {
                    // Not every part is named.
                    if self.below(2) == 0 && upload.parts.len() > 1 {
                        upload.parts.pop_first();
                    }
                    self.complete(backend, upload).await
                }
                None => Doubt::Nothing,
            },
            7 => match self.take_upload() {
                Some(upload) if self.below(3) == 0 => self.abort(backend, upload).await,
                Some(upload) => {
                    self.known.uploads.push(upload);
                    Doubt::Nothing
                }
                None => Doubt::Nothing,
            },
            _ => {
                let marker = self.dice.u64().to_string().into_bytes();
                match backend.write_owner(&marker).await {
                    Ok(()) => {
                        self.known.owner = vec![marker];
                        self.known.owner_written = true;
                    }
                    Err(_) => self.known.owner.push(marker),
                }
                Doubt::Nothing
            }
        }
    }

    fn take_upload(&mut self) -> Option<Upload> {
        let count = self.known.uploads.len();
        (count > 0).then(|| self.known.uploads.remove(self.below(count)))
    }

    async fn put(&mut self, backend: &FsBackend) -> Doubt {
        let (key, bytes) = (self.key(), self.bytes());
        match backend.put(&key, bytes.len() as u64, body(&bytes)).await {
            Ok(_) => {
                self.known.objects.insert(key, bytes);
                Doubt::Nothing
            }
            Err(_) => Doubt::Put(key),
        }
    }

    async fn delete(&mut self, backend: &FsBackend, key: BackendKey) -> Doubt {
        match backend.delete(&key).await {
            Ok(()) => {
                self.known.deleted.insert(key);
                Doubt::Nothing
            }
            Err(_) => Doubt::Delete(key),
        }
    }

    async fn part(&mut self, backend: &FsBackend, mut upload: Upload) -> Doubt {
        let number = PartNumber::new(1 + self.below(4) as u16).expect("1 to 4");
        let bytes = self.bytes();
        let size = bytes.len() as u64;
        match backend
            .put_part(&upload.key, &upload.id, number, size, body(&bytes))
            .await
        {
            Ok(stored) => {
                let part = BackendPart {
                    number,
                    size,
                    etag: stored.etag,
                };
                upload.parts.insert(number, (part, bytes));
                self.known.uploads.push(upload);
                Doubt::Nothing
            }
            Err(_) => Doubt::Part(upload, number),
        }
    }

    async fn complete(&mut self, backend: &FsBackend, upload: Upload) -> Doubt {
        if upload.parts.is_empty() {
            self.known.uploads.push(upload);
            return Doubt::Nothing;
        }
        let parts: Vec<BackendPart> = upload.parts.values().map(|(p, _)| p.clone()).collect();
        match backend
            .complete_upload(&upload.key, &upload.id, &parts)
            .await
        {
            Ok(_) => {
                let whole = upload
                    .parts
                    .values()
                    .flat_map(|(_, bytes)| bytes.clone())
                    .collect();
                self.known.objects.insert(upload.key, whole);
                Doubt::Nothing
            }
            Err(_) => Doubt::Complete(upload),
        }
    }

    async fn abort(&mut self, backend: &FsBackend, upload: Upload) -> Doubt {
        match backend.abort_upload(&upload.key, &upload.id).await {
            Ok(()) => {
                self.known.aborted.insert(upload.id);
                Doubt::Nothing
            }
            Err(_) => Doubt::Abort(upload),
        }
    }

    /// Asks again for what was under way: it must go through now.
    async fn settle(&mut self, backend: &FsBackend, doubt: Doubt) -> Verdict {
        let again = match doubt {
            Doubt::Nothing => Doubt::Nothing,
            Doubt::Put(key) | Doubt::Delete(key) => self.delete(backend, key).await,
            Doubt::Part(mut upload, number) => {
                upload.parts.remove(&number);
                self.known.uploads.push(upload);
                Doubt::Nothing
            }
            Doubt::Complete(upload) => self.complete(backend, upload).await,
            Doubt::Abort(upload) => self.abort(backend, upload).await,
        };
        match again {
            Doubt::Nothing => Ok(()),
            _ => Err("what was under way at the crash cannot be finished afterwards".to_owned()),
        }
    }

    /// Everything that was acknowledged is there, and nothing else.
    async fn verify(&self, backend: &FsBackend) -> Verdict {
        for (key, bytes) in &self.known.objects {
            match read(backend, key).await {
                Ok(found) if found == *bytes => {}
                Ok(_) => return Err(format!("{key} has other bytes")),
                Err(e) => return Err(format!("{key} is lost: {e}")),
            }
        }
        for key in &self.known.deleted {
            if backend.head(key).await != Ok(None) {
                return Err(format!("{key} was deleted and is back"));
            }
        }
        let page = backend
            .list("", None, 10_000)
            .await
            .map_err(|e| e.to_string())?;
        let listed: Vec<(&str, u64)> = page
            .entries
            .iter()
            .filter(|e| e.key.starts_with("w1/"))
            .map(|e| (e.key.as_str(), e.size))
            .collect();
        let wanted: Vec<(&str, u64)> = self
            .known
            .objects
            .iter()
            .map(|(k, b)| (k.as_str(), b.len() as u64))
            .collect();
        if listed != wanted {
            return Err(format!("listed {listed:?}, acknowledged {wanted:?}"));
        }
        let uploads = backend
            .list_uploads("", 10_000)
            .await
            .map_err(|e| e.to_string())?;
        for upload in &self.known.uploads {
            if !uploads.iter().any(|found| found.upload == upload.id) {
                return Err(format!("upload {} is lost", upload.id));
            }
        }
        if let Some(back) = uploads
            .iter()
            .find(|u| self.known.aborted.contains(&u.upload))
        {
            return Err(format!("upload {} was aborted and is back", back.upload));
        }
        let owner = backend.read_owner().await.map_err(|e| e.to_string())?;
        match owner {
            None if !self.known.owner_written => Ok(()),
            Some(marker) if self.known.owner.contains(&marker) => Ok(()),
            other => Err(format!("owner marker {other:?}")),
        }
    }

    async fn run(&mut self) -> Verdict {
        let mut doubt = Doubt::Nothing;
        for _ in 0..ROUNDS {
            let backend = self.open().map_err(|e| format!("reopen: {e}"))?;
            self.settle(&backend, doubt).await?;
            self.verify(&backend).await?;
            doubt = Doubt::Nothing;
            self.disk.die_after(self.below(150) as u64);
            while !self.disk.is_dead() {
                doubt = self.step(&backend).await;
            }
            self.disk = match self.below(3) {
                0 => self.disk.kill(),
                _ => self.disk.crash(self.dice.u64()),
            };
        }
        let backend = self.open().map_err(|e| format!("reopen: {e}"))?;
        self.settle(&backend, doubt).await?;
        // Parts count as kept only if the object they make has their bytes.
        for upload in std::mem::take(&mut self.known.uploads) {
            let retry = self.complete(&backend, upload).await;
            self.settle_final(retry)?;
        }
        self.verify(&backend).await
    }

    fn settle_final(&self, doubt: Doubt) -> Verdict {
        match doubt {
            Doubt::Nothing => Ok(()),
            _ => Err(format!("seed {}: an acknowledged part is lost", self.seed)),
        }
    }
}

#[tokio::test]
async fn acknowledged_data_survives_power_loss() {
    for seed in 0..SEEDS {
        if let Err(violation) = Storm::new(seed).run().await {
            panic!("seed {seed}: {violation}");
        }
    }
}

#[tokio::test]
async fn every_fsync_is_needed() {
    let mut seen = BTreeSet::new();
    for site in SYNC_SITES {
        let mut found = None;
        for seed in 0..SEEDS {
            let mut storm = Storm::new(seed);
            storm.disk.ignore_sync(site);
            let verdict = storm.run().await;
            seen.extend(storm.disk.sites_seen());
            if let Err(violation) = verdict {
                found = Some(violation);
                break;
            }
        }
        assert!(
            found.is_some(),
            "nothing is lost without the fsync {site:?}: is it needed?"
        );
    }
    let listed: BTreeSet<&str> = SYNC_SITES.iter().copied().collect();
    assert_eq!(seen, listed, "every fsync is in the list of sites");
}

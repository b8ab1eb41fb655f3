//! What is shipped to one backend.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use weir_index::log::{LogHash, LogRead, LogTail, StreamId};
use weir_index::store::Store;
use weir_types::backend::{Backend, BackendError, BackendErrorKind};
use weir_types::clock::Timestamp;
use weir_types::codec::Record as _;
use weir_types::index::{Index, IndexError};

use super::snapshot::Taken;
use super::{Post, Shared, clean};
use crate::content::{Manifest, Segment};
use crate::inventory::Inventory;
use crate::name::{File, Place};
use crate::seal::Sealer;
use crate::status::SnapshotStatus;

/// Without changes it is looked so often whether a snapshot is due.
const LOOK_INTERVAL: Duration = Duration::from_secs(60);
/// Largest file that is read back: a segment may have one entry beyond its bound.
pub(crate) const FILE_BYTES_MAX: u64 = 1 << 30;

/// What one backend has, and what is on its way there.
pub(super) struct Worker<S: Store> {
    shared: Arc<Shared<S>>,
    target: usize,
    standing: Option<Standing>,
    upload: Option<Upload>,
    tail: watch::Receiver<Option<LogTail>>,
    sent_at: Option<Instant>,
    /// Why the snapshot that is due was not made, and until when it is not tried again.
    no_snapshot: Option<(Instant, String)>,
    /// What was last removed: all before this number, and whether other streams too.
    cleaned: Option<(u64, bool)>,
}

/// Where the chain on the backend ends.
pub(super) struct Standing {
    pub(super) place: Place,
    sealer: Sealer,
    /// When the stream was first shipped.
    pub(super) began: Timestamp,
    number: u64,
    hash: LogHash,
    /// The chain begins at a snapshot that is not whole there yet.
    waits_for: Option<u64>,
    pub(super) snapshot: Option<SnapshotStatus>,
    /// Bytes of log since that.
    log_bytes: u64,
}

/// A snapshot of which some parts are there.
struct Upload {
    taken: Arc<Taken>,
    tried: u32,
    digests: Vec<[u8; 32]>,
}

/// Why a step did not succeed. It is tried again after a pause.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    #[error("{0}")]
    Backend(#[from] BackendError),
    #[error("{0}")]
    Index(#[from] IndexError),
    #[error("{0}")]
    Other(String),
}

enum Next {
    /// There is more to do.
    AtOnce,
    /// Nothing until the log grows.
    Wait,
}

impl<S: Store> Worker<S> {
    pub(super) fn new(shared: Arc<Shared<S>>, target: usize) -> Self {
        let tail = shared.index.log_tail();
        Self {
            shared,
            target,
            standing: None,
            upload: None,
            tail,
            sent_at: None,
            no_snapshot: None,
            cleaned: None,
        }
    }

    pub(super) async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let (least, most) = self.shared.settings.retry_pause;
        let mut pause = least;
        loop {
            let step = tokio::select! {
                step = self.step() => step,
                _ = stop.wait_for(|stop| *stop) => break,
            };
            let wait = match step {
                Ok(Next::AtOnce) => {
                    self.recovered();
                    pause = least;
                    continue;
                }
                Ok(Next::Wait) => {
                    self.recovered();
                    pause = least;
                    None
                }
                Err(trouble) => {
                    self.failed(&trouble);
                    let wait = pause;
                    pause = (pause * 2).min(most);
                    Some(wait)
                }
            };
            let interval = self.shared.settings.interval;
            let waited = async {
                match wait {
                    Some(pause) => sleep(pause).await,
                    None => {
                        let _nothing_for_long = timeout(LOOK_INTERVAL, self.tail.changed()).await;
                        sleep(interval).await;
                    }
                }
            };
            tokio::select! {
                () = waited => {}
                _ = stop.wait_for(|stop| *stop) => break,
            }
        }
        self.sent_at = None;
        let shared = Arc::clone(&self.shared);
        let last = async { while let Ok(true) = self.ship_log().await {} };
        if timeout(shared.settings.last_wait, last).await.is_err() {
            let backend = &shared.targets[self.target].id;
            tracing::warn!(%backend, "the end of the index's log was not shipped before the stop");
        }
    }

    fn recovered(&self) {
        let left = self.no_snapshot.as_ref().map(|(_, reason)| reason.clone());
        self.tell(|post| post.known.error = left);
    }

    fn failed(&self, trouble: &Trouble) {
        let id = &self.shared.targets[self.target].id;
        let reason = trouble.to_string();
        self.tell(|post| {
            post.known.failures += 1;
            if post.known.error.as_ref() != Some(&reason) {
                tracing::warn!(backend = %id, %reason, "the index is not shipped there at the moment");
                post.known.error = Some(reason);
            }
        });
    }

    fn tell(&self, tell: impl FnOnce(&mut Post)) {
        self.shared.tell(self.target, tell);
    }

    fn backend(&self) -> &dyn Backend {
        &*self.shared.targets[self.target].backend
    }

    async fn step(&mut self) -> Result<Next, Trouble> {
        let tail = *self.tail.borrow_and_update();
        let tail = tail.ok_or_else(|| Trouble::Other("the index has no log".into()))?;
        let stands = self.standing.as_ref().map(|standing| standing.place.stream);
        if stands != Some(tail.stream) {
            (self.standing, self.upload, self.cleaned) = (None, None, None);
            self.tell(|post| {
                (post.stream, post.sent) = (Some(tail.stream), 0);
                (post.known.shipped, post.known.snapshot) = (None, None);
                post.known.under_way = None;
            });
            self.standing = self.look(tail.stream).await?;
            self.told();
        }
        if self.standing.is_none() {
            self.begin_snapshot(0).await?;
        }
        let more = self.ship_log().await?;
        if self.upload.is_none() && self.is_snapshot_due(tail) {
            self.follow_up().await;
        }
        if self.upload.is_some() {
            self.ship_part().await?;
            return Ok(Next::AtOnce);
        }
        if let Some(standing) = &self.standing {
            let done = clean::remove_old(&self.shared, self.target, standing, self.cleaned);
            self.cleaned = done.await?;
        }
        Ok(if more { Next::AtOnce } else { Next::Wait })
    }

    /// What of `stream` lies there already.
    async fn look(&self, stream: StreamId) -> Result<Option<Standing>, Trouble> {
        let identity = self.shared.index.identity();
        let place = Place {
            site: identity.site,
            epoch: identity.epoch,
            stream,
        };
        let listed = Inventory::list(self.backend(), &place.site, &place.prefix()).await?;
        let listed = listed.into_values().next().unwrap_or_default();
        let tail = self.shared.tail().filter(|tail| tail.stream == stream);
        if tail.is_some_and(|tail| tail.last < listed.greatest()) {
            return Err(self.part_ways(stream).await);
        }
        let sealer = Sealer::new(self.shared.settings.key.as_ref(), &place);
        let Some(newest) = listed.snapshots().first().copied() else {
            return Ok(None);
        };
        let File::Snapshot { began, .. } = newest.manifest else {
            return Ok(None);
        };
        let manifest = self.read(&place, &sealer, newest.manifest).await?;
        let manifest = manifest.and_then(|inside| Manifest::decode(&inside).ok());
        let Some(manifest) = manifest.filter(|m| m.number == newest.number) else {
            return Ok(None);
        };
        let (number, file) = listed.reach(newest.number);
        let hash = match file {
            None => Some(manifest.hash),
            Some(file) => {
                let inside = self.read(&place, &sealer, file).await?;
                let segment = inside.and_then(|inside| Segment::decode(&inside));
                let end = segment.and_then(|segment| segment.position());
                end.filter(|end| end.number == number).map(|end| end.hash)
            }
        };
        // What cannot be read is no chain to go on with.
        let Some(hash) = hash else { return Ok(None) };
        let ours = self.shared.index.log_after(stream, number - 1, 1)?;
        if let LogRead::Entries(entries) = ours
            && entries.first().is_some_and(|entry| entry.hash() != hash)
        {
            return Err(self.part_ways(stream).await);
        }
        let snapshot = SnapshotStatus {
            number: manifest.number,
            taken_at: manifest.taken_at,
            bytes: manifest.bytes,
        };
        Ok(Some(Standing {
            place,
            sealer,
            began,
            number,
            hash,
            waits_for: None,
            snapshot: Some(snapshot),
            log_bytes: 0,
        }))
    }

    /// More, or other, was shipped of this stream than the index knows: it is an older state of
    /// itself, put back by hand. It goes another way from here, so under another name.
    async fn part_ways(&self, stream: StreamId) -> Trouble {
        let what = "what lies there was shipped by a later state of this index: was its file \
                    put back from a copy? It is kept, and a new stream begins";
        match self.shared.index.restart_log(stream).await {
            Ok(()) => Trouble::Other(what.into()),
            Err(error) => error.into(),
        }
    }

    /// A file's inside; `None` when it is damaged or not there.
    async fn read(
        &self,
        place: &Place,
        sealer: &Sealer,
        file: File,
    ) -> Result<Option<Vec<u8>>, Trouble> {
        let key = place.key(file).map_err(|e| Trouble::Other(e.to_string()))?;
        match read_file(self.backend(), &key).await {
            Ok(bytes) => match sealer.open(key.as_str(), bytes) {
                Ok(inside) => Ok(Some(inside)),
                Err(error) => {
                    tracing::warn!(%key, %error, "a file of the index insurance cannot be used");
                    Ok(None)
                }
            },
            Err(error) if error.kind == BackendErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn is_snapshot_due(&self, tail: LogTail) -> bool {
        let settings = &self.shared.settings;
        let Some(standing) = &self.standing else {
            return true;
        };
        let Some(snapshot) = standing.snapshot.filter(|_| standing.waits_for.is_none()) else {
            return true;
        };
        let is_old = self.shared.clock.now().since(snapshot.taken_at) >= settings.snapshot_interval;
        let much = snapshot.bytes.max(settings.snapshot_log_bytes_min);
        standing.log_bytes > much || (is_old && tail.last > snapshot.number)
    }

    /// Begins the snapshot that is due. When that fails, such as for want of room, the log goes
    /// on being shipped all the same.
    async fn follow_up(&mut self) {
        if self
            .no_snapshot
            .as_ref()
            .is_some_and(|(until, _)| Instant::now() < *until)
        {
            return;
        }
        let newest = self.standing.as_ref().and_then(|s| s.snapshot);
        let at_least = newest.map_or(0, |snapshot| snapshot.number + 1);
        let begun = self.begin_snapshot(at_least).await;
        self.no_snapshot = begun.err().map(|trouble| {
            self.failed(&trouble);
            let (_, longest) = self.shared.settings.retry_pause;
            (Instant::now() + longest, trouble.to_string())
        });
    }

    async fn begin_snapshot(&mut self, at_least: u64) -> Result<(), Trouble> {
        let shared = &self.shared;
        let taken = shared
            .snapshots
            .take(&shared.index, &shared.clock, at_least);
        let taken = taken.await.map_err(Trouble::Other)?;
        let position = taken.position;
        self.upload = Some(Upload {
            tried: (shared.entropy.u64() >> 32) as u32,
            digests: Vec::new(),
            taken,
        });
        if self.standing.is_none() {
            let identity = shared.index.identity();
            let place = Place {
                site: identity.site,
                epoch: identity.epoch,
                stream: position.stream,
            };
            self.standing = Some(Standing {
                sealer: Sealer::new(shared.settings.key.as_ref(), &place),
                place,
                began: shared.clock.now(),
                number: position.number,
                hash: position.hash,
                waits_for: Some(position.number),
                snapshot: None,
                log_bytes: 0,
            });
        }
        self.told();
        Ok(())
    }

    /// Ships what the log has, one segment at most; whether there may be more.
    async fn ship_log(&mut self) -> Result<bool, Trouble> {
        let settings = &self.shared.settings;
        let is_early = self
            .sent_at
            .is_some_and(|at| at.elapsed() < settings.interval);
        let Some(standing) = &mut self.standing else {
            return Ok(false);
        };
        if is_early && self.upload.is_some() {
            return Ok(false);
        }
        let (now, stream) = (self.shared.clock.now(), standing.place.stream);
        let read =
            self.shared
                .index
                .log_after(stream, standing.number, settings.segment_bytes_max)?;
        let LogRead::Entries(entries) = read else {
            return self.over_the_gap().await;
        };
        let Some(first) = entries.first() else {
            // Without the snapshot that the chain begins at, nothing of it can be restored.
            if standing.waits_for.is_none() {
                self.shared
                    .tell(self.target, |post| post.known.up_to = Some(now));
            }
            return Ok(false);
        };
        if first.before != standing.hash {
            self.standing = None;
            return Err(self.part_ways(stream).await);
        }
        let bytes: usize = entries.iter().map(|entry| entry.changes.len()).sum();
        let is_all = bytes < settings.segment_bytes_max;
        let segment = Segment {
            stream,
            up_to: is_all.then_some(now),
            entries,
        };
        let (Some(end), Some(inside)) = (segment.position(), segment.encode()) else {
            return Err(Trouble::Other("a log entry is larger than 4 GiB".into()));
        };
        let file = File::Log {
            first: standing.number + 1,
            last: end.number,
            tried: (self.shared.entropy.u64() >> 32) as u32,
        };
        self.shared.crash.pass("insurance.before-segment").await;
        let sent = put(&self.shared, self.target, standing, file, &inside).await?;
        self.shared.crash.pass("insurance.after-segment").await;
        (standing.number, standing.hash) = (end.number, end.hash);
        standing.log_bytes += sent;
        let up_to = segment.up_to.filter(|_| standing.waits_for.is_none());
        self.sent_at = Some(Instant::now());
        self.tell(|post| {
            post.known.segments += 1;
            post.known.bytes += sent;
            post.known.up_to = up_to.or(post.known.up_to);
        });
        self.told();
        self.shared.trim(stream).await?;
        Ok(!is_all)
    }

    /// The log does not hold any more what comes next: only a snapshot leads on.
    async fn over_the_gap(&mut self) -> Result<bool, Trouble> {
        let tail = self.shared.tail();
        let Some(standing) = &mut self.standing else {
            return Ok(false);
        };
        let Some(tail) = tail.filter(|tail| tail.stream == standing.place.stream) else {
            // Another stream has begun meanwhile.
            self.standing = None;
            return Ok(true);
        };
        let leads_on = |upload: &Upload| upload.taken.position.number + 1 >= tail.first;
        if !self.upload.as_ref().is_some_and(leads_on) {
            self.tell(|post| post.known.gaps += 1);
            self.begin_snapshot(tail.first.saturating_sub(1)).await?;
        }
        let (Some(standing), Some(upload)) = (&mut self.standing, &self.upload) else {
            return Ok(false);
        };
        let position = upload.taken.position;
        (standing.number, standing.hash) = (position.number, position.hash);
        standing.waits_for = Some(position.number);
        Ok(true)
    }

    /// Ships the next part of the snapshot, or, after the last, what makes it whole.
    async fn ship_part(&mut self) -> Result<(), Trouble> {
        let shared = &self.shared;
        let length = shared.settings.part_bytes_max;
        let (Some(standing), Some(upload)) = (&mut self.standing, &mut self.upload) else {
            return Ok(());
        };
        let (taken, tried) = (&upload.taken, upload.tried);
        let (number, bytes) = (taken.position.number, taken.written.bytes);
        let part = u32::try_from(upload.digests.len()).unwrap_or(u32::MAX);
        let offset = u64::from(part) * length as u64;
        if offset < bytes {
            let inside = taken.read(offset, length).await;
            let inside = inside.map_err(|error| Trouble::Other(error.to_string()))?;
            let file = File::Part {
                number,
                part,
                tried,
            };
            let sent = put(shared, self.target, standing, file, &inside).await?;
            shared.crash.pass("insurance.after-part").await;
            upload.digests.push(digest(&inside));
            let parts = bytes.div_ceil(length as u64);
            let parts = u32::try_from(parts).unwrap_or(u32::MAX);
            self.tell(|post| {
                post.known.bytes += sent;
                post.known.under_way = Some((part + 1, parts));
            });
            return Ok(());
        }
        let manifest = Manifest {
            stream: taken.position.stream.0,
            number,
            hash: taken.position.hash,
            taken_at: taken.taken_at,
            rows: taken.written.rows,
            bytes,
            parts: upload.digests.clone(),
        };
        let file = File::Snapshot {
            number,
            parts: part,
            began: standing.began,
            tried,
        };
        shared.crash.pass("insurance.before-manifest").await;
        let sent = put(shared, self.target, standing, file, &manifest.encode()).await?;
        shared.crash.pass("insurance.after-manifest").await;
        standing.snapshot = Some(SnapshotStatus {
            number,
            taken_at: manifest.taken_at,
            bytes,
        });
        standing.log_bytes = 0;
        if standing.waits_for == Some(number) {
            standing.waits_for = None;
        }
        self.upload = None;
        self.tell(|post| {
            post.known.snapshots += 1;
            post.known.bytes += sent;
            post.known.up_to = post.known.up_to.max(Some(manifest.taken_at));
        });
        self.told();
        Ok(())
    }

    /// Tells the others, and who asks, where this backend stands.
    fn told(&self) {
        let upload = self.upload.is_some();
        self.tell(|post| {
            if !upload {
                post.known.under_way = None;
            }
            let Some(standing) = &self.standing else {
                return;
            };
            post.sent = standing.number;
            post.known.snapshot = standing.snapshot;
            if standing.waits_for.is_none() {
                post.known.shipped = Some(standing.number);
            }
        });
    }
}

/// Puts a file; its length.
async fn put<S: Store>(
    shared: &Shared<S>,
    target: usize,
    standing: &Standing,
    file: File,
    inside: &[u8],
) -> Result<u64, Trouble> {
    let key = standing.place.key(file);
    let key = key.map_err(|error| Trouble::Other(error.to_string()))?;
    let sealed = standing.sealer.seal(key.as_str(), inside, &*shared.entropy);
    let size = sealed.len() as u64;
    let body = futures_util::stream::once(async move { Ok(Bytes::from(sealed)) }).boxed();
    let stored = shared.targets[target].backend.put(&key, size, body).await?;
    stored.require(size, None)?;
    Ok(size)
}

/// The whole file under `key`.
pub(crate) async fn read_file(
    backend: &dyn Backend,
    key: &weir_types::id::BackendKey,
) -> Result<Vec<u8>, BackendError> {
    let fetched = backend.get(key, None).await?;
    if fetched.size > FILE_BYTES_MAX {
        let message = format!("{key} has {} bytes", fetched.size);
        return Err(BackendError::new(BackendErrorKind::Corrupt, message));
    }
    let whole = fetched
        .body
        .try_fold(Vec::new(), |mut whole, chunk| async move {
            whole.extend_from_slice(&chunk);
            Ok(whole)
        });
    whole.await
}

/// SHA-256.
pub(crate) fn digest(bytes: &[u8]) -> [u8; 32] {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    *digest
        .as_ref()
        .first_chunk()
        .expect("a SHA-256 has 32 bytes")
}

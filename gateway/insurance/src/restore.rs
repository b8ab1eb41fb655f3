//! Making an index again of what lies on backends.
//!
//! The way: [`survey`] lists what there is; [`Survey::choose`] picks the newest; [`collect`] reads a
//! snapshot and the log that goes on from it, from whichever backend has each file whole, and
//! checks that they fit together; [`Collected::build`] makes the index file of that.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashSet};
use std::fs::File as DiskFile;
use std::io::{BufReader, BufWriter, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::future::join_all;
use weir_index::backup::{BackupError, OnProgress, Replay, RestoreOptions, restore_and_replay};
use weir_index::log::{LogEntry, LogPosition, StreamId};
use weir_types::clock::Timestamp;
use weir_types::codec::Record as _;
use weir_types::entropy::Entropy;
use weir_types::id::{BackendId, SiteId};
use weir_types::index::IndexIdentity;

use crate::Target;
use crate::content::{Manifest, Segment};
use crate::inventory::{Inventory, Listed};
use crate::name::{File, Place};
use crate::seal::{Key, OpenError, Sealer};
use crate::ship::{digest, read_file};

/// Files that are read at one time.
const READS_MAX: usize = 16;
/// Segments that are looked at for the time that a stream has reached.
const LOOKED_AT_MAX: usize = 16;

/// Why nothing can be restored.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// No backend that answers has a copy of an index of the site.
    #[error("no copy of an index of site {0} lies on the backends that answer")]
    Nothing(SiteId),
    /// There are copies, and none can be read.
    #[error("no copy can be used: {0}")]
    Unusable(String),
    /// A file on this machine could not be written or read.
    #[error("{path}: {error}")]
    Disk {
        /// The file.
        path: PathBuf,
        /// What failed.
        error: std::io::Error,
    },
    /// The index could not be made.
    #[error(transparent)]
    Index(#[from] BackupError),
}

/// What lies on the backends.
#[derive(Debug)]
pub struct Survey {
    /// What can be restored, the newest first.
    pub candidates: Vec<Candidate>,
    /// Backends that did not answer, and why.
    pub unreachable: Vec<(BackendId, String)>,
}

/// One stream of one index.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// Which.
    pub place: Place,
    /// The time that it has reached, as its newest file says; or why that cannot be read.
    pub reached: Result<Timestamp, Unread>,
    /// The last log number that a file names.
    pub last: u64,
    /// Backends that have something of it.
    pub backends: Vec<BackendId>,
    files: BTreeMap<File, Vec<usize>>,
}

/// Why a file could not be had from any backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread {
    reason: String,
    /// All that is wrong is that it is plain although a key is configured: it is of the time
    /// before there was one, or somebody else put it there.
    is_only_plain: bool,
}

impl Unread {
    fn because(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            is_only_plain: false,
        }
    }
}

impl std::fmt::Display for Unread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.reason)
    }
}

/// Looks at all `targets` at one time. Reads listings and a few files; changes nothing.
pub async fn survey(site: &SiteId, targets: &[Target], key: Option<&Key>) -> Survey {
    let prefix = Place::site_prefix(site);
    let listings = targets
        .iter()
        .map(|target| Inventory::list(&*target.backend, site, &prefix));
    let mut places: BTreeMap<Place, BTreeMap<File, Vec<usize>>> = BTreeMap::new();
    let mut unreachable = Vec::new();
    for (number, listing) in join_all(listings).await.into_iter().enumerate() {
        match listing {
            Ok(found) => {
                for (place, inventory) in found {
                    let files = places.entry(place).or_default();
                    for file in inventory.files {
                        files.entry(file).or_default().push(number);
                    }
                }
            }
            Err(error) => unreachable.push((targets[number].id.clone(), error.to_string())),
        }
    }
    let mut candidates = Vec::new();
    for (place, files) in places {
        let holders: HashSet<usize> = files.values().flatten().copied().collect();
        let mut backends: Vec<_> = holders.iter().map(|n| targets[*n].id.clone()).collect();
        backends.sort();
        let mut candidate = Candidate {
            last: inventory(&files).greatest(),
            reached: Err(Unread::because("")),
            place,
            backends,
            files,
        };
        candidate.reached = Source::new(&candidate, targets, key).reached().await;
        candidates.push(candidate);
    }
    candidates.sort_by_key(|candidate| std::cmp::Reverse(candidate.reached.clone().ok()));
    Survey {
        candidates,
        unreachable,
    }
}

impl Survey {
    /// The stream that is named; else the newest of the indexes with one of the epochs that the
    /// backends' owner markers name, or, where nothing of these can be restored, of all.
    pub fn choose(
        &self,
        site: &SiteId,
        stream: Option<StreamId>,
        epochs: &[String],
    ) -> Result<&Candidate, RestoreError> {
        if self.candidates.is_empty() {
            return Err(RestoreError::Nothing(site.clone()));
        }
        if let Some(stream) = stream {
            let named = self.candidates.iter().find(|c| c.place.stream == stream);
            return named
                .ok_or_else(|| RestoreError::Unusable(format!("there is no stream {stream}")));
        }
        // A copy that cannot be read may be the newest: to take another would lose what it has.
        let unreadable = self.candidates.iter().find_map(|candidate| {
            let reason = candidate.reached.as_ref().err()?;
            let may_be_newer = candidate.is_whole() && !reason.is_only_plain;
            may_be_newer.then_some((&candidate.place, reason))
        });
        if let Some((place, reason)) = unreadable {
            return Err(RestoreError::Unusable(format!(
                "stream {} of epoch {}: {reason}",
                place.stream, place.epoch
            )));
        }
        let mut readable = self.candidates.iter().filter(|c| c.reached.is_ok());
        let newest = readable.clone().find(|c| epochs.contains(&c.place.epoch));
        let newest = newest.or_else(|| readable.next());
        newest.ok_or_else(|| RestoreError::Unusable("no snapshot is whole".into()))
    }
}

impl Candidate {
    /// Whether a snapshot of it is whole, by the names of its files.
    fn is_whole(&self) -> bool {
        !inventory(&self.files).snapshots().is_empty()
    }
}

fn inventory(files: &BTreeMap<File, Vec<usize>>) -> Inventory {
    Inventory {
        files: files.keys().copied().collect(),
    }
}

/// Reads files of one stream from whichever backend has them.
struct Source<'a> {
    place: &'a Place,
    files: &'a BTreeMap<File, Vec<usize>>,
    targets: &'a [Target],
    sealer: Sealer,
}

impl<'a> Source<'a> {
    fn new(candidate: &'a Candidate, targets: &'a [Target], key: Option<&Key>) -> Self {
        Self {
            place: &candidate.place,
            files: &candidate.files,
            targets,
            sealer: Sealer::new(key, &candidate.place),
        }
    }

    /// What `file` holds, where `check` accepts it; else why it cannot be had.
    async fn read<T>(&self, file: File, check: impl Fn(Vec<u8>) -> Option<T>) -> Result<T, Unread> {
        let key = self.place.key(file);
        let key = key.map_err(|error| Unread::because(error.to_string()))?;
        let mut reasons = Vec::new();
        let mut is_only_plain = true;
        for holder in self.files.get(&file).into_iter().flatten() {
            let target = &self.targets[*holder];
            let reason = match read_file(&*target.backend, &key).await {
                Err(error) => {
                    is_only_plain = false;
                    error.to_string()
                }
                Ok(bytes) => match self.sealer.open(key.as_str(), bytes) {
                    Err(error) => {
                        is_only_plain &= error == OpenError::NotSealed;
                        error.to_string()
                    }
                    Ok(inside) => match check(inside) {
                        Some(inside) => return Ok(inside),
                        None => {
                            is_only_plain = false;
                            OpenError::Damaged.to_string()
                        }
                    },
                },
            };
            reasons.push(format!("{}: {reason}", target.id));
        }
        Err(Unread {
            reason: format!("{file} ({})", reasons.join("; ")),
            is_only_plain,
        })
    }

    async fn manifest(&self, listed: Listed) -> Result<Manifest, Unread> {
        let check = |inside: Vec<u8>| {
            let manifest = Manifest::decode(&inside).ok()?;
            let fits = manifest.number == listed.number
                && manifest.stream == self.place.stream.0
                && manifest.parts.len() == listed.parts as usize;
            fits.then_some(manifest)
        };
        self.read(listed.manifest, check).await
    }

    async fn segment(&self, file: File) -> Result<Segment, Unread> {
        let check = |inside: Vec<u8>| {
            let segment = Segment::decode(&inside)?;
            let File::Log { first, last, .. } = file else {
                return None;
            };
            let numbers = (
                segment.entries.first()?.number,
                segment.entries.last()?.number,
            );
            (numbers == (first, last) && segment.stream == self.place.stream).then_some(segment)
        };
        self.read(file, check).await
    }

    /// The newest time that one of the newest files tells.
    async fn reached(&self) -> Result<Timestamp, Unread> {
        let inventory = inventory(self.files);
        let Some(newest) = inventory.snapshots().first().copied() else {
            return Err(Unread::because("no snapshot of it is whole"));
        };
        let mut segments: Vec<_> = inventory.segments().collect();
        segments.sort_by_key(|(_, last, _)| std::cmp::Reverse(*last));
        for (_, _, file) in segments.into_iter().take(LOOKED_AT_MAX) {
            if let Ok(Segment {
                up_to: Some(up_to), ..
            }) = self.segment(file).await
            {
                return Ok(up_to);
            }
        }
        let manifest = self.manifest(newest).await?;
        Ok(manifest.taken_at)
    }
}

/// Told how far it is: a line for a person.
pub type Tell<'t> = &'t (dyn Fn(String) + Send + Sync);

/// Everything that is needed to make an index, on this machine, checked.
#[derive(Debug)]
pub struct Collected {
    /// Of what.
    pub place: Place,
    /// Where in the log the snapshot stands.
    pub from: LogPosition,
    /// When the snapshot was taken.
    pub taken_at: Timestamp,
    /// Where in the log the restored index stands.
    pub reached: LogPosition,
    /// All that was committed before this time is in it.
    pub up_to: Timestamp,
    /// What lies beyond and cannot be reached.
    pub gap: Option<Gap>,
    /// Files that could not be read, and why.
    pub damaged: Vec<String>,
    snapshot: Scratch,
    log: Scratch,
}

/// Part of the log that is missing although what comes after it is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// The first number that is missing.
    pub first: u64,
    /// The last number that lies beyond.
    pub beyond: u64,
}

/// A file that goes when it is dropped.
#[derive(Debug)]
struct Scratch(PathBuf);

impl Scratch {
    fn create(path: PathBuf) -> Result<(Self, BufWriter<DiskFile>), RestoreError> {
        let mut options = std::fs::OpenOptions::new();
        options.create(true).truncate(true).write(true).mode(0o600);
        match options.open(&path) {
            Ok(file) => Ok((Self(path), BufWriter::new(file))),
            Err(error) => Err(RestoreError::Disk { path, error }),
        }
    }

    fn failed(&self, error: std::io::Error) -> RestoreError {
        let path = self.0.clone();
        RestoreError::Disk { path, error }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _it_may_be_gone = std::fs::remove_file(&self.0);
    }
}

/// Brings what is needed of `candidate` to `folder`, which must be there, and checks it.
pub async fn collect(
    candidate: &Candidate,
    targets: &[Target],
    key: Option<&Key>,
    folder: &Path,
    tell: Tell<'_>,
) -> Result<Collected, RestoreError> {
    let source = Source::new(candidate, targets, key);
    let inventory = inventory(&candidate.files);
    let mut damaged = Vec::new();
    let mut found = None;
    for listed in inventory.snapshots() {
        match snapshot(&source, listed, folder, tell).await? {
            Ok(whole) => {
                found = Some(whole);
                break;
            }
            Err(reason) => damaged.push(reason),
        }
    }
    let Some((manifest, snapshot)) = found else {
        let reason = match damaged.as_slice() {
            [] => "no snapshot is whole".to_owned(),
            reasons => format!("no snapshot is whole: {}", reasons.join(", ")),
        };
        return Err(RestoreError::Unusable(reason));
    };
    let from = manifest.position();
    let mut chain = Chain {
        reached: from,
        up_to: manifest.taken_at,
        unusable: HashSet::new(),
        damaged,
    };
    let log = chain.follow(&source, &inventory, folder, tell).await?;
    let beyond = inventory.segments().map(|(_, last, _)| last).max();
    let beyond = beyond.filter(|last| *last > chain.reached.number);
    Ok(Collected {
        place: candidate.place.clone(),
        from,
        taken_at: manifest.taken_at,
        reached: chain.reached,
        up_to: chain.up_to,
        gap: beyond.map(|beyond| Gap {
            first: chain.reached.number + 1,
            beyond,
        }),
        damaged: chain.damaged,
        snapshot,
        log,
    })
}

/// The outer error is this machine's, the inner one says why the snapshot is not whole.
async fn snapshot(
    source: &Source<'_>,
    listed: Listed,
    folder: &Path,
    tell: Tell<'_>,
) -> Result<Result<(Manifest, Scratch), String>, RestoreError> {
    let manifest = match source.manifest(listed).await {
        Ok(manifest) => manifest,
        Err(reason) => return Ok(Err(reason.to_string())),
    };
    let File::Snapshot { tried, .. } = listed.manifest else {
        return Ok(Err("it has no manifest".to_owned()));
    };
    let (scratch, mut out) = Scratch::create(folder.join("restore.snapshot"))?;
    let parts = manifest.parts.iter().enumerate().map(|(part, expected)| {
        let file = File::Part {
            number: listed.number,
            part: u32::try_from(part).unwrap_or(u32::MAX),
            tried,
        };
        source.read(file, move |inside| {
            (digest(&inside) == *expected).then_some(inside)
        })
    });
    let mut parts = futures_util::stream::iter(parts).buffered(READS_MAX);
    let mut read = 0;
    while let Some(part) = parts.next().await {
        match part {
            Ok(part) => out.write_all(&part).map_err(|e| scratch.failed(e))?,
            Err(reason) => return Ok(Err(reason.to_string())),
        }
        read += 1;
        if read % 64 == 0 {
            tell(format!(
                "snapshot: {read} of {} files",
                manifest.parts.len()
            ));
        }
    }
    out.flush().map_err(|e| scratch.failed(e))?;
    drop(parts);
    Ok(Ok((manifest, scratch)))
}

/// The log as far as it was followed.
struct Chain {
    reached: LogPosition,
    up_to: Timestamp,
    unusable: HashSet<File>,
    damaged: Vec<String>,
}

impl Chain {
    /// Writes to a file what follows, until nothing fits any more.
    async fn follow(
        &mut self,
        source: &Source<'_>,
        inventory: &Inventory,
        folder: &Path,
        tell: Tell<'_>,
    ) -> Result<Scratch, RestoreError> {
        let (scratch, mut out) = Scratch::create(folder.join("restore.log"))?;
        loop {
            let plan = plan(inventory, self.reached.number, &self.unusable);
            if plan.is_empty() {
                out.flush().map_err(|e| scratch.failed(e))?;
                return Ok(scratch);
            }
            let reads = plan
                .iter()
                .map(|file| async move { (*file, source.segment(*file).await) });
            let mut reads = futures_util::stream::iter(reads).buffered(READS_MAX);
            let mut count = 0;
            while let Some((file, segment)) = reads.next().await {
                let fits = segment.map_err(|unread| unread.to_string());
                let fits = fits.and_then(|segment| {
                    self.fits(&segment)
                        .then_some(segment)
                        .ok_or_else(|| format!("{file} does not fit to what comes before"))
                });
                match fits {
                    Ok(segment) => self
                        .take(segment, &mut out)
                        .map_err(|e| scratch.failed(e))?,
                    Err(reason) => {
                        // Another file may lead on from here.
                        self.damaged.push(reason);
                        self.unusable.insert(file);
                        break;
                    }
                }
                count += 1;
                if count % 1000 == 0 {
                    tell(format!(
                        "log: number {}, {}",
                        self.reached.number, self.up_to
                    ));
                }
            }
        }
    }

    fn fits(&self, segment: &Segment) -> bool {
        let next = self.reached.number + 1;
        let next = segment.entries.iter().find(|entry| entry.number == next);
        next.is_some_and(|entry| entry.before == self.reached.hash)
    }

    fn take(&mut self, segment: Segment, out: &mut impl std::io::Write) -> std::io::Result<()> {
        for entry in &segment.entries {
            if entry.number <= self.reached.number {
                continue;
            }
            let length = u32::try_from(entry.changes.len()).map_err(std::io::Error::other)?;
            out.write_all(&length.to_le_bytes())?;
            out.write_all(&entry.changes)?;
            (self.reached.number, self.reached.hash) = (entry.number, entry.hash());
        }
        self.up_to = segment.up_to.unwrap_or(self.up_to).max(self.up_to);
        Ok(())
    }
}

/// Files that lead on from `number`, by their names: the farthest each time.
fn plan(inventory: &Inventory, mut number: u64, unusable: &HashSet<File>) -> Vec<File> {
    let mut plan = Vec::new();
    let mut best: Option<(u64, File)> = None;
    let usable = |file: &File| !unusable.contains(file);
    let mut segments = inventory
        .segments()
        .filter(|(_, _, f)| usable(f))
        .peekable();
    loop {
        // In the order of their first numbers.
        while let Some((_, last, file)) = segments.next_if(|(first, ..)| *first <= number + 1) {
            if last > number && best.is_none_or(|(farthest, _)| last > farthest) {
                best = Some((last, file));
            }
        }
        match best.take() {
            Some((last, file)) => {
                plan.push(file);
                number = last;
            }
            None => return plan,
        }
    }
}

impl Collected {
    /// Makes the index file `target`, which must not exist. It succeeds the one that was
    /// shipped, under the epoch `successor`. Blocks.
    pub fn build(
        &self,
        target: &Path,
        successor: String,
        entropy: Arc<dyn Entropy>,
        on_progress: &mut OnProgress<'_>,
    ) -> Result<IndexIdentity, RestoreError> {
        let log = DiskFile::open(&self.log.0).map_err(|e| self.log.failed(e))?;
        let mut entries = Entries {
            log: BufReader::new(log),
            path: &self.log.0,
            at: self.from,
            last: self.reached.number,
        };
        let options = RestoreOptions {
            successor: Some(successor),
            entropy,
            ..RestoreOptions::default()
        };
        let replay = Replay {
            from: self.from,
            entries: &mut entries,
        };
        let snapshot = &self.snapshot.0;
        let done = restore_and_replay(snapshot, Some(replay), target, &options, on_progress)?;
        Ok(done.0)
    }
}

/// Reads what [`Chain::take`] wrote.
struct Entries<'a> {
    log: BufReader<DiskFile>,
    path: &'a Path,
    at: LogPosition,
    last: u64,
}

impl Entries<'_> {
    fn read(&mut self) -> std::io::Result<LogEntry> {
        let mut length = [0; 4];
        self.log.read_exact(&mut length)?;
        let mut changes = vec![0; u32::from_le_bytes(length) as usize];
        self.log.read_exact(&mut changes)?;
        let entry = LogEntry {
            number: self.at.number + 1,
            before: self.at.hash,
            changes,
        };
        (self.at.number, self.at.hash) = (entry.number, entry.hash());
        Ok(entry)
    }
}

impl Iterator for Entries<'_> {
    type Item = Result<LogEntry, BackupError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at.number >= self.last {
            return None;
        }
        let path = self.path.to_owned();
        Some(
            self.read()
                .map_err(|error| BackupError::File { path, error }),
        )
    }
}

//! Comparing the index with the backends, both ways. Reports; changes nothing.
//!
//! The laws within the index (references, ledger, outbox) are checked on one snapshot by
//! [`EmbeddedIndex::audit`]. Between the index and a backend there is no snapshot, so whatever
//! looks wrong is looked at again, in an order in which only something that is wrong stays so:
//! a key is *unknown* when the index does not account for it and it then still exists; a copy
//! is *missing* when the index has it, the backend then has not, and the index then still has.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use weir_index::EmbeddedIndex;
use weir_types::backend::{Backend, BackendError};
use weir_types::id::{BackendId, BackendKey, BlobId, SiteId};
use weir_types::index::{Index, IndexError};
use weir_types::record::BlobRecord;

/// Keys of one backend that are held in memory at one time; more take further passes.
const KEYS_PER_PASS_MAX: u64 = 1_000_000;
/// Shards of the key space: three hex digits.
const SHARDS: u64 = 4096;
/// Rows and keys per page.
const PAGE: usize = 1000;
/// Findings named one by one for each backend; further ones are only counted.
const FINDINGS_NAMED_MAX: usize = 1000;

/// What a verification found.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Report {
    /// Rows of the index read.
    pub rows: u64,
    /// Laws of the index that are broken.
    pub index_problems_count: u64,
    /// The first of them.
    pub index_problems: Vec<String>,
    /// Per backend.
    pub backends: Vec<BackendReport>,
}

/// What was found on one backend.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct BackendReport {
    /// Which.
    pub backend: String,
    /// Keys listed.
    pub keys: u64,
    /// Copies the index has there.
    pub copies: u64,
    /// How many findings there are.
    pub findings_count: u64,
    /// The first of them.
    pub findings: Vec<Finding>,
    /// Why it could not be verified whole.
    pub error: Option<String>,
}

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Finding {
    /// The index has a copy, the backend does not.
    Missing {
        /// The backend's key.
        key: String,
        /// The blob.
        blob: String,
    },
    /// The backend has another length than the index.
    WrongSize {
        /// The backend's key.
        key: String,
        /// Bytes by the index.
        index_bytes: u64,
        /// Bytes on the backend.
        backend_bytes: u64,
    },
    /// The backend has a key of this site that neither a copy nor an intent accounts for.
    Unknown {
        /// The backend's key.
        key: String,
        /// Its bytes.
        bytes: u64,
    },
}

/// Told how far it is: a line for a person.
pub type Progress<'a> = &'a (dyn Fn(String) + Send + Sync);

/// A backend to verify: its id, and how to reach it.
pub type Target = (BackendId, Arc<dyn Backend>);

impl Report {
    /// Whether everything is as it should be, and all of it was looked at.
    pub fn is_clean(&self) -> bool {
        let backend = |b: &BackendReport| b.findings_count == 0 && b.error.is_none();
        self.index_problems_count == 0 && self.backends.iter().all(backend)
    }
}

/// Verifies the index and each of the backends. Works while the gateway serves.
pub async fn verify(
    index: &Arc<EmbeddedIndex>,
    backends: &[Target],
    progress: Progress<'_>,
) -> Result<Report, IndexError> {
    progress("checking the index".into());
    let audited = Arc::clone(index);
    let audit = tokio::task::spawn_blocking(move || audited.audit()).await;
    let audit = audit.map_err(|error| IndexError::Storage(error.to_string()))??;
    let mut report = Report {
        rows: audit.rows,
        index_problems_count: audit.problems_count,
        index_problems: audit.problems,
        backends: Vec::new(),
    };
    for (id, backend) in backends {
        report
            .backends
            .push(verify_backend(&**index, id, &**backend, progress).await?);
    }
    Ok(report)
}

/// Compares one backend with the index.
pub async fn verify_backend(
    index: &dyn Index,
    id: &BackendId,
    backend: &dyn Backend,
    progress: Progress<'_>,
) -> Result<BackendReport, IndexError> {
    let ledger = index.ledger().await?;
    let objects = ledger
        .iter()
        .find(|(b, _)| b == id)
        .map_or(0, |(_, l)| l.used_objects);
    let passes = (objects / KEYS_PER_PASS_MAX + 1)
        .next_power_of_two()
        .min(SHARDS);
    let report = BackendReport {
        backend: id.to_string(),
        ..BackendReport::default()
    };
    let mut comparison = Comparison {
        index,
        id,
        backend,
        site: index.identity().site,
        report,
    };
    for pass in 0..passes {
        let shards = (pass * SHARDS / passes)..((pass + 1) * SHARDS / passes);
        progress(format!("comparing {id}, pass {} of {passes}", pass + 1));
        match comparison.pass(&shards).await? {
            Ok(()) => {}
            Err(error) => {
                comparison.report.error = Some(error.to_string());
                break;
            }
        }
    }
    Ok(comparison.report)
}

struct Comparison<'a> {
    index: &'a dyn Index,
    id: &'a BackendId,
    backend: &'a dyn Backend,
    site: SiteId,
    report: BackendReport,
}

type Keys = HashMap<(BlobId, u32), u64>;

impl Comparison<'_> {
    /// One pass over a range of shards. The inner error is the backend's.
    async fn pass(
        &mut self,
        shards: &std::ops::Range<u64>,
    ) -> Result<Result<(), BackendError>, IndexError> {
        let keys = match self.list(shards).await {
            Ok(keys) => keys,
            Err(error) => return Ok(Err(error)),
        };
        self.report.keys += keys.len() as u64;
        let keys = match self.copies(shards, keys).await? {
            Ok(rest) => rest,
            Err(error) => return Ok(Err(error)),
        };
        self.unknown(keys).await
    }

    /// Sizes of the keys in these shards, as the backend lists them.
    async fn list(&self, shards: &std::ops::Range<u64>) -> Result<Keys, BackendError> {
        let mut keys = Keys::new();
        let is_all = *shards == (0..SHARDS);
        let site = BackendKey::site_prefix(&self.site);
        let prefixes: Vec<_> = if is_all {
            vec![site]
        } else {
            shards
                .clone()
                .map(|shard| format!("{site}{shard:03x}/"))
                .collect()
        };
        for prefix in prefixes {
            let mut after: Option<String> = None;
            loop {
                let page = self.backend.list(&prefix, after.as_deref(), PAGE).await?;
                for entry in &page.entries {
                    if let Some((_, blob, attempt)) = BackendKey::parse(&self.site, &entry.key) {
                        keys.insert((blob, attempt), entry.size);
                    }
                }
                after = page.entries.last().map(|entry| entry.key.clone());
                if !page.more || after.is_none() {
                    break;
                }
            }
        }
        Ok(keys)
    }

    /// Takes the keys that copies account for out of `keys`; reports copies that are missing
    /// or of another size.
    async fn copies(
        &mut self,
        shards: &std::ops::Range<u64>,
        mut keys: Keys,
    ) -> Result<Result<Keys, BackendError>, IndexError> {
        let mut after = None;
        loop {
            let page = self.index.copies_on(self.id, after, PAGE).await?;
            let Some((blob, copy)) = page.last() else {
                return Ok(Ok(keys));
            };
            after = Some((*blob, copy.attempt));
            for (blob, copy) in &page {
                if !shards.contains(&shard(*blob)) {
                    continue;
                }
                self.report.copies += 1;
                let listed = keys.remove(&(*blob, copy.attempt));
                let size = self.index.blob(*blob).await?.map(|b| b.size);
                if size.is_some() && listed == size {
                    continue;
                }
                if let Err(error) = self.look_again(*blob, copy.attempt, &copy.key).await? {
                    return Ok(Err(error));
                }
            }
        }
    }

    /// A copy looked missing or of another size: reports it if it still is.
    async fn look_again(
        &mut self,
        blob: BlobId,
        attempt: u32,
        key: &BackendKey,
    ) -> Result<Result<(), BackendError>, IndexError> {
        let stored = match self.backend.head(key).await {
            Ok(stored) => stored,
            Err(error) => return Ok(Err(error)),
        };
        let record = self.index.blob(blob).await?;
        let Some(record) = record.filter(|record| has_copy(record, self.id, attempt)) else {
            return Ok(Ok(()));
        };
        match stored {
            None => self.found(Finding::Missing {
                key: key.to_string(),
                blob: blob.to_string(),
            }),
            Some(stored) if stored.size != record.size => self.found(Finding::WrongSize {
                key: key.to_string(),
                index_bytes: record.size,
                backend_bytes: stored.size,
            }),
            Some(_) => {}
        }
        Ok(Ok(()))
    }

    /// Reports those of `keys` that nothing accounts for.
    ///
    /// A key is first an open intent's, then a copy's, then a condemned intent's, then gone,
    /// and never goes back. So what is neither found among intents, nor after that among
    /// copies, nor after that among intents, is gone from the index; what the backend then
    /// still has is unknown.
    async fn unknown(&mut self, keys: Keys) -> Result<Result<(), BackendError>, IndexError> {
        if keys.is_empty() {
            return Ok(Ok(()));
        }
        let before = self.keys_of_intents().await?;
        let mut suspects = Vec::new();
        for (blob, attempt) in keys.into_keys() {
            let key = BackendKey::of(&self.site, blob, attempt);
            let record = self.index.blob(blob).await?;
            let is_copy = record.is_some_and(|record| has_copy(&record, self.id, attempt));
            if !is_copy && !before.contains(key.as_str()) {
                suspects.push(key);
            }
        }
        if suspects.is_empty() {
            return Ok(Ok(()));
        }
        let after = self.keys_of_intents().await?;
        suspects.retain(|key| !after.contains(key.as_str()));
        suspects.sort();
        for key in suspects {
            match self.backend.head(&key).await {
                Ok(None) => {}
                Ok(Some(stored)) => {
                    self.found(Finding::Unknown {
                        key: key.to_string(),
                        bytes: stored.size,
                    });
                }
                Err(error) => return Ok(Err(error)),
            }
        }
        Ok(Ok(()))
    }

    async fn keys_of_intents(&self) -> Result<HashSet<String>, IndexError> {
        let mut keys = HashSet::new();
        let mut after = None;
        loop {
            let page = self.index.intents(after, PAGE).await?;
            let Some(last) = page.last() else {
                return Ok(keys);
            };
            after = Some(last.intent);
            let here = page.iter().filter(|intent| intent.backend == *self.id);
            keys.extend(here.map(|intent| intent.key.as_str().to_owned()));
        }
    }

    fn found(&mut self, finding: Finding) {
        self.report.findings_count += 1;
        if self.report.findings.len() < FINDINGS_NAMED_MAX {
            self.report.findings.push(finding);
        }
    }
}

fn shard(blob: BlobId) -> u64 {
    u64::try_from(blob.0 % u128::from(SHARDS)).unwrap_or(0)
}

fn has_copy(blob: &BlobRecord, backend: &BackendId, attempt: u32) -> bool {
    blob.copies
        .iter()
        .any(|copy| copy.backend == *backend && copy.attempt == attempt)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "index: {} rows, {} problem(s)",
            self.rows, self.index_problems_count
        )?;
        for problem in &self.index_problems {
            writeln!(f, "  {problem}")?;
        }
        for backend in &self.backends {
            let BackendReport {
                backend: id,
                keys,
                copies,
                findings_count,
                ..
            } = backend;
            writeln!(
                f,
                "backend {id}: {copies} copies, {keys} keys, {findings_count} finding(s)"
            )?;
            for finding in &backend.findings {
                writeln!(f, "  {finding}")?;
            }
            if let Some(error) = &backend.error {
                writeln!(f, "  not verified whole: {error}")?;
            }
        }
        let verdict = if self.is_clean() {
            "clean"
        } else {
            "not clean"
        };
        writeln!(f, "{verdict}")
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { key, blob } => write!(f, "missing: {key} of blob {blob}"),
            Self::WrongSize {
                key,
                index_bytes,
                backend_bytes,
            } => {
                write!(
                    f,
                    "wrong size: {key} has {backend_bytes} bytes instead of {index_bytes}"
                )
            }
            Self::Unknown { key, bytes } => write!(f, "unknown: {key}, {bytes} bytes"),
        }
    }
}

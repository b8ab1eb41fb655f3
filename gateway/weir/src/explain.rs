//! Everything known about one key: versions, copies, who placed it and why, work that waits.

use std::fmt;

use serde::Serialize;
use weir_types::clock::Timestamp;
use weir_types::id::{BlobId, BucketName, ObjectKey};
use weir_types::index::{Index, IndexError};
use weir_types::record::{BlobState, CopyState, OutboxEntry, VersionRecord, Work};

/// Versions shown at most.
const VERSIONS_MAX: usize = 100;
/// Entries of the outbox that are looked through at most.
const OUTBOX_SCANNED_MAX: usize = 100_000;

/// What is known about a key.
#[derive(Debug, Clone, Serialize)]
pub struct Explanation {
    /// The bucket.
    pub bucket: String,
    /// The key.
    pub key: String,
    /// Versions, newest first.
    pub versions: Vec<Version>,
    /// Whether a delete is remembered.
    pub tombstone: bool,
    /// Whether the whole outbox was looked through for work.
    pub outbox_complete: bool,
}

/// A version.
#[derive(Debug, Clone, Serialize)]
pub struct Version {
    /// Its opaque name.
    pub version_id: String,
    /// Commit sequence.
    pub seq: u64,
    /// Length.
    pub bytes: u64,
    /// Entity tag.
    pub etag: String,
    /// When.
    pub last_modified: String,
    /// Storage class, when not STANDARD.
    pub storage_class: Option<String>,
    /// The storage policy that applied; `None` for what is older than those.
    pub storage_policy: Option<String>,
    /// The policy revision that placed it.
    pub policy: String,
    /// Why it did so.
    pub reason: String,
    /// Candidates in order.
    pub candidates: Vec<String>,
    /// Where placement wanted it, when there was no room there and it spilled; else empty.
    pub home: Vec<String>,
    /// Copies wanted.
    pub copies_wanted: u8,
    /// The blob.
    pub blob: String,
    /// Versions that share the blob.
    pub blob_refs: u32,
    /// Whether the blob is in use.
    pub blob_state: &'static str,
    /// Where its bytes lie.
    pub copies: Vec<Copy>,
    /// Work that waits for it.
    pub work: Vec<PendingWork>,
}

/// A copy.
#[derive(Debug, Clone, Serialize)]
pub struct Copy {
    /// Where.
    pub backend: String,
    /// Under which key.
    pub key: String,
    /// `good` or `suspect`.
    pub state: &'static str,
    /// Since when.
    pub created_at: String,
}

/// Work that waits.
#[derive(Debug, Clone, Serialize)]
pub struct PendingWork {
    /// What.
    pub kind: &'static str,
    /// Since when.
    pub created_at: String,
    /// Not before.
    pub not_before: String,
    /// How often it was tried.
    pub attempts: u32,
    /// What went wrong last.
    pub last_error: Option<String>,
}

/// Splits `bucket/key` at the first slash.
pub fn parse_target(text: &str) -> Result<(BucketName, ObjectKey), String> {
    let text = text.strip_prefix("s3://").unwrap_or(text);
    let (bucket, key) = text.split_once('/').ok_or("give BUCKET/KEY")?;
    let bucket = BucketName::parse(bucket).map_err(|e| e.to_string())?;
    let key = ObjectKey::parse(key).map_err(|e| e.to_string())?;
    Ok((bucket, key))
}

/// Explains a key; `None` when there is no such bucket.
pub async fn explain(
    index: &dyn Index,
    bucket: &BucketName,
    key: &ObjectKey,
) -> Result<Option<Explanation>, IndexError> {
    let Some(record) = index.bucket(bucket).await? else {
        return Ok(None);
    };
    let versions = index
        .versions(record.incarnation, key, VERSIONS_MAX)
        .await?;
    let tombstone = index.tombstone(record.incarnation, key).await?.is_some();
    let outbox = index
        .due(Timestamp::from_millis(u64::MAX), OUTBOX_SCANNED_MAX)
        .await?;
    let mut explained = Vec::with_capacity(versions.len());
    for version in versions {
        explained.push(explain_version(index, version, &outbox).await?);
    }
    Ok(Some(Explanation {
        bucket: bucket.to_string(),
        key: key.to_string(),
        versions: explained,
        tombstone,
        outbox_complete: outbox.len() < OUTBOX_SCANNED_MAX,
    }))
}

async fn explain_version(
    index: &dyn Index,
    version: VersionRecord,
    outbox: &[OutboxEntry],
) -> Result<Version, IndexError> {
    let blob = index.blob(version.blob).await?;
    let copy = |copy: &weir_types::record::CopyRecord| Copy {
        backend: copy.backend.to_string(),
        key: copy.key.to_string(),
        state: match copy.state {
            CopyState::Good => "good",
            CopyState::Suspect => "suspect",
        },
        created_at: copy.created_at.to_string(),
    };
    let work = outbox
        .iter()
        .filter_map(|entry| pending(entry, version.blob))
        .collect();
    Ok(Version {
        version_id: version.version_id.to_string(),
        seq: version.seq.0,
        bytes: version.size,
        etag: version.etag.to_string(),
        last_modified: version.last_modified.to_string(),
        storage_class: version.storage_class,
        storage_policy: version.placement.storage_policy,
        policy: version.placement.revision,
        reason: version.placement.reason,
        candidates: version
            .placement
            .candidates
            .iter()
            .map(ToString::to_string)
            .collect(),
        home: version
            .placement
            .home
            .iter()
            .map(ToString::to_string)
            .collect(),
        copies_wanted: version.placement.copies_wanted,
        blob: version.blob.to_string(),
        blob_refs: blob.as_ref().map_or(0, |blob| blob.refs),
        blob_state: match blob.as_ref().map(|blob| blob.state) {
            Some(BlobState::Live) => "live",
            Some(BlobState::Dead(_)) => "dead",
            None => "missing",
        },
        copies: blob
            .iter()
            .flat_map(|blob| &blob.copies)
            .map(copy)
            .collect(),
        work,
    })
}

fn pending(entry: &OutboxEntry, wanted: BlobId) -> Option<PendingWork> {
    let (kind, blob) = match entry.work {
        Work::Replicate { blob, .. } => ("replicate", blob),
        Work::Clean { blob } => ("clean", blob),
        Work::Repair { blob } => ("repair", blob),
        Work::Discard { .. } | Work::Abort { .. } | Work::Complete { .. } => return None,
    };
    (blob == wanted).then(|| PendingWork {
        kind,
        created_at: entry.created_at.to_string(),
        not_before: entry.not_before.to_string(),
        attempts: entry.attempts,
        last_error: entry.last_error.clone(),
    })
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}/{}", self.bucket, self.key.escape_debug())?;
        if self.versions.is_empty() {
            let why = if self.tombstone {
                "deleted; the delete is remembered"
            } else {
                "no such key"
            };
            writeln!(f, "  {why}")?;
        }
        for (i, version) in self.versions.iter().enumerate() {
            let current = if i == 0 { " (current)" } else { "" };
            write!(f, "  version {}{current}\n{version}", version.version_id)?;
        }
        if !self.outbox_complete {
            writeln!(f, "  (the outbox is too long to be looked through whole)")?;
        }
        Ok(())
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "    {} bytes, etag {}, modified {}",
            self.bytes, self.etag, self.last_modified
        )?;
        writeln!(
            f,
            "    placed by {}: {}",
            self.policy,
            self.reason.escape_debug()
        )?;
        if let Some(storage_policy) = &self.storage_policy {
            writeln!(f, "    storage policy {storage_policy}")?;
        }
        if !self.home.is_empty() {
            writeln!(f, "    spilled; home is {}", self.home.join(", "))?;
        }
        writeln!(
            f,
            "    candidates {}; copies wanted {}",
            self.candidates.join(", "),
            self.copies_wanted
        )?;
        writeln!(
            f,
            "    blob {} ({}, {} version(s))",
            self.blob, self.blob_state, self.blob_refs
        )?;
        for copy in &self.copies {
            writeln!(
                f,
                "    copy on {}: {}, since {}, key {}",
                copy.backend, copy.state, copy.created_at, copy.key
            )?;
        }
        for work in &self.work {
            write!(
                f,
                "    waiting: {}, since {}, tried {} time(s)",
                work.kind, work.created_at, work.attempts
            )?;
            match &work.last_error {
                Some(error) => writeln!(f, ", last error: {}", error.escape_debug())?,
                None => writeln!(f)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(storage_policy: Option<&str>, home: &[&str]) -> Version {
        Version {
            version_id: "v".into(),
            seq: 1,
            bytes: 3,
            etag: "e".into(),
            last_modified: "m".into(),
            storage_class: None,
            storage_policy: storage_policy.map(str::to_owned),
            policy: "overflow-spill@12".into(),
            reason: "spilled over: full".into(),
            candidates: vec!["b".into(), "a".into()],
            home: home.iter().map(|id| (*id).to_owned()).collect(),
            copies_wanted: 1,
            blob: "1".into(),
            blob_refs: 1,
            blob_state: "live",
            copies: Vec::new(),
            work: Vec::new(),
        }
    }

    #[test]
    fn storage_policy_and_home_are_told_where_there_are_any() {
        for (version, line, is_told) in [
            (version(Some("eu"), &[]), "    storage policy eu\n", true),
            (version(None, &[]), "storage policy", false),
            (
                version(None, &["a", "c"]),
                "    spilled; home is a, c\n",
                true,
            ),
            (version(None, &[]), "spilled; home", false),
        ] {
            let text = version.to_string();
            assert_eq!(text.contains(line), is_told, "{text}");
        }
    }
}

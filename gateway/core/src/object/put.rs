//! PutObject.

use std::sync::Arc;

use weir_types::checksum::{ChecksumKind, ObjectChecksum};
use weir_types::clock::Hlc;
use weir_types::error::ErrorCode;
use weir_types::etag::ETag;
use weir_types::id::{BlobId, Seq, VersionId};
use weir_types::index::{
    Applied, CommitContent, CommitVersion, Lookup, Mutation, Refusal, WriteConditions,
};
use weir_types::operation::{PutObject, PutResult};
use weir_types::record::{VersionRecord, Work};
use weir_types::{Error, Result};

use super::Asker;
use super::write::{Written, clean_at, new_blob};
use crate::decide::PlaceRequest;
use crate::gateway::{Gateway, index_error, no_such_bucket};

impl Gateway {
    /// Stores an object: decide, write the first copy, commit. When this returns, the bytes
    /// are durable on one backend and the version is durable in the index.
    pub(crate) async fn put_object(
        self: &Arc<Self>,
        put: PutObject,
        asker: Asker<'_>,
    ) -> Result<PutResult> {
        self.check_size(put.body.size)?;
        let found = self
            .index
            .lookup(&put.bucket, &put.key)
            .await
            .map_err(index_error)?;
        // Known to fail already: the body need not be read. Whether it holds when the bytes
        // have come is asked again in the commit.
        check_conditions(&put.conditions, &found)?;
        let bucket = found.bucket.ok_or_else(|| no_such_bucket(&put.bucket))?;
        let mut decided = self
            .decide(
                PlaceRequest {
                    operation: "PutObject",
                    bucket: &put.bucket,
                    location: bucket.location.as_deref(),
                    key: &put.key,
                    size_bytes: Some(put.body.size),
                    content_type: put.headers.content_type.as_deref(),
                    storage_class: put.storage_class.as_deref(),
                    tags: &put.tags,
                    user_metadata: &put.user_metadata,
                    principal: asker.principal,
                    now_ms: self.wall().as_millis(),
                    entropy: self.entropy.u64(),
                },
                asker.trace,
            )
            .await?;
        self.require_room(&mut decided, asker.trace)?;
        let blob = BlobId::mint(self.now(), &*self.entropy);
        let Written {
            guard,
            copy,
            digested,
        } = self
            .write_first_copy(blob, &mut decided, put.body, asker.trace)
            .await?;
        let placement = decided.placement;

        let now = self.now();
        let draft = VersionRecord {
            version_id: VersionId::mint(&*self.entropy),
            seq: Seq::default(),
            hlc: Hlc::default(),
            site: self.site.clone(),
            blob,
            size: digested.size,
            etag: ETag::from_md5(digested.md5),
            last_modified: self.wall(),
            headers: put.headers,
            user_metadata: put.user_metadata,
            tags: put.tags,
            storage_class: put.storage_class,
            checksum: digested.checksum.clone().map(|checksum| ObjectChecksum {
                checksum,
                kind: ChecksumKind::FullObject,
                parts: None,
            }),
            parts: None,
            placement: placement.clone(),
        };
        let (blob, crcs) = new_blob(blob, placement, copy, digested);
        let commit = CommitVersion {
            bucket: put.bucket,
            incarnation: bucket.incarnation,
            key: put.key,
            conditions: put.conditions,
            draft,
            content: CommitContent::New {
                blob,
                crcs,
                intents: guard.intents().to_vec(),
            },
            now,
            clean_at: clean_at(self, now),
        };
        let version = self.commit(commit).await?;
        self.crash.pass("put:committed").await;
        guard.committed();
        Ok(PutResult {
            etag: version.etag,
            version_id: version.version_id,
            checksum: version.checksum,
            size: version.size,
        })
    }

    /// Commits a version and returns it as it stands.
    pub(crate) async fn commit(&self, commit: CommitVersion) -> Result<VersionRecord> {
        let applied = first_of(self.apply(self.commitment(commit)).await?);
        match applied {
            Applied::Committed { version, .. } => Ok(*version),
            other => {
                tracing::error!(?other, "the index answered a commit with something else");
                Err(ErrorCode::InternalError.into())
            }
        }
    }

    /// A commit with the work of asking the replication policy, if there is one: a commit leaves
    /// work by itself only where copies are missing. Its answer is [`first_of`] all.
    pub(crate) fn commitment(&self, commit: CommitVersion) -> Mutation {
        let draft = &commit.draft;
        let (placement, copies, blob, bytes) = match &commit.content {
            CommitContent::New { blob, .. } => {
                (&blob.placement, blob.copies.len(), blob.blob, blob.size)
            }
            CommitContent::Upload { copies, .. } => {
                (&draft.placement, copies.len(), draft.blob, draft.size)
            }
            CommitContent::Shared { .. } => return Mutation::CommitVersion(Box::new(commit)),
        };
        let lacks_copies = copies < usize::from(placement.copies_wanted);
        let asks = !lacks_copies
            && self
                .decider
                .named(placement.storage_policy.as_deref())
                .is_some_and(|policy| self.decider.replicates(&policy));
        let now = commit.now;
        let commit = Mutation::CommitVersion(Box::new(commit));
        if !asks {
            return commit;
        }
        let ask = Mutation::Enqueue {
            work: Work::Replicate { blob, bytes },
            now,
            not_before: now,
        };
        Mutation::All(vec![commit, ask])
    }

    /// Refuses what one request may not carry.
    pub(crate) fn check_size(&self, size: u64) -> Result<()> {
        if size > self.settings.put_bytes_max {
            return Err(Error::from(ErrorCode::EntityTooLarge)
                .with("ProposedSize", size.to_string())
                .with("MaxSizeAllowed", self.settings.put_bytes_max.to_string()));
        }
        Ok(())
    }
}

/// The answer to the first of several mutations.
pub(crate) fn first_of(applied: Applied) -> Applied {
    match applied {
        Applied::All(all) => all.into_iter().next().unwrap_or(Applied::Done),
        alone => alone,
    }
}

/// What the commit would answer if it came now.
pub(crate) fn check_conditions(conditions: &WriteConditions, found: &Lookup) -> Result<()> {
    if found.bucket.is_none() {
        return Ok(());
    }
    let tag = found.version.as_ref().map(|version| &version.etag);
    conditions.check(tag).map_err(|refusal| match refusal {
        Refusal::PreconditionFailed if conditions.if_none_match => {
            precondition_failed("If-None-Match")
        }
        Refusal::PreconditionFailed => precondition_failed("If-Match"),
        _ => ErrorCode::NoSuchKey.into(),
    })
}

/// PreconditionFailed that names the condition.
pub(crate) fn precondition_failed(condition: &str) -> Error {
    Error::from(ErrorCode::PreconditionFailed).with("Condition", condition)
}

//! CopyObject.
//!
//! A copy shares the source's blob whenever the destination is under the same storage policy and
//! the bytes already lie where its placement wants them: nothing moves then. Otherwise the bytes are read, verified, and
//! written as a new blob.

use std::sync::Arc;

use futures_util::StreamExt;
use weir_types::body::{ExpectedChecksum, ReplyStream};
use weir_types::checksum::{Checksum, ChecksumAlgorithm, ChecksumKind, ObjectChecksum};
use weir_types::clock::Hlc;
use weir_types::error::ErrorCode;
use weir_types::etag::ETag;
use weir_types::id::{BlobId, Seq, VersionId};
use weir_types::index::{CommitContent, CommitVersion, Lookup};
use weir_types::operation::{CopiedObject, CopyObject, Directive};
use weir_types::record::{BlobRecord, BucketRecord, Placement, VersionRecord};
use weir_types::{Error, Result};

use super::Asker;
use super::get::evaluate;
use super::put::check_conditions;
use super::read::incoming;
use super::write::{Written, clean_at, new_blob};
use crate::decide::{Decided, PlaceRequest};
use crate::gateway::{Gateway, index_error, no_such_bucket};
use crate::ingest::ChecksumDigest;
use crate::observe::Trace;

/// A source that is overwritten or deleted while it is being shared is looked up anew so often.
const TRIES: usize = 4;

impl Gateway {
    /// Copies an object. Runs to its end even if the client goes away, because it is spawned by
    /// [`crate::pipeline`].
    pub(crate) async fn copy_object(
        self: &Arc<Self>,
        copy: CopyObject,
        asker: Asker<'_>,
    ) -> Result<CopiedObject> {
        let mut last = Error::from(ErrorCode::OperationAborted);
        for _ in 0..TRIES {
            match Box::pin(self.copy_once(&copy, asker)).await {
                Err(error) if error.code == ErrorCode::OperationAborted => last = error,
                result => return result,
            }
        }
        Err(last)
    }

    async fn copy_once(
        self: &Arc<Self>,
        copy: &CopyObject,
        asker: Asker<'_>,
    ) -> Result<CopiedObject> {
        let (source, blob) = self.copy_source(copy).await?;
        let found = self
            .index
            .lookup(&copy.bucket, &copy.key)
            .await
            .map_err(index_error)?;
        check_conditions(&copy.conditions, &found)?;
        let Lookup { bucket, .. } = found;
        let bucket = bucket.ok_or_else(|| no_such_bucket(&copy.bucket))?;
        refuse_idle_copy(copy)?;

        let draft = self.copied_draft(copy, source);
        let request = self.copy_request(copy, &bucket, &draft, asker);
        let policy = self.decider.storage_policy(&request.scope());
        let may_share = self.may_share(&blob, &policy);
        if may_share && is_to_itself(copy) {
            return self.share(copy, &bucket, draft, blob, asker).await;
        }
        let mut decided = self.decide(request, asker.trace).await?;
        if may_share && lies_within(&blob, &decided.placement) {
            return self.share(copy, &bucket, draft, blob, asker).await;
        }
        self.require_room(&mut decided, asker.trace)?;
        self.duplicate(copy, &bucket, &draft, decided, blob, asker.trace)
            .await
    }

    async fn copy_source(&self, copy: &CopyObject) -> Result<(VersionRecord, BlobRecord)> {
        let source = &copy.source;
        let found = self
            .index
            .lookup(&source.bucket, &source.key)
            .await
            .map_err(index_error)?;
        if found.bucket.is_none() {
            return Err(no_such_bucket(&source.bucket));
        }
        let (Some(version), Some(blob)) = (found.version, found.blob) else {
            return Err(Error::from(ErrorCode::NoSuchKey).with("Key", source.key.as_str()));
        };
        evaluate_source(copy, &version)?;
        if version.size > self.settings.put_bytes_max {
            return Err(Error::new(
                ErrorCode::InvalidRequest,
                format!(
                    "The specified copy source is larger than the maximum allowable size for a copy source: {}",
                    self.settings.put_bytes_max
                ),
            ));
        }
        Ok((*version, *blob))
    }

    /// The version that the copy will be, but for its bytes.
    fn copied_draft(&self, copy: &CopyObject, source: VersionRecord) -> VersionRecord {
        let (headers, user_metadata) = match &copy.metadata {
            Directive::Copy => (source.headers, source.user_metadata),
            Directive::Replace((headers, user)) => (headers.clone(), user.clone()),
        };
        let tags = match &copy.tagging {
            Directive::Copy => source.tags,
            Directive::Replace(tags) => tags.clone(),
        };
        VersionRecord {
            version_id: VersionId::mint(&*self.entropy),
            seq: Seq::default(),
            hlc: Hlc::default(),
            site: self.site.clone(),
            last_modified: self.wall(),
            headers,
            user_metadata,
            tags,
            storage_class: copy.storage_class.clone().unwrap_or_default(),
            ..source
        }
    }

    fn copy_request<'a>(
        &self,
        copy: &'a CopyObject,
        bucket: &'a BucketRecord,
        draft: &'a VersionRecord,
        asker: Asker<'a>,
    ) -> PlaceRequest<'a> {
        PlaceRequest {
            operation: "CopyObject",
            bucket: &copy.bucket,
            location: bucket.location.as_deref(),
            key: &copy.key,
            size_bytes: Some(draft.size),
            content_type: draft.headers.content_type.as_deref(),
            storage_class: draft.storage_class.as_deref(),
            tags: &draft.tags,
            user_metadata: &draft.user_metadata,
            principal: asker.principal,
            now_ms: self.wall().as_millis(),
            entropy: self.entropy.u64(),
        }
    }

    /// Points a further version to the source's blob. Moves no bytes; reads them only when
    /// another checksum algorithm is asked for.
    async fn share(
        self: &Arc<Self>,
        copy: &CopyObject,
        bucket: &BucketRecord,
        mut draft: VersionRecord,
        blob: BlobRecord,
        asker: Asker<'_>,
    ) -> Result<CopiedObject> {
        let id = blob.blob;
        draft.placement = blob.placement.clone();
        if let Some(algorithm) = recompute(copy, &draft) {
            let size = blob.size;
            let trace = Arc::new(Trace::default());
            let stream = self.read_blob(blob, 0..size, Arc::clone(&trace)).await?;
            let checksum = checksum_of(stream, algorithm).await?;
            draft.checksum = Some(ObjectChecksum {
                checksum,
                kind: ChecksumKind::FullObject,
                parts: None,
            });
        }
        self.crash.pass("copy:before-share").await;
        let content = CommitContent::Shared { blob: id };
        let version = self.commit_copy(copy, bucket, draft, content).await?;
        self.crash.pass("copy:shared").await;
        asker.trace.policy(&version.placement.revision);
        Ok(copied(version))
    }

    /// Reads the source's bytes and writes them as a new blob.
    async fn duplicate(
        self: &Arc<Self>,
        copy: &CopyObject,
        bucket: &BucketRecord,
        draft: &VersionRecord,
        mut decided: Decided<'_>,
        source: BlobRecord,
        trace: &Trace,
    ) -> Result<CopiedObject> {
        let size = source.size;
        let expected = expected_checksum(copy, draft);
        let stream = self
            .read_blob(source, 0..size, Arc::new(Trace::default()))
            .await?;
        let blob = BlobId::mint(self.now(), &*self.entropy);
        let body = incoming(stream, size, expected);
        let Written {
            guard,
            copy: written,
            digested,
        } = self
            .write_first_copy(blob, &mut decided, body, trace)
            .await?;
        let placement = decided.placement;
        let draft = VersionRecord {
            blob,
            etag: ETag::from_md5(digested.md5),
            parts: None,
            checksum: digested.checksum.clone().map(|checksum| ObjectChecksum {
                checksum,
                kind: ChecksumKind::FullObject,
                parts: None,
            }),
            placement: placement.clone(),
            ..draft.clone()
        };
        let (record, crcs) = new_blob(blob, placement, written, digested);
        let intents = guard.intents().to_vec();
        let content = CommitContent::New {
            blob: record,
            crcs,
            intents,
        };
        let version = self.commit_copy(copy, bucket, draft, content).await?;
        self.crash.pass("copy:committed").await;
        guard.committed();
        Ok(copied(version))
    }

    async fn commit_copy(
        self: &Arc<Self>,
        copy: &CopyObject,
        bucket: &BucketRecord,
        draft: VersionRecord,
        content: CommitContent,
    ) -> Result<VersionRecord> {
        let now = self.now();
        self.commit(CommitVersion {
            bucket: copy.bucket.clone(),
            incarnation: bucket.incarnation,
            key: copy.key.clone(),
            conditions: copy.conditions.clone(),
            draft,
            content,
            now,
            clean_at: clean_at(self, now),
        })
        .await
    }
}

fn copied(version: VersionRecord) -> CopiedObject {
    CopiedObject {
        etag: version.etag,
        last_modified: version.last_modified,
        checksum: version.checksum,
        version_id: version.version_id,
    }
}

fn is_to_itself(copy: &CopyObject) -> bool {
    copy.source.bucket == copy.bucket && copy.source.key == copy.key
}

/// Conditions on the source: what would be a 304 on a read is a 412 on a copy.
fn evaluate_source(copy: &CopyObject, version: &VersionRecord) -> Result<()> {
    evaluate(&copy.source.conditions, version).map_err(|error| match error.code {
        ErrorCode::NotModified => ErrorCode::PreconditionFailed.into(),
        _ => error,
    })
}

/// AWS refuses to copy an object to itself when nothing would change.
fn refuse_idle_copy(copy: &CopyObject) -> Result<()> {
    let idle = is_to_itself(copy)
        && copy.metadata == Directive::Copy
        && copy.tagging == Directive::Copy
        && copy.storage_class.is_none()
        && copy.checksum.is_none();
    if idle {
        return Err(Error::new(
            ErrorCode::InvalidRequest,
            "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes.",
        ));
    }
    Ok(())
}

/// Whether the blob's copies all lie where the placement allows, so that it can be shared.
fn lies_within(blob: &BlobRecord, placement: &Placement) -> bool {
    blob.placement.copies_wanted >= placement.copies_wanted
        && blob
            .copies
            .iter()
            .all(|copy| placement.candidates.contains(&copy.backend))
        && blob
            .placement
            .candidates
            .iter()
            .all(|id| placement.candidates.contains(id))
}

/// The algorithm to compute anew over a shared blob.
fn recompute(copy: &CopyObject, draft: &VersionRecord) -> Option<ChecksumAlgorithm> {
    let has = |algorithm: &ChecksumAlgorithm| {
        draft.checksum.as_ref().is_some_and(|c| {
            c.checksum.algorithm == *algorithm && c.kind == ChecksumKind::FullObject
        })
    };
    copy.checksum.filter(|algorithm| !has(algorithm))
}

/// What the duplicated bytes must hash to, or be hashed with.
fn expected_checksum(copy: &CopyObject, draft: &VersionRecord) -> Option<ExpectedChecksum> {
    match (&draft.checksum, copy.checksum) {
        (Some(old), Some(new)) if old.checksum.algorithm != new => {
            Some(ExpectedChecksum::Compute(new))
        }
        (Some(old), _) if old.kind == ChecksumKind::FullObject => {
            Some(ExpectedChecksum::Given(old.checksum.clone()))
        }
        (Some(old), _) => Some(ExpectedChecksum::Compute(old.checksum.algorithm)),
        (None, algorithm) => algorithm.map(ExpectedChecksum::Compute),
    }
}

async fn checksum_of(mut stream: ReplyStream, algorithm: ChecksumAlgorithm) -> Result<Checksum> {
    let mut digest = ChecksumDigest::new(algorithm);
    while let Some(chunk) = stream.next().await {
        digest.update(&chunk?);
    }
    Ok(digest.finish())
}

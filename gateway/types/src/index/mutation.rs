//! Changes as data.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::etag::ETag;
use crate::id::{
    BackendId, BlobId, BucketName, Incarnation, IntentId, ObjectKey, OutboxId, PartNumber,
    Principal, Seq, UploadId,
};
use crate::index::ClockNote;
use crate::record::{
    BlobRecord, BucketRecord, CopyRecord, CopyState, Intent, PartRecord, ScrubRecord, UploadRecord,
    VersionRecord, Work,
};

/// One change. Each variant says what is checked in the transaction; when a check fails, the
/// answer is a [`Refusal`] and nothing is changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mutation {
    /// All of these, in order, or none.
    All(Vec<Mutation>),

    /// Makes a bucket. Refused when the name is taken. → [`Applied::Bucket`]
    CreateBucket {
        /// Its name.
        name: BucketName,
        /// Who makes it.
        owner: Option<Principal>,
        /// LocationConstraint.
        location: Option<String>,
        /// Time of creation.
        now: Timestamp,
    },
    /// Removes a bucket that holds no current version; its open uploads are aborted. Refused
    /// with [`Refusal::TooManyUploads`] when they are more than
    /// [`Mutation::UPLOADS_PER_BUCKET_DELETE_MAX`], which bounds the transaction.
    DeleteBucket {
        /// Its name.
        name: BucketName,
        /// Time of deletion.
        now: Timestamp,
    },

    /// Writes intents and reserves their bytes in the ledger.
    Begin {
        /// The intents, all [`crate::record::IntentState::Open`].
        intents: Vec<Intent>,
    },
    /// Writes an intent for a further copy of a live blob: `attempt` and `key` are assigned
    /// here. Refused with [`Refusal::BlobGone`]. → [`Applied::Intent`]
    BeginReplica {
        /// Id of the intent to be written.
        intent: IntentId,
        /// The blob.
        blob: BlobId,
        /// Where the copy goes.
        backend: BackendId,
        /// Now.
        now: Timestamp,
    },
    /// Notes the backend's own upload id on an intent. Refused with [`Refusal::IntentGone`].
    SetBackendUpload {
        /// The intent.
        intent: IntentId,
        /// The backend's id.
        backend_upload: String,
    },
    /// Gives up open intents: no commit may use them any more, and their bytes will be
    /// discarded (an outbox entry each, due at `now`). Intents that are gone or condemned
    /// already are passed over.
    Condemn {
        /// The intents.
        intents: Vec<IntentId>,
        /// When the bytes are deleted for the last time: after the longest time a late write
        /// can take.
        last_look_at: Timestamp,
        /// Now.
        now: Timestamp,
    },
    /// Removes intents whose bytes are known not to exist, and releases what they reserved.
    /// Intents that are gone already are passed over.
    DropIntents {
        /// The intents.
        intents: Vec<IntentId>,
    },

    /// Makes a version the current one of its key. → [`Applied::Committed`]
    CommitVersion(Box<CommitVersion>),
    /// Removes the current version of a key and leaves a tombstone. A blob that nothing
    /// points to any more dies, and is cleaned up from `clean_at` on. → [`Applied::Deleted`]
    DeleteCurrent {
        /// The bucket.
        bucket: BucketName,
        /// The key.
        key: ObjectKey,
        /// Only if the current version has this tag.
        if_match: Option<ETag>,
        /// Now.
        now: Timestamp,
        /// When readers that began before now have ended.
        clean_at: Timestamp,
    },

    /// Adds a copy to a live blob and drops its intent; refused with [`Refusal::BlobGone`] or
    /// [`Refusal::IntentGone`].
    AddCopy {
        /// The blob.
        blob: BlobId,
        /// The copy.
        copy: CopyRecord,
        /// The open intent under which it was written.
        intent: IntentId,
    },
    /// Notes what is known about a copy, and enqueues [`Work::Repair`] when it becomes
    /// suspect. A copy that is gone is passed over.
    MarkCopy {
        /// The blob.
        blob: BlobId,
        /// The copy's backend.
        backend: BackendId,
        /// The copy's attempt.
        attempt: u32,
        /// What is known.
        state: CopyState,
        /// Now.
        now: Timestamp,
    },
    /// Takes a copy off a live blob; its bytes become a condemned intent that is discarded
    /// from `discard_at` on. Refused with [`Refusal::LastCopy`] when no other good copy would
    /// remain. A copy that is gone is passed over.
    RemoveCopy {
        /// The blob.
        blob: BlobId,
        /// The copy's backend.
        backend: BackendId,
        /// The copy's attempt.
        attempt: u32,
        /// Now.
        now: Timestamp,
        /// When readers of the copy have ended.
        discard_at: Timestamp,
    },
    /// Removes a dead blob with its segments; each copy's bytes become a condemned intent that
    /// is discarded at once. A blob that is gone is passed over; one that is live again is
    /// refused with [`Refusal::BlobLive`].
    RetireBlob {
        /// The blob.
        blob: BlobId,
        /// Now.
        now: Timestamp,
    },

    /// Makes an upload. Its legs' intents stand already. Refused with
    /// [`Refusal::NoSuchBucket`] or [`Refusal::IntentGone`].
    CreateUpload {
        /// The upload, open.
        upload: Box<UploadRecord>,
    },
    /// Records a part of an open upload (replacing one of the same number), with the CRC32C
    /// of its blocks, and settles the reservation on its legs' intents. Refused with
    /// [`Refusal::NoSuchUpload`].
    PutPart {
        /// The upload.
        upload: UploadId,
        /// The part.
        part: PartRecord,
        /// One CRC32C per block.
        crcs: Vec<u32>,
    },
    /// Forgets a part whose bytes at the backend are in doubt. Refused with
    /// [`Refusal::NoSuchUpload`]; a part that is gone is passed over.
    DropPart {
        /// The upload.
        upload: UploadId,
        /// The part.
        number: PartNumber,
    },
    /// Accepts a Complete: from here on it rolls forward. Checks the conditions, that the
    /// upload is open, and that every part stands with the tag the caller saw. An upload that
    /// is completing already with the same parts is accepted again.
    /// → [`Applied::Completing`]
    BeginComplete {
        /// The upload.
        upload: UploadId,
        /// The chosen parts in order, with the tags the caller saw.
        parts: Vec<(PartNumber, ETag)>,
        /// The version to become.
        draft: Box<VersionRecord>,
        /// Conditions of the request; checked again at the commit.
        conditions: WriteConditions,
        /// Now.
        now: Timestamp,
        /// When the background may take over if the request does not finish.
        resume_at: Timestamp,
    },
    /// Turns an upload (open, or completing one that cannot be finished) into an aborting one
    /// and enqueues [`Work::Abort`]. Refused with [`Refusal::NoSuchUpload`].
    AbortUpload {
        /// The upload.
        upload: UploadId,
        /// Only if it is open: an accepted Complete rolls forward, whoever else would give the
        /// upload up.
        only_open: bool,
        /// Now.
        now: Timestamp,
    },
    /// Removes an aborting upload with its parts and segments; its legs' intents are condemned
    /// and discarded. An upload that is gone is passed over.
    FinishAbort {
        /// The upload.
        upload: UploadId,
        /// When late parts are looked for the last time.
        last_look_at: Timestamp,
        /// Now.
        now: Timestamp,
    },

    /// Puts work into the outbox.
    Enqueue {
        /// The work.
        work: Work,
        /// Now.
        now: Timestamp,
        /// Not to be started earlier.
        not_before: Timestamp,
    },
    /// Removes finished work; passed over when gone.
    FinishWork {
        /// The entry.
        id: OutboxId,
    },
    /// Puts work off after a failure, or until a time; passed over when gone. Without a
    /// failure, work that [may wait](crate::record::Work::may_wait) is not late before then.
    DeferWork {
        /// The entry.
        id: OutboxId,
        /// Next try.
        not_before: Timestamp,
        /// What went wrong; counts as an attempt when given.
        error: Option<String>,
    },

    /// Notes what the clock shows.
    NoteClock(ClockNote),
    /// Notes how far the verification of a backend's copies has come.
    NoteScrub {
        /// The backend.
        backend: BackendId,
        /// All that is known of it.
        scrub: Box<ScrubRecord>,
    },

    /// Forgets tombstones and finished uploads from before `before`, at most `limit` of each.
    /// → [`Applied::Expired`]
    Expire {
        /// Keep what is younger.
        before: Timestamp,
        /// Upper bound on the work of one transaction.
        limit: usize,
    },
}

impl Mutation {
    /// Open uploads that one [`Mutation::DeleteBucket`] aborts at most.
    pub const UPLOADS_PER_BUCKET_DELETE_MAX: usize = 1000;
}

/// What must hold of the current version for a write to go through; checked inside the
/// transaction (AWS, "Conditional writes").
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriteConditions {
    /// `If-Match`: the current version has this tag ([`Refusal::NoSuchKey`] when there is none).
    pub if_match: Option<ETag>,
    /// `If-None-Match: *`: there is no current version.
    pub if_none_match: bool,
}

impl WriteConditions {
    /// Whether they hold of the current version, given by its tag. `If-Match` names one tag;
    /// `*` is a tag like any other here, and no version has it.
    pub fn check(&self, current: Option<&ETag>) -> Result<(), Refusal> {
        match (&self.if_match, current) {
            (Some(_), None) => Err(Refusal::NoSuchKey),
            (Some(wanted), Some(tag)) if wanted != tag => Err(Refusal::PreconditionFailed),
            (_, Some(_)) if self.if_none_match => Err(Refusal::PreconditionFailed),
            _ => Ok(()),
        }
    }
}

/// See [`Mutation::CommitVersion`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitVersion {
    /// The bucket.
    pub bucket: BucketName,
    /// The life of the bucket in which the write began.
    pub incarnation: Incarnation,
    /// The key.
    pub key: ObjectKey,
    /// Checked against the version that is current in the transaction.
    pub conditions: WriteConditions,
    /// The version; `seq` and `hlc` are assigned by the index. Ignored for
    /// [`CommitContent::Upload`], whose draft stands in the upload.
    pub draft: VersionRecord,
    /// Its bytes.
    pub content: CommitContent,
    /// Now.
    pub now: Timestamp,
    /// When readers of the superseded version have ended: its clean-up starts then.
    pub clean_at: Timestamp,
}

/// The bytes of a version that is committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommitContent {
    /// A new blob.
    New {
        /// The blob with its first copies; `refs` is set by the index.
        blob: Box<BlobRecord>,
        /// CRC32Cs of the single segment, when they are not inline.
        crcs: Vec<u32>,
        /// The open intents under which the copies were written, one per copy; all must still
        /// be open ([`Refusal::IntentGone`]).
        intents: Vec<IntentId>,
    },
    /// A blob that other versions point to already; must be live ([`Refusal::BlobGone`]).
    Shared {
        /// The blob.
        blob: BlobId,
    },
    /// The blob of a completing upload ([`Refusal::NoSuchUpload`] otherwise). The upload, its
    /// parts and its intents go; what it became is remembered for a while.
    Upload {
        /// The upload.
        upload: UploadId,
        /// The copies, one per leg.
        copies: Vec<CopyRecord>,
    },
}

/// What a mutation did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Applied {
    /// Nothing to tell.
    Done,
    /// One answer per mutation of [`Mutation::All`].
    All(Vec<Applied>),
    /// The bucket that was made.
    Bucket(BucketRecord),
    /// The intent that was written.
    Intent(Intent),
    /// A version became current.
    Committed {
        /// The version as it stands now.
        version: Box<VersionRecord>,
        /// Whether it took another's place.
        superseded: bool,
    },
    /// A current version was removed, or there was none.
    Deleted {
        /// Commit sequence of the delete; `None` when the key had no current version.
        seq: Option<Seq>,
    },
    /// What was old was forgotten.
    Expired {
        /// Whether there may be more.
        more: bool,
    },
    /// A Complete was accepted.
    Completing {
        /// The upload as it is completing now.
        upload: Box<UploadRecord>,
        /// Whether it was open until then. Of several Completes exactly one hears `true`:
        /// nobody asked the backend before it.
        first: bool,
    },
}

/// What did not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// No such bucket, or another life of it.
    NoSuchBucket,
    /// The bucket's name is taken.
    BucketExists,
    /// The bucket holds objects.
    BucketNotEmpty,
    /// The bucket has more open uploads than can be aborted with it.
    TooManyUploads,
    /// `If-Match` on a key without a current version.
    NoSuchKey,
    /// A condition is false.
    PreconditionFailed,
    /// A Complete that was accepted for the key is not committed yet: whether a condition on
    /// what the key holds is true cannot be said.
    Conflict,
    /// No such upload, or not in a state that allows this.
    NoSuchUpload,
    /// A named part is missing or has another tag.
    InvalidPart,
    /// The intent was condemned or is gone.
    IntentGone,
    /// The blob is dead or gone.
    BlobGone,
    /// The blob is live.
    BlobLive,
    /// The copy is the last good one.
    LastCopy,
}

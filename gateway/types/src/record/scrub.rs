//! How far the verification of copies has come.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::codec::Record;
use crate::id::BlobId;

/// A copy on a backend that is known: its blob and its attempt. In this order copies are
/// verified.
pub type CopyPosition = (BlobId, u32);

/// What is noted about the verification of one backend's copies, so that it goes on after a
/// restart where it stopped.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScrubRecord {
    /// The pass that is not at its end.
    pub pass: Option<ScrubPass>,
    /// When the newest pass began: the next one is due an interval later.
    pub began_at: Option<Timestamp>,
    /// The last pass that left nothing out.
    pub last_full: Option<FullPass>,
    /// An operator stopped it: nothing is verified until an operator starts it again.
    pub held: bool,
}

/// One pass over all copies of a backend.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScrubPass {
    /// When it began.
    pub began_at: Timestamp,
    /// Every copy up to this one was judged, is gone, or stands in `again`.
    pub cursor: Option<CopyPosition>,
    /// Whether no copy comes after the cursor.
    pub walked: bool,
    /// Copies that could not be reached and are still to be judged.
    pub again: Vec<CopyPosition>,
    /// What was done so far.
    pub counts: ScrubCounts,
}

/// What a pass did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScrubCounts {
    /// Copies judged: found right, or found wrong.
    pub copies: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Those found wrong or missing.
    pub suspects: u64,
    /// How often a copy could not be reached.
    pub skipped: u64,
}

/// A pass that judged every copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FullPass {
    /// When it began: what was there then, and stayed, was verified since.
    pub began_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
    /// What it did.
    pub counts: ScrubCounts,
}

impl Record for ScrubRecord {
    const NAME: &'static str = "scrub";
    const VERSION: u8 = 1;
}

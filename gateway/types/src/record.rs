//! Records as the index keeps them. Each has a format version (see [`crate::codec`]).

mod bucket;
mod first;
mod object;
mod scrub;
mod upload;
mod work;

pub use bucket::BucketRecord;
pub use first::FirstVersionRecord;
pub use object::{
    BLOCK_BYTES, BlobOrigin, BlobRecord, BlobState, ContentHeaders, CopyRecord, CopyState,
    INLINE_BLOCKS_MAX, Placement, SegmentRecord, Tombstone, VersionRecord, blocks_of,
};
pub use scrub::{CopyPosition, FullPass, ScrubCounts, ScrubPass, ScrubRecord};
pub use upload::{PartRecord, UploadLeg, UploadRecord, UploadState};
pub use work::{Intent, IntentPurpose, IntentState, LedgerRecord, OutboxEntry, Work};

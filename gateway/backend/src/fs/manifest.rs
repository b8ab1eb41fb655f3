//! What an object that was put in parts consists of.

use serde::{Deserialize, Serialize};
use weir_types::codec::Record;
use weir_types::id::PartNumber;

/// Bytes that follow a part's own in its file: the tag that [`super::FsBackend`] returned
/// for it, so that Complete can tell a replaced part from the one that was named.
pub(super) const TAG_BYTES: usize = 16;

/// The largest manifest: 10,000 parts of a few bytes each, with room.
pub(super) const MANIFEST_BYTES_MAX: u64 = 1 << 20;

/// The manifest of one object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    /// The upload that made it: a repeated Complete is recognised by it.
    pub(super) upload: u128,
    /// Parts in the order of their bytes, with lengths.
    pub(super) parts: Vec<(PartNumber, u64)>,
}

impl Record for Manifest {
    const NAME: &'static str = "manifest";
    const VERSION: u8 = 1;
}

impl Manifest {
    /// Length of the whole object in bytes; `None` when it cannot be.
    pub(super) fn size(&self) -> Option<u64> {
        self.parts
            .iter()
            .try_fold(0_u64, |sum, (_, size)| sum.checked_add(*size))
    }
}

//! Buckets.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::codec::Record;
use crate::id::{BucketName, Incarnation, Principal};

/// A bucket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketRecord {
    /// Its name.
    pub name: BucketName,
    /// Which life of the name this is.
    pub incarnation: Incarnation,
    /// When it was made.
    pub created_at: Timestamp,
    /// Who made it; `None` for buckets made by configuration.
    pub owner: Option<Principal>,
    /// LocationConstraint given at creation.
    pub location: Option<String>,
}

impl Record for BucketRecord {
    const NAME: &'static str = "bucket";
    const VERSION: u8 = 1;
}

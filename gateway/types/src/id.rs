//! Identifiers. Each is parsed once and is valid for as long as it lives.

mod blob;
mod names;
mod numbers;

pub use blob::{BackendKey, BlobId, SHARD_HEX_CHARS};
pub use names::{BackendId, BucketName, InvalidName, KEY_BYTES_MAX, ObjectKey, Principal, SiteId};
pub use numbers::{Incarnation, IntentId, OutboxId, PartNumber, Seq, UploadId, VersionId};

//! How records lie on disk: one byte of format version, then postcard.
//!
//! A newer binary reads every older version and writes the newest. An older binary that
//! meets a newer version refuses it instead of guessing.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Why bytes on disk are not a record that this binary can use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Written by a newer binary.
    #[error("record of type {record} has format {found}; this binary reads up to {newest}")]
    TooNew {
        /// The record's type.
        record: &'static str,
        /// The version found on disk.
        found: u8,
        /// The newest version this binary knows.
        newest: u8,
    },
    /// Not a record of this type at all.
    #[error("record of type {record} is damaged: {reason}")]
    Damaged {
        /// The record's type.
        record: &'static str,
        /// What the decoder met.
        reason: String,
    },
}

/// A record with a versioned form on disk.
///
/// Law (tested for each type): `decode(encode(r)) == r`, and bytes of any older version
/// decode to the record they meant.
pub trait Record: Serialize + DeserializeOwned {
    /// The type's name in errors.
    const NAME: &'static str;
    /// The version that [`Record::encode`] writes.
    const VERSION: u8;

    /// Bytes for disk.
    fn encode(&self) -> Vec<u8> {
        let out = vec![Self::VERSION];
        postcard::to_extend(self, out).expect("records hold only types that postcard can encode")
    }

    /// Reads what [`Record::encode`] of this or an older version wrote.
    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        match bytes.split_first() {
            Some((&version, body)) if version == Self::VERSION => Self::parse(body),
            Some((&version, body)) if version < Self::VERSION => Self::migrate(version, body),
            Some((&found, _)) => Err(DecodeError::TooNew {
                record: Self::NAME,
                found,
                newest: Self::VERSION,
            }),
            None => Err(Self::damaged("no bytes")),
        }
    }

    /// Reads the body of an older version. Types with one version have none to read.
    fn migrate(version: u8, _body: &[u8]) -> Result<Self, DecodeError> {
        Err(Self::damaged(format!("no format {version} ever existed")))
    }

    /// Reads the body of version 1 by its own type, where that is the only version before the
    /// present one.
    fn from_first<First: DeserializeOwned + Into<Self>>(
        version: u8,
        body: &[u8],
    ) -> Result<Self, DecodeError> {
        if version != 1 {
            return Err(Self::damaged(format!("no format {version} ever existed")));
        }
        let first = postcard::from_bytes::<First>(body).map_err(Self::damaged)?;
        Ok(first.into())
    }

    /// Reads a body of the current version.
    fn parse(body: &[u8]) -> Result<Self, DecodeError> {
        postcard::from_bytes(body).map_err(Self::damaged)
    }

    /// An error that names this type.
    fn damaged(reason: impl ToString) -> DecodeError {
        DecodeError::Damaged {
            record: Self::NAME,
            reason: reason.to_string(),
        }
    }
}

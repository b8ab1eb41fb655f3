//! Opening an index: format, identity, first creation.

use std::path::PathBuf;

use weir_types::codec::Record;
use weir_types::entropy::Entropy;
use weir_types::id::SiteId;
use weir_types::index::{IndexError, IndexIdentity};
use weir_types::record::{UploadRecord, UploadState};

use crate::keys;
use crate::log;
use crate::rows::{self, Identity};
use crate::store::{Changes, CommitError, Reader, Step, Store, Table};

/// Version of the tables' layout. A binary refuses a newer one.
///
/// Version 2 lists completing uploads by key. Version 3 changed no table: records that hold a
/// placement have a newer version in it, which an older binary must not come across one by one.
/// Version 4 may log its changes, which an older binary would make without logging them.
pub const FORMAT_VERSION: u32 = 4;

/// Why an index was not opened. The text is fit to be shown to an operator.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error("the index {path} is in use by another process; one process at a time may open it")]
    InUse {
        /// The index file.
        path: PathBuf,
    },
    /// A newer binary wrote it.
    #[error("the index has format {found}; this binary reads up to {newest}: use a newer binary")]
    TooNew {
        /// The format found.
        found: u32,
        /// The newest format this binary knows.
        newest: u32,
    },
    /// It is another site's.
    #[error("the index belongs to site {found}, not to {wanted}")]
    OtherSite {
        /// The site named in the index.
        found: SiteId,
        /// The site that was to be opened.
        wanted: SiteId,
    },
    /// The file or its folder could not be made, locked or read.
    #[error("cannot open the index {path}: {reason}")]
    File {
        /// The index file.
        path: PathBuf,
        /// What failed.
        reason: String,
    },
    /// A row that every index has is missing or damaged, or cannot be read.
    #[error("cannot open the index: {0}")]
    Damaged(String),
}

impl From<IndexError> for OpenError {
    fn from(error: IndexError) -> Self {
        Self::Damaged(error.to_string())
    }
}

impl From<CommitError> for OpenError {
    fn from(error: CommitError) -> Self {
        Self::Damaged(error.to_string())
    }
}

/// Checks that `store` holds an index of `site` in a format this binary reads; a store without
/// any rows becomes a new index.
pub(crate) fn admit(
    store: &impl Store,
    site: SiteId,
    entropy: &dyn Entropy,
) -> Result<IndexIdentity, OpenError> {
    let (format, identity) = {
        let snapshot = store.snapshot()?;
        let format = snapshot.get(Table::Meta, rows::FORMAT)?;
        // The format decides whether the rest may be read at all.
        check_format(format.as_deref())?;
        (
            format,
            rows::read::<Identity>(&snapshot, Table::Meta, rows::IDENTITY)?,
        )
    };
    match (format, identity) {
        (None, None) => {
            let identity = Identity {
                site,
                epoch: new_epoch(entropy),
            };
            store.commit(&birth(&identity))?;
            Ok(IndexIdentity {
                site: identity.site,
                epoch: identity.epoch,
            })
        }
        (Some(found), Some(identity)) if identity.site == site => {
            if found != FORMAT_VERSION.to_be_bytes() {
                migrate(store)?;
            }
            Ok(IndexIdentity {
                site,
                epoch: identity.epoch,
            })
        }
        (Some(_), Some(identity)) => Err(OpenError::OtherSite {
            found: identity.site,
            wanted: site,
        }),
        _ => Err(OpenError::Damaged("format or identity is missing".into())),
    }
}

/// Brings an index of an older format to this one, in one step. Records keep the version they
/// have until they are written again.
fn migrate(store: &impl Store) -> Result<(), OpenError> {
    let mut changes = Changes::default();
    let snapshot = store.snapshot()?;
    snapshot.scan(Table::Uploads, &[], &mut |_, row| {
        let upload = UploadRecord::decode(row).map_err(|e| rows::damaged(&e.to_string()))?;
        if matches!(upload.state, UploadState::Completing { .. }) {
            let UploadRecord {
                incarnation,
                key,
                upload_id,
                ..
            } = upload;
            let row = keys::upload_key(incarnation, key.as_str(), upload_id);
            changes.set(Table::Completing, row, Some(Vec::new()));
        }
        Ok(Step::Next)
    })?;
    drop(snapshot);
    let format = FORMAT_VERSION.to_be_bytes().to_vec();
    changes.set(Table::Meta, rows::FORMAT.to_vec(), Some(format));
    log::begin_anew(&mut changes);
    store.commit(&changes)?;
    tracing::info!(
        format = FORMAT_VERSION,
        "the index was brought to a newer format"
    );
    Ok(())
}

/// Refuses a format that is newer than this binary, or unreadable.
pub(crate) fn check_format(row: Option<&[u8]>) -> Result<(), OpenError> {
    let Some(row) = row else { return Ok(()) };
    let bytes = row
        .try_into()
        .map_err(|_| OpenError::Damaged("unreadable format".into()))?;
    match u32::from_be_bytes(bytes) {
        found if found > FORMAT_VERSION => Err(OpenError::TooNew {
            found,
            newest: FORMAT_VERSION,
        }),
        _ => Ok(()),
    }
}

/// A random epoch, in hex.
pub(crate) fn new_epoch(entropy: &dyn Entropy) -> String {
    format!("{:032x}", entropy.u128())
}

fn birth(identity: &Identity) -> Changes {
    let mut changes = Changes::default();
    let format = FORMAT_VERSION.to_be_bytes().to_vec();
    changes.set(Table::Meta, rows::FORMAT.to_vec(), Some(format));
    changes.set(
        Table::Meta,
        rows::IDENTITY.to_vec(),
        Some(identity.encode()),
    );
    changes
}

#[cfg(test)]
mod tests;

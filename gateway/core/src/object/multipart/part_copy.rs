//! UploadPartCopy.

use std::ops::Range;
use std::sync::Arc;

use weir_types::body::ExpectedChecksum;
use weir_types::error::ErrorCode;
use weir_types::operation::{CopySource, UploadPartCopy, UploadPartResult};
use weir_types::record::{BlobRecord, VersionRecord};
use weir_types::{Error, Result};

use crate::gateway::{Gateway, index_error, no_such_bucket};
use crate::object::Asker;
use crate::object::get::evaluate;
use crate::object::read::incoming;

impl Gateway {
    /// Stores a part from an object's bytes, or a range of them: read verified, written like a
    /// part that a client sends.
    pub(crate) async fn upload_part_copy(
        self: &Arc<Self>,
        part: UploadPartCopy,
        asker: Asker<'_>,
    ) -> Result<UploadPartResult> {
        let upload = self.open_upload(&part.upload).await?;
        let (version, blob) = self.part_source(&part.source).await?;
        let range = copied_range(part.range, version.size)?;
        let size = range.end - range.start;
        if size > self.settings.put_bytes_max {
            return Err(Error::new(
                ErrorCode::InvalidRequest,
                format!(
                    "The specified copy source is larger than the maximum allowable size for a copy source: {}",
                    self.settings.put_bytes_max
                ),
            ));
        }
        let checksum = upload
            .checksum
            .map(|(algorithm, _)| ExpectedChecksum::Compute(algorithm));
        let stream = self.read_blob(blob, range, Arc::clone(asker.trace)).await?;
        self.store_part(
            &upload,
            part.number,
            incoming(stream, size, checksum),
            asker,
        )
        .await
    }

    async fn part_source(&self, source: &CopySource) -> Result<(VersionRecord, BlobRecord)> {
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
        evaluate(&source.conditions, &version).map_err(|error| match error.code {
            ErrorCode::NotModified => ErrorCode::PreconditionFailed.into(),
            _ => error,
        })?;
        Ok((*version, *blob))
    }
}

/// The bytes that are meant; a range must lie within the source (AWS, "UploadPartCopy").
fn copied_range(range: Option<(u64, u64)>, size: u64) -> Result<Range<u64>> {
    match range {
        None => Ok(0..size),
        Some((first, last)) if first <= last && last < size => Ok(first..last + 1),
        Some(_) => Err(Error::new(
            ErrorCode::InvalidArgument,
            format!("Range specified is not valid for source object of size: {size}"),
        )
        .with("ArgumentName", "x-amz-copy-source-range")),
    }
}

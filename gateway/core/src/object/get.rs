//! GetObject and HeadObject.

mod conditions;

use std::sync::Arc;

use weir_types::error::ErrorCode;
use weir_types::operation::{ObjectInfo, ObjectRead, RangeSpec, ReadObject, ReadSpan};
use weir_types::record::BlobRecord;
use weir_types::{Error, Result};

use super::Asker;
use super::read::ReadScope;
use crate::gateway::{Gateway, index_error, no_such_bucket};

pub(crate) use conditions::evaluate;

impl Gateway {
    /// An object's headers.
    pub(crate) async fn head_object(&self, read: &ReadObject) -> Result<ObjectInfo> {
        self.find(read).await.map(|(info, _)| info)
    }

    /// An object's headers and bytes: the whole of one version, whatever is committed or
    /// deleted meanwhile.
    pub(crate) async fn get_object(
        self: &Arc<Self>,
        read: &ReadObject,
        asker: Asker<'_>,
    ) -> Result<ObjectRead> {
        let (info, blob) = self.find(read).await?;
        let (offset, length) = info.span.resolve(info.version.size);
        let scope = ReadScope {
            bucket: &read.bucket,
            key: &read.key,
            storage_class: info.version.storage_class.as_deref(),
            principal: asker.principal,
            length,
        };
        let route = self.route(scope, &blob).await;
        let trace = Arc::clone(asker.trace);
        let range = offset..offset + length;
        let body = self.read_blob_by(blob, range, &route, trace).await?;
        Ok(ObjectRead { info, body })
    }

    async fn find(&self, read: &ReadObject) -> Result<(ObjectInfo, BlobRecord)> {
        let found = self
            .index
            .lookup(&read.bucket, &read.key)
            .await
            .map_err(index_error)?;
        if found.bucket.is_none() {
            return Err(no_such_bucket(&read.bucket));
        }
        let (Some(version), Some(blob)) = (found.version, found.blob) else {
            return Err(Error::from(ErrorCode::NoSuchKey).with("Key", read.key.as_str()));
        };
        evaluate(&read.conditions, &version)?;
        let span = match (read.part, read.range) {
            (Some(part), _) => part_span(&blob, part.get())?,
            (None, Some(range)) => range_span(range, version.size)?,
            (None, None) => ReadSpan::Whole,
        };
        Ok((ObjectInfo { version, span }, *blob))
    }
}

/// The bytes of the `part`th part, counted in the order of Complete.
fn part_span(blob: &BlobRecord, part: u16) -> Result<ReadSpan> {
    let position = usize::from(part) - 1;
    if blob.segments.is_empty() && position == 0 {
        return Ok(ReadSpan::Range {
            offset: 0,
            length: blob.size,
        });
    }
    let before = blob
        .segments
        .iter()
        .take(position)
        .map(|(_, length)| length)
        .sum();
    match blob.segments.get(position) {
        Some(&(_, length)) => Ok(ReadSpan::Range {
            offset: before,
            length,
        }),
        None => Err(ErrorCode::InvalidPartNumber.into()),
    }
}

/// RFC 9110, section 14.1.2: a range that begins within the object is cut at its end.
fn range_span(range: RangeSpec, size: u64) -> Result<ReadSpan> {
    let refused =
        || Error::from(ErrorCode::InvalidRange).with("ActualObjectSize", size.to_string());
    let (offset, end) = match range {
        RangeSpec::FromTo(first, last) => (
            first,
            last.map_or(size, |last| last.saturating_add(1).min(size)),
        ),
        RangeSpec::Last(0) => return Err(refused()),
        RangeSpec::Last(count) => (size.saturating_sub(count), size),
    };
    if offset >= end {
        return Err(refused());
    }
    Ok(ReadSpan::Range {
        offset,
        length: end - offset,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_cut_or_refused() {
        use RangeSpec::{FromTo, Last};
        type Case = (RangeSpec, u64, Option<(u64, u64)>);
        let cases: &[Case] = &[
            (FromTo(0, None), 10, Some((0, 10))),
            (FromTo(0, Some(0)), 10, Some((0, 1))),
            (FromTo(3, Some(5)), 10, Some((3, 3))),
            (FromTo(3, Some(99)), 10, Some((3, 7))),
            (FromTo(9, None), 10, Some((9, 1))),
            (FromTo(10, None), 10, None),
            (FromTo(0, Some(u64::MAX)), 10, Some((0, 10))),
            (FromTo(u64::MAX, None), 10, None),
            (FromTo(0, None), 0, None),
            (Last(3), 10, Some((7, 3))),
            (Last(30), 10, Some((0, 10))),
            (Last(0), 10, None),
            (Last(5), 0, None),
        ];
        for &(range, size, want) in cases {
            let got = range_span(range, size).ok().map(|span| span.resolve(size));
            assert_eq!(got, want, "{range:?} of {size}");
        }
    }
}

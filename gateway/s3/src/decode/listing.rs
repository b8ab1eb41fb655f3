//! ListObjects, both versions.

use weir_types::id::{BucketName, Incarnation, KEY_BYTES_MAX};
use weir_types::index::ListQuery;
use weir_types::operation::{ListObjects, Operation};
use weir_types::{Error, ErrorCode};

use super::params::Params;
use super::{Decoded, Head, Page, Spelling, invalid_argument, token};

/// Entries of one page at most (AWS, "ListObjectsV2").
const PAGE_ENTRIES_MAX: usize = 1000;

/// `GET /bucket`.
pub(super) fn list(mut head: Head<'_>, bucket: BucketName) -> Result<Decoded, Error> {
    let params = &mut head.params;
    let version = params.take("list-type")?;
    let page = page(params, bucket, "max-keys")?;
    let (after, spelling) = match version.as_deref() {
        None => {
            let marker = text(params, "marker")?.unwrap_or_default();
            (marker.clone(), Spelling::ListV1 { page, marker })
        }
        Some("2") => {
            let token = params.take_filled("continuation-token")?;
            let start_after = text(params, "start-after")?;
            let fetch_owner = params.take("fetch-owner")?.is_some_and(|v| v == "true");
            let after = match &token {
                Some(token) => token::decode(token).ok_or_else(|| {
                    invalid_argument(
                        "continuation-token",
                        token,
                        "The continuation token provided is incorrect",
                    )
                })?,
                None => start_after.clone().unwrap_or_default(),
            };
            (
                after,
                Spelling::ListV2 {
                    page,
                    token,
                    start_after,
                    fetch_owner,
                },
            )
        }
        Some(other) => {
            return Err(invalid_argument(
                "list-type",
                other,
                "Invalid List Type specified",
            ));
        }
    };
    head.params.finish()?;
    let (Spelling::ListV1 { page, .. } | Spelling::ListV2 { page, .. }) = &spelling else {
        return Err(ErrorCode::InternalError.into());
    };
    let query = ListQuery {
        bucket: Incarnation::default(),
        prefix: page.prefix.clone(),
        delimiter: page.delimiter.clone(),
        after: Some(after).filter(|a| !a.is_empty()),
        limit: page.limit,
    };
    let list = ListObjects {
        bucket: page.bucket.clone(),
        query,
    };
    Ok((Operation::ListObjects(list), spelling))
}

/// What all listings share.
pub(super) fn page(params: &mut Params, bucket: BucketName, max: &str) -> Result<Page, Error> {
    let limit = params.number(max)?.map_or(PAGE_ENTRIES_MAX, |n| n as usize);
    Ok(Page {
        bucket,
        prefix: text(params, "prefix")?.unwrap_or_default(),
        delimiter: text(params, "delimiter")?,
        limit: limit.min(PAGE_ENTRIES_MAX),
        url_encoded: url_encoded(params)?,
    })
}

/// `encoding-type`: `url` is the only one.
pub(super) fn url_encoded(params: &mut Params) -> Result<bool, Error> {
    match params.take_filled("encoding-type")?.as_deref() {
        None => Ok(false),
        Some("url") => Ok(true),
        Some(other) => Err(invalid_argument(
            "encoding-type",
            other,
            "Invalid Encoding Method specified in Request",
        )),
    }
}

/// A prefix, delimiter or marker: what is longer than any key is refused as keys are.
pub(super) fn text(params: &mut Params, name: &str) -> Result<Option<String>, Error> {
    match params.take_filled(name)? {
        Some(text) if text.len() > KEY_BYTES_MAX => Err(Error::from(ErrorCode::KeyTooLongError)
            .with("Size", text.len().to_string())
            .with("MaxSizeAllowed", KEY_BYTES_MAX.to_string())),
        other => Ok(other),
    }
}

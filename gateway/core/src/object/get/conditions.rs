//! Conditions on reads (RFC 9110, section 13.2.2, with AWS's precedence).

use std::time::Duration;

use weir_types::Error;
use weir_types::Result;
use weir_types::clock::Timestamp;
use weir_types::error::ErrorCode;
use weir_types::etag::ETag;
use weir_types::operation::ReadConditions;
use weir_types::record::VersionRecord;

use crate::object::put::precondition_failed;

/// `Ok` when the version may be sent; PreconditionFailed or NotModified otherwise.
///
/// `If-Match` outranks `If-Unmodified-Since`, `If-None-Match` outranks `If-Modified-Since`
/// (AWS, "GetObject", section on conditional requests). Times compare in whole seconds, as
/// Last-Modified carries them.
pub(crate) fn evaluate(conditions: &ReadConditions, version: &VersionRecord) -> Result<()> {
    let names = |tags: &Vec<ETag>| {
        tags.iter().any(|tag| tag.as_str() == "*" || tag.as_str() == version.etag.as_str())
    };
    let changed_after = |time: Timestamp| version.last_modified.as_secs() > time.as_secs();

    match (&conditions.if_match, conditions.if_unmodified_since) {
        (Some(tags), _) if !names(tags) => return Err(precondition_failed("If-Match")),
        (None, Some(time)) if changed_after(time) => {
            return Err(precondition_failed("If-Unmodified-Since"));
        }
        _ => {}
    }
    match (&conditions.if_none_match, conditions.if_modified_since) {
        (Some(tags), _) if names(tags) => Err(not_modified(version)),
        (None, Some(time)) if !changed_after(time) => Err(not_modified(version)),
        _ => Ok(()),
    }
}

/// A 304, with the headers it carries.
fn not_modified(version: &VersionRecord) -> Error {
    let modified = std::time::UNIX_EPOCH + Duration::from_secs(version.last_modified.as_secs());
    Error::from(ErrorCode::NotModified)
        .with("ETag", version.etag.to_string())
        .with("Last-Modified", httpdate::fmt_http_date(modified))
}

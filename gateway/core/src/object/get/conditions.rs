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
        tags.iter()
            .any(|tag| tag.as_str() == "*" || tag.as_str() == version.etag.as_str())
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

#[cfg(test)]
mod tests {
    use weir_types::clock::Hlc;
    use weir_types::id::{BlobId, Seq, SiteId, VersionId};
    use weir_types::record::{ContentHeaders, Placement};

    use super::*;

    const MODIFIED_SECS: u64 = 1_700_000_000;

    fn version() -> VersionRecord {
        VersionRecord {
            version_id: VersionId(1),
            seq: Seq(1),
            hlc: Hlc::default(),
            site: SiteId::parse("here").expect("a site"),
            blob: BlobId(1),
            size: 3,
            etag: ETag::from_client("\"abc\""),
            // Between two seconds: clients see, and send back, the whole second.
            last_modified: Timestamp::from_millis(MODIFIED_SECS * 1000 + 700),
            headers: ContentHeaders::default(),
            user_metadata: Vec::new(),
            tags: Vec::new(),
            storage_class: None,
            checksum: None,
            parts: None,
            placement: Placement::default(),
        }
    }

    #[test]
    fn conditions_decide_as_rfc_9110_and_aws_say() {
        use ErrorCode::{NotModified, PreconditionFailed};
        let tags = |text: &str| Some(text.split(',').map(ETag::from_client).collect::<Vec<_>>());
        let at = |offset: i64| {
            Some(Timestamp::from_millis(
                MODIFIED_SECS.saturating_add_signed(offset) * 1000,
            ))
        };
        // If-Match, If-None-Match, If-Modified-Since, If-Unmodified-Since
        let cases = [
            (None, None, None, None, None),
            (tags("\"abc\""), None, None, None, None),
            (tags("abc"), None, None, None, None),
            (tags("*"), None, None, None, None),
            (tags("x,abc"), None, None, None, None),
            (tags("x"), None, None, None, Some(PreconditionFailed)),
            (None, tags("abc"), None, None, Some(NotModified)),
            (None, tags("*"), None, None, Some(NotModified)),
            (None, tags("x"), None, None, None),
            (None, None, at(0), None, Some(NotModified)),
            (None, None, at(1), None, Some(NotModified)),
            (None, None, at(-1), None, None),
            (None, None, None, at(0), None),
            (None, None, None, at(-1), Some(PreconditionFailed)),
            // If-Match outranks If-Unmodified-Since …
            (tags("abc"), None, None, at(-1), None),
            (tags("x"), None, None, at(1), Some(PreconditionFailed)),
            // … and If-None-Match outranks If-Modified-Since.
            (None, tags("abc"), at(-1), None, Some(NotModified)),
            (None, tags("x"), at(1), None, None),
            // A false precondition comes before "not modified".
            (tags("x"), tags("abc"), None, None, Some(PreconditionFailed)),
        ];
        for (if_match, if_none_match, if_modified_since, if_unmodified_since, want) in cases {
            let conditions = ReadConditions {
                if_match,
                if_none_match,
                if_modified_since,
                if_unmodified_since,
            };
            let got = evaluate(&conditions, &version()).err().map(|e| e.code);
            assert_eq!(got, want, "{conditions:?}");
        }
    }
}

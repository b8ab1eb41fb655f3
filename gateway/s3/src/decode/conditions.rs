//! Conditions on reads, copies and writes.

use std::time::UNIX_EPOCH;

use http::{HeaderMap, HeaderName, header};
use weir_types::clock::Timestamp;
use weir_types::etag::ETag;
use weir_types::index::WriteConditions;
use weir_types::operation::ReadConditions;
use weir_types::{Error, ErrorCode};

use super::header_not_implemented;
use crate::gate::single;

/// Names of the headers that hold the conditions of a read.
pub(super) struct Names {
    if_match: HeaderName,
    if_none_match: HeaderName,
    if_modified_since: HeaderName,
    if_unmodified_since: HeaderName,
}

/// Conditions on what is read.
pub(super) static OF_OBJECT: Names = Names {
    if_match: header::IF_MATCH,
    if_none_match: header::IF_NONE_MATCH,
    if_modified_since: header::IF_MODIFIED_SINCE,
    if_unmodified_since: header::IF_UNMODIFIED_SINCE,
};

/// Conditions on what is copied.
pub(super) static OF_COPY_SOURCE: Names = Names {
    if_match: HeaderName::from_static("x-amz-copy-source-if-match"),
    if_none_match: HeaderName::from_static("x-amz-copy-source-if-none-match"),
    if_modified_since: HeaderName::from_static("x-amz-copy-source-if-modified-since"),
    if_unmodified_since: HeaderName::from_static("x-amz-copy-source-if-unmodified-since"),
};

/// The conditions of a read. Dates that are none are ignored (RFC 9110, section 13.1.3).
pub(super) fn read(headers: &HeaderMap, names: &Names) -> Result<ReadConditions, Error> {
    let get = |name: &HeaderName| joined(headers, name);
    Ok(ReadConditions {
        if_match: get(&names.if_match)?.map(|t| tags(&t, false)),
        if_none_match: get(&names.if_none_match)?.map(|t| tags(&t, true)),
        if_modified_since: get(&names.if_modified_since)?.and_then(|t| date(&t)),
        if_unmodified_since: get(&names.if_unmodified_since)?.and_then(|t| date(&t)),
    })
}

/// The conditions of a write (AWS, "Conditional writes"): `If-None-Match: *`, or `If-Match`
/// with one tag. What else HTTP would allow is not S3's.
pub(super) fn write(headers: &HeaderMap) -> Result<WriteConditions, Error> {
    for name in ["if-modified-since", "if-unmodified-since"] {
        if headers.contains_key(name) {
            return Err(header_not_implemented(name));
        }
    }
    let if_none_match = match single(headers, "if-none-match")? {
        None => false,
        Some(value) if value.trim() == "*" => true,
        Some(_) => return Err(header_not_implemented("If-None-Match")),
    };
    let if_match = one_tag(headers)?;
    if if_none_match && if_match.is_some() {
        return Err(Error::new(
            ErrorCode::InvalidRequest,
            "If-Match and If-None-Match cannot hold at the same time.",
        ));
    }
    Ok(WriteConditions {
        if_match,
        if_none_match,
    })
}

/// `If-Match` with exactly one tag.
pub(super) fn one_tag(headers: &HeaderMap) -> Result<Option<ETag>, Error> {
    let Some(value) = single(headers, "if-match")? else {
        return Ok(None);
    };
    let mut found = tags(value, false);
    match (found.pop(), found.is_empty()) {
        (Some(tag), true) if tag.as_str() != "*" => Ok(Some(tag)),
        _ => Err(header_not_implemented("If-Match")),
    }
}

/// Refuses conditions on operations that have none.
pub(super) fn none(headers: &HeaderMap) -> Result<(), Error> {
    for name in [
        "if-match",
        "if-none-match",
        "if-modified-since",
        "if-unmodified-since",
    ] {
        if headers.contains_key(name) {
            return Err(header_not_implemented(name));
        }
    }
    Ok(())
}

/// All values of a header as one, as if they had been sent in a list.
fn joined(headers: &HeaderMap, name: &HeaderName) -> Result<Option<String>, Error> {
    let mut all: Option<String> = None;
    for value in headers.get_all(name) {
        let text = value.to_str().map_err(|_| {
            super::invalid_argument(
                name.as_str(),
                "",
                "The header holds characters that it cannot.",
            )
        })?;
        match &mut all {
            None => all = Some(text.to_owned()),
            Some(all) => {
                all.push(',');
                all.push_str(text);
            }
        }
    }
    Ok(all)
}

/// Entity tags separated by commas; a comma inside quotes belongs to its tag. `*` becomes a
/// tag of that text. Weak tags match only where the comparison is weak.
fn tags(text: &str, weak: bool) -> Vec<ETag> {
    let mut found = Vec::new();
    let mut quoted = false;
    let pieces = text.split(|c: char| {
        quoted ^= c == '"';
        c == ',' && !quoted
    });
    for piece in pieces.map(str::trim).filter(|p| !p.is_empty()) {
        let piece = if weak {
            piece.strip_prefix("W/").unwrap_or(piece)
        } else {
            piece
        };
        found.push(ETag::from_client(piece));
    }
    found
}

fn date(text: &str) -> Option<Timestamp> {
    let moment = httpdate::parse_http_date(text.trim()).ok()?;
    let secs = moment.duration_since(UNIX_EPOCH).ok()?.as_secs();
    secs.checked_mul(1000).map(Timestamp::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_split_outside_quotes() {
        for (text, weak, expected) in [
            ("\"a\", \"b\"", false, &["a", "b"][..]),
            ("\"a,b\",c", false, &["a,b", "c"]),
            ("*", true, &["*"]),
            ("W/\"a\"", true, &["a"]),
            ("W/\"a\"", false, &["W/\"a\""]),
            ("abc", true, &["abc"]),
            (" , ,", true, &[]),
        ] {
            let got = tags(text, weak);
            assert_eq!(
                got.iter().map(ETag::as_str).collect::<Vec<_>>(),
                expected,
                "{text}"
            );
        }
    }
}

//! Conditions on reads, copies and writes.

use std::time::UNIX_EPOCH;

use http::HeaderMap;
use weir_types::clock::Timestamp;
use weir_types::etag::ETag;
use weir_types::index::WriteConditions;
use weir_types::operation::ReadConditions;
use weir_types::{Error, ErrorCode};

use super::header_not_implemented;
use crate::gate::single;

/// The conditions of a read, from headers whose names start with `prefix`: nothing, or
/// `x-amz-copy-source-`. Dates that are none are ignored (RFC 9110, section 13.1.3).
pub(super) fn read(headers: &HeaderMap, prefix: &str) -> Result<ReadConditions, Error> {
    let get = |name: &str| match prefix {
        "" => joined(headers, name),
        prefix => joined(headers, &format!("{prefix}{name}")),
    };
    Ok(ReadConditions {
        if_match: get("if-match")?.map(|t| tags(&t, false)),
        if_none_match: get("if-none-match")?.map(|t| tags(&t, true)),
        if_modified_since: get("if-modified-since")?.and_then(|t| date(&t)),
        if_unmodified_since: get("if-unmodified-since")?.and_then(|t| date(&t)),
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
fn joined(headers: &HeaderMap, name: &str) -> Result<Option<String>, Error> {
    let mut all: Option<String> = None;
    for value in headers.get_all(name) {
        let text = value.to_str().map_err(|_| {
            super::invalid_argument(name, "", "The header holds characters that it cannot.")
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

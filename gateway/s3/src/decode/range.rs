//! `Range` and `x-amz-copy-source-range`.

use weir_types::Error;
use weir_types::operation::RangeSpec;

use super::invalid_argument;

/// The longest Range that is looked at: two 20-digit numbers and what is around them.
const RANGE_BYTES_MAX: usize = 64;

/// A single byte range (RFC 9110, section 14.1.2). Anything else, lists of ranges included, is
/// ignored as S3 does: the whole object is the answer.
pub(super) fn parse(text: &str) -> Option<RangeSpec> {
    let (unit, range) = text.trim().split_once('=')?;
    if text.len() > RANGE_BYTES_MAX || !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let (first, last) = range.split_once('-')?;
    match (first.trim(), last.trim()) {
        ("", last) => number(last).map(RangeSpec::Last),
        (first, "") => number(first).map(|first| RangeSpec::FromTo(first, None)),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then_some(RangeSpec::FromTo(first, Some(last)))
        }
    }
}

/// A number; what does not fit is beyond the end of every object all the same.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

/// `x-amz-copy-source-range`: only `bytes=first-last`.
pub(super) fn parse_copy(text: &str) -> Result<(u64, u64), Error> {
    match parse(text) {
        Some(RangeSpec::FromTo(first, Some(last))) => Ok((first, last)),
        _ => Err(invalid_argument(
            "x-amz-copy-source-range",
            text,
            "The x-amz-copy-source-range value must be of the form bytes=first-last where first \
             and last are the zero-based offsets of the first and last bytes to copy.",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_single_ranges_count() {
        use RangeSpec::{FromTo, Last};
        let many = format!("bytes={}", "0-1,".repeat(10_000));
        for (text, expected) in [
            ("bytes=0-4", Some(FromTo(0, Some(4)))),
            ("Bytes = 7-7", Some(FromTo(7, Some(7)))),
            ("bytes=5-", Some(FromTo(5, None))),
            ("bytes=-5", Some(Last(5))),
            ("bytes=-0", Some(Last(0))),
            (
                "bytes=99999999999999999999999-",
                Some(FromTo(u64::MAX, None)),
            ),
            ("bytes=4-0", None),
            ("bytes=-", None),
            ("bytes=", None),
            ("bytes=0-1,3-4", None),
            ("bytes=a-b", None),
            ("bytes=+1-2", None),
            ("bytes=0--1", None),
            ("items=0-1", None),
            ("0-1", None),
            ("", None),
            (&many, None),
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
        assert!(parse_copy("bytes=0-").is_err() && parse_copy("bytes=-1").is_err());
        assert_eq!(parse_copy("bytes=0-9"), Ok((0, 9)));
    }
}

//! Percent-encoding as SigV4 and S3 define it (AWS, "Create a signed AWS API request",
//! function `UriEncode`): every byte but `A-Z a-z 0-9 - . _ ~` is `%XX` in uppercase.

use std::borrow::Cow;

use weir_types::{Error, ErrorCode};

/// Whether `/` stands for itself.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Slash {
    /// In paths.
    Keep,
    /// In queries.
    Encode,
}

/// What `+` means.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plus {
    /// Itself: in paths and in `x-amz-copy-source`.
    Literal,
    /// A space: in queries and in `x-amz-tagging`.
    Space,
}

const fn is_unreserved(byte: u8) -> bool {
    matches!(byte, b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~')
}

/// Encodes `bytes` onto the end of `out`.
pub(crate) fn encode_onto(out: &mut String, bytes: &[u8], slash: Slash) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for &byte in bytes {
        if is_unreserved(byte) || (byte == b'/' && slash == Slash::Keep) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(HEX[usize::from(byte >> 4)]));
            out.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
}

/// Encodes a text, `/` kept: as listings with `encoding-type=url` carry keys.
pub(crate) fn encode_key(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    encode_onto(&mut out, text.as_bytes(), Slash::Keep);
    out
}

/// Decodes strictly: a `%` without two hex digits behind it is [`ErrorCode::InvalidURI`].
pub(crate) fn decode(raw: &str, plus: Plus) -> Result<Cow<'_, [u8]>, Error> {
    let bytes = raw.as_bytes();
    let plain = |b: &u8| *b != b'%' && (*b != b'+' || plus == Plus::Literal);
    let Some(first) = bytes.iter().position(|b| !plain(b)) else {
        return Ok(Cow::Borrowed(bytes));
    };
    let mut out = Vec::with_capacity(bytes.len());
    out.extend_from_slice(&bytes[..first]);
    let mut rest = &bytes[first..];
    while let [byte, tail @ ..] = rest {
        rest = tail;
        match byte {
            b'%' => {
                let (Some(high), Some(low)) = (hex_digit(rest, 0), hex_digit(rest, 1)) else {
                    return Err(Error::new(
                        ErrorCode::InvalidURI,
                        "A percent code is incomplete.",
                    ));
                };
                out.push(high << 4 | low);
                rest = &rest[2..];
            }
            b'+' if plus == Plus::Space => out.push(b' '),
            other => out.push(*other),
        }
    }
    Ok(Cow::Owned(out))
}

/// As [`decode`], and the bytes must be UTF-8.
pub(crate) fn decode_text(raw: &str, plus: Plus) -> Result<Cow<'_, str>, Error> {
    let not_utf8 = || Error::new(ErrorCode::InvalidURI, "The URI is not UTF-8.");
    match decode(raw, plus)? {
        Cow::Borrowed(bytes) => std::str::from_utf8(bytes)
            .map(Cow::Borrowed)
            .map_err(|_| not_utf8()),
        Cow::Owned(bytes) => String::from_utf8(bytes)
            .map(Cow::Owned)
            .map_err(|_| not_utf8()),
    }
}

/// Whether `raw` is what [`encode_onto`] would make of its decoded form, so that it can be
/// signed as it stands.
pub(crate) fn is_canonical(raw: &str, slash: Slash) -> bool {
    let bytes = raw.as_bytes();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        if byte == b'%' {
            let digits = bytes.get(at + 1..at + 3);
            let upper = digits.is_some_and(|d| d.iter().all(|b| !b.is_ascii_lowercase()));
            let (Some(high), Some(low)) = (hex_digit(bytes, at + 1), hex_digit(bytes, at + 2))
            else {
                return false;
            };
            let decoded = high << 4 | low;
            let needless = is_unreserved(decoded) || (decoded == b'/' && slash == Slash::Keep);
            if !upper || needless {
                return false;
            }
            at += 3;
        } else if is_unreserved(byte) || (byte == b'/' && slash == Slash::Keep) {
            at += 1;
        } else {
            return false;
        }
    }
    true
}

fn hex_digit(bytes: &[u8], at: usize) -> Option<u8> {
    match bytes.get(at)? {
        b @ b'0'..=b'9' => Some(b - b'0'),
        b @ b'a'..=b'f' => Some(b - b'a' + 10),
        b @ b'A'..=b'F' => Some(b - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_is_the_fixed_point_of_decode_and_encode() {
        for slash in [Slash::Keep, Slash::Encode] {
            for raw in [
                "", "/", "/a/b", "a%20b", "a%2Fb", "a%2fb", "%41", "a+b", "a%2Bb", "%", "%4",
                "%zz", "ä", "%C3%A4", "~-._", "a:b", "%7E", "//..//",
            ] {
                let Ok(decoded) = decode(raw, Plus::Literal) else {
                    assert!(!is_canonical(raw, slash), "{raw}");
                    continue;
                };
                let mut again = String::new();
                encode_onto(&mut again, &decoded, slash);
                assert_eq!(is_canonical(raw, slash), again == raw, "{raw}");
            }
        }
    }

    #[test]
    fn decoding_is_strict() {
        for bad in ["%", "a%", "%4", "%4g", "%g4", "%+1", "% 1"] {
            assert!(decode(bad, Plus::Space).is_err(), "{bad}");
        }
        assert!(decode_text("%FF", Plus::Literal).is_err());
        assert_eq!(decode_text("a+b%20c", Plus::Space).as_deref(), Ok("a b c"));
        assert_eq!(decode_text("a+b", Plus::Literal).as_deref(), Ok("a+b"));
    }
}

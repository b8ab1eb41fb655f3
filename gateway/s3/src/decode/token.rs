//! Continuation tokens: opaque to clients, checked when they come back.
//!
//! A token is base64 of a CRC32C and the text after which the next page starts. It grants
//! nothing that `start-after` would not, so it needs no secret; the CRC tells a token from
//! anything else.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The token for a page that starts after `after`.
pub(crate) fn encode(after: &str) -> String {
    let mut bytes = crc_fast::crc32_iscsi(after.as_bytes())
        .to_be_bytes()
        .to_vec();
    bytes.extend_from_slice(after.as_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The text in a token that [`encode`] made.
pub(crate) fn decode(token: &str) -> Option<String> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
    let (crc, after) = bytes.split_at_checked(4)?;
    let crc = u32::from_be_bytes(crc.try_into().ok()?);
    (crc_fast::crc32_iscsi(after) == crc).then(|| String::from_utf8(after.to_vec()).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_tokens_come_back() {
        for text in ["", "a", "ä/../\u{1}", &"k".repeat(1024)] {
            assert_eq!(decode(&encode(text)).as_deref(), Some(text));
        }
        for bad in [
            "",
            "AAAA",
            "a",
            "abcdefgh",
            "1ueGcxLPRx1Tr/XYExHnhbYLgveDs2J/wm36Hy4vbOwM=",
        ] {
            assert_eq!(decode(bad), None, "{bad}");
        }
    }
}

//! Makes a guest's text safe to print.

/// At most `bytes_max` bytes of `text` with control characters escaped, and
/// with them those that change the direction or the line of what follows.
pub(crate) fn printable(text: &str, bytes_max: usize) -> String {
    let mut out = String::with_capacity(text.len().min(bytes_max));
    for c in text.chars() {
        let start = out.len();
        if unprintable(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
        if out.len() > bytes_max {
            out.truncate(start);
            break;
        }
    }
    out
}

/// Whether [`printable`] would leave `text` as it is; false for some that it would.
pub(crate) fn is_plain(text: &str, bytes_max: usize) -> bool {
    text.len() <= bytes_max && text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

fn unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_and_escaped() {
        for (text, bytes_max, expected) in [
            ("plain", 10, "plain"),
            ("plain", 3, "pla"),
            ("a\nb\x1b[31m\0", 64, "a\\nb\\u{1b}[31m\\u{0}"),
            ("ää", 3, "ä"),
            ("a\n", 2, "a"),
            ("x\u{202e}y", 64, "x\\u{202e}y"),
        ] {
            assert_eq!(printable(text, bytes_max), expected);
            if is_plain(text, bytes_max) {
                assert_eq!(text, expected);
            }
        }
    }
}

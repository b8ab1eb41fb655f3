//! Checks the shape of a policy's answer, and makes a guest's text safe to
//! print.

use crate::error::{Fault, FaultKind};

/// An answer as the guest gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) candidates: Vec<u32>,
    pub(crate) copies: u32,
    pub(crate) ack: u32,
    pub(crate) reason: String,
}

/// Whether the host can act on `answer` when there are `backends` backends.
pub(crate) fn check(answer: &Answer, backends: usize, copies_max: u32) -> Result<(), Fault> {
    if answer.candidates.is_empty() {
        return Err(Fault::new(
            FaultKind::NoCandidates,
            "the answer has no candidates",
        ));
    }
    let mut seen = Seen::new(backends);
    for index in &answer.candidates {
        if *index as usize >= backends {
            let message = format!("candidate {index} of {backends} backends");
            return Err(Fault::new(FaultKind::UnknownBackend, message));
        }
        if !seen.insert(*index) {
            let message = format!("candidate {index} is there twice");
            return Err(Fault::new(FaultKind::DuplicateBackend, message));
        }
    }
    let Answer { copies, ack, .. } = answer;
    if !(1..=copies_max).contains(copies) || !(1..=*copies).contains(ack) {
        let message =
            format!("copies {copies}, ack {ack}; wanted 1 <= ack <= copies <= {copies_max}");
        return Err(Fault::new(FaultKind::CopiesRange, message));
    }
    Ok(())
}

/// A set of small indices; up to 64 without allocation.
struct Seen {
    low: u64,
    high: Vec<bool>,
}

impl Seen {
    fn new(count: usize) -> Self {
        Self {
            low: 0,
            high: vec![false; count.saturating_sub(64)],
        }
    }

    /// False if it was there already. `index` is below `count`.
    fn insert(&mut self, index: u32) -> bool {
        if index < 64 {
            let bit = 1 << index;
            let fresh = self.low & bit == 0;
            self.low |= bit;
            fresh
        } else {
            !std::mem::replace(&mut self.high[index as usize - 64], true)
        }
    }
}

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

fn unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_answer(candidates: &[u32], copies: u32, ack: u32) -> Option<FaultKind> {
        let answer = Answer {
            candidates: candidates.to_vec(),
            copies,
            ack,
            reason: String::new(),
        };
        check(&answer, 70, 16).err().map(|fault| fault.kind)
    }

    #[test]
    fn only_answers_of_the_right_shape_pass() {
        for (candidates, copies, ack, expected) in [
            (&[0, 69, 64, 63][..], 2, 1, None),
            (&[0], 16, 16, None),
            (&[], 1, 1, Some(FaultKind::NoCandidates)),
            (&[70], 1, 1, Some(FaultKind::UnknownBackend)),
            (&[u32::MAX], 1, 1, Some(FaultKind::UnknownBackend)),
            (&[3, 4, 3], 1, 1, Some(FaultKind::DuplicateBackend)),
            (&[69, 64, 69], 1, 1, Some(FaultKind::DuplicateBackend)),
            (&[0], 0, 0, Some(FaultKind::CopiesRange)),
            (&[0], 17, 1, Some(FaultKind::CopiesRange)),
            (&[0], 2, 3, Some(FaultKind::CopiesRange)),
            (&[0], 2, 0, Some(FaultKind::CopiesRange)),
        ] {
            assert_eq!(
                check_answer(candidates, copies, ack),
                expected,
                "{candidates:?}"
            );
        }
    }

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
        }
    }
}

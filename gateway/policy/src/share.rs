//! Which part of the decisions a share is.

use crate::api::Subject;

/// The whole.
pub(crate) const PERMILLE: u16 = 1000;

/// Whether this key lies within the first `permille` of all keys. The same key always lies at
/// the same place, in every process and with every share: a share that grows keeps its keys.
pub(crate) fn holds_key(subject: &Subject<'_>, permille: u16) -> bool {
    let mut hash = FNV_OFFSET;
    // A byte that is not UTF-8 tells ("ab", "c") from ("a", "bc").
    let bytes = subject
        .bucket
        .bytes()
        .chain([0xff])
        .chain(subject.key.bytes());
    for byte in bytes {
        hash = (hash ^ u64::from(byte)).wrapping_mul(FNV_PRIME);
    }
    place(hash) < permille
}

/// Whether the `n`th decision is one of `permille` in a thousand, spread evenly.
pub(crate) fn holds_turn(n: u64, permille: u16) -> bool {
    place(n.wrapping_mul(0x9e37_79b9_7f4a_7c15)) < permille
}

const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x100_0000_01b3;

/// Where a number lies, from 0 to 999 (its bits mixed by the finalizer of SplitMix64, public
/// domain, by Sebastiano Vigna).
fn place(number: u64) -> u16 {
    let mut z = number;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^= z >> 31;
    u16::try_from(z % u64::from(PERMILLE)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject<'a>(bucket: &'a str, key: &'a str) -> Subject<'a> {
        Subject {
            facts_generation: 1,
            backends: &[],
            bucket,
            key,
            principal: "",
            now_ms: 0,
        }
    }

    #[test]
    fn a_share_is_about_right_and_keeps_its_keys() {
        let keys: Vec<_> = (0..20_000).map(|n| format!("2026/{n:05}.jpg")).collect();
        let mut within: Vec<&String> = Vec::new();
        for permille in [0, 1, 50, 250, 500, 999, 1000] {
            let held = |key: &&String| holds_key(&subject("photos", key), permille);
            assert!(within.iter().all(held), "{permille} lost a key");
            within = keys.iter().filter(held).collect();
            let wanted = f64::from(permille) * 20.0;
            let off = (within.len() as f64 - wanted).abs();
            // Four standard deviations of a binomial distribution.
            let spread = (wanted * (1.0 - f64::from(permille) / 1000.0)).sqrt() * 4.0;
            assert!(off <= spread, "{permille}: {} of 20000", within.len());
            let turns = (0..20_000).filter(|n| holds_turn(*n, permille)).count();
            assert!(
                (turns as f64 - wanted).abs() <= spread,
                "{permille}: {turns}"
            );
        }
        // Written down, because other processes must agree.
        let places = ["a", "b", "c", "d"]
            .map(|key| (0..=PERMILLE).find(|permille| holds_key(&subject("b", key), *permille)));
        assert_eq!(places, [Some(796), Some(308), Some(619), Some(868)]);
    }
}

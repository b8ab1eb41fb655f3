//! The default that decides when no policy can: `spread`, natively. It cannot
//! fail, and answers as the plugin `spread` with default settings does.

use crate::api::{BackendState, Health, PlacementInput};

/// What a backend without a limit is compared by when none has one.
const LIMIT_WHEN_NONE_KNOWN_BYTES: u64 = 1 << 50;
/// Fill levels this close together count as equal.
const BAND_PERMILLE: u64 = 10;

/// Indices of all backends, best first: usable before unusable, then by
/// the share of the limit in use, then by turns.
#[must_use]
pub fn spread(input: &PlacementInput<'_>) -> Vec<u32> {
    let largest = input
        .backends
        .iter()
        .filter_map(|state| state.limit_bytes)
        .max();
    let assumed = largest.unwrap_or(LIMIT_WHEN_NONE_KNOWN_BYTES);
    let mut ranked: Vec<_> = (0..)
        .zip(input.backends)
        .map(|(index, state)| {
            let fill = fill_permille(state, input.request.size_bytes.unwrap_or(0), assumed);
            let unusable = !state.writable || state.health == Health::Down;
            let turn = turn(input.request.entropy, index);
            ((unusable, fill / BAND_PERMILLE, turn), fill, index)
        })
        .collect();
    ranked.sort_unstable();
    ranked.into_iter().map(|(_, _, index)| index).collect()
}

fn fill_permille(state: &BackendState, extra_bytes: u64, assumed_limit: u64) -> u64 {
    let used =
        u128::from(state.used_bytes) + u128::from(state.reserved_bytes) + u128::from(extra_bytes);
    match state.limit_bytes.unwrap_or(assumed_limit) {
        0 => 1000,
        limit => u64::try_from(used * 1000 / u128::from(limit)).unwrap_or(u64::MAX),
    }
}

/// A number for this backend and this decision that says whose turn it is
/// (the finalizer of SplitMix64, public domain, by Sebastiano Vigna).
fn turn(entropy: u64, index: u32) -> u64 {
    let mut z = entropy ^ u64::from(index).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

//! Reproducible choices.

use weir_types::entropy::{Entropy, SeededEntropy, SystemEntropy};

use crate::args::Args;

/// A generator whose choices follow from its seed.
#[derive(Debug)]
pub(crate) struct Random(SeededEntropy);

impl Random {
    /// Number `stream` of the generators of `seed`.
    pub(crate) fn new(seed: u64, stream: u64) -> Self {
        Self(SeededEntropy::new(
            seed ^ stream.wrapping_mul(0xA076_1D64_78BD_642F),
        ))
    }

    /// A number below `limit`, which is not zero.
    pub(crate) fn below(&self, limit: u64) -> u64 {
        self.0.u64() % limit
    }
}

/// The seed given, or a new one; printed either way, so that a run can be repeated.
pub(crate) fn seed(args: &Args) -> u64 {
    let seed = args.get("seed", SystemEntropy::default().u64() >> 16);
    println!("seed {seed}");
    seed
}

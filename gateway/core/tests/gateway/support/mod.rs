//! What the tests of the gateway share: a world whose disks outlive the process, clients that
//! speak in operations, and the laws that must hold when everything has come to rest.

mod client;
mod decider;
mod file;
mod hesitant;
mod laws;
mod notes;
mod plan;
mod story;
mod world;

use weir_types::entropy::{Entropy as _, SeededEntropy};

pub(crate) use client::{Client, body, code_of, frames, object_key};
pub(crate) use decider::{Rules, Scripted, scatter};
pub(crate) use laws::{at_rest, come_to_rest, held, require_laws};
pub(crate) use notes::Notes;
pub(crate) use plan::DieAt;
pub(crate) use story::{blob_of, holder, in_memory};
pub(crate) use world::{Life, World, backend_id, bucket};

/// Dice whose throws follow from a seed.
pub(crate) struct Dice(SeededEntropy);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(SeededEntropy::new(seed))
    }

    /// A number below `bound`.
    pub(crate) fn below(&self, bound: u64) -> u64 {
        self.0.u64() % bound.max(1)
    }

    /// True `percent` times out of a hundred.
    pub(crate) fn chance(&self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// One of them.
    pub(crate) fn pick<T: Copy>(&self, among: &[T]) -> T {
        let index = usize::try_from(self.below(among.len() as u64)).expect("an index");
        among[index]
    }

    /// Random bytes.
    pub(crate) fn bytes(&self, length: u64) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(length).expect("fits into memory")];
        self.0.fill(&mut bytes);
        bytes
    }
}

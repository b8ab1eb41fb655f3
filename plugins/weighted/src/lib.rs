//! `weighted`: new objects are shared out by weights. A backend of weight 3
//! comes first three times as often as one of weight 1; weight 0 is for
//! reserves, which are used when no other is left.
//!
//! The lot is drawn from the key, so the same key always goes the same way;
//! when a backend is added, only the share that it takes over moves
//! (weighted rendezvous hashing: Thaler and Ravishankar 1998, with the weights
//! of Schindelhauer and Schomaker 2005).

#![cfg_attr(not(target_arch = "wasm32"), forbid(unsafe_code))]

use weir_plugin_sdk::settings::Settings;
use weir_plugin_sdk::{
    BackendState, ConfigError, Description, Facts, Placement, PlacementPolicy, Policy, Request,
};

const SCHEMA: &str = r#"{
  "type": "object",
  "additionalProperties": false,
  "properties": {
    "weights": {
      "description": "From backend ids to weights. Others weigh 1; 0 is a reserve.",
      "type": "object",
      "additionalProperties": {"type": "integer", "minimum": 0, "maximum": 1000}
    }
  }
}"#;

/// The policy with its settings.
#[derive(Debug)]
pub struct Weighted {
    /// One for each backend.
    weights: Vec<u64>,
    /// Hashes of the ids: a backend's lots do not depend on its position.
    seeds: Vec<u64>,
}

impl Policy for Weighted {
    fn describe() -> Description {
        let summary = "Shares new objects out by weights";
        Description::new("weighted", env!("CARGO_PKG_VERSION"), summary).with_schema(SCHEMA)
    }

    fn configure(settings: &str, facts: Facts) -> Result<Self, Vec<ConfigError>> {
        let mut settings = Settings::parse(settings);
        let weights = settings.per_backend("weights", 0..=1000, 1, &facts);
        if !weights.is_empty() && weights.iter().all(|weight| *weight == 0) {
            settings.mistake("weights", "at least one backend must weigh more than 0");
        }
        settings.finish()?;
        let seeds = facts.backends.iter().map(|b| hash(b.id.as_bytes(), 0));
        Ok(Self {
            weights,
            seeds: seeds.collect(),
        })
    }
}

impl PlacementPolicy for Weighted {
    fn place(&self, request: &Request, backends: &[BackendState]) -> Placement {
        let key = hash(request.key.as_bytes(), hash(request.bucket.as_bytes(), 0));
        let drawn = self.weights.iter().zip(&self.seeds).zip(backends);
        let mut ranked: Vec<_> = (0..)
            .zip(drawn)
            .map(|(index, ((weight, seed), state))| {
                let reserve = *weight == 0;
                let time = waiting_time(mix(key ^ seed), (*weight).max(1));
                ((!state.usable(), reserve), time, index)
            })
            .collect();
        ranked.sort_by(|(a, time_a, _), (b, time_b, _)| a.cmp(b).then(time_a.total_cmp(time_b)));
        Placement::new(ranked.into_iter().map(|(_, _, index)| index), request)
            .because("weighted: drawn by the key")
    }
}

/// When a lot is drawn: exponential in a uniform draw, `weight` times as soon.
/// Whoever has the smallest comes first with the probability of its weight.
fn waiting_time(draw: u64, weight: u64) -> f64 {
    // Above 0 and at most 1, in steps of 2^-53.
    let uniform = ((draw >> 11) + 1) as f64 / (1_u64 << 53) as f64;
    -uniform.ln() / weight as f64
}

/// FNV-1a (Fowler, Noll, Vo; public domain), which costs next to no code.
fn hash(bytes: &[u8], seed: u64) -> u64 {
    let start = 0xcbf2_9ce4_8422_2325 ^ seed;
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    mix(bytes.iter().fold(start, step))
}

/// Spreads every bit over all others (the finalizer of SplitMix64, public
/// domain, by Sebastiano Vigna).
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

weir_plugin_sdk::export_policy!(Weighted: placement);

#[cfg(test)]
mod tests;

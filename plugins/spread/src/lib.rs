//! `spread`: the least used backend first, by the share of its limit that is
//! in use. Backends about equally full take turns at random, so that many
//! gateways do not all choose the same one.

#![cfg_attr(not(target_arch = "wasm32"), forbid(unsafe_code))]

use weir_plugin_sdk::settings::Settings;
use weir_plugin_sdk::{
    BackendState, ConfigError, Description, Facts, Placement, PlacementPolicy, Policy, Request,
};

const SCHEMA: &str = r#"{
  "type": "object",
  "additionalProperties": false,
  "properties": {
    "band_permille": {
      "description": "Fill levels this close together count as equal.",
      "type": "integer", "minimum": 1, "maximum": 1000, "default": 10
    }
  }
}"#;

/// What a backend without a limit is compared by when none has one.
const LIMIT_WHEN_NONE_KNOWN_BYTES: u64 = 1 << 50;

/// The policy with its settings.
#[derive(Debug)]
pub struct Spread {
    band_permille: u64,
    ids: Vec<String>,
}

impl Policy for Spread {
    fn describe() -> Description {
        let summary = "The least used backend first, by ratio";
        Description::new("spread", env!("CARGO_PKG_VERSION"), summary).with_schema(SCHEMA)
    }

    fn configure(settings: &str, facts: Facts) -> Result<Self, Vec<ConfigError>> {
        let mut settings = Settings::parse(settings);
        let band_permille = settings.integer("band_permille", 1..=1000, 10);
        settings.finish()?;
        let ids = facts
            .backends
            .into_iter()
            .map(|backend| backend.id)
            .collect();
        Ok(Self { band_permille, ids })
    }
}

impl PlacementPolicy for Spread {
    fn place(&self, request: &Request, backends: &[BackendState]) -> Placement {
        // Who has no limit is measured against the largest there is.
        let largest = backends.iter().filter_map(|state| state.limit_bytes).max();
        let assumed = largest.unwrap_or(LIMIT_WHEN_NONE_KNOWN_BYTES);
        let size = request.size_bytes.unwrap_or(0);
        let mut ranked: Vec<_> = (0..)
            .zip(backends)
            .map(|(index, state)| {
                let fill = state.fill_permille(size, state.limit_bytes.unwrap_or(assumed));
                let band = fill / self.band_permille;
                (
                    (
                        !state.usable(),
                        fill >= 1000,
                        band,
                        turn(request.entropy, index),
                    ),
                    fill,
                    index,
                )
            })
            .collect();
        ranked.sort_unstable();
        let reason = ranked.first().map_or_else(String::new, |(_, fill, index)| {
            let id = self.ids.get(*index as usize).map_or("", String::as_str);
            format!("spread: {id} is least used, {}.{} %", fill / 10, fill % 10)
        });
        Placement::new(ranked.into_iter().map(|(_, _, index)| index), request).because(reason)
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

weir_plugin_sdk::export_policy!(Spread: placement);

#[cfg(test)]
mod tests;

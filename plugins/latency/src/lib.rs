//! `latency`: the nearest healthy copy serves a read, and when it takes much
//! longer than it should, the next one is tried beside it. New objects go to
//! the nearest backends.
//!
//! Near is what the gateway measures: its moving estimate of the time to the
//! first byte. The estimate is a mean, so the hedge waits for a multiple of it.
//! Response times of storage have a long tail; with the default of three times
//! the mean the hedge comes after about the 95th percentile of an exponential
//! distribution (−ln 0.05 ≈ 3).

#![cfg_attr(not(target_arch = "wasm32"), forbid(unsafe_code))]

use weir_plugin_sdk::settings::Settings;
use weir_plugin_sdk::{
    BackendState, ConfigError, Description, Facts, Health, Placement, PlacementPolicy, Policy,
    Read, ReadRoutingPolicy, Request, Route,
};

const SCHEMA: &str = r#"{
  "type": "object",
  "additionalProperties": false,
  "properties": {
    "hedge_factor_percent": {
      "description": "The next copy is tried after this share of the first one's estimate; 0: never.",
      "type": "integer", "minimum": 0, "maximum": 10000, "default": 300
    },
    "hedge_us_min": {
      "description": "But not sooner than after so many microseconds.",
      "type": "integer", "minimum": 100, "maximum": 60000000, "default": 2000
    },
    "hedge_bytes_max": {
      "description": "Larger reads are not hedged: the second one would cost more than it wins.",
      "type": "integer", "minimum": 0, "default": 8388608
    },
    "error_penalty_us": {
      "description": "One failed call in ten weighs as much as this time.",
      "type": "integer", "minimum": 0, "maximum": 60000000, "default": 20000
    }
  }
}"#;

/// The policy with its settings.
#[derive(Debug)]
pub struct Latency {
    hedge_factor_percent: u64,
    hedge_us_min: u64,
    hedge_bytes_max: u64,
    error_penalty_us: u64,
}

impl Policy for Latency {
    fn describe() -> Description {
        let summary = "The nearest healthy copy first, with a hedge";
        Description::new("latency", env!("CARGO_PKG_VERSION"), summary).with_schema(SCHEMA)
    }

    fn configure(settings: &str, _facts: Facts) -> Result<Self, Vec<ConfigError>> {
        let mut settings = Settings::parse(settings);
        let policy = Self {
            hedge_factor_percent: settings.integer("hedge_factor_percent", 0..=10_000, 300),
            hedge_us_min: settings.integer("hedge_us_min", 100..=60_000_000, 2000),
            hedge_bytes_max: settings.integer("hedge_bytes_max", 0..=u64::MAX, 8 << 20),
            error_penalty_us: settings.integer("error_penalty_us", 0..=60_000_000, 20_000),
        };
        settings.finish()?;
        Ok(policy)
    }
}

impl Latency {
    /// What a call there is expected to take. Who was never measured counts as
    /// fast, so that it gets measured.
    fn expected_us(&self, state: &BackendState) -> u64 {
        let errors = u64::from(state.errors_permille) * self.error_penalty_us / 100;
        // A queue in front of the slots takes its own time.
        let busy = state.slots_max > 0 && state.slots_used >= state.slots_max;
        let queue = if busy { 2 } else { 1 };
        u64::from(state.latency_us) * queue + errors
    }

    fn hedge(&self, read: &Read, first: &BackendState) -> Option<u32> {
        let hedged = self.hedge_factor_percent > 0 && read.length_bytes <= self.hedge_bytes_max;
        if !hedged || first.latency_us == 0 {
            return None;
        }
        let after = u64::from(first.latency_us) * self.hedge_factor_percent / 100;
        Some(u32::try_from(after.max(self.hedge_us_min)).unwrap_or(u32::MAX))
    }
}

impl PlacementPolicy for Latency {
    fn place(&self, request: &Request, backends: &[BackendState]) -> Placement {
        let mut order: Vec<_> = (0..).zip(backends).collect();
        order.sort_by_key(|(_, state)| {
            let full = state.filled_permille(request.size_bytes.unwrap_or(0)) >= 1000;
            (!state.usable(), full, state.health, self.expected_us(state))
        });
        let reason = order.first().map_or_else(String::new, |(_, state)| {
            let tenths = state.latency_us / 100;
            format!("latency: {}.{} ms away", tenths / 10, tenths % 10)
        });
        Placement::new(order.into_iter().map(|(index, _)| index), request).because(reason)
    }
}

impl ReadRoutingPolicy for Latency {
    fn route(&self, read: &Read, backends: &[BackendState]) -> Route {
        let mut order = read.copies.clone();
        order.sort_by_key(|index| match backends.get(*index as usize) {
            Some(state) => (state.health, self.expected_us(state)),
            None => (Health::Down, u64::MAX),
        });
        let first = order
            .first()
            .and_then(|index| backends.get(*index as usize));
        let hedge_after_us = first.and_then(|first| self.hedge(read, first));
        Route {
            order,
            hedge_after_us,
        }
    }
}

weir_plugin_sdk::export_policy!(Latency: placement, read_routing);

#[cfg(test)]
mod tests;

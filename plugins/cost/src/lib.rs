//! `cost`: where an object costs least over the time that it is kept: storage,
//! the write, and the reads that are to be expected of it with their egress.
//! Reads go to the copy that is cheapest to read.

#![cfg_attr(not(target_arch = "wasm32"), forbid(unsafe_code))]

use weir_plugin_sdk::settings::Settings;
use weir_plugin_sdk::{
    BackendFacts, BackendState, ConfigError, Cost, Description, Facts, Health, Placement,
    PlacementPolicy, Policy, Read, ReadRoutingPolicy, Request, Route,
};

const SCHEMA: &str = r#"{
  "type": "object",
  "additionalProperties": false,
  "properties": {
    "keep_days": {
      "description": "How long an object is kept.",
      "type": "integer", "minimum": 1, "maximum": 36500, "default": 365
    },
    "reads_permille": {
      "description": "Reads of an object in that time, in thousandths: 2000 is two.",
      "type": "integer", "minimum": 0, "maximum": 1000000000, "default": 1000
    },
    "size_bytes": {
      "description": "Assumed where the client does not say how much it sends.",
      "type": "integer", "minimum": 0, "maximum": 1000000000000000, "default": 1048576
    }
  }
}"#;

/// The policy with its settings.
#[derive(Debug)]
pub struct Cheapest {
    keep_days: u64,
    reads_permille: u64,
    size_bytes: u64,
    backends: Vec<BackendFacts>,
}

impl Policy for Cheapest {
    fn describe() -> Description {
        let summary = "Cheapest total of storage, requests and egress first";
        Description::new("cost", env!("CARGO_PKG_VERSION"), summary).with_schema(SCHEMA)
    }

    fn configure(settings: &str, facts: Facts) -> Result<Self, Vec<ConfigError>> {
        let mut settings = Settings::parse(settings);
        let keep_days = settings.integer("keep_days", 1..=36_500, 365);
        let reads_permille = settings.integer("reads_permille", 0..=1_000_000_000, 1000);
        let size_bytes = settings.integer("size_bytes", 0..=1_000_000_000_000_000, 1 << 20);
        settings.finish()?;
        Ok(Self {
            keep_days,
            reads_permille,
            size_bytes,
            backends: facts.backends,
        })
    }
}

impl Cheapest {
    /// What an object of this size costs on a backend, in the operator's
    /// currency unit. Far from exact to the last digit, and the same on every
    /// machine: Wasm's floats are.
    fn total(&self, backend: &BackendFacts, size_bytes: u64) -> f64 {
        let Cost {
            storage_gb_month_micros,
            write_thousand_micros,
            ..
        } = backend.cost;
        let days = self.keep_days.max(u64::from(backend.retention_days_min));
        let months = days as f64 * (12.0 / 365.0);
        let storage = gigabytes(size_bytes) * months * storage_gb_month_micros as f64;
        let write = write_thousand_micros as f64 / 1e3;
        let reads = self.reads_permille as f64 / 1e3 * reading(&backend.cost, size_bytes);
        (storage + write + reads) / 1e6
    }
}

/// What one read of so many bytes costs, in millionths.
fn reading(cost: &Cost, bytes: u64) -> f64 {
    gigabytes(bytes) * cost.egress_gb_micros as f64 + cost.read_thousand_micros as f64 / 1e3
}

fn gigabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e9
}

impl PlacementPolicy for Cheapest {
    fn place(&self, request: &Request, backends: &[BackendState]) -> Placement {
        let size = request.size_bytes.unwrap_or(self.size_bytes);
        let mut ranked: Vec<_> = (0..)
            .zip(self.backends.iter().zip(backends))
            .map(|(index, (facts, state))| {
                let out = !state.usable() || state.filled_permille(size) >= 1000;
                (out, self.total(facts, size), index, &facts.id)
            })
            .collect();
        ranked.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
        let reason = ranked
            .first()
            .map_or_else(String::new, |(_, total, _, id)| {
                format!(
                    "cost: {id} for {total:.6}, {} days, {} reads",
                    self.keep_days,
                    self.reads_permille as f64 / 1e3
                )
            });
        Placement::new(ranked.into_iter().map(|(_, _, index, _)| index), request).because(reason)
    }
}

impl ReadRoutingPolicy for Cheapest {
    fn route(&self, read: &Read, backends: &[BackendState]) -> Route {
        let price = |index: u32| {
            let facts = self.backends.get(index as usize);
            facts.map_or(f64::MAX, |facts| reading(&facts.cost, read.length_bytes))
        };
        let down = |index: u32| {
            let state = backends.get(index as usize);
            state.is_none_or(|state| state.health == Health::Down)
        };
        let mut order = read.copies.clone();
        order.sort_by(|a, b| {
            let by_health = down(*a).cmp(&down(*b));
            by_health.then(price(*a).total_cmp(&price(*b)))
        });
        Route::new(order)
    }
}

weir_plugin_sdk::export_policy!(Cheapest: placement, read_routing);

#[cfg(test)]
mod tests;

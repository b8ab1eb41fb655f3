//! `geo`: backends near the site first, and those where the law wants the
//! bytes before all others. It ranks by the labels `residency` and `region`;
//! what must hold is host configuration, which the gateway enforces whatever
//! is proposed here.

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
    "residency": {
      "description": "Preferred residencies, the best first. Others come after them.",
      "type": "array", "items": {"type": "string"}, "uniqueItems": true
    },
    "regions": {
      "description": "Preferred regions, the nearest first; the site's own comes before them.",
      "type": "array", "items": {"type": "string"}, "uniqueItems": true
    }
  }
}"#;

/// The policy with its settings. All that matters is static, so the ranking is
/// made once.
#[derive(Debug)]
pub struct Geo {
    /// One for each backend, the smallest is the best: by residency, then by
    /// region.
    ranks: Vec<(usize, usize)>,
    /// One for each backend, for reasons.
    regions: Vec<String>,
}

impl Policy for Geo {
    fn describe() -> Description {
        let summary = "Preferred residencies first, then near regions";
        Description::new("geo", env!("CARGO_PKG_VERSION"), summary).with_schema(SCHEMA)
    }

    fn configure(settings: &str, facts: Facts) -> Result<Self, Vec<ConfigError>> {
        let mut settings = Settings::parse(settings);
        let residency = settings.strings("residency");
        let mut regions = settings.strings("regions");
        for (at, wanted) in residency.iter().enumerate() {
            let known = |b: &weir_plugin_sdk::BackendFacts| b.residency.as_ref() == Some(wanted);
            if !facts.backends.iter().any(known) {
                let path = format!("residency/{at}");
                settings.mistake(&path, format!("no backend has the residency `{wanted}`"));
            }
        }
        settings.finish()?;
        if let Some(own) = facts.site.region {
            regions.insert(0, own);
        }
        let rank = |list: &[String], value: &Option<String>| {
            let found = value
                .as_ref()
                .and_then(|v| list.iter().position(|l| l == v));
            found.unwrap_or(list.len())
        };
        let ranks = facts
            .backends
            .iter()
            .map(|b| (rank(&residency, &b.residency), rank(&regions, &b.region)));
        Ok(Self {
            ranks: ranks.collect(),
            regions: facts
                .backends
                .into_iter()
                .map(|b| b.region.unwrap_or_else(|| "an unknown region".to_owned()))
                .collect(),
        })
    }
}

impl Geo {
    fn rank(&self, index: u32) -> (usize, usize) {
        let rank = self.ranks.get(index as usize);
        rank.copied().unwrap_or((usize::MAX, usize::MAX))
    }
}

impl PlacementPolicy for Geo {
    fn place(&self, request: &Request, backends: &[BackendState]) -> Placement {
        let mut order: Vec<_> = (0..).zip(backends).collect();
        // Among equals the emptier one, so that no region's first fills up alone.
        order.sort_by_key(|(index, state)| {
            let fill = state.filled_permille(request.size_bytes.unwrap_or(0));
            (!state.usable(), fill >= 1000, self.rank(*index), fill)
        });
        let first = order.first().map(|(index, _)| *index as usize);
        let region = first.and_then(|index| self.regions.get(index));
        let reason = format!("geo: {} is nearest", region.map_or("", String::as_str));
        Placement::new(order.into_iter().map(|(index, _)| index), request).because(reason)
    }
}

impl ReadRoutingPolicy for Geo {
    fn route(&self, read: &Read, backends: &[BackendState]) -> Route {
        let mut order = read.copies.clone();
        order.sort_by_key(|index| {
            let health = backends.get(*index as usize).map(|state| state.health);
            // For a read the law has spoken already: distance is what is left.
            (health.unwrap_or(Health::Down), self.rank(*index).1)
        });
        Route::new(order)
    }
}

weir_plugin_sdk::export_policy!(Geo: placement, read_routing);

#[cfg(test)]
mod tests;

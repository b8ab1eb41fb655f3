//! `mirror`: N copies over distinct failure domains. Placement proposes one
//! backend of each domain before a second of any; replication repairs towards
//! that, and moves copies apart that share a domain.

#![cfg_attr(not(target_arch = "wasm32"), forbid(unsafe_code))]

use weir_plugin_sdk::settings::Settings;
use weir_plugin_sdk::{
    BackendState, ConfigError, Description, Facts, Object, Placement, PlacementPolicy, Policy,
    Replication, ReplicationPolicy, Request,
};

const SCHEMA: &str = r#"{
  "type": "object",
  "additionalProperties": false,
  "properties": {
    "copies": {
      "description": "Copies of every object; 0: as many as the configuration asks for.",
      "type": "integer", "minimum": 0, "maximum": 16, "default": 0
    }
  }
}"#;

/// The policy with its settings.
#[derive(Debug)]
pub struct Mirror {
    copies: Option<u32>,
    /// For each backend the number of its failure domain.
    domains: Vec<usize>,
    domain_count: usize,
}

impl Policy for Mirror {
    fn describe() -> Description {
        let summary = "Copies over distinct failure domains";
        Description::new("mirror", env!("CARGO_PKG_VERSION"), summary).with_schema(SCHEMA)
    }

    fn configure(settings: &str, facts: Facts) -> Result<Self, Vec<ConfigError>> {
        let mut settings = Settings::parse(settings);
        let copies = settings.integer("copies", 0..=16, 0);
        let mut names: Vec<&str> = Vec::new();
        let mut domains = Vec::with_capacity(facts.backends.len());
        for backend in &facts.backends {
            let known = names.iter().position(|name| *name == backend.domain());
            domains.push(known.unwrap_or(names.len()));
            if known.is_none() {
                names.push(backend.domain());
            }
        }
        if copies > names.len() as u64 {
            let message = format!(
                "{copies} copies need {copies} failure domains, not {}",
                names.len()
            );
            settings.mistake("copies", message);
        }
        settings.finish()?;
        Ok(Self {
            copies: u32::try_from(copies).ok().filter(|copies| *copies > 0),
            domain_count: names.len(),
            domains,
        })
    }
}

impl Mirror {
    /// Takes backends from `ranked`, the best first, so that one of each domain
    /// comes before a second one of any, and so on.
    fn interleave(&self, ranked: &[u32]) -> Vec<u32> {
        let mut taken = vec![0_usize; self.domain_count];
        let mut turns: Vec<_> = ranked
            .iter()
            .map(|index| {
                let domain = self.domains.get(*index as usize).copied().unwrap_or(0);
                let turn = taken.get(domain).copied().unwrap_or(0);
                if let Some(taken) = taken.get_mut(domain) {
                    *taken += 1;
                }
                (turn, *index)
            })
            .collect();
        turns.sort_by_key(|(turn, _)| *turn);
        turns.into_iter().map(|(_, index)| index).collect()
    }

    /// Backends that take another object, the emptiest first, in bands of one
    /// percent; within a band it is the entropy's choice who begins.
    fn open(&self, backends: &[BackendState], size_bytes: u64, entropy: u64) -> Vec<u32> {
        let count = backends.len().max(1) as u64;
        let begin = entropy % count;
        let mut open: Vec<_> = (0_u32..)
            .zip(backends)
            .filter(|(_, state)| state.usable() && state.filled_permille(size_bytes) < 1000)
            .map(|(index, state)| {
                let turn = (u64::from(index) + count - begin) % count;
                (state.filled_permille(size_bytes) / 10, turn, index)
            })
            .collect();
        open.sort_unstable();
        open.into_iter().map(|(_, _, index)| index).collect()
    }
}

impl PlacementPolicy for Mirror {
    fn place(&self, request: &Request, backends: &[BackendState]) -> Placement {
        let size = request.size_bytes.unwrap_or(0);
        let mut order = self.interleave(&self.open(backends, size, request.entropy));
        let open = order.len();
        for (index, _) in (0..).zip(backends) {
            if !order[..open].contains(&index) {
                order.push(index);
            }
        }
        let copies = self.copies.unwrap_or(request.copies);
        let reason = format!("mirror: {copies} of {} failure domains", self.domain_count);
        Placement::new(order, request)
            .with_copies(copies)
            .because(reason)
    }
}

impl ReplicationPolicy for Mirror {
    fn replicate(&self, object: &Object, backends: &[BackendState]) -> Replication {
        // What is there and good stays first in line, so nothing moves that need not.
        let mut ranked: Vec<_> = object.good_copies().collect();
        let known = ranked.len();
        let open = self.open(backends, object.size_bytes, object.entropy);
        let fresh = open.iter().filter(|index| !ranked[..known].contains(index));
        let fresh: Vec<_> = fresh.copied().collect();
        ranked.extend(fresh);
        let mut wanted = self.interleave(&ranked);
        wanted.truncate(self.copies.unwrap_or(object.copies_wanted).max(1) as usize);
        Replication::towards(&wanted, object).because("mirror: one copy in each failure domain")
    }
}

weir_plugin_sdk::export_policy!(Mirror: placement, replication);

#[cfg(test)]
mod tests;

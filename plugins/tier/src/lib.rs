//! `tier`: objects lie where their size, age and storage class say. Settings
//! list the tiers, and an object belongs to the first whose conditions it
//! meets. Placement puts new objects on their tier; replication moves them when
//! age carries them into another.

#![cfg_attr(not(target_arch = "wasm32"), forbid(unsafe_code))]

mod rules;

use weir_plugin_sdk::settings::Settings;
use weir_plugin_sdk::{
    BackendState, ConfigError, Description, Facts, Object, Placement, PlacementPolicy, Policy,
    Replication, ReplicationPolicy, Request,
};

use rules::{Subject, Tier};

const SCHEMA: &str = r#"{
  "type": "object",
  "additionalProperties": false,
  "required": ["tiers"],
  "properties": {
    "tiers": {
      "description": "An object belongs to the first tier whose conditions it meets, or to the last.",
      "type": "array", "minItems": 1,
      "items": {
        "type": "object",
        "additionalProperties": false,
        "required": ["name", "backends"],
        "properties": {
          "name": {"type": "string"},
          "backends": {
            "description": "Backend ids, the first to be used first.",
            "type": "array", "items": {"type": "string"}, "minItems": 1, "uniqueItems": true
          },
          "classes": {
            "description": "Storage classes; STANDARD is also what names none.",
            "type": "array", "items": {"type": "string"}
          },
          "size_bytes_min": {"type": "integer", "minimum": 0},
          "size_bytes_max": {"type": "integer", "minimum": 0},
          "age_days_min": {"type": "integer", "minimum": 0}
        }
      }
    }
  }
}"#;

/// The policy with its settings.
#[derive(Debug)]
pub struct Tiers {
    /// At least one.
    tiers: Vec<Tier>,
    backends: u32,
}

impl Policy for Tiers {
    fn describe() -> Description {
        let summary = "Size, age and storage class say where objects lie";
        Description::new("tier", env!("CARGO_PKG_VERSION"), summary).with_schema(SCHEMA)
    }

    fn configure(settings: &str, facts: Facts) -> Result<Self, Vec<ConfigError>> {
        let mut settings = Settings::parse(settings);
        let tiers = rules::read(&mut settings, &facts);
        settings.finish()?;
        Ok(Self {
            tiers,
            backends: facts.indices().end,
        })
    }
}

impl Tiers {
    /// The first tier that takes the subject, else the last.
    fn tier_of(&self, subject: &Subject<'_>) -> Option<&Tier> {
        let fitting = self.tiers.iter().find(|tier| tier.takes(subject));
        fitting.or(self.tiers.last())
    }
}

impl PlacementPolicy for Tiers {
    fn place(&self, request: &Request, backends: &[BackendState]) -> Placement {
        let size = request.size_bytes.unwrap_or(0);
        let tier = self.tier_of(&Subject {
            size_bytes: request.size_bytes,
            age_ms: 0,
            class: request.storage_class.as_deref(),
        });
        let (name, own) = tier.map_or(("", &[][..]), |tier| (&tier.name, &tier.backends));
        let others = (0..self.backends).filter(|index| !own.contains(index));
        let order = own.iter().copied().chain(others);
        let no_room = |index: &u32| match backends.get(*index as usize) {
            Some(state) => !state.usable() || state.filled_permille(size) >= 1000,
            None => true,
        };
        // Two passes keep the order within each half.
        let (full, open): (Vec<_>, Vec<_>) = order.partition(no_room);
        Placement::new(open.into_iter().chain(full), request).because(format!("tier: {name}"))
    }
}

impl ReplicationPolicy for Tiers {
    fn replicate(&self, object: &Object, backends: &[BackendState]) -> Replication {
        let tier = self.tier_of(&Subject {
            size_bytes: Some(object.size_bytes),
            age_ms: object.age_ms(),
            class: object.storage_class.as_deref(),
        });
        let Some(tier) = tier else {
            return Replication::default();
        };
        // A copy that is there needs no room; a new one does.
        let takes = |index: u32| {
            let state = backends.get(index as usize);
            let room = state.is_some_and(|state| {
                state.usable() && state.filled_permille(object.size_bytes) < 1000
            });
            room || object.has_good_copy(index)
        };
        let wanted = object.copies_wanted.max(1) as usize;
        let own = tier.backends.iter().copied().filter(|index| takes(*index));
        let mut home: Vec<_> = own.take(wanted).collect();
        // What the tier has no room for stays where it lies.
        let held = object.good_copies().filter(|index| !home.contains(index));
        let stays: Vec<_> = held.take(wanted - home.len()).collect();
        home.extend(stays);
        Replication::towards(&home, object).because(format!("tier: {}", tier.name))
    }
}

weir_plugin_sdk::export_policy!(Tiers: placement, replication);

#[cfg(test)]
mod tests;

//! `pack`: fill the backends in order. The next one is used once the one
//! before it has reached its water mark.

#![cfg_attr(not(target_arch = "wasm32"), forbid(unsafe_code))]

use weir_plugin_sdk::settings::Settings;
use weir_plugin_sdk::{
    BackendState, ConfigError, Description, Facts, Placement, PlacementPolicy, Policy, Request,
};

const SCHEMA: &str = r#"{
  "type": "object",
  "additionalProperties": false,
  "properties": {
    "order": {
      "description": "Backend ids, first to fill first. Others follow in configured order.",
      "type": "array", "items": {"type": "string"}, "uniqueItems": true
    },
    "water_mark_percent": {
      "description": "How full a backend gets before the next one is used.",
      "type": "integer", "minimum": 1, "maximum": 100, "default": 95
    }
  }
}"#;

/// The policy with its settings.
#[derive(Debug)]
pub struct Pack {
    /// Backend indices, first to fill first.
    order: Vec<u32>,
    ids: Vec<String>,
    water_mark_permille: u64,
}

impl Policy for Pack {
    fn describe() -> Description {
        Description::new(
            "pack",
            env!("CARGO_PKG_VERSION"),
            "Fills the backends in order",
        )
        .with_schema(SCHEMA)
    }

    fn configure(settings: &str, facts: Facts) -> Result<Self, Vec<ConfigError>> {
        let mut settings = Settings::parse(settings);
        let water_mark_percent = settings.integer("water_mark_percent", 1..=100, 95);
        let mut order = settings.backends("order", &facts);
        settings.finish()?;
        for index in facts.indices() {
            if !order.contains(&index) {
                order.push(index);
            }
        }
        Ok(Self {
            order,
            ids: facts.backends.into_iter().map(|b| b.id).collect(),
            water_mark_permille: water_mark_percent * 10,
        })
    }
}

impl PlacementPolicy for Pack {
    fn place(&self, request: &Request, backends: &[BackendState]) -> Placement {
        let size = request.size_bytes.unwrap_or(0);
        let mut open = Vec::with_capacity(self.order.len());
        let mut past_mark = Vec::new();
        let mut unusable = Vec::new();
        for index in &self.order {
            let Some(state) = backends.get(*index as usize) else {
                continue;
            };
            if !state.usable() {
                unusable.push(*index);
            } else if state.filled_permille(size) > self.water_mark_permille {
                past_mark.push(*index);
            } else {
                open.push(*index);
            }
        }
        let next = open.first().and_then(|index| self.ids.get(*index as usize));
        let reason = match next {
            Some(id) => format!("pack: {id} is next to fill"),
            None => "pack: all are past their water mark or unusable".to_owned(),
        };
        Placement::new(open.into_iter().chain(past_mark).chain(unusable), request).because(reason)
    }
}

weir_plugin_sdk::export_policy!(Pack: placement);

#[cfg(test)]
mod tests;

//! `pack`: fill the backends in order. The next one is used once the one
//! before it has reached its water mark.

#![cfg_attr(not(target_arch = "wasm32"), forbid(unsafe_code))]

use weir_plugin_sdk::settings::Settings;
use weir_plugin_sdk::{
    BackendState, ConfigError, Decision, Description, Facts, PlacementPolicy, Request,
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
    /// Backend index and id, first to fill first.
    order: Vec<(u32, String)>,
    water_mark_permille: u64,
}

impl PlacementPolicy for Pack {
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
        let mut order = Vec::with_capacity(facts.backends.len());
        for (at, id) in settings.strings("order").into_iter().enumerate() {
            match facts.index_of(&id) {
                None => settings.mistake(&format!("order/{at}"), format!("no backend `{id}`")),
                Some(index) if order.iter().any(|(seen, _)| *seen == index) => {
                    settings.mistake(&format!("order/{at}"), format!("`{id}` is named twice"));
                }
                Some(index) => order.push((index, id)),
            }
        }
        settings.finish()?;
        for (index, backend) in (0..).zip(facts.backends) {
            if !order.iter().any(|(seen, _)| *seen == index) {
                order.push((index, backend.id));
            }
        }
        Ok(Self {
            order,
            water_mark_permille: water_mark_percent * 10,
        })
    }

    fn place(&self, request: &Request, backends: &[BackendState]) -> Decision {
        let size = request.size_bytes.unwrap_or(0);
        let mut open = Vec::with_capacity(self.order.len());
        let mut past_mark = Vec::new();
        let mut unusable = Vec::new();
        for (index, _) in &self.order {
            let Some(state) = backends.get(*index as usize) else {
                continue;
            };
            let filled = |limit| state.fill_permille(size, limit) > self.water_mark_permille;
            if !state.usable() {
                unusable.push(*index);
            } else if state.limit_bytes.is_some_and(filled) {
                past_mark.push(*index);
            } else {
                open.push(*index);
            }
        }
        let reason = match open.first() {
            Some(first) => {
                let id = self.order.iter().find(|(index, _)| index == first);
                format!(
                    "pack: {} is next to fill",
                    id.map_or("", |(_, id)| id.as_str())
                )
            }
            None => "pack: all are past their water mark or unusable".to_owned(),
        };
        Decision::new(open.into_iter().chain(past_mark).chain(unusable), request).because(reason)
    }
}

weir_plugin_sdk::placement_policy!(Pack);

#[cfg(test)]
mod tests;

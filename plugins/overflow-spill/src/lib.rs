//! `overflow-spill`: when the preferred backends are full, objects spill to
//! others in a fixed order. A backend takes spilled objects up to its low water
//! mark, so that its own objects keep their room; when all have reached that,
//! up to the high one; then writes are refused.

#![cfg_attr(not(target_arch = "wasm32"), forbid(unsafe_code))]

use weir_plugin_sdk::settings::Settings;
use weir_plugin_sdk::{
    BackendState, ConfigError, Description, Excluded, Facts, Obstacle, Overflow, OverflowPolicy,
    Policy, Request,
};

const SCHEMA: &str = r#"{
  "type": "object",
  "additionalProperties": false,
  "properties": {
    "order": {
      "description": "Backend ids, the first to spill to first. Others are not spilled to; without a list, all are, in configured order.",
      "type": "array", "items": {"type": "string"}, "uniqueItems": true
    },
    "low_water_percent": {
      "description": "How full spilling makes a backend while others are below this.",
      "type": "integer", "minimum": 1, "maximum": 100, "default": 80
    },
    "high_water_percent": {
      "description": "How full spilling makes a backend at all.",
      "type": "integer", "minimum": 1, "maximum": 100, "default": 95
    }
  }
}"#;

/// The policy with its settings.
#[derive(Debug)]
pub struct OverflowSpill {
    /// Indices of backends, the first to spill to first.
    order: Vec<u32>,
    low_water_permille: u64,
    high_water_permille: u64,
}

impl Policy for OverflowSpill {
    fn describe() -> Description {
        let summary = "Spills in order, between a low and a high water mark";
        Description::new("overflow-spill", env!("CARGO_PKG_VERSION"), summary).with_schema(SCHEMA)
    }

    fn configure(settings: &str, facts: Facts) -> Result<Self, Vec<ConfigError>> {
        let mut settings = Settings::parse(settings);
        let mut order = settings.backends("order", &facts);
        let low = settings.integer("low_water_percent", 1..=100, 80);
        let high = settings.integer("high_water_percent", 1..=100, 95);
        if low > high {
            let message = format!("is above high_water_percent, {high}");
            settings.mistake("low_water_percent", message);
        }
        settings.finish()?;
        if order.is_empty() {
            order = facts.indices().collect();
        }
        Ok(Self {
            order,
            low_water_permille: low * 10,
            high_water_permille: high * 10,
        })
    }
}

impl OverflowPolicy for OverflowSpill {
    fn overflow(
        &self,
        request: &Request,
        excluded: &[Excluded],
        backends: &[BackendState],
    ) -> Overflow {
        let size = request.size_bytes.unwrap_or(0);
        let mut roomy = Vec::with_capacity(self.order.len());
        let mut tight = Vec::new();
        for index in &self.order {
            let Some(state) = backends.get(*index as usize) else {
                continue;
            };
            if !state.usable() || excluded.iter().any(|e| e.backend == *index) {
                continue;
            }
            let fill = state.filled_permille(size);
            if fill <= self.low_water_permille {
                roomy.push(*index);
            } else if fill <= self.high_water_permille {
                tight.push(*index);
            }
        }
        if roomy.is_empty() && tight.is_empty() {
            return Overflow::refuse().because("no backend has room for spilled objects");
        }
        let reason = format!("overflow-spill: {}", obstacle(excluded));
        Overflow::spill(roomy.into_iter().chain(tight)).because(reason)
    }
}

/// What stood in the way of the backend that was wanted most.
fn obstacle(excluded: &[Excluded]) -> &'static str {
    match excluded.first().map(|excluded| excluded.obstacle) {
        Some(Obstacle::Bytes) => "the preferred backend is full",
        Some(Obstacle::Objects) => "the preferred backend holds as many objects as it may",
        Some(Obstacle::MonthWrites) => "the preferred backend has had its writes of the month",
        Some(Obstacle::MonthIngress) => "the preferred backend has had its bytes of the month",
        None => "the preferred backends take nothing",
    }
}

weir_plugin_sdk::export_policy!(OverflowSpill: overflow);

#[cfg(test)]
mod tests;

//! `PLUGIN_NAME`: a policy for Weir. Preferred backends come first, in the
//! order of the settings, and whatever takes no writes comes last.

use weir_plugin_sdk::settings::Settings;
use weir_plugin_sdk::*;

const SCHEMA: &str = r#"{
  "type": "object",
  "additionalProperties": false,
  "properties": {
    "prefer": {
      "description": "Backend ids, the best first. Others follow in configured order.",
      "type": "array", "items": {"type": "string"}, "uniqueItems": true
    }
  }
}"#;

/// The policy with its settings. Decisions see it and cannot change it.
#[derive(Debug)]
pub struct PluginType {
    /// Indices of all backends, the best first.
    order: Vec<u32>,
}

impl Policy for PluginType {
    fn describe() -> Description {
        let summary = "Preferred backends first";
        Description::new("PLUGIN_NAME", env!("CARGO_PKG_VERSION"), summary).with_schema(SCHEMA)
    }

    fn configure(settings: &str, facts: Facts) -> Result<Self, Vec<ConfigError>> {
        let mut settings = Settings::parse(settings);
        let mut order = settings.backends("prefer", &facts);
        settings.finish()?;
        for index in facts.indices() {
            if !order.contains(&index) {
                order.push(index);
            }
        }
        Ok(Self { order })
    }
}

//! What a policy says, made safe to print.

use serde::{Deserialize, Serialize};

use crate::api::Decisions;
use crate::error::ConfigError;
use crate::text::printable;
use crate::wire::Described;

/// Longest name or version of a policy.
const NAME_BYTES_MAX: usize = 64;
/// Longest text of a description or of a mistake in settings.
const TEXT_BYTES_MAX: usize = 512;
/// Longest settings schema that is kept.
const SCHEMA_BYTES_MAX: usize = 16 << 10;
/// Most mistakes in settings that are passed on.
const MISTAKES_MAX: usize = 64;

/// Who a policy says it is. Its texts hold no control characters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
    /// One sentence.
    pub summary: String,
    /// The version of the WIT package that it was built against.
    pub api_version: String,
    /// What it decides: what it exports.
    pub decides: Decisions,
    /// Whether it wants to see user metadata.
    pub needs_user_metadata: bool,
    /// A JSON Schema for the settings, on one line; empty when there are none, and when it is
    /// too long or no JSON.
    pub settings_schema: String,
}

impl Description {
    pub(crate) fn of(described: Described, api_version: &str) -> Self {
        Self {
            name: printable(&described.name, NAME_BYTES_MAX),
            version: printable(&described.version, NAME_BYTES_MAX),
            summary: printable(&described.summary, TEXT_BYTES_MAX),
            api_version: api_version.to_owned(),
            decides: described.decides,
            needs_user_metadata: described.needs.user_metadata,
            settings_schema: schema(&described.settings_schema),
        }
    }
}

/// JSON as one line, in which no character can do harm; nothing if it is too long or no JSON.
fn schema(text: &str) -> String {
    let parsed: Result<serde_json::Value, _> = serde_json::from_str(text);
    let line = parsed.map(|schema| schema.to_string()).unwrap_or_default();
    if line.len() > SCHEMA_BYTES_MAX {
        return String::new();
    }
    line
}

/// At most so many of the mistakes as are worth reading.
pub(crate) fn mistakes(errors: Vec<ConfigError>) -> Vec<ConfigError> {
    errors.into_iter().take(MISTAKES_MAX).map(tidy).collect()
}

fn tidy(error: ConfigError) -> ConfigError {
    ConfigError {
        path: printable(&error.path, TEXT_BYTES_MAX),
        message: printable(&error.message, TEXT_BYTES_MAX),
    }
}

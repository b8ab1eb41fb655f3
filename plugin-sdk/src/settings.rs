//! Reads a policy's settings and finds all mistakes in one pass.
//!
//! ```
//! use weir_plugin_sdk::settings::Settings;
//!
//! let mut settings = Settings::parse(r#"{"water_mark_percent": 200, "colour": "red"}"#);
//! let mark = settings.integer("water_mark_percent", 1..=100, 90);
//! let mistakes = settings.finish().unwrap_err();
//! assert_eq!(mark, 90);
//! assert_eq!(mistakes[0].path, "/water_mark_percent");
//! assert_eq!(mistakes[1].path, "/colour");
//! ```

use std::ops::RangeInclusive;

use serde_json::{Map, Value};

use crate::ConfigError;

/// A settings document that is taken apart field by field.
#[derive(Debug)]
pub struct Settings {
    fields: Map<String, Value>,
    errors: Vec<ConfigError>,
}

impl Settings {
    /// Parses a JSON object. A document that is none is a mistake that
    /// [`Settings::finish`] returns; the fields then have their defaults.
    #[must_use]
    pub fn parse(json: &str) -> Self {
        let (fields, errors) = match serde_json::from_str(json) {
            Ok(Value::Object(fields)) => (fields, Vec::new()),
            Ok(_) => (
                Map::new(),
                vec![ConfigError::new("", "must be a JSON object")],
            ),
            Err(error) => (
                Map::new(),
                vec![ConfigError::new("", format!("not JSON: {error}"))],
            ),
        };
        Self { fields, errors }
    }

    /// An integer within `range`, or `default` when absent or wrong.
    pub fn integer(&mut self, name: &str, range: RangeInclusive<u64>, default: u64) -> u64 {
        match self.fields.remove(name) {
            None => default,
            Some(value) => match value.as_u64().filter(|number| range.contains(number)) {
                Some(number) => number,
                None => {
                    let message = format!(
                        "must be an integer from {} to {}, not {value}",
                        range.start(),
                        range.end()
                    );
                    self.mistake(name, message);
                    default
                }
            },
        }
    }

    /// A list of strings, empty when absent or wrong.
    pub fn strings(&mut self, name: &str) -> Vec<String> {
        let Some(value) = self.fields.remove(name) else {
            return Vec::new();
        };
        let strings = value.as_array().and_then(|items| {
            items
                .iter()
                .map(|item| item.as_str().map(str::to_owned))
                .collect::<Option<Vec<_>>>()
        });
        strings.unwrap_or_else(|| {
            self.mistake(name, format!("must be a list of strings, not {value}"));
            Vec::new()
        })
    }

    /// Notes a mistake of the policy's own finding. `path` is a field name,
    /// or several joined with `/`.
    pub fn mistake(&mut self, path: &str, message: impl Into<String>) {
        self.errors
            .push(ConfigError::new(format!("/{path}"), message));
    }

    /// All mistakes, fields that nobody asked for among them.
    pub fn finish(mut self) -> Result<(), Vec<ConfigError>> {
        for name in self.fields.keys() {
            self.errors
                .push(ConfigError::new(format!("/{name}"), "unknown setting"));
        }
        if self.errors.is_empty() {
            Ok(())
        } else {
            Err(self.errors)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str, integer: u64, strings: &[&str], mistakes: &[&str]) {
        let mut settings = Settings::parse(json);
        assert_eq!(settings.integer("n", 1..=10, 5), integer, "{json}");
        assert_eq!(settings.strings("list"), strings, "{json}");
        let found = settings.finish().err().unwrap_or_default();
        let paths: Vec<_> = found.iter().map(|error| error.path.as_str()).collect();
        assert_eq!(paths, mistakes, "{json}");
    }

    #[test]
    fn finds_every_mistake() {
        check("{}", 5, &[], &[]);
        check(r#"{"n": 7, "list": ["a"]}"#, 7, &["a"], &[]);
        check(r#"{"n": 11, "list": "a"}"#, 5, &[], &["/n", "/list"]);
        check(
            r#"{"n": -1, "list": [1], "x": 0}"#,
            5,
            &[],
            &["/n", "/list", "/x"],
        );
        check("[]", 5, &[], &[""]);
        check("{", 5, &[], &[""]);
    }
}

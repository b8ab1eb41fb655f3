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

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::{ConfigError, Facts};

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

    /// Anything that serde can read, `None` when absent or wrong.
    ///
    /// ```
    /// # use weir_plugin_sdk::settings::Settings;
    /// #[derive(serde::Deserialize)]
    /// #[serde(rename_all = "kebab-case")]
    /// enum Colour { Red, Green }
    ///
    /// let mut settings = Settings::parse(r#"{"colour": "green"}"#);
    /// assert!(matches!(settings.read("colour"), Some(Colour::Green)));
    /// ```
    pub fn read<T: DeserializeOwned>(&mut self, name: &str) -> Option<T> {
        let value = self.fields.remove(name)?;
        match serde_json::from_value(value) {
            Ok(value) => Some(value),
            Err(error) => {
                self.mistake(name, error.to_string());
                None
            }
        }
    }

    /// An integer within `range`, or `default` when absent or wrong.
    pub fn integer(&mut self, name: &str, range: RangeInclusive<u64>, default: u64) -> u64 {
        let Some(value) = self.fields.remove(name) else {
            return default;
        };
        self.number(name, &value, range).unwrap_or(default)
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

    /// A list of backend ids as indices, each at most once; empty when absent.
    pub fn backends(&mut self, name: &str, facts: &Facts) -> Vec<u32> {
        let ids = self.strings(name);
        self.indices(name, &ids, facts)
    }

    /// The indices of backends that were read some other way from `path`; who
    /// is unknown or named twice is left out and noted.
    pub fn indices(&mut self, path: &str, ids: &[String], facts: &Facts) -> Vec<u32> {
        let mut indices = Vec::new();
        for (at, id) in ids.iter().enumerate() {
            let path = format!("{path}/{at}");
            let Some(index) = self.backend(&path, id, facts) else {
                continue;
            };
            if indices.contains(&index) {
                self.mistake(&path, format!("`{id}` is named twice"));
            } else {
                indices.push(index);
            }
        }
        indices
    }

    /// An object from backend ids to integers within `range`: one value for
    /// each backend, `default` where none is given.
    pub fn per_backend(
        &mut self,
        name: &str,
        range: RangeInclusive<u64>,
        default: u64,
        facts: &Facts,
    ) -> Vec<u64> {
        let mut values = vec![default; facts.backends.len()];
        match self.fields.remove(name) {
            None => (),
            Some(Value::Object(fields)) => {
                for (id, value) in fields {
                    let path = format!("{name}/{id}");
                    let index = self.backend(&path, &id, facts);
                    let value = self.number(&path, &value, range.clone());
                    let slot = index.and_then(|index| values.get_mut(index as usize));
                    if let (Some(slot), Some(value)) = (slot, value) {
                        *slot = value;
                    }
                }
            }
            Some(value) => self.mistake(
                name,
                format!("must be an object from backend ids to integers, not {value}"),
            ),
        }
        values
    }

    /// The index of a backend, or a mistake that lists those there are.
    fn backend(&mut self, path: &str, id: &str, facts: &Facts) -> Option<u32> {
        let index = facts.index_of(id);
        if index.is_none() {
            let known: Vec<_> = facts.backends.iter().map(|b| b.id.as_str()).collect();
            let known = known.join(", ");
            self.mistake(path, format!("no backend `{id}`; there are: {known}"));
        }
        index
    }

    fn number(&mut self, path: &str, value: &Value, range: RangeInclusive<u64>) -> Option<u64> {
        let number = value.as_u64().filter(|number| range.contains(number));
        if number.is_none() {
            let (from, to) = range.into_inner();
            let message = format!("must be an integer from {from} to {to}, not {value}");
            self.mistake(path, message);
        }
        number
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
    use crate::testing;

    fn check(json: &str, integer: u64, strings: &[&str], mistakes: &[&str]) {
        let mut settings = Settings::parse(json);
        assert_eq!(settings.integer("n", 1..=10, 5), integer, "{json}");
        assert_eq!(settings.strings("list"), strings, "{json}");
        assert_eq!(paths(settings), mistakes, "{json}");
    }

    fn paths(settings: Settings) -> Vec<String> {
        let found = settings.finish().err().unwrap_or_default();
        found.into_iter().map(|error| error.path).collect()
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

    #[test]
    fn backends_are_known_and_named_once() {
        let facts = testing::facts(&["a", "b", "c"]);
        for (json, indices, values, mistakes) in [
            ("{}", &[][..], [1, 1, 1], &[][..]),
            (
                r#"{"l": ["c", "a"], "m": {"b": 9}}"#,
                &[2, 0],
                [1, 9, 1],
                &[],
            ),
            (
                r#"{"l": ["c", "x", "c"], "m": {"x": 1, "a": 10}}"#,
                &[2],
                [1, 1, 1],
                &["/l/1", "/l/2", "/m/a", "/m/x"],
            ),
            (r#"{"l": {}, "m": []}"#, &[], [1, 1, 1], &["/l", "/m"]),
        ] {
            let mut settings = Settings::parse(json);
            assert_eq!(settings.backends("l", &facts), indices, "{json}");
            let found = settings.per_backend("m", 0..=9, 1, &facts);
            assert_eq!(found, values, "{json}");
            assert_eq!(paths(settings), mistakes, "{json}");
        }
    }

    #[test]
    fn serde_reads_fields() {
        let mut settings = Settings::parse(r#"{"pair": [1, "x"], "wrong": [1]}"#);
        let pair: Option<(u8, String)> = settings.read("pair");
        assert_eq!(pair, Some((1, "x".to_owned())));
        assert_eq!(settings.read::<(u8, String)>("wrong"), None);
        assert_eq!(settings.read::<u8>("absent"), None);
        assert_eq!(paths(settings), ["/wrong"]);
    }
}

//! `--name number` pairs.

use std::collections::BTreeMap;

use crate::Result;

/// The arguments of a storm.
#[derive(Debug)]
pub(crate) struct Args(BTreeMap<String, u64>);

impl Args {
    /// Reads the words behind a storm's name.
    pub(crate) fn parse(words: &[String]) -> Result<Self> {
        let mut values = BTreeMap::new();
        for pair in words.chunks(2) {
            let [name, value] = pair else {
                return Err(format!("{} needs a number", pair[0]));
            };
            let name = name
                .strip_prefix("--")
                .ok_or(format!("{name} is no option"))?;
            let value = value.parse().map_err(|_| format!("{value} is no number"))?;
            values.insert(name.to_owned(), value);
        }
        Ok(Self(values))
    }

    /// The value of `name`.
    pub(crate) fn get(&self, name: &str, default: u64) -> u64 {
        self.0.get(name).copied().unwrap_or(default)
    }

    /// The value of `name` where it counts things in memory.
    pub(crate) fn count(&self, name: &str, default: usize) -> usize {
        self.0.get(name).map_or(default, |value| {
            usize::try_from(*value).unwrap_or(usize::MAX)
        })
    }
}

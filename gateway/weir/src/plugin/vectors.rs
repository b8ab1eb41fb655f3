//! Test vectors: questions with the answers that are expected, in JSON.
//!
//! ```json
//! {
//!   "settings": {},
//!   "facts": { "backends": [{ "id": "a" }, { "id": "b" }] },
//!   "cases": [{
//!     "name": "the second one is full",
//!     "input": { "placement": { "request": { "key": "k" }, "backends": [{}, {}] } },
//!     "expect": { "candidates": [0, 1] }
//!   }]
//! }
//! ```
//!
//! What is left out of an input has its default; an expected answer may be given in part.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value};
use weir_policy::{Answer, OwnedInput, StaticFacts};

use crate::error::Failure;

/// A file of test vectors.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default = "no_settings")]
    settings: Value,
    facts: StaticFacts,
    cases: Vec<Case>,
}

/// A question with its answer.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Case {
    pub(super) name: String,
    pub(super) input: OwnedInput,
    pub(super) expect: Value,
}

/// Cases that share settings and facts, so that one instance can answer them all.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub(super) settings: String,
    pub(super) facts: StaticFacts,
    /// Each with the file that it stands in.
    pub(super) cases: Vec<(PathBuf, Case)>,
}

fn no_settings() -> Value {
    Value::Object(Map::new())
}

/// The vectors of a folder, by file name; none when there is no such folder.
pub(super) fn read(folder: &Path) -> Result<Vec<Group>, Failure> {
    let failed =
        |path: &Path, e: &dyn std::fmt::Display| Failure::new(format!("{}: {e}", path.display()));
    let mut groups: Vec<Group> = Vec::new();
    let mut files = Vec::new();
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(groups),
        Err(error) => return Err(failed(folder, &error)),
    };
    for entry in entries {
        let path = entry.map_err(|e| failed(folder, &e))?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "json")
        {
            files.push(path);
        }
    }
    files.sort();
    for path in files {
        let text = std::fs::read_to_string(&path).map_err(|e| failed(&path, &e))?;
        let file: File = serde_json::from_str(&text).map_err(|e| failed(&path, &e))?;
        let settings = file.settings.to_string();
        let cases = file.cases.into_iter().map(|case| (path.clone(), case));
        let same = |group: &&mut Group| group.settings == settings && group.facts == file.facts;
        match groups.iter_mut().find(same) {
            Some(group) => group.cases.extend(cases),
            None => groups.push(Group {
                cases: cases.collect(),
                settings,
                facts: file.facts,
            }),
        }
    }
    Ok(groups)
}

/// An answer as vectors write it: without the name of the decision.
pub(super) fn plain(answer: &Answer) -> Value {
    match serde_json::to_value(answer) {
        Ok(Value::Object(named)) => named.into_iter().next().map_or(Value::Null, |(_, v)| v),
        _ => Value::Null,
    }
}

/// Whether `found` is what `expected` says: fields that it leaves out may be anything.
pub(super) fn matches(expected: &Value, found: &Value) -> bool {
    match (expected, found) {
        (Value::Object(expected), Value::Object(found)) => expected
            .iter()
            .all(|(name, value)| found.get(name).is_some_and(|found| matches(value, found))),
        (Value::Array(expected), Value::Array(found)) => {
            expected.len() == found.len() && expected.iter().zip(found).all(|(e, f)| matches(e, f))
        }
        _ => expected == found,
    }
}

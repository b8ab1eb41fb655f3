//! Mistakes in the configuration: where, what, and what would be right.

use std::fmt;
use std::path::{Path, PathBuf};

use toml_edit::{ImDocument, Item, TableLike, Value};

/// A step on the way to a value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// A key of a table.
    Key(String),
    /// An entry of a list.
    Entry(usize),
}

/// The way to a value, from the root.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Way(pub Vec<Step>);

impl Way {
    /// From keys: `at(["backends", "disk-a", "path"])`.
    pub fn at<'a>(keys: impl IntoIterator<Item = &'a str>) -> Self {
        Self(
            keys.into_iter()
                .map(|key| Step::Key(key.to_owned()))
                .collect(),
        )
    }

    /// One key further.
    #[must_use]
    pub fn key(&self, key: &str) -> Self {
        self.then(Step::Key(key.to_owned()))
    }

    /// One entry further.
    #[must_use]
    pub fn entry(&self, entry: usize) -> Self {
        self.then(Step::Entry(entry))
    }

    fn then(&self, step: Step) -> Self {
        let mut steps = self.0.clone();
        steps.push(step);
        Self(steps)
    }

    /// Whether `self` is `other` or lies within it.
    pub fn is_within(&self, other: &Self) -> bool {
        self.0.starts_with(&other.0)
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(key) if i == 0 => write!(f, "{key}")?,
                Step::Key(key) => write!(f, ".{key}")?,
                Step::Entry(entry) => write!(f, "[{entry}]")?,
            }
        }
        Ok(())
    }
}

/// Whether a mistake keeps the gateway from starting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// It does.
    Error,
    /// It does not.
    Warning,
}

/// A mistake, before it is known where in a file it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Which value.
    pub way: Way,
    /// What is wrong.
    pub what: String,
    /// What would be right.
    pub right: String,
    /// Whether it stops the gateway.
    pub weight: Weight,
}

impl Mistake {
    /// An error.
    pub fn error(way: Way, what: impl Into<String>, right: impl Into<String>) -> Self {
        Self {
            way,
            what: what.into(),
            right: right.into(),
            weight: Weight::Error,
        }
    }

    /// A warning.
    pub fn warning(way: Way, what: impl Into<String>, right: impl Into<String>) -> Self {
        Self {
            weight: Weight::Warning,
            ..Self::error(way, what, right)
        }
    }
}

/// Where a value was given.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// In a file; line and column count from 1.
    File(PathBuf, usize, usize),
    /// In the environment.
    Environment(String),
    /// Nowhere: the built-in default.
    Default,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file, line, column) => write!(f, "{}:{line}:{column}", file.display()),
            Self::Environment(variable) => write!(f, "environment {variable}"),
            Self::Default => f.write_str("defaults"),
        }
    }
}

/// A mistake with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Where.
    pub place: Place,
    /// What.
    pub mistake: Mistake,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Mistake {
            way,
            what,
            right,
            weight,
        } = &self.mistake;
        let word = match weight {
            Weight::Error => "error",
            Weight::Warning => "warning",
        };
        write!(f, "{}: {word}: ", self.place)?;
        if !way.0.is_empty() {
            write!(f, "{way}: ")?;
        }
        write!(f, "{what}")?;
        if right.is_empty() {
            Ok(())
        } else {
            write!(f, "; {right}")
        }
    }
}

/// Finds the place of a value in the text of a file.
pub struct Locator<'a> {
    /// The file's name, as it is shown.
    pub file: &'a Path,
    /// Its text.
    pub text: &'a str,
    /// The same, parsed.
    pub document: Option<&'a ImDocument<String>>,
}

impl Locator<'_> {
    /// Line and column of the value, or of the nearest table around it.
    pub fn place(&self, way: &Way) -> Place {
        let offset = self
            .document
            .and_then(|d| offset_of(d.as_item(), &way.0))
            .unwrap_or(0);
        self.place_of_offset(offset)
    }

    /// Line and column of a byte.
    pub fn place_of_offset(&self, offset: usize) -> Place {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
        Place::File(self.file.to_owned(), line, column)
    }
}

/// Where the key (of a table's entry) or the value (of a list's entry) at the end of `steps`
/// begins; the deepest that exists.
fn offset_of(item: &Item, steps: &[Step]) -> Option<usize> {
    let start = |span: Option<std::ops::Range<usize>>| span.map(|span| span.start);
    let (step, rest) = steps.split_first()?;
    match step {
        Step::Key(key) => {
            let table = item.as_table_like()?;
            let below = table.get(key).and_then(|inner| offset_of(inner, rest));
            below.or_else(|| key_offset(table, key))
        }
        Step::Entry(entry) => match item {
            Item::ArrayOfTables(tables) => {
                let table = tables.get(*entry)?;
                let below = rest.split_first().and_then(|(step, rest)| match step {
                    Step::Key(key) => {
                        let below = table.get(key).and_then(|inner| offset_of(inner, rest));
                        below.or_else(|| key_offset(table, key))
                    }
                    Step::Entry(_) => None,
                });
                below.or_else(|| start(table.span()))
            }
            Item::Value(Value::Array(array)) => {
                let value = array.get(*entry)?;
                // An inline table within a list is looked through as a table.
                let below = Item::Value(value.clone());
                offset_of(&below, rest).or_else(|| start(value.span()))
            }
            _ => None,
        },
    }
}

fn key_offset(table: &dyn TableLike, key: &str) -> Option<usize> {
    let own = table
        .key(key)
        .and_then(toml_edit::Key::span)
        .map(|span| span.start);
    // A table that has only sub-tables has no key of its own: the first below it counts.
    own.or_else(|| {
        let span = table.get(key).and_then(Item::span);
        span.map(|span| span.start)
    })
}

//! The walk of merged values along the schema: notes everything that does not fit.

use figment::Figment;
use figment::value::{Dict, Num, Tag, Value};

use super::load::Environment;
use super::mistake::{Mistake, Way};
use super::model::Config;
use super::schema::{Field, Kind, Table};
use super::similar::did_you_mean;

/// The walk of merged values along the schema.
pub(super) struct Walk<'a> {
    /// The layers, to tell where a value is from.
    pub(super) figment: &'a Figment,
    /// What was noted.
    pub(super) mistakes: Vec<Mistake>,
}

impl Walk<'_> {
    /// The configuration that is left without its mistakes; `start` where nothing is given.
    pub(super) fn config(&mut self, dict: Dict, start: Config) -> Config {
        let clean = self.table(Config::TABLE, dict, &Way::default());
        let read = Value::from(clean.clone()).deserialize::<Config>();
        let mut config = match read {
            Ok(config) => config,
            Err(error) => {
                let way = Way::at(error.path.iter().map(String::as_str));
                self.mistakes
                    .push(Mistake::error(way, error.kind.to_string(), ""));
                return start;
            }
        };
        if !clean.contains_key("backends") {
            config.backends = start.backends;
        }
        if !clean.contains_key("data_dir") {
            config.data_dir = start.data_dir;
        }
        config
    }

    fn table(&mut self, table: &Table, dict: Dict, way: &Way) -> Dict {
        let mut clean = Dict::new();
        for (name, value) in dict {
            let way = way.key(&name);
            let Some(field) = table.fields.iter().find(|field| field.name == name) else {
                self.unknown(table, &name, way);
                continue;
            };
            if let Some(value) = self.value(&field.kind, value, &way) {
                clean.insert(name, value);
            }
        }
        clean
    }

    fn unknown(&mut self, table: &Table, name: &str, way: Way) {
        let names: Vec<_> = table
            .fields
            .iter()
            .map(|field: &Field| field.name)
            .collect();
        let right = match did_you_mean(name, &names) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known here: {}", names.join(", ")),
        };
        self.mistakes
            .push(Mistake::error(way, "unknown field", right));
    }

    /// The value if the kind fits, a note if not.
    fn value(&mut self, kind: &Kind, value: Value, way: &Way) -> Option<Value> {
        let tag = value.tag();
        match (kind, value) {
            (Kind::Text, value @ Value::String(..))
            | (Kind::Flag, value @ Value::Bool(..))
            | (Kind::Open, value @ Value::Dict(..)) => Some(value),
            (Kind::Labels, Value::Dict(_, dict)) => {
                let each = dict.into_iter().filter_map(|(name, value)| {
                    let value = self.value(&Kind::Text, value, &way.key(&name))?;
                    Some((name, value))
                });
                Some(Value::Dict(tag, each.collect()))
            }
            (Kind::Table(table), Value::Dict(_, dict)) => {
                Some(Value::Dict(tag, self.table(table, dict, way)))
            }
            (Kind::Map(table, accepts), Value::Dict(_, dict)) => {
                Some(Value::Dict(tag, self.map(table, *accepts, dict, way)))
            }
            (Kind::Tables(table), Value::Array(_, entries)) => {
                self.entries(&Kind::Table(table), tag, entries, way)
            }
            (Kind::List(of), Value::Array(_, entries)) => self.entries(of, tag, entries, way),
            (Kind::Integer(min, max), Value::Num(_, number)) => {
                let allowed = u128::from(*min)..=u128::from(*max);
                if whole(number).is_some_and(|number| allowed.contains(&number)) {
                    return Some(Value::Num(tag, number));
                }
                self.wrong(
                    way,
                    format!("{} is out of range", number_text(number)),
                    kind,
                )
            }
            (Kind::Checked(accepts), Value::String(_, text)) => match accepts(&text) {
                Ok(()) => Some(Value::String(tag, text)),
                Err(right) => {
                    let what = format!("{text:?} is not valid");
                    let right = format!("it must be {right}");
                    self.mistakes.push(Mistake::error(way.clone(), what, right));
                    None
                }
            },
            (Kind::Choice(words), Value::String(_, text)) => {
                if words.contains(&text.as_str()) {
                    return Some(Value::String(tag, text));
                }
                let near = did_you_mean(&text, words);
                let near = near.map(|near| format!(" (did you mean {near:?}?)"));
                let what = format!("{text:?} is not known here{}", near.unwrap_or_default());
                self.wrong(way, what, kind)
            }
            (kind, value) => match self
                .is_variable(tag)
                .then(|| retyped(kind, &value))
                .flatten()
            {
                Some(value) => self.value(kind, value, way),
                None => self.wrong(way, format!("{} is the wrong type", kind_of(&value)), kind),
            },
        }
    }

    fn entries(&mut self, of: &Kind, tag: Tag, entries: Vec<Value>, way: &Way) -> Option<Value> {
        let each = entries.into_iter().enumerate();
        let each = each.filter_map(|(i, entry)| self.value(of, entry, &way.entry(i)));
        Some(Value::Array(tag, each.collect()))
    }

    fn map(
        &mut self,
        table: &Table,
        accepts: fn(&str) -> Result<(), String>,
        dict: Dict,
        way: &Way,
    ) -> Dict {
        let mut clean = Dict::new();
        for (name, value) in dict {
            let way = way.key(&name);
            if let Err(right) = accepts(&name) {
                let what = format!("{name:?} is not a valid name");
                self.mistakes.push(Mistake::error(way.clone(), what, right));
            }
            match value {
                Value::Dict(tag, dict) => {
                    clean.insert(name, Value::Dict(tag, self.table(table, dict, &way)));
                }
                other => {
                    let what = format!("{} is the wrong type", kind_of(&other));
                    // A name without a table is left out.
                    let _none = self.wrong(&way, what, &Kind::Open);
                }
            }
        }
        clean
    }

    /// Notes a value that does not fit; there is none then.
    fn wrong(&mut self, way: &Way, what: String, kind: &Kind) -> Option<Value> {
        let right = format!("it must be {}", kind.in_words());
        self.mistakes.push(Mistake::error(way.clone(), what, right));
        None
    }

    fn is_variable(&self, tag: Tag) -> bool {
        self.figment
            .get_metadata(tag)
            .is_some_and(|m| m.name == Environment::NAME)
    }
}

/// A value of the environment as the kind wants it. The environment has no types: a text may
/// look like a number, and a list be words between commas.
fn retyped(kind: &Kind, value: &Value) -> Option<Value> {
    let tag = value.tag();
    match (kind, value) {
        (Kind::Text | Kind::Checked(_) | Kind::Choice(_), Value::Num(_, number)) => {
            Some(Value::String(tag, number_text(*number)))
        }
        (Kind::Text | Kind::Checked(_) | Kind::Choice(_), Value::Bool(_, flag)) => {
            Some(Value::String(tag, flag.to_string()))
        }
        (Kind::List(_), Value::String(_, text)) => {
            let words = text
                .split(',')
                .map(|word| Value::String(tag, word.trim().to_owned()));
            Some(Value::Array(tag, words.collect()))
        }
        _ => None,
    }
}

/// The number, when it is whole and not negative. figment keeps what TOML reads as signed.
fn whole(number: Num) -> Option<u128> {
    number
        .to_u128()
        .or_else(|| u128::try_from(number.to_i128()?).ok())
}

fn number_text(number: Num) -> String {
    match (number.to_u128(), number.to_i128(), number.to_f64()) {
        (Some(whole), ..) => whole.to_string(),
        (None, Some(signed), _) => signed.to_string(),
        (None, None, Some(fraction)) => fraction.to_string(),
        (None, None, None) => "this number".into(),
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::String(..) | Value::Char(..) => "a text",
        Value::Bool(..) => "true or false",
        Value::Num(..) => "a number",
        Value::Empty(..) => "nothing",
        Value::Dict(..) => "a table",
        Value::Array(..) => "a list",
    }
}

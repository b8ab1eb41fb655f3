//! What the configuration may hold, as data: the typed structs, their defaults, the check of
//! names and types, and the reference are made from the same lines and cannot drift apart.

/// One table of the configuration.
#[derive(Debug)]
pub struct Table {
    /// What the table is for.
    pub doc: &'static [&'static str],
    /// Its fields in the order of the reference.
    pub fields: &'static [Field],
}

/// One field of a table.
#[derive(Debug)]
pub struct Field {
    /// Its name in TOML.
    pub name: &'static str,
    /// What it does, one line each.
    pub doc: &'static [&'static str],
    /// What it may hold.
    pub kind: Kind,
    /// Its default as TOML; `None` when it has none.
    pub default: fn() -> Option<String>,
    /// A value to show in the reference where there is no default.
    pub example: &'static str,
}

/// What a field may hold.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// Any text.
    Text,
    /// Text that this function accepts; its error says what would be right.
    Checked(fn(&str) -> Result<(), String>),
    /// `true` or `false`.
    Flag,
    /// A whole number in this range.
    Integer(u64, u64),
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A list of such values.
    List(&'static Kind),
    /// Names with text values.
    Labels,
    /// Any table; its reader checks it.
    Open,
    /// A table.
    Table(&'static Table),
    /// Tables by name; the function accepts names.
    Map(&'static Table, fn(&str) -> Result<(), String>),
    /// A list of tables.
    Tables(&'static Table),
}

impl Kind {
    /// In words, for a message that says what would be right.
    pub fn in_words(&self) -> String {
        match self {
            Self::Text | Self::Checked(_) => "a text in quotes".into(),
            Self::Flag => "true or false".into(),
            Self::Integer(0, u64::MAX) => "a whole number".into(),
            Self::Integer(min, u64::MAX) => format!("a whole number of at least {min}"),
            Self::Integer(min, max) => format!("a whole number from {min} to {max}"),
            Self::Choice(words) => format!("one of {}", quoted(words)),
            Self::List(of) => format!("a list; each entry is {}", of.in_words()),
            Self::Labels => "a table of names and texts".into(),
            Self::Open | Self::Table(_) => "a table".into(),
            Self::Map(..) => "tables by name".into(),
            Self::Tables(_) => "a list of tables".into(),
        }
    }
}

/// `"a", "b"`.
pub(crate) fn quoted(words: &[&str]) -> String {
    let words: Vec<_> = words.iter().map(|word| format!("{word:?}")).collect();
    words.join(", ")
}

/// How a default is written in TOML.
pub(crate) trait Literal {
    /// The literal; `None` for no value.
    fn literal(&self) -> Option<String>;
}

impl Literal for bool {
    fn literal(&self) -> Option<String> {
        Some(self.to_string())
    }
}

macro_rules! number_literals {
    ($($number:ty)*) => {$(
        impl Literal for $number {
            /// Thousands apart, as TOML allows.
            fn literal(&self) -> Option<String> {
                let digits = self.to_string();
                let mut out = String::new();
                for (i, digit) in digits.chars().enumerate() {
                    if i > 0 && (digits.len() - i).is_multiple_of(3) {
                        out.push('_');
                    }
                    out.push(digit);
                }
                Some(out)
            }
        }
    )*};
}
number_literals!(u8 u16 u32 u64 usize);

impl Literal for String {
    fn literal(&self) -> Option<String> {
        (!self.is_empty()).then(|| format!("{self:?}"))
    }
}

impl Literal for std::path::PathBuf {
    fn literal(&self) -> Option<String> {
        Some(format!("{:?}", self.display().to_string()))
    }
}

impl<T: Literal> Literal for Option<T> {
    fn literal(&self) -> Option<String> {
        self.as_ref().and_then(Literal::literal)
    }
}

impl<T: Literal> Literal for Vec<T> {
    fn literal(&self) -> Option<String> {
        let entries: Vec<_> = self.iter().filter_map(Literal::literal).collect();
        (!entries.is_empty()).then(|| format!("[{}]", entries.join(", ")))
    }
}

/// Declares a table: a struct that serde reads, its defaults, and its [`Table`].
///
/// `field: Type = default, kind, "example";` — the example is shown in the reference where
/// the default is no value.
macro_rules! config_table {
    (
        $(#[doc = $doc:literal])+
        $name:ident {
            $(
                $(#[doc = $field_doc:literal])+
                $field:ident: $kind_of:ty = $default:expr, $kind:expr $(, $example:literal)?;
            )+
        }
    ) => {
        $(#[doc = $doc])+
        #[derive(Debug, Clone, PartialEq, serde::Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct $name {
            $($(#[doc = $field_doc])+ pub $field: $kind_of,)+
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default,)+ }
            }
        }

        impl $name {
            /// The table as data.
            pub const TABLE: &'static $crate::config::schema::Table =
                &$crate::config::schema::Table {
                    doc: &[$($doc),+],
                    fields: &[$($crate::config::schema::Field {
                        name: stringify!($field),
                        doc: &[$($field_doc),+],
                        kind: $kind,
                        default: || {
                            let value: $kind_of = $default;
                            $crate::config::schema::Literal::literal(&value)
                        },
                        example: concat!($($example)?),
                    }),+],
                };
        }
    };
}
pub(crate) use config_table;

/// Tables have no literal: they are shown field by field.
macro_rules! no_literal {
    ($($table:ty),+) => {$(
        impl $crate::config::schema::Literal for $table {
            fn literal(&self) -> Option<String> {
                None
            }
        }
    )+};
}
pub(crate) use no_literal;

impl<T> Literal for std::collections::BTreeMap<String, T> {
    fn literal(&self) -> Option<String> {
        None
    }
}

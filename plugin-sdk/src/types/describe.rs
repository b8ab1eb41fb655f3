//! How a policy introduces itself, and how it says what is wrong.

/// Who a policy is. What it decides stands in [`crate::export_policy!`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Description {
    /// Name, as in `pack`.
    pub name: String,
    /// Version, as in `1.2.0`.
    pub version: String,
    /// One sentence.
    pub summary: String,
    /// A JSON Schema for the settings; empty when there are none.
    pub settings_schema: String,
    /// Whether requests and objects come with their user metadata.
    pub needs_user_metadata: bool,
}

impl Description {
    /// A policy without settings.
    #[must_use]
    pub fn new(name: &str, version: &str, summary: &str) -> Self {
        Self {
            name: name.to_owned(),
            version: version.to_owned(),
            summary: summary.to_owned(),
            ..Self::default()
        }
    }

    /// The same with a JSON Schema for its settings.
    #[must_use]
    pub fn with_schema(mut self, schema: &str) -> Self {
        schema.clone_into(&mut self.settings_schema);
        self
    }

    /// The same for a policy that looks at user metadata, which otherwise is
    /// not passed, because it costs time.
    #[must_use]
    pub fn needing_user_metadata(mut self) -> Self {
        self.needs_user_metadata = true;
        self
    }
}

/// One mistake in the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// Where: a JSON Pointer into the settings, empty for the whole.
    pub path: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl ConfigError {
    /// A mistake at `path`.
    #[must_use]
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            message: message.into(),
        }
    }
}

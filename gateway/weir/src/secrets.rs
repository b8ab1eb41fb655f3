//! Secrets from files and the environment. Their values appear in no message.

use std::fmt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::config::Sources;

/// Longest secret that is read.
const SECRET_BYTES_MAX: u64 = 64 * 1024;

/// Secrets that stand in documentation and default installations everywhere.
const WELL_KNOWN: &[&str] = &[
    "minioadmin",
    "minio123",
    "rustfsadmin",
    "admin",
    "password",
    "secret",
    "changeme",
    "change-me",
    "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
];
/// Shortest secret that can be used beyond loopback.
const SECRET_CHARS_MIN: usize = 16;

/// Where a secret stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    /// In a file; white space around it does not count.
    File(PathBuf),
    /// In a variable of the environment.
    Variable(String),
}

impl Reference {
    /// What is given of `file` and `variable`; `Err` when both are.
    pub fn one_of(
        file: Option<&PathBuf>,
        variable: Option<&String>,
    ) -> Result<Option<Self>, GivenTwice> {
        match (file, variable) {
            (Some(_), Some(_)) => Err(GivenTwice),
            (Some(file), None) => Ok(Some(Self::File(file.clone()))),
            (None, Some(variable)) => Ok(Some(Self::Variable(variable.clone()))),
            (None, None) => Ok(None),
        }
    }

    /// Reads it.
    pub fn read(&self, sources: &Sources) -> Result<String, Unreadable> {
        let text = match self {
            Self::File(path) => read_file(path)?,
            Self::Variable(name) => {
                let value = sources.variable(name).map(str::to_owned);
                value.ok_or_else(|| Unreadable::NoVariable(name.clone()))?
            }
        };
        let secret = text.trim();
        if secret.is_empty() {
            return Err(Unreadable::Empty(self.to_string()));
        }
        Ok(secret.to_owned())
    }

    /// Whether everybody on the machine can read it.
    pub fn is_world_readable(&self) -> bool {
        match self {
            Self::File(path) => {
                std::fs::metadata(path).is_ok_and(|meta| meta.permissions().mode() & 0o004 != 0)
            }
            Self::Variable(_) => false,
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Variable(name) => write!(f, "the variable {name}"),
        }
    }
}

/// A secret is given as a file and as a variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a file and a variable are both given; one of the two")]
pub struct GivenTwice;

/// Why there is no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// The file cannot be read.
    #[error("{0} cannot be read: {1}")]
    File(String, String),
    /// The variable is not set.
    #[error("the variable {0} is not set")]
    NoVariable(String),
    /// There is nothing in it.
    #[error("{0} is empty")]
    Empty(String),
}

fn read_file(path: &Path) -> Result<String, Unreadable> {
    use std::io::Read;
    let failed =
        |error: std::io::Error| Unreadable::File(path.display().to_string(), error.to_string());
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(SECRET_BYTES_MAX)
        .read_to_string(&mut text)
        .map_err(failed)?;
    Ok(text)
}

/// Why a secret must not guard anything beyond loopback; `None` when it may.
pub fn weakness(secret: &str) -> Option<&'static str> {
    if WELL_KNOWN
        .iter()
        .any(|known| known.eq_ignore_ascii_case(secret))
    {
        Some("the secret is one that everybody knows")
    } else if secret.chars().count() < SECRET_CHARS_MIN {
        Some("the secret has fewer than 16 characters")
    } else {
        None
    }
}

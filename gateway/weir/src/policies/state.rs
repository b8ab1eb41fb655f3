//! What stands where: for each policy the revisions that decide, are tried and wait.
//!
//! One file, replaced whole with each step, so that a restart finds the revisions as they
//! were. A step is first in the audit trail and then here; a trail that is ahead of this file
//! names a step that was not carried out.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::audit::Named;
use super::store::Digest;
use crate::first_run::write_private;

/// The form of the file that this version writes.
const FORMAT: u32 = 1;
/// Revisions that wait, for each policy.
pub const WAITING_MAX: usize = 4;

/// Where a component came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A component that comes with Weir.
    Builtin(String),
    /// A file.
    File(PathBuf),
    /// A folder with an OCI image layout.
    Oci(PathBuf),
    /// Uploaded by an operator.
    Uploaded,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Builtin(name) => write!(f, "built in: {name}"),
            Self::File(file) => file.display().fmt(f),
            Self::Oci(layout) => write!(f, "OCI layout {}", layout.display()),
            Self::Uploaded => f.write_str("uploaded"),
        }
    }
}

/// A revision, with what is needed to load it again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Its id.
    pub revision: String,
    /// Its component, which the store has.
    pub component: Digest,
    /// Settings of its own; `None`: what the configuration says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<String>,
    /// Where the component came from.
    pub source: Source,
    /// Name and version that the component gives itself.
    pub describes: String,
}

impl Held {
    /// As the audit trail names it. `configured` are the settings of the configuration.
    pub fn named(&self, configured: &str) -> Named {
        let settings = self.settings.as_deref().unwrap_or(configured);
        Named {
            revision: self.revision.clone(),
            component: self.component.clone(),
            settings: Digest::of(settings.as_bytes()),
        }
    }
}

/// A revision that decides for a share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Staged {
    /// Which.
    #[serde(flatten)]
    pub held: Held,
    /// Of how many of a thousand.
    pub share_permille: u16,
}

/// What a policy goes by when its source changes, and at a start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Follows {
    /// The configuration.
    #[default]
    Configured,
    /// A source that an operator chose instead.
    Source(Source),
    /// Nothing: an operator chose a revision, and it stays.
    Revision,
}

/// One policy.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PolicyState {
    /// What it goes by.
    pub follows: Follows,
    /// The revision that decides.
    pub active: Option<Held>,
    /// The one before it.
    pub previous: Option<Held>,
    /// One that is tried beside it.
    pub shadow: Option<Staged>,
    /// One that decides for a share of the keys.
    pub canary: Option<Staged>,
    /// Others that were loaded, oldest first.
    pub waiting: Vec<Held>,
}

impl PolicyState {
    /// Lets `held` decide; what decided becomes the previous one.
    pub fn activate(&mut self, held: Held, follows: Follows) {
        self.follows = follows;
        self.waiting.retain(|other| other.revision != held.revision);
        for stage in [&mut self.shadow, &mut self.canary] {
            // What decides everything need not be tried.
            stage.take_if(|staged| staged.held.revision == held.revision);
        }
        let before = self.active.replace(held);
        if let (Some(before), Some(now)) = (before, &self.active) {
            // The same revision again has the same one before it. So has the same component with
            // the configuration's settings, when those were changed: the old ones are gone.
            let is_same = before.component == now.component && before.settings == now.settings;
            if before.revision != now.revision && !is_same {
                self.previous = Some(before);
            }
        }
        let active = self.active_revision().cloned();
        self.previous
            .take_if(|previous| Some(&previous.revision) == active.as_ref());
    }

    /// Lets `held` wait; the oldest that waits goes when there are too many.
    pub fn wait(&mut self, held: Held) {
        self.waiting.retain(|other| other.revision != held.revision);
        self.waiting.push(held);
        let gone = self.waiting.len().saturating_sub(WAITING_MAX);
        self.waiting.drain(..gone);
    }

    fn active_revision(&self) -> Option<&String> {
        self.active.as_ref().map(|held| &held.revision)
    }

    /// All revisions with the word for their place, the one that decides first.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, &Held)> {
        let one = |word, held| std::iter::once((word, held));
        one("active", self.active.as_ref())
            .chain(one(
                "canary",
                self.canary.as_ref().map(|staged| &staged.held),
            ))
            .chain(one(
                "shadow",
                self.shadow.as_ref().map(|staged| &staged.held),
            ))
            .chain(one("previous", self.previous.as_ref()))
            .chain(
                self.waiting
                    .iter()
                    .rev()
                    .map(|held| ("waiting", Some(held))),
            )
            .filter_map(|(word, held)| Some((word, held?)))
    }

    /// The revision that `text` means: `active`, `canary`, `shadow`, `previous`, `latest` (the
    /// one that was loaded last), or the first digits of an id.
    pub fn find(&self, text: &str) -> Result<&Held, String> {
        let word = if text == "latest" { "waiting" } else { text };
        if let Some((_, held)) = self.all().find(|(place, _)| *place == word) {
            return Ok(held);
        }
        let digits = text.len() >= 4 && text.bytes().all(|b| b.is_ascii_hexdigit());
        let mut found: Vec<&Held> = Vec::new();
        for (_, held) in self
            .all()
            .filter(|(_, held)| digits && held.revision.starts_with(text))
        {
            if !found.iter().any(|other| other.revision == held.revision) {
                found.push(held);
            }
        }
        match found.as_slice() {
            [only] => Ok(only),
            [] => {
                let known = self
                    .all()
                    .map(|(place, held)| format!("{} ({place})", short(&held.revision)));
                let known: Vec<_> = known.collect();
                Err(format!(
                    "there is no revision {text:?}; there are: {}",
                    known.join(", ")
                ))
            }
            several => Err(format!("{text:?} begins {} revisions", several.len())),
        }
    }
}

/// Enough of an id to tell revisions apart.
pub fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

/// All policies.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The form of the file.
    format: u32,
    /// Number of the last line of the audit trail that is carried out.
    pub audit_seq: u64,
    /// By name. Those that are not configured any more stay, in case they are again.
    pub policies: BTreeMap<String, PolicyState>,
}

/// Why the file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// A newer version wrote it.
    #[error("{0} was written by a newer version of Weir (format {1})")]
    Newer(PathBuf, u32),
    /// It is damaged.
    #[error("{0} is damaged: {1}")]
    Damaged(PathBuf, String),
    /// The disk.
    #[error("{0}: {1}")]
    Disk(PathBuf, io::Error),
}

impl State {
    /// Reads the file; the empty state when there is none.
    pub fn read(path: &Path) -> Result<Self, StateError> {
        #[derive(Deserialize)]
        struct Format {
            format: u32,
        }
        let damaged =
            |error: serde_json::Error| StateError::Damaged(path.to_owned(), error.to_string());
        let text = match fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(StateError::Disk(path.to_owned(), error)),
        };
        let Format { format } = serde_json::from_slice(&text).map_err(damaged)?;
        if format > FORMAT {
            return Err(StateError::Newer(path.to_owned(), format));
        }
        serde_json::from_slice(&text).map_err(damaged)
    }

    /// Replaces the file; durable when this returns. After an error it is the old one.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let state = Self {
            format: FORMAT,
            ..self.clone()
        };
        let mut text = serde_json::to_vec_pretty(&state)?;
        text.push(b'\n');
        write_private(path, &text)
    }

    /// Components that some revision is made of.
    pub fn used(&self) -> BTreeSet<Digest> {
        let held = self.policies.values().flat_map(PolicyState::all);
        held.map(|(_, held)| held.component.clone()).collect()
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;

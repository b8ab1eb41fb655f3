//! Who may connect, and what they may do: both reload live.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use weir_core::authorize::Grants;
use weir_s3::{Credential, CredentialStore, Secret};
use weir_types::id::{BucketName, Principal};
use weir_types::operation::Action;

use crate::config::Sources;
use crate::config::model::{Config, GrantConfig};
use crate::secrets::{Reference, Unreadable};

/// Credentials with their grants, as they stand now.
#[derive(Debug, Default)]
pub struct Access(ArcSwap<Table>);

#[derive(Debug, Default)]
struct Table(HashMap<String, Entry>);

#[derive(Debug)]
struct Entry {
    credential: Arc<Credential>,
    secret: String,
    grants: Vec<Grant>,
}

/// Something that a credential may do.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Grant {
    buckets: Vec<Pattern>,
    prefix: String,
    actions: Vec<Action>,
}

/// A bucket's name, or the beginning of names.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Pattern {
    Exactly(String),
    StartsWith(String),
}

impl Pattern {
    fn parse(text: &str) -> Self {
        match text.strip_suffix('*') {
            Some(start) => Self::StartsWith(start.to_owned()),
            None => Self::Exactly(text.to_owned()),
        }
    }

    fn fits(&self, bucket: &BucketName) -> bool {
        match self {
            Self::Exactly(name) => name == bucket.as_str(),
            Self::StartsWith(start) => bucket.as_str().starts_with(start.as_str()),
        }
    }
}

impl Grant {
    fn of(config: &GrantConfig) -> Self {
        Self {
            buckets: config
                .buckets
                .iter()
                .map(|text| Pattern::parse(text))
                .collect(),
            prefix: config.prefix.clone(),
            actions: config
                .actions
                .iter()
                .flat_map(|word| actions(word))
                .copied()
                .collect(),
        }
    }

    fn everything() -> Self {
        let buckets = vec![Pattern::StartsWith(String::new())];
        Self {
            buckets,
            prefix: String::new(),
            actions: actions("all").to_vec(),
        }
    }

    fn allows(&self, action: Action, bucket: Option<&BucketName>, key: Option<&str>) -> bool {
        let Some(bucket) = bucket else {
            return self.actions.contains(&action);
        };
        let in_prefix = match key {
            Some(key) => key.starts_with(&self.prefix),
            // A bucket may be looked at by whoever may list some of it, and be made or removed
            // by whoever may do so to all of it.
            None => action == Action::List || self.prefix.is_empty(),
        };
        in_prefix && self.actions.contains(&action) && self.buckets.iter().any(|p| p.fits(bucket))
    }
}

/// The actions that a word of the configuration stands for.
fn actions(word: &str) -> &'static [Action] {
    match word {
        "read" => &[Action::Read],
        "write" => &[Action::Write],
        "delete" => &[Action::Delete],
        "list" => &[Action::List],
        "admin" => &[Action::Admin],
        "all" => &[
            Action::Read,
            Action::Write,
            Action::Delete,
            Action::List,
            Action::Admin,
        ],
        _ => &[],
    }
}

/// An access key that may do everything: generated for the first run.
#[derive(Clone)]
pub struct RootCredential {
    /// Access key id.
    pub access_key_id: String,
    /// Secret access key.
    pub secret: String,
}

impl Access {
    /// Takes over what the configuration says, and `root` when it says nothing. On an error
    /// everything stays as it was. Credentials that have not changed keep their identity.
    pub fn set(
        &self,
        config: &Config,
        root: Option<&RootCredential>,
        sources: &Sources,
    ) -> Result<usize, Unreadable> {
        let old = self.0.load();
        let mut table = Table::default();
        for credential in config.credentials.values() {
            let file = credential.secret_file.as_ref();
            let reference = Reference::one_of(file, credential.secret_env.as_ref());
            let Ok(Some(reference)) = reference else {
                continue;
            };
            let secret = reference.read(sources)?;
            let grants = credential.grants.iter().map(Grant::of).collect();
            table.put(&old, &credential.access_key_id, secret, grants);
        }
        if let Some(root) = root.filter(|_| config.credentials.is_empty()) {
            let grants = vec![Grant::everything()];
            table.put(&old, &root.access_key_id, root.secret.clone(), grants);
        }
        let count = table.0.len();
        self.0.store(Arc::new(table));
        Ok(count)
    }
}

impl Table {
    fn put(&mut self, old: &Self, id: &str, secret: String, grants: Vec<Grant>) {
        let Ok(principal) = Principal::parse(id) else {
            return;
        };
        let same = old.0.get(id).filter(|entry| entry.secret == secret);
        let credential = match same {
            Some(entry) => Arc::clone(&entry.credential),
            None => Arc::new(Credential {
                principal,
                secret: Secret::new(secret.clone()),
            }),
        };
        self.0.insert(
            id.to_owned(),
            Entry {
                credential,
                secret,
                grants,
            },
        );
    }
}

impl CredentialStore for Access {
    fn lookup(&self, access_key_id: &str) -> Option<Arc<Credential>> {
        self.0
            .load()
            .0
            .get(access_key_id)
            .map(|entry| Arc::clone(&entry.credential))
    }
}

impl Grants for Access {
    fn allows(
        &self,
        who: &Principal,
        action: Action,
        bucket: Option<&BucketName>,
        key: Option<&str>,
    ) -> bool {
        let table = self.0.load();
        let grants = table
            .0
            .get(who.as_str())
            .map(|entry| entry.grants.as_slice());
        grants
            .unwrap_or_default()
            .iter()
            .any(|grant| grant.allows(action, bucket, key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(grant: GrantConfig, cases: &[(Action, Option<&str>, Option<&str>, bool)]) {
        let grant = Grant::of(&grant);
        for &(action, bucket, key, want) in cases {
            let name = bucket.map(|b| BucketName::parse(b).expect("a valid name"));
            let got = grant.allows(action, name.as_ref(), key);
            assert_eq!(got, want, "{action:?} {bucket:?} {key:?} under {grant:?}");
        }
    }

    fn grant(buckets: &[&str], prefix: &str, actions: &[&str]) -> GrantConfig {
        let texts = |words: &[&str]| words.iter().map(|&w| w.to_owned()).collect();
        GrantConfig {
            buckets: texts(buckets),
            prefix: prefix.into(),
            actions: texts(actions),
        }
    }

    #[test]
    fn grants_are_limited_by_bucket_prefix_and_action() {
        use Action::{Admin, Delete, List, Read, Write};
        check(
            grant(&["photos", "logs-*"], "2026/", &["read", "list"]),
            &[
                (Read, Some("photos"), Some("2026/a"), true),
                (Read, Some("photos"), Some("2025/a"), false),
                (Read, Some("photos"), Some("2026"), false),
                (Read, Some("photosets"), Some("2026/a"), false),
                (Read, Some("logs-eu"), Some("2026/a"), true),
                (Read, Some("log"), Some("2026/a"), false),
                (Write, Some("photos"), Some("2026/a"), false),
                (Delete, Some("photos"), Some("2026/a"), false),
                // Listing beneath the prefix only; looking at the bucket itself is fine.
                (List, Some("photos"), Some(""), false),
                (List, Some("photos"), Some("2026/07"), true),
                (List, Some("photos"), None, true),
                (List, None, None, true),
                (Admin, Some("photos"), None, false),
            ],
        );
        check(
            grant(&["*"], "", &["all"]),
            &[
                (Admin, Some("any"), None, true),
                (Write, Some("any"), Some("k"), true),
            ],
        );
        check(
            grant(&["photos"], "2026/", &["all"]),
            &[(Admin, Some("photos"), None, false)],
        );
        check(
            grant(&["*"], "", &[]),
            &[(Read, Some("any"), Some("k"), false)],
        );
    }
}

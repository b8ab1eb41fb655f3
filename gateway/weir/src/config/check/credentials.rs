//! Whether credentials are whole, and guard what they are to guard.

use std::collections::BTreeMap;

use super::{Check, is_loopback};
use crate::config::mistake::{Mistake, Way};
use crate::config::model::CredentialConfig;
use crate::secrets::{Reference, weakness};
use weir_types::id::Principal;

impl Check<'_> {
    pub(super) fn credentials(&mut self) {
        let config = self.config;
        let exposed = !is_loopback(&config.s3.listen);
        if exposed && config.credentials.is_empty() {
            let right = "[credentials.app] with access_key_id, secret_file and grants";
            let what = "a listener beyond loopback needs configured credentials";
            self.error(Way::at(["s3", "listen"]), what, right);
        }
        let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
        for (name, credential) in &config.credentials {
            let way = Way::at(["credentials", name]);
            self.credential(credential, exposed, &way);
            let id = credential.access_key_id.as_str();
            if let Some(other) = seen.insert(id, name).filter(|_| !id.is_empty()) {
                let what = format!("`{other}` has this access key id already");
                self.error(
                    way.key("access_key_id"),
                    what,
                    "each credential needs its own",
                );
            }
        }
    }

    fn credential(&mut self, credential: &CredentialConfig, exposed: bool, way: &Way) {
        if credential.access_key_id.is_empty() {
            self.error(
                way.key("access_key_id"),
                "access_key_id is missing",
                "access_key_id = \"…\"",
            );
        } else if let Err(error) = Principal::parse(&credential.access_key_id) {
            self.error(
                way.key("access_key_id"),
                "not a valid access key id",
                error.to_string(),
            );
        }
        let given = (
            credential.secret_file.as_ref(),
            credential.secret_env.as_ref(),
        );
        if let Some((reference, secret)) = self.secret(given, "secret", true, way) {
            self.guards_enough(&reference, &secret, exposed, way);
        }
        if credential.grants.is_empty() {
            let right = "[[credentials.NAME.grants]] with buckets and actions";
            let what = "it may do nothing, because it has no grants";
            self.mistakes
                .push(Mistake::warning(way.key("grants"), what, right));
        }
        for (i, grant) in credential.grants.iter().enumerate() {
            let way = way.key("grants").entry(i);
            if grant.buckets.is_empty() {
                self.error(
                    way.key("buckets"),
                    "buckets is missing",
                    "buckets = [\"*\"] or names",
                );
            }
            if grant.actions.is_empty() {
                self.error(
                    way.key("actions"),
                    "actions is missing",
                    "actions = [\"read\", …] or [\"all\"]",
                );
            }
            for (j, pattern) in grant.buckets.iter().enumerate() {
                if pattern.trim_end_matches('*').contains('*') {
                    let what = format!("{pattern:?} has a `*` that is not at its end");
                    self.error(
                        way.key("buckets").entry(j),
                        what,
                        "only the end of a name can be left open",
                    );
                }
            }
        }
    }

    /// Weak or readable secrets are refused where others can connect, and told of elsewhere.
    fn guards_enough(&mut self, reference: &Reference, secret: &str, exposed: bool, way: &Way) {
        let mut note = |field: &str, what: String, right: &str| {
            let mistake = Mistake::error(way.key(field), what, right);
            let mistake = if exposed {
                mistake
            } else {
                Mistake::warning(mistake.way, mistake.what, mistake.right)
            };
            self.mistakes.push(mistake);
        };
        if reference.is_world_readable() {
            let what = format!("{reference} can be read by everybody on this machine");
            note(
                "secret_file",
                what,
                "chmod 600, or 640 with a group of its own",
            );
        }
        if let Some(weakness) = weakness(secret) {
            let field = match reference {
                Reference::File(_) => "secret_file",
                Reference::Variable(_) => "secret_env",
            };
            note(
                field,
                weakness.to_owned(),
                "40 random characters, such as `openssl rand -base64 30` gives",
            );
        }
    }
}

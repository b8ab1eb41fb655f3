//! What names and types alone do not tell: whether the parts of a configuration fit together
//! and to the machine.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use weir_types::id::Principal;

use super::load::Sources;
use super::mistake::{Mistake, Way};
use super::model::{BackendConfig, Config, CredentialConfig, PolicyConfig};
use super::similar::did_you_mean;
use crate::secrets::{Reference, weakness};

/// Policies that need no table.
pub const BUILTIN_POLICIES: &[&str] = &["pack", "spread"];

/// Largest component that is loaded.
const COMPONENT_BYTES_MAX: u64 = 32 << 20;

/// Every mistake that the values as a whole have.
pub fn check(config: &Config, sources: &Sources) -> Vec<Mistake> {
    let mut check = Check {
        config,
        sources,
        mistakes: Vec::new(),
    };
    check.backends();
    check.placement();
    check.policies();
    check.credentials();
    check.listeners();
    check.limits();
    check.log();
    check.mistakes
}

/// Whether every address is on loopback: only this machine connects.
pub fn is_loopback(addresses: &[String]) -> bool {
    let on_loopback = |text: &String| {
        text.parse::<SocketAddr>()
            .is_ok_and(|address| address.ip().to_canonical().is_loopback())
    };
    addresses.iter().all(on_loopback)
}

struct Check<'a> {
    config: &'a Config,
    sources: &'a Sources,
    mistakes: Vec<Mistake>,
}

impl Check<'_> {
    fn error(&mut self, way: Way, what: impl Into<String>, right: impl Into<String>) {
        self.mistakes.push(Mistake::error(way, what, right));
    }

    fn backends(&mut self) {
        let config = self.config;
        let table = Way::at(["backends"]);
        if config.backends.is_empty() {
            let right =
                "at least one, such as [backends.disk-a] with kind = \"fs\" and path = \"…\"";
            self.error(table.clone(), "there is no backend", right);
        }
        for (id, backend) in &config.backends {
            let way = table.key(id);
            match backend.kind.as_str() {
                "fs" => self.directory(backend, &way),
                "s3" => self.endpoint(backend, &way),
                _ => self.error(
                    way.key("kind"),
                    "kind is missing",
                    "kind = \"fs\" or kind = \"s3\"",
                ),
            }
        }
        self.places_differ();
    }

    fn directory(&mut self, backend: &BackendConfig, way: &Way) {
        match &backend.path {
            None => self.error(
                way.key("path"),
                "path is missing",
                "path = \"/a/directory\"",
            ),
            Some(path) if path.exists() && !path.is_dir() => {
                let what = format!("{} is not a directory", path.display());
                self.error(
                    way.key("path"),
                    what,
                    "name a directory, or a place where one can be made",
                );
            }
            Some(_) => (),
        }
        for (field, is_given) in fields_of_s3(backend) {
            if is_given {
                self.error(
                    way.key(field),
                    "this is for backends of kind \"s3\"",
                    "remove it",
                );
            }
        }
    }

    fn endpoint(&mut self, backend: &BackendConfig, way: &Way) {
        if backend.path.is_some() {
            self.error(
                way.key("path"),
                "this is for backends of kind \"fs\"",
                "remove it",
            );
        }
        for (field, is_missing, right) in [
            (
                "endpoint",
                backend.endpoint.is_none(),
                "endpoint = \"https://…\"",
            ),
            ("bucket", backend.bucket.is_none(), "bucket = \"…\""),
            (
                "access_key_id",
                backend.access_key_id.is_none(),
                "access_key_id = \"…\"",
            ),
        ] {
            if is_missing {
                self.error(way.key(field), format!("{field} is missing"), right);
            }
        }
        let secret = (backend.secret_file.as_ref(), backend.secret_env.as_ref());
        self.secret(secret, "secret", true, way);
        let token = (
            backend.session_token_file.as_ref(),
            backend.session_token_env.as_ref(),
        );
        self.secret(token, "session_token", false, way);
        if backend.kms_key_id.is_some()
            && backend.server_side_encryption.as_deref() != Some("aws:kms")
        {
            let right = "server_side_encryption = \"aws:kms\"";
            self.error(
                way.key("kms_key_id"),
                "a KMS key is used only with KMS encryption",
                right,
            );
        }
        if let Some(file) = &backend.ca_file {
            self.pem_file(file, way.key("ca_file"));
        }
    }

    /// Two backends in one place would delete each other's bytes as unknown.
    fn places_differ(&mut self) {
        let mut seen: BTreeMap<String, &str> = BTreeMap::new();
        for (id, backend) in &self.config.backends {
            let (place, field) = match (&backend.path, &backend.endpoint, &backend.bucket) {
                (Some(path), ..) => (canonical(path).display().to_string(), "path"),
                (None, Some(endpoint), Some(bucket)) => (
                    format!("{}/{bucket}", endpoint.trim_end_matches('/')),
                    "bucket",
                ),
                _ => continue,
            };
            if let Some(other) = seen.insert(place, id) {
                let what = format!("this is the place of backend `{other}` already");
                let way = Way::at(["backends", id, field]);
                self.error(way, what, "each backend needs a place of its own");
            }
        }
    }

    fn placement(&mut self) {
        let config = self.config;
        let way = Way::at(["placement"]);
        self.policy_exists(&config.placement.policy, way.key("policy"));
        self.factor_fits(config.placement.factor, way.key("factor"));
        for (name, bucket) in &config.buckets {
            let way = Way::at(["buckets", name]);
            if let Some(policy) = &bucket.policy {
                self.policy_exists(policy, way.key("policy"));
            }
            if let Some(factor) = bucket.factor {
                self.factor_fits(factor, way.key("factor"));
            }
        }
    }

    fn factor_fits(&mut self, factor: u8, way: Way) {
        let writable = self
            .config
            .backends
            .values()
            .filter(|b| !b.read_only)
            .count();
        if usize::from(factor) > writable && writable > 0 {
            let what = format!(
                "{factor} copies need {factor} backends that take writes; there are {writable}"
            );
            self.error(way, what, format!("at most {writable}, or more backends"));
        }
    }

    fn policy_exists(&mut self, name: &str, way: Way) {
        let own = self.config.policies.keys().map(String::as_str);
        let known: Vec<_> = BUILTIN_POLICIES.iter().copied().chain(own).collect();
        if !known.contains(&name) {
            let near = did_you_mean(name, &known).map(|near| format!("did you mean {near:?}?"));
            let right = near.unwrap_or_else(|| format!("known: {}", known.join(", ")));
            self.error(way, format!("there is no policy {name:?}"), right);
        }
    }

    fn policies(&mut self) {
        let config = self.config;
        for (name, policy) in &config.policies {
            let way = Way::at(["policies", name]);
            match (&policy.builtin, &policy.file) {
                (Some(_), Some(_)) => {
                    self.error(way, "builtin and file are both given", "one of the two");
                }
                (Some(builtin), None) => self.builtin_exists(builtin, way.key("builtin")),
                (None, Some(file)) => self.component_exists(file, way.key("file")),
                (None, None) if BUILTIN_POLICIES.contains(&name.as_str()) => (),
                (None, None) => {
                    self.error(
                        way,
                        "no component is named",
                        "builtin = \"spread\" or file = \"….wasm\"",
                    );
                }
            }
        }
    }

    fn builtin_exists(&mut self, name: &str, way: Way) {
        if !BUILTIN_POLICIES.contains(&name) {
            let what = format!("Weir comes with no policy {name:?}");
            self.error(way, what, format!("one of {}", BUILTIN_POLICIES.join(", ")));
        }
    }

    fn component_exists(&mut self, file: &Path, way: Way) {
        match std::fs::metadata(file) {
            Err(error) => {
                let what = format!("{} cannot be read: {error}", file.display());
                self.error(way, what, "name a WebAssembly component");
            }
            Ok(meta) if meta.len() > COMPONENT_BYTES_MAX => {
                let what = format!("{} has {} bytes", file.display(), meta.len());
                self.error(way, what, format!("at most {COMPONENT_BYTES_MAX}"));
            }
            Ok(_) => (),
        }
    }

    fn credentials(&mut self) {
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

    /// The secret behind `<field>_file` or `<field>_env`.
    fn secret(
        &mut self,
        (file, variable): (Option<&PathBuf>, Option<&String>),
        field: &str,
        is_needed: bool,
        way: &Way,
    ) -> Option<(Reference, String)> {
        let in_file = format!("{field}_file");
        let Ok(reference) = Reference::one_of(file, variable) else {
            let what = format!("{field}_file and {field}_env are both given");
            self.error(way.key(&in_file), what, "one of the two");
            return None;
        };
        let Some(reference) = reference else {
            if is_needed {
                let right = format!("{field}_file = \"…\" or {field}_env = \"VARIABLE\"");
                self.error(way.key(&in_file), format!("the {field} is missing"), right);
            }
            return None;
        };
        match reference.read(self.sources) {
            Ok(secret) => Some((reference, secret)),
            Err(error) => {
                let field = match reference {
                    Reference::File(_) => in_file,
                    Reference::Variable(_) => format!("{field}_env"),
                };
                self.error(way.key(&field), error.to_string(), "");
                None
            }
        }
    }

    fn listeners(&mut self) {
        let config = self.config;
        if config.s3.listen.is_empty() {
            self.error(
                Way::at(["s3", "listen"]),
                "there is no address",
                "listen = [\"127.0.0.1:9000\"]",
            );
        }
        let s3 = (
            config.s3.tls_certificate_file.as_ref(),
            config.s3.tls_key_file.as_ref(),
        );
        self.tls(s3, &Way::at(["s3"]));
        let admin = (
            config.admin.tls_certificate_file.as_ref(),
            config.admin.tls_key_file.as_ref(),
        );
        let way = Way::at(["admin"]);
        self.tls(admin, &way);
        let exposed = !is_loopback(std::slice::from_ref(&config.admin.listen));
        let given = (
            config.admin.token_file.as_ref(),
            config.admin.token_env.as_ref(),
        );
        if let Some((reference, token)) = self.secret(given, "token", exposed, &way) {
            if exposed && reference.is_world_readable() {
                let what = format!("{reference} can be read by everybody on this machine");
                self.error(way.key("token_file"), what, "chmod 600");
            }
            if let Some(weakness) = weakness(&token).filter(|_| exposed) {
                self.error(
                    way.clone(),
                    weakness.replace("secret", "token"),
                    "40 random characters",
                );
            }
        }
    }

    fn tls(&mut self, (chain, key): (Option<&PathBuf>, Option<&PathBuf>), way: &Way) {
        match (chain, key) {
            (Some(_), None) => self.error(
                way.key("tls_key_file"),
                "tls_key_file is missing",
                "name the certificate's private key",
            ),
            (None, Some(_)) => self.error(
                way.key("tls_certificate_file"),
                "tls_certificate_file is missing",
                "name the certificate chain",
            ),
            (Some(chain), Some(key)) => {
                if let Err(error) = crate::listen::tls::read_certificate(chain, key) {
                    self.error(way.key("tls_certificate_file"), error.to_string(), "");
                }
            }
            (None, None) => (),
        }
    }

    fn pem_file(&mut self, file: &Path, way: Way) {
        if let Err(error) = crate::listen::tls::read_authorities(file) {
            self.error(way, error.to_string(), "");
        }
    }

    fn limits(&mut self) {
        let limits = &self.config.limits;
        let pairs = [
            (
                "retry_pause_ms_max",
                limits.retry_pause_ms_min,
                limits.retry_pause_ms_max,
            ),
            (
                "breaker_open_ms_max",
                limits.breaker_open_ms_min,
                limits.breaker_open_ms_max,
            ),
            (
                "object_bytes_max",
                limits.part_bytes_min,
                limits.object_bytes_max,
            ),
        ];
        for (field, least, most) in pairs {
            if most < least {
                let what = format!("{most} is less than the {least} it must reach");
                self.error(
                    Way::at(["limits", field]),
                    what,
                    format!("at least {least}"),
                );
            }
        }
    }

    fn log(&mut self) {
        if let Err(error) = crate::logs::parse_filter(&self.config.log.filter) {
            let right = "a level such as \"info\", or \"info,weir::access=off\"";
            self.error(Way::at(["log", "filter"]), error, right);
        }
    }
}

fn fields_of_s3(backend: &BackendConfig) -> [(&'static str, bool); 10] {
    [
        ("endpoint", backend.endpoint.is_some()),
        ("bucket", backend.bucket.is_some()),
        ("access_key_id", backend.access_key_id.is_some()),
        ("secret_file", backend.secret_file.is_some()),
        ("secret_env", backend.secret_env.is_some()),
        ("session_token_file", backend.session_token_file.is_some()),
        ("session_token_env", backend.session_token_env.is_some()),
        ("ca_file", backend.ca_file.is_some()),
        ("storage_class", backend.storage_class.is_some()),
        (
            "server_side_encryption",
            backend.server_side_encryption.is_some(),
        ),
    ]
}

/// The path with links resolved as far as it exists.
fn canonical(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

/// The component that a policy is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Component {
    /// One that comes with Weir.
    Builtin(String),
    /// A file.
    File(PathBuf),
}

impl PolicyConfig {
    /// The component of the policy called `name`, which [`check`] has found right.
    pub fn component(&self, name: &str) -> Component {
        match (&self.builtin, &self.file) {
            (_, Some(file)) => Component::File(file.clone()),
            (Some(builtin), None) => Component::Builtin(builtin.clone()),
            (None, None) => Component::Builtin(name.to_owned()),
        }
    }
}

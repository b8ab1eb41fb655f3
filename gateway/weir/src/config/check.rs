//! What names and types alone do not tell: whether the parts of a configuration fit together
//! and to the machine.

mod backends;
mod credentials;
mod insurance;
mod storage;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::load::Sources;
use super::mistake::{Mistake, Way};
use super::model::{Config, PolicyConfig};
use super::similar::did_you_mean;
use crate::secrets::{Reference, weakness};

/// Policies that need no table: each is of the component of its name.
pub const BUILTIN_POLICIES: &[&str] = weir_policy::builtin::NAMES;

/// Every mistake that the values as a whole have.
pub fn check(config: &Config, sources: &Sources) -> Vec<Mistake> {
    let mut check = Check {
        config,
        sources,
        mistakes: Vec::new(),
    };
    check.backends();
    check.storage();
    check.policies();
    check.credentials();
    check.listeners();
    check.limits();
    check.insurance();
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
            let given: Vec<_> = [
                ("builtin", policy.builtin.is_some()),
                ("file", policy.file.is_some()),
                ("oci", policy.oci.is_some()),
            ]
            .into_iter()
            .filter_map(|(field, is_given)| is_given.then_some(field))
            .collect();
            if given.len() > 1 {
                let what = format!("{} are given together", given.join(" and "));
                self.error(way, what, "one of them");
                continue;
            }
            if given.is_empty() && !BUILTIN_POLICIES.contains(&name.as_str()) {
                let right = "builtin = \"spread\", file = \"….wasm\" or oci = \"…\"";
                self.error(way.clone(), "no component is named", right);
            }
            if let Some(builtin) = &policy.builtin {
                self.builtin_exists(builtin, way.key("builtin"));
            }
            if let Some(file) = &policy.file {
                self.component_exists(file, way.key("file"));
            }
            if let Some(layout) = &policy.oci
                && let Err(error) = crate::policies::oci::read(layout, self.component_bytes_max())
            {
                let right = "a folder with oci-layout, index.json and blobs/sha256";
                self.error(way.key("oci"), error.to_string(), right);
            }
        }
    }

    fn component_bytes_max(&self) -> u64 {
        self.config.policy_host.component_bytes_max as u64
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
            Ok(meta) if meta.len() > self.component_bytes_max() => {
                let what = format!("{} has {} bytes", file.display(), meta.len());
                let right = format!(
                    "at most {}, or a larger policy_host.component_bytes_max",
                    self.component_bytes_max()
                );
                self.error(way, what, right);
            }
            Ok(_) => (),
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
        if exposed && config.admin.tls_certificate_file.is_none() {
            self.mistakes.push(Mistake::warning(
                way.key("listen"),
                "the admin token crosses the network in the clear",
                "tls_certificate_file and tls_key_file, or an address on loopback",
            ));
        }
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

/// The component that a policy is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Component {
    /// One that comes with Weir.
    Builtin(String),
    /// A file.
    File(PathBuf),
    /// A folder with an OCI image layout.
    Oci(PathBuf),
}

impl PolicyConfig {
    /// The component of the policy called `name`, which [`check`] has found right.
    pub fn component(&self, name: &str) -> Component {
        match (&self.builtin, &self.file, &self.oci) {
            (.., Some(layout)) => Component::Oci(layout.clone()),
            (_, Some(file), None) => Component::File(file.clone()),
            (Some(builtin), None, None) => Component::Builtin(builtin.clone()),
            (None, None, None) => Component::Builtin(name.to_owned()),
        }
    }
}

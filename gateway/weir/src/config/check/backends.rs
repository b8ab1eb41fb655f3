//! Whether each backend has what its kind needs, in a place of its own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::Check;
use crate::config::mistake::Way;
use crate::config::model::BackendConfig;

impl Check<'_> {
    pub(super) fn backends(&mut self) {
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

//! The table `[insurance]`.

use std::path::PathBuf;

use super::model::{BackendConfig, Config};
use super::schema::{Kind, config_table};

config_table! {
    /// Index insurance: snapshots of the index and its log of changes are shipped to backends as
    /// it changes, so that `weir index restore --from-backends` can bring it back. Without it the
    /// index in the data folder is the only record of what lies on the backends.
    InsuranceConfig {
        /// Whether the index is shipped.
        enabled: bool = false, Kind::Flag;
        /// Backends that it is shipped to. Without any, two of different failure domains are
        /// chosen among those that take writes.
        backends: Vec<String> = Vec::new(), Kind::List(&Kind::Text), "[\"disk-a\", \"disk-b\"]";
        /// Changes are gathered for this long before they are shipped: what a total loss of the
        /// index costs, together with the time that shipping takes. Each time costs a writing
        /// request to each of the backends, while there are changes.
        interval_ms: u64 = 1_000, Kind::Integer(50, 3_600_000);
        /// A snapshot that is older is followed by a new one; earlier when the log since then is
        /// larger than the snapshot.
        snapshot_interval_seconds: u64 = 86_400, Kind::Integer(60, 31_536_000);
        /// Changes that wait in the index because a backend does not take them. Beyond, the oldest
        /// are let go, and that backend gets a snapshot when it is back.
        log_bytes_max: u64 = 67_108_864, Kind::Integer(1_048_576, 17_179_869_184);
        /// File with the key that everything is encrypted with (AES-256-GCM): 64 hexadecimal
        /// digits, such as `openssl rand -hex 32` prints. Without a key, names and metadata of
        /// objects can be read by who reads the backends.
        key_file: Option<PathBuf> = None, Kind::Text, "\"secrets/insurance-key\"";
        /// Environment variable with the key.
        key_env: Option<String> = None, Kind::Text, "\"INSURANCE_KEY\"";
    }
}

/// Backends that are chosen where none are named.
const CHOSEN: usize = 2;

impl Config {
    /// Backends that the index is shipped to.
    pub fn insured_on(&self) -> Vec<String> {
        if !self.insurance.backends.is_empty() {
            return self.insurance.backends.clone();
        }
        let writable = || {
            self.backends
                .iter()
                .filter(|(_, backend)| !backend.read_only)
        };
        let mut chosen: Vec<(&String, &BackendConfig)> = Vec::new();
        // First those that fail apart, then any.
        for (id, backend) in writable() {
            let apart = chosen.iter().all(|(_, other)| {
                other.failure_domain.is_none() || other.failure_domain != backend.failure_domain
            });
            if apart && chosen.len() < CHOSEN {
                chosen.push((id, backend));
            }
        }
        for (id, backend) in writable() {
            if chosen.len() < CHOSEN && chosen.iter().all(|(other, _)| *other != id) {
                chosen.push((id, backend));
            }
        }
        chosen.into_iter().map(|(id, _)| id.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `(id, failure domain, read-only)`.
    fn chosen(backends: &[(&str, Option<&str>, bool)]) -> Vec<String> {
        let backend = |(id, domain, read_only): &(&str, Option<&str>, bool)| {
            let backend = BackendConfig {
                failure_domain: domain.map(str::to_owned),
                read_only: *read_only,
                ..BackendConfig::default()
            };
            ((*id).to_owned(), backend)
        };
        let config = Config {
            backends: backends.iter().map(backend).collect(),
            ..Config::default()
        };
        config.insured_on()
    }

    #[test]
    fn two_that_fail_apart_are_chosen_where_none_are_named() {
        let (x, y) = (Some("x"), Some("y"));
        assert_eq!(
            chosen(&[("a", None, false), ("b", None, false), ("c", None, false)]),
            ["a", "b"]
        );
        assert_eq!(
            chosen(&[("a", x, false), ("b", x, false), ("c", y, false)]),
            ["a", "c"]
        );
        assert_eq!(chosen(&[("a", x, false), ("b", x, false)]), ["a", "b"]);
        assert_eq!(
            chosen(&[("a", x, true), ("b", x, false), ("c", y, false)]),
            ["b", "c"]
        );
        assert_eq!(chosen(&[("a", x, true), ("b", x, false)]), ["b"]);
    }
}

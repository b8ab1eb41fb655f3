//! Storage policies with what they take over from the default filled in.

use std::collections::BTreeSet;

use super::model::{BucketConfig, Config, StoragePolicyConfig};

/// Name of the storage policy that `[placement]` describes.
pub const DEFAULT: &str = "default";
/// A residency that stands for all of them.
pub const ANYWHERE: &str = "*";

/// A storage policy as it is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// Its name.
    pub name: String,
    /// Names of the policies that decide.
    pub bindings: Bindings,
    /// Copies of each object.
    pub factor: u8,
    /// Copies that are durable before the 200.
    pub ack: u8,
    /// Residencies that may hold copies; `None`: all.
    pub residency: Option<BTreeSet<String>>,
    /// No two copies share a failure domain.
    pub distinct_failure_domains: bool,
}

/// Which policy decides what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bindings {
    /// Where a new version goes.
    pub placement: String,
    /// What happens when the preferred backends are full.
    pub overflow: Option<String>,
    /// Which copies an object should have.
    pub replication: Option<String>,
    /// In which order copies are read.
    pub read_routing: Option<String>,
}

impl Config {
    /// What `[placement]` describes.
    pub fn default_storage_policy(&self) -> Resolved {
        let placement = &self.placement;
        Resolved {
            name: DEFAULT.to_owned(),
            bindings: Bindings {
                placement: placement.policy.clone(),
                overflow: placement.overflow.clone(),
                replication: placement.replication.clone(),
                read_routing: placement.read_routing.clone(),
            },
            factor: placement.factor,
            ack: placement.ack,
            residency: residency(&placement.residency, None),
            distinct_failure_domains: placement.distinct_failure_domains,
        }
    }

    /// The named storage policy; what it does not say is as in the default one.
    pub fn storage_policy(&self, name: &str, own: &StoragePolicyConfig) -> Resolved {
        let default = self.default_storage_policy();
        let or = |own: &Option<String>, default: Option<String>| own.clone().or(default);
        let bindings = default.bindings;
        Resolved {
            name: name.to_owned(),
            bindings: Bindings {
                placement: own.placement.clone().unwrap_or(bindings.placement),
                overflow: or(&own.overflow, bindings.overflow),
                replication: or(&own.replication, bindings.replication),
                read_routing: or(&own.read_routing, bindings.read_routing),
            },
            factor: own.factor.unwrap_or(default.factor),
            ack: own.ack.unwrap_or(default.ack),
            residency: residency(&own.residency, default.residency),
            distinct_failure_domains: own
                .distinct_failure_domains
                .unwrap_or(default.distinct_failure_domains),
        }
    }

    /// The default storage policy, then the named ones in order of their names.
    pub fn storage_policies(&self) -> Vec<Resolved> {
        let named = self.storage_policies.iter();
        let named = named.map(|(name, own)| self.storage_policy(name, own));
        std::iter::once(self.default_storage_policy())
            .chain(named)
            .collect()
    }
}

impl BucketConfig {
    /// The storage policy of the bucket's objects, made of the one that is selected for it.
    /// It keeps that one's name and constraints.
    pub fn refine(&self, selected: &Resolved) -> Resolved {
        let mut refined = selected.clone();
        if let Some(policy) = &self.policy {
            refined.bindings.placement.clone_from(policy);
        }
        refined.factor = self.factor.unwrap_or(refined.factor);
        refined.ack = refined.ack.min(refined.factor);
        refined
    }
}

fn residency(own: &[String], default: Option<BTreeSet<String>>) -> Option<BTreeSet<String>> {
    if own.is_empty() {
        default
    } else if own.iter().any(|name| name == ANYWHERE) {
        None
    } else {
        Some(own.iter().cloned().collect())
    }
}

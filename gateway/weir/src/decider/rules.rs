//! Which storage policy applies: storage class, then the longest prefix, then the bucket, then
//! its LocationConstraint, then the default.

use std::collections::HashMap;
use std::sync::Arc;

use weir_core::decide::{Constraints, Scope, StoragePolicy};
use weir_types::id::BucketName;

use crate::config::Config;
use crate::config::model::BucketConfig;
use crate::config::storage::{Bindings, DEFAULT, Resolved};

type Policy = Arc<StoragePolicy>;

/// All storage policies, and what selects them.
pub(super) struct Rules {
    /// By [`StoragePolicy::key`].
    bindings: Vec<Bindings>,
    default: Policy,
    names: HashMap<String, Policy>,
    classes: HashMap<String, Policy>,
    locations: HashMap<String, Policy>,
    buckets: HashMap<BucketName, Bucket>,
}

/// A bucket that the configuration says something about.
struct Bucket {
    /// Longest first.
    prefixes: Vec<(String, Policy)>,
    /// Its own.
    own: Option<Policy>,
    /// What applies without one; the bucket may want other copies or another policy.
    default: Policy,
    locations: HashMap<String, Policy>,
}

impl Rules {
    /// The rules of a configuration that was checked.
    pub(super) fn of(config: &Config) -> Self {
        let mut bindings = Vec::new();
        let mut policy = |resolved: &Resolved| keep(&mut bindings, resolved);
        let all = config.storage_policies();
        let names: HashMap<_, _> = all
            .iter()
            .map(|resolved| (resolved.name.clone(), policy(resolved)))
            .collect();
        let default = policy(&config.default_storage_policy());
        let find = |name: &str| names.get(name).unwrap_or(&default).clone();
        let claimed = |claims: fn(&crate::config::model::StoragePolicyConfig) -> &[String]| {
            let of_one = |(name, own)| {
                let name: &String = name;
                claims(own).iter().map(move |value| (value.clone(), name))
            };
            let all = config.storage_policies.iter().flat_map(of_one);
            all.map(|(value, name)| (value, find(name)))
                .collect::<HashMap<_, _>>()
        };
        let classes = claimed(|own| &own.storage_classes);
        let locations = claimed(|own| &own.locations);
        let resolved = |name: &str| all.iter().find(|resolved| resolved.name == name);
        let mut bucket = |own: &BucketConfig| {
            let is_as_selected = own.policy.is_none() && own.factor.is_none();
            let mut refine = |selected: &Policy| match resolved(&selected.name) {
                Some(base) if !is_as_selected => policy(&own.refine(base)),
                _ => Arc::clone(selected),
            };
            let prefix = |prefix: &crate::config::model::PrefixConfig| {
                (prefix.prefix.clone(), find(&prefix.storage_policy))
            };
            let mut prefixes: Vec<_> = own.prefixes.iter().map(prefix).collect();
            prefixes.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
            Bucket {
                prefixes,
                own: own.storage_policy.as_ref().map(|name| refine(&find(name))),
                default: refine(&default),
                locations: locations
                    .iter()
                    .map(|(location, selected)| (location.clone(), refine(selected)))
                    .collect(),
            }
        };
        let buckets = config
            .buckets
            .iter()
            .filter_map(|(name, own)| Some((BucketName::parse(name).ok()?, bucket(own))))
            .collect();
        Self {
            bindings,
            default,
            names,
            classes,
            locations,
            buckets,
        }
    }

    /// The storage policy of what is written.
    pub(super) fn choose(&self, scope: &Scope<'_>) -> &Policy {
        let class = scope
            .storage_class
            .and_then(|class| self.classes.get(class));
        if let Some(policy) = class {
            return policy;
        }
        let Some(bucket) = self.buckets.get(scope.bucket) else {
            let location = scope.location.and_then(|at| self.locations.get(at));
            return location.unwrap_or(&self.default);
        };
        let key = scope.key.as_str();
        let mut prefixes = bucket.prefixes.iter();
        let prefix = prefixes.find(|(prefix, _)| key.starts_with(prefix.as_str()));
        let location = || scope.location.and_then(|at| bucket.locations.get(at));
        prefix
            .map(|(_, policy)| policy)
            .or(bucket.own.as_ref())
            .or_else(location)
            .unwrap_or(&bucket.default)
    }

    /// The storage policy under which something was written.
    pub(super) fn named(&self, name: Option<&str>) -> Option<&Policy> {
        self.names.get(name.unwrap_or(DEFAULT))
    }

    /// Who decides for a storage policy that these rules gave.
    pub(super) fn bindings(&self, policy: &StoragePolicy) -> &Bindings {
        let default = || &self.bindings[self.default.key];
        self.bindings.get(policy.key).unwrap_or_else(default)
    }

    /// Whether any storage policy has a policy that orders reads.
    pub(super) fn routes_any(&self) -> bool {
        self.bindings.iter().any(|b| b.read_routing.is_some())
    }
}

fn keep(bindings: &mut Vec<Bindings>, resolved: &Resolved) -> Policy {
    bindings.push(resolved.bindings.clone());
    Arc::new(StoragePolicy {
        name: resolved.name.clone(),
        copies: resolved.factor,
        ack: resolved.ack,
        constraints: Constraints {
            residency: resolved.residency.clone(),
            distinct_failure_domains: resolved.distinct_failure_domains,
        },
        key: bindings.len() - 1,
    })
}

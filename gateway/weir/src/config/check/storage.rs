//! Whether storage policies can be kept, are selected without doubt, and name what exists.

use std::collections::{BTreeMap, BTreeSet};

use super::Check;
use crate::config::mistake::{Mistake, Way};
use crate::config::model::{BackendConfig, BucketConfig};
use crate::config::similar::did_you_mean;
use crate::config::storage::{ANYWHERE, DEFAULT, Resolved};

impl Check<'_> {
    pub(super) fn storage(&mut self) {
        let config = self.config;
        let default = config.default_storage_policy();
        let way = Way::at(["placement"]);
        self.policy_exists(&config.placement.policy, way.key("policy"));
        for (field, name) in [
            ("overflow", &config.placement.overflow),
            ("replication", &config.placement.replication),
            ("read_routing", &config.placement.read_routing),
        ] {
            if let Some(name) = name {
                self.policy_exists(name, way.key(field));
            }
        }
        self.residency_exists(&config.placement.residency, &way);
        self.copies_fit(&default, &way);
        for (name, own) in &config.storage_policies {
            let way = Way::at(["storage_policies", name]);
            if name == DEFAULT {
                let what = "the default storage policy has a table of its own";
                self.error(way, what, "[placement]");
                continue;
            }
            for (field, policy) in [
                ("placement", &own.placement),
                ("overflow", &own.overflow),
                ("replication", &own.replication),
                ("read_routing", &own.read_routing),
            ] {
                if let Some(policy) = policy {
                    self.policy_exists(policy, way.key(field));
                }
            }
            self.residency_exists(&own.residency, &way);
            self.copies_fit(&config.storage_policy(name, own), &way);
        }
        self.claimed_once();
        for (name, bucket) in &config.buckets {
            self.bucket(bucket, &default, &Way::at(["buckets", name]));
        }
        self.each_is_selected();
    }

    fn bucket(&mut self, bucket: &BucketConfig, default: &Resolved, way: &Way) {
        let config = self.config;
        if let Some(policy) = &bucket.policy {
            self.policy_exists(policy, way.key("policy"));
        }
        if let Some(name) = &bucket.storage_policy {
            self.storage_policy_exists(name, way.key("storage_policy"));
        }
        if bucket.factor.is_some() {
            let named = bucket.storage_policy.as_ref();
            let own = named.and_then(|name| Some((name, config.storage_policies.get(name)?)));
            let selected = own.map(|(name, own)| config.storage_policy(name, own));
            let refined = bucket.refine(selected.as_ref().unwrap_or(default));
            self.copies_fit(&refined, way);
        }
        let mut seen = BTreeSet::new();
        for (i, prefix) in bucket.prefixes.iter().enumerate() {
            let way = way.key("prefixes").entry(i);
            if prefix.prefix.is_empty() {
                let what = "the prefix is missing";
                let right =
                    "prefix = \"logs/\"; for the whole bucket, storage_policy of the bucket";
                self.error(way.key("prefix"), what, right);
            } else if !seen.insert(&prefix.prefix) {
                let what = format!("the prefix {:?} is there already", prefix.prefix);
                self.error(way.key("prefix"), what, "each prefix once");
            }
            if prefix.storage_policy.is_empty() {
                let what = "the storage policy is missing";
                self.error(way.key("storage_policy"), what, "storage_policy = \"…\"");
            } else {
                self.storage_policy_exists(&prefix.storage_policy, way.key("storage_policy"));
            }
        }
    }

    fn storage_policy_exists(&mut self, name: &str, way: Way) {
        let own = self.config.storage_policies.keys().map(String::as_str);
        let known: Vec<_> = std::iter::once(DEFAULT).chain(own).collect();
        if !known.contains(&name) {
            let near = did_you_mean(name, &known).map(|near| format!("did you mean {near:?}?"));
            let right = near.unwrap_or_else(|| format!("known: {}", known.join(", ")));
            self.error(way, format!("there is no storage policy {name:?}"), right);
        }
    }

    fn residency_exists(&mut self, residency: &[String], way: &Way) {
        let backends = self.config.backends.values();
        let known: BTreeSet<&str> = backends.filter_map(|b| b.residency.as_deref()).collect();
        let known: Vec<&str> = known.into_iter().collect();
        for (i, name) in residency.iter().enumerate() {
            if name == ANYWHERE || known.contains(&name.as_str()) {
                continue;
            }
            let near = did_you_mean(name, &known).map(|near| format!("did you mean {near:?}?"));
            let right = match (near, known.is_empty()) {
                (Some(near), _) => near,
                (None, false) => format!("there are: {}", known.join(", ")),
                (None, true) => "residency = \"…\" of a backend".into(),
            };
            let way = way.key("residency").entry(i);
            self.error(way, format!("no backend has the residency {name:?}"), right);
        }
    }

    /// Whether there are backends enough that keep the constraints.
    fn copies_fit(&mut self, policy: &Resolved, way: &Way) {
        let may_hold = |backend: &&BackendConfig| {
            let lies = backend.residency.as_ref();
            let resides = policy
                .residency
                .as_ref()
                .is_none_or(|allowed| lies.is_some_and(|lies| allowed.contains(lies)));
            !backend.read_only && resides
        };
        let fitting: Vec<_> = self.config.backends.values().filter(may_hold).collect();
        let alone = fitting
            .iter()
            .filter(|b| b.failure_domain.is_none())
            .count();
        let domains: BTreeSet<_> = fitting
            .iter()
            .filter_map(|b| b.failure_domain.as_ref())
            .collect();
        let (most, of_what) = match (policy.distinct_failure_domains, &policy.residency) {
            (true, _) => (domains.len() + alone, "failure domains that take writes"),
            (false, Some(_)) => (fitting.len(), "backends of its residency that take writes"),
            (false, None) => (fitting.len(), "backends that take writes"),
        };
        let factor = usize::from(policy.factor);
        // Where no backend writes, or none has the residency, that was told already.
        let all = self.config.backends.values();
        let told = match &policy.residency {
            None => most == 0,
            Some(allowed) => !all
                .filter_map(|b| b.residency.as_ref())
                .any(|r| allowed.contains(r)),
        };
        if factor > most && !told {
            let what = format!("{factor} copies need {factor} {of_what}; there are {most}");
            let right = format!("at most {most}, or more backends");
            self.error(way.key("factor"), what, right);
        }
        if policy.ack > policy.factor {
            let what = format!("ack is {}, of {factor} copies", policy.ack);
            self.error(way.key("ack"), what, format!("at most {factor}"));
        } else if policy.ack > 1 {
            let what =
                "the client gets its 200 after the first durable copy; more are not waited for yet";
            let warning = Mistake::warning(way.key("ack"), what, "ack = 1");
            self.mistakes.push(warning);
        }
    }

    /// A storage class or location that two storage policies claim selects neither for sure.
    fn claimed_once(&mut self) {
        let mut seen: BTreeMap<(&str, &str), &str> = BTreeMap::new();
        for (name, own) in &self.config.storage_policies {
            for (field, word, claimed) in [
                ("storage_classes", "storage class", &own.storage_classes),
                ("locations", "location", &own.locations),
            ] {
                for (i, value) in claimed.iter().enumerate() {
                    let Some(other) = seen.insert((field, value), name) else {
                        continue;
                    };
                    let way = Way::at(["storage_policies", name, field]).entry(i);
                    let what = format!("`{other}` has the {word} {value:?} already");
                    let right = format!("each {word} selects one storage policy");
                    self.mistakes.push(Mistake::error(way, what, right));
                }
            }
        }
    }

    fn each_is_selected(&mut self) {
        let config = self.config;
        let mut selected: BTreeSet<&str> = BTreeSet::from([DEFAULT]);
        for bucket in config.buckets.values() {
            selected.extend(bucket.storage_policy.as_deref());
            selected.extend(bucket.prefixes.iter().map(|p| p.storage_policy.as_str()));
        }
        for (name, own) in &config.storage_policies {
            let claims = !own.storage_classes.is_empty() || !own.locations.is_empty();
            if !claims && !selected.contains(name.as_str()) {
                let way = Way::at(["storage_policies", name]);
                let what = "nothing selects this storage policy";
                let right = "storage_classes, locations, or a bucket or prefix that names it";
                self.mistakes.push(Mistake::warning(way, what, right));
            }
        }
    }
}

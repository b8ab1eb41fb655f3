//! `weir check`: whether the components load, and decide what they are bound for.

use std::collections::BTreeMap;
use std::sync::Arc;

use weir_policy::{BindingSettings, DecisionKind, Decisions, PolicyHost};

use super::fetch::{Fetched, fetch};
use super::{Policies, PolicyError, all, configured, host_options, settings_text};
use crate::config::Config;
use crate::config::mistake::{Mistake, Way};
use crate::decider;

/// A policy that something names to decide a question.
pub(super) struct Bound<'a> {
    /// Where it is named.
    way: Way,
    pub(super) policy: &'a str,
    kind: DecisionKind,
}

impl Policies {
    /// Compiles and configures every component as a start would, without a gateway and without
    /// writing anything; gives every mistake.
    pub fn check_configuration(config: &Config) -> Result<Vec<Mistake>, PolicyError> {
        let options = host_options(&config.policy_host, None)?;
        let host = PolicyHost::with_options(options);
        let host = host.map_err(|error| PolicyError::Refused(error.to_string()))?;
        let facts = Arc::new(decider::facts(config));
        let bytes_max = config.policy_host.component_bytes_max as u64;
        let mut mistakes = Vec::new();
        let mut decides: BTreeMap<String, Decisions> = BTreeMap::new();
        for (name, policy) in all(config) {
            let source = configured(&name, &policy);
            let settings = settings_text(&policy)?;
            let loaded = fetch(&source, bytes_max).and_then(|fetched| {
                let Fetched {
                    component,
                    signature,
                } = fetched;
                host.bind(&name, BindingSettings::default());
                host.load(&name, &component, signature.as_deref(), &settings, &facts)
                    .map_err(|error| PolicyError::Refused(error.to_string()))
            });
            match loaded {
                Ok(id) => {
                    let description = host.description(&name, id);
                    decides.insert(name, description.map(|d| d.decides).unwrap_or_default());
                }
                Err(error) => {
                    let way = Way::at(["policies", &name]);
                    mistakes.push(Mistake::error(way, error.to_string(), ""));
                }
            }
        }
        for bound in bound(config) {
            let Some(decisions) = decides.get(bound.policy) else {
                continue;
            };
            if !decisions.contains(bound.kind) {
                let (policy, kind) = (bound.policy, bound.kind);
                let what = format!("the policy {policy:?} does not decide {kind}");
                let right = format!("it decides {decisions}");
                mistakes.push(Mistake::error(bound.way, what, right));
            }
        }
        Ok(mistakes)
    }
}

/// Every place that names a policy to decide something.
pub(super) fn bound<'c>(config: &'c Config) -> Vec<Bound<'c>> {
    use DecisionKind::{Overflow, Placement, ReadRouting, Replication};
    let mut all: Vec<Bound<'_>> = Vec::new();
    let mut add = |way: Way, policy: Option<&'c String>, kind| {
        all.extend(policy.map(|policy| Bound { way, policy, kind }));
    };
    let placement = &config.placement;
    let way = Way::at(["placement"]);
    add(way.key("policy"), Some(&placement.policy), Placement);
    add(way.key("overflow"), placement.overflow.as_ref(), Overflow);
    add(
        way.key("replication"),
        placement.replication.as_ref(),
        Replication,
    );
    add(
        way.key("read_routing"),
        placement.read_routing.as_ref(),
        ReadRouting,
    );
    for (name, own) in &config.storage_policies {
        let way = Way::at(["storage_policies", name]);
        add(way.key("placement"), own.placement.as_ref(), Placement);
        add(way.key("overflow"), own.overflow.as_ref(), Overflow);
        add(
            way.key("replication"),
            own.replication.as_ref(),
            Replication,
        );
        add(
            way.key("read_routing"),
            own.read_routing.as_ref(),
            ReadRouting,
        );
    }
    for (name, bucket) in &config.buckets {
        let way = Way::at(["buckets", name, "policy"]);
        add(way, bucket.policy.as_ref(), Placement);
    }
    all
}

//! Which storage policy applies, and that decisions reach the binding that it names.

use std::path::Path;

use weir_core::decide::{Decider, Scope};
use weir_types::id::{BucketName, ObjectKey};

use super::*;
use crate::config::load::{Sources, load_text};

const CONFIG: &str = r#"
[backends.a]
kind = "fs"
path = "a"
residency = "eu"
[backends.b]
kind = "fs"
path = "b"
[placement]
overflow = "pack"
residency = ["eu"]
factor = 1
[storage_policies.cold]
placement = "pack"
storage_classes = ["GLACIER"]
locations = ["eu-archive"]
read_routing = "spread"
[storage_policies.logs]
residency = ["*"]
factor = 2
distinct_failure_domains = true
[storage_policies.mine]
locations = ["home"]
[buckets.plain]
[buckets.own]
storage_policy = "mine"
[[buckets.own.prefixes]]
prefix = "logs/"
storage_policy = "logs"
[[buckets.own.prefixes]]
prefix = "logs/keep/"
storage_policy = "cold"
[buckets.refined]
policy = "pack"
[buckets.both]
storage_policy = "logs"
factor = 1
policy = "pack"
"#;

fn config() -> Config {
    let loaded = load_text(
        &Sources::default(),
        Path::new("x"),
        CONFIG,
        Config::default(),
    );
    match loaded.valid() {
        Ok((config, _)) => config,
        Err(findings) => panic!("{findings:#?}"),
    }
}

#[test]
fn class_then_prefix_then_bucket_then_location_then_default() {
    let rules = Rules::of(&config());
    for (bucket, location, key, class, want) in [
        // bucket, location, key, class → name, placement, copies
        ("unknown", None, "k", None, ("default", "spread", 1)),
        ("plain", None, "k", None, ("default", "spread", 1)),
        (
            "unknown",
            None,
            "k",
            Some("OTHER"),
            ("default", "spread", 1),
        ),
        (
            "unknown",
            Some("nowhere"),
            "k",
            None,
            ("default", "spread", 1),
        ),
        ("unknown", Some("home"), "k", None, ("mine", "spread", 1)),
        ("plain", Some("eu-archive"), "k", None, ("cold", "pack", 1)),
        ("own", Some("eu-archive"), "k", None, ("mine", "spread", 1)),
        ("own", None, "logs/a", None, ("logs", "spread", 2)),
        ("own", None, "logs", None, ("mine", "spread", 1)),
        ("own", None, "logs/keep/a", None, ("cold", "pack", 1)),
        ("own", None, "logs/a", Some("GLACIER"), ("cold", "pack", 1)),
        ("refined", None, "k", None, ("default", "pack", 1)),
        ("refined", Some("home"), "k", None, ("mine", "pack", 1)),
        ("refined", None, "k", Some("GLACIER"), ("cold", "pack", 1)),
        ("both", Some("home"), "k", None, ("logs", "pack", 1)),
    ] {
        let (bucket, key) = (BucketName::parse(bucket), ObjectKey::parse(key));
        let (bucket, key) = (bucket.expect("a name"), key.expect("a key"));
        let scope = Scope {
            bucket: &bucket,
            location,
            key: &key,
            storage_class: class,
        };
        let policy = rules.choose(&scope);
        let placement = rules.bindings(policy).placement.as_str();
        let got = (policy.name.as_str(), placement, policy.copies);
        assert_eq!(got, want, "{bucket} {location:?} {key} {class:?}");
        let named = rules.named(Some(&policy.name)).expect("found by its name");
        assert_eq!(named.constraints, policy.constraints, "{bucket} {key}");
    }
}

#[test]
fn what_a_storage_policy_does_not_say_is_the_defaults() {
    let rules = Rules::of(&config());
    let named = |name| rules.named(name).expect("there");
    let eu = |name| {
        let residency = &named(Some(name)).constraints.residency;
        residency
            .as_ref()
            .map(|all| all.iter().cloned().collect::<Vec<_>>())
    };
    assert_eq!(named(None).name, "default");
    assert!(rules.named(Some("gone")).is_none());
    assert_eq!(eu("default"), Some(vec!["eu".to_owned()]));
    assert_eq!(eu("cold"), Some(vec!["eu".to_owned()]));
    assert_eq!(eu("logs"), None, "lifted");
    assert!(named(Some("logs")).constraints.distinct_failure_domains);
    let of = |name| rules.bindings(named(Some(name)));
    assert_eq!(of("cold").overflow.as_deref(), Some("pack"));
    assert_eq!(of("cold").read_routing.as_deref(), Some("spread"));
    assert_eq!(of("logs").read_routing, None);
    assert!(rules.routes_any());
    assert!(!Rules::of(&Config::default()).routes_any());
}

#[test]
fn a_binding_that_does_not_decide_a_question_is_none() {
    let host = PolicyHost::new(weir_policy::Limits::default()).expect("a host");
    let (host, config) = (Arc::new(host), config());
    let decider = PolicyDecider::new(Arc::clone(&host), &config);
    let facts = Arc::new(facts(&config));
    for name in ["spread", "pack"] {
        host.bind(name, weir_policy::BindingSettings::default());
        let component = weir_policy::builtin::component(name).expect("built in");
        let id = host
            .load(name, component, None, "{}", &facts)
            .expect("loaded");
        host.activate(name, id).expect("active");
    }
    let cold = decider.named(Some("cold")).expect("there");
    // The first-party policies place, and nothing else.
    assert!(!decider.replicates(&cold) && !decider.routes(&cold));
    assert_eq!(
        decider.binding(&cold, DecisionKind::Placement),
        Some("pack")
    );
    assert_eq!(decider.binding(&cold, DecisionKind::Overflow), None);
}

//! What the configuration demands of every copy.

use std::collections::BTreeSet;

use crate::backends::BackendFacts;

/// A named set of rules for what is stored under it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoragePolicy {
    /// Its name, kept with everything that is written under it.
    pub name: String,
    /// Copies an object gets unless a policy says otherwise.
    pub copies: u8,
    /// Copies that the configuration wants durable before the client gets its 200.
    pub ack: u8,
    /// What holds for every copy, whatever policies say.
    pub constraints: Constraints,
    /// The decider's own number for it.
    pub key: usize,
}

impl StoragePolicy {
    /// A storage policy without constraints: `copies` anywhere, one of them before the 200.
    pub fn unconstrained(name: impl Into<String>, copies: u8) -> Self {
        Self {
            name: name.into(),
            copies,
            ack: 1,
            constraints: Constraints::default(),
            key: 0,
        }
    }
}

/// Where copies may lie. Configuration alone sets it; no policy can widen it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Constraints {
    /// Only on backends of these residencies; `None`: on any, also on those without one.
    pub residency: Option<BTreeSet<String>>,
    /// The good copies of an object lie in failure domains of their own. A backend without one
    /// is a domain of its own.
    pub distinct_failure_domains: bool,
}

impl Constraints {
    /// Whether a copy may lie on this backend at all.
    pub fn admit(&self, backend: &BackendFacts) -> bool {
        match (&self.residency, &backend.residency) {
            (None, _) => true,
            (Some(allowed), Some(residency)) => allowed.contains(residency),
            (Some(_), None) => false,
        }
    }

    /// Whether a good copy on one backend rules out one on the other.
    pub fn clash(&self, one: &BackendFacts, other: &BackendFacts) -> bool {
        if one.id == other.id {
            return true;
        }
        let shared = one.failure_domain.is_some() && one.failure_domain == other.failure_domain;
        self.distinct_failure_domains && shared
    }
}

#[cfg(test)]
mod tests {
    use weir_types::id::BackendId;

    use super::*;

    fn backend(id: &str, residency: Option<&str>, domain: Option<&str>) -> BackendFacts {
        BackendFacts {
            residency: residency.map(Into::into),
            failure_domain: domain.map(Into::into),
            ..BackendFacts::new(BackendId::parse(id).expect("a valid id"))
        }
    }

    #[test]
    fn residency_admits_only_what_it_names() {
        let only = |names: &[&str]| Constraints {
            residency: Some(names.iter().map(|name| (*name).to_owned()).collect()),
            ..Constraints::default()
        };
        let cases = [
            (Constraints::default(), None, true),
            (Constraints::default(), Some("us"), true),
            (only(&["eu", "ch"]), Some("ch"), true),
            (only(&["eu", "ch"]), Some("us"), false),
            (only(&["eu", "ch"]), None, false),
            (only(&[]), Some("eu"), false),
        ];
        for (constraints, residency, want) in cases {
            let admitted = constraints.admit(&backend("a", residency, None));
            assert_eq!(admitted, want, "{constraints:?} of {residency:?}");
        }
    }

    #[test]
    fn domains_clash_when_both_are_named_and_the_same() {
        let cases = [
            ("a", Some("x"), "b", Some("x"), true),
            ("a", Some("x"), "b", Some("y"), false),
            ("a", None, "b", None, false),
            ("a", Some("x"), "b", None, false),
            ("a", None, "a", None, true),
        ];
        for (one, one_domain, other, other_domain, want) in cases {
            let one = backend(one, None, one_domain);
            let other = backend(other, None, other_domain);
            let distinct = Constraints {
                distinct_failure_domains: true,
                ..Constraints::default()
            };
            assert_eq!(distinct.clash(&one, &other), want, "{one:?}, {other:?}");
            let same = one.id == other.id;
            assert_eq!(Constraints::default().clash(&one, &other), same);
        }
    }
}

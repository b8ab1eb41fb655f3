//! The files that new plugins are made of, and the WIT package that they are built against.

use super::{Decides, Language};

macro_rules! template {
    ($file:literal) => {
        include_str!(concat!("templates/", $file))
    };
}

macro_rules! wit {
    ($($file:literal),+ $(,)?) => {
        &[$(($file, include_str!(concat!("../../../../wit/0.2.0/", $file)))),+]
    };
}

/// The version of [`WIT`].
pub(super) const API_VERSION: &str = "0.2.0";

/// The WIT package that this gateway's authors build against: file names with their text.
pub(super) const WIT: &[(&str, &str)] = wit![
    "host.wit",
    "lifecycle.wit",
    "overflow.wit",
    "placement.wit",
    "read-routing.wit",
    "replication.wit",
    "types.wit",
    "worlds.wit",
];

pub(super) const README: &str = template!("README.md");
pub(super) const GITIGNORE: &str = template!("gitignore");

/// What `weir plugin build` hands to Node.js.
pub(super) const BUILD_JAVASCRIPT: &str = template!("javascript/build.mjs");

/// A source file: its name, how it begins, how it ends; between them stands what belongs to each
/// decision.
pub(super) struct Source {
    pub(super) file: &'static str,
    pub(super) head: &'static str,
    pub(super) part: fn(Decides) -> &'static str,
    pub(super) tail: &'static str,
}

/// The manifest of a language: its file and text.
pub(super) fn manifest(language: Language) -> (&'static str, &'static str) {
    match language {
        Language::Rust => ("Cargo.toml", template!("rust/Cargo.toml")),
        Language::Javascript => ("package.json", template!("javascript/package.json")),
        Language::Python => ("pyproject.toml", template!("python/pyproject.toml")),
    }
}

/// The policy and its tests.
pub(super) fn sources(language: Language) -> [Source; 2] {
    match language {
        Language::Rust => [
            Source {
                file: "src/lib.rs",
                head: template!("rust/lib.rs"),
                part: |decides| match decides {
                    Decides::Placement => template!("rust/placement.rs"),
                    Decides::Overflow => template!("rust/overflow.rs"),
                    Decides::Replication => template!("rust/replication.rs"),
                    Decides::ReadRouting => template!("rust/read_routing.rs"),
                },
                tail: template!("rust/tail.rs"),
            },
            Source {
                file: "src/tests.rs",
                head: template!("rust/tests.rs"),
                part: |decides| match decides {
                    Decides::Placement => template!("rust/tests_placement.rs"),
                    Decides::Overflow => template!("rust/tests_overflow.rs"),
                    Decides::Replication => template!("rust/tests_replication.rs"),
                    Decides::ReadRouting => template!("rust/tests_read_routing.rs"),
                },
                tail: "",
            },
        ],
        Language::Javascript => [
            Source {
                file: "policy.js",
                head: template!("javascript/policy.js"),
                part: |decides| match decides {
                    Decides::Placement => template!("javascript/placement.js"),
                    Decides::Overflow => template!("javascript/overflow.js"),
                    Decides::Replication => template!("javascript/replication.js"),
                    Decides::ReadRouting => template!("javascript/read_routing.js"),
                },
                tail: "",
            },
            Source {
                file: "policy.test.js",
                head: template!("javascript/policy.test.js"),
                part: |decides| match decides {
                    Decides::Placement => template!("javascript/test_placement.js"),
                    Decides::Overflow => template!("javascript/test_overflow.js"),
                    Decides::Replication => template!("javascript/test_replication.js"),
                    Decides::ReadRouting => template!("javascript/test_read_routing.js"),
                },
                tail: "",
            },
        ],
        Language::Python => [
            Source {
                file: "policy.py",
                head: template!("python/policy.py"),
                part: |decides| match decides {
                    Decides::Placement => template!("python/placement.py"),
                    Decides::Overflow => template!("python/overflow.py"),
                    Decides::Replication => template!("python/replication.py"),
                    Decides::ReadRouting => template!("python/read_routing.py"),
                },
                tail: "",
            },
            Source {
                file: "test_policy.py",
                head: template!("python/test_policy.py"),
                part: |decides| match decides {
                    Decides::Placement => template!("python/test_placement.py"),
                    Decides::Overflow => template!("python/test_overflow.py"),
                    Decides::Replication => template!("python/test_replication.py"),
                    Decides::ReadRouting => template!("python/test_read_routing.py"),
                },
                tail: "",
            },
        ],
    }
}

/// The test vectors of a decision, the same for every language.
pub(super) fn vectors(decides: Decides) -> &'static str {
    match decides {
        Decides::Placement => template!("vectors/placement.json"),
        Decides::Overflow => template!("vectors/overflow.json"),
        Decides::Replication => template!("vectors/replication.json"),
        Decides::ReadRouting => template!("vectors/read-routing.json"),
    }
}

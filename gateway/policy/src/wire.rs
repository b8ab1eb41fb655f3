//! Between [`crate::api`] and the WIT versions that are served: a file for each
//! version, with everything that knows its types. A version is added with a file
//! here, its module in [`crate::bindings`] and its functions in [`crate::guest`].

mod v0_1_0;
mod v0_2_0;

use wasmtime::Result;
use wasmtime::component::InstancePre;

use crate::api::{
    DecisionKind, Decisions, OverflowAnswer, OverflowInput, PlacementAnswer, PlacementInput,
    ReplicationAnswer, ReplicationInput, RoutingAnswer, RoutingInput, StaticFacts,
};
use crate::error::ConfigError;
use crate::guest::GuestState;

pub(crate) type Store = wasmtime::Store<GuestState>;

/// The WIT versions that are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    V0_1_0,
    V0_2_0,
}

/// [`Version::ALL`] in words.
pub(crate) const SUPPORTED: &str = "0.1.0 and 0.2.0";

impl Version {
    pub(crate) const ALL: [Self; 2] = [Self::V0_1_0, Self::V0_2_0];

    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::V0_1_0 => "0.1.0",
            Self::V0_2_0 => "0.2.0",
        }
    }

    /// The decisions that it has an interface for.
    pub(crate) const fn interfaces(self) -> &'static [DecisionKind] {
        match self {
            Self::V0_1_0 => &[DecisionKind::Placement],
            Self::V0_2_0 => &DecisionKind::ALL,
        }
    }
}

/// What a policy says about itself, as it said it.
pub(crate) struct Described {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) summary: String,
    pub(crate) decides: Decisions,
    pub(crate) needs: Needs,
    pub(crate) settings_schema: String,
}

/// Facts that are passed only where a policy asks for them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Needs {
    pub(crate) user_metadata: bool,
}

impl Needs {
    /// `user_metadata`, or nothing.
    fn of<'a>(self, user_metadata: &'a [(&'a str, &'a str)]) -> &'a [(&'a str, &'a str)] {
        if self.user_metadata {
            user_metadata
        } else {
            &[]
        }
    }
}

/// A component whose imports are resolved and whose exports are known.
pub(crate) struct Pre {
    instance: InstancePre<GuestState>,
    exports: Exports,
}

enum Exports {
    V0_1_0(v0_1_0::Exports),
    V0_2_0(v0_2_0::Exports),
}

impl Pre {
    /// Finds the exports of a component of this version that decides `decides`.
    pub(crate) fn new(
        version: Version,
        decides: Decisions,
        instance: InstancePre<GuestState>,
    ) -> Result<Self> {
        let exports = match version {
            Version::V0_1_0 => Exports::V0_1_0(v0_1_0::Exports::of(&instance)?),
            Version::V0_2_0 => Exports::V0_2_0(v0_2_0::Exports::of(&instance, decides)?),
        };
        Ok(Self { instance, exports })
    }

    /// Makes an instance. An error that is no trap means that a function has another type than
    /// the WIT version says.
    pub(crate) fn instantiate(&self, store: &mut Store) -> Result<Guest> {
        let instance = self.instance.instantiate(&mut *store)?;
        Ok(match &self.exports {
            Exports::V0_1_0(exports) => Guest::V0_1_0(exports.load(store, &instance)?),
            Exports::V0_2_0(exports) => Guest::V0_2_0(exports.load(store, &instance)?),
        })
    }
}

/// The functions of one instance.
pub(crate) enum Guest {
    V0_1_0(v0_1_0::Guest),
    V0_2_0(v0_2_0::Guest),
}

impl Guest {
    pub(crate) fn describe(&self, store: &mut Store) -> Result<Described> {
        match self {
            Self::V0_1_0(guest) => guest.describe(store),
            Self::V0_2_0(guest) => guest.describe(store),
        }
    }

    pub(crate) fn configure(
        &self,
        store: &mut Store,
        settings: &str,
        facts: &StaticFacts,
    ) -> Result<std::result::Result<(), Vec<ConfigError>>> {
        match self {
            Self::V0_1_0(guest) => guest.configure(store, settings, facts),
            Self::V0_2_0(guest) => guest.configure(store, settings, facts),
        }
    }

    pub(crate) fn place(
        &self,
        store: &mut Store,
        input: &PlacementInput<'_>,
        needs: Needs,
    ) -> Result<PlacementAnswer> {
        match self {
            Self::V0_1_0(guest) => guest.place(store, input),
            Self::V0_2_0(guest) => guest.place(store, input, needs),
        }
    }

    pub(crate) fn overflow(
        &self,
        store: &mut Store,
        input: &OverflowInput<'_>,
        needs: Needs,
    ) -> Result<OverflowAnswer> {
        match self {
            Self::V0_1_0(_) => Err(not_exported()),
            Self::V0_2_0(guest) => guest.overflow(store, input, needs),
        }
    }

    pub(crate) fn replicate(
        &self,
        store: &mut Store,
        input: &ReplicationInput<'_>,
        needs: Needs,
    ) -> Result<ReplicationAnswer> {
        match self {
            Self::V0_1_0(_) => Err(not_exported()),
            Self::V0_2_0(guest) => guest.replicate(store, input, needs),
        }
    }

    pub(crate) fn route(
        &self,
        store: &mut Store,
        input: &RoutingInput<'_>,
    ) -> Result<RoutingAnswer> {
        match self {
            Self::V0_1_0(_) => Err(not_exported()),
            Self::V0_2_0(guest) => guest.route(store, input),
        }
    }
}

/// Whoever asks a revision looks first at what it decides.
fn not_exported() -> wasmtime::Error {
    wasmtime::Error::msg("the component does not decide this")
}

/// Pairs as the facts keep them, as they are passed.
fn pairs(labels: &[(String, String)]) -> impl Iterator<Item = (&str, &str)> {
    labels
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
}

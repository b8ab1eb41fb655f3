//! The bridge between the generated bindings and the SDK's types. Exists in
//! Wasm builds only; [`crate::export_policy!`] is its one user.
//!
//! Each interface has bindings of its own over shared types, so that a
//! component exports the ones that its macro names and no other: every `export!`
//! adds a section with its part of the component's type, and the encoder
//! merges them.

mod convert;

use crate as sdk;

macro_rules! bindings {
    ($module:ident: $world:literal) => {
        #[allow(missing_docs, unreachable_pub, clippy::all)]
        pub mod $module {
            wit_bindgen::generate!({
                path: "../wit/0.2.0",
                inline: $world,
                pub_export_macro: true,
                with: {
                    "weir:policy/types@0.2.0": crate::glue::shared::weir::policy::types,
                },
            });
        }
    };
}

#[allow(missing_docs, unreachable_pub, clippy::all)]
pub mod shared {
    wit_bindgen::generate!({
        path: "../wit/0.2.0",
        inline: "package weir:sdk; world shared {
            import weir:policy/host@0.2.0;
            import weir:policy/types@0.2.0;
        }",
        generate_all,
        generate_unused_types: true,
    });
}

bindings!(lifecycle: "package weir:sdk; world lifecycle { export weir:policy/lifecycle@0.2.0; }");
bindings!(placement: "package weir:sdk; world placement { export weir:policy/placement@0.2.0; }");
bindings!(overflow: "package weir:sdk; world overflow { export weir:policy/overflow@0.2.0; }");
bindings!(replication: "package weir:sdk; world replication { export weir:policy/replication@0.2.0; }");
bindings!(read_routing: "package weir:sdk; world read-routing { export weir:policy/read-routing@0.2.0; }");

use lifecycle::exports::weir::policy::lifecycle as wit_lifecycle;
use overflow::exports::weir::policy::overflow as wit_overflow;
use placement::exports::weir::policy::placement as wit_placement;
use read_routing::exports::weir::policy::read_routing as wit_routing;
use replication::exports::weir::policy::replication as wit_replication;
use shared::weir::policy::{host, types as wit};

pub use wit_lifecycle::Decisions;

/// The one policy of a component: what [`crate::export_policy!`] writes.
pub trait Component: 'static {
    /// Its type.
    type Policy: sdk::Policy;

    /// What it decides.
    const DECIDES: Decisions;

    /// Keeps the configured policy; false if there is one.
    fn keep(policy: Self::Policy) -> bool;

    /// Calls `ask` with it, if there is one.
    fn with<R>(ask: impl FnOnce(Option<&Self::Policy>) -> R) -> R;
}

/// The answer of a configured policy. The host configures an instance before
/// it asks; who asks earlier gets a trap.
fn answer<C: Component, R>(ask: impl FnOnce(&C::Policy) -> R) -> R {
    C::with(|policy| match policy {
        Some(policy) => ask(policy),
        None => core::arch::wasm32::unreachable(),
    })
}

impl<C: Component> wit_lifecycle::Guest for C {
    fn describe() -> wit_lifecycle::Description {
        let sdk::Description {
            name,
            version,
            summary,
            settings_schema,
            needs_user_metadata,
        } = <C::Policy as sdk::Policy>::describe();
        wit_lifecycle::Description {
            name,
            version,
            summary,
            decides: C::DECIDES,
            needs: if needs_user_metadata {
                wit_lifecycle::Needs::USER_METADATA
            } else {
                wit_lifecycle::Needs::empty()
            },
            settings_schema,
        }
    }

    fn configure(
        settings: String,
        facts: wit::Facts,
    ) -> Result<(), Vec<wit_lifecycle::ConfigError>> {
        let error = |error: sdk::ConfigError| wit_lifecycle::ConfigError {
            path: error.path,
            message: error.message,
        };
        let policy = <C::Policy as sdk::Policy>::configure(&settings, facts.into())
            .map_err(|errors| errors.into_iter().map(error).collect::<Vec<_>>())?;
        if C::keep(policy) {
            return Ok(());
        }
        let twice = sdk::ConfigError::new("", "this instance is configured already");
        Err(vec![error(twice)])
    }
}

impl<C: Component<Policy: sdk::PlacementPolicy>> wit_placement::Guest for C {
    fn place(request: wit::Request, backends: Vec<wit::BackendState>) -> wit_placement::Decision {
        let backends = convert::states(backends);
        let sdk::Placement {
            candidates,
            copies,
            ack,
            reason,
        } = answer::<C, _>(|policy| {
            sdk::PlacementPolicy::place(policy, &request.into(), &backends)
        });
        wit_placement::Decision {
            candidates,
            copies,
            ack,
            reason,
        }
    }
}

impl<C: Component<Policy: sdk::OverflowPolicy>> wit_overflow::Guest for C {
    fn overflow(
        request: wit::Request,
        excluded: Vec<wit_overflow::Excluded>,
        backends: Vec<wit::BackendState>,
    ) -> wit_overflow::Decision {
        let backends = convert::states(backends);
        let excluded: Vec<_> = excluded.into_iter().map(sdk::Excluded::from).collect();
        let answer = answer::<C, _>(|policy| {
            sdk::OverflowPolicy::overflow(policy, &request.into(), &excluded, &backends)
        });
        answer.into()
    }
}

impl<C: Component<Policy: sdk::ReplicationPolicy>> wit_replication::Guest for C {
    fn replicate(
        object: wit_replication::Object,
        backends: Vec<wit::BackendState>,
    ) -> wit_replication::Decision {
        let backends = convert::states(backends);
        let answer = answer::<C, _>(|policy| {
            sdk::ReplicationPolicy::replicate(policy, &object.into(), &backends)
        });
        answer.into()
    }
}

impl<C: Component<Policy: sdk::ReadRoutingPolicy>> wit_routing::Guest for C {
    fn route(read: wit_routing::Read, backends: Vec<wit::BackendState>) -> wit_routing::Decision {
        let backends = convert::states(backends);
        let sdk::Route {
            order,
            hedge_after_us,
        } = answer::<C, _>(|policy| sdk::ReadRoutingPolicy::route(policy, &read.into(), &backends));
        wit_routing::Decision {
            order,
            hedge_after_us,
        }
    }
}

pub(crate) fn log(level: sdk::host::Level, message: &str) {
    let level = match level {
        sdk::host::Level::Debug => host::Level::Debug,
        sdk::host::Level::Info => host::Level::Info,
        sdk::host::Level::Warn => host::Level::Warn,
        sdk::host::Level::Error => host::Level::Error,
    };
    host::log(level, message);
}

pub(crate) fn count(name: &str, delta: u64) {
    host::count(name, delta);
}

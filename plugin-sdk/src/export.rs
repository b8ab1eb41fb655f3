//! The macro that makes a component of a policy.

/// Exports a policy as a component that makes the decisions named: any of
/// `placement`, `overflow`, `replication` and `read_routing`, for which it
/// implements the trait. Once in a crate of the type `cdylib`. The component
/// exports exactly these interfaces and says so when it is described.
///
/// Natively it only checks that the traits are implemented.
///
/// ```
/// # use weir_plugin_sdk::*;
/// # struct Nearest;
/// # impl Policy for Nearest {
/// #     fn describe() -> Description { Description::default() }
/// #     fn configure(_: &str, _: Facts) -> Result<Self, Vec<ConfigError>> { Ok(Self) }
/// # }
/// # impl PlacementPolicy for Nearest {
/// #     fn place(&self, _: &Request, _: &[BackendState]) -> Placement { Placement::default() }
/// # }
/// # impl ReadRoutingPolicy for Nearest {
/// #     fn route(&self, _: &Read, _: &[BackendState]) -> Route { Route::default() }
/// # }
/// weir_plugin_sdk::export_policy!(Nearest: placement, read_routing);
/// ```
///
/// A trait that is missing does not compile:
///
/// ```compile_fail
/// # use weir_plugin_sdk::*;
/// # struct Nearest;
/// # impl Policy for Nearest {
/// #     fn describe() -> Description { Description::default() }
/// #     fn configure(_: &str, _: Facts) -> Result<Self, Vec<ConfigError>> { Ok(Self) }
/// # }
/// weir_plugin_sdk::export_policy!(Nearest: overflow);
/// ```
#[macro_export]
macro_rules! export_policy {
    ($policy:ty: $($decision:ident),+ $(,)?) => {
        #[cfg(not(target_arch = "wasm32"))]
        const _: () = {
            $($crate::__weir_decision!(check $decision $policy);)+
        };

        #[cfg(target_arch = "wasm32")]
        #[allow(unsafe_code, missing_docs, unreachable_pub)]
        mod weir_policy_component {
            use super::*;
            use $crate::glue;

            ::std::thread_local! {
                static POLICY: ::std::cell::OnceCell<$policy> =
                    const { ::std::cell::OnceCell::new() };
            }

            struct Component;

            impl glue::Component for Component {
                type Policy = $policy;

                const DECIDES: glue::Decisions = glue::Decisions::empty()
                    $(.union($crate::__weir_decision!(flag $decision)))+;

                fn keep(policy: $policy) -> bool {
                    POLICY.with(|cell| cell.set(policy).is_ok())
                }

                fn with<R>(ask: impl FnOnce(::std::option::Option<&$policy>) -> R) -> R {
                    POLICY.with(|cell| ask(cell.get()))
                }
            }

            glue::lifecycle::export!(Component with_types_in glue::lifecycle);
            $($crate::__weir_decision!(export $decision Component);)+
        }
    };
}

/// What [`export_policy!`] does for each decision.
#[doc(hidden)]
#[macro_export]
macro_rules! __weir_decision {
    (check placement $policy:ty) => {
        const _: fn(&$policy, &$crate::Request, &[$crate::BackendState]) -> $crate::Placement =
            <$policy as $crate::PlacementPolicy>::place;
    };
    (check overflow $policy:ty) => {
        const _: fn(
            &$policy,
            &$crate::Request,
            &[$crate::Excluded],
            &[$crate::BackendState],
        ) -> $crate::Overflow = <$policy as $crate::OverflowPolicy>::overflow;
    };
    (check replication $policy:ty) => {
        const _: fn(&$policy, &$crate::Object, &[$crate::BackendState]) -> $crate::Replication =
            <$policy as $crate::ReplicationPolicy>::replicate;
    };
    (check read_routing $policy:ty) => {
        const _: fn(&$policy, &$crate::Read, &[$crate::BackendState]) -> $crate::Route =
            <$policy as $crate::ReadRoutingPolicy>::route;
    };
    (flag placement) => { $crate::glue::Decisions::PLACEMENT };
    (flag overflow) => { $crate::glue::Decisions::OVERFLOW };
    (flag replication) => { $crate::glue::Decisions::REPLICATION };
    (flag read_routing) => { $crate::glue::Decisions::READ_ROUTING };
    (export placement $component:ident) => {
        $crate::glue::placement::export!($component with_types_in $crate::glue::placement);
    };
    (export overflow $component:ident) => {
        $crate::glue::overflow::export!($component with_types_in $crate::glue::overflow);
    };
    (export replication $component:ident) => {
        $crate::glue::replication::export!($component with_types_in $crate::glue::replication);
    };
    (export read_routing $component:ident) => {
        $crate::glue::read_routing::export!($component with_types_in $crate::glue::read_routing);
    };
    ($what:ident $decision:ident $($rest:tt)*) => {
        ::std::compile_error!(
            "a policy decides: placement, overflow, replication, read_routing"
        );
    };
}

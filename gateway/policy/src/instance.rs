//! One configured instance of a revision.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use wasmtime::{Store, Trap};

use crate::answer::{self, Answer, printable};
use crate::api::{PlacementInput, StaticFacts};
use crate::bindings::{PlacementPolicy, PlacementPolicyPre};
use crate::engine::Runtime;
use crate::error::{ConfigError, Fault, FaultKind};
use crate::guest::{GuestShared, GuestState, OverHostCalls, OverMemory};
use crate::limits::Limits;
use crate::metrics::Counters;
use crate::revision::Description;
use crate::wire;

/// Longest text of a fault.
const FAULT_BYTES_MAX: usize = 256;

pub(crate) struct Instance {
    store: Store<GuestState>,
    policy: PlacementPolicy,
    _counted: Counted,
    /// Decisions made.
    pub(crate) calls: u32,
}

impl Instance {
    /// An instance that is not configured yet.
    pub(crate) fn new(
        runtime: &Runtime,
        pre: &PlacementPolicyPre<GuestState>,
        shared: &Arc<GuestShared>,
    ) -> Result<Self, Fault> {
        let limits = &runtime.limits;
        let mut store = Store::new(&runtime.engine, GuestState::new(Arc::clone(shared), limits));
        store.limiter(|state| state);
        store.set_hostcall_fuel(limits.guest_output_bytes_max);
        // Start functions of the guest run now.
        grant(
            &mut store,
            limits.configure_fuel_max,
            Limits::ticks(limits.configure_time_max),
        )?;
        let policy = pre
            .instantiate(&mut store)
            .map_err(|error| fault_of(&error))?;
        Ok(Self {
            store,
            policy,
            _counted: Counted::new(&shared.counters),
            calls: 0,
        })
    }

    pub(crate) fn describe(&mut self, limits: &Limits) -> Result<Description, Fault> {
        self.begin(
            0,
            limits.configure_fuel_max,
            Limits::ticks(limits.configure_time_max),
        )?;
        let lifecycle = self.policy.weir_policy_lifecycle();
        let description = lifecycle
            .call_describe(&mut self.store)
            .map_err(|error| fault_of(&error))?;
        Ok(wire::description(description))
    }

    pub(crate) fn configure(
        &mut self,
        settings: &str,
        facts: &StaticFacts,
        limits: &Limits,
    ) -> Result<Result<(), Vec<ConfigError>>, Fault> {
        self.begin(
            0,
            limits.configure_fuel_max,
            Limits::ticks(limits.configure_time_max),
        )?;
        let lifecycle = self.policy.weir_policy_lifecycle();
        let outcome = wire::with_facts(facts, |facts| {
            lifecycle.call_configure(&mut self.store, settings, facts)
        });
        let outcome = outcome.map_err(|error| fault_of(&error))?;
        Ok(outcome.map_err(wire::config_errors))
    }

    /// One decision, of a shape that was checked. After a fault the instance
    /// must not be used again.
    pub(crate) fn place(
        &mut self,
        input: &PlacementInput<'_>,
        limits: &Limits,
    ) -> Result<Answer, Fault> {
        self.calls += 1;
        self.begin(
            input.request.now_ms,
            limits.call_fuel_max,
            Limits::ticks(limits.call_time_max),
        )?;
        let placement = self.policy.weir_policy_placement();
        let backends = wire::states(input.backends);
        let decision = wire::with_request(&input.request, |request| {
            placement.call_place(&mut self.store, request, &backends)
        });
        let mut answer = wire::answer(decision.map_err(|error| fault_of(&error))?);
        answer::check(&answer, input.backends.len(), limits.copies_max)?;
        answer.reason = printable(&answer.reason, limits.reason_bytes_max);
        Ok(answer)
    }

    fn begin(&mut self, now_ms: u64, fuel: u64, ticks: u64) -> Result<(), Fault> {
        self.store.data_mut().begin(now_ms);
        grant(&mut self.store, fuel, ticks)
    }
}

/// Counts an instance while it exists.
struct Counted(Arc<Counters>);

impl Counted {
    fn new(counters: &Arc<Counters>) -> Self {
        counters.instances_created.fetch_add(1, Relaxed);
        counters.instances_live.fetch_add(1, Relaxed);
        Self(Arc::clone(counters))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.instances_live.fetch_sub(1, Relaxed);
    }
}

fn grant(store: &mut Store<GuestState>, fuel: u64, ticks: u64) -> Result<(), Fault> {
    store.set_epoch_deadline(ticks);
    store.set_fuel(fuel).map_err(|error| fault_of(&error))
}

fn fault_of(error: &wasmtime::Error) -> Fault {
    let kind = if let Some(trap) = error.downcast_ref::<Trap>() {
        match trap {
            Trap::OutOfFuel => FaultKind::Fuel,
            Trap::Interrupt => FaultKind::Deadline,
            Trap::StackOverflow => FaultKind::Stack,
            _ => FaultKind::Trap,
        }
    } else if error.is::<OverMemory>() {
        FaultKind::Memory
    } else if error.is::<OverHostCalls>() || is_hostcall_fuel(error) {
        FaultKind::Output
    } else {
        FaultKind::Malformed
    };
    Fault {
        kind,
        message: printable(&error.root_cause().to_string(), FAULT_BYTES_MAX),
    }
}

/// Wasmtime's error type for exhausted hostcall fuel is private.
fn is_hostcall_fuel(error: &wasmtime::Error) -> bool {
    error
        .root_cause()
        .to_string()
        .contains("allocated for hostcalls")
}

//! One configured instance of a revision.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use wasmtime::Trap;

use crate::api::{Answer, Input, StaticFacts};
use crate::decision::{Decision, Overflow, Placement, Replication, Routing};
use crate::engine::Runtime;
use crate::error::{ConfigError, Fault, FaultKind};
use crate::guest::{GuestShared, GuestState, OverHostCalls, OverMemory};
use crate::limits::Limits;
use crate::metrics::Counters;
use crate::text::{is_plain, printable};
use crate::wire::{Described, Guest, Needs, Pre, Store};

/// Longest text of a fault.
const FAULT_BYTES_MAX: usize = 256;

pub(crate) struct Instance {
    store: Store,
    guest: Guest,
    needs: Needs,
    _counted: Counted,
    /// Decisions made.
    pub(crate) calls: u32,
}

/// Whether a call is made to load or decide, or to compare or get another instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Decide,
    /// It leaves no log lines and counts nothing.
    Compare,
}

impl Instance {
    /// An instance that is not configured yet. `needs` is what its policy is to be told.
    pub(crate) fn new(
        runtime: &Runtime,
        pre: &Pre,
        shared: &Arc<GuestShared>,
        needs: Needs,
        purpose: Purpose,
    ) -> Result<Self, Fault> {
        let limits = &runtime.limits;
        let mut state = GuestState::new(Arc::clone(shared), limits);
        state.begin(0, purpose == Purpose::Compare);
        let mut store = Store::new(&runtime.engine, state);
        store.limiter(|state| state);
        store.set_hostcall_fuel(limits.guest_output_bytes_max);
        // Start functions of the guest run now.
        grant(
            &mut store,
            limits.configure_fuel_max,
            Limits::ticks(limits.configure_time_max),
        )?;
        let guest = pre
            .instantiate(&mut store)
            .map_err(|error| fault_of(&error))?;
        Ok(Self {
            store,
            guest,
            needs,
            _counted: Counted::new(&shared.counters),
            calls: 0,
        })
    }

    pub(crate) fn describe(&mut self, limits: &Limits) -> Result<Described, Fault> {
        self.begin_lifecycle(limits, Purpose::Decide)?;
        let described = self.guest.describe(&mut self.store);
        described.map_err(|error| fault_of(&error))
    }

    pub(crate) fn configure(
        &mut self,
        settings: &str,
        facts: &StaticFacts,
        limits: &Limits,
        purpose: Purpose,
    ) -> Result<Result<(), Vec<ConfigError>>, Fault> {
        self.begin_lifecycle(limits, purpose)?;
        let outcome = self.guest.configure(&mut self.store, settings, facts);
        outcome.map_err(|error| fault_of(&error))
    }

    /// One decision, of a shape that was checked. After a fault the instance
    /// must not be used again.
    pub(crate) fn decide<D: Decision>(
        &mut self,
        input: &D::Input<'_>,
        limits: &Limits,
        purpose: Purpose,
    ) -> Result<D::Answer, Fault> {
        self.calls += 1;
        let subject = D::subject(input);
        let quiet = purpose == Purpose::Compare;
        self.store.data_mut().begin(subject.now_ms, quiet);
        let ticks = Limits::ticks(limits.call_time_max);
        let fuel = limits.call_fuel(subject.backends.len());
        grant(&mut self.store, fuel, ticks)?;
        let mut answer = D::ask(&self.guest, &mut self.store, input, self.needs)
            .map_err(|error| fault_of(&error))?;
        D::check(&answer, input, limits)?;
        if let Some(reason) = D::reason(&mut answer)
            && !is_plain(reason, limits.reason_bytes_max)
        {
            *reason = printable(reason, limits.reason_bytes_max);
        }
        Ok(answer)
    }

    /// [`Instance::decide`] for whichever question it is.
    pub(crate) fn answer(
        &mut self,
        input: &Input<'_>,
        limits: &Limits,
        purpose: Purpose,
    ) -> Result<Answer, Fault> {
        match input {
            Input::Placement(input) => self.wrapped::<Placement>(input, limits, purpose),
            Input::Overflow(input) => self.wrapped::<Overflow>(input, limits, purpose),
            Input::Replication(input) => self.wrapped::<Replication>(input, limits, purpose),
            Input::ReadRouting(input) => self.wrapped::<Routing>(input, limits, purpose),
        }
    }

    fn wrapped<D: Decision>(
        &mut self,
        input: &D::Input<'_>,
        limits: &Limits,
        purpose: Purpose,
    ) -> Result<Answer, Fault> {
        let answer = self.decide::<D>(input, limits, purpose)?;
        Ok(D::wrap_answer(answer))
    }

    /// Fuel that is left of what the last call was granted.
    pub(crate) fn fuel_left(&self) -> u64 {
        self.store.get_fuel().unwrap_or(0)
    }

    /// Memory that the guest has now.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.store.data().memory_bytes()
    }

    fn begin_lifecycle(&mut self, limits: &Limits, purpose: Purpose) -> Result<(), Fault> {
        let quiet = purpose == Purpose::Compare;
        self.store.data_mut().begin(0, quiet);
        let ticks = Limits::ticks(limits.configure_time_max);
        grant(&mut self.store, limits.configure_fuel_max, ticks)
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

fn grant(store: &mut Store, fuel: u64, ticks: u64) -> Result<(), Fault> {
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

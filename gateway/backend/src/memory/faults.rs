//! What can go wrong with a call, and who decides it.

use std::collections::BTreeMap;
use std::time::Duration;

use weir_types::backend::BackendErrorKind;
use weir_types::entropy::{Entropy as _, SeededEntropy};

use crate::metered::Operation;

/// What goes wrong with one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It fails and does nothing.
    Fail(BackendErrorKind),
    /// It does what it should, and is answered as failed.
    FailAfter(BackendErrorKind),
    /// It is never answered and does nothing.
    Hang,
    /// It is never answered; what it does happens when the backend is thawed
    /// ([`super::MemoryBackend::thaw`]), long after its caller gave up.
    Late,
    /// It takes this long.
    Slow(Duration),
    /// One byte is wrong: of what is read, or, on a put, of what is stored.
    Corrupt {
        /// Which, counted round and round the bytes.
        offset: u64,
    },
    /// The stream is cut off: a read ends in an error after this many bytes; a put fails with
    /// [`BackendErrorKind::Unavailable`] and stores nothing.
    Truncate {
        /// Bytes that pass before.
        after: u64,
    },
}

/// A call that is about to be made.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// Counts calls from 1.
    pub number: u64,
    /// What is asked.
    pub operation: Operation,
    /// Of which key, or with which prefix.
    pub key: &'a str,
}

/// Decides what goes wrong.
pub trait FaultPlan: Send + Sync + 'static {
    /// What goes wrong with `call`; `None`: nothing.
    fn fault(&self, call: &Call<'_>) -> Option<Fault>;
}

impl<F: Fn(&Call<'_>) -> Option<Fault> + Send + Sync + 'static> FaultPlan for F {
    fn fault(&self, call: &Call<'_>) -> Option<Fault> {
        self(call)
    }
}

/// Faults at calls of given numbers.
#[derive(Debug, Clone, Default)]
pub struct NthCalls(pub BTreeMap<u64, Fault>);

impl FaultPlan for NthCalls {
    fn fault(&self, call: &Call<'_>) -> Option<Fault> {
        self.0.get(&call.number).copied()
    }
}

/// Faults at random, as a seed decides: the same seed and calls give the same faults.
#[derive(Debug)]
pub struct SeededFaults {
    /// Calls out of a thousand that go wrong.
    pub per_mille: u64,
    /// What may go wrong, each as likely.
    pub faults: Vec<Fault>,
    /// The dice.
    pub dice: SeededEntropy,
}

impl FaultPlan for SeededFaults {
    fn fault(&self, _call: &Call<'_>) -> Option<Fault> {
        let (hit, which) = (self.dice.u64() % 1000, self.dice.u64());
        let count = self.faults.len() as u64;
        if hit >= self.per_mille || count == 0 {
            return None;
        }
        self.faults
            .get(usize::try_from(which % count).ok()?)
            .copied()
    }
}

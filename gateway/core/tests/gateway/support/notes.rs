//! An observer that keeps what the core did not do as it was proposed.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use weir_core::observe::{
    AccessRecord, BackendCall, Clamped, Observer, OperationClass, Overflow, WorkOutcome,
};
use weir_types::id::BackendId;

/// Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Notes {
    clamped: Arc<Mutex<Vec<Clamped>>>,
    overflows: Arc<Mutex<Vec<Overflow>>>,
}

impl Notes {
    /// How often that was clamped.
    pub(crate) fn clamped(&self, what: Clamped) -> usize {
        self.clamped.lock().iter().filter(|c| **c == what).count()
    }

    /// What became of versions without room, in order.
    pub(crate) fn overflows(&self) -> Vec<Overflow> {
        self.overflows.lock().clone()
    }
}

impl Observer for Notes {
    fn request(&self, _: &AccessRecord) {}
    fn backend_call(&self, _: &BackendCall<'_>) {}
    fn work(&self, _: &'static str, _: WorkOutcome, _: Duration) {}
    fn breaker(&self, _: &BackendId, _: OperationClass, _: bool) {}

    fn clamped(&self, storage_policy: &str, what: Clamped) {
        assert!(!storage_policy.is_empty(), "{what:?} of nothing");
        self.clamped.lock().push(what);
    }

    fn overflow(&self, _storage_policy: &str, outcome: Overflow) {
        self.overflows.lock().push(outcome);
    }
}

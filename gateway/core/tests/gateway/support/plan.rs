//! Where a process dies.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;
use weir_types::crash::{CrashPlan, CrashPoints};

/// Dies at the `nth` passing of one point; then every task stops at its next point.
pub(crate) struct DieAt {
    point: &'static str,
    nth: u64,
    dead: AtomicBool,
    died: Notify,
    passed: Mutex<BTreeMap<&'static str, u64>>,
}

impl DieAt {
    pub(crate) fn new(point: &'static str, nth: u64) -> Arc<Self> {
        Arc::new(Self {
            point,
            nth,
            dead: AtomicBool::new(false),
            died: Notify::new(),
            passed: Mutex::default(),
        })
    }

    pub(crate) fn points(self: &Arc<Self>) -> CrashPoints {
        CrashPoints::planned(Arc::clone(self) as Arc<dyn CrashPlan>)
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::SeqCst)
    }

    /// Waits for death.
    pub(crate) async fn death(&self) {
        let died = self.died.notified();
        if !self.is_dead() {
            died.await;
        }
    }
}

impl CrashPlan for DieAt {
    fn dies_at(&self, point: &'static str) -> bool {
        let mut passed = self.passed.lock();
        let count = passed.entry(point).or_default();
        *count += 1;
        if point == self.point && *count == self.nth {
            self.dead.store(true, Ordering::SeqCst);
            self.died.notify_waiters();
        }
        self.is_dead()
    }
}

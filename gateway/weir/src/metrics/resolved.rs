//! Metrics of every request, found by their labels once.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use arc_swap::ArcSwap;
use prometheus::{Histogram, IntCounter};
use weir_types::backend::BackendErrorKind;
use weir_types::id::BackendId;

/// Operation and HTTP status.
pub(super) type RequestLabels = (&'static str, u16);

/// Backend, operation, and how the call failed.
pub(super) type CallLabels = (BackendId, &'static str, Option<BackendErrorKind>);

/// What a request is counted in.
#[derive(Clone)]
pub(super) struct Requests {
    pub(super) count: IntCounter,
    pub(super) seconds: Histogram,
    pub(super) head_seconds: Histogram,
    pub(super) bytes_in: IntCounter,
    pub(super) bytes_out: IntCounter,
}

/// What a call to a backend is counted in.
#[derive(Clone)]
pub(super) struct Calls {
    pub(super) count: IntCounter,
    pub(super) seconds: Histogram,
}

/// Metrics by their labels. To find them among all takes longer than to count, so it is done
/// when labels come for the first time. All are kept: there must be few.
pub(super) struct Resolved<K, M>(ArcSwap<HashMap<K, M>>);

impl<K, M> Default for Resolved<K, M> {
    fn default() -> Self {
        Self(ArcSwap::default())
    }
}

impl<K: Eq + Hash + Clone, M: Clone> Resolved<K, M> {
    /// Counts in what stands under `labels`; `find` finds it the first time.
    pub(super) fn count(&self, labels: &K, find: impl FnOnce() -> M, count: impl FnOnce(&M)) {
        if let Some(metrics) = self.0.load().get(labels) {
            return count(metrics);
        }
        let metrics = find();
        self.0.rcu(|known| {
            let mut known = HashMap::clone(known);
            known.insert(labels.clone(), metrics.clone());
            Arc::new(known)
        });
        count(&metrics);
    }
}

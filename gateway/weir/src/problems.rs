//! What an operator should look at: shown on the status page until it is over.

use std::collections::BTreeMap;

use parking_lot::Mutex;

/// Problems by what they concern.
#[derive(Debug, Default)]
pub struct Problems(Mutex<BTreeMap<String, String>>);

impl Problems {
    /// Something is wrong with `what`. Logged once, until it changes.
    pub fn set(&self, what: &str, reason: String) {
        let mut problems = self.0.lock();
        if problems.get(what) != Some(&reason) {
            tracing::error!(what, %reason, "what was in force stays in force");
            problems.insert(what.to_owned(), reason);
        }
    }

    /// Nothing is wrong with `what` any more.
    pub fn clear(&self, what: &str) {
        if self.0.lock().remove(what).is_some() {
            tracing::info!(what, "recovered");
        }
    }

    /// All of them.
    pub fn all(&self) -> BTreeMap<String, String> {
        self.0.lock().clone()
    }
}

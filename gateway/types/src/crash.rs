//! Named points between two steps, at which a test can end the process.
//!
//! Production code passes every point for the price of one pointer check. A test arms a
//! point; the first task that reaches it reports so and never goes on, as if the machine
//! had lost power there. The test then drops the gateway and opens another on what was
//! durable.

use std::sync::Arc;

/// What a test hangs on crash points.
pub trait CrashPlan: Send + Sync + 'static {
    /// Told of each point passed; `true` means the process ends here.
    fn dies_at(&self, point: &'static str) -> bool;
}

/// Handle that code carries past its crash points.
#[derive(Clone, Default)]
pub struct CrashPoints(Option<Arc<dyn CrashPlan>>);

impl CrashPoints {
    /// Points that never fire: production.
    pub const fn none() -> Self {
        Self(None)
    }

    /// Points that ask `plan`.
    pub fn planned(plan: Arc<dyn CrashPlan>) -> Self {
        Self(Some(plan))
    }

    /// Passes the point `name`; never returns when the plan says that the process ends here.
    pub async fn pass(&self, name: &'static str) {
        if let Some(plan) = &self.0
            && plan.dies_at(name)
        {
            std::future::pending::<()>().await;
        }
    }
}

impl std::fmt::Debug for CrashPoints {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CrashPoints(armed: {})", self.0.is_some())
    }
}

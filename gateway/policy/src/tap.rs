//! Who looks on.

use crate::api::{Answer, Input, Origin};

/// Sees every decision after it was made, on the thread that asked for it and before that goes
/// on: a recording, say. It must not block.
pub trait Tap: Send + Sync {
    /// Whether it wants to see decisions of this binding. Asked before each; cheap.
    fn wants(&self, binding: &str) -> bool;

    /// A decision was made. Not called for one that was refused.
    fn decided(&self, binding: &str, input: &Input<'_>, answer: &Answer, origin: &Origin);
}

//! Finding out whether a backend takes writes again.
//!
//! While other candidates take the writes, one behind an open breaker would never be asked
//! again. To let a client's own write find out would cost that client the time a dead backend
//! takes to fail, and a large body cannot be offered twice. Reading proves too little: a disk
//! may be full or read-only. So an empty object is written beside the request, under an intent
//! and a key of its own like every write, and removed again: what a crash leaves of it is
//! cleared like any other orphan.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use weir_types::backend::{BackendError, BackendErrorKind};
use weir_types::id::{BackendKey, BlobId, IntentId};
use weir_types::index::{IndexError, Mutation};
use weir_types::record::{Intent, IntentPurpose, IntentState};

use super::write::{FIRST_ATTEMPT, WriteGuard};
use crate::backends::BackendHandle;
use crate::gateway::Gateway;
use crate::observe::OperationClass;

/// A backend that takes longer for nothing has not recovered.
const ANSWER_MAX: Duration = Duration::from_secs(10);

const CLASS: OperationClass = OperationClass::Write;

impl Gateway {
    /// Tries a backend whose write breaker is open and due, beside whatever the caller does.
    /// However many ask, tries are few: the breaker spaces them, and each ends soon.
    pub(super) fn probe_writes(self: &Arc<Self>, handle: &Arc<BackendHandle>) {
        if handle.facts().read_only || handle.is_healthy(CLASS) || !handle.admits(CLASS) {
            return;
        }
        let gateway = Arc::clone(self);
        let handle = Arc::clone(handle);
        tokio::spawn(async move {
            match timeout(ANSWER_MAX, gateway.write_nothing(&handle)).await {
                Ok(Ok(())) => {}
                // The backend was not to blame, and was not asked: the breaker lets the next
                // one try.
                Ok(Err(error)) => tracing::warn!(%error, "a backend could not be probed"),
                Err(_elapsed) => {
                    let silence = "an empty object was not taken in time";
                    let error = BackendError::new(BackendErrorKind::Unavailable, silence);
                    handle.learn(CLASS, Some(&error));
                }
            }
        });
    }

    /// Writes an empty object and removes it; the breaker learns how that went. Cancelling
    /// condemns what was begun.
    async fn write_nothing(self: &Arc<Self>, handle: &BackendHandle) -> Result<(), IndexError> {
        let now = self.now();
        let blob = BlobId::mint(now, &*self.entropy);
        let key = BackendKey::of(&self.site, blob, FIRST_ATTEMPT);
        let intent = IntentId::mint(&*self.entropy);
        let guard = WriteGuard::new(self, vec![intent]);
        let begin = Mutation::Begin {
            intents: vec![Intent {
                intent,
                backend: handle.id().clone(),
                key: key.clone(),
                blob,
                attempt: FIRST_ATTEMPT,
                purpose: IntentPurpose::Put,
                created_at: now,
                backend_upload: None,
                reserved_bytes: 0,
                state: IntentState::Open,
            }],
        };
        self.index.apply(begin).await?;
        let nothing = Box::pin(futures_util::stream::empty());
        let put = handle.backend().put(&key, 0, nothing);
        let put = handle.call("put", CLASS, put).await;
        tracing::debug!(backend = %handle.id(), taken = put.is_ok(), "probed with an empty object");
        // Like any write that is given up it is removed at once, and again when it can no
        // longer land late.
        guard.condemn().await;
        Ok(())
    }
}

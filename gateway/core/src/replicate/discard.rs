//! Deleting the bytes of a condemned intent.

use std::time::Duration;

use weir_types::backend::BackendError;
use weir_types::clock::Timestamp;
use weir_types::id::IntentId;
use weir_types::index::Mutation;
use weir_types::record::{Intent, IntentPurpose, IntentState};

use super::job::{Halt, Job, Run};
use crate::backends::BackendHandle;
use crate::observe::OperationClass;

/// Uploads under one key that are looked for; there is never more than one or two.
const UPLOADS_PER_KEY_MAX: usize = 100;

/// A reader that takes longer goes on at another copy.
const READERS_MAX: Duration = Duration::from_secs(24 * 3600);

impl Job {
    /// [`weir_types::record::Work::Discard`]: deletes at once and, because a write that was
    /// given up may still land, again at the intent's last look; then the intent goes. No
    /// copy can have this key: a commit needs the intent open.
    pub(super) async fn discard(&self, id: IntentId) -> Run {
        let intent = self.gateway.index.intent(id).await?;
        let Some((intent, last_look_at)) = intent.and_then(condemned) else {
            self.finish(Vec::new()).await?;
            return Ok(());
        };
        if self.may_be_read(&intent) {
            return Err(Halt::Waiting);
        }
        let (handle, _slot) = self.enter(&intent.backend, OperationClass::Write)?;
        self.remove_uploads(handle, &intent).await.map_err(failed)?;
        self.gateway.crash.pass("discard:uploads-aborted").await;
        let delete = handle.backend().delete(&intent.key);
        handle
            .call("delete", OperationClass::Write, delete)
            .await
            .map_err(failed)?;
        self.gateway.crash.pass("discard:deleted").await;
        let last_look_at = self.ripe_at(last_look_at);
        if self.gateway.now() < last_look_at {
            return Err(Halt::Until(last_look_at));
        }
        self.finish(vec![Mutation::DropIntents { intents: vec![id] }])
            .await?;
        self.gateway.crash.pass("discard:dropped").await;
        Ok(())
    }

    /// When a write that was under way when the intent was condemned has landed or never will,
    /// by a clock that may leap.
    fn ripe_at(&self, last_look_at: Timestamp) -> Timestamp {
        let since = self.entry.created_at;
        let age = last_look_at.since(since);
        if age.is_zero() {
            return last_look_at;
        }
        let gateway = &self.gateway;
        gateway.ageing.ripe_here_at(since, age, gateway.now())
    }

    /// Whether somebody may be reading from these bytes: those of a copy that was taken off
    /// its blob while that is being read. A blob that is read all the time would never let go
    /// of them, so readers are waited for only as long as one can reasonably take.
    fn may_be_read(&self, intent: &Intent) -> bool {
        // An intent that was made when its bytes were condemned stands for a copy; any other
        // replica never became one.
        intent.purpose == IntentPurpose::Replica
            && intent.created_at == self.entry.created_at
            && self.gateway.leases.contains_key(&intent.blob)
            && self.gateway.now().since(intent.created_at) < READERS_MAX
    }

    /// Aborts the upload at the backend, if there may be one.
    async fn remove_uploads(
        &self,
        handle: &BackendHandle,
        intent: &Intent,
    ) -> Result<(), BackendError> {
        let key = &intent.key;
        if let Some(upload) = &intent.backend_upload {
            let abort = handle.backend().abort_upload(key, upload);
            handle
                .call("abort_upload", OperationClass::Write, abort)
                .await?;
        } else if self.may_have_unnoted_upload(intent) {
            let list = handle
                .backend()
                .list_uploads(key.as_str(), UPLOADS_PER_KEY_MAX);
            let found = handle
                .call("list_uploads", OperationClass::Read, list)
                .await?;
            for upload in found.into_iter().filter(|found| found.key == key.as_str()) {
                let abort = handle.backend().abort_upload(key, &upload.upload);
                handle
                    .call("abort_upload", OperationClass::Write, abort)
                    .await?;
            }
        }
        Ok(())
    }

    /// A writer that died between starting an upload and noting its id leaves one that only
    /// the backend knows. Whole puts begin none; neither does a former copy, whose last look
    /// is not after the time it was condemned.
    fn may_have_unnoted_upload(&self, intent: &Intent) -> bool {
        use IntentPurpose::{Put, Replica, Upload};
        match (intent.purpose, intent.state) {
            (Upload(_), _) => true,
            (Replica, IntentState::Condemned { last_look_at }) => {
                last_look_at > self.entry.created_at
            }
            (Put, _) | (Replica, IntentState::Open) => false,
        }
    }
}

fn condemned(intent: Intent) -> Option<(Intent, Timestamp)> {
    match intent.state {
        IntentState::Condemned { last_look_at } => Some((intent, last_look_at)),
        IntentState::Open => None,
    }
}

pub(super) fn failed(error: BackendError) -> Halt {
    Halt::Failed(error.to_string())
}

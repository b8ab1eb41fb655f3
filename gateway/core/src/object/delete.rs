//! DeleteObject and DeleteObjects.

use std::sync::Arc;

use futures_util::{StreamExt, stream};
use weir_types::error::ErrorCode;
use weir_types::etag::ETag;
use weir_types::id::ObjectKey;
use weir_types::index::Mutation;
use weir_types::operation::{Action, DeleteObject, DeleteObjects, DeletedKey};
use weir_types::{Error, Result};

use super::Asker;
use super::write::clean_at;
use crate::gateway::Gateway;

/// Deletes of one DeleteObjects request that are in the index's queue at once: they share
/// group commits.
const DELETES_AT_ONCE: usize = 64;

impl Gateway {
    /// Removes a key's current version; a key that has none is fine. The bytes go later, when
    /// readers have ended.
    pub(crate) async fn delete_object(self: &Arc<Self>, delete: DeleteObject) -> Result<()> {
        let now = self.now();
        let mutation = Mutation::DeleteCurrent {
            bucket: delete.bucket,
            key: delete.key,
            if_match: delete.if_match,
            now,
            clean_at: clean_at(self, now),
        };
        self.apply(mutation).await?;
        self.crash.pass("delete:committed").await;
        Ok(())
    }

    /// Removes many keys; each is authorized and answered for itself.
    pub(crate) async fn delete_objects(
        self: &Arc<Self>,
        delete: DeleteObjects,
        asker: Asker<'_>,
    ) -> Result<Vec<DeletedKey>> {
        self.bucket(&delete.bucket).await?;
        let DeleteObjects { bucket, keys, .. } = delete;
        let one = |(key, if_match): (ObjectKey, Option<ETag>)| {
            let bucket = bucket.clone();
            async move {
                let allowed = self.grants.allows(
                    asker.principal,
                    Action::Delete,
                    Some(&bucket),
                    Some(key.as_str()),
                );
                let result = if allowed {
                    self.delete_object(DeleteObject {
                        bucket,
                        key: key.clone(),
                        if_match,
                    })
                    .await
                } else {
                    Err(Error::from(ErrorCode::AccessDenied))
                };
                DeletedKey {
                    key,
                    error: result.err(),
                }
            }
        };
        Ok(stream::iter(keys)
            .map(one)
            .buffered(DELETES_AT_ONCE)
            .collect()
            .await)
    }
}

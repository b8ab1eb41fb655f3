//! ListObjects: pages of current versions.

use weir_types::Result;
use weir_types::index::ListPage;
use weir_types::operation::ListObjects;

use crate::gateway::{Gateway, index_error};

impl Gateway {
    /// One page, from one snapshot of the index.
    pub(crate) async fn list_objects(&self, list: ListObjects) -> Result<ListPage> {
        let bucket = self.bucket(&list.bucket).await?;
        let mut query = list.query;
        query.bucket = bucket.incarnation;
        self.index.list(query).await.map_err(index_error)
    }
}

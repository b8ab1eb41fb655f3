//! Operations on buckets.

use std::sync::Arc;

use weir_types::error::ErrorCode;
use weir_types::id::{BucketName, Principal};
use weir_types::index::{IndexError, Mutation, Refusal};
use weir_types::operation::{Action, BucketInfo};
use weir_types::record::BucketRecord;
use weir_types::{Error, Result};

use crate::gateway::{Gateway, index_error, no_such_bucket};

impl Gateway {
    /// The buckets that the caller may list.
    pub(crate) async fn list_buckets(&self, who: &Principal) -> Result<Vec<BucketInfo>> {
        let buckets = self.index.buckets().await.map_err(index_error)?;
        let visible = |b: &BucketRecord| self.grants.allows(who, Action::List, Some(&b.name), None);
        Ok(buckets.into_iter().filter(visible).map(info).collect())
    }

    /// Makes a bucket. A repeated request of its owner gets BucketAlreadyOwnedByYou, anybody
    /// else BucketAlreadyExists.
    pub(crate) async fn create_bucket(
        &self,
        bucket: BucketName,
        location: Option<String>,
        who: &Principal,
    ) -> Result<()> {
        let create = Mutation::CreateBucket {
            name: bucket.clone(),
            owner: Some(who.clone()),
            location,
            now: self.now(),
        };
        match self.index.apply(create).await {
            Ok(_) => Ok(()),
            Err(IndexError::Refused(Refusal::BucketExists)) => {
                let mine = self.grants.allows(who, Action::List, Some(&bucket), None);
                let code = if mine {
                    ErrorCode::BucketAlreadyOwnedByYou
                } else {
                    ErrorCode::BucketAlreadyExists
                };
                Err(code.into())
            }
            Err(error) => Err(index_error(error)),
        }
    }

    /// Removes an empty bucket, and with it a bounded number of open uploads.
    pub(crate) async fn delete_bucket(self: &Arc<Self>, bucket: &BucketName) -> Result<()> {
        let delete = Mutation::DeleteBucket {
            name: bucket.clone(),
            now: self.now(),
        };
        match self.index.apply(delete).await {
            Ok(_) => Ok(()),
            Err(IndexError::Refused(Refusal::NoSuchBucket)) => Err(no_such_bucket(bucket)),
            Err(IndexError::Refused(Refusal::TooManyUploads)) => Err(Error::new(
                ErrorCode::BucketNotEmpty,
                format!(
                    "The bucket has more than {} multipart uploads in progress; abort some first.",
                    Mutation::UPLOADS_PER_BUCKET_DELETE_MAX
                ),
            )),
            Err(error) => Err(index_error(error)),
        }
    }

    /// A bucket as clients see it.
    pub(crate) async fn bucket_info(&self, bucket: &BucketName) -> Result<BucketInfo> {
        self.bucket(bucket).await.map(info)
    }
}

fn info(record: BucketRecord) -> BucketInfo {
    BucketInfo {
        name: record.name,
        created_at: record.created_at,
        location: record.location,
    }
}

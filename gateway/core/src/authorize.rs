//! Who may do what.

use weir_types::error::ErrorCode;
use weir_types::id::{BucketName, Principal};
use weir_types::operation::{Action, Operation};
use weir_types::{Error, Result};

/// Answers whether a principal may act. Implementations may change their mind at any time
/// (credentials and grants reload live); each request asks anew.
pub trait Grants: Send + Sync + 'static {
    /// Whether `who` may do `action` on the bucket and, where the grant is limited to a prefix,
    /// on the key. `bucket` is `None` only for ListBuckets as such.
    fn allows(
        &self,
        who: &Principal,
        action: Action,
        bucket: Option<&BucketName>,
        key: Option<&str>,
    ) -> bool;
}

/// Refuses with AccessDenied unless everything the operation needs is granted.
pub fn authorize(grants: &dyn Grants, who: &Principal, operation: &Operation) -> Result<()> {
    let granted = operation
        .needs()
        .into_iter()
        .all(|(action, bucket, key)| grants.allows(who, action, bucket, key));
    if granted {
        Ok(())
    } else {
        Err(Error::from(ErrorCode::AccessDenied))
    }
}

/// Grants everything to everybody: for tests and models.
#[derive(Debug, Clone, Copy, Default)]
pub struct AllowAll;

impl Grants for AllowAll {
    fn allows(&self, _: &Principal, _: Action, _: Option<&BucketName>, _: Option<&str>) -> bool {
        true
    }
}

use weir_backend::memory::MemoryBackend;
use weir_types::id::{BlobId, SiteId};

use super::*;

fn identity(site: &str, epoch: &str) -> IndexIdentity {
    let site = SiteId::parse(site).expect("a valid site");
    IndexIdentity { site, epoch: epoch.to_owned() }
}

//! Multipart uploads: what they make, what they refuse, and what they survive.

mod refusals;
mod troubles;
mod whole;

use weir_types::body::{ExpectedChecksum, ExpectedDigests, IncomingBody};
use weir_types::checksum::{ChecksumAlgorithm, ChecksumKind};
use weir_types::crash::CrashPoints;
use weir_types::etag::ETag;
use weir_types::id::UploadId;
use weir_types::operation::{ListMultipartUploads, Operation, Outcome};

use crate::support::{Dice, Life, World, body};

const KEY: &str = "a/b";

fn in_memory(story: impl AsyncFnOnce(&World, &Life)) {
    let world = World::in_memory(1, 3);
    world.live(CrashPoints::none(), async |life| {
        life.make_bucket().await;
        story(&world, &life).await;
    });
}

/// An open upload with parts 1 to `sizes.len()`, and its bytes.
async fn upload_of(
    life: &Life,
    sizes: &[u64],
    checksum: Option<(ChecksumAlgorithm, ChecksumKind)>,
) -> (UploadId, Vec<(u16, ETag)>, Vec<u8>) {
    let upload = life
        .client
        .create_upload(KEY, checksum)
        .await
        .expect("begins")
        .upload_id;
    let dice = Dice::new(sizes.iter().sum());
    let mut parts = Vec::new();
    let mut whole = Vec::new();
    for (number, size) in (1..).zip(sizes) {
        let bytes = dice.bytes(*size);
        let body = match checksum {
            Some((algorithm, _)) => IncomingBody {
                expected: ExpectedDigests {
                    md5: None,
                    checksum: Some(ExpectedChecksum::Compute(algorithm)),
                },
                ..body(&bytes)
            },
            None => body(&bytes),
        };
        let part = life
            .client
            .part_of(KEY, upload, number, body)
            .await
            .expect("taken");
        parts.push((number, part.etag));
        whole.extend(bytes);
    }
    (upload, parts, whole)
}

async fn uploads_of(life: &Life) -> Vec<(String, UploadId)> {
    let list = ListMultipartUploads {
        bucket: life.client.bucket.clone(),
        prefix: String::new(),
        delimiter: None,
        after: None,
        limit: 100,
    };
    let listed = life
        .client
        .run(Operation::ListMultipartUploads(list))
        .await
        .expect("lists");
    let Outcome::Uploads(page) = listed else {
        panic!("not a list of uploads")
    };
    page.uploads
        .into_iter()
        .map(|u| (u.key.to_string(), u.upload_id))
        .collect()
}

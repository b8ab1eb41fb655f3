use weir_types::id::BlobId;
use weir_types::record::{BlobState, Placement};

use super::*;

const GIB: u64 = 1024 * 1024 * 1024;

fn blob(size: u64, segments: &[(u16, u64)]) -> BlobRecord {
    let segment =
        |(number, bytes): &(u16, u64)| (PartNumber::new(*number).expect("a valid number"), *bytes);
    BlobRecord {
        blob: BlobId(1),
        size,
        refs: 1,
        state: BlobState::Live,
        copies: Vec::new(),
        next_attempt: 1,
        placement: Placement::default(),
        segments: segments.iter().map(segment).collect(),
        inline_crcs: None,
        md5: None,
        origin: None,
    }
}

fn check(blob: &BlobRecord, put_bytes_max: u64, count: usize) {
    let pieces = pieces(blob, put_bytes_max);
    assert_eq!(pieces.len(), count, "{blob:?}");
    let mut at = 0;
    for pair in pieces.windows(2) {
        assert!(pair[0].0 < pair[1].0, "numbers rise");
    }
    for (_, range) in &pieces {
        assert_eq!(range.start, at, "nothing between");
        assert!(range.end - range.start <= put_bytes_max.next_multiple_of(BLOCK_BYTES));
        at = range.end;
    }
    assert_eq!(at, blob.size, "nothing left");
}

#[test]
fn blobs_travel_in_pieces_that_backends_take() {
    check(&blob(0, &[]), 5 * GIB, 1);
    check(&blob(17, &[]), 5 * GIB, 1);
    check(&blob(5 * GIB, &[]), 5 * GIB, 1);
    check(&blob(5 * GIB + 1, &[]), 5 * GIB, 6);
    check(&blob(17, &[(9, 17)]), 5 * GIB, 1);
    check(&blob(30, &[(2, 10), (5, 20)]), 5 * GIB, 2);
    check(&blob(3 * BLOCK_BYTES + 1, &[]), BLOCK_BYTES, 4);
    check(&blob(48_000 * GIB, &[]), 5 * GIB, 10_000);
}

//! Where the first copy goes when the backend that was chosen first does not take it.

use std::ops::RangeInclusive;

use weir_types::crash::CrashPoints;

use crate::support::{Dice, World};

/// More than a directory takes in one piece.
const LARGE_BYTES: u64 = 600_000;

/// Puts a large object while the named disks have room for everything but its bytes.
fn put_beside_full_disks(full: RangeInclusive<usize>) {
    let world = World::on_files(7, 3);
    world.live(CrashPoints::none(), async |life| {
        life.make_bucket().await;
        for number in full.clone() {
            world.disk(number).set_bytes_max(Some(LARGE_BYTES / 2));
        }
        let bytes = Dice::new(1).bytes(LARGE_BYTES);
        let put = life.client.put("large", &bytes).await;
        assert!(put.is_ok(), "disks {full:?} are full: {put:?}");
        let got = life.client.get("large").await.expect("reads");
        assert!(got.expect("is there").0 == bytes, "other bytes come back");
    });
}

#[test]
fn a_large_body_goes_on_from_full_disks_to_one_with_room() {
    // Whichever is asked first, one of these has it full.
    put_beside_full_disks(0..=1);
    put_beside_full_disks(1..=2);
    put_beside_full_disks(0..=0);
    put_beside_full_disks(2..=2);
}

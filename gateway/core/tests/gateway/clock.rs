//! A wall clock that leaps delays nothing for long and makes nothing old.

use std::time::Duration;

use tokio::time::{sleep, timeout};
use weir_backend::Operation as BackendOperation;
use weir_backend::memory::Fault;
use weir_types::backend::BackendErrorKind;
use weir_types::crash::CrashPoints;
use weir_types::id::UploadId;

use crate::support::{Life, World, at_rest, come_to_rest, held, object_key, require_laws};

const DAY: Duration = Duration::from_secs(24 * 3600);

async fn copies(life: &Life, key: &str) -> usize {
    let index = life.gateway.index();
    let found = index.lookup(&life.client.bucket, &object_key(key)).await;
    found
        .expect("readable")
        .blob
        .expect("is there")
        .copies
        .len()
}

#[test]
fn a_clock_set_back_delays_no_work() {
    for back in [Duration::from_secs(1800), 30 * DAY] {
        let world = World::in_memory(31, 2);
        world.live(CrashPoints::none(), async |life| {
            life.make_bucket().await;
            life.set_ahead(60 * DAY);
            let background = life.start_background();
            sleep(Duration::from_secs(1)).await;
            let down = Fault::Fail(BackendErrorKind::Unavailable);
            world.fail_everywhere(BackendOperation::Get, u64::MAX, down);
            life.client.put("key", &[1; 100]).await.expect("is put");
            sleep(Duration::from_secs(600)).await;
            assert_eq!(copies(&life, "key").await, 1, "it is put off by the minute");
            world.calm();
            life.set_back(back);
            sleep(Duration::from_secs(120)).await;
            assert_eq!(copies(&life, "key").await, 2, "set back by {back:?}");
            background.stop().await;
            at_rest(&life).await;
        });
    }
}

#[test]
fn a_clock_set_back_between_two_lives_delays_no_work() {
    let world = World::in_memory(32, 2);
    world.live(CrashPoints::none(), async |life| {
        life.make_bucket().await;
        life.set_ahead(30 * DAY);
        life.client.put("key", &[1; 100]).await.expect("is put");
        life.set_back(30 * DAY);
    });
    world.live(CrashPoints::none(), async |life| {
        let background = life.start_background();
        sleep(Duration::from_secs(1)).await;
        assert_eq!(copies(&life, "key").await, 2);
        background.stop().await;
        at_rest(&life).await;
    });
}

/// Settings of the world: uploads and tombstones are kept for two hours.
fn forgetful(seed: u64) -> World {
    let mut world = World::in_memory(seed, 2);
    world.settings.memory_of_deletes = world.settings.upload_age_max;
    world
}

/// Leaves an open upload and a tombstone behind.
async fn leave(life: &Life) -> UploadId {
    life.make_bucket().await;
    life.client.put("gone", &[1]).await.expect("is put");
    life.client.delete("gone", None).await.expect("is deleted");
    let upload = life.client.create_upload("key", None).await;
    upload.expect("begins").upload_id
}

/// Whether the upload and the tombstone are there.
async fn are_there(life: &Life, upload: UploadId) -> (bool, bool) {
    let index = life.gateway.index();
    let bucket = index.bucket(&life.client.bucket).await;
    let bucket = bucket.expect("readable").expect("is there").incarnation;
    let tombstone = index.tombstone(bucket, &object_key("gone")).await;
    let open = life.client.part("key", upload, 1, &[1]).await.is_ok();
    (open, tombstone.expect("readable").is_some())
}

#[test]
fn a_clock_set_ahead_makes_nothing_old() {
    let world = forgetful(33);
    world.live(CrashPoints::none(), async |life| {
        let background = life.start_background();
        let upload = leave(&life).await;
        sleep(Duration::from_secs(600)).await;
        life.set_ahead(30 * DAY);
        sleep(Duration::from_secs(7000)).await;
        assert_eq!(are_there(&life, upload).await, (true, true));
        sleep(Duration::from_secs(400)).await;
        assert_eq!(are_there(&life, upload).await, (false, false));
        come_to_rest(&life).await;
        background.stop().await;
    });
}

#[test]
fn a_clock_set_ahead_between_two_lives_makes_nothing_old() {
    let world = forgetful(34);
    let upload = world.live(CrashPoints::none(), async |life| {
        let background = life.start_background();
        let upload = leave(&life).await;
        sleep(Duration::from_secs(600)).await;
        background.stop().await;
        life.set_ahead(30 * DAY);
        upload
    });
    // Noticed in the second life, remembered in the third.
    for (rest, there) in [
        (3000, (true, true)),
        (4000, (true, true)),
        (500, (false, false)),
    ] {
        world.live(CrashPoints::none(), async |life| {
            let background = life.start_background();
            sleep(Duration::from_secs(rest)).await;
            assert_eq!(are_there(&life, upload).await, there, "after {rest} s more");
            background.stop().await;
        });
    }
    world.live(CrashPoints::none(), async |life| at_rest(&life).await);
}

#[test]
fn a_write_that_lands_late_is_removed_though_the_clock_leaps() {
    let world = World::in_memory(35, 2);
    world.live(CrashPoints::none(), async |life| {
        life.make_bucket().await;
        world.fail_everywhere(BackendOperation::Put, 1, Fault::Late);
        let write = life.client.put("key", &[1; 100]);
        let gone = timeout(Duration::from_secs(30), write).await;
        assert!(gone.is_err(), "the client waits in vain");
        world.calm();
        let background = life.start_background();
        sleep(Duration::from_secs(60)).await;
        life.set_ahead(DAY);
        sleep(Duration::from_secs(300)).await;
        let thawed: usize = (0..2).map(|number| world.memory(number).thaw()).sum();
        assert_eq!(thawed, 1, "it lands now");
        come_to_rest(&life).await;
        background.stop().await;
        require_laws(&life).await.expect("the laws hold");
        for backend in &life.backends {
            assert!(held(&**backend).await.is_empty());
        }
    });
}

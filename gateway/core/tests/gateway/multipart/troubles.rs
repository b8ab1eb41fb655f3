//! What uploads survive.

use std::time::Duration;

use weir_backend::Operation as BackendOperation;
use weir_backend::memory::Fault;
use weir_types::ErrorCode;
use weir_types::backend::BackendErrorKind;
use weir_types::body::{ExpectedDigests, IncomingBody};
use weir_types::index::WriteConditions;

use super::{KEY, in_memory, upload_of};
use crate::support::{Dice, at_rest, body, code_of, frames};

#[test]
fn a_part_that_fails_leaves_the_one_before() {
    in_memory(async |world, life| {
        let client = &life.client;
        for size in [500, 300_000] {
            let (id, parts, whole) = upload_of(life, &[size], None).await;
            let bad = IncomingBody {
                size,
                expected: ExpectedDigests {
                    md5: Some([0; 16]),
                    checksum: None,
                },
                frames: frames(&Dice::new(9).bytes(size)),
            };
            assert_eq!(
                code_of(client.part_of(KEY, id, 1, bad).await),
                ErrorCode::BadDigest
            );
            let short = IncomingBody {
                size: size + 1,
                ..body(&whole)
            };
            assert_eq!(
                code_of(client.part_of(KEY, id, 1, short).await),
                ErrorCode::IncompleteBody
            );
            client
                .complete(client.completion(KEY, id, &parts))
                .await
                .expect("part 1 stands");
            assert!(client.get(KEY).await.expect("reads").expect("there").0 == whole);

            // The backend may or may not have replaced it: it is forgotten.
            for fault in [
                Fault::FailAfter(BackendErrorKind::Unavailable),
                Fault::Fail(BackendErrorKind::Unavailable),
            ] {
                let (id, parts, _) = upload_of(life, &[size], None).await;
                world.fail_everywhere(BackendOperation::PutPart, 1, fault);
                let again = client.part(KEY, id, 1, &Dice::new(9).bytes(size)).await;
                assert_eq!(code_of(again), ErrorCode::ServiceUnavailable);
                world.calm();
                let complete = client.completion(KEY, id, &parts);
                assert_eq!(
                    code_of(client.complete(complete).await),
                    ErrorCode::InvalidPart
                );
                client.abort(KEY, id).await.expect("is given up");
            }
        }
        at_rest(life).await;
    });
}

#[test]
fn one_writer_at_a_time_per_part() {
    in_memory(async |world, life| {
        let slow = Fault::Slow(Duration::from_secs(5));
        world.fail_everywhere(BackendOperation::PutPart, 1, slow);
        let client = life.client.clone();
        let id = client
            .create_upload(KEY, None)
            .await
            .expect("begins")
            .upload_id;
        let (one, two) = (Dice::new(1).bytes(300_000), Dice::new(2).bytes(300_000));
        let first = client.part(KEY, id, 1, &one);
        let second = client.part(KEY, id, 1, &two);
        let (first, second) = tokio::join!(first, second);
        let first = first.expect("taken");
        let second = second.expect("taken after that");
        let stale = client.completion(KEY, id, &[(1, first.etag)]);
        assert_eq!(
            code_of(client.complete(stale).await),
            ErrorCode::InvalidPart
        );
        client
            .complete(client.completion(KEY, id, &[(1, second.etag)]))
            .await
            .expect("agrees");
        assert!(client.get(KEY).await.expect("reads").expect("there").0 == two);
        at_rest(life).await;
    });
}

#[test]
fn a_complete_whose_answer_was_lost_is_finished() {
    let faults = [
        Fault::FailAfter(BackendErrorKind::Unavailable),
        Fault::Fail(BackendErrorKind::Unavailable),
    ];
    for fault in faults {
        // By the client.
        in_memory(async |world, life| {
            let (id, parts, whole) = upload_of(life, &[2000, 10], None).await;
            world.fail_everywhere(BackendOperation::CompleteUpload, 1, fault);
            let complete = life.client.completion(KEY, id, &parts);
            let failed = life.client.complete(complete.clone()).await;
            assert_eq!(code_of(failed), ErrorCode::ServiceUnavailable);
            assert_eq!(
                code_of(life.client.abort(KEY, id).await),
                ErrorCode::NoSuchUpload
            );
            assert_eq!(
                code_of(life.client.part(KEY, id, 1, b"late").await),
                ErrorCode::NoSuchUpload
            );
            let made = life
                .client
                .complete(complete)
                .await
                .expect("becomes an object");
            let (bytes, info) = life
                .client
                .get(KEY)
                .await
                .expect("reads")
                .expect("is there");
            assert!(bytes == whole && info.version.etag == made.etag);
            at_rest(life).await;
        });
        // By the background.
        in_memory(async |world, life| {
            let (id, parts, whole) = upload_of(life, &[2000, 10], None).await;
            world.fail_everywhere(BackendOperation::CompleteUpload, 1, fault);
            let complete = life.client.completion(KEY, id, &parts);
            life.client
                .complete(complete.clone())
                .await
                .expect_err("the backend fails");
            at_rest(life).await;
            let (bytes, info) = life
                .client
                .get(KEY)
                .await
                .expect("reads")
                .expect("is there");
            assert!(bytes == whole);
            let made = life.client.complete(complete).await.expect("is remembered");
            assert_eq!(made.etag, info.version.etag);
        });
    }
}

#[test]
fn a_completes_conditions_hold_when_it_is_committed() {
    for by_background in [false, true] {
        in_memory(async |world, life| {
            let client = &life.client;
            let (id, parts, _) = upload_of(life, &[2000], None).await;
            let mut complete = client.completion(KEY, id, &parts);
            complete.conditions = WriteConditions {
                if_match: None,
                if_none_match: true,
            };
            if by_background {
                let fault = Fault::FailAfter(BackendErrorKind::Unavailable);
                world.fail_everywhere(BackendOperation::CompleteUpload, 1, fault);
                client
                    .complete(complete)
                    .await
                    .expect_err("the backend fails");
                client.put(KEY, b"faster").await.expect("is put");
            } else {
                let fault = Fault::Slow(Duration::from_secs(5));
                world.fail_everywhere(BackendOperation::CompleteUpload, 1, fault);
                let faster = async {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    client.put(KEY, b"faster").await.expect("is put");
                };
                let (completed, ()) = tokio::join!(client.complete(complete), faster);
                assert_eq!(code_of(completed), ErrorCode::PreconditionFailed);
            }
            at_rest(life).await;
            assert_eq!(
                client.get(KEY).await.expect("reads").expect("there").0,
                b"faster"
            );
            assert_eq!(
                code_of(client.abort(KEY, id).await),
                ErrorCode::NoSuchUpload
            );
        });
    }
}

#[test]
fn two_completes_at_once_are_one() {
    in_memory(async |world, life| {
        let client = &life.client;
        let (id, parts, whole) = upload_of(life, &[2000, 10], None).await;
        world.fail_everywhere(
            BackendOperation::CompleteUpload,
            2,
            Fault::Slow(Duration::from_secs(5)),
        );
        let complete = client.completion(KEY, id, &parts);
        let (one, two) = tokio::join!(client.complete(complete.clone()), client.complete(complete));
        assert_eq!(
            one.expect("becomes an object"),
            two.expect("is told the same")
        );
        assert!(client.get(KEY).await.expect("reads").expect("there").0 == whole);
        at_rest(life).await;
    });
}

#[test]
fn an_upload_that_its_backend_lost_is_given_up() {
    in_memory(async |world, life| {
        let (id, parts, _) = upload_of(life, &[2000], None).await;
        for (number, backend) in life.backends.iter().enumerate() {
            for upload in world.memory(number).uploads() {
                let key = weir_types::id::BackendKey::parse(
                    &life.gateway.index().identity().site,
                    &upload.key,
                );
                let (key, ..) = key.expect("one of ours");
                backend
                    .abort_upload(&key, &upload.upload)
                    .await
                    .expect("is aborted");
            }
        }
        let part = life.client.part(KEY, id, 2, b"more").await;
        assert_eq!(code_of(part), ErrorCode::NoSuchUpload);
        let complete = life
            .client
            .complete(life.client.completion(KEY, id, &parts))
            .await;
        assert_eq!(code_of(complete), ErrorCode::NoSuchUpload);
        at_rest(life).await;
        assert_eq!(life.client.get(KEY).await, Ok(None));
    });
}

#[test]
fn creation_goes_to_the_next_candidate() {
    let kinds = [
        BackendErrorKind::Unavailable,
        BackendErrorKind::Throttled,
        BackendErrorKind::Full,
    ];
    for kind in kinds {
        in_memory(async |world, life| {
            world.fail(0, BackendOperation::CreateUpload, 1, Fault::FailAfter(kind));
            world.fail(1, BackendOperation::CreateUpload, 1, Fault::Fail(kind));
            let upload = life
                .client
                .create_upload(KEY, None)
                .await
                .expect("begins at the third");
            assert_eq!(upload.legs[0].backend.as_str(), "b2");
            life.client
                .abort(KEY, upload.upload_id)
                .await
                .expect("is given up");
            at_rest(life).await;
        });
    }
}

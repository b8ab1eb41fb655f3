//! Multipart uploads: what they make, what they refuse, and what they survive.

use std::sync::Arc;
use std::time::Duration;

use weir_backend::Operation as BackendOperation;
use weir_backend::memory::Fault;
use weir_core::decide::LeastUsed;
use weir_types::backend::BackendErrorKind;
use weir_types::body::{ExpectedChecksum, ExpectedDigests, IncomingBody};
use weir_types::checksum::{Checksum, ChecksumAlgorithm, ChecksumKind};
use weir_types::crash::CrashPoints;
use weir_types::etag::ETag;
use weir_types::id::{BucketName, PartNumber, UploadId};
use weir_types::index::WriteConditions;
use weir_types::operation::{
    CompleteMultipartUpload, ListMultipartUploads, ListParts, Operation, Outcome, RangeSpec,
};
use weir_types::{Error, ErrorCode};

use crate::support::{Dice, Life, World, at_rest, body, code_of, frames};

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

#[test]
fn parts_become_an_object() {
    in_memory(async |world, life| {
        let client = &life.client;
        let upload = client.create_upload(KEY, None).await.expect("begins");
        let id = upload.upload_id;
        let dice = Dice::new(3);
        // Out of order, one replaced, one that will not be named; one longer than a block.
        let (a, b, c) = (dice.bytes(1000), dice.bytes(600_000), dice.bytes(1));
        let third = client.part(KEY, id, 30, &c).await.expect("taken");
        client
            .part(KEY, id, 1, &dice.bytes(5000))
            .await
            .expect("taken");
        let first = client.part(KEY, id, 1, &a).await.expect("taken again");
        client
            .part(KEY, id, 7, &dice.bytes(2000))
            .await
            .expect("taken");
        let second = client.part(KEY, id, 20, &b).await.expect("taken");
        let parts = [(1, first.etag), (20, second.etag), (30, third.etag)];
        let before: u64 = (0..3).map(|n| world.memory(n).bytes_in_out().0).sum();
        let complete = client.completion(KEY, id, &parts);
        let made = client
            .complete(complete.clone())
            .await
            .expect("becomes an object");
        let after: u64 = (0..3).map(|n| world.memory(n).bytes_in_out().0).sum();
        assert_eq!(before, after, "Complete moves no bytes");
        assert!(made.etag.as_str().ends_with("-3"), "{:?}", made.etag);
        assert_eq!(made.version_id, upload.version_id);

        let whole = [a.clone(), b.clone(), c.clone()].concat();
        let (bytes, info) = client.get(KEY).await.expect("reads").expect("is there");
        assert!(bytes == whole, "the object is its parts in order");
        assert_eq!(info.version.etag, made.etag);
        assert_eq!(info.version.parts, Some(3));
        assert_eq!(info.version.last_modified, upload.created_at);
        assert_eq!(info.version.user_metadata, upload.user_metadata);
        for (number, want) in [(1, &a), (2, &b), (3, &c)] {
            let part = client
                .get_part(KEY, None, Some(number))
                .await
                .expect("reads");
            assert!(part.expect("is there").0 == *want, "part {number}");
        }
        let middle = Some(RangeSpec::FromTo(999, Some(601_000)));
        let middle = client
            .get_part(KEY, middle, None)
            .await
            .expect("reads")
            .expect("is there");
        assert!(middle.0 == whole[999..], "across segments");

        // Asked again, it answers the same; with other parts it does not.
        assert_eq!(client.complete(complete).await, Ok(made));
        let other = client.completion(KEY, id, &parts[..2]);
        assert_eq!(
            code_of(client.complete(other).await),
            ErrorCode::NoSuchUpload
        );
        at_rest(life).await;
    });
}

#[test]
fn uploads_are_known_only_under_their_own_name() {
    in_memory(async |_, life| {
        let (id, parts, _) = upload_of(life, &[10], None).await;
        let client = &life.client;
        let named = |key: &str, id: UploadId| client.completion(key, id, &parts);
        for (key, id) in [("a/c", id), (KEY, UploadId(7))] {
            assert_eq!(
                code_of(client.part(key, id, 1, b"x").await),
                ErrorCode::NoSuchUpload
            );
            assert_eq!(
                code_of(client.complete(named(key, id)).await),
                ErrorCode::NoSuchUpload
            );
            assert_eq!(
                code_of(client.abort(key, id).await),
                ErrorCode::NoSuchUpload
            );
            let list = ListParts {
                upload: client.upload(key, id),
                after: 0,
                limit: 10,
            };
            assert_eq!(
                code_of(client.run(Operation::ListParts(list)).await),
                ErrorCode::NoSuchUpload
            );
        }
        let mut elsewhere = client.clone();
        elsewhere.bucket = BucketName::parse("elsewhere").expect("a valid name");
        assert_eq!(
            code_of(elsewhere.abort(KEY, id).await),
            ErrorCode::NoSuchBucket
        );
        let create = Operation::CreateBucket {
            bucket: elsewhere.bucket.clone(),
            location: None,
        };
        elsewhere.run(create).await.expect("is made");
        assert_eq!(
            code_of(elsewhere.abort(KEY, id).await),
            ErrorCode::NoSuchUpload
        );
        assert_eq!(
            code_of(elsewhere.part(KEY, id, 1, b"x").await),
            ErrorCode::NoSuchUpload
        );
        client.complete(named(KEY, id)).await.expect("is untouched");
        let repeated = elsewhere.completion(KEY, id, &parts);
        assert_eq!(
            code_of(elsewhere.complete(repeated).await),
            ErrorCode::NoSuchUpload
        );
    });
}

#[test]
fn complete_refuses_what_is_wrong() {
    type Change = fn(&mut CompleteMultipartUpload);
    let cases: &[(&str, Change, ErrorCode)] = &[
        ("no parts", |c| c.parts.clear(), ErrorCode::MalformedXML),
        (
            "descending",
            |c| c.parts.reverse(),
            ErrorCode::InvalidPartOrder,
        ),
        (
            "twice",
            |c| c.parts.insert(0, c.parts[0].clone()),
            ErrorCode::InvalidPartOrder,
        ),
        (
            "other tag",
            |c| c.parts[1].etag = ETag::from_md5([7; 16]),
            ErrorCode::InvalidPart,
        ),
        (
            "unknown part",
            |c| c.parts[2].number = PartNumber::new(9).expect("valid"),
            ErrorCode::InvalidPart,
        ),
        (
            "a checksum of a part that has none",
            |c| {
                let value = vec![0; 4];
                c.parts[0].checksum = Some(Checksum {
                    algorithm: ChecksumAlgorithm::Crc32,
                    value,
                });
            },
            ErrorCode::InvalidPart,
        ),
        (
            "small part",
            |c| {
                c.parts.remove(0);
            },
            ErrorCode::EntityTooSmall,
        ),
        (
            "other size",
            |c| {
                c.parts.truncate(2);
                c.size = Some(1);
            },
            ErrorCode::InvalidRequest,
        ),
        (
            "a checksum of an upload without",
            |c| {
                c.parts.truncate(2);
                c.checksum = Some((ChecksumAlgorithm::Crc32, "AAAAAA==".into()));
            },
            ErrorCode::InvalidRequest,
        ),
        (
            "if-match on nothing",
            |c| {
                c.parts.truncate(2);
                c.conditions.if_match = Some(ETag::from_md5([1; 16]));
            },
            ErrorCode::NoSuchKey,
        ),
    ];
    in_memory(async |_, life| {
        let client = &life.client;
        let (id, parts, whole) = upload_of(life, &[1000, 999, 5], None).await;
        // Part 2 is below the minimum and may be last, but not between.
        let good = client.completion(KEY, id, &[parts[0].clone(), parts[1].clone()]);
        let all = client.completion(KEY, id, &parts);
        for (name, change, want) in cases {
            let mut complete = all.clone();
            change(&mut complete);
            assert_eq!(code_of(client.complete(complete).await), *want, "{name}");
        }
        let error = client.complete(all).await.expect_err("part 2 is too small");
        let detail = |error: &Error, name: &str| {
            error
                .details
                .iter()
                .find(|(n, _)| *n == name)
                .map(|(_, value)| value.clone())
        };
        assert_eq!(detail(&error, "PartNumber").as_deref(), Some("2"));
        assert_eq!(detail(&error, "ProposedSize").as_deref(), Some("999"));
        assert_eq!(detail(&error, "MinSizeAllowed").as_deref(), Some("1000"));
        assert_eq!(detail(&error, "ETag").as_deref(), Some(parts[1].1.as_str()));

        client.put(KEY, b"before").await.expect("is put");
        let mut never = good.clone();
        never.conditions.if_none_match = true;
        assert_eq!(
            code_of(client.complete(never).await),
            ErrorCode::PreconditionFailed
        );
        assert_eq!(
            client.get(KEY).await.expect("reads").expect("there").0,
            b"before"
        );
        // Nothing of this cost the upload anything.
        let mut sized = good;
        sized.size = Some(1999);
        client.complete(sized).await.expect("becomes an object");
        let (bytes, _) = client.get(KEY).await.expect("reads").expect("is there");
        assert!(bytes == whole[..1999]);
        at_rest(life).await;
    });
}

#[test]
fn objects_have_a_largest_size() {
    in_memory(async |_, life| {
        let client = &life.client;
        let too_large = vec![0; 1024 * 1024 + 1];
        let upload = client
            .create_upload(KEY, None)
            .await
            .expect("begins")
            .upload_id;
        let refused = client.part(KEY, upload, 1, &too_large).await;
        assert_eq!(code_of(refused), ErrorCode::EntityTooLarge);
        let (id, parts, _) =
            upload_of(life, &[1024 * 1024, 1024 * 1024, 1024 * 1024, 1], None).await;
        let refused = client.complete(client.completion(KEY, id, &parts)).await;
        assert_eq!(code_of(refused), ErrorCode::EntityTooLarge);
        let fits = client.completion(KEY, id, &parts[..3]);
        client.complete(fits).await.expect("becomes an object");
    });
}

#[test]
fn checksums_follow_their_upload() {
    use ChecksumAlgorithm::{Crc32, Crc32c, Crc64Nvme, Sha1, Sha256};
    use ChecksumKind::{Composite, FullObject};
    for choice in [
        (Sha1, FullObject),
        (Sha256, FullObject),
        (Crc64Nvme, Composite),
    ] {
        in_memory(async |_, life| {
            let refused = life.client.create_upload(KEY, Some(choice)).await;
            assert_eq!(
                code_of(refused.map(drop)),
                ErrorCode::InvalidRequest,
                "{choice:?}"
            );
        });
    }
    let choices = [
        (Crc32, FullObject),
        (Crc32c, FullObject),
        (Crc64Nvme, FullObject),
        (Crc32, Composite),
        (Crc32c, Composite),
        (Sha1, Composite),
        (Sha256, Composite),
    ];
    for choice in choices {
        in_memory(async |_, life| checksums(life, choice).await);
    }
}

async fn checksums(life: &Life, (algorithm, kind): (ChecksumAlgorithm, ChecksumKind)) {
    let client = &life.client;
    let sizes = [1000, 300_000, 17];
    let (id, parts, whole) = upload_of(life, &sizes, Some((algorithm, kind))).await;
    let list = ListParts {
        upload: client.upload(KEY, id),
        after: 0,
        limit: 10,
    };
    let listed = client.run(Operation::ListParts(list)).await.expect("lists");
    let Outcome::Parts(listed) = listed else {
        panic!("not a list of parts")
    };
    let mut complete = client.completion(KEY, id, &parts);
    if kind == ChecksumKind::Composite {
        let missing = client
            .complete(complete.clone())
            .await
            .expect_err("sums are missing");
        assert_eq!(missing.code, ErrorCode::InvalidRequest);
        assert!(missing.message.contains("missing for part 1"), "{missing}");
    }
    for (named, part) in complete.parts.iter_mut().zip(&listed.page.parts) {
        named.checksum.clone_from(&part.checksum);
    }
    // What a put of the same bytes has.
    let mut whole_put = body(&whole);
    whole_put.expected.checksum = Some(ExpectedChecksum::Compute(algorithm));
    let other = client
        .create_upload("other", Some((algorithm, kind)))
        .await
        .expect("begins");
    let as_one = client
        .part_of("other", other.upload_id, 1, whole_put)
        .await
        .expect("taken");
    let of_whole = as_one.checksum.expect("was computed").to_string();
    let of_whole_wrong = format!("{of_whole}-3");

    let mut wrong = complete.clone();
    wrong.parts[1].checksum = wrong.parts[0].checksum.clone();
    assert_eq!(
        code_of(client.complete(wrong).await),
        ErrorCode::InvalidPart
    );
    let mut wrong = complete.clone();
    let others = if kind == ChecksumKind::FullObject {
        ChecksumKind::Composite
    } else {
        ChecksumKind::FullObject
    };
    wrong.checksum_kind = Some(others);
    assert_eq!(
        code_of(client.complete(wrong).await),
        ErrorCode::InvalidRequest
    );
    let mut wrong = complete.clone();
    wrong.checksum = Some((algorithm, of_whole_wrong));
    assert_eq!(code_of(client.complete(wrong).await), ErrorCode::BadDigest);

    let full = kind == ChecksumKind::FullObject;
    complete.checksum_kind = Some(kind);
    if full {
        complete.checksum = Some((algorithm, of_whole.clone()));
    }
    let made = client.complete(complete).await.expect("becomes an object");
    let checksum = made.checksum.expect("has one");
    assert_eq!(
        (checksum.kind, checksum.checksum.algorithm),
        (kind, algorithm)
    );
    if full {
        assert_eq!(checksum.to_string(), of_whole);
    } else {
        assert!(checksum.to_string().ends_with("-3"), "{checksum}");
    }
}

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

#[test]
fn parts_stay_within_the_quota() {
    let mut world = World::in_memory(5, 1);
    world.decider = Arc::new(LeastUsed::wanting(1));
    world.facts(0).bytes_max = Some(5000);
    world.live(CrashPoints::none(), async |life| {
        life.make_bucket().await;
        let client = &life.client;
        let (id, mut parts, _) = upload_of(&life, &[2000, 2000], None).await;
        assert_eq!(
            code_of(client.part(KEY, id, 3, &[0; 1001]).await),
            ErrorCode::QuotaExceeded
        );
        // Two that fit one by one but not together.
        let (a, b) = tokio::join!(
            client.part(KEY, id, 3, &[0; 600]),
            client.part(KEY, id, 4, &[1; 600]),
        );
        assert!(a.is_ok() != b.is_ok(), "{a:?} {b:?}");
        let number = if a.is_ok() { 3 } else { 4 };
        parts.push((number, a.or(b).expect("one was taken").etag));
        client
            .complete(client.completion(KEY, id, &parts))
            .await
            .expect("becomes an object");
        assert_eq!(
            code_of(client.put("y", &[0; 401]).await),
            ErrorCode::QuotaExceeded
        );
        for upload in uploads_of(&life).await {
            client
                .abort(&upload.0, upload.1)
                .await
                .expect("is given up");
        }
        at_rest(&life).await;
    });
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

#[test]
fn parts_are_copied_from_objects() {
    in_memory(async |_, life| {
        let client = &life.client;
        let bytes = Dice::new(4).bytes(400_000);
        client.put("source", &bytes).await.expect("is put");
        let id = client
            .create_upload(KEY, None)
            .await
            .expect("begins")
            .upload_id;
        let source = || client.source("source");
        let first = client
            .part_copy(KEY, id, 1, source(), Some((5, 300_000)))
            .await;
        let second = client.part_copy(KEY, id, 2, source(), None).await;
        let parts = [
            (1, first.expect("copied").etag),
            (2, second.expect("copied").etag),
        ];
        for range in [(0, 400_000), (400_000, 400_000), (9, 3)] {
            let refused = client.part_copy(KEY, id, 3, source(), Some(range)).await;
            assert_eq!(code_of(refused), ErrorCode::InvalidArgument, "{range:?}");
        }
        let missing = client
            .part_copy(KEY, id, 3, client.source("none"), None)
            .await;
        assert_eq!(code_of(missing), ErrorCode::NoSuchKey);
        let mut changed = source();
        changed.conditions.if_none_match = Some(vec![ETag::from_client("*")]);
        let refused = client.part_copy(KEY, id, 3, changed, None).await;
        assert_eq!(code_of(refused), ErrorCode::PreconditionFailed);
        client
            .complete(client.completion(KEY, id, &parts))
            .await
            .expect("becomes an object");
        let want = [&bytes[5..=300_000], &bytes[..]].concat();
        assert!(client.get(KEY).await.expect("reads").expect("there").0 == want);
        at_rest(life).await;
    });
}

#[test]
fn parts_and_uploads_are_listed_in_pages() {
    in_memory(async |_, life| {
        let client = &life.client;
        let (id, parts, _) = upload_of(life, &[1, 2, 3, 4, 5], None).await;
        let mut listed = Vec::new();
        let mut after = 0;
        loop {
            let list = ListParts {
                upload: client.upload(KEY, id),
                after,
                limit: 2,
            };
            let page = client.run(Operation::ListParts(list)).await.expect("lists");
            let Outcome::Parts(listing) = page else {
                panic!("not a list of parts")
            };
            assert_eq!(listing.upload.upload_id, id);
            after = listing
                .page
                .parts
                .last()
                .expect("pages are not empty")
                .number
                .get();
            listed.extend(
                listing
                    .page
                    .parts
                    .into_iter()
                    .map(|p| (p.number.get(), p.etag)),
            );
            if !listing.page.more {
                break;
            }
        }
        assert_eq!(listed, parts);
        let other = client
            .create_upload("a/a", None)
            .await
            .expect("begins")
            .upload_id;
        assert_eq!(
            uploads_of(life).await,
            [("a/a".to_owned(), other), (KEY.to_owned(), id)]
        );
        client.abort("a/a", other).await.expect("is given up");
        assert_eq!(uploads_of(life).await, [(KEY.to_owned(), id)]);
        assert_eq!(
            code_of(client.abort("a/a", other).await),
            ErrorCode::NoSuchUpload
        );
        client.abort(KEY, id).await.expect("is given up");
        at_rest(life).await;
    });
}

//! What uploads refuse.

use std::sync::Arc;

use weir_core::decide::LeastUsed;
use weir_types::checksum::{Checksum, ChecksumAlgorithm};
use weir_types::crash::CrashPoints;
use weir_types::etag::ETag;
use weir_types::id::{BucketName, PartNumber, UploadId};
use weir_types::operation::{CompleteMultipartUpload, ListParts, Operation};
use weir_types::{Error, ErrorCode};

use super::{KEY, in_memory, upload_of, uploads_of};
use crate::support::{World, at_rest, code_of};

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

//! What uploads make.

use weir_types::ErrorCode;
use weir_types::body::ExpectedChecksum;
use weir_types::checksum::{ChecksumAlgorithm, ChecksumKind};
use weir_types::etag::ETag;
use weir_types::operation::{ListParts, Operation, Outcome, RangeSpec};

use super::{KEY, in_memory, upload_of, uploads_of};
use crate::support::{Dice, Life, at_rest, body, code_of};

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

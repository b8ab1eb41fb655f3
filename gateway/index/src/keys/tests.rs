use weir_types::clock::Timestamp;
use weir_types::id::{BlobId, Incarnation, OutboxId, UploadId};

use super::*;

/// Texts whose order is easily got wrong: prefixes of each other, bytes around the terminator
/// and around `/`, more than one byte per character.
const TEXTS: &[&str] = &[
    "\u{1}", "a", "a\u{1}", "a b", "a!", "a/", "a/b", "a0", "ab", "b", "é", "\u{FFFF}", "😀",
];

fn check_ordered(encoded: &[Vec<u8>]) {
    for pair in encoded.windows(2) {
        assert!(
            pair[0] < pair[1],
            "{:?} is not below {:?}",
            pair[0],
            pair[1]
        );
    }
}

#[test]
fn keys_of_objects_are_ordered_by_bucket_then_key() {
    let mut encoded = Vec::new();
    for bucket in [0, 1, 255, 256, u64::MAX] {
        encoded.extend(TEXTS.iter().map(|text| object(Incarnation(bucket), text)));
    }
    check_ordered(&encoded);
}

#[test]
fn keys_of_uploads_are_ordered_by_key_then_id_and_can_be_read() {
    let mut encoded = Vec::new();
    for text in TEXTS {
        for id in [0, 1, u128::MAX] {
            let row = upload_key(Incarnation(7), text, UploadId(id));
            assert_eq!(parse_upload_key(&row[8..]), Some((*text, UploadId(id))));
            encoded.push(row);
        }
    }
    check_ordered(&encoded);
}

#[test]
fn noncurrent_versions_lie_between_no_others() {
    let within = history(Incarnation(7), "a");
    for other in ["a\u{1}", "a/", "ab", "b"] {
        assert!(
            !history(Incarnation(7), other).starts_with(&within),
            "{other}"
        );
    }
}

#[test]
fn keys_of_copies_are_ordered_by_backend_then_blob_then_attempt_and_can_be_read() {
    let mut encoded = Vec::new();
    for name in ["a", "a-", "a-b", "ab", "b"] {
        let backend = BackendId::parse(name).expect("a valid backend");
        for blob in [0, 255, u128::MAX] {
            for attempt in [0, 1, 256] {
                let row = copy(&backend, BlobId(blob), attempt);
                let tail = row
                    .strip_prefix(copies_on(&backend).as_slice())
                    .expect("the prefix");
                assert_eq!(parse_copy(tail), Some((BlobId(blob), attempt)));
                encoded.push(row);
            }
        }
    }
    check_ordered(&encoded);
}

#[test]
fn ids_of_the_outbox_rise_and_tell_the_kind() {
    let mut last = OutboxId(0);
    for count in 1..100 {
        for kind in 0..6 {
            let id = outbox_id(count, kind);
            assert_eq!(outbox_kind(id), kind);
            assert!(kind > 0 || id > last);
            last = id;
        }
    }
}

#[test]
fn keys_by_time_are_ordered_and_can_be_read() {
    let mut encoded = Vec::new();
    for ms in [0, 255, 256, u64::MAX] {
        for id in [0, 9, u64::MAX] {
            let row = outbox_due(Timestamp::from_millis(ms), OutboxId(id));
            assert_eq!(
                parse_outbox_due(&row),
                Some((Timestamp::from_millis(ms), OutboxId(id)))
            );
            encoded.push(row);
        }
    }
    check_ordered(&encoded);
    let row = upload_age(Timestamp::from_millis(3), UploadId(4));
    assert_eq!(
        parse_upload_age(&row),
        Some((Timestamp::from_millis(3), UploadId(4)))
    );
}

#[test]
fn the_key_after_a_prefix_is_the_least_beyond_it() {
    for (prefix, after) in [
        (&b"a"[..], Some(&b"b"[..])),
        (b"a/", Some(b"a0")),
        (b"a\xFF", Some(b"b")),
        (b"\xFF\xFF", None),
        (b"", None),
    ] {
        assert_eq!(after_prefix(prefix).as_deref(), after, "{prefix:?}");
    }
}

#[test]
fn damaged_keys_are_not_read() {
    assert_eq!(parse_copy(&[0; 19]), None);
    assert_eq!(parse_copy(&[0; 21]), None);
    assert_eq!(parse_upload_key(&[1; 20]), None);
    assert_eq!(parse_outbox_due(&[0; 15]), None);
    assert_eq!(parse_upload_age(&[0; 25]), None);
}

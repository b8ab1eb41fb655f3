use super::*;

fn checksum(algorithm: ChecksumAlgorithm, bytes: &[u8]) -> Checksum {
    let mut digest = ChecksumDigest::new(algorithm);
    digest.update(bytes);
    digest.finish()
}

#[test]
fn full_object_crcs_are_those_of_the_whole() {
    let bytes: Vec<u8> = (0..70_000_u32).map(|i| ((i * 31) >> 3) as u8).collect();
    let cuts: &[&[usize]] = &[
        &[],
        &[1],
        &[0, 5],
        &[65_536],
        &[7, 7, 4096, 69_999],
        &[70_000],
    ];
    for algorithm in ChecksumAlgorithm::ALL {
        if crc_of(algorithm).is_none() {
            continue;
        }
        for cut in cuts {
            let ends = cut.iter().copied().chain([bytes.len()]);
            let mut from = 0;
            let parts: Vec<(Checksum, u64)> = ends
                .map(|end| {
                    let part = &bytes[from..end];
                    from = end;
                    (checksum(algorithm, part), part.len() as u64)
                })
                .collect();
            let parts: Vec<_> = parts.iter().map(|(c, n)| (c, *n)).collect();
            let found = checksum_of((algorithm, ChecksumKind::FullObject), &parts);
            assert_eq!(
                found.checksum,
                checksum(algorithm, &bytes),
                "{algorithm:?} cut at {cut:?}"
            );
            assert_eq!(found.to_string(), found.checksum.to_string());
        }
    }
}

#[test]
fn composites_are_checksums_of_checksums() {
    for algorithm in ChecksumAlgorithm::ALL {
        let (a, b) = (checksum(algorithm, b"one"), checksum(algorithm, b"two"));
        let whole = [a.value.as_slice(), &b.value].concat();
        let found = checksum_of((algorithm, ChecksumKind::Composite), &[(&a, 3), (&b, 3)]);
        assert_eq!(found.checksum, checksum(algorithm, &whole));
        assert_eq!(found.to_string(), format!("{}-2", found.checksum));
    }
}

#[test]
fn a_multipart_tag_is_the_md5_of_md5s() {
    let md5 = |bytes: &[u8]| ETag::from_md5(Md5::digest(bytes).into());
    let parts = [md5(b"a"), md5(b"b")];
    let tag = etag_of(parts.iter()).expect("both are MD5s");
    assert_eq!(tag.as_str(), "96e024ba2074fe77e8e965ba43a704be-2");
    assert_eq!(etag_of([ETag::from_client("\"not-an-md5\"")].iter()), None);
}

/// What a part is taken in with, or what the refusal says.
type Wanted = Result<Option<ExpectedChecksum>, &'static str>;

#[test]
fn a_part_carries_the_algorithm_of_its_upload() {
    use ChecksumAlgorithm::{Crc32, Crc64Nvme, Sha256};
    use ChecksumKind::{Composite, FullObject};
    use ExpectedChecksum::{Compute, InTrailer};
    let cases: &[(Chosen, Option<ExpectedChecksum>, Wanted)] = &[
        (None, None, Ok(None)),
        (None, Some(Compute(Crc32)), Ok(None)),
        (None, Some(InTrailer(Crc32)), Ok(Some(InTrailer(Crc32)))),
        (
            Some((Crc32, Composite)),
            Some(InTrailer(Crc32)),
            Ok(Some(InTrailer(Crc32))),
        ),
        (
            Some((Crc32, Composite)),
            None,
            Err("expected checksum Type: crc32, actual checksum Type: null"),
        ),
        (
            Some((Sha256, Composite)),
            Some(InTrailer(Crc32)),
            Err("expected checksum Type: sha256, actual checksum Type: crc32"),
        ),
        (
            Some((Crc64Nvme, FullObject)),
            None,
            Ok(Some(Compute(Crc64Nvme))),
        ),
        (
            Some((Crc32, FullObject)),
            Some(InTrailer(Sha256)),
            Err("expected checksum Type: crc32, actual checksum Type: sha256"),
        ),
    ];
    for (chosen, given, want) in cases {
        match (expected_of_part(*chosen, given.clone()), want) {
            (Ok(found), Ok(want)) => assert_eq!(found, *want, "{chosen:?} {given:?}"),
            (Err(error), Err(text)) => {
                assert_eq!(error.code, ErrorCode::InvalidRequest);
                assert!(error.message.contains(text), "{error}");
            }
            (found, want) => panic!("{chosen:?} {given:?}: {found:?} instead of {want:?}"),
        }
    }
}

//! What a body must be before its last bytes are let go.

use futures_util::{StreamExt, stream};
use weir_types::checksum::ChecksumAlgorithm;

use super::*;

const TEXT: &[u8] = b"The quick brown fox jumps over the lazy dog";

fn data(bytes: &[u8]) -> Result<Frame> {
    Ok(Frame::Data(Bytes::copy_from_slice(bytes)))
}

fn body(size: u64, expected: ExpectedDigests, frames: Vec<Result<Frame>>) -> IncomingBody {
    IncomingBody {
        size,
        expected,
        frames: stream::iter(frames).boxed(),
    }
}

fn checksum(algorithm: ChecksumAlgorithm, bytes: &[u8]) -> Checksum {
    let mut digest = ChecksumDigest::new(algorithm);
    digest.update(bytes);
    digest.finish()
}

/// What a backend would receive: the bytes until the stream ended, and how it ended.
async fn receive(body: IncomingBody) -> (Vec<u8>, Result<Digested>) {
    let (mut stream, cell) = Ingest::new(body).into_stream();
    let mut got = Vec::new();
    while let Some(item) = stream.next().await {
        match item {
            Ok(chunk) => got.extend_from_slice(&chunk),
            Err(error) => return (got, Err(error)),
        }
    }
    (got, cell.take())
}

#[tokio::test]
async fn known_values() {
    // RFC 1321 style MD5 and the checksums' published values for the same text.
    let cases = [
        (ChecksumAlgorithm::Crc32, "QU+jOQ=="),
        (ChecksumAlgorithm::Crc32c, "ImIEBA=="),
        (ChecksumAlgorithm::Sha1, "L9ThxnotKPzthJ7hu3bnORuT6xI="),
        (
            ChecksumAlgorithm::Sha256,
            "16j7swfXgJRpypq8sAguT41WUeRtPNt2LQLQvzfJ5ZI=",
        ),
    ];
    for (algorithm, value) in cases {
        let expected = Checksum::parse(algorithm, value).expect("base64");
        let given = ExpectedDigests {
            md5: Some(*b"\x9e\x10\x7d\x9d\x37\x2b\xb6\x82\x6b\xd8\x1d\x35\x42\xa4\x19\xd6"),
            checksum: Some(ExpectedChecksum::Given(expected.clone())),
        };
        let (got, result) = receive(body(43, given, vec![data(TEXT)])).await;
        assert_eq!(got, TEXT);
        assert_eq!(result.expect("all match").checksum, Some(expected));
    }
    let crc64 = checksum(ChecksumAlgorithm::Crc64Nvme, b"123456789");
    assert_eq!(crc64.value, 0xAE8B_1486_0A79_9888_u64.to_be_bytes());
}

#[tokio::test]
async fn a_body_that_is_not_as_said_never_arrives_whole() {
    let wrong_md5 = ExpectedDigests {
        md5: Some([0; 16]),
        checksum: None,
    };
    let wrong_sum = checksum(ChecksumAlgorithm::Crc32, b"another text");
    let given_wrong = ExpectedDigests {
        md5: None,
        checksum: Some(ExpectedChecksum::Given(wrong_sum.clone())),
    };
    let in_trailer = || ExpectedDigests {
        md5: None,
        checksum: Some(ExpectedChecksum::InTrailer(ChecksumAlgorithm::Crc32)),
    };
    let none = ExpectedDigests::default;
    let cut = || Err(Error::from(ErrorCode::IncompleteBody));
    type Case = (
        &'static str,
        u64,
        ExpectedDigests,
        Vec<Result<Frame>>,
        ErrorCode,
    );
    let cases: Vec<Case> = vec![
        ("md5", 43, wrong_md5, vec![data(TEXT)], ErrorCode::BadDigest),
        (
            "checksum",
            43,
            given_wrong,
            vec![data(&TEXT[..9]), data(&TEXT[9..])],
            ErrorCode::BadDigest,
        ),
        (
            "no trailer",
            43,
            in_trailer(),
            vec![data(TEXT)],
            ErrorCode::MalformedTrailerError,
        ),
        (
            "wrong trailer",
            43,
            in_trailer(),
            vec![data(TEXT), Ok(Frame::Trailers(vec![wrong_sum]))],
            ErrorCode::BadDigest,
        ),
        (
            "short",
            44,
            none(),
            vec![data(TEXT)],
            ErrorCode::IncompleteBody,
        ),
        (
            "long",
            42,
            none(),
            vec![data(TEXT)],
            ErrorCode::IncompleteBody,
        ),
        (
            "cut",
            43,
            none(),
            vec![data(&TEXT[..20]), cut()],
            ErrorCode::IncompleteBody,
        ),
        (
            "refused at its end",
            43,
            none(),
            vec![data(TEXT), cut()],
            ErrorCode::IncompleteBody,
        ),
    ];
    for (what, size, expected, frames, code) in cases {
        let (got, result) = receive(body(size, expected, frames)).await;
        assert_eq!(result.expect_err(what).code, code, "{what}");
        assert!(got.len() < TEXT.len(), "{what}: a backend got everything");
    }
}

#[tokio::test]
async fn the_trailer_may_carry_the_checksum() {
    let right = checksum(ChecksumAlgorithm::Crc64Nvme, TEXT);
    let expected = ExpectedDigests {
        md5: None,
        checksum: Some(ExpectedChecksum::InTrailer(ChecksumAlgorithm::Crc64Nvme)),
    };
    let frames = vec![data(TEXT), Ok(Frame::Trailers(vec![right.clone()]))];
    let (got, result) = receive(body(43, expected, frames)).await;
    assert_eq!(got, TEXT);
    assert_eq!(result.expect("right").checksum, Some(right));
}

#[tokio::test]
async fn blocks_are_cut_alike_however_the_bytes_arrive() {
    let size = 3 * 256 * 1024 + 77;
    let bytes: Vec<u8> = (0..size).map(|i: u32| (i % 251) as u8).collect();
    let want: Vec<u32> = bytes
        .chunks(256 * 1024)
        .map(|block| {
            let mut digest = crc32c();
            digest.update(block);
            finish_crc32c(&digest)
        })
        .collect();
    for step in [1000, 65_536, 256 * 1024, 256 * 1024 + 1, bytes.len()] {
        let frames = bytes.chunks(step).map(data).collect();
        let (got, result) =
            receive(body(bytes.len() as u64, ExpectedDigests::default(), frames)).await;
        assert_eq!(got, bytes);
        assert_eq!(result.expect("whole").crcs, want, "in steps of {step}");
        let frames = bytes.chunks(step).map(data).collect();
        let again = body(bytes.len() as u64, ExpectedDigests::default(), frames);
        let (collected, digested) = Ingest::new(again).collect().await.expect("whole");
        assert_eq!(&collected[..], &bytes[..]);
        assert_eq!(digested.crcs, want);
    }
}

#[tokio::test]
async fn an_empty_body_is_a_body() {
    for frames in [vec![], vec![data(b"")]] {
        let (got, result) = receive(body(0, ExpectedDigests::default(), frames)).await;
        assert!(got.is_empty());
        let digested = result.expect("empty");
        assert_eq!(hex_of(digested.md5), "d41d8cd98f00b204e9800998ecf8427e");
        assert!(digested.crcs.is_empty());
    }
}

fn hex_of(md5: [u8; 16]) -> String {
    md5.iter().map(|b| format!("{b:02x}")).collect()
}

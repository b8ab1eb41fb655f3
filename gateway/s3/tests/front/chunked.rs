//! aws-chunked bodies: whatever way they are cut they give the exact bytes; changed in any
//! place they end in an error.

use aws_credential_types::Credentials;
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::client::identity::Identity;
use aws_smithy_runtime_api::http::Headers;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use http::Request;
use http_body_util::{BodyExt as _, StreamBody};
use weir_types::ErrorCode::{self, *};
use weir_types::Result;
use weir_types::body::Frame;
use weir_types::checksum::Checksum;
use weir_types::operation::Operation;

use crate::support::{ACCESS_KEY, Body, Dice, Draft, SECRET_KEY, decode, front, pieces, read};

/// How a body is framed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Signed,
    SignedTrailer,
    UnsignedTrailer,
}

const KINDS: [Kind; 3] = [Kind::Signed, Kind::SignedTrailer, Kind::UnsignedTrailer];

impl Kind {
    fn payload(self) -> &'static str {
        match self {
            Self::Signed => "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
            Self::SignedTrailer => "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
            Self::UnsignedTrailer => "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        }
    }

    fn trailer(self) -> bool {
        self != Self::Signed
    }

    fn signed(self) -> bool {
        self != Self::UnsignedTrailer
    }
}

const CRC: &str = "AAAAAQ==";

fn request(kind: Kind, size: usize) -> Request<Body> {
    let mut draft = Draft::new("PUT", "/bucket/key")
        .payload(kind.payload())
        .header("content-encoding", "aws-chunked")
        .header("x-amz-decoded-content-length", size.to_string());
    if kind.trailer() {
        draft = draft.header("x-amz-trailer", "x-amz-checksum-crc32");
    }
    draft.signed()
}

/// Signs chunks as AWS's crate does.
struct Signer {
    identity: Identity,
    previous: String,
}

impl Signer {
    fn new(request: &Request<Body>) -> Self {
        let authorization = request.headers()["authorization"].to_str().expect("text");
        let (_, seed) = authorization.split_once("Signature=").expect("a signature");
        let identity = Credentials::new(ACCESS_KEY, SECRET_KEY, None, None, "test").into();
        Self {
            identity,
            previous: seed.to_owned(),
        }
    }

    fn params(&self) -> v4::SigningParams<'_, ()> {
        v4::SigningParams::builder()
            .identity(&self.identity)
            .region("us-east-1")
            .name("s3")
            .time(Draft::new("PUT", "/").time())
            .settings(())
            .build()
            .expect("complete")
    }

    fn chunk(&mut self, data: &[u8]) -> String {
        let data = Bytes::copy_from_slice(data);
        let signed = v4::sign_chunk(&data, &self.previous, &self.params()).expect("signed");
        self.previous = signed.signature().to_owned();
        self.previous.clone()
    }

    fn trailer(&mut self) -> String {
        let mut headers = Headers::new();
        headers.insert("x-amz-checksum-crc32", CRC);
        let signed = v4::sign_trailer(&headers, &self.previous, &self.params()).expect("signed");
        signed.signature().to_owned()
    }
}

/// A whole body in chunks of these sizes; the last may be shorter.
fn frame(kind: Kind, request: &Request<Body>, data: &[u8], chunk: usize) -> Vec<u8> {
    let mut signer = Signer::new(request);
    let mut out = Vec::new();
    let empty: &[u8] = &[];
    for piece in data.chunks(chunk).chain([empty]) {
        out.extend_from_slice(format!("{:x}", piece.len()).as_bytes());
        if kind.signed() {
            let signature = signer.chunk(piece);
            out.extend_from_slice(format!(";chunk-signature={signature}").as_bytes());
        }
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(piece);
        if !piece.is_empty() {
            out.extend_from_slice(b"\r\n");
        }
    }
    if kind.trailer() {
        out.extend_from_slice(format!("x-amz-checksum-crc32:{CRC}\r\n").as_bytes());
    }
    if kind == Kind::SignedTrailer {
        let signature = signer.trailer();
        out.extend_from_slice(format!("x-amz-trailer-signature:{signature}\r\n").as_bytes());
    }
    out.extend_from_slice(b"\r\n");
    out
}

async fn decoded(request: Request<Body>) -> (Vec<u8>, Result<Vec<Frame>>) {
    let call = match decode(&front(), request).await {
        Ok(call) => call,
        Err(error) => return (Vec::new(), Err(error)),
    };
    let Operation::PutObject(put) = call.operation else {
        panic!("a PutObject")
    };
    assert_eq!(put.headers.content_encoding, None);
    read(put.body.frames).await
}

/// Cuts a body at random places.
fn split(dice: &Dice, body: &[u8]) -> Vec<Bytes> {
    let mut rest = Bytes::copy_from_slice(body);
    let longest = dice.pick(&[1, 3, 17, 100, 5000]);
    let mut out = Vec::new();
    while !rest.is_empty() {
        out.push(rest.split_to((1 + dice.below(longest)).min(rest.len())));
    }
    out
}

#[tokio::test]
async fn any_chunking_gives_the_exact_bytes() {
    for seed in 0..120 {
        let dice = Dice::new(seed);
        let kind = KINDS[dice.below(3)];
        let size = dice.pick(&[0, 1, 2, 100, 1000, 9000]);
        let data = dice.bytes(size);
        let request = request(kind, data.len());
        let body = frame(kind, &request, &data, 1 + dice.below(4000));
        let (got, end) = decoded(request.map(|_| pieces(split(&dice, &body)))).await;
        assert!(got == data, "seed {seed}: {kind:?}, bytes differ");
        let trailer = end.unwrap_or_else(|e| panic!("seed {seed}: {kind:?}: {e}"));
        let crc = Checksum::parse(weir_types::checksum::ChecksumAlgorithm::Crc32, CRC);
        let expected: Vec<_> = crc
            .filter(|_| kind.trailer())
            .map(|c| Frame::Trailers(vec![c]))
            .into_iter()
            .collect();
        assert_eq!(trailer, expected, "seed {seed}");
    }
}

/// One change anywhere: a cut, a flipped bit, bytes too many. Unsigned payloads cannot notice
/// a flip inside the data (their checksum does, later) or in the checksum itself.
#[tokio::test]
async fn any_change_ends_in_an_error() {
    for seed in 0..600 {
        let dice = Dice::new(seed);
        let kind = KINDS[dice.below(3)];
        let data = dice.bytes(1 + dice.below(300));
        let request = request(kind, data.len());
        let mut body = frame(kind, &request, &data, 1 + dice.below(200));
        let change = dice.below(3);
        match change {
            0 => body.truncate(dice.below(body.len())),
            1 => {
                let at = dice.below(body.len());
                body[at] ^= 1 << dice.below(8);
            }
            _ => {
                let extra = 1 + dice.below(20);
                body.extend(dice.bytes(extra));
            }
        }
        let (got, end) = decoded(request.map(|_| pieces(split(&dice, &body)))).await;
        match end {
            Err(error) => assert!(
                [IncompleteBody, SignatureDoesNotMatch, MalformedTrailerError]
                    .contains(&error.code),
                "seed {seed}: {error}"
            ),
            Ok(rest) => {
                let flip = change == 1;
                let right_length = got.len() == data.len();
                let unnoticed = match kind {
                    // Hex digits may change their case: they mean the same.
                    _ if got == data => !kind.trailer() || !rest.is_empty(),
                    Kind::UnsignedTrailer => right_length,
                    _ => false,
                };
                assert!(
                    flip && unnoticed,
                    "seed {seed}: {kind:?}: the change went unnoticed"
                );
            }
        }
    }
}

/// Bodies that are wrong in one named way.
#[tokio::test]
async fn named_faults() {
    let data = b"0123456789";
    let check =
        async |kind: Kind, name: &str, edit: &dyn Fn(Vec<u8>) -> Vec<u8>, code: ErrorCode| {
            let request = request(kind, data.len());
            let body = edit(frame(kind, &request, data, 5));
            let (_, end) = decoded(request.map(|_| pieces(vec![body.into()]))).await;
            assert_eq!(end.err().map(|e| e.code), Some(code), "{kind:?}: {name}");
        };
    let replace = |from: &'static str, to: &'static str| {
        move |body: Vec<u8>| {
            let text = String::from_utf8(body).expect("text");
            assert!(text.contains(from), "{from} in {text}");
            text.replacen(from, to, 1).into_bytes()
        }
    };
    // 5;chunk-signature=<64>CRLF 01234 CRLF is one chunk.
    let chunk = "5;chunk-signature=".len() + 64 + 2 + 5 + 2;
    for kind in [Kind::Signed, Kind::SignedTrailer] {
        check(
            kind,
            "data changed",
            &replace("01234", "01235"),
            SignatureDoesNotMatch,
        )
        .await;
        let swapped = |body: Vec<u8>| {
            let mut out = body[chunk..2 * chunk].to_vec();
            out.extend_from_slice(&body[..chunk]);
            out.extend_from_slice(&body[2 * chunk..]);
            out
        };
        check(kind, "chunks swapped", &swapped, SignatureDoesNotMatch).await;
        let replayed = |body: Vec<u8>| {
            let mut out = body[..chunk].to_vec();
            out.extend_from_slice(&body[..chunk]);
            out.extend_from_slice(&body[2 * chunk..]);
            out
        };
        check(kind, "chunk replayed", &replayed, SignatureDoesNotMatch).await;
        let unsigned = |body: Vec<u8>| {
            let mut out = b"5".to_vec();
            out.extend_from_slice(&body["5;chunk-signature=".len() + 64..]);
            out
        };
        check(
            kind,
            "chunk without signature",
            &unsigned,
            SignatureDoesNotMatch,
        )
        .await;
    }
    for kind in KINDS {
        check(
            kind,
            "size overflow",
            &replace("5", "fffffffffffffffff"),
            IncompleteBody,
        )
        .await;
        check(
            kind,
            "huge size",
            &replace("5", "ffffffffffffffff"),
            IncompleteBody,
        )
        .await;
        check(kind, "negative size", &replace("5", "-5"), IncompleteBody).await;
        check(kind, "no size", &replace("5", ""), IncompleteBody).await;
        check(
            kind,
            "bare LF",
            &|mut body| {
                let at = body.iter().position(|b| *b == b'\r').expect("a CR");
                body.remove(at);
                body
            },
            IncompleteBody,
        )
        .await;
        check(
            kind,
            "endless line",
            &|_| vec![b'0'; 100_000],
            IncompleteBody,
        )
        .await;
        check(kind, "empty", &|_| Vec::new(), IncompleteBody).await;
        check(
            kind,
            "no last chunk",
            &|body| body[..chunk.min(20)].to_vec(),
            IncompleteBody,
        )
        .await;
    }
    let extra = |mut body: Vec<u8>| {
        body.extend_from_slice(b"x");
        body
    };
    check(Kind::Signed, "bytes behind the end", &extra, IncompleteBody).await;
    for kind in [Kind::SignedTrailer, Kind::UnsignedTrailer] {
        for (name, from, to) in [
            ("missing", "x-amz-checksum-crc32:AAAAAQ==\r\n", ""),
            ("no colon", "crc32:AAAAAQ==", "crc32AAAAAQ=="),
            ("bad base64", "AAAAAQ==", "AAA"),
            (
                "another name",
                "x-amz-checksum-crc32:",
                "x-amz-checksum-sha1:",
            ),
            (
                "twice",
                "x-amz-checksum-crc32:AAAAAQ==\r\n",
                "x-amz-checksum-crc32:AAAAAQ==\r\nx-amz-checksum-crc32:AAAAAQ==\r\n",
            ),
        ] {
            check(kind, name, &replace(from, to), MalformedTrailerError).await;
        }
        check(kind, "bytes behind the end", &extra, MalformedTrailerError).await;
        check(
            kind,
            "endless trailer",
            &|mut body| {
                body.extend(vec![b'a'; 100_000]);
                body
            },
            IncompleteBody,
        )
        .await;
    }
    check(
        Kind::SignedTrailer,
        "value changed",
        &replace("AAAAAQ==", "AAAAAA=="),
        SignatureDoesNotMatch,
    )
    .await;
    check(
        Kind::SignedTrailer,
        "signature dropped",
        &|body| {
            let at = body.len() - "x-amz-trailer-signature:".len() - 64 - 4;
            let mut out = body[..at].to_vec();
            out.extend_from_slice(b"\r\n");
            out
        },
        MalformedTrailerError,
    )
    .await;
}

#[tokio::test]
async fn decoded_length_must_be_exact() {
    for kind in KINDS {
        for (said, sent) in [(9, 10), (11, 10), (0, 1), (1, 0)] {
            let request = request(kind, said);
            let body = frame(kind, &request, &vec![b'x'; sent], 4);
            let (got, end) = decoded(request.map(|_| pieces(vec![body.into()]))).await;
            assert_eq!(
                end.err().map(|e| e.code),
                Some(IncompleteBody),
                "{kind:?} {said} {sent}"
            );
            assert!(got.len() <= said, "never more than was announced");
        }
    }
}

/// minio-go ends a trailer's field with LF and sets an empty line before its signature.
#[tokio::test]
async fn trailers_of_minio_go() {
    for kind in [Kind::SignedTrailer, Kind::UnsignedTrailer] {
        let request = request(kind, 4);
        let body = String::from_utf8(frame(kind, &request, b"data", 4)).expect("text");
        let body = body.replacen("==\r\n", "==\n\r\n", 1);
        let (got, end) = decoded(request.map(|_| pieces(vec![body.into()]))).await;
        assert!(
            got == b"data" && end.is_ok_and(|rest| rest.len() == 1),
            "{kind:?}"
        );
    }
}

/// One chunk of 256 MiB never has to fit into memory: what arrives is handed on at once.
#[tokio::test]
async fn a_large_chunk_streams() {
    const PIECE: usize = 64 * 1024;
    const PIECES: usize = 4096;
    let request = request(Kind::UnsignedTrailer, PIECE * PIECES);
    let piece = Bytes::from(vec![7; PIECE]);
    let head = Bytes::from(format!("{:x}\r\n", PIECE * PIECES));
    let tail = Bytes::from(format!("\r\n0\r\nx-amz-checksum-crc32:{CRC}\r\n\r\n"));
    let all = std::iter::once(head)
        .chain(std::iter::repeat_n(piece, PIECES))
        .chain(std::iter::once(tail))
        .map(|bytes| Ok(http_body::Frame::data(bytes)));
    let body = StreamBody::new(futures_util::stream::iter(all)).boxed_unsync();
    let call = decode(&front(), request.map(|_| body))
        .await
        .expect("decodes");
    let Operation::PutObject(put) = call.operation else {
        panic!("a PutObject")
    };
    let mut frames = put.body.frames;
    let (mut total, mut count) = (0, 0);
    while let Some(frame) = frames.next().await {
        if let Frame::Data(data) = frame.expect("good") {
            assert!(data.len() <= PIECE);
            total += data.len();
            count += 1;
        }
    }
    assert_eq!((total, count), (PIECE * PIECES, PIECES));
}

/// XML may come in chunks as well, and is verified like any other body.
#[tokio::test]
async fn xml_in_chunks() {
    use md5::Digest as _;
    let xml = b"<Delete><Object><Key>k</Key></Object></Delete>";
    for (sent, code) in [
        (xml.to_vec(), None),
        (
            xml.map(|b| if b == b'k' { b'j' } else { b }).to_vec(),
            Some(BadDigest),
        ),
    ] {
        let md5 = base64::Engine::encode(
            &base64::engine::general_purpose::STANDARD,
            md5::Md5::digest(xml),
        );
        let request = Draft::new("POST", "/bucket?delete")
            .payload(Kind::Signed.payload())
            .header("content-md5", md5)
            .header("x-amz-decoded-content-length", xml.len().to_string())
            .signed();
        let mut body = BytesMut::new();
        body.extend_from_slice(&frame(Kind::Signed, &request, &sent, 7));
        let result = decode(&front(), request.map(|_| pieces(vec![body.freeze()]))).await;
        assert_eq!(result.err().map(|e| e.code), code);
    }
}

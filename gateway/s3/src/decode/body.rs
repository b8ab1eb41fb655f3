//! Request bodies: an object's as a stream, XML read whole.

use bytes::Bytes;
use futures_util::StreamExt as _;
use http::HeaderMap;
use http_body::Body;
use weir_types::body::{ExpectedDigests, Frame, FrameStream, IncomingBody};
use weir_types::{Error, ErrorCode};

use super::room::Room;
use super::{digests, invalid_argument};
use crate::config::S3Limits;
use crate::gate::payload::{Payload, Source, TrailerRule, chunked, plain};
use crate::gate::{SealedBody, single};

/// The body of PutObject and UploadPart.
pub(super) fn of_object<B>(
    headers: &HeaderMap,
    body: SealedBody<B>,
    limits: &S3Limits,
) -> Result<IncomingBody, Error>
where
    B: Body<Data = Bytes> + Send + 'static,
{
    let size = size(headers, &body)?.ok_or(Error::from(ErrorCode::MissingContentLength))?;
    if size > limits.put_bytes_max {
        return Err(Error::from(ErrorCode::EntityTooLarge)
            .with("ProposedSize", size.to_string())
            .with("MaxSizeAllowed", limits.put_bytes_max.to_string()));
    }
    let (expected, rule) = digests::of_body(headers, body.payload)?;
    Ok(IncomingBody {
        size,
        expected,
        frames: open(body, size, rule, limits),
    })
}

/// An XML body, verified against everything that was said about it.
pub(super) async fn of_xml<B>(
    headers: &HeaderMap,
    body: SealedBody<B>,
    digests: (ExpectedDigests, TrailerRule),
    bytes_max: usize,
    (limits, room): (&S3Limits, &Room),
) -> Result<Vec<u8>, Error>
where
    B: Body<Data = Bytes> + Send + 'static,
{
    let size = match size(headers, &body)? {
        Some(size) => size,
        // Clients leave the length out where there is no body.
        None if body.body.is_end_stream() => 0,
        None => return Err(ErrorCode::MissingContentLength.into()),
    };
    let length = usize::try_from(size)
        .ok()
        .filter(|length| *length <= bytes_max);
    let length = length.ok_or_else(|| {
        Error::from(ErrorCode::MalformedXML).with("MaxMessageLengthBytes", bytes_max.to_string())
    })?;
    let _room = room.take(length)?;
    let (expected, rule) = digests;
    let mut frames = open(body, size, rule, limits);
    // Grows with what arrives, not with what was announced.
    let mut bytes = Vec::with_capacity(length.min(64 * 1024));
    let mut trailers = Vec::new();
    while let Some(frame) = frames.next().await {
        match frame? {
            Frame::Data(data) => bytes.extend_from_slice(&data),
            Frame::Trailers(checksums) => trailers = checksums,
        }
    }
    digests::verify(&bytes, &expected, &trailers)?;
    Ok(bytes)
}

fn open<B>(body: SealedBody<B>, size: u64, rule: TrailerRule, limits: &S3Limits) -> FrameStream
where
    B: Body<Data = Bytes> + Send + 'static,
{
    let SealedBody {
        body,
        payload,
        signer,
    } = body;
    let source = Source::new(body, limits.body_idle_timeout);
    match payload {
        Payload::Unsigned => plain(source, size, None),
        Payload::Sha256(sha256) => plain(source, size, Some(sha256)),
        Payload::Chunked { .. } => chunked(source, size, signer, rule),
    }
}

/// The length of the payload, if the client gave one.
fn size<B: Body>(headers: &HeaderMap, body: &SealedBody<B>) -> Result<Option<u64>, Error> {
    let name = match body.payload {
        Payload::Chunked { .. } => "x-amz-decoded-content-length",
        _ => "content-length",
    };
    let Some(text) = single(headers, name)? else {
        return Ok(None);
    };
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match text.parse() {
        Ok(size) if digits => Ok(Some(size)),
        _ => Err(invalid_argument(name, text, "The length is not a number.")),
    }
}

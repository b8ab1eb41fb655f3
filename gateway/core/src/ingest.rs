//! Takes a request body in: hashes it, cuts it into blocks, and lets the last bytes go only
//! once everything the client said about the body has proved true.
//!
//! A backend that is fed from an [`Ingest`] therefore never receives a complete body that
//! failed its length, signature, MD5 or checksum: the stream ends in an error instead of the
//! last frame, and the backend stores nothing.

mod digests;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use parking_lot::Mutex;
use weir_types::body::{
    ExpectedChecksum, ExpectedDigests, Frame, FrameStream, IncomingBody, PutStream,
};
use weir_types::checksum::Checksum;
use weir_types::error::ErrorCode;
use weir_types::{Error, Result};

use digests::BlockDigests;
pub(crate) use digests::{ChecksumDigest, crc32c, finish_crc32c};

/// What is known of a body that was taken in whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Digested {
    /// MD5 of all bytes.
    pub(crate) md5: [u8; 16],
    /// CRC32C of each block.
    pub(crate) crcs: Vec<u32>,
    /// The additional checksum that was asked for.
    pub(crate) checksum: Option<Checksum>,
    /// Length in bytes.
    pub(crate) size: u64,
}

/// A body on its way in.
pub(crate) struct Ingest {
    frames: FrameStream,
    expected: ExpectedDigests,
    size: u64,
    taken: u64,
    blocks: BlockDigests,
    checksum: Option<ChecksumDigest>,
    trailers: Vec<Checksum>,
    /// The newest frame, held back until the next one, or the verified end, has arrived.
    held: Option<Bytes>,
    state: State,
    result: Arc<Mutex<Option<Digested>>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Reading,
    Verified,
    Ended,
}

/// Tells, once a body's stream has ended well, what it hashed to.
#[derive(Debug, Clone)]
pub(crate) struct DigestedCell(Arc<Mutex<Option<Digested>>>);

impl DigestedCell {
    /// What the body hashed to; InternalError when its stream has not ended well.
    pub(crate) fn take(&self) -> Result<Digested> {
        self.0.lock().take().ok_or_else(|| {
            Error::new(
                ErrorCode::InternalError,
                "A backend answered before it had read the body.",
            )
        })
    }
}

impl Ingest {
    /// Starts taking `body` in.
    pub(crate) fn new(body: IncomingBody) -> Self {
        let checksum = body.expected.checksum.as_ref();
        Self {
            checksum: checksum.map(|c| ChecksumDigest::new(c.algorithm())),
            frames: body.frames,
            expected: body.expected,
            size: body.size,
            taken: 0,
            blocks: BlockDigests::default(),
            trailers: Vec::new(),
            held: None,
            state: State::Reading,
            result: Arc::default(),
        }
    }

    /// The stream for a backend, and where the result will stand.
    pub(crate) fn into_stream(self) -> (PutStream, DigestedCell) {
        let cell = DigestedCell(Arc::clone(&self.result));
        (Box::pin(self), cell)
    }

    /// Reads the whole body into memory. Only for bodies below a small limit, which the
    /// caller has checked.
    pub(crate) async fn collect(mut self) -> Result<(Bytes, Digested)> {
        let capacity = usize::try_from(self.size).unwrap_or(0);
        let mut first: Option<Bytes> = None;
        let mut rest = BytesMut::new();
        while let Some(chunk) = self.next().await {
            let chunk = chunk?;
            match first.take() {
                // One frame is the common case: it is passed on as it came.
                None if rest.is_empty() => first = Some(chunk),
                None => rest.extend_from_slice(&chunk),
                Some(start) => {
                    rest.reserve(capacity);
                    rest.extend_from_slice(&start);
                    rest.extend_from_slice(&chunk);
                }
            }
        }
        let digested = DigestedCell(Arc::clone(&self.result)).take()?;
        Ok((first.unwrap_or_else(|| rest.freeze()), digested))
    }

    fn accept(&mut self, data: &Bytes) -> Result<()> {
        self.taken += data.len() as u64;
        if self.taken > self.size {
            return Err(ErrorCode::IncompleteBody.into());
        }
        self.blocks.update(data);
        if let Some(checksum) = &mut self.checksum {
            checksum.update(data);
        }
        Ok(())
    }

    /// Everything has arrived: compares with what the client said.
    fn verify(&mut self) -> Result<Digested> {
        if self.taken != self.size {
            return Err(ErrorCode::IncompleteBody.into());
        }
        let (md5, crcs) = std::mem::take(&mut self.blocks).finish();
        if self.expected.md5.is_some_and(|given| given != md5) {
            return Err(Error::new(
                ErrorCode::BadDigest,
                "The Content-MD5 you specified did not match what we received.",
            ));
        }
        let checksum = self.checksum.take().map(ChecksumDigest::finish);
        self.verify_checksum(checksum.as_ref())?;
        Ok(Digested {
            md5,
            crcs,
            checksum,
            size: self.size,
        })
    }

    fn verify_checksum(&self, computed: Option<&Checksum>) -> Result<()> {
        let (Some(expected), Some(computed)) = (&self.expected.checksum, computed) else {
            return Ok(());
        };
        let given = match expected {
            ExpectedChecksum::Given(given) => given,
            ExpectedChecksum::Compute(_) => return Ok(()),
            ExpectedChecksum::InTrailer(algorithm) => {
                let found = self.trailers.iter().find(|c| c.algorithm == *algorithm);
                found.ok_or(ErrorCode::MalformedTrailerError)?
            }
        };
        if given == computed {
            return Ok(());
        }
        Err(Error::new(
            ErrorCode::BadDigest,
            format!(
                "The {} you specified did not match the calculated checksum.",
                computed.algorithm.name()
            ),
        ))
    }
}

impl Stream for Ingest {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        let this = &mut *self;
        loop {
            match this.state {
                State::Ended => return Poll::Ready(None),
                State::Verified => {
                    this.state = State::Ended;
                    return Poll::Ready(this.held.take().map(Ok));
                }
                State::Reading => {}
            }
            let step = match ready!(this.frames.as_mut().poll_next(cx)) {
                Some(Ok(Frame::Data(data))) if data.is_empty() => Ok(None),
                Some(Ok(Frame::Data(data))) => this.accept(&data).map(|()| this.held.replace(data)),
                Some(Ok(Frame::Trailers(trailers))) => {
                    this.trailers = trailers;
                    Ok(None)
                }
                Some(Err(error)) => Err(error),
                None => this.verify().map(|digested| {
                    *this.result.lock() = Some(digested);
                    this.state = State::Verified;
                    None
                }),
            };
            match step {
                Ok(Some(bytes)) => return Poll::Ready(Some(Ok(bytes))),
                Ok(None) => {}
                Err(error) => {
                    this.state = State::Ended;
                    this.held = None;
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;

//! Bodies in signed chunks, for endpoints without TLS.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use weir_types::body::PutStream;
use weir_types::{Error, ErrorCode};

use super::sign::ChunkSigner;

/// Payload bytes of every chunk but the last.
const CHUNK_BYTES: usize = 64 << 10;

fn frame_bytes(payload: u64) -> u64 {
    // "<hex>;chunk-signature=<64 hex>\r\n<payload>\r\n"
    let hex = if payload == 0 {
        1
    } else {
        u64::from(payload.ilog2() / 4 + 1)
    };
    hex + 17 + 64 + 2 + payload + 2
}

/// Length of a body of `size` bytes once it is in chunks.
pub(super) fn encoded_bytes(size: u64) -> u64 {
    let chunk = CHUNK_BYTES as u64;
    let rest = size % chunk;
    let last = if rest > 0 { frame_bytes(rest) } else { 0 };
    (size / chunk) * frame_bytes(chunk) + last + frame_bytes(0)
}

struct Encoder {
    body: PutStream,
    signer: ChunkSigner,
    buffer: BytesMut,
    ready: VecDeque<Bytes>,
    /// Payload bytes that the body still owes.
    owed: u64,
    ended: bool,
}

impl Encoder {
    fn frame(&mut self, payload: Bytes) {
        let signature = self.signer.sign(&payload);
        let head = format!("{:x};chunk-signature={signature}\r\n", payload.len());
        self.ready.push_back(head.into());
        if !payload.is_empty() {
            self.ready.push_back(payload);
        }
        self.ready.push_back(Bytes::from_static(b"\r\n"));
    }

    async fn next(mut self) -> Result<Option<(Bytes, Self)>, Error> {
        loop {
            if let Some(piece) = self.ready.pop_front() {
                return Ok(Some((piece, self)));
            }
            if self.ended {
                return Ok(None);
            }
            match self.body.next().await.transpose()? {
                Some(chunk) => {
                    let owed = self.owed.checked_sub(chunk.len() as u64);
                    self.owed = owed.ok_or(ErrorCode::IncompleteBody)?;
                    self.buffer.extend_from_slice(&chunk);
                    // A full last chunk waits for the end: some servers store the object as
                    // soon as they have all its bytes, whatever follows.
                    while self.buffer.len() > CHUNK_BYTES {
                        let payload = self.buffer.split_to(CHUNK_BYTES).freeze();
                        self.frame(payload);
                    }
                }
                None if self.owed > 0 => return Err(ErrorCode::IncompleteBody.into()),
                None => {
                    if !self.buffer.is_empty() {
                        let payload = self.buffer.split().freeze();
                        self.frame(payload);
                    }
                    self.frame(Bytes::new());
                    self.ended = true;
                }
            }
        }
    }
}

/// `size` bytes of `body` in chunks, each with its signature. The last one is made only when
/// the body has ended well.
pub(super) fn encode(body: PutStream, size: u64, signer: ChunkSigner) -> PutStream {
    let encoder = Encoder {
        body,
        signer,
        buffer: BytesMut::new(),
        ready: VecDeque::new(),
        owed: size,
        ended: false,
    };
    Box::pin(futures_util::stream::try_unfold(encoder, Encoder::next))
}

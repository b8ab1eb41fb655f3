//! aws-chunked bodies (AWS, "Transferring payload in multiple chunks").
//!
//! Each chunk is `hex size[;chunk-signature=…] CRLF data CRLF`; a chunk of size 0 ends the
//! data, and a trailer may follow. Data is handed on as it arrives, whatever the size of its
//! chunk; a chunk's signature is checked when its last byte has passed, and the stream ends
//! with an error if it is wrong.

use aws_lc_rs::digest;
use bytes::{Buf as _, Bytes};
use futures_util::stream;
use http_body::Body;
use weir_types::body::{Frame, FrameStream};
use weir_types::{Error, ErrorCode};

use super::TrailerRule;
use super::source::Source;
use super::trailer;
use crate::gate::signing::{self, SignatureHex, SigningKey};

/// SHA-256 of nothing: stands for the headers that chunks do not have.
const EMPTY_SHA256_LINE: &str =
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n";

/// The longest line in front of a chunk: 16 hex digits, the extension, CRLF.
const CHUNK_LINE_BYTES_MAX: usize = 128;
/// The longest trailer: a checksum and a signature take about 200 bytes.
const TRAILER_BYTES_MAX: usize = 4096;
const CHUNK_EXTENSION: &[u8] = b"chunk-signature=";

/// Signs one chunk after another, each over the signature before it.
pub(crate) struct ChunkSigner {
    key: SigningKey,
    /// `date LF scope LF`.
    head: String,
    previous: SignatureHex,
}

impl ChunkSigner {
    /// Starts from the signature of the request's headers.
    pub(crate) fn new(key: SigningKey, date: &str, scope: &str, seed: SignatureHex) -> Self {
        Self {
            key,
            head: format!("{date}\n{scope}\n"),
            previous: seed,
        }
    }

    /// The string to sign is the same for chunks and trailers but for its first line, and
    /// for the hash of nothing that stands in front of a chunk's.
    fn sign(&mut self, first_line: &str, fixed: &str, hash: &SignatureHex) -> SignatureHex {
        let mut text = Vec::with_capacity(320);
        text.extend_from_slice(first_line.as_bytes());
        text.extend_from_slice(self.head.as_bytes());
        text.extend_from_slice(&self.previous);
        text.push(b'\n');
        text.extend_from_slice(fixed.as_bytes());
        text.extend_from_slice(hash);
        self.previous = self.key.sign(&text);
        self.previous
    }

    fn chunk(&mut self, sha256: &SignatureHex) -> SignatureHex {
        self.sign("AWS4-HMAC-SHA256-PAYLOAD\n", EMPTY_SHA256_LINE, sha256)
    }

    fn trailer(&mut self, text: &[u8]) -> SignatureHex {
        let hash = signing::sha256_hex(text);
        self.sign("AWS4-HMAC-SHA256-TRAILER\n", "", &hash)
    }
}

enum State {
    /// Reading the line in front of a chunk.
    Line,
    /// Inside a chunk with so many bytes to come.
    Data(u64),
    /// Before the CRLF behind a chunk's data.
    AfterData,
    /// Behind the line of the last chunk.
    Tail,
    /// Over, in good order or not.
    Ended,
}

struct Chunked<B> {
    source: Source<B>,
    /// Arrived and not yet looked at.
    input: Bytes,
    /// The line or trailer being collected.
    held: Vec<u8>,
    state: State,
    /// Decoded bytes still to come.
    remaining: u64,
    signer: Option<ChunkSigner>,
    chunk_sha256: digest::Context,
    /// What the current chunk's line gave.
    chunk_signature: Vec<u8>,
    rule: TrailerRule,
}

/// Decodes a body of exactly `size` decoded bytes. With a `signer` every chunk must carry its
/// signature, and so must the trailer, if `rule` asks for one. What does not hold is reported
/// in place of the end.
pub(crate) fn chunked<B>(
    source: Source<B>,
    size: u64,
    signer: Option<ChunkSigner>,
    rule: TrailerRule,
) -> FrameStream
where
    B: Body<Data = Bytes> + Send + 'static,
{
    let state = Chunked {
        source,
        input: Bytes::new(),
        held: Vec::new(),
        state: State::Line,
        remaining: size,
        signer,
        chunk_sha256: digest::Context::new(&digest::SHA256),
        chunk_signature: Vec::new(),
        rule,
    };
    Box::pin(stream::unfold(state, |mut state| async move {
        if matches!(state.state, State::Ended) {
            return None;
        }
        let item = state.next().await.transpose()?;
        if item.is_err() {
            state.state = State::Ended;
        }
        Some((item, state))
    }))
}

impl<B: Body<Data = Bytes>> Chunked<B> {
    /// The next piece of payload, the trailer's checksum as the last piece, or the end.
    async fn next(&mut self) -> Result<Option<Frame>, Error> {
        loop {
            if self.input.is_empty() {
                match self.source.next().await? {
                    Some(input) => self.input = input,
                    None => return self.end_of_input(),
                }
            }
            match self.state {
                State::Line => self.line()?,
                State::Data(left) => return self.data(left).map(Some),
                State::AfterData => self.after_data()?,
                State::Tail => self.tail()?,
                State::Ended => return Ok(None),
            }
        }
    }

    fn line(&mut self) -> Result<(), Error> {
        if !self.collect_line()? {
            return Ok(());
        }
        let line = std::mem::take(&mut self.held);
        let (size, signature) = parse_line(&line, self.signer.is_some())?;
        // Kept, so that its memory serves the next line.
        self.held = line;
        self.held.clear();
        if size > self.remaining {
            return Err(wrong_length());
        }
        self.chunk_signature = signature;
        self.chunk_sha256 = digest::Context::new(&digest::SHA256);
        if size > 0 {
            self.state = State::Data(size);
            return Ok(());
        }
        self.check_chunk()?;
        self.state = State::Tail;
        Ok(())
    }

    /// Moves input to `held` until that ends with LF.
    fn collect_line(&mut self) -> Result<bool, Error> {
        let newline = self.input.iter().position(|b| *b == b'\n');
        let taken = newline.map_or(self.input.len(), |at| at + 1);
        if self.held.len() + taken > CHUNK_LINE_BYTES_MAX {
            return Err(malformed("The line in front of a chunk is too long."));
        }
        self.held.extend_from_slice(&self.input[..taken]);
        self.input.advance(taken);
        Ok(newline.is_some())
    }

    fn data(&mut self, left: u64) -> Result<Frame, Error> {
        let take = usize::try_from(left).map_or(self.input.len(), |l| l.min(self.input.len()));
        let data = self.input.split_to(take);
        if self.signer.is_some() {
            self.chunk_sha256.update(&data);
        }
        let length = data.len() as u64;
        self.remaining -= length;
        self.state = match left - length {
            0 => State::AfterData,
            more => State::Data(more),
        };
        Ok(Frame::Data(data))
    }

    fn after_data(&mut self) -> Result<(), Error> {
        if !self.collect_line()? {
            return Ok(());
        }
        if self.held != b"\r\n" {
            return Err(malformed("A chunk is longer than it says."));
        }
        self.held.clear();
        self.check_chunk()?;
        self.state = State::Line;
        Ok(())
    }

    fn check_chunk(&mut self) -> Result<(), Error> {
        let Some(signer) = &mut self.signer else {
            return Ok(());
        };
        let context = digest::Context::new(&digest::SHA256);
        let hash = std::mem::replace(&mut self.chunk_sha256, context).finish();
        let calculated = signer.chunk(&signing::to_hex(hash.as_ref()));
        if signing::matches(&calculated, &self.chunk_signature) {
            Ok(())
        } else {
            Err(Error::new(
                ErrorCode::SignatureDoesNotMatch,
                "The signature of a chunk does not match.",
            ))
        }
    }

    fn tail(&mut self) -> Result<(), Error> {
        if self.held.len() + self.input.len() > TRAILER_BYTES_MAX {
            return Err(malformed("Too much follows the last chunk."));
        }
        self.held.extend_from_slice(&self.input);
        self.input.clear();
        Ok(())
    }

    fn end_of_input(&mut self) -> Result<Option<Frame>, Error> {
        if !matches!(self.state, State::Tail) || self.remaining > 0 {
            return Err(wrong_length());
        }
        self.state = State::Ended;
        if self.rule == TrailerRule::None {
            return match &self.held[..] {
                b"\r\n" => Ok(None),
                _ => Err(wrong_length()),
            };
        }
        let trailer = trailer::parse(&self.held, self.rule)?;
        match (&mut self.signer, &trailer.signature) {
            (None, None) => {}
            (Some(signer), Some(given)) => {
                let calculated = signer.trailer(&trailer.signed_text);
                if !signing::matches(&calculated, given) {
                    return Err(Error::new(
                        ErrorCode::SignatureDoesNotMatch,
                        "The signature of the trailer does not match.",
                    ));
                }
            }
            (Some(_), None) => {
                return Err(Error::new(
                    ErrorCode::MalformedTrailerError,
                    "The trailer is not signed.",
                ));
            }
            (None, Some(_)) => {
                return Err(Error::new(
                    ErrorCode::MalformedTrailerError,
                    "The trailer of an unsigned payload has a signature.",
                ));
            }
        }
        Ok(Some(Frame::Trailers(vec![trailer.checksum])))
    }
}

/// Takes `hex size[;chunk-signature=…] CRLF` apart.
fn parse_line(line: &[u8], signed: bool) -> Result<(u64, Vec<u8>), Error> {
    let line = line
        .strip_suffix(b"\r\n")
        .ok_or(malformed("A chunk's line must end with CRLF."))?;
    let digits = line.iter().take_while(|b| b.is_ascii_hexdigit()).count();
    let (size, extension) = line.split_at(digits);
    // Sixteen digits always fit; leading zeros beyond that are nobody's honest habit.
    let size = std::str::from_utf8(size)
        .ok()
        .filter(|text| (1..=16).contains(&text.len()))
        .and_then(|text| u64::from_str_radix(text, 16).ok())
        .ok_or(malformed("A chunk's size is not a number."))?;
    match (extension, signed) {
        (b"", false) => Ok((size, Vec::new())),
        ([b';', extension @ ..], true) => {
            let signature = extension
                .strip_prefix(CHUNK_EXTENSION)
                .ok_or(malformed("A chunk has no signature."))?;
            Ok((size, signature.to_vec()))
        }
        ([], true) => Err(Error::new(
            ErrorCode::SignatureDoesNotMatch,
            "A chunk has no signature.",
        )),
        _ => Err(malformed("A chunk's line is malformed.")),
    }
}

fn malformed(message: &'static str) -> Error {
    Error::new(ErrorCode::IncompleteBody, message)
}

fn wrong_length() -> Error {
    Error::new(
        ErrorCode::IncompleteBody,
        "The body's decoded length is not x-amz-decoded-content-length.",
    )
}

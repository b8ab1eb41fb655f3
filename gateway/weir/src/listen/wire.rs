//! Lines of HTTP/1 that end in CRLF and in nothing else.
//!
//! hyper also takes a bare LF for the end of a line (RFC 9112, section 2.2, lets a recipient do
//! so). A proxy in front may not, and then the two read different requests from the same
//! bytes: a length or a whole request hidden in a header's value. So a connection on which one
//! comes is closed before hyper sees it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What is kept of a line that comes in pieces: a field's name and any honest length.
const LINE_BYTES_KEPT: usize = 256;

/// A connection whose reads fail when a line of a header section ends in a bare LF.
pub(super) struct StrictLines<I> {
    inner: I,
    lines: Lines,
}

impl<I> StrictLines<I> {
    pub(super) fn new(inner: I) -> Self {
        let lines = Lines::default();
        Self { inner, lines }
    }
}

/// Follows a connection from header section to header section. It knows where a body ends as
/// hyper does: by its Content-Length.
#[derive(Debug, Default)]
struct Lines {
    at: At,
    /// The beginning of a line whose end has not come, and how long it is so far.
    begun: Vec<u8>,
    begun_bytes: usize,
    last: u8,
    length: Option<u64>,
    chunked: bool,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum At {
    /// Before a request line; empty lines there do not count.
    #[default]
    Request,
    /// Behind the request line.
    Fields,
    /// In a body with so many bytes to come.
    Body(u64),
    /// HTTP/2, or a request after which the connection ends whatever follows.
    Elsewhere,
}

#[derive(Debug, PartialEq, Eq)]
struct BareLf;

impl Lines {
    fn take(&mut self, mut bytes: &[u8]) -> Result<(), BareLf> {
        while !bytes.is_empty() {
            match &mut self.at {
                At::Elsewhere => return Ok(()),
                At::Body(left) => {
                    let skipped =
                        usize::try_from(*left).map_or(bytes.len(), |l| l.min(bytes.len()));
                    bytes = &bytes[skipped..];
                    *left -= skipped as u64;
                    if *left == 0 {
                        self.at = At::Request;
                    }
                }
                At::Request | At::Fields => {
                    let Some(end) = bytes.iter().position(|b| *b == b'\n') else {
                        self.keep(bytes);
                        return Ok(());
                    };
                    self.line(&bytes[..end])?;
                    bytes = &bytes[end + 1..];
                }
            }
        }
        Ok(())
    }

    /// Remembers the piece of a line.
    fn keep(&mut self, piece: &[u8]) {
        let room = LINE_BYTES_KEPT.saturating_sub(self.begun.len());
        self.begun
            .extend_from_slice(&piece[..room.min(piece.len())]);
        self.begun_bytes += piece.len();
        self.last = piece.last().copied().unwrap_or(self.last);
    }

    /// A line has ended; `piece` is what came of it without its LF.
    fn line(&mut self, piece: &[u8]) -> Result<(), BareLf> {
        if self.begun_bytes == 0 {
            let line = piece.strip_suffix(b"\r").ok_or(BareLf)?;
            self.whole(line);
            return Ok(());
        }
        self.keep(piece);
        if self.last != b'\r' {
            return Err(BareLf);
        }
        let mut line = std::mem::take(&mut self.begun);
        if line.len() == self.begun_bytes {
            line.pop();
        }
        self.begun_bytes = 0;
        self.whole(&line);
        line.clear();
        self.begun = line;
        Ok(())
    }

    /// A line without its end; its tail may be missing when it is long.
    fn whole(&mut self, line: &[u8]) {
        match self.at {
            At::Request if line.is_empty() => {}
            At::Request if line == b"PRI * HTTP/2.0" => self.at = At::Elsewhere,
            At::Request => self.at = At::Fields,
            _ if line.is_empty() => self.end_of_fields(),
            _ => self.field(line),
        }
    }

    fn field(&mut self, line: &[u8]) {
        let Some(colon) = line.iter().position(|b| *b == b':') else {
            return;
        };
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        if name.eq_ignore_ascii_case(b"transfer-encoding") {
            self.chunked = true;
        } else if name.eq_ignore_ascii_case(b"content-length") {
            let text = std::str::from_utf8(value.trim_ascii()).unwrap_or_default();
            match (text.parse(), self.length) {
                (Ok(length), None) => self.length = Some(length),
                (Ok(length), Some(same)) if length == same => {}
                // hyper answers 400 and closes.
                _ => self.chunked = true,
            }
        }
    }

    fn end_of_fields(&mut self) {
        let length = self.length.take().unwrap_or(0);
        self.at = match (self.chunked, length) {
            (true, _) => At::Elsewhere,
            (false, 0) => At::Request,
            (false, length) => At::Body(length),
        };
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for StrictLines<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buffer))?;
        let taken = self.lines.take(&buffer.filled()[before..]);
        Poll::Ready(taken.map_err(|BareLf| {
            io::Error::new(io::ErrorKind::InvalidData, "a line ends in a bare LF")
        }))
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for StrictLines<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, good: bool) {
        // Wherever the reads are cut, the verdict is the same.
        for size in 1..=text.len() {
            let mut lines = Lines::default();
            let taken = text
                .as_bytes()
                .chunks(size)
                .try_for_each(|piece| lines.take(piece));
            assert_eq!(taken.is_ok(), good, "{text:?} in pieces of {size}");
        }
    }

    #[test]
    fn a_bare_lf_is_seen_in_header_sections_alone() {
        const GET: &str = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";
        let put = |length: &str, body: &str| {
            format!("PUT / HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n{body}")
        };
        let long = "v".repeat(3 * LINE_BYTES_KEPT);
        for (text, good) in [
            (format!("{GET}{GET}"), true),
            (format!("\r\n\r\n{GET}"), true),
            (format!("{}{GET}", put("6", "a\nb\n\n\n")), true),
            (format!("{}{GET}", put("  0006  ", "a\nb\n\n\n")), true),
            (
                format!("{}{GET}", put("6\r\nContent-Length:6", "a\nb\n\n\n")),
                true,
            ),
            (format!("GET / HTTP/1.1\r\nx: {long}\r\n\r\n{GET}"), true),
            ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\n\n".to_owned(), true),
            // What ends the connection is hyper's to refuse or to end.
            (put("6\r\ntransfer-encoding: chunked", "\n\n\n\n"), true),
            (put("six", "\n"), true),
            (put("6\r\ncontent-length: 7", "\n"), true),
            ("\n".to_owned(), false),
            ("GET / HTTP/1.1\nhost: x\r\n\r\n".to_owned(), false),
            ("GET / HTTP/1.1\r\nhost: x\n\r\n".to_owned(), false),
            ("GET / HTTP/1.1\r\nhost: x\r\n\n".to_owned(), false),
            (format!("GET / HTTP/1.1\r\nx: {long}\n\r\n"), false),
            (
                "GET / HTTP/1.1\r\nx: y\ncontent-length: 50\r\n\r\n".to_owned(),
                false,
            ),
            (format!("{GET}GET / HTTP/1.1\n"), false),
            (format!("{}GET /\n", put("3", "abc")), false),
            (format!("{}\n", put("3", "\n\n\n")), false),
        ] {
            check(&text, good);
        }
    }
}

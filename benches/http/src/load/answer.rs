//! Just enough of HTTP/1.1 answers: those whose length is announced.

use xtask::Result;

/// More than this without the end of a header section is no answer.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// What counts of an answer's header section.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) status: u16,
    /// With its quotes; empty without the header.
    pub(crate) etag: String,
    /// Length of the header section.
    pub(crate) bytes: usize,
    /// `Content-Length`.
    pub(crate) body_bytes: usize,
}

impl Head {
    /// Reads the header section at the start of `input`; `None` while it is not complete.
    pub(crate) fn parse(input: &[u8]) -> Result<Option<Self>> {
        let Some(end) = input.windows(4).position(|four| four == b"\r\n\r\n") else {
            return if input.len() > HEAD_BYTES_MAX {
                Err("a header section without end".to_owned())
            } else {
                Ok(None)
            };
        };
        let text = std::str::from_utf8(&input[..end]).map_err(|_| "headers are not text")?;
        let mut lines = text.split("\r\n");
        let status = lines
            .next()
            .and_then(|line| line.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok())
            .ok_or("no HTTP/1.1 status line")?;
        let mut etag = String::new();
        let mut body_bytes = None;
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            if name.eq_ignore_ascii_case("content-length") {
                let length = value
                    .trim()
                    .parse()
                    .map_err(|_| "a Content-Length without number")?;
                body_bytes = Some(length);
            } else if name.eq_ignore_ascii_case("etag") {
                value.trim().clone_into(&mut etag);
            }
        }
        let body_bytes = body_bytes.ok_or("an answer without Content-Length")?;
        Ok(Some(Self {
            status,
            etag,
            bytes: end + 4,
            body_bytes,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(input: &str, want: std::result::Result<Option<(u16, &str, usize, usize)>, ()>) {
        let got = Head::parse(input.as_bytes()).map_err(drop);
        let want = want.map(|head| {
            head.map(|(status, etag, bytes, body_bytes)| Head {
                status,
                etag: etag.to_owned(),
                bytes,
                body_bytes,
            })
        });
        assert_eq!(got, want, "{input:?}");
    }

    #[test]
    fn answers() {
        let ok = "HTTP/1.1 200 OK\r\nETag: \"ab\"\r\nCONTENT-LENGTH:  7\r\n\r\n";
        check(ok, Ok(Some((200, "\"ab\"", ok.len(), 7))));
        check(&ok[..ok.len() - 1], Ok(None));
        check(
            "HTTP/1.1 503 \r\ncontent-length: 0\r\n\r\nxx",
            Ok(Some((503, "", 36, 0))),
        );
        check(
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
            Err(()),
        );
        check("HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n", Err(()));
        check("SSH-2.0\r\n\r\n", Err(()));
    }
}

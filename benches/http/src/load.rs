//! The load: connections that send prepared requests, one at a time each, and read every
//! answer whole. Signing and hashing happen before, so that the load costs little.

mod answer;

use std::cell::Cell;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::future::try_join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use xtask::Result;

use self::answer::Head;
use crate::objects::etag;
use crate::signing::{Key, Signed, amz_date, authorization};

/// A run that takes longer has hung.
const RUN_LIMIT: Duration = Duration::from_secs(120);
const READ_BYTES: usize = 128 * 1024;

/// The region that all requests are signed for.
pub(crate) const REGION: &str = "us-east-1";

/// A request ready to be sent as often as wanted, and what must come back.
#[derive(Debug)]
pub(crate) struct Prepared {
    head: String,
    body: Bytes,
    etag: String,
    answer: Bytes,
}

/// What a request is signed with, and for whom.
pub(crate) struct Signer<'a> {
    pub(crate) key: Key,
    pub(crate) host: &'a str,
    pub(crate) at: time::OffsetDateTime,
    /// SHA-256 of the body in hexadecimal.
    pub(crate) sha256: &'a str,
    /// Entity tag of the object.
    pub(crate) etag: &'a str,
}

impl Prepared {
    /// A GET of `path`, where `content` lies.
    pub(crate) fn get(signer: &Signer<'_>, path: &str, content: &Bytes) -> Self {
        Self {
            head: signer.head("GET", path, ""),
            body: Bytes::new(),
            etag: signer.etag.to_owned(),
            answer: content.clone(),
        }
    }

    /// A PUT of `content` to `path`.
    pub(crate) fn put(signer: &Signer<'_>, path: &str, content: &Bytes) -> Self {
        let length = format!("content-length: {}\r\n", content.len());
        Self {
            head: signer.head("PUT", path, &length),
            body: content.clone(),
            etag: signer.etag.to_owned(),
            answer: Bytes::new(),
        }
    }

    /// The head, for a load generator of another make.
    pub(crate) fn head(&self) -> &str {
        &self.head
    }
}

impl Signer<'_> {
    fn head(&self, method: &str, path: &str, more: &str) -> String {
        let Signer {
            key,
            host,
            at,
            sha256,
            ..
        } = *self;
        let signed = Signed {
            method,
            path,
            host,
            region: REGION,
            sha256,
            at,
        };
        let authorization = authorization(key, &signed);
        let date = amz_date(at);
        format!(
            "{method} {path} HTTP/1.1\r\nhost: {host}\r\nuser-agent: weir-bench\r\n\
             x-amz-date: {date}\r\nx-amz-content-sha256: {sha256}\r\n\
             authorization: {authorization}\r\n{more}\r\n"
        )
    }
}

/// Open connections to one contender.
pub(crate) struct Connections(Vec<Connection>);

impl Connections {
    /// Opens `count` connections to `address`.
    pub(crate) async fn open(address: SocketAddr, count: usize) -> Result<Self> {
        let open = (0..count).map(|_| Connection::open(address));
        Ok(Self(try_join_all(open).await?))
    }

    /// Sends `total` requests: those of `plan` in order, from the start again when it ends.
    /// Every answer must have status 200 and the right entity tag and body.
    pub(crate) async fn send(&mut self, plan: &[Prepared], total: usize) -> Result<()> {
        let next = Cell::new(0);
        let all = try_join_all(self.0.iter_mut().map(|c| c.drive(plan, &next, total)));
        match tokio::time::timeout(RUN_LIMIT, all).await {
            Ok(outcome) => outcome.map(drop),
            Err(_) => Err(format!(
                "{} of {total} requests sent after {RUN_LIMIT:?}",
                next.get()
            )),
        }
    }
}

/// The body of the answer to a plain GET of `path`.
pub(crate) async fn fetch(address: SocketAddr, path: &str) -> Result<Bytes> {
    let mut connection = Connection::open(address).await?;
    connection
        .write(format!("GET {path} HTTP/1.1\r\nhost: {address}\r\n\r\n").as_bytes())
        .await?;
    let head = connection.read_answer().await?;
    if head.status != 200 {
        return Err(format!("{path}: {}", connection.described(&head)));
    }
    Ok(connection.input.split_off(head.bytes).freeze())
}

struct Connection {
    stream: TcpStream,
    output: Vec<u8>,
    /// The answer being read, from its first byte.
    input: BytesMut,
}

impl Connection {
    async fn open(address: SocketAddr) -> Result<Self> {
        let failed = |e| format!("cannot connect to {address}: {e}");
        let stream = TcpStream::connect(address).await.map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        Ok(Self {
            stream,
            output: Vec::new(),
            input: BytesMut::new(),
        })
    }

    async fn drive(&mut self, plan: &[Prepared], next: &Cell<usize>, total: usize) -> Result<()> {
        loop {
            let number = next.get();
            if number >= total {
                return Ok(());
            }
            next.set(number + 1);
            let request = &plan[number % plan.len()];
            self.exchange(request)
                .await
                .map_err(|e| format!("{}: {e}", request.head.lines().next().unwrap_or_default()))?;
        }
    }

    async fn exchange(&mut self, request: &Prepared) -> Result<()> {
        let mut output = std::mem::take(&mut self.output);
        output.clear();
        output.extend_from_slice(request.head.as_bytes());
        output.extend_from_slice(&request.body);
        self.write(&output).await?;
        self.output = output;

        let head = self.read_answer().await?;
        let body = &self.input[head.bytes..];
        if head.status == 200 && head.etag == request.etag && body == request.answer {
            Ok(())
        } else {
            Err(self.described(&head))
        }
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream
            .write_all(bytes)
            .await
            .map_err(|e| format!("cannot send: {e}"))
    }

    /// Reads one answer whole into `input`.
    async fn read_answer(&mut self) -> Result<Head> {
        self.input.clear();
        let mut head: Option<Head> = None;
        loop {
            if head.is_none() {
                head = Head::parse(&self.input)?;
            }
            if let Some(head) = head.take_if(|h| self.input.len() >= h.bytes + h.body_bytes) {
                if self.input.len() > head.bytes + head.body_bytes {
                    return Err("more bytes than Content-Length says".to_owned());
                }
                return Ok(head);
            }
            self.input.reserve(READ_BYTES);
            match self.stream.read_buf(&mut self.input).await {
                Ok(0) => return Err("connection closed within an answer".to_owned()),
                Ok(_) => {}
                Err(e) => return Err(format!("cannot read: {e}")),
            }
        }
    }

    fn described(&self, head: &Head) -> String {
        let body = &self.input[head.bytes..];
        let shown = String::from_utf8_lossy(&body[..body.len().min(300)]);
        format!(
            "status {}, etag {}, body of {} bytes: {shown}",
            head.status,
            head.etag,
            body.len()
        )
    }
}

/// The entity tag that goes with `content`, and its SHA-256.
pub(crate) fn tags(content: &[u8]) -> (String, String) {
    (etag(content), crate::signing::sha256_hex(content))
}

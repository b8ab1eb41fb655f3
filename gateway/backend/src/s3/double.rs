//! A small S3 server for tests, with settings for what it gets wrong.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use md5::{Digest as _, Md5};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;

/// What an ETag is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Tag {
    /// The MD5 of what is stored.
    #[default]
    Md5,
    /// As long, and nothing of the kind.
    Other,
}

/// What the server does.
#[derive(Debug, Clone, Default)]
pub(super) struct Manners {
    pub(super) objects: Tag,
    pub(super) parts: Tag,
    /// Sent as `x-amz-server-side-encryption` with every answer.
    pub(super) encryption: Option<&'static str>,
    /// One byte of each body that is longer than this is stored wrong.
    pub(super) spoils_over: Option<usize>,
}

/// The server. Clones share what it holds.
#[derive(Clone, Default)]
pub(super) struct Double(Arc<Inner>);

#[derive(Default)]
struct Inner {
    manners: Mutex<Manners>,
    /// Bytes with the tag they got.
    objects: Mutex<HashMap<String, (Bytes, String)>>,
    /// `METHOD path?query` of each request.
    requests: Mutex<Vec<String>>,
}

impl Double {
    pub(super) fn new(manners: Manners) -> Self {
        Self(Arc::new(Inner {
            manners: Mutex::new(manners),
            ..Inner::default()
        }))
    }

    /// Does otherwise from now on.
    pub(super) fn change(&self, manners: Manners) {
        *self.0.manners.lock() = manners;
    }

    /// Listens on a free port; answers the endpoint.
    pub(super) async fn listen(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let server = self.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(server.clone().serve(socket));
            }
        });
        format!("http://{address}")
    }

    /// Serves one connection to its end.
    pub(super) async fn serve(self, connection: impl AsyncRead + AsyncWrite + Unpin + 'static) {
        let service = service_fn(move |request| {
            let server = self.clone();
            async move { Ok::<_, Infallible>(server.answer(request).await) }
        });
        let http = hyper::server::conn::http1::Builder::new();
        // Clients may leave as they like.
        let _ended = http
            .serve_connection(TokioIo::new(connection), service)
            .await;
    }

    /// Requests that came so far and contain `text`.
    pub(super) fn requests_with(&self, text: &str) -> usize {
        let requests = self.0.requests.lock();
        requests.iter().filter(|r| r.contains(text)).count()
    }

    async fn answer(&self, request: http::Request<Incoming>) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        let path = head.uri.path().to_owned();
        let query = head.uri.query().unwrap_or_default();
        let line = format!("{} {path}?{query}", head.method);
        self.0.requests.lock().push(line);
        let Ok(body) = body.collect().await else {
            return Response::default();
        };
        let is_upload = query.split('&').any(|pair| pair.starts_with("uploads="));
        match head.method {
            Method::PUT => self.store(path, query.contains("partNumber="), body.to_bytes()),
            Method::POST => document(
                "<InitiateMultipartUploadResult><UploadId>u1</UploadId></InitiateMultipartUploadResult>",
            ),
            Method::DELETE => status(StatusCode::NO_CONTENT),
            _ if is_upload => document(
                "<ListMultipartUploadsResult><IsTruncated>false</IsTruncated></ListMultipartUploadsResult>",
            ),
            _ => self.fetch(&path),
        }
    }

    fn store(&self, path: String, is_part: bool, body: Bytes) -> Response<Full<Bytes>> {
        let mut bytes = body.to_vec();
        if self
            .0
            .manners
            .lock()
            .spoils_over
            .is_some_and(|over| bytes.len() > over)
        {
            bytes[0] ^= 1;
        }
        let tag = self.tag(is_part, &bytes);
        if !is_part {
            self.0
                .objects
                .lock()
                .insert(path, (bytes.into(), tag.clone()));
        }
        self.tagged(&tag, Bytes::new())
    }

    fn fetch(&self, path: &str) -> Response<Full<Bytes>> {
        let Some((bytes, tag)) = self.0.objects.lock().get(path).cloned() else {
            return status(StatusCode::NOT_FOUND);
        };
        self.tagged(&tag, bytes)
    }

    fn tag(&self, is_part: bool, bytes: &[u8]) -> String {
        let manners = self.0.manners.lock();
        match if is_part {
            manners.parts
        } else {
            manners.objects
        } {
            Tag::Md5 => hex::encode(Md5::digest(bytes)),
            Tag::Other => "0123456789abcdef".repeat(2),
        }
    }

    fn tagged(&self, tag: &str, body: Bytes) -> Response<Full<Bytes>> {
        let mut answer = Response::builder().header("etag", format!("\"{tag}\""));
        if let Some(how) = self.0.manners.lock().encryption {
            answer = answer.header("x-amz-server-side-encryption", how);
        }
        let answer = answer.body(Full::new(body));
        answer.expect("these headers are valid")
    }
}

fn status(status: StatusCode) -> Response<Full<Bytes>> {
    let mut answer = Response::default();
    *answer.status_mut() = status;
    answer
}

fn document(text: &'static str) -> Response<Full<Bytes>> {
    Response::new(Full::new(Bytes::from_static(text.as_bytes())))
}

//! A small S3 client: full control over bodies, failures told apart, nothing retried.

use std::convert::Infallible;
use std::fmt;

use bytes::Bytes;
use futures_util::Stream;
use http::{HeaderMap, Method, Request, Response};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client as Http;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use crate::sign::{Signer, target};

/// A request's body.
pub(crate) type Body = UnsyncBoxBody<Bytes, Infallible>;

/// Why a call did not succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The connection failed: nobody knows whether the request had an effect.
    Transport(String),
    /// It was answered with an error.
    Refused(u16, String),
}

impl Failure {
    /// Whether this says that the object, bucket or upload is not there.
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused(404, _))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Transport(error) => write!(f, "connection failed: {error}"),
            Self::Refused(status, text) => write!(f, "answered {status}: {text}"),
        }
    }
}

impl From<Failure> for String {
    fn from(failure: Failure) -> Self {
        failure.to_string()
    }
}

type Outcome<T> = Result<T, Failure>;

/// A client of one endpoint. Cheap to clone; connections are shared.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    http: Http<HttpConnector, Body>,
    signer: Signer,
}

/// An object in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) key: String,
    pub(crate) size: u64,
}

impl Client {
    /// A client of `http://HOST`.
    pub(crate) fn new(signer: Signer) -> Self {
        Self::with_receive_buffer(signer, None)
    }

    /// The same, whose connections hold only so many bytes that nobody has taken: thousands
    /// of open reads fit into a small machine, and are open to their far end.
    pub(crate) fn holding_at_most(&self, bytes: usize) -> Self {
        Self::with_receive_buffer(self.signer.clone(), Some(bytes))
    }

    fn with_receive_buffer(signer: Signer, bytes: Option<usize>) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_recv_buffer_size(bytes);
        let http = Http::builder(TokioExecutor::new()).build(connector);
        Self { http, signer }
    }

    /// One request; the answer's body is still to be read.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        mut headers: HeaderMap,
        body: Body,
    ) -> Outcome<Response<Incoming>> {
        let target = target(path, query);
        self.signer.sign(method.as_str(), &target, &mut headers);
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = format!("http://{}{target}", self.signer.host)
            .parse()
            .expect("made of encoded bytes");
        *request.headers_mut() = headers;
        let answer = self
            .http
            .request(request)
            .await
            .map_err(|e| Failure::Transport(format!("{e:?}")))?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        let status = answer.status().as_u16();
        let text = whole(answer).await?;
        Err(Failure::Refused(
            status,
            String::from_utf8_lossy(&text).into_owned(),
        ))
    }

    /// [`Client::send`] with small bodies both ways.
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        headers: HeaderMap,
        body: impl Into<Bytes>,
    ) -> Outcome<Bytes> {
        whole(
            self.send(method, path, query, headers, full(body.into()))
                .await?,
        )
        .await
    }

    /// CreateBucket; one that is there already is as good.
    pub(crate) async fn create_bucket(&self, bucket: &str) -> Outcome<()> {
        match self
            .call(
                Method::PUT,
                &format!("/{bucket}"),
                &[],
                HeaderMap::new(),
                "",
            )
            .await
        {
            Ok(_) | Err(Failure::Refused(409, _)) => Ok(()),
            Err(failure) => Err(failure),
        }
    }

    /// PutObject.
    pub(crate) async fn put(&self, path: &str, body: Bytes) -> Outcome<()> {
        self.call(Method::PUT, path, &[], HeaderMap::new(), body)
            .await
            .map(drop)
    }

    /// PutObject of a stream of known length.
    pub(crate) async fn put_stream<S>(&self, path: &str, length: u64, pieces: S) -> Outcome<()>
    where
        S: Stream<Item = Bytes> + Send + 'static,
    {
        let headers = header("content-length", &length.to_string());
        whole(
            self.send(Method::PUT, path, &[], headers, stream(pieces))
                .await?,
        )
        .await
        .map(drop)
    }

    /// GetObject, whole.
    pub(crate) async fn get(&self, path: &str) -> Outcome<Bytes> {
        self.call(Method::GET, path, &[], HeaderMap::new(), "")
            .await
    }

    /// GetObject, to be read as it comes.
    pub(crate) async fn open(&self, path: &str) -> Outcome<Response<Incoming>> {
        self.send(Method::GET, path, &[], HeaderMap::new(), full(Bytes::new()))
            .await
    }

    /// DeleteObject.
    pub(crate) async fn delete(&self, path: &str) -> Outcome<()> {
        self.call(Method::DELETE, path, &[], HeaderMap::new(), "")
            .await
            .map(drop)
    }

    /// CopyObject. An error inside a 200 is a refusal too.
    pub(crate) async fn copy(&self, from: &str, to: &str) -> Outcome<()> {
        let headers = header("x-amz-copy-source", from);
        inner_error(self.call(Method::PUT, to, &[], headers, "").await?).map(drop)
    }

    /// CreateMultipartUpload: the upload id.
    pub(crate) async fn create_upload(&self, path: &str) -> Outcome<String> {
        let answer = self
            .call(Method::POST, path, &[("uploads", "")], HeaderMap::new(), "")
            .await?;
        element(&answer, "UploadId").ok_or(Failure::Refused(200, "no upload id".to_owned()))
    }

    /// UploadPart: the part's entity tag.
    pub(crate) async fn upload_part(
        &self,
        path: &str,
        upload: &str,
        number: usize,
        body: Bytes,
    ) -> Outcome<String> {
        let number = number.to_string();
        let query = [("partNumber", number.as_str()), ("uploadId", upload)];
        let answer = self
            .send(Method::PUT, path, &query, HeaderMap::new(), full(body))
            .await?;
        let etag = answer
            .headers()
            .get("etag")
            .and_then(|value| value.to_str().ok());
        let etag = etag.unwrap_or_default().to_owned();
        whole(answer).await.map(|_| etag)
    }

    /// CompleteMultipartUpload of parts 1, 2, ….
    pub(crate) async fn complete(&self, path: &str, upload: &str, etags: &[String]) -> Outcome<()> {
        let parts: String = (1..)
            .zip(etags)
            .map(|(number, etag)| {
                let etag = etag.replace('"', "&quot;");
                format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>")
            })
            .collect();
        let body = format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>");
        let query = [("uploadId", upload)];
        inner_error(
            self.call(Method::POST, path, &query, HeaderMap::new(), body)
                .await?,
        )
        .map(drop)
    }

    /// AbortMultipartUpload.
    pub(crate) async fn abort(&self, path: &str, upload: &str) -> Outcome<()> {
        let query = [("uploadId", upload)];
        self.call(Method::DELETE, path, &query, HeaderMap::new(), "")
            .await
            .map(drop)
    }

    /// Every object of a bucket, page by page.
    pub(crate) async fn list(&self, bucket: &str) -> Outcome<Vec<Listed>> {
        let mut all = Vec::new();
        let mut token = None::<String>;
        loop {
            let mut query = vec![("list-type", "2")];
            if let Some(token) = &token {
                query.push(("continuation-token", token));
            }
            let path = format!("/{bucket}");
            let page = self
                .call(Method::GET, &path, &query, HeaderMap::new(), "")
                .await?;
            let text = String::from_utf8_lossy(&page);
            for entry in text.split("<Contents>").skip(1) {
                let key = element(entry.as_bytes(), "Key").unwrap_or_default();
                let size = element(entry.as_bytes(), "Size").and_then(|size| size.parse().ok());
                all.push(Listed {
                    key,
                    size: size.unwrap_or_default(),
                });
            }
            token = element(&page, "NextContinuationToken");
            if token.is_none() {
                return Ok(all);
            }
        }
    }
}

/// A body at hand.
pub(crate) fn full(bytes: Bytes) -> Body {
    Full::new(bytes).boxed_unsync()
}

/// A body that is made as it goes.
pub(crate) fn stream<S>(pieces: S) -> Body
where
    S: Stream<Item = Bytes> + Send + 'static,
{
    use futures_util::StreamExt;
    StreamBody::new(pieces.map(|piece| Ok(Frame::data(piece)))).boxed_unsync()
}

/// One header.
pub(crate) fn header(name: &'static str, value: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(name, value.parse().expect("made of visible ASCII"));
    headers
}

/// Text of the first element `name`, with the five entities of XML resolved.
pub(crate) fn element(xml: &[u8], name: &str) -> Option<String> {
    let text = std::str::from_utf8(xml).ok()?;
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    let (inner, _) = rest.split_once(&format!("</{name}>"))?;
    let pairs = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&apos;", "'"),
        ("&amp;", "&"),
    ];
    Some(
        pairs
            .iter()
            .fold(inner.to_owned(), |text, (from, to)| text.replace(from, to)),
    )
}

async fn whole(answer: Response<Incoming>) -> Outcome<Bytes> {
    let body = answer.into_body().collect().await;
    body.map(|body| body.to_bytes())
        .map_err(|e| Failure::Transport(format!("{e:?}")))
}

/// Long operations answer 200 before they know how they end.
fn inner_error(body: Bytes) -> Outcome<Bytes> {
    if element(&body, "Code").is_some() {
        return Err(Failure::Refused(
            200,
            String::from_utf8_lossy(&body).into_owned(),
        ));
    }
    Ok(body)
}

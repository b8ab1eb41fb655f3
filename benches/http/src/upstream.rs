//! The store behind the contenders: as much of S3 as a gateway needs of a backend for whole
//! small objects, in memory, on one thread, checking no signature. Its cost is not measured.

mod store;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{
    ACCEPT_RANGES, AUTHORIZATION, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_NONE_MATCH, LAST_MODIFIED,
    RANGE,
};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::net::TcpListener;
use xtask::Result;

use self::store::Store;

const BODY_BYTES_MAX: usize = 1024 * 1024;
/// Where the bench asks what the store has seen: GETs, PUTs, the access key that signed last.
pub(crate) const SEEN_PATH: &str = "/-/seen";
const NO_SUCH_KEY: &str = "<Error><Code>NoSuchKey</Code></Error>";
const EMPTY_LISTING: &str = "<ListBucketResult><KeyCount>0</KeyCount><MaxKeys>1000</MaxKeys>\
                             <IsTruncated>false</IsTruncated></ListBucketResult>";

/// Serves on `address` until the process ends.
pub(crate) async fn serve(address: SocketAddr) -> Result<()> {
    let listener = TcpListener::bind(address)
        .await
        .map_err(|e| format!("cannot listen on {address}: {e}"))?;
    let store = Arc::new(Mutex::new(Store::default()));
    loop {
        let (stream, _) = listener
            .accept()
            .await
            .map_err(|e| format!("cannot accept: {e}"))?;
        stream
            .set_nodelay(true)
            .map_err(|e| format!("cannot set TCP_NODELAY: {e}"))?;
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            let service = service_fn(move |request| answer(Arc::clone(&store), request));
            let io = TokioIo::new(stream);
            // A contender that is ended in the middle of a request is no matter.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(io, service)
                .await;
        });
    }
}

async fn answer(
    store: Arc<Mutex<Store>>,
    request: Request<Incoming>,
) -> std::result::Result<Response<Full<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    // Bodies are taken in before the lock is.
    let Ok(body) = Limited::new(body, BODY_BYTES_MAX).collect().await else {
        return Ok(plain(StatusCode::BAD_REQUEST, "body cut or too large"));
    };
    let body = body.to_bytes();
    let mut store = store.lock();
    let path = parts.uri.path();
    if path == SEEN_PATH {
        return Ok(plain(StatusCode::OK, &store.seen()));
    }
    store.note(&parts.method, parts.headers.get(AUTHORIZATION));
    let within_bucket = path[1..].contains('/') && !path.ends_with('/');
    Ok(match (&parts.method, within_bucket) {
        (&Method::GET, true) => get(&store, path, &parts.headers),
        (&Method::HEAD, true) => get(&store, path, &HeaderMap::new()),
        (&Method::PUT, true) => put(&mut store, path, &parts.headers, &body),
        (&Method::DELETE, true) => {
            store.remove(path);
            plain(StatusCode::NO_CONTENT, "")
        }
        (&Method::GET, false) => plain(StatusCode::OK, EMPTY_LISTING),
        (&Method::HEAD, false) => plain(StatusCode::OK, ""),
        _ => plain(
            StatusCode::NOT_IMPLEMENTED,
            "<Error><Code>NotImplemented</Code></Error>",
        ),
    })
}

fn get(store: &Store, path: &str, headers: &HeaderMap) -> Response<Full<Bytes>> {
    let Some((content, etag)) = store.get(path) else {
        return plain(StatusCode::NOT_FOUND, NO_SUCH_KEY);
    };
    let size = content.len();
    let mut response = match headers.get(RANGE).and_then(|range| range_of(range, size)) {
        None => Response::new(Full::new(content)),
        Some((first, last)) => {
            let mut part = Response::new(Full::new(content.slice(first..=last)));
            *part.status_mut() = StatusCode::PARTIAL_CONTENT;
            let value = format!("bytes {first}-{last}/{size}");
            part.headers_mut().insert(
                CONTENT_RANGE,
                value.parse().expect("numbers make a header value"),
            );
            part
        }
    };
    let headers = response.headers_mut();
    headers.insert(ETAG, etag);
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("binary/octet-stream"),
    );
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(
        LAST_MODIFIED,
        HeaderValue::from_static("Sat, 21 Nov 2026 00:00:00 GMT"),
    );
    response
}

/// `bytes=FIRST-LAST`, the one form that gateways send.
fn range_of(value: &HeaderValue, size: usize) -> Option<(usize, usize)> {
    let (first, last) = value
        .to_str()
        .ok()?
        .strip_prefix("bytes=")?
        .split_once('-')?;
    let first: usize = first.parse().ok()?;
    let last = last.parse().unwrap_or(size).min(size.checked_sub(1)?);
    (first <= last).then_some((first, last))
}

fn put(store: &mut Store, path: &str, headers: &HeaderMap, body: &Bytes) -> Response<Full<Bytes>> {
    if headers.contains_key(IF_NONE_MATCH) && store.get(path).is_some() {
        return plain(StatusCode::PRECONDITION_FAILED, "");
    }
    let mut response = plain(StatusCode::OK, "");
    response.headers_mut().insert(ETAG, store.put(path, body));
    response
}

fn plain(status: StatusCode, body: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::copy_from_slice(body.as_bytes())));
    *response.status_mut() = status;
    let request_id = HeaderValue::from_static("4442587FB7D0A2F9");
    response
        .headers_mut()
        .insert("x-amz-request-id", request_id);
    response
}

//! The admin listener: health, metrics, status, policies, scrub, verification.
//!
//! `/healthz`, `/readyz` and `/metrics` are open on loopback; everything else needs the admin
//! token. S3 credentials mean nothing here.

mod policies;
mod scrub;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use serde::Serialize;
use tokio::time::timeout;
use weir_core::front::ReplyBody;
use weir_types::clock::Timestamp;
use weir_types::index::Index;

use crate::explain;
use crate::listen::{Counts, PacedBody, Service};
use crate::site::Site;
use crate::verify;

/// Largest body that is taken, apart from components.
const BODY_BYTES_MAX: usize = 64 << 10;

/// What the admin listener answers from.
pub struct Admin {
    /// The site.
    pub site: Arc<Site>,
    /// The token.
    pub token: String,
    /// Whether only this machine can connect.
    pub loopback: bool,
    /// Where S3 clients connect.
    pub s3: Vec<SocketAddr>,
    /// When the process started.
    pub started_at: Timestamp,
    /// Counts of the S3 and the admin listener.
    pub counts: (Arc<Counts>, Arc<Counts>),
    /// Set while the gateway drains.
    pub draining: Arc<AtomicBool>,
    /// One verification or backup at a time.
    pub heavy: tokio::sync::Mutex<()>,
    /// One component in memory at a time; others wait.
    pub uploads: tokio::sync::Mutex<()>,
    /// For a body that does not go on.
    pub stall_timeout: Duration,
}

type Reply = Response<ReplyBody>;
type Body = PacedBody<Incoming>;

impl Service for Admin {
    async fn answer(self: Arc<Self>, request: Request<Body>) -> Reply {
        let (parts, body) = request.into_parts();
        let path = parts.uri.path().to_owned();
        let is_open = self.loopback && matches!(path.as_str(), "/healthz" | "/readyz" | "/metrics");
        if !is_open && !self.is_authorized(&parts.headers) {
            let mut reply = text(
                StatusCode::UNAUTHORIZED,
                "the admin token is needed: Authorization: Bearer TOKEN\n",
            );
            reply
                .headers_mut()
                .insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            return reply;
        }
        let query = Query::parse(parts.uri.query().unwrap_or_default());
        let as_text = wants_text(&parts.headers, &query);
        let way: Vec<&str> = path.split('/').skip(1).collect();
        match (&parts.method, way.as_slice()) {
            (&Method::GET, ["healthz"]) => text(StatusCode::OK, "ok\n"),
            (&Method::GET, ["readyz"]) => self.ready().await,
            (&Method::GET, ["metrics"]) => self.metrics().await,
            (&Method::GET, ["status"]) => self.status(true).await,
            (&Method::GET, ["v1", "status"]) => self.status(as_text).await,
            (&Method::GET, ["v1", "explain"]) => self.explain(&query, as_text).await,
            (&Method::GET, ["v1", "audit", "policies"]) => self.policy_audit(&query, as_text).await,
            (method, ["v1", "policies", rest @ ..]) => {
                let page = self.policy_page(method, rest, &query, body, as_text);
                page.await.unwrap_or_else(|| no_page(&way))
            }
            (method, ["v1", "scrub", rest @ ..]) => {
                let page = self.scrub_page(method, rest, &query, as_text);
                page.await.unwrap_or_else(|| no_page(&way))
            }
            (&Method::POST, ["v1", "index", "verify"]) => self.verify(as_text).await,
            (&Method::POST, ["v1", "index", "backup"]) => self.backup(body).await,
            (_, way) => no_page(way),
        }
    }
}

/// The answer to what is no page, or not one with this method.
fn no_page(way: &[&str]) -> Reply {
    let Some(methods) = allowed(way) else {
        return text(StatusCode::NOT_FOUND, "no such page\n");
    };
    let mut reply = text(StatusCode::METHOD_NOT_ALLOWED, "not with this method\n");
    let methods = HeaderValue::from_static(methods);
    reply.headers_mut().insert(ALLOW, methods);
    reply
}

/// The method that a page takes; `None` when there is no such page.
fn allowed(way: &[&str]) -> Option<&'static str> {
    match way {
        ["healthz" | "readyz" | "metrics" | "status"]
        | ["v1", "status" | "explain"]
        | ["v1", "audit", "policies"] => Some("GET"),
        ["v1", "policies", rest @ ..] => policies::allowed(rest),
        ["v1", "scrub", rest @ ..] => scrub::allowed(rest),
        ["v1", "index", "verify" | "backup"] => Some("POST"),
        _ => None,
    }
}

impl Admin {
    /// Whether the token is there; compared in a time that does not depend on where it differs.
    fn is_authorized(&self, headers: &HeaderMap) -> bool {
        let mut given = headers.get_all(AUTHORIZATION).iter();
        let (Some(given), None) = (given.next(), given.next()) else {
            return false;
        };
        let Some(token) = given.as_bytes().strip_prefix(b"Bearer ") else {
            return false;
        };
        aws_lc_rs::constant_time::verify_slices_are_equal(token, self.token.as_bytes()).is_ok()
    }

    /// Whether to send clients here: not while draining, nor when the index cannot be read.
    async fn ready(&self) -> Reply {
        if self.draining.load(Ordering::Relaxed) {
            return text(StatusCode::SERVICE_UNAVAILABLE, "draining\n");
        }
        match self.site.index.outbox_stats().await {
            Ok(_) if self.site.index.is_read_only() => text(
                StatusCode::OK,
                "read-only: the index's disk is nearly full\n",
            ),
            Ok(_) => text(StatusCode::OK, "ready\n"),
            Err(error) => text(StatusCode::SERVICE_UNAVAILABLE, &format!("{error}\n")),
        }
    }

    async fn metrics(&self) -> Reply {
        let scrape = match self.site.scrape().await {
            Ok(scrape) => scrape,
            Err(error) => return failed(&error),
        };
        let listeners = [("s3", &*self.counts.0), ("admin", &*self.counts.1)];
        match self.site.metrics.render(&scrape, &listeners) {
            Ok(metrics) => typed(
                StatusCode::OK,
                "text/plain; version=0.0.4; charset=utf-8",
                metrics,
            ),
            Err(error) => failed(&error),
        }
    }

    async fn status(&self, as_text: bool) -> Reply {
        match self.site.status(&self.s3, self.started_at).await {
            Ok(status) => shown(&status, as_text),
            Err(error) => failed(&error),
        }
    }

    async fn explain(&self, query: &Query, as_text: bool) -> Reply {
        let (Some(bucket), Some(key)) = (query.get("bucket"), query.get("key")) else {
            return text(StatusCode::BAD_REQUEST, "give ?bucket= and &key=\n");
        };
        let target = explain::parse_target(&format!("{bucket}/{key}"));
        let (bucket, key) = match target {
            Ok(target) => target,
            Err(why) => return text(StatusCode::BAD_REQUEST, &format!("{why}\n")),
        };
        match explain::explain(&*self.site.index, &bucket, &key).await {
            Ok(Some(explanation)) => shown(&explanation, as_text),
            Ok(None) => text(StatusCode::NOT_FOUND, "there is no such bucket\n"),
            Err(error) => failed(&error),
        }
    }

    /// The whole body, up to a limit.
    async fn read(&self, body: Body, bytes_max: usize) -> Result<Bytes, Reply> {
        let mut body = Limited::new(body, bytes_max);
        let mut bytes = Vec::new();
        loop {
            let Ok(frame) = timeout(self.stall_timeout, body.frame()).await else {
                return Err(text(
                    StatusCode::REQUEST_TIMEOUT,
                    "the body does not go on\n",
                ));
            };
            match frame {
                None => return Ok(bytes.into()),
                Some(Ok(frame)) => {
                    bytes.extend_from_slice(frame.data_ref().unwrap_or(&Bytes::new()))
                }
                Some(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
                    let message = format!("more than {bytes_max} bytes\n");
                    return Err(text(StatusCode::PAYLOAD_TOO_LARGE, &message));
                }
                Some(Err(error)) => {
                    return Err(text(StatusCode::BAD_REQUEST, &format!("{error}\n")));
                }
            }
        }
    }

    async fn verify(&self, as_text: bool) -> Reply {
        let Ok(_alone) = self.heavy.try_lock() else {
            return text(
                StatusCode::CONFLICT,
                "a verification or backup is running\n",
            );
        };
        let targets: Vec<_> = self
            .site
            .gateway
            .backends()
            .iter()
            .map(|handle| (handle.id().clone(), Arc::clone(handle.backend())))
            .collect();
        let progress = |line: String| tracing::info!("verify: {line}");
        match verify::verify(&self.site.index, &targets, &progress).await {
            Ok(report) => shown(&report, as_text),
            Err(error) => failed(&error),
        }
    }

    /// Writes a backup to a new file on the gateway's machine: `{"file": PATH}`.
    async fn backup(&self, body: Body) -> Reply {
        #[derive(serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Wanted {
            file: std::path::PathBuf,
        }
        let body = match self.read(body, BODY_BYTES_MAX).await {
            Ok(body) => body,
            Err(reply) => return reply,
        };
        let Ok(Wanted { file }) = serde_json::from_slice(&body) else {
            return text(StatusCode::BAD_REQUEST, "give {\"file\": PATH}\n");
        };
        let Ok(_alone) = self.heavy.try_lock() else {
            return text(
                StatusCode::CONFLICT,
                "a verification or backup is running\n",
            );
        };
        let index = Arc::clone(&self.site.index);
        let done = tokio::task::spawn_blocking(move || {
            let progress = |line: String| tracing::info!("backup: {line}");
            crate::backup::write(&index, &file, &progress)
        })
        .await;
        match done {
            Ok(Ok(summary)) => text(StatusCode::OK, &format!("{summary}\n")),
            Ok(Err(error)) => text(StatusCode::UNPROCESSABLE_ENTITY, &format!("{error}\n")),
            Err(error) => failed(&error),
        }
    }
}

fn wants_text(headers: &HeaderMap, query: &Query) -> bool {
    let accept = headers
        .get(ACCEPT)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    query.get("format").as_deref() == Some("text") || accept.starts_with("text/plain")
}

fn shown<T: Serialize + std::fmt::Display>(value: &T, as_text: bool) -> Reply {
    if as_text {
        text(StatusCode::OK, &value.to_string())
    } else {
        json(StatusCode::OK, value)
    }
}

fn failed(error: &dyn std::fmt::Display) -> Reply {
    tracing::error!(%error, "admin request failed");
    text(StatusCode::INTERNAL_SERVER_ERROR, &format!("{error}\n"))
}

fn text(status: StatusCode, body: &str) -> Reply {
    typed(
        status,
        "text/plain; charset=utf-8",
        body.as_bytes().to_vec(),
    )
}

fn json<T: Serialize>(status: StatusCode, value: &T) -> Reply {
    match serde_json::to_vec_pretty(value) {
        Ok(mut body) => {
            body.push(b'\n');
            typed(status, "application/json", body)
        }
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, &format!("{error}\n")),
    }
}

fn typed(status: StatusCode, content_type: &'static str, body: Vec<u8>) -> Reply {
    let body = Full::new(Bytes::from(body))
        .map_err(|never| match never {})
        .boxed_unsync();
    let mut reply = Response::new(body);
    *reply.status_mut() = status;
    reply
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    reply
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    reply
}

/// A query, decoded.
struct Query(Vec<(String, String)>);

impl Query {
    fn parse(text: &str) -> Self {
        let decode = |text: &str| {
            let spaced = text.replace('+', " ");
            percent_encoding::percent_decode_str(&spaced)
                .decode_utf8()
                .map(|t| t.into_owned())
        };
        let pair = |part: &str| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            Some((decode(name).ok()?, decode(value).ok()?))
        };
        Self(text.split('&').filter_map(pair).collect())
    }

    fn get(&self, name: &str) -> Option<String> {
        self.0
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, value)| value.clone())
    }
}

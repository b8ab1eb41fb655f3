//! Connections: TCP and TLS within one time limit, pooled.

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_rustls::{ConfigBuilderExt as _, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use tower_service::Service;

use super::body::OutBody;
use crate::S3Config;

/// The pool of connections to one endpoint.
pub(super) type Pool = Client<TimedConnector, OutBody>;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Connects within a time limit that covers TCP and the TLS handshake.
#[derive(Clone)]
pub(super) struct TimedConnector {
    inner: HttpsConnector<HttpConnector>,
    limit: Duration,
}

impl Service<Uri> for TimedConnector {
    type Response = <HttpsConnector<HttpConnector> as Service<Uri>>::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connecting = self.inner.call(uri);
        let limit = self.limit;
        Box::pin(async move {
            match tokio::time::timeout(limit, connecting).await {
                Ok(connected) => connected,
                Err(_) => Err("no connection in time".into()),
            }
        })
    }
}

/// Makes the pool; the error is for the operator.
pub(super) fn pool(config: &S3Config) -> Result<Pool, String> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_keepalive(Some(Duration::from_secs(30)));
    // Ends what nobody waits for any more: an endpoint that answered and then took no more of
    // the body. Not all systems have it.
    #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
    tcp.set_tcp_user_timeout(Some(Duration::from_millis(config.idle_timeout_ms)));
    let inner = HttpsConnectorBuilder::new()
        .with_tls_config(tls(config.ca_bundle.as_deref())?)
        .https_or_http()
        .enable_http1()
        .wrap_connector(tcp);
    let limit = Duration::from_millis(config.connect_timeout_ms);
    // What a connection may read ahead of whoever takes its bytes slowly. With hyper's own
    // limit of 400 KiB each open read of a large object holds twice as much memory as with
    // this one, for about 3 % more throughput.
    const BUFFER_BYTES_MAX: usize = 128 << 10;
    Ok(Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(Duration::from_millis(config.idle_connection_ms))
        .pool_max_idle_per_host(config.slots_max)
        .http1_max_buf_size(BUFFER_BYTES_MAX)
        .build(TimedConnector { inner, limit }))
}

fn tls(ca_bundle: Option<&Path>) -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())?;
    let builder = match ca_bundle {
        Some(path) => builder.with_root_certificates(read_bundle(path)?),
        // A machine without certificates can still speak to endpoints without TLS.
        None => builder
            .with_native_roots()
            .or_else(|_| {
                let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
                ClientConfig::builder_with_provider(provider)
                    .with_safe_default_protocol_versions()
                    .map(|builder| builder.with_root_certificates(RootCertStore::empty()))
            })
            .map_err(|e| e.to_string())?,
    };
    Ok(builder.with_no_client_auth())
}

fn read_bundle(path: &Path) -> Result<RootCertStore, String> {
    let wrong = |reason: String| format!("ca_bundle {}: {reason}", path.display());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|e| wrong(e.to_string()))? {
        let certificate = certificate.map_err(|e| wrong(e.to_string()))?;
        roots.add(certificate).map_err(|e| wrong(e.to_string()))?;
    }
    if roots.is_empty() {
        Err(wrong("it holds no certificate".to_owned()))
    } else {
        Ok(roots)
    }
}

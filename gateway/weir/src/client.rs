//! Talking to a running gateway's admin listener.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, HOST};
use http::{Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::cli::Remote;
use crate::error::Failure;
use crate::listen::tls;
use crate::serve;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Largest answer that is taken.
const ANSWER_BYTES_MAX: usize = 256 << 20;

/// A running gateway.
pub(crate) struct Client {
    url: Uri,
    token: String,
    roots: Option<RootCertStore>,
    json: bool,
}

/// What came of asking.
#[derive(Debug)]
pub(crate) enum Asked {
    /// An answer: whether it was 2xx, and its text.
    Answer(bool, String),
    /// Nobody listens there.
    NotRunning(String),
}

impl Client {
    /// The gateway that the flags, the environment or the data folder name; `None` when none
    /// does.
    pub(crate) fn find(remote: &Remote) -> Result<Option<Self>, Failure> {
        let plan = serve::plan(remote.at.config.clone(), remote.at.data_dir.clone());
        let plan = plan.ok().map(|(plan, _)| plan);
        let data_dir = plan.as_ref().map(|plan| plan.config.data_dir.clone());
        let noted = || {
            let file = data_dir.as_ref()?.join(serve::ADMIN_URL_FILE);
            Some(std::fs::read_to_string(file).ok()?.trim().to_owned())
        };
        let Some(url) = remote.admin_url.clone().or_else(noted) else {
            return Ok(None);
        };
        let url: Uri = url
            .parse()
            .map_err(|e| Failure::new(format!("{url}: {e}")))?;
        let token = match (&remote.admin_token, plan) {
            (Some(token), _) => token.clone(),
            (None, Some(plan)) => {
                let generated =
                    crate::first_run::read(&plan.config.data_dir).map_err(Failure::of)?;
                let generated = generated.ok_or_else(|| Failure::new(NO_TOKEN))?;
                serve::admin_token(&plan.config, &plan.sources, &generated)?
            }
            (None, None) => return Err(Failure::new(NO_TOKEN)),
        };
        let roots = remote
            .ca_file
            .as_deref()
            .map(tls::read_authorities)
            .transpose();
        Ok(Some(Self {
            url,
            token,
            roots: roots.map_err(Failure::of)?,
            json: remote.json,
        }))
    }

    /// Asks. `target` is path and query without a format.
    pub(crate) async fn ask(
        &self,
        method: Method,
        target: &str,
        body: Bytes,
    ) -> Result<Asked, Failure> {
        let authority = self
            .url
            .authority()
            .ok_or_else(|| Failure::new("the admin address has no host"))?;
        let port = authority
            .port_u16()
            .unwrap_or(if self.is_tls() { 443 } else { 80 });
        let host = authority.host().trim_matches(['[', ']']);
        let connecting = timeout(CONNECT_TIMEOUT, TcpStream::connect((host, port))).await;
        let stream = match connecting {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Ok(Asked::NotRunning(format!("{authority}: {error}"))),
            Err(_elapsed) => return Ok(Asked::NotRunning(format!("{authority} does not answer"))),
        };
        let format = match (self.json, target.contains('?')) {
            (true, _) => "",
            (false, true) => "&format=text",
            (false, false) => "?format=text",
        };
        let request = Request::builder()
            .method(method)
            .uri(format!("{target}{format}"))
            .header(HOST, authority.as_str())
            .header(AUTHORIZATION, format!("Bearer {}", self.token))
            .body(Full::new(body))
            .map_err(|_| Failure::new("the admin token holds characters that no header can"))?;
        if self.is_tls() {
            send(self.tls(host, stream).await?, request).await
        } else {
            send(stream, request).await
        }
    }

    fn is_tls(&self) -> bool {
        self.url.scheme_str() == Some("https")
    }

    async fn tls(
        &self,
        host: &str,
        stream: TcpStream,
    ) -> Result<tokio_rustls::client::TlsStream<TcpStream>, Failure> {
        let roots = self.roots.clone();
        let roots =
            roots.ok_or_else(|| Failure::new("the admin listener speaks TLS: give --ca-file"))?;
        let config = ClientConfig::builder_with_provider(tls::provider())
            .with_safe_default_protocol_versions()
            .map_err(Failure::of)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from(host.to_owned()).map_err(Failure::of)?;
        TlsConnector::from(Arc::new(config))
            .connect(name, stream)
            .await
            .map_err(Failure::of)
    }
}

const NO_TOKEN: &str =
    "no admin token: set WEIR_ADMIN_TOKEN, or name the data folder with --config or --data-dir";

async fn send<I>(io: I, request: Request<Full<Bytes>>) -> Result<Asked, Failure>
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(io)).await;
    let (mut sender, connection) = handshake.map_err(Failure::of)?;
    let driving = tokio::spawn(connection);
    let response = sender.send_request(request).await.map_err(Failure::of)?;
    let status = response.status();
    let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX)
        .collect()
        .await;
    let body = body.map_err(Failure::of)?.to_bytes();
    driving.abort();
    if status == StatusCode::UNAUTHORIZED {
        return Err(Failure::new("the gateway does not accept this admin token"));
    }
    Ok(Asked::Answer(
        status.is_success(),
        String::from_utf8_lossy(&body).into_owned(),
    ))
}

/// A file's content, for an upload.
pub(crate) fn read_file(path: &Path) -> Result<Bytes, Failure> {
    let content =
        std::fs::read(path).map_err(|e| Failure::new(format!("{}: {e}", path.display())))?;
    Ok(Bytes::from(content))
}

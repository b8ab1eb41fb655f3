//! Connections: accepting, limiting, serving, draining.
//!
//! A listener's errors never end the process; a connection's errors end that connection.

mod guard;
mod pace;
#[cfg(test)]
mod tests;
pub mod tls;
mod wire;

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::header::{CONNECTION, EXPECT, TRANSFER_ENCODING};
use http::{HeaderValue, Request, Response, Version};
use hyper::body::{Body, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use weir_core::front::ReplyBody;

pub use guard::Busy;
pub use pace::PacedBody;

use guard::{Activity, GuardedIo};
use wire::StrictLines;

/// After an error of accept (no file descriptors left, say) the listener rests so long.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// HTTP/2 streams that may be reset before they were accepted; more end the connection.
const PENDING_RESETS_MAX: usize = 20;
/// HTTP/2 pings find dead peers.
const PING_INTERVAL: Duration = Duration::from_secs(20);

/// What a listener allows its clients.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections at one time, over all addresses; further ones are closed at once.
    pub connections_max: usize,
    /// For a TLS handshake, and for the first request's header section.
    pub header_timeout: Duration,
    /// For a connection that has no request in progress after the first, until the header
    /// section of the next has arrived.
    pub idle_timeout: Duration,
    /// For a request body that does not arrive.
    pub stall_timeout: Duration,
    /// For a reader that takes nothing.
    pub response_stall_timeout: Duration,
    /// Rate below which a body is given up.
    pub body_bytes_per_second_min: u64,
    /// Header section.
    pub header_bytes_max: usize,
    /// Header fields.
    pub header_count_max: usize,
    /// HTTP/2 streams at one time on one connection.
    pub http2_streams_max: u32,
    /// Requests in progress may take so long when the listener ends.
    pub drain_timeout: Duration,
}

/// Counts of a listener, for metrics.
#[derive(Debug, Default)]
pub struct Counts {
    /// Connections that are open.
    pub open: AtomicU64,
    /// Connections that were accepted, refused ones not among them.
    pub accepted: AtomicU64,
    /// Connections that were closed at once because there were too many.
    pub refused: AtomicU64,
}

/// Answers requests. Failures are answers too.
pub trait Service: Send + Sync + 'static {
    /// Answers one request; the future is dropped when the client goes away.
    fn answer(
        self: Arc<Self>,
        request: Request<PacedBody<Incoming>>,
    ) -> impl Future<Output = Response<ReplyBody>> + Send;
}

/// Addresses that are bound and not yet served: a start that cannot have them fails before
/// anything else has happened.
pub struct Bound(Vec<TcpListener>);

impl Bound {
    /// Binds all `addresses`. The error names the one that cannot be had.
    pub async fn bind(addresses: &[SocketAddr]) -> io::Result<Self> {
        let mut sockets = Vec::with_capacity(addresses.len());
        for address in addresses {
            let socket = TcpListener::bind(address).await;
            sockets.push(socket.map_err(|e| {
                io::Error::new(e.kind(), format!("cannot listen on {address}: {e}"))
            })?);
        }
        Ok(Self(sockets))
    }

    /// The addresses that were bound, with real ports.
    pub fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        self.0.iter().map(TcpListener::local_addr).collect()
    }

    /// Serves them until [`Listener::drain`].
    pub fn serve<S: Service>(
        self,
        service: &Arc<S>,
        tls: Option<&TlsAcceptor>,
        limits: &Limits,
        counts: &Arc<Counts>,
    ) -> Listener {
        let (stop, stopped) = watch::channel(false);
        let slots = Arc::new(Semaphore::new(limits.connections_max));
        let run = |socket| {
            let acceptor = Acceptor {
                socket,
                service: Arc::clone(service),
                tls: tls.cloned(),
                limits: limits.clone(),
                counts: Arc::clone(counts),
                slots: Arc::clone(&slots),
                stopped: stopped.clone(),
            };
            tokio::spawn(acceptor.run())
        };
        Listener {
            stop,
            acceptors: self.0.into_iter().map(run).collect(),
        }
    }
}

/// Addresses that are being served.
pub struct Listener {
    stop: watch::Sender<bool>,
    acceptors: Vec<JoinHandle<()>>,
}

impl Listener {
    /// Stops accepting, lets requests in progress finish, up to the limit, and closes
    /// everything.
    pub async fn drain(self) {
        self.stop.send_replace(true);
        for acceptor in self.acceptors {
            if let Err(error) = acceptor.await {
                tracing::error!(%error, "a listener ended abnormally");
            }
        }
    }
}

struct Acceptor<S> {
    socket: TcpListener,
    service: Arc<S>,
    tls: Option<TlsAcceptor>,
    limits: Limits,
    counts: Arc<Counts>,
    slots: Arc<Semaphore>,
    stopped: watch::Receiver<bool>,
}

impl<S: Service> Acceptor<S> {
    async fn run(mut self) {
        let mut connections = JoinSet::new();
        let mut stopped = self.stopped.clone();
        loop {
            tokio::select! {
                () = told(&mut stopped) => break,
                Some(_ended) = connections.join_next() => {}
                accepted = self.socket.accept() => match accepted {
                    Ok((stream, _peer)) => self.admit(stream, &mut connections),
                    Err(error) => {
                        tracing::warn!(%error, "accept failed");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
        drop(self.socket);
        let ended = async { while connections.join_next().await.is_some() {} };
        if timeout(self.limits.drain_timeout, ended).await.is_err() {
            tracing::warn!(
                connections = connections.len(),
                "closed before their requests ended"
            );
        }
        connections.shutdown().await;
    }

    fn admit(&mut self, stream: TcpStream, connections: &mut JoinSet<()>) {
        let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() else {
            self.counts.refused.fetch_add(1, Ordering::Relaxed);
            return;
        };
        self.counts.accepted.fetch_add(1, Ordering::Relaxed);
        let open = Open::new(&self.counts, slot);
        let connection = Connection {
            service: Arc::clone(&self.service),
            limits: self.limits.clone(),
            stopped: self.stopped.clone(),
        };
        let tls = self.tls.clone();
        connections.spawn(async move {
            let _open = open;
            // Small answers must not wait for the peer's delayed acknowledgement.
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "nodelay");
            }
            Box::pin(connection.run(stream, tls)).await;
        });
    }
}

/// Counts a connection for as long as it is open.
struct Open {
    counts: Arc<Counts>,
    _slot: OwnedSemaphorePermit,
}

impl Open {
    fn new(counts: &Arc<Counts>, slot: OwnedSemaphorePermit) -> Self {
        counts.open.fetch_add(1, Ordering::Relaxed);
        Self {
            counts: Arc::clone(counts),
            _slot: slot,
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.counts.open.fetch_sub(1, Ordering::Relaxed);
    }
}

struct Connection<S> {
    service: Arc<S>,
    limits: Limits,
    stopped: watch::Receiver<bool>,
}

impl<S: Service> Connection<S> {
    async fn run(self, stream: TcpStream, tls: Option<TlsAcceptor>) {
        let activity = Arc::new(Activity::default());
        let io = GuardedIo::new(stream, Arc::clone(&activity), &self.limits);
        match tls {
            None => self.serve(io, activity).await,
            Some(tls) => match timeout(self.limits.header_timeout, tls.accept(io)).await {
                Ok(Ok(stream)) => self.serve(stream, activity).await,
                Ok(Err(error)) => tracing::debug!(%error, "TLS handshake failed"),
                Err(_elapsed) => tracing::debug!("TLS handshake timed out"),
            },
        }
    }

    async fn serve<I>(self, io: I, activity: Arc<Activity>)
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Self {
            service,
            limits,
            mut stopped,
        } = self;
        let builder = http_builder(&limits);
        let rate = limits.body_bytes_per_second_min;
        let grace = limits.stall_timeout;
        let answer = service_fn(move |request: Request<Incoming>| {
            let busy = Busy::new(&activity);
            let service = Arc::clone(&service);
            async move {
                let closes = ends_connection(&request);
                let is_http1 = request.version() < Version::HTTP_2;
                let request = request.map(|body| PacedBody::new(body, rate, grace));
                let body_ended = request.body().ended();
                let mut response = service.answer(request).await;
                // A body that nobody read must not be taken for the next request, nor the next
                // request for that body, whichever of the two the client sends now.
                if closes || (is_http1 && !body_ended.is_true()) {
                    response
                        .headers_mut()
                        .insert(CONNECTION, HeaderValue::from_static("close"));
                }
                Ok::<_, Infallible>(response.map(|body| busy.until_sent(body)))
            }
        });
        let io = TokioIo::new(StrictLines::new(io));
        let mut connection = pin!(builder.serve_connection(io, answer));
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = told(&mut stopped) => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "connection ended");
        }
    }
}

/// Returns once the listener is to stop; a dropped sender means the same as a sent stop.
async fn told(stopped: &mut watch::Receiver<bool>) {
    let _dropped = stopped.wait_for(|stopped| *stopped).await.is_err();
}

fn http_builder(limits: &Limits) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        // The socket's own timers know what is idle, at less cost for each request.
        .header_read_timeout(None)
        .max_headers(limits.header_count_max)
        .max_buf_size(limits.header_bytes_max);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(limits.header_bytes_max).unwrap_or(u32::MAX))
        .max_concurrent_streams(limits.http2_streams_max)
        .max_pending_accept_reset_streams(PENDING_RESETS_MAX)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_INTERVAL);
    builder
}

/// Whether the connection ends after this request, whatever becomes of it.
///
/// One that has a Transfer-Encoding might also carry a Content-Length, which hyper then drops
/// or ignores: whatever a proxy in front of us took for the end of it, nothing behind it is
/// read as another request. One that expects 100 (Continue) for an empty body is answered
/// without it, after which botocore takes the next 100 on the connection for an answer.
fn ends_connection<B: Body>(request: &Request<B>) -> bool {
    let headers = request.headers();
    let expects_in_vain = headers.contains_key(EXPECT) && request.body().is_end_stream();
    request.version() < Version::HTTP_2
        && (headers.contains_key(TRANSFER_ENCODING) || expects_in_vain)
}

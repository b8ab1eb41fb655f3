//! The raw hyper reverse proxy: what a gateway on hyper costs before it does anything.

use std::net::SocketAddr;

use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Request, Response, Uri};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use xtask::Result;

/// Passes every request that arrives at `address` on to `upstream`, until the process ends.
pub(crate) async fn serve(address: SocketAddr, upstream: SocketAddr) -> Result<()> {
    let listener = TcpListener::bind(address)
        .await
        .map_err(|e| format!("cannot listen on {address}: {e}"))?;
    let authority: Authority = upstream
        .to_string()
        .parse()
        .map_err(|e| format!("{upstream}: {e}"))?;
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client: Client<_, Incoming> = Client::builder(TokioExecutor::new()).build(connector);
    loop {
        let (stream, _) = listener
            .accept()
            .await
            .map_err(|e| format!("cannot accept: {e}"))?;
        stream
            .set_nodelay(true)
            .map_err(|e| format!("cannot set TCP_NODELAY: {e}"))?;
        let (client, authority) = (client.clone(), authority.clone());
        tokio::spawn(async move {
            let service =
                service_fn(move |request| relay(client.clone(), authority.clone(), request));
            let io = TokioIo::new(stream);
            // What goes wrong with a connection shows as a failed request at the load.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(io, service)
                .await;
        });
    }
}

async fn relay(
    client: Client<HttpConnector, Incoming>,
    authority: Authority,
    mut request: Request<Incoming>,
) -> std::result::Result<Response<Incoming>, Error> {
    let mut target = std::mem::take(request.uri_mut()).into_parts();
    target.scheme = Some(Scheme::HTTP);
    target.authority = Some(authority);
    target
        .path_and_query
        .get_or_insert(PathAndQuery::from_static("/"));
    *request.uri_mut() = Uri::from_parts(target).expect("scheme, authority and path make a URI");
    client.request(request).await
}

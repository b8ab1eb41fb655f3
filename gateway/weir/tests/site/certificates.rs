//! TLS, and certificates that are replaced while connections come in.

use std::sync::Arc;

use rustls_pki_types::ServerName;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use weir::listen::tls;

use super::*;

const ONE: [&str; 2] = [include_str!("tls/one.pem"), include_str!("tls/one.key")];
const TWO: [&str; 2] = [include_str!("tls/two.pem"), include_str!("tls/two.key")];

/// Shakes hands with a server whose certificate is the one in `file`.
async fn connect(running: &Running, file: &Path) -> std::io::Result<TlsStream<TcpStream>> {
    let roots = tls::read_authorities(file).expect("a certificate");
    let mut config = rustls::ClientConfig::builder_with_provider(tls::provider())
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let stream = TcpStream::connect(running.s3[0]).await?;
    let name = ServerName::try_from("localhost").expect("a name");
    TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
}

/// The status of an anonymous request over HTTP/2.
async fn status(sender: &mut hyper::client::conn::http2::SendRequest<Full<Bytes>>) -> u16 {
    let request = http::Request::get("https://localhost/").body(Full::default());
    let response = sender.send_request(request.expect("a request")).await;
    response.expect("answered").status().as_u16()
}

#[tokio::test]
async fn certificates_are_replaced_under_open_connections() {
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let at = |name: &str| scratch.path().join(name);
    let write = |name: &str, text: &str| std::fs::write(at(name), text).expect("written");
    write("one.pem", ONE[0]);
    write("two.pem", TWO[0]);
    write("chain.pem", ONE[0]);
    write("key.pem", ONE[1]);
    let tls = "tls_certificate_file = \"chain.pem\"\ntls_key_file = \"key.pem\"\n[admin]\n";
    let text = MINIMAL.replace("[admin]\n", tls);
    let running = start_file(&at("weir.toml"), &text).await;
    assert!(running.s3_url.starts_with("https://"), "{}", running.s3_url);

    let stream = connect(&running, &at("one.pem")).await.expect("trusted");
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let executor = hyper_util::rt::TokioExecutor::new();
    let shaken = hyper::client::conn::http2::handshake(executor, TokioIo::new(stream)).await;
    let (mut open, connection) = shaken.expect("hands shaken");
    tokio::spawn(connection);
    assert_eq!(status(&mut open).await, 403);
    assert!(
        connect(&running, &at("two.pem")).await.is_err(),
        "another certificate"
    );

    // The chain comes before its key: in between they do not belong together.
    write("chain.pem", TWO[0]);
    running.reload().await;
    let problems = running.site().problems.all();
    assert!(
        problems.keys().any(|what| what.starts_with("certificate ")),
        "{problems:?}"
    );
    connect(&running, &at("one.pem"))
        .await
        .expect("the old one stays");
    write("key.pem", TWO[1]);
    running.reload().await;
    assert!(running.site().problems.all().is_empty());
    connect(&running, &at("two.pem"))
        .await
        .expect("the new one");
    assert!(
        connect(&running, &at("one.pem")).await.is_err(),
        "the old one is gone"
    );
    assert_eq!(status(&mut open).await, 403, "open connections go on");
    drop(open);
    running.stop().await;
}

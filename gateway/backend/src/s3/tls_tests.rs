//! A real handshake with an endpoint whose certificate comes from a private authority.
//!
//! The files: `ca.pem` signed `server.pem` (for 127.0.0.1) and `misnamed.pem` (for another
//! name), both with `server.key`; `other-ca.pem` signed neither. Valid for a hundred years.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt as _;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use weir_types::backend::{Backend as _, BackendError, BackendErrorKind};
use weir_types::clock::SystemClock;
use weir_types::id::{BackendKey, BlobId, SiteId};

use super::S3Backend;
use super::double::Double;
use crate::S3Config;

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("src/s3/tls_tests")
        .join(name)
}

/// An S3 server behind TLS with this certificate; answers its endpoint.
async fn endpoint(certificate: &str) -> String {
    let chain = CertificateDer::pem_file_iter(file(certificate)).expect("a certificate");
    let chain = chain.collect::<Result<_, _>>().expect("a certificate");
    let key = PrivateKeyDer::from_pem_file(file("server.key")).expect("a key");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("they belong together");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let double = Double::default();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let (acceptor, double) = (acceptor.clone(), double.clone());
            tokio::spawn(async move {
                if let Ok(connection) = acceptor.accept(socket).await {
                    double.serve(connection).await;
                }
            });
        }
    });
    format!("https://{address}")
}

/// Puts an object small and an object large, and reads them back.
async fn round_trip(certificate: &str, authority: &str) -> Result<(), BackendError> {
    let secret = "secret".to_owned().into();
    let config = S3Config {
        ca_bundle: Some(file(authority)),
        ..S3Config::at(endpoint(certificate).await, "bucket", "id", secret)
    };
    let backend = S3Backend::new(&config, Arc::new(SystemClock)).expect("a backend");
    for (number, size) in [(1, 10), (2, 1_000_000)] {
        let key = BackendKey::of(&SiteId::parse("a").expect("a site"), BlobId(number), 0);
        let bytes = Bytes::from(vec![7; size]);
        let sent = bytes.clone();
        let body = futures_util::stream::once(async move { Ok(sent) }).boxed();
        backend.put(&key, size as u64, body).await?;
        let mut fetched = backend.get(&key, None).await?;
        let mut back = Vec::new();
        while let Some(chunk) = fetched.body.next().await {
            back.extend_from_slice(&chunk?);
        }
        assert!(back == bytes, "{size} bytes come back changed");
    }
    Ok(())
}

#[tokio::test]
async fn an_authority_of_ones_own_is_trusted_and_no_other() {
    round_trip("server.pem", "ca.pem")
        .await
        .expect("the right one");
    for (certificate, authority, reason) in [
        ("server.pem", "other-ca.pem", "UnknownIssuer"),
        ("misnamed.pem", "ca.pem", "not valid for name"),
    ] {
        let error = round_trip(certificate, authority)
            .await
            .expect_err("must not be trusted");
        assert_eq!(error.kind, BackendErrorKind::Unavailable, "{error}");
        let says = |text| error.message.contains(text);
        assert!(says("invalid peer certificate") && says(reason), "{error}");
    }
}

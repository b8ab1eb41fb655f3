//! Certificates, read again when their files change.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

/// Why certificates cannot be used. The text names the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}: {reason}", file = .file.display())]
pub struct TlsError {
    /// The file.
    pub file: PathBuf,
    /// What is wrong with it.
    pub reason: String,
}

fn failed(file: &Path, reason: impl ToString) -> TlsError {
    TlsError {
        file: file.to_owned(),
        reason: reason.to_string(),
    }
}

/// The provider of all cryptography in TLS.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// Reads a certificate chain with its key and checks that they belong together.
pub fn read_certificate(chain: &Path, key: &Path) -> Result<CertifiedKey, TlsError> {
    let certificates = read_chain(chain)?;
    let secret = PrivateKeyDer::from_pem_file(key).map_err(|e| failed(key, e))?;
    CertifiedKey::from_der(certificates, secret, &provider()).map_err(|e| failed(chain, e))
}

/// Reads certificate authorities to trust.
pub fn read_authorities(file: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in read_chain(file)? {
        roots.add(certificate).map_err(|e| failed(file, e))?;
    }
    Ok(roots)
}

fn read_chain(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates = CertificateDer::pem_file_iter(file).map_err(|e| failed(file, e))?;
    let certificates: Result<Vec<_>, _> = certificates.collect();
    let certificates = certificates.map_err(|e| failed(file, e))?;
    if certificates.is_empty() {
        Err(failed(file, "holds no certificate"))
    } else {
        Ok(certificates)
    }
}

/// The certificate of a listener, which can be exchanged while connections come in.
#[derive(Debug)]
pub struct Certificate {
    chain: PathBuf,
    key: PathBuf,
    current: ArcSwap<CertifiedKey>,
}

impl Certificate {
    /// Reads it for the first time.
    pub fn open(chain: PathBuf, key: PathBuf) -> Result<Arc<Self>, TlsError> {
        let current = ArcSwap::from_pointee(read_certificate(&chain, &key)?);
        Ok(Arc::new(Self {
            chain,
            key,
            current,
        }))
    }

    /// The files it is read from.
    pub fn files(&self) -> [&Path; 2] {
        [&self.chain, &self.key]
    }

    /// Reads it again; connections from now on get the new one. On an error the old one stays.
    pub fn reload(&self) -> Result<(), TlsError> {
        self.current
            .store(Arc::new(read_certificate(&self.chain, &self.key)?));
        Ok(())
    }

    /// What accepts TLS connections with it: TLS 1.2 and 1.3, HTTP/2 and HTTP/1.1.
    pub fn acceptor(self: &Arc<Self>) -> Result<TlsAcceptor, TlsError> {
        let builder = ServerConfig::builder_with_provider(provider());
        let builder = builder.with_safe_default_protocol_versions();
        let builder = builder.map_err(|e| failed(&self.chain, e))?;
        let resolver: Arc<dyn ResolvesServerCert> = Arc::<Self>::clone(self);
        let mut config = builder.with_no_client_auth().with_cert_resolver(resolver);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }
}

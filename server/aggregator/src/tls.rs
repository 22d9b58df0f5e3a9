//! TLS of the server's own, for use without a reverse proxy.

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::path::Path;
use std::sync::Arc;

/// A certificate chain and its key, ready to serve with: TLS 1.2 and 1.3.
#[derive(Clone, Debug)]
pub struct Tls(Arc<ServerConfig>);

/// What is wrong with a certificate or its key, and in which of the two files.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The certificate chain cannot be used.
    #[error("{0}")]
    Certificate(String),
    /// The key cannot be used, or belongs to another certificate.
    #[error("{0}")]
    Key(String),
}

impl Tls {
    /// Loads PEM files: the server's certificate followed by those that certify it, and its key
    /// (PKCS #8, PKCS #1 or SEC1).
    ///
    /// # Errors
    /// [`TlsError`] if a file is unreadable or empty, or the key does not belong to the
    /// certificate.
    pub fn load(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let words = |path: &Path, error: rustls::pki_types::pem::Error| {
            format!("{} cannot be used: {error}", path.display())
        };
        let chain: Vec<_> = CertificateDer::pem_file_iter(certificate)
            .and_then(Iterator::collect)
            .map_err(|e| TlsError::Certificate(words(certificate, e)))?;
        if chain.is_empty() {
            return Err(TlsError::Certificate(format!(
                "{} holds no certificate in PEM",
                certificate.display()
            )));
        }
        let private =
            PrivateKeyDer::from_pem_file(key).map_err(|e| TlsError::Key(words(key, e)))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| TlsError::Key(e.to_string()))?
            .with_no_client_auth()
            .with_single_cert(chain, private)
            .map(|config| Self(Arc::new(config)))
            .map_err(|e| {
                TlsError::Key(format!(
                    "{} does not fit {}: {e}",
                    key.display(),
                    certificate.display()
                ))
            })
    }

    /// The configuration for one listener.
    pub(crate) fn config(&self) -> ServerConfig {
        ServerConfig::clone(&self.0)
    }
}

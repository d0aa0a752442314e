//! rustls configurations of both ends: TLS 1.3 only, ring, our own authority's roots and nothing else.

mod given;

use std::io::BufReader;
use std::sync::Arc;

use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

pub use given::client_trusting;

/// Why a TLS configuration could not be made.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A PEM text holds no certificate or cannot be read.
    #[error("the {what} holds no usable certificate{detail}")]
    Certificate {
        /// Name of the text, such as "trust bundle".
        what: &'static str,
        /// `: ` and the cause; may be empty.
        detail: String,
    },
    /// A private key cannot be read. The error does not show its content.
    #[error(
        "the private key cannot be read: it must be one PEM block in PKCS#8, SEC1 or PKCS#1 form"
    )]
    Key,
    /// rustls refused the combination.
    #[error("TLS cannot be set up: {0}")]
    Setup(String),
}

/// A certificate chain (leaf first) and its private key, both PEM.
#[derive(Clone)]
pub struct TlsIdentity {
    /// The certificate chain, the leaf first, PEM.
    pub chain_pem: String,
    /// PKCS#8, SEC1 or PKCS#1.
    pub key_pem: String,
}

impl std::fmt::Debug for TlsIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TlsIdentity(..)")
    }
}

/// Makes ring the process's provider. Every `main` calls it first; calling it again does nothing.
pub fn install_provider() {
    // Fails only if a provider is already installed, which is just as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// The certificates of a PEM text.
///
/// # Errors
/// When one cannot be read or there is none.
pub fn certificates(
    what: &'static str,
    pem: &str,
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates = CertificateDer::pem_reader_iter(BufReader::new(pem.as_bytes()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| TlsError::Certificate {
            what,
            detail: format!(": {error}"),
        })?;
    if certificates.is_empty() {
        return Err(TlsError::Certificate {
            what,
            detail: String::new(),
        });
    }
    Ok(certificates)
}

fn private_key(pem: &str) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| TlsError::Key)
}

fn roots(pem: &str) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    for certificate in certificates("trust bundle", pem)? {
        store
            .add(certificate)
            .map_err(|error| TlsError::Certificate {
                what: "trust bundle",
                detail: format!(": {error}"),
            })?;
    }
    Ok(store)
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// Returns the configuration of a client of the hub: trusts `trust_bundle` alone, speaks HTTP/2 over TLS 1.3, and
/// presents `identity` if it has one (an enrolling agent has none yet).
///
/// # Errors
/// When a certificate or the key cannot be used.
pub fn client_config(
    trust_bundle: &str,
    identity: Option<&TlsIdentity>,
) -> Result<ClientConfig, TlsError> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| TlsError::Setup(error.to_string()))?
        .with_root_certificates(roots(trust_bundle)?);
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => builder
            .with_client_auth_cert(
                certificates("certificate chain", &identity.chain_pem)?,
                private_key(&identity.key_pem)?,
            )
            .map_err(|error| TlsError::Setup(error.to_string()))?,
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

/// Returns the configuration of a server for browsers: presents `identity` and requests no client certificate. HTTP/2
/// if the browser speaks it.
///
/// # Errors
/// When the certificate or the key cannot be used.
pub fn browser_config(identity: &TlsIdentity) -> Result<ServerConfig, TlsError> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| TlsError::Setup(error.to_string()))?
        .with_no_client_auth()
        .with_single_cert(
            certificates("certificate chain", &identity.chain_pem)?,
            private_key(&identity.key_pem)?,
        )
        .map_err(|error| TlsError::Setup(error.to_string()))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// Returns the configuration of the hub's server: presents `identity`, and verifies a client's certificate against
/// `trust_bundle` if the client presents one. A client without one can only enrol; that is decided per method, not
/// here.
///
/// # Errors
/// When a certificate or the key cannot be used.
pub fn server_config(identity: &TlsIdentity, trust_bundle: &str) -> Result<ServerConfig, TlsError> {
    let verifier: Arc<dyn ClientCertVerifier> =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots(trust_bundle)?), provider())
            .allow_unauthenticated()
            .build()
            .map_err(|error| TlsError::Setup(error.to_string()))?;
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| TlsError::Setup(error.to_string()))?
        .with_client_cert_verifier(verifier)
        .with_single_cert(
            certificates("certificate chain", &identity.chain_pem)?,
            private_key(&identity.key_pem)?,
        )
        .map_err(|error| TlsError::Setup(error.to_string()))?;
    // No session resumption: certificates are verified on every connection, and no state is kept for clients that may
    // never return.
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

//! The server's certificate authority, and the user of a client certificate (common name: user, organisations: groups,
//! as in kube-apiserver).

use std::io::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tokio_rustls::TlsAcceptor;

use crate::access::User;

/// A client's certificate and key, PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub certificate: String,
    /// Its private key.
    pub key: String,
}

impl Identity {
    /// The user entry of a kubeconfig.
    #[must_use]
    pub fn kubeconfig_user(&self) -> Value {
        let engine = base64::engine::general_purpose::STANDARD;
        json!({
            "client-certificate-data": engine.encode(&self.certificate),
            "client-key-data": engine.encode(&self.key),
        })
    }
}

/// The authority of a server.
pub(super) struct Authority {
    certificate: String,
    issuer: Issuer<'static, KeyPair>,
}

fn other(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::other(error)
}

impl Authority {
    /// Reads the authority beside the data file, or makes one.
    pub(super) fn open(data: Option<&Path>) -> Result<Self> {
        let place: Option<PathBuf> = data.map(|data| data.with_extension("ca.pem"));
        // An unreadable authority is an error: clients trust it, and a new one would lock them out.
        let text = match place.as_deref().map(std::fs::read_to_string) {
            None => None,
            Some(Err(error)) if error.kind() == ErrorKind::NotFound => None,
            Some(read) => Some(read?),
        };
        if let Some(text) = text {
            let key = KeyPair::from_pem(&text).map_err(other)?;
            let start = text.find("-----BEGIN CERTIFICATE").unwrap_or(0);
            let certificate = text.get(start..).unwrap_or_default().to_owned();
            let issuer = Issuer::from_ca_cert_pem(&certificate, key).map_err(other)?;
            return Ok(Self {
                certificate,
                issuer,
            });
        }
        let key = KeyPair::generate().map_err(other)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = name("embedded-api-server", &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::DigitalSignature,
        ];
        let certificate = params.self_signed(&key).map_err(other)?.pem();
        if let Some(place) = place {
            write_private(&place, &format!("{}{certificate}", key.serialize_pem()))?;
        }
        Ok(Self {
            certificate,
            issuer: Issuer::new(params, key),
        })
    }

    /// The authority's certificate as in a kubeconfig.
    pub(super) fn bundle(&self) -> String {
        base64::engine::general_purpose::STANDARD.encode(&self.certificate)
    }

    /// A client certificate.
    pub(super) fn identity(&self, user: &User) -> Result<Identity> {
        let mut params = CertificateParams::default();
        params.distinguished_name = name(&user.name, &user.groups);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(&params)
    }

    fn sign(&self, params: &CertificateParams) -> Result<Identity> {
        let key = KeyPair::generate().map_err(other)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(other)?;
        Ok(Identity {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        })
    }

    /// Accepts connections with or without a client certificate.
    pub(super) fn acceptor(&self) -> Result<TlsAcceptor> {
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let mut params = CertificateParams::new(names).map_err(other)?;
        params.distinguished_name = name("embedded-api-server", &[]);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let own = self.sign(&params)?;
        let mut roots = rustls::RootCertStore::empty();
        let root = CertificateDer::from_pem_slice(self.certificate.as_bytes()).map_err(other)?;
        roots.add(root).map_err(other)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(
            Arc::new(roots),
            Arc::clone(&provider),
        )
        .allow_unauthenticated()
        .build()
        .map_err(other)?;
        let chain =
            vec![CertificateDer::from_pem_slice(own.certificate.as_bytes()).map_err(other)?];
        let key = PrivateKeyDer::from_pem_slice(own.key.as_bytes()).map_err(other)?;
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(other)?
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, key)
            .map_err(other)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

fn name(common: &str, organisations: &[String]) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common);
    // rcgen keeps one attribute of each type, so further groups are put into the same one.
    if !organisations.is_empty() {
        name.push(DnType::OrganizationName, organisations.join("\n"));
    }
    name
}

fn write_private(path: &Path, text: &str) -> Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    std::fs::OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(path)?
        .write_all(text.as_bytes())
}

/// The user of a connection's certificate; none if it presented none.
pub(super) fn peer<S>(stream: &tokio_rustls::server::TlsStream<S>) -> Option<User> {
    let (_, session) = stream.get_ref();
    let certificate = session.peer_certificates()?.first()?;
    let (_, certificate) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let subject = certificate.subject();
    let texts = |values: Vec<&str>| -> Vec<String> {
        values
            .iter()
            .flat_map(|value| value.split('\n'))
            .map(str::to_owned)
            .collect()
    };
    let common = subject
        .iter_common_name()
        .filter_map(|name| name.as_str().ok())
        .collect();
    let groups = subject
        .iter_organization()
        .filter_map(|name| name.as_str().ok())
        .collect();
    Some(User {
        name: texts(common).into_iter().next()?,
        groups: texts(groups),
    })
}

//! The built-in certificate authority: one root, short leaves, SPIFFE-style names.
//!
//! Nothing that a certificate request asks for is copied; only its public key is used.

use std::path::{Path, PathBuf};

use flotilla_shared::identity::{HUB_SERVER_NAME, Identity};
use flotilla_shared::tls::TlsIdentity;
use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SanType, SubjectPublicKeyInfo,
};
use x509_parser::prelude::{FromDer as _, X509CertificationRequest};

/// How far certificates are dated back, so that a clock five minutes behind accepts them.
const BACKDATE: SignedDuration = SignedDuration::from_mins(5);
/// Life of an agent's certificate; agents renew at two thirds of it.
pub const AGENT_LIFE: SignedDuration = SignedDuration::from_hours(24);
/// Life of an operator's certificate.
pub const OPERATOR_LIFE: SignedDuration = SignedDuration::from_hours(24 * 365);
/// Life of the hub's own certificate, which is made anew at each start.
const HUB_LIFE: SignedDuration = SignedDuration::from_hours(24 * 90);
/// Life of the root.
const ROOT_LIFE: SignedDuration = SignedDuration::from_hours(24 * 3650);

/// The authority cannot do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file of the authority.
    #[error("{path}: {cause}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// There is no authority in the data directory.
    #[error("no authority in {0}: run `flotilla-hub init --data-dir {0}` first")]
    Missing(PathBuf),
    /// A key file that others can read.
    #[error("{0} is readable by others: run `chmod 600 {0}`")]
    Readable(PathBuf),
    /// The request is not a PKCS#10 with a good signature and an acceptable key.
    #[error("the certificate request is refused: {0}")]
    Request(String),
    /// Making a certificate failed.
    #[error("cannot make a certificate: {0}")]
    Rcgen(#[from] rcgen::Error),
}

/// Issues certificates.
pub struct Authority {
    root_pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate that was issued.
#[derive(Debug, Clone)]
pub struct Issued {
    /// Leaf first.
    pub chain_pem: String,
    /// End of its validity.
    pub expires_at: Timestamp,
}

impl Authority {
    /// Opens the authority in a data directory.
    ///
    /// # Errors
    /// When there is none or its files cannot be used.
    pub fn open(data_dir: &Path) -> Result<Self, Error> {
        let certificate = data_dir.join("ca.crt");
        if !certificate.exists() {
            return Err(Error::Missing(data_dir.to_owned()));
        }
        let root_pem = read(&certificate)?;
        let key_pem = read_private(&data_dir.join("ca.key"))?;
        let issuer = Issuer::from_ca_cert_pem(&root_pem, KeyPair::from_pem(&key_pem)?)?;
        Ok(Self { root_pem, issuer })
    }

    /// Opens the authority, or makes one where there is none. Never overwrites.
    ///
    /// # Errors
    /// When files cannot be read or written.
    pub fn init(data_dir: &Path, now: Timestamp) -> Result<Self, Error> {
        if !data_dir.join("ca.crt").exists() {
            let key = KeyPair::generate()?;
            let mut params = params(now, ROOT_LIFE, "Flotilla root");
            params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
            params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
            let certificate = params.self_signed(&key)?;
            write_private(&data_dir.join("ca.key"), &key.serialize_pem())?;
            // Last, since its presence is what says that the authority is complete.
            write_private(&data_dir.join("ca.crt"), &certificate.pem())?;
        }
        Self::open(data_dir)
    }

    /// What everyone has to trust, PEM.
    #[must_use]
    pub fn trust_bundle(&self) -> &str {
        &self.root_pem
    }

    /// A fresh certificate for the hub itself.
    ///
    /// # Errors
    /// When a host name cannot be part of a certificate.
    pub fn hub(&self, hostnames: &[String], now: Timestamp) -> Result<TlsIdentity, Error> {
        let key = KeyPair::generate()?;
        let mut params = params(now, HUB_LIFE, "Flotilla hub");
        // Both ways: replicas of the hub call each other.
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        params.subject_alt_names = vec![uri(&Identity::Hub)?];
        for name in std::iter::once(HUB_SERVER_NAME).chain(hostnames.iter().map(String::as_str)) {
            params.subject_alt_names.push(match name.parse() {
                Ok(address) => SanType::IpAddress(address),
                Err(_) => SanType::DnsName(name.try_into()?),
            });
        }
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(TlsIdentity {
            chain_pem: certificate.pem(),
            key_pem: key.serialize_pem(),
        })
    }

    /// A certificate with a key made here, for an operator's context file.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn operator(&self, identity: &Identity, now: Timestamp) -> Result<TlsIdentity, Error> {
        let key = KeyPair::generate()?;
        let issued = self.leaf(identity, &key, OPERATOR_LIFE, now)?;
        Ok(TlsIdentity {
            chain_pem: issued.chain_pem,
            key_pem: key.serialize_pem(),
        })
    }

    /// A certificate for the public key of a request.
    ///
    /// # Errors
    /// When the request is malformed, unsigned, or its key is of a kind we do not take.
    pub fn sign(
        &self,
        identity: &Identity,
        request: &Request,
        life: SignedDuration,
        now: Timestamp,
    ) -> Result<Issued, Error> {
        let key = SubjectPublicKeyInfo::from_der(&request.public_key)
            .map_err(|error| Error::Request(error.to_string()))?;
        self.leaf(identity, &key, life, now)
    }

    fn leaf(
        &self,
        identity: &Identity,
        key: &impl rcgen::PublicKeyData,
        life: SignedDuration,
        now: Timestamp,
    ) -> Result<Issued, Error> {
        let mut params = params(now, life, &identity.to_string());
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.subject_alt_names = vec![uri(identity)?];
        let certificate = params.signed_by(key, &self.issuer)?;
        Ok(Issued {
            chain_pem: certificate.pem(),
            expires_at: now.saturating_add(life).unwrap_or(now),
        })
    }
}

/// A certificate request whose signature was checked; only its key is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    public_key: Vec<u8>,
    /// SHA-256 of the public key, hexadecimal: what a person compares.
    pub fingerprint: String,
}

impl Request {
    /// Reads a PKCS#10 request.
    ///
    /// # Errors
    /// When it is malformed, over 16 KiB or its signature is not by its own key.
    pub fn from_der(der: &[u8]) -> Result<Self, Error> {
        if der.len() > 16 << 10 {
            return Err(Error::Request("it is over 16 KiB".to_owned()));
        }
        let (rest, request) = X509CertificationRequest::from_der(der)
            .map_err(|_| Error::Request("it is not PKCS#10 in DER form".to_owned()))?;
        if !rest.is_empty() {
            return Err(Error::Request("something follows it".to_owned()));
        }
        request
            .verify_signature()
            .map_err(|_| Error::Request("its signature is not by its own key".to_owned()))?;
        let public_key = request.certification_request_info.subject_pki.raw.to_vec();
        SubjectPublicKeyInfo::from_der(&public_key)
            .map_err(|_| Error::Request("its key is of a kind we do not take".to_owned()))?;
        let fingerprint = flotilla_shared::digest::Digest::of(&public_key).to_string();
        Ok(Self {
            public_key,
            fingerprint,
        })
    }
}

fn uri(identity: &Identity) -> Result<SanType, Error> {
    Ok(SanType::URI(identity.to_string().try_into()?))
}

fn params(now: Timestamp, life: SignedDuration, name: &str) -> CertificateParams {
    let time = |timestamp: Timestamp| {
        time::OffsetDateTime::from_unix_timestamp(timestamp.as_second())
            .unwrap_or(time::OffsetDateTime::UNIX_EPOCH)
    };
    let mut params = CertificateParams::default();
    params.not_before = time(now.saturating_sub(BACKDATE).unwrap_or(now));
    params.not_after = time(now.saturating_add(life).unwrap_or(now));
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.use_authority_key_identifier_extension = true;
    params
}

fn read(path: &Path) -> Result<String, Error> {
    std::fs::read_to_string(path).map_err(|cause| Error::File {
        path: path.to_owned(),
        cause,
    })
}

/// Reads a key file, and refuses it where others can read it too (catalogue E15).
fn read_private(path: &Path) -> Result<String, Error> {
    use std::os::unix::fs::PermissionsExt as _;
    let metadata = std::fs::metadata(path).map_err(|cause| Error::File {
        path: path.to_owned(),
        cause,
    })?;
    if metadata.permissions().mode() & 0o077 != 0 {
        return Err(Error::Readable(path.to_owned()));
    }
    read(path)
}

/// Writes a file that nobody else may read, whole or not at all.
///
/// # Errors
/// When it cannot be written.
pub fn write_private(path: &Path, content: &str) -> Result<(), Error> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let error = |cause| Error::File {
        path: path.to_owned(),
        cause,
    };
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(error)?;
    }
    let temporary = path.with_extension("tmp");
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary)
        .map_err(error)?;
    file.write_all(content.as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(error)?;
    std::fs::rename(&temporary, path).map_err(error)
}

#[cfg(test)]
mod tests {
    use flotilla_shared::identity::PeerCertificate;
    use flotilla_shared::tls;

    use super::*;

    fn now() -> Timestamp {
        Timestamp::new(1_790_000_000, 0).unwrap()
    }

    #[test]
    fn e04_nothing_a_request_asks_for_is_copied() {
        let directory = tempfile::tempdir().unwrap();
        let authority = Authority::init(directory.path(), now()).unwrap();
        let key = KeyPair::generate().unwrap();
        let mut asked = CertificateParams::new(vec!["evil.example.com".to_owned()]).unwrap();
        asked.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        asked.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        asked.subject_alt_names.push(uri(&Identity::Hub).unwrap());
        let csr = asked.serialize_request(&key).unwrap();
        let request = Request::from_der(csr.der()).unwrap();
        let identity: Identity = "spiffe://flotilla/cluster/a".parse().unwrap();
        let issued = authority
            .sign(&identity, &request, AGENT_LIFE, now())
            .unwrap();
        let der = tls::certificates("leaf", &issued.chain_pem)
            .unwrap()
            .remove(0);
        let peer = PeerCertificate::from_der(&der).unwrap();
        assert_eq!(peer.identity, identity);
        let (_, leaf) = x509_parser::parse_x509_certificate(&der).unwrap();
        assert!(!leaf.is_ca());
        assert_eq!(
            leaf.subject_alternative_name()
                .unwrap()
                .unwrap()
                .value
                .general_names
                .len(),
            1
        );
        assert_eq!(
            leaf.validity().not_before.timestamp(),
            now().as_second() - 300
        );
    }

    #[test]
    fn e04_broken_requests_are_refused() {
        let key = KeyPair::generate().unwrap();
        let csr = CertificateParams::default()
            .serialize_request(&key)
            .unwrap();
        let mut der = csr.der().to_vec();
        let last = der.len() - 1;
        der[last] ^= 1;
        assert!(Request::from_der(&der).is_err());
        assert!(Request::from_der(b"junk").is_err());
        assert!(Request::from_der(&vec![0x30; 1 << 20]).is_err());
        let mut trailing = csr.der().to_vec();
        trailing.push(0);
        assert!(Request::from_der(&trailing).is_err());
    }

    #[test]
    fn e15_init_is_idempotent_and_keys_are_private() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let first = Authority::init(directory.path(), now()).unwrap();
        let second = Authority::init(directory.path(), now()).unwrap();
        assert_eq!(first.trust_bundle(), second.trust_bundle());
        let key = directory.path().join("ca.key");
        assert_eq!(
            std::fs::metadata(&key).unwrap().permissions().mode() & 0o777,
            0o600
        );
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(
            Authority::open(directory.path()),
            Err(Error::Readable(_))
        ));
    }
}

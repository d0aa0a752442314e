//! The certificate authority: trusted roots, one signing key, short-lived leaves with SPIFFE-style names. It is the
//! hub's own or an external one.
//!
//! Nothing is copied from a certificate request except its public key.

mod external;
mod files;
mod request;
mod root;
mod rotation;

use std::path::{Path, PathBuf};

use flotilla_shared::digest::Digest;
use flotilla_shared::identity::{HUB_SERVER_NAME, Identity, serial_number};
use flotilla_shared::tls::{self, TlsError, TlsIdentity};
use jiff::{SignedDuration, Timestamp};
use rand::Rng as _;
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, Issuer, KeyPair,
    KeyUsagePurpose, SanType, SerialNumber, SubjectPublicKeyInfo,
};

pub use external::ExternalAuthority;
pub use files::{is_there, write_private};

use files::{read, read_private};

pub use request::Request;
use root::Root;
pub use rotation::{Rotation, RotationError, StragglerPolicy};

/// Time by which certificates are backdated, so that a clock five minutes behind accepts them (E11).
const BACKDATE: SignedDuration = SignedDuration::from_mins(5);

/// Life of an agent's certificate; agents renew at two thirds of it.
pub const AGENT_LIFE: SignedDuration = SignedDuration::from_hours(24);

/// Life of an operator's certificate.
pub const OPERATOR_LIFE: SignedDuration = SignedDuration::from_hours(24 * 365);

/// Life of the hub's own certificate, which is renewed at each start and at two thirds of its life.
pub const HUB_LIFE: SignedDuration = SignedDuration::from_hours(24 * 90);

/// Life of the root.
const ROOT_LIFE: SignedDuration = SignedDuration::from_hours(24 * 3650);

/// Error of the authority.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file of the authority cannot be used.
    #[error("{path}: {cause}")]
    File {
        path: PathBuf,
        cause: std::io::Error,
    },
    /// The data directory has no authority.
    #[error("no authority in {0}: run `flotilla-hub init --data-dir {0}` first")]
    Missing(PathBuf),
    /// Others than the owner can read a key file.
    #[error("{0} is readable by others: run `chmod 600 {0}`")]
    Readable(PathBuf),
    /// The request is not a PKCS#10 with a good signature and an acceptable key.
    #[error("the certificate request is rejected: {0}")]
    Request(String),
    /// Certificates come from another authority.
    #[error("this hub does not issue certificates: the authority of --trust-bundle-file does")]
    NoIssuer,
    /// A certificate cannot be read.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Making a certificate failed.
    #[error("cannot make a certificate: {0}")]
    Rcgen(#[from] rcgen::Error),
}

/// The authority: issues certificates, or only has the trusted roots.
pub struct Authority {
    /// Trusted roots, PEM.
    bundle: String,
    /// Keys of new roots, certified by older roots, PEM; empty: none.
    endorsements: String,
    /// Certificates between a leaf and a root, PEM; empty: leaves are signed by a root.
    intermediates: String,
    /// The signer; none: certificates come from another authority.
    signer: Option<Signer>,
    /// The hub's own certificate, where it is not issued here.
    given: Option<TlsIdentity>,
}

struct Signer {
    issuer: Issuer<'static, KeyPair>,
    /// SHA-256 of its certificate.
    fingerprint: String,
}

/// An issued certificate.
#[derive(Debug, Clone)]
pub struct CertificateChain {
    /// The certificate chain, the leaf first.
    pub chain_pem: String,
    /// End of its validity.
    pub expires_at: Timestamp,
}

impl Authority {
    /// Opens the authority in a data directory.
    ///
    /// # Errors
    /// When there is no authority, or its files cannot be used.
    pub fn open(data_dir: &Path) -> Result<Self, Error> {
        let certificate = data_dir.join("ca.crt");
        if !is_there(&certificate)? {
            return Err(Error::Missing(data_dir.to_owned()));
        }
        let root = read(&certificate)?;
        let mut endorsements = read_optional(&data_dir.join(rotation::ENDORSEMENTS))?;
        // During a rotation the next root already signs, and both roots are trusted.
        if let Some(next) = rotation::next(data_dir)? {
            let bundle = if next.root == root {
                root
            } else {
                format!("{}{root}", next.root)
            };
            endorsements.insert_str(0, &next.endorsement);
            return Ok(Self {
                bundle,
                endorsements,
                intermediates: String::new(),
                signer: Some(signer(&next.root, &next.key)?),
                given: None,
            });
        }
        let key = read_private(&data_dir.join("ca.key"))?;
        Ok(Self {
            signer: Some(signer(&root, &key)?),
            bundle: root,
            endorsements,
            intermediates: String::new(),
            given: None,
        })
    }

    /// Opens the authority, or creates one where it does not exist. Never overwrites.
    ///
    /// # Errors
    /// When files cannot be read or written.
    pub fn init(data_dir: &Path, now: Timestamp) -> Result<Self, Error> {
        if !is_there(&data_dir.join("ca.crt"))? {
            let root = Root::new(now)?;
            write_private(&data_dir.join("ca.key"), &root.key.serialize_pem())?;
            // Written last: its presence marks the authority as complete.
            write_private(&data_dir.join("ca.crt"), &root.pem()?)?;
        }
        Self::open(data_dir)
    }

    /// Returns the trusted roots, PEM.
    #[must_use]
    pub fn trust_bundle(&self) -> &str {
        &self.bundle
    }

    /// Returns SHA-256 of each root, hexadecimal.
    ///
    /// # Errors
    /// When a root cannot be read.
    pub fn roots(&self) -> Result<Vec<String>, Error> {
        let roots = tls::certificates("authority", &self.bundle)?;
        Ok(roots
            .iter()
            .map(|der| Digest::of(der).to_string())
            .collect())
    }

    /// Returns the certificates by which a holder of an old root comes to trust a new one, PEM; may be empty.
    #[must_use]
    pub fn endorsements(&self) -> &str {
        &self.endorsements
    }

    /// Returns SHA-256 of the signing certificate, hexadecimal; empty: nothing is signed here.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        self.signer
            .as_ref()
            .map_or("", |signer| &signer.fingerprint)
    }

    /// Returns its public content, to detect changes.
    #[must_use]
    pub fn content(&self) -> String {
        let given = self.given.as_ref().map_or("", |given| &given.chain_pem);
        let signer = self.fingerprint();
        [
            signer,
            &self.bundle,
            &self.endorsements,
            &self.intermediates,
            given,
        ]
        .join("\n")
    }

    /// Returns whether it issues certificates.
    #[must_use]
    pub fn issues(&self) -> bool {
        self.signer.is_some()
    }

    fn signer(&self) -> Result<&Signer, Error> {
        self.signer.as_ref().ok_or(Error::NoIssuer)
    }

    /// Issues a certificate for the hub itself, with what holders of older roots need to verify it.
    ///
    /// # Errors
    /// When a host name cannot be part of a certificate.
    pub fn hub(&self, hostnames: &[String], now: Timestamp) -> Result<TlsIdentity, Error> {
        if let Some(given) = &self.given {
            return Ok(given.clone());
        }
        let signer = self.signer()?;
        let key = KeyPair::generate()?;
        let mut params = params(now, HUB_LIFE, "Flotilla hub");
        // For both ends of TLS, since replicas of the hub call each other.
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
        let certificate = params.signed_by(&key, &signer.issuer)?;
        Ok(TlsIdentity {
            chain_pem: [
                &certificate.pem(),
                self.intermediates.as_str(),
                &self.endorsements,
            ]
            .concat(),
            key_pem: key.serialize_pem(),
        })
    }

    /// Issues a certificate with a new key, for an operator's context file.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn operator(&self, identity: &Identity, now: Timestamp) -> Result<TlsIdentity, Error> {
        let key = KeyPair::generate()?;
        let issued = self.leaf(identity, &key, OPERATOR_LIFE, 0, now)?;
        Ok(TlsIdentity {
            chain_pem: issued.chain_pem,
            key_pem: key.serialize_pem(),
        })
    }

    /// Issues a certificate for the public key of a request; `counter` is the number of certificates of its holder.
    ///
    /// # Errors
    /// When the request is malformed or unsigned, or its kind of key is not supported.
    pub fn sign(
        &self,
        identity: &Identity,
        request: &Request,
        life: SignedDuration,
        counter: u64,
        now: Timestamp,
    ) -> Result<CertificateChain, Error> {
        let key = SubjectPublicKeyInfo::from_der(&request.public_key)
            .map_err(|error| Error::Request(error.to_string()))?;
        self.leaf(identity, &key, life, counter, now)
    }

    fn leaf(
        &self,
        identity: &Identity,
        key: &impl rcgen::PublicKeyData,
        life: SignedDuration,
        counter: u64,
        now: Timestamp,
    ) -> Result<CertificateChain, Error> {
        let mut params = params(now, life, &identity.to_string());
        let serial = serial_number(counter, rand::rng().random());
        params.serial_number = Some(SerialNumber::from_slice(&serial));
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.subject_alt_names = vec![uri(identity)?];
        let certificate = params.signed_by(key, &self.signer()?.issuer)?;
        Ok(CertificateChain {
            chain_pem: certificate.pem() + &self.intermediates,
            expires_at: now.saturating_add(life).unwrap_or(now),
        })
    }
}

fn signer(certificate: &str, key: &str) -> Result<Signer, Error> {
    let der = tls::certificates("authority", certificate)?.swap_remove(0);
    Ok(Signer {
        issuer: Issuer::from_ca_cert_pem(certificate, KeyPair::from_pem(key)?)?,
        fingerprint: Digest::of(&der).to_string(),
    })
}

fn read_optional(path: &Path) -> Result<String, Error> {
    if is_there(path)? {
        read(path)
    } else {
        Ok(String::new())
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

#[cfg(test)]
mod tests;

//! The identity in a certificate: one URI subject alternative name in the manner of SPIFFE
//! (<https://github.com/spiffe/spiffe/blob/main/standards/X509-SVID.md>).

use std::fmt;
use std::str::FromStr;

use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::digest::Digest;
use crate::hex;
use crate::id::{ClusterName, NameError, OperatorName};

/// The trust domain. One hub is one authority, so there is no need for another.
pub const TRUST_DOMAIN: &str = "flotilla";

/// The name that every hub certificate carries besides its own host names, so that a hub behind any
/// address can be verified.
pub const HUB_SERVER_NAME: &str = "hub.flotilla.internal";

/// Subject of a certificate.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Identity {
    /// `spiffe://flotilla/hub`.
    Hub,
    /// `spiffe://flotilla/cluster/<name>`: an agent, whichever pod it is.
    Cluster(ClusterName),
    /// `spiffe://flotilla/operator/<name>`: a person or program.
    Operator(OperatorName),
}

/// The certificate has no known identity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// Not an X.509 certificate.
    #[error("the certificate cannot be parsed: {0}")]
    Malformed(String),
    /// SPIFFE demands exactly one URI name.
    #[error("the certificate has {0} URI names instead of exactly one")]
    UriNames(usize),
    /// The URI name is not of this trust domain.
    #[error("{0:?} is not an identity of this trust domain")]
    Unknown(String),
    /// The name within is not valid.
    #[error(transparent)]
    Name(#[from] NameError),
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hub => write!(f, "spiffe://{TRUST_DOMAIN}/hub"),
            Self::Cluster(name) => write!(f, "spiffe://{TRUST_DOMAIN}/cluster/{name}"),
            Self::Operator(name) => write!(f, "spiffe://{TRUST_DOMAIN}/operator/{name}"),
        }
    }
}

impl FromStr for Identity {
    type Err = IdentityError;

    fn from_str(uri: &str) -> Result<Self, IdentityError> {
        let unknown = || IdentityError::Unknown(uri.chars().take(200).collect());
        let path = uri
            .strip_prefix("spiffe://")
            .and_then(|rest| rest.strip_prefix(TRUST_DOMAIN))
            .ok_or_else(unknown)?;
        if path == "/hub" {
            return Ok(Self::Hub);
        }
        if let Some(name) = path.strip_prefix("/cluster/") {
            return Ok(Self::Cluster(name.parse()?));
        }
        if let Some(name) = path.strip_prefix("/operator/") {
            return Ok(Self::Operator(name.parse()?));
        }
        Err(unknown())
    }
}

/// A peer's certificate, which TLS has already verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerCertificate {
    /// Subject of the certificate.
    pub identity: Identity,
    /// Serial number, lower-case hexadecimal.
    pub serial: String,
    /// SHA-256 of its public key.
    pub key: String,
    /// Begin of validity, seconds since the epoch.
    pub not_before: i64,
    /// End of validity, seconds since the epoch.
    pub not_after: i64,
}

/// First byte of a serial number that carries a counter; positive and not zero, so that DER keeps it.
const COUNTED: u8 = 1;

/// A certificate's serial number that carries how many certificates its holder has had, so that two
/// holders of one identity are told apart as soon as one of them renews (catalogue E7).
#[must_use]
pub fn serial_number(counter: u64, random: [u8; 7]) -> [u8; 16] {
    let mut serial = [0; 16];
    serial[0] = COUNTED;
    serial[1..9].copy_from_slice(&counter.to_be_bytes());
    serial[9..].copy_from_slice(&random);
    serial
}

/// The counter of a serial number; 0: it carries none, such as one by another authority.
#[must_use]
pub fn serial_counter(serial: &str) -> u64 {
    match serial.strip_prefix("01").filter(|_| serial.len() == 32) {
        Some(rest) => rest
            .get(..16)
            .and_then(|digits| u64::from_str_radix(digits, 16).ok())
            .unwrap_or_default(),
        None => 0,
    }
}

impl PeerCertificate {
    /// Number of certificates that its holder has had; 0: not known.
    #[must_use]
    pub fn counter(&self) -> u64 {
        serial_counter(&self.serial)
    }

    /// Reads a DER certificate.
    ///
    /// # Errors
    /// When it is malformed or does not carry exactly one identity of ours.
    pub fn from_der(der: &[u8]) -> Result<Self, IdentityError> {
        let (_, certificate) = X509Certificate::from_der(der)
            .map_err(|error| IdentityError::Malformed(error.to_string()))?;
        let names = certificate
            .subject_alternative_name()
            .map_err(|error| IdentityError::Malformed(error.to_string()))?
            .map(|extension| extension.value.general_names.as_slice())
            .unwrap_or_default();
        let uris: Vec<&str> = names
            .iter()
            .filter_map(|name| match name {
                GeneralName::URI(uri) => Some(*uri),
                _ => None,
            })
            .collect();
        let [uri] = uris.as_slice() else {
            return Err(IdentityError::UriNames(uris.len()));
        };
        Ok(Self {
            identity: uri.parse()?,
            serial: hex::encode(certificate.raw_serial()),
            key: Digest::of(certificate.public_key().raw).to_string(),
            not_before: certificate.validity().not_before.timestamp(),
            not_after: certificate.validity().not_after.timestamp(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_go_round() {
        for uri in [
            "spiffe://flotilla/hub",
            "spiffe://flotilla/cluster/prod-eu-1",
            "spiffe://flotilla/operator/ada",
        ] {
            assert_eq!(
                uri.parse::<Identity>().map(|i| i.to_string()),
                Ok(uri.to_owned())
            );
        }
    }

    #[test]
    fn e07_a_serial_number_carries_its_counter() {
        for counter in [0, 1, 77, u64::MAX] {
            let mut params = rcgen::CertificateParams::default();
            let serial = serial_number(counter, [0xab; 7]);
            params.serial_number = Some(rcgen::SerialNumber::from_slice(&serial));
            let uri = "spiffe://flotilla/cluster/a".try_into().unwrap();
            params.subject_alt_names.push(rcgen::SanType::URI(uri));
            let key = rcgen::KeyPair::generate().unwrap();
            let der = params.self_signed(&key).unwrap();
            let peer = PeerCertificate::from_der(der.der()).unwrap();
            assert_eq!(peer.counter(), counter, "{}", peer.serial);
            // The same digest as from the key itself, and from a request that it signed.
            let own = rcgen::PublicKeyData::subject_public_key_info(&key);
            assert_eq!(peer.key, Digest::of(&own).to_string());
        }
        for other in ["", "02", "ab", "0102", "7f00000000000000010000000000000000"] {
            assert_eq!(serial_counter(other), 0);
        }
    }

    #[test]
    fn e08_foreign_and_malformed_identities_are_refused() {
        for uri in [
            "spiffe://other/cluster/a",
            "spiffe://flotilla/cluster/",
            "spiffe://flotilla/cluster/a/b",
            "spiffe://flotilla/cluster/A",
            "spiffe://flotillax/cluster/a",
            "spiffe://flotilla/hub/x",
            "https://flotilla/cluster/a",
            "",
        ] {
            assert!(uri.parse::<Identity>().is_err(), "{uri}");
        }
    }

    #[test]
    fn e08_a_certificate_needs_exactly_one_uri_name() {
        let make = |uris: &[&str]| {
            let mut params = rcgen::CertificateParams::default();
            for uri in uris {
                params
                    .subject_alt_names
                    .push(rcgen::SanType::URI((*uri).try_into().unwrap()));
            }
            let key = rcgen::KeyPair::generate().unwrap();
            params.self_signed(&key).unwrap().der().to_vec()
        };
        let peer = PeerCertificate::from_der(&make(&["spiffe://flotilla/cluster/a"])).unwrap();
        assert_eq!(peer.identity.to_string(), "spiffe://flotilla/cluster/a");
        assert_eq!(
            PeerCertificate::from_der(&make(&[])),
            Err(IdentityError::UriNames(0))
        );
        let two = make(&["spiffe://flotilla/cluster/a", "spiffe://flotilla/cluster/b"]);
        assert_eq!(
            PeerCertificate::from_der(&two),
            Err(IdentityError::UriNames(2))
        );
        assert!(PeerCertificate::from_der(b"junk").is_err());
    }
}

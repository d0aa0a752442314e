//! Validity of certificates.

use flotilla_shared::digest::Digest;
use jiff::Timestamp;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// Highest number of certificates that are read from one text.
const MOST: usize = 32;

/// Validity period of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Validity {
    /// SHA-256 of the certificate.
    pub(crate) fingerprint: String,
    /// Start of the validity.
    pub(crate) begin: Timestamp,
    pub(crate) end: Timestamp,
}

impl Validity {
    /// Whether less than a fifth of its life is left.
    pub(crate) fn is_in_its_last_fifth(&self, now: Timestamp) -> bool {
        let life = self.end.duration_since(self.begin).as_secs();
        self.end.duration_since(now).as_secs() < life / 5
    }
}

/// Returns the certificates of a PEM text in order; unreadable ones are left out.
pub(crate) fn validities(pem: &str) -> Vec<Validity> {
    CertificateDer::pem_slice_iter(pem.as_bytes())
        .take(MOST)
        .filter_map(|der| {
            let der = der.ok()?;
            let (_, parsed) = X509Certificate::from_der(&der).ok()?;
            let moment = |time: i64| Timestamp::from_second(time).ok();
            Some(Validity {
                fingerprint: Digest::of(&der).to_string(),
                begin: moment(parsed.validity().not_before.timestamp())?,
                end: moment(parsed.validity().not_after.timestamp())?,
            })
        })
        .collect()
}

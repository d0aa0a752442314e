//! Certificate requests: the key, and the proof that the requester has it.

use rcgen::SubjectPublicKeyInfo;
use x509_parser::prelude::{FromDer as _, X509CertificationRequest};

use super::Error;

/// A certificate request whose signature was checked; only its key is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub(super) public_key: Vec<u8>,
    /// SHA-256 of the public key, hexadecimal, which operators compare.
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
            return Err(Error::Request("it has trailing data".to_owned()));
        }
        request
            .verify_signature()
            .map_err(|_| Error::Request("its signature does not match its key".to_owned()))?;
        let public_key = request.certification_request_info.subject_pki.raw.to_vec();
        SubjectPublicKeyInfo::from_der(&public_key)
            .map_err(|_| Error::Request("its key type is not supported".to_owned()))?;
        let fingerprint = flotilla_shared::digest::Digest::of(&public_key).to_string();
        Ok(Self {
            public_key,
            fingerprint,
        })
    }
}

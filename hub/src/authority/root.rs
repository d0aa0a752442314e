//! Creation of a root, and its certification by older ones.

use flotilla_shared::digest::Digest;
use jiff::Timestamp;
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, KeyUsagePurpose};

use super::{Error, ROOT_LIFE, Signer, params};

/// A root that is being created.
pub(super) struct Root {
    pub(super) key: KeyPair,
    pub(super) params: CertificateParams,
}

impl Root {
    pub(super) fn new(now: Timestamp) -> Result<Self, Error> {
        let key = KeyPair::generate()?;
        // Each root has a distinct name, so that verifiers find the issuer without trying all of them.
        let name = Digest::of(rcgen::PublicKeyData::der_bytes(&key)).to_string();
        let name = format!("Flotilla root {}", name.get(..12).unwrap_or_default());
        let mut params = params(now, ROOT_LIFE, &name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Ok(Self { key, params })
    }

    pub(super) fn pem(&self) -> Result<String, Error> {
        Ok(self.params.self_signed(&self.key)?.pem())
    }

    /// Returns its key, certified by an older root.
    pub(super) fn endorsed_by(&self, older: &Signer) -> Result<String, Error> {
        let mut params = self.params.clone();
        // A holder of an old root that missed some rotations follows a chain of these, which the path length has to
        // allow.
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(8));
        Ok(params.signed_by(&self.key, &older.issuer)?.pem())
    }
}

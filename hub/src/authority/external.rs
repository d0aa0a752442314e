//! An external authority: the hub signs with an intermediate of it, or signs nothing and trusts what another authority
//! (cert-manager, a company's own) has signed.

use std::path::{Path, PathBuf};

use flotilla_shared::identity::{Identity, PeerCertificate};
use flotilla_shared::tls::{self, TlsIdentity};

use super::files::{read, read_private};
use super::{Authority, Error, signer};

/// Files of an authority outside the data directory. They are read again when they change.
#[derive(Debug, Clone, Default)]
pub struct ExternalAuthority {
    /// Roots that agents, operators and the hub trust, PEM.
    pub trust_bundle: PathBuf,
    /// An issuing certificate (followed by intermediates up to a root) and its key; none: the hub issues no
    /// certificates.
    pub issuer: Option<(PathBuf, PathBuf)>,
    /// The hub's own certificate chain and key, where it issues none: with the names `spiffe://flotilla/hub` (URI) and
    /// `hub.flotilla.internal` (DNS).
    pub hub: Option<(PathBuf, PathBuf)>,
}

impl ExternalAuthority {
    /// Reads the files.
    ///
    /// # Errors
    /// When a file cannot be used, or a required one is not given.
    pub fn open(&self) -> Result<Authority, Error> {
        let bundle = read(&self.trust_bundle)?;
        tls::certificates("trust bundle", &bundle)?;
        if let Some((certificate, key)) = &self.issuer {
            let chain = read(certificate)?;
            return Ok(Authority {
                bundle,
                endorsements: String::new(),
                signer: Some(signer(&chain, &read_key(key)?)?),
                intermediates: chain,
                given: None,
            });
        }
        let Some((certificate, key)) = &self.hub else {
            return Err(Error::NoIssuer);
        };
        let given = TlsIdentity {
            chain_pem: read(certificate)?,
            key_pem: read_key(key)?,
        };
        let leaf = tls::certificates("hub certificate", &given.chain_pem)?.swap_remove(0);
        let peer = PeerCertificate::from_der(&leaf)
            .map_err(|error| Error::Request(format!("the hub's certificate: {error}")))?;
        if peer.identity != Identity::Hub {
            return Err(Error::Request(format!(
                "the hub's certificate identifies {}, not {}",
                peer.identity,
                Identity::Hub
            )));
        }
        Ok(Authority {
            bundle,
            endorsements: String::new(),
            intermediates: String::new(),
            signer: None,
            given: Some(given),
        })
    }
}

/// Reads a key from a Secret's volume: its group may read it, others may not.
fn read_key(path: &Path) -> Result<String, Error> {
    use std::os::unix::fs::PermissionsExt as _;
    let metadata = std::fs::metadata(path).map_err(|cause| Error::File {
        path: path.to_owned(),
        cause,
    })?;
    if metadata.permissions().mode() & 0o037 == 0 {
        return read(path);
    }
    read_private(path)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose};

    use super::*;
    use crate::authority::{AGENT_LIFE, Request, write_private};

    #[test]
    fn e12_a_given_intermediate_signs_and_its_root_is_what_is_trusted() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let now = Timestamp::now();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let root_key = KeyPair::generate().unwrap();
        let root = params.self_signed(&root_key).unwrap();
        let issuer = Issuer::from_params(&params, &root_key);
        let mut middle = params.clone();
        middle
            .distinguished_name
            .push(rcgen::DnType::CommonName, "middle");
        let key = KeyPair::generate().unwrap();
        let certificate = middle.signed_by(&key, &issuer).unwrap();
        write_private(&path("root.crt"), &root.pem()).unwrap();
        write_private(&path("tls.crt"), &certificate.pem()).unwrap();
        write_private(&path("tls.key"), &key.serialize_pem()).unwrap();
        let external = ExternalAuthority {
            trust_bundle: path("root.crt"),
            issuer: Some((path("tls.crt"), path("tls.key"))),
            hub: None,
        };
        let authority = external.open().unwrap();
        let agent = KeyPair::generate().unwrap();
        let csr = CertificateParams::default()
            .serialize_request(&agent)
            .unwrap();
        let issued = authority
            .sign(
                &"spiffe://flotilla/cluster/a".parse().unwrap(),
                &Request::from_der(csr.der()).unwrap(),
                AGENT_LIFE,
                1,
                now,
            )
            .unwrap();
        assert_eq!(
            tls::certificates("chain", &issued.chain_pem).unwrap().len(),
            2
        );
        // Both ends of TLS can be set up with them.
        let hub = authority.hub(&[], now).unwrap();
        tls::server_config(&hub, authority.trust_bundle()).unwrap();
        // Without the key the hub only trusts what the other authority signed, and needs a certificate of its own with
        // the right name.
        write_private(&path("hub.crt"), &hub.chain_pem).unwrap();
        write_private(&path("hub.key"), &hub.key_pem).unwrap();
        let given = ExternalAuthority {
            issuer: None,
            hub: Some((path("hub.crt"), path("hub.key"))),
            ..external.clone()
        };
        let verifies = given.open().unwrap();
        assert!(!verifies.issues());
        assert!(matches!(
            verifies.sign(
                &Identity::Hub,
                &Request::from_der(csr.der()).unwrap(),
                AGENT_LIFE,
                1,
                now
            ),
            Err(Error::NoIssuer)
        ));
        let wrong = ExternalAuthority {
            hub: Some((path("tls.crt"), path("tls.key"))),
            ..given
        };
        assert!(wrong.open().is_err());
        assert!(
            ExternalAuthority {
                hub: None,
                issuer: None,
                ..external
            }
            .open()
            .is_err()
        );
    }
}

//! Key and certificate that another authority maintains in a directory: a Secret of cert-manager, mounted.
//!
//! cert-manager applies its Secret as a whole (`pkg/controller/certificates/issuing/internal/secret.go`),
//! and kubelet exchanges the directory behind `..data` (`pkg/volume/util/atomic_writer.go`): all reads
//! through that link see one version. `tls.crt` is the leaf with its intermediates
//! (`pkg/util/pki/parse_certificate_chain.go`). `tls.key` is PKCS#1 or SEC1 unless PKCS#8 is requested
//! (`pkg/util/pki/generate.go`), a new one with each certificate or always the same. `ca.crt` is missing
//! if the issuer does not know its root. A directory that is filled file by file may be read between two
//! of them, so that key and certificate do not match: such a pair is refused.

use std::collections::BTreeMap;
use std::path::PathBuf;

use flotilla_shared::id::ClusterName;
use flotilla_shared::tls::{self, TlsIdentity};
use jiff::Timestamp;

use super::{CertifiedIdentity, Error, certified, read};

/// Directory in which another authority keeps this agent's key and certificate.
#[derive(Debug, Clone)]
pub struct MountedIdentity {
    /// With `tls.key`, `tls.crt` and, where the authority knows it, `ca.crt`.
    pub directory: PathBuf,
    /// Roots for the hub if there is no `ca.crt`.
    pub roots: Option<PathBuf>,
    /// The cluster that the certificate must identify.
    pub cluster: ClusterName,
}

impl MountedIdentity {
    /// All files of one version, if they can be used.
    pub(super) fn read(&self) -> Result<BTreeMap<String, String>, Error> {
        let data = self.directory.join("..data");
        // Resolved once, so that all files are of the same version of the Secret.
        let directory = data
            .canonicalize()
            .unwrap_or_else(|_| self.directory.clone());
        let tls = TlsIdentity {
            chain_pem: read(&directory.join("tls.crt"))?,
            key_pem: read(&directory.join("tls.key"))?,
        };
        let own = directory.join("ca.crt");
        let bundle = match std::fs::read_to_string(&own) {
            Ok(bundle) if !bundle.trim().is_empty() => bundle,
            Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::File { path: own, cause });
            }
            _ => match &self.roots {
                Some(roots) => read(roots)?,
                None => {
                    return Err(self.fault(
                        "ca.crt is missing, since its issuer does not know its root: give the \
                         hub's roots with --trust-bundle",
                    ));
                }
            },
        };
        self.judge(&tls, &bundle)?;
        Ok(BTreeMap::from([
            ("tls.key".to_owned(), tls.key_pem),
            ("tls.crt".to_owned(), tls.chain_pem),
            ("ca.crt".to_owned(), bundle),
        ]))
    }

    fn judge(&self, tls: &TlsIdentity, bundle: &str) -> Result<(), Error> {
        let certified = certified(tls.clone(), bundle.to_owned());
        let certified = certified.map_err(|error| self.fault(&error.to_string()))?;
        if certified.cluster != self.cluster {
            return Err(self.fault(&format!(
                "its certificate is for cluster {}, but this agent runs with --cluster {}",
                certified.cluster, self.cluster
            )));
        }
        // Checks that the key is of a supported kind and belongs to the certificate.
        let usable = tls::client_config(bundle, Some(tls)).map(drop);
        usable.map_err(|error| self.fault(&error.to_string()))
    }

    /// Whether the current certificate is still valid for this agent.
    pub(super) fn covers(&self, own: &CertifiedIdentity, now: Timestamp) -> bool {
        own.cluster == self.cluster && own.expires_at > now
    }

    fn fault(&self, cause: &str) -> Error {
        Error::Mounted {
            directory: self.directory.clone(),
            cause: cause.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests;

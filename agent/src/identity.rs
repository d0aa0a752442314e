//! The agent's key and certificate: created here, enrolled with a token, renewed in time. The key
//! never leaves the data directory.

mod enrol;
mod files;
mod mounted;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use flotilla_shared::dial::DialError;
use flotilla_shared::digest::Digest;
use flotilla_shared::id::ClusterName;
use flotilla_shared::identity::{Identity, PeerCertificate};
use flotilla_shared::roots::{RootsError, judge_bundle};
use flotilla_shared::tls::{self, TlsError, TlsIdentity};
use jiff::Timestamp;
use rcgen::{KeyPair, PublicKeyData as _};

pub use files::read_private;
use files::{read, write_private};
pub use mounted::MountedIdentity;

/// The agent has no usable identity.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{path}: {cause}")]
    File {
        path: PathBuf,
        cause: std::io::Error,
    },
    /// A secret that others can read (E15).
    #[error("{0} is readable by others: run `chmod 600 {0}`")]
    Readable(PathBuf),
    /// No certificate yet, and nothing to get one with.
    #[error("not enrolled yet: give --token-file with a token from `flotilla token create`")]
    NoToken,
    /// Key or certificate cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The hub offers roots that no root trusted here certifies.
    #[error(transparent)]
    Trust(#[from] RootsError),
    /// Making a key or a request failed.
    #[error("cannot create a key: {0}")]
    Key(#[from] rcgen::Error),
    #[error(transparent)]
    Dial(#[from] DialError),
    /// Another authority issues, and has issued nothing new.
    #[error(
        "{0} holds no newer certificate: the authority that fills it (cert-manager) must renew \
         it; the agent reads it again"
    )]
    NotRenewed(PathBuf),
    /// Files of another authority cannot be used.
    #[error("{directory}: {cause}; fix it at its source; the agent reads it again by itself")]
    Mounted { directory: PathBuf, cause: String },
    /// The hub does not know this agent's key.
    #[error("{0}")]
    Unknown(String),
    /// The hub refused enrolment.
    #[error("the hub refuses enrolment: {0}")]
    Refused(String),
    /// The hub refused to replace a certificate.
    #[error("the hub refuses a new certificate: {0}")]
    Withheld(String),
    /// The hub still accepts the current certificate.
    #[error("{0}")]
    StillGood(String),
    /// The hub could not answer, or is temporarily unable to.
    #[error("the hub cannot answer at present: {0}")]
    Later(String),
    /// A certificate cannot be read, or is not an agent's.
    #[error("{0}")]
    Unusable(String),
}

/// The files, in the order in which they are written.
const NAMES: [&str; 3] = ["tls.key", "ca.crt", "tls.crt"];

/// Files of the agent's identity.
#[derive(Debug, Clone)]
pub struct IdentityFiles {
    directory: PathBuf,
    mounted: Option<MountedIdentity>,
}

/// A certificate with its details.
#[derive(Debug, Clone)]
pub struct CertifiedIdentity {
    pub tls: TlsIdentity,
    /// Roots to trust for the hub.
    pub trust_bundle: String,
    /// The cluster that it identifies.
    pub cluster: ClusterName,
    /// Start of its validity.
    pub issued_at: Timestamp,
    /// End of its validity.
    pub expires_at: Timestamp,
}

impl IdentityFiles {
    /// Uses a data directory.
    #[must_use]
    pub fn new(data_dir: &Path) -> Self {
        Self {
            directory: data_dir.join("identity"),
            mounted: None,
        }
    }

    /// Takes key, certificate and roots from a directory that another authority fills instead of asking
    /// the hub for them.
    #[must_use]
    pub fn mounted(mut self, mounted: Option<MountedIdentity>) -> Self {
        self.mounted = mounted;
        self
    }

    /// Whether another authority issues.
    #[must_use]
    pub const fn is_mounted(&self) -> bool {
        self.mounted.is_some()
    }

    /// Takes over a mounted identity, whatever was there before: the owner of the mount decides who
    /// this agent is. If it is unusable, the present identity remains valid until it expires.
    fn take_mounted(&self) -> Result<(), Error> {
        let Some(mounted) = &self.mounted else {
            return Ok(());
        };
        let error = match mounted.read() {
            Ok(entries) => return self.write_all(&entries),
            Err(error) => error,
        };
        match self.load_own() {
            Ok(Some(own)) if mounted.covers(&own, Timestamp::now()) => {
                tracing::warn!(
                    %error,
                    "the mounted certificate cannot be used; continuing with the current one"
                );
                Ok(())
            }
            _ => Err(error),
        }
    }

    /// The certificate that another authority has renewed.
    ///
    /// # Errors
    /// When it has not, or files cannot be used.
    fn renewed_elsewhere(&self, mounted: &MountedIdentity) -> Result<CertifiedIdentity, Error> {
        let before = self.load_own().ok().flatten();
        self.write_all(&mounted.read()?)?;
        let is_new = |certified: &CertifiedIdentity| {
            before
                .as_ref()
                .is_none_or(|before| before.tls.chain_pem != certified.tls.chain_pem)
        };
        let now = self.load_own()?.filter(is_new);
        now.ok_or_else(|| Error::NotRenewed(mounted.directory.clone()))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Loads the identity; none: not enrolled yet.
    ///
    /// # Errors
    /// When files are there and cannot be used.
    pub fn load(&self) -> Result<Option<CertifiedIdentity>, Error> {
        self.take_mounted()?;
        self.load_own()
    }

    fn load_own(&self) -> Result<Option<CertifiedIdentity>, Error> {
        if !self.path("tls.crt").exists() {
            return Ok(None);
        }
        let tls = TlsIdentity {
            chain_pem: read(&self.path("tls.crt"))?,
            key_pem: read_private(&self.path("tls.key"))?,
        };
        let trust_bundle = read(&self.path("ca.crt"))?;
        certified(tls, trust_bundle).map(Some)
    }

    /// The key; created if it is missing.
    fn key(&self) -> Result<KeyPair, Error> {
        let path = self.path("tls.key");
        if path.exists() {
            return Ok(KeyPair::from_pem(&read_private(&path)?)?);
        }
        let key = KeyPair::generate()?;
        write_private(&path, &key.serialize_pem())?;
        Ok(key)
    }

    /// The fingerprint by which people recognise this key; the hub shows it before the cluster is accepted.
    ///
    /// # Errors
    /// When the key cannot be read, or made where there is none.
    pub fn fingerprint(&self) -> Result<String, Error> {
        let key = self.key()?;
        Ok(Digest::of(&key.subject_public_key_info()).to_string())
    }

    /// What other pods of the same cluster need to act as the same agent. The key is created if it
    /// is missing, so that it is shared before a token is spent on it.
    ///
    /// # Errors
    /// When files cannot be read or written.
    pub fn entries(&self) -> Result<BTreeMap<String, String>, Error> {
        self.key()?;
        let mut entries = BTreeMap::new();
        for name in NAMES {
            let path = self.path(name);
            if path.exists() {
                entries.insert(name.to_owned(), read(&path)?);
            }
        }
        Ok(entries)
    }

    /// Takes over the identity that another pod of the same cluster stored, unless the present one is valid for
    /// longer.
    ///
    /// # Errors
    /// When files cannot be written, or what was kept cannot be used.
    pub fn adopt(&self, entries: &BTreeMap<String, String>) -> Result<(), Error> {
        if let (Ok(Some(own)), Some(other)) = (self.load_own(), entries.get("tls.crt")) {
            let leaf = tls::certificates("certificate chain", other)?.swap_remove(0);
            let peer = PeerCertificate::from_der(&leaf).map_err(|error| {
                Error::Unusable(format!("the certificate of the Secret: {error}"))
            })?;
            if peer.not_after <= own.expires_at.as_second() {
                return Ok(());
            }
        }
        self.write_all(entries)
    }

    /// In the order of `NAMES`: the certificate last, since its presence says that the identity is complete.
    fn write_all(&self, entries: &BTreeMap<String, String>) -> Result<(), Error> {
        for name in NAMES {
            if let Some(content) = entries.get(name) {
                write_private(&self.path(name), content)?;
            }
        }
        Ok(())
    }

    /// Stores a certificate, and a trust bundle that replaces `trusted`. A root that none of the
    /// trusted roots certifies is refused, whoever offers it (V12).
    fn keep(
        &self,
        chain_pem: &str,
        trusted: &str,
        trust_bundle: &str,
        endorsements: &str,
    ) -> Result<(), Error> {
        let now = Timestamp::now().as_second();
        judge_bundle(trusted, trust_bundle, endorsements, now)?;
        write_private(&self.path("ca.crt"), trust_bundle)?;
        // Written last: the presence of this file says that the enrolment is complete.
        write_private(&self.path("tls.crt"), chain_pem)
    }
}

fn certified(tls: TlsIdentity, trust_bundle: String) -> Result<CertifiedIdentity, Error> {
    let leaf = tls::certificates("certificate chain", &tls.chain_pem)?.swap_remove(0);
    let peer = PeerCertificate::from_der(&leaf)
        .map_err(|error| Error::Unusable(format!("the certificate on disk: {error}")))?;
    let Identity::Cluster(cluster) = peer.identity else {
        return Err(Error::Unusable(
            "the certificate on disk is not an agent's".to_owned(),
        ));
    };
    Ok(CertifiedIdentity {
        tls,
        trust_bundle,
        cluster,
        issued_at: Timestamp::from_second(peer.not_before).unwrap_or_default(),
        expires_at: Timestamp::from_second(peer.not_after).unwrap_or_default(),
    })
}

/// Returns the time from `now` until a certificate should be renewed: at two thirds of its lifetime.
#[must_use]
pub fn renew_after(certified: &CertifiedIdentity, now: Timestamp) -> Duration {
    let life = certified.expires_at.duration_since(certified.issued_at);
    let due = certified
        .issued_at
        .saturating_add(life * 2 / 3)
        .unwrap_or(now);
    let left = due.duration_since(now).as_secs();
    Duration::from_secs(u64::try_from(left).unwrap_or(0).max(5))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn e15_keys_and_tokens_that_others_may_read_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let files = IdentityFiles::new(directory.path());
        files.key().unwrap();
        let path = files.path("tls.key");
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o600, "as it is made");
        let token = directory.path().join("token");
        write_private(&token, "flt_0_0").unwrap();
        for secret in [&path, &token] {
            read_private(secret).unwrap();
            for open in [0o604, 0o602, 0o601, 0o644] {
                std::fs::set_permissions(secret, std::fs::Permissions::from_mode(open)).unwrap();
                let error = read_private(secret).unwrap_err();
                assert!(matches!(error, Error::Readable(_)), "{open:o}: {error}");
                assert!(error.to_string().contains("chmod 600"), "{error}");
            }
            // A mounted Secret is readable by its group as well (`fsGroup`).
            std::fs::set_permissions(secret, std::fs::Permissions::from_mode(0o640)).unwrap();
            read_private(secret).unwrap();
        }
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(files.key(), Err(Error::Readable(_))));
    }
}

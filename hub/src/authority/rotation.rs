//! Rotation of the authority that locks no agent and no operator out (catalogue E12).
//!
//! ```text
//!   begin:   a next root is made and its key certified by the present one (RFC 4210, newWithOld);
//!            the next one signs from now on, both are trusted; agents renew and learn of the next one
//!   finish:  the next root becomes the present one; the old one is no longer trusted
//! ```
//!
//! The files are flat, so that a Secret can hold them. One is written last and marks the others as complete; after a
//! crash at any place the same command continues.

use std::path::Path;

use jiff::Timestamp;

use super::files::{is_there, read, read_private, write_private};
use super::{Authority, Error, Root, signer};

const NEXT_ROOT: &str = "next-ca.crt";
const NEXT_KEY: &str = "next-ca.key";
const NEXT_ENDORSEMENT: &str = "next-endorsement.crt";
/// File of the certificates of earlier rotations, for agents that missed them.
pub(super) const ENDORSEMENTS: &str = "endorsements.crt";
/// Highest number of them that are kept, newest first.
const MAX_ENDORSEMENTS: usize = 4;

/// Error of a rotation: a step is out of order, or it failed.
#[derive(Debug, thiserror::Error)]
pub enum RotationError {
    /// A rotation is already in progress.
    #[error(
        "a rotation is already in progress: wait until `flotilla-hub ca status` shows no \
         cluster with the old root, then run `flotilla-hub ca rotate --finish`"
    )]
    Begun,
    /// No rotation is in progress.
    #[error("nothing to finish: `flotilla-hub ca rotate` starts a rotation")]
    NotBegun,
    /// Clusters would be locked out.
    #[error(
        "{} still with a certificate of the old root, such as {names}: they renew automatically \
         once they are connected. With --force they are left behind and return by their key \
         alone",
        flotilla_shared::words::counted(*count, "cluster")
    )]
    InUse {
        count: usize,
        /// Names of some of them.
        names: String,
    },
    /// Files or keys cannot be used.
    #[error(transparent)]
    Authority(#[from] Error),
}

/// The next root.
pub(super) struct NextRoot {
    pub(super) root: String,
    pub(super) key: String,
    pub(super) endorsement: String,
}

/// Returns the next root; none: no rotation is in progress.
pub(super) fn next(data_dir: &Path) -> Result<Option<NextRoot>, Error> {
    let root = data_dir.join(NEXT_ROOT);
    if !is_there(&root)? {
        return Ok(None);
    }
    Ok(Some(NextRoot {
        root: read(&root)?,
        key: read_private(&data_dir.join(NEXT_KEY))?,
        endorsement: read(&data_dir.join(NEXT_ENDORSEMENT))?,
    }))
}

/// Whether clusters may be left behind, to return by their key alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StragglerPolicy {
    /// No cluster may be left behind.
    Refused,
    /// Any number of clusters may be left behind.
    Allowed,
}

/// The rotation of the authority in a data directory.
pub struct Rotation<'d>(pub &'d Path);

impl Rotation<'_> {
    /// Returns whether a rotation is in progress.
    ///
    /// # Errors
    /// When that cannot be determined.
    pub fn has_begun(&self) -> Result<bool, Error> {
        is_there(&self.0.join(NEXT_ROOT))
    }

    /// Creates the next root. A running hub uses it within seconds.
    ///
    /// # Errors
    /// When a rotation is in progress, or files cannot be used.
    pub fn begin(&self, now: Timestamp) -> Result<(), RotationError> {
        if self.has_begun()? {
            return Err(RotationError::Begun);
        }
        // Opening it first gives a clearer error than that of a missing file.
        drop(Authority::open(self.0)?);
        let present = read(&self.0.join("ca.crt"))?;
        let key = read_private(&self.0.join("ca.key"))?;
        let present = signer(&present, &key)?;
        let root = Root::new(now)?;
        let write = |name: &str, content: &str| write_private(&self.0.join(name), content);
        write(NEXT_KEY, &root.key.serialize_pem())?;
        write(NEXT_ENDORSEMENT, &root.endorsed_by(&present)?)?;
        // Written last: its presence marks the others as complete.
        write(NEXT_ROOT, &root.pem()?)?;
        Ok(())
    }

    /// Stops trusting the old root. `behind` are clusters that still have a certificate of it.
    ///
    /// # Errors
    /// When no rotation is in progress, when clusters would be left behind and that was not requested, or when files
    /// cannot be used.
    pub fn finish(&self, behind: &[String], left: StragglerPolicy) -> Result<(), RotationError> {
        let Some(next) = next(self.0)? else {
            return Err(RotationError::NotBegun);
        };
        if !behind.is_empty() && left == StragglerPolicy::Refused {
            let mut names = behind.iter().take(5).cloned().collect::<Vec<_>>();
            if behind.len() > names.len() {
                names.push("...".to_owned());
            }
            return Err(RotationError::InUse {
                count: behind.len(),
                names: names.join(", "),
            });
        }
        let write = |name: &str, content: &str| write_private(&self.0.join(name), content);
        let older = super::read_optional(&self.0.join(ENDORSEMENTS))?;
        write(ENDORSEMENTS, &newest(&next.endorsement, &older))?;
        write("ca.key", &next.key)?;
        write("ca.crt", &next.root)?;
        for name in [NEXT_ROOT, NEXT_KEY, NEXT_ENDORSEMENT] {
            let path = self.0.join(name);
            std::fs::remove_file(&path).map_err(|cause| Error::File { path, cause })?;
        }
        Ok(())
    }
}

/// Returns the newest endorsements, each once: a step that is repeated after a crash adds nothing.
fn newest(first: &str, older: &str) -> String {
    const END: &str = "-----END CERTIFICATE-----";
    let mut kept: Vec<&str> = Vec::new();
    for text in [first, older] {
        for block in text.split_inclusive(END) {
            let block = block.trim();
            if block.ends_with(END) && !kept.contains(&block) {
                kept.push(block);
            }
        }
    }
    kept.truncate(MAX_ENDORSEMENTS);
    kept.iter().map(|block| format!("{block}\n")).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use flotilla_shared::identity::{HUB_SERVER_NAME, Identity};
    use flotilla_shared::roots::judge_bundle;
    use flotilla_shared::tls;
    use rustls::client::WebPkiServerVerifier;
    use rustls::client::danger::ServerCertVerifier as _;
    use rustls_pki_types::{ServerName, UnixTime};

    use super::*;
    use crate::authority::Authority;

    fn now() -> Timestamp {
        Timestamp::new(1_790_000_000, 0).unwrap()
    }

    /// Returns whether a client that trusts `bundle` accepts the hub's certificate.
    fn believes(bundle: &str, authority: &Authority) -> bool {
        let hub = authority.hub(&[], now()).unwrap();
        let mut roots = rustls::RootCertStore::empty();
        for root in tls::certificates("bundle", bundle).unwrap() {
            roots.add(root).unwrap();
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .unwrap();
        let chain = tls::certificates("chain", &hub.chain_pem).unwrap();
        let name = ServerName::try_from(HUB_SERVER_NAME).unwrap();
        let at = UnixTime::since_unix_epoch(std::time::Duration::from_secs(1_790_000_000));
        verifier
            .verify_server_cert(&chain[0], &chain[1..], &name, &[], at)
            .is_ok()
    }

    #[test]
    fn e12_every_step_is_believed_by_who_missed_all_before_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let first = Authority::init(path, now()).unwrap();
        let old = first.trust_bundle().to_owned();
        let rotation = Rotation(path);
        assert!(matches!(
            rotation.finish(&[], StragglerPolicy::Allowed),
            Err(RotationError::NotBegun)
        ));
        for round in 0..3 {
            rotation.begin(now()).unwrap();
            assert!(matches!(rotation.begin(now()), Err(RotationError::Begun)));
            let between = Authority::open(path).unwrap();
            assert_ne!(between.fingerprint(), first.fingerprint());
            assert_eq!(
                tls::certificates("bundle", between.trust_bundle())
                    .unwrap()
                    .len(),
                2
            );
            assert!(believes(&old, &between), "round {round}");
            let judged = |to: &Authority| {
                judge_bundle(
                    &old,
                    to.trust_bundle(),
                    to.endorsements(),
                    now().as_second(),
                )
            };
            judged(&between).unwrap();
            assert!(matches!(
                rotation.finish(&["c1".to_owned()], StragglerPolicy::Refused),
                Err(RotationError::InUse { count: 1, .. })
            ));
            rotation
                .finish(&["c1".to_owned()], StragglerPolicy::Allowed)
                .unwrap();
            let after = Authority::open(path).unwrap();
            assert_eq!(after.fingerprint(), between.fingerprint());
            assert!(believes(&old, &after), "round {round}");
            judged(&after).unwrap();
            assert!(!after.trust_bundle().contains(old.trim()));
        }
    }

    #[test]
    fn e12_a_crash_between_any_two_files_leaves_an_authority() {
        let uri: Identity = "spiffe://flotilla/operator/a".parse().unwrap();
        // Number of files that `finish` wrote before the crash.
        for written in 0..=3 {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path();
            let old = Authority::init(path, now()).unwrap();
            Rotation(path).begin(now()).unwrap();
            let next = next(path).unwrap().unwrap();
            let steps = [
                (ENDORSEMENTS, &next.endorsement),
                ("ca.key", &next.key),
                ("ca.crt", &next.root),
            ];
            for (name, content) in steps.into_iter().take(written) {
                write_private(&path.join(name), content).unwrap();
            }
            let open = Authority::open(path).unwrap();
            open.operator(&uri, now()).unwrap();
            assert!(believes(old.trust_bundle(), &open));
            Rotation(path)
                .finish(&[], StragglerPolicy::Refused)
                .unwrap();
            let done = Authority::open(path).unwrap();
            assert_eq!(done.fingerprint(), open.fingerprint());
            assert!(believes(old.trust_bundle(), &done));
        }
    }
}

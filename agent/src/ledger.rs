//! The last accepted assignment, on disk: the agent continues with it while the hub is away, and
//! never accepts an older one.
//!
//! Written whole or not at all, and synced, before the ack is sent (V4).

use std::path::{Path, PathBuf};

use flotilla_proto::v1;
use flotilla_shared::wire::{DecodedAssignment, decode_assignment};
use prost::Message as _;

use crate::policy::unknown_features;

/// The ledger cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Reading or writing failed.
    #[error("ledger {path}: {cause}")]
    Io {
        path: PathBuf,
        cause: std::io::Error,
    },
    /// The file is damaged.
    #[error(
        "ledger {path} is damaged ({why}), and the agent does not guess what it ran: remove the \
         file to start over with the hub's next assignment"
    )]
    Damaged {
        path: PathBuf,
        /// Cause, for operators.
        why: String,
    },
    /// A newer agent wrote it and needs features that this one does not have.
    #[error(
        "ledger {path} holds an assignment that needs {needs}, which this agent does not \
         support: run the newer agent again; this one changes nothing"
    )]
    Newer {
        path: PathBuf,
        /// Missing features.
        needs: String,
    },
}

/// The ledger's file.
#[derive(Debug, Clone)]
pub struct Ledger {
    path: PathBuf,
}

impl Ledger {
    /// Uses a data directory.
    #[must_use]
    pub fn new(data_dir: &Path) -> Self {
        Self {
            path: data_dir.join("assignment"),
        }
    }

    fn error(&self) -> impl Fn(std::io::Error) -> Error + '_ {
        |cause| Error::Io {
            path: self.path.clone(),
            cause,
        }
    }

    /// Returns the last accepted assignment; none: there was none.
    ///
    /// # Errors
    /// When the file exists but is not as this agent wrote it.
    pub fn load(&self) -> Result<Option<DecodedAssignment>, Error> {
        let bytes = match std::fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.error()(error)),
        };
        self.decode(&bytes).map(Some)
    }

    fn decode(&self, bytes: &[u8]) -> Result<DecodedAssignment, Error> {
        let damaged = |why: String| Error::Damaged {
            path: self.path.clone(),
            why,
        };
        let wire = v1::Assignment::decode(bytes).map_err(|e| damaged(e.to_string()))?;
        let decoded = decode_assignment(&wire).map_err(|error| damaged(error.to_string()))?;
        let unknown: Vec<&str> = unknown_features(&decoded.assignment).collect();
        if !unknown.is_empty() {
            return Err(Error::Newer {
                path: self.path.clone(),
                needs: unknown.join(", "),
            });
        }
        Ok(decoded)
    }

    /// The newer of the assignment on this disk and a copy from elsewhere, which is then also stored
    /// on the disk: a pod that takes over on another node, or lost its disk, keeps the floor (V4,
    /// N4).
    ///
    /// # Errors
    /// When neither can be read, or the disk cannot be written.
    pub fn load_with(&self, copy: Option<&[u8]>) -> Result<Option<DecodedAssignment>, Error> {
        let Some(copy) = copy.map(|bytes| self.decode(bytes)) else {
            return self.load();
        };
        match (self.load(), copy) {
            (Ok(Some(own)), Ok(copy)) if own.reference.place() >= copy.reference.place() => {
                Ok(Some(own))
            }
            // A copy cannot repair this: it is older than the record on this disk, which a newer agent wrote.
            (Err(error @ Error::Newer { .. }), _) => Err(error),
            (_, Ok(copy)) => {
                self.store(&copy)?;
                Ok(Some(copy))
            }
            (own, Err(error)) => {
                tracing::warn!(%error, "the copy of the ledger in the cluster cannot be read");
                own
            }
        }
    }

    /// An assignment in the form in which the ledger stores it.
    #[must_use]
    pub fn encode(assignment: &DecodedAssignment) -> Vec<u8> {
        let wire = v1::Assignment {
            content: assignment.content.clone(),
            digest: assignment.reference.digest.as_bytes().to_vec(),
        };
        wire.encode_to_vec()
    }

    /// Stores an assignment exactly as it was received.
    ///
    /// # Errors
    /// When it could not be made durable; then it may not be acted on.
    pub fn store(&self, assignment: &DecodedAssignment) -> Result<(), Error> {
        let bytes = Self::encode(assignment);
        flotilla_disk::replace(&self.path, &bytes).map_err(self.error())
    }
}

#[cfg(test)]
mod tests {
    use flotilla_shared::wire::encode_assignment;

    use super::*;
    use crate::policy::samples;

    fn assignment(generation: u64) -> DecodedAssignment {
        decode_assignment(&encode_assignment(&samples::assignment(1, generation))).unwrap()
    }

    #[test]
    fn what_was_accepted_is_there_after_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        let ledger = Ledger::new(&directory.path().join("new"));
        assert!(ledger.load().unwrap().is_none());
        for generation in [1, 2] {
            ledger.store(&assignment(generation)).unwrap();
            assert_eq!(ledger.load().unwrap(), Some(assignment(generation)));
        }
    }

    #[test]
    fn n04_a_lost_disk_gets_its_floor_back_from_the_copy() {
        let directory = tempfile::tempdir().unwrap();
        let ledger = Ledger::new(directory.path());
        let copy = Ledger::encode(&assignment(5));
        assert_eq!(ledger.load_with(Some(&copy)).unwrap(), Some(assignment(5)));
        assert_eq!(ledger.load().unwrap(), Some(assignment(5)));
        ledger.store(&assignment(7)).unwrap();
        assert_eq!(ledger.load_with(Some(&copy)).unwrap(), Some(assignment(7)));
        let damaged = ledger.load_with(Some(b"nonsense")).unwrap();
        assert_eq!(damaged, Some(assignment(7)));
        assert_eq!(ledger.load_with(None).unwrap(), Some(assignment(7)));
    }

    #[test]
    fn n05_what_a_newer_agent_accepted_is_refused_and_kept() {
        let directory = tempfile::tempdir().unwrap();
        let ledger = Ledger::new(directory.path());
        let mut newer = assignment(9).assignment;
        newer.required_features = vec!["time-travel".to_owned()];
        let newer = decode_assignment(&encode_assignment(&newer)).unwrap();
        ledger.store(&newer).unwrap();
        let bytes = std::fs::read(&ledger.path).unwrap();
        let error = ledger.load().unwrap_err();
        assert!(error.to_string().contains("time-travel"), "{error}");
        // An older copy must not replace it either.
        let older = Ledger::encode(&assignment(3));
        assert!(matches!(
            ledger.load_with(Some(&older)),
            Err(Error::Newer { .. })
        ));
        assert_eq!(std::fs::read(&ledger.path).unwrap(), bytes);
    }

    #[test]
    fn n01_damage_and_a_crash_in_mid_write_are_noticed_or_harmless() {
        let directory = tempfile::tempdir().unwrap();
        let ledger = Ledger::new(directory.path());
        ledger.store(&assignment(1)).unwrap();
        std::fs::write(ledger.path.with_extension("tmp"), "half a file").unwrap();
        assert_eq!(ledger.load().unwrap(), Some(assignment(1)));
        let mut bytes = std::fs::read(&ledger.path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0xff;
        std::fs::write(&ledger.path, bytes).unwrap();
        assert!(matches!(ledger.load(), Err(Error::Damaged { .. })));
    }
}

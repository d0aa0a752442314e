//! Checkpoints of a hub's audit log: its length and last hash. They are kept beside the context file, apart from the
//! hub, so that an operator who verified the log before notices when its end was removed, or when it was rewritten.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::Error;

/// Largest file that is read, bytes.
const MAX_BYTES: u64 = 1 << 20;

/// A place in a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Checkpoint {
    /// Entries up to it.
    pub(crate) entries: u64,
    /// The hash of the last of them.
    pub(crate) last_hash: String,
    /// When it was seen.
    pub(crate) seen_at: String,
}

/// Checkpoints by hub.
#[derive(Debug, Default)]
pub(crate) struct Checkpoints {
    path: PathBuf,
    known: BTreeMap<String, Checkpoint>,
}

impl Checkpoints {
    /// Reads those beside a context file; a missing file is an empty list.
    pub(crate) fn beside(contexts: &Path) -> Result<Self, Error> {
        let mut name = contexts.file_name().unwrap_or_default().to_owned();
        name.push(".audit.json");
        let path = contexts.with_file_name(name);
        let error = |cause| Error::File {
            path: path.clone(),
            cause,
        };
        match std::fs::metadata(&path) {
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self {
                    path,
                    known: BTreeMap::new(),
                });
            }
            Err(cause) => return Err(error(cause)),
            Ok(file) if file.len() > MAX_BYTES => {
                let cause = std::io::Error::other("it is too long for what it should hold");
                return Err(error(cause));
            }
            Ok(_) => {}
        }
        let text = std::fs::read(&path).map_err(error)?;
        let known = serde_json::from_slice(&text)
            .map_err(|cause| error(std::io::Error::other(cause.to_string())))?;
        Ok(Self { path, known })
    }

    /// Returns the checkpoint of a hub.
    pub(crate) fn of(&self, hub: &str) -> Option<&Checkpoint> {
        self.known.get(hub)
    }

    /// Stores a checkpoint.
    pub(crate) fn keep(&mut self, hub: &str, checkpoint: Checkpoint) -> Result<(), Error> {
        self.known.insert(hub.to_owned(), checkpoint);
        let text = serde_json::to_vec_pretty(&self.known)?;
        flotilla_disk::replace(&self.path, &text).map_err(|cause| Error::File {
            path: self.path.clone(),
            cause,
        })
    }
}

/// Difference of a log from its checkpoint.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Mismatch {
    /// It is shorter.
    Cut,
    /// Another entry is at the checkpoint.
    Rewritten,
}

/// Compares a log with its checkpoint. `hash_there` is the hash of the entry at the checkpoint, if it exists.
pub(crate) fn compare(
    known: &Checkpoint,
    entries: u64,
    hash_there: Option<&str>,
) -> Option<Mismatch> {
    if entries < known.entries {
        return Some(Mismatch::Cut);
    }
    match hash_there {
        Some(hash) if hash == known.last_hash => None,
        _ => Some(Mismatch::Rewritten),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkpoint(entries: u64, hash: &str) -> Checkpoint {
        Checkpoint {
            entries,
            last_hash: hash.to_owned(),
            seen_at: "2026-11-01T00:00:00Z".to_owned(),
        }
    }

    #[test]
    fn s13_a_cut_end_and_a_chain_made_anew_are_found() {
        let known = checkpoint(7, "abc");
        assert_eq!(compare(&known, 7, Some("abc")), None);
        assert_eq!(compare(&known, 70, Some("abc")), None);
        assert_eq!(compare(&known, 6, None), Some(Mismatch::Cut));
        assert_eq!(compare(&known, 0, None), Some(Mismatch::Cut));
        assert_eq!(compare(&known, 7, Some("abd")), Some(Mismatch::Rewritten));
        assert_eq!(compare(&known, 9, None), Some(Mismatch::Rewritten));
    }

    #[test]
    fn s13_what_was_seen_is_remembered_for_each_hub() {
        let directory = tempfile::tempdir().unwrap();
        let contexts = directory.path().join("config.yaml");
        let mut all = Checkpoints::beside(&contexts).unwrap();
        assert_eq!(all.of("a:1"), None);
        all.keep("a:1", checkpoint(3, "x")).unwrap();
        all.keep("b:1", checkpoint(4, "y")).unwrap();
        let again = Checkpoints::beside(&contexts).unwrap();
        assert_eq!(again.of("a:1"), Some(&checkpoint(3, "x")));
        assert_eq!(again.of("b:1"), Some(&checkpoint(4, "y")));
        std::fs::write(directory.path().join("config.yaml.audit.json"), "{").unwrap();
        assert!(
            Checkpoints::beside(&contexts).is_err(),
            "no silent beginning anew"
        );
    }
}

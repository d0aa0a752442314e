//! Files encrypted with SOPS: decrypted in memory before rendering, so that generators and patches
//! see the plain content and each file's MAC covers the file as it is in Git.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use flotilla_git::{Blob, TreeEntry};
use flotilla_shared::reason::Reason;
use flotilla_sops::{Format, Identity, decrypt, is_encrypted};

use crate::policy::Refusal;

/// Largest key file, bytes.
const MAX_KEYS: u64 = 1 << 20;

/// The age keys cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeysError {
    /// No file or directory of keys is configured, or it holds none.
    #[error("the agent has no age key (--sops-age-keys)")]
    Missing,
    #[error("{}: {cause}", .path.display())]
    Unread {
        path: PathBuf,
        cause: std::io::Error,
    },
    #[error("{} is too long for a key file", .0.display())]
    TooLong(PathBuf),
    #[error("{}: {cause}", .path.display())]
    Malformed {
        path: PathBuf,
        cause: flotilla_sops::Error,
    },
}

/// Files that could not be decrypted, and why. They matter only if a render reads them: a repository
/// may hold files for other clusters.
#[derive(Debug, Default)]
pub(crate) struct UndecryptedFiles {
    why: BTreeMap<String, String>,
    opened: BTreeSet<String>,
}

impl UndecryptedFiles {
    /// Why a render that read these files is not used.
    pub(crate) fn read_by<'f>(
        &self,
        files: impl IntoIterator<Item = &'f String>,
    ) -> Option<Refusal> {
        let mut read = files.into_iter();
        let (path, why) = read.find_map(|path| self.why.get_key_value(path))?;
        let message = format!("{path} is encrypted with SOPS and cannot be decrypted: {why}");
        Some(Refusal::new(Reason::DecryptionFailed, message))
    }

    /// The files that were decrypted: no message may contain a value of them.
    pub(crate) fn opened(&self) -> &BTreeSet<String> {
        &self.opened
    }
}

/// Decrypts all encrypted files. The keys are read at each use, so that a rotated Secret needs no restart.
pub(crate) fn open_all(entries: &mut [TreeEntry], keys: Option<&Path>) -> UndecryptedFiles {
    let mut closed = UndecryptedFiles::default();
    let mut identities: Option<Result<Vec<Identity>, KeysError>> = None;
    for entry in entries {
        let Blob::File(content) = &mut entry.blob else {
            continue;
        };
        if !is_encrypted(content) {
            continue;
        }
        let identities = identities.get_or_insert_with(|| read_keys(keys));
        let format = Format::of(&entry.path, content);
        let opened = match identities {
            Ok(identities) => {
                decrypt(content, identities, format).map_err(|error| error.to_string())
            }
            Err(why) => Err(why.to_string()),
        };
        match opened {
            Ok(plain) => {
                *content = plain.to_vec();
                closed.opened.insert(entry.path.clone());
            }
            Err(why) => {
                closed.why.insert(entry.path.clone(), why);
            }
        }
    }
    closed
}

/// How many age keys there are.
pub(crate) fn count_keys(path: &Path) -> Result<usize, KeysError> {
    read_keys(Some(path)).map(|keys| keys.len())
}

fn read_keys(path: Option<&Path>) -> Result<Vec<Identity>, KeysError> {
    let path = path.ok_or(KeysError::Missing)?;
    let unread = |path: &Path, cause| KeysError::Unread {
        path: path.to_owned(),
        cause,
    };
    let fail = |cause| unread(path, cause);
    let mut files = Vec::new();
    if path.is_dir() {
        for entry in std::fs::read_dir(path).map_err(fail)? {
            let file = entry.map_err(fail)?.path();
            // A mounted Secret keeps its versions in hidden directories.
            let name = file.file_name().and_then(|name| name.to_str());
            if name.is_some_and(|name| !name.starts_with('.')) && file.is_file() {
                files.push(file);
            }
        }
        files.sort();
    } else {
        files.push(path.to_owned());
    }
    let mut identities = Vec::new();
    for file in files {
        let fail = |cause| unread(&file, cause);
        if std::fs::metadata(&file).map_err(fail)?.len() > MAX_KEYS {
            return Err(KeysError::TooLong(file));
        }
        let text = std::fs::read_to_string(&file).map_err(fail)?;
        match Identity::read_all(&text) {
            Ok(keys) => identities.extend(keys),
            Err(cause) => return Err(KeysError::Malformed { path: file, cause }),
        }
    }
    if identities.is_empty() {
        return Err(KeysError::Missing);
    }
    Ok(identities)
}

//! Reading a commit's tree: bounded names, kinds and bounded blobs.

use flotilla_shared::revision::Commit;
use gix::ObjectId;
use gix::objs::tree::EntryKind;

use crate::error::{TOO_LARGE, one_line};
use crate::fetch::object_id;
use crate::packs::PackCheck;
use crate::{Error, Remote};

/// Longest path, bytes: Linux's `PATH_MAX`, and what `git fsck` calls a large path name. A tree may
/// hold a name of any length, and each entry below it repeats that name.
pub(crate) const MAX_PATH: usize = 4096;

/// One entry of a tree that is not itself a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeEntry {
    /// Path from the root, slash-separated.
    pub path: String,
    /// Object id of the blob (or commit, for a submodule), hexadecimal.
    pub id: String,
    /// Content of the entry.
    pub blob: Blob,
}

/// Content of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Blob {
    /// A file's content.
    File(Vec<u8>),
    /// A link's target.
    Symlink(String),
    /// A commit of another repository (Git's mode 160000), which is never fetched.
    Submodule,
    /// A file over the limit, by its size.
    TooLarge(u64),
}

impl Remote {
    /// Reads the commit's tree; blobs of files for which `selects` says no are left out entirely.
    ///
    /// # Errors
    /// When the commit is not in the cache, an object is damaged, or a limit is reached.
    pub fn read_tree(
        &self,
        commit: &Commit,
        selects: impl Fn(&str) -> bool,
    ) -> Result<Vec<TreeEntry>, Error> {
        let missing = || self.missing(commit);
        let id = object_id(commit).ok_or_else(missing)?;
        let object = self.repository.find_object(id).map_err(|_| missing())?;
        let commit = object
            .try_into_commit()
            .map_err(|error| self.corrupt(error))?;
        let root = commit
            .tree_id()
            .map_err(|error| self.corrupt(error))?
            .detach();
        let mut reader = Reader {
            remote: self,
            entries: Vec::new(),
            seen: 0,
            bytes: 0,
        };
        reader.directory(root, "", 0, &selects)?;
        Ok(reader.entries)
    }

    /// Returns why an object cannot be read: it may also be too large for memory.
    pub(crate) fn unreadable(&self, error: &gix::Error, limit: u64) -> Error {
        if error.is_resource_exhausted() {
            // A damaged object causes the same error.
            let damage = self.damage(PackCheck::Cached);
            return damage.unwrap_or_else(|| self.over(TOO_LARGE, limit));
        }
        self.corrupt(error)
    }

    /// Returns the error of a corrupt object: damage of the local disk, or else of the repository.
    pub(crate) fn corrupt(&self, error: impl std::fmt::Debug) -> Error {
        let damage = self.damage(PackCheck::Full);
        damage.unwrap_or_else(|| Error::Corrupt {
            url: self.url.clone(),
            cause: one_line(&format!("{error:?}")),
        })
    }
}

struct Reader<'r> {
    remote: &'r Remote,
    entries: Vec<TreeEntry>,
    seen: u64,
    bytes: u64,
}

impl Reader<'_> {
    fn directory(
        &mut self,
        id: ObjectId,
        path: &str,
        depth: usize,
        selects: &impl Fn(&str) -> bool,
    ) -> Result<(), Error> {
        let limits = &self.remote.limits;
        if depth > limits.tree_depth {
            return Err(self
                .remote
                .over("levels of directories", limits.tree_depth as u64));
        }
        let repository = &self.remote.repository;
        let object = repository
            .find_object(id)
            .map_err(|error| self.unreadable(&error))?;
        // All directories down to this one are in memory at once.
        let held = object.data.len() as u64;
        self.count(held)?;
        let tree = object
            .try_into_tree()
            .map_err(|error| self.remote.corrupt(error))?;
        for entry in tree.iter() {
            let entry = entry.map_err(|error| self.remote.corrupt(error))?;
            self.seen += 1;
            if self.seen > limits.tree_entries {
                return Err(self.remote.over("entries in one tree", limits.tree_entries));
            }
            let name = std::str::from_utf8(entry.filename()).map_err(|_| Error::Corrupt {
                url: self.remote.url.clone(),
                cause: format!("a name in {path:?} is not valid UTF-8"),
            })?;
            if path.len() + name.len() >= MAX_PATH {
                return Err(self.remote.over("bytes in one path", MAX_PATH as u64));
            }
            let child = if path.is_empty() {
                name.to_owned()
            } else {
                format!("{path}/{name}")
            };
            self.count(child.len() as u64)?;
            let id = entry.object_id();
            match entry.mode().kind() {
                EntryKind::Tree => self.directory(id, &child, depth + 1, selects)?,
                EntryKind::Commit => self.push(child, id, Blob::Submodule),
                EntryKind::Link => {
                    let target = self.blob(id, 4096)?;
                    let blob = match target {
                        Blob::File(target) => Blob::Symlink(
                            String::from_utf8(target).unwrap_or_else(|_| "\u{fffd}".to_owned()),
                        ),
                        _ => Blob::Symlink("/".to_owned()),
                    };
                    self.push(child, id, blob);
                }
                EntryKind::Blob | EntryKind::BlobExecutable => {
                    if selects(&child) {
                        let blob = self.blob(id, limits.blob_bytes)?;
                        self.push(child, id, blob);
                    }
                }
            }
        }
        self.bytes -= held;
        Ok(())
    }

    fn unreadable(&self, error: &gix::Error) -> Error {
        self.remote
            .unreadable(error, self.remote.limits.object_bytes)
    }

    /// Counts bytes of the tree; paths count like blobs.
    fn count(&mut self, bytes: u64) -> Result<(), Error> {
        self.bytes += bytes;
        if self.bytes > self.remote.limits.tree_bytes {
            return Err(self
                .remote
                .over("bytes in one tree", self.remote.limits.tree_bytes));
        }
        Ok(())
    }

    fn push(&mut self, path: String, id: ObjectId, blob: Blob) {
        self.entries.push(TreeEntry {
            path,
            id: id.to_string(),
            blob,
        });
    }

    /// Returns a blob's content, or its size if that is over `limit`. The header is read first, so that nothing large
    /// is unpacked.
    fn blob(&mut self, id: ObjectId, limit: u64) -> Result<Blob, Error> {
        let repository = &self.remote.repository;
        let header = repository
            .find_header(id)
            .map_err(|error| self.unreadable(&error))?;
        if header.size() > limit {
            return Ok(Blob::TooLarge(header.size()));
        }
        self.count(header.size())?;
        let mut object = repository
            .find_object(id)
            .map_err(|error| self.unreadable(&error))?;
        Ok(Blob::File(std::mem::take(&mut object.data)))
    }
}

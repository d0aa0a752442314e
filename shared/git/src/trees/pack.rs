//! Reads a commit's directories from a server's pack, of which the server chose every byte.

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use flotilla_shared::heading::Heading;
use flotilla_shared::source::{Directories, ROOT, TreeId};
use gix::ObjectId;
use gix::objs::{CommitRef, Kind, TreeRefIter};
use gix::odb::pack::data::{self, decode::entry::ResolvedBase};

use super::TreeLimits;
use crate::tree::MAX_PATH;
use crate::{Error, Remote};

/// The direct subdirectories of a directory, with their trees.
type Children = Vec<(Box<str>, ObjectId)>;

/// A pack's commits and trees.
#[derive(Default)]
pub(super) struct Unpacked {
    /// The root tree and the heading of each commit.
    commits: BTreeMap<ObjectId, (ObjectId, Heading)>,
    trees: HashMap<ObjectId, Children>,
    /// The parents of each commit.
    parents: HashMap<ObjectId, Vec<ObjectId>>,
}

impl Unpacked {
    pub(super) fn read(
        remote: &Remote,
        pack: Vec<u8>,
        limits: &TreeLimits,
        deadline: Instant,
    ) -> Result<Self, Error> {
        let corrupt = |error: &dyn std::fmt::Debug| remote.corrupt(error);
        let size = pack.len() as u64;
        let file = data::File::from_data(pack, "trees.pack".into(), gix::hash::Kind::Sha1)
            .map_err(|error| corrupt(&error))?
            .with_alloc_limit_bytes(Some(limits.object_bytes));
        if file.num_objects() > limits.objects {
            return Err(remote.over("objects in a pack of directories", limits.objects.into()));
        }
        let mut unpacked = Self::default();
        let mut offsets: HashMap<ObjectId, u64> = HashMap::new();
        let mut inflate = gix::zlib::Inflate::default();
        let mut cache = gix::odb::pack::cache::lru::MemoryCappedHashmap::new(8 << 20);
        let mut content = Vec::new();
        let (mut offset, mut bytes, mut known) = (data::header::SIZE as u64, 0u64, 0usize);
        for _ in 0..file.num_objects() {
            if Instant::now() > deadline {
                return Err(remote.out_of_time());
            }
            // The pack ends with its checksum, after the last object.
            if offset + 20 >= size {
                return Err(corrupt(&"the pack is truncated"));
            }
            let entry = file.entry(offset).map_err(|error| corrupt(&error))?;
            if matches!(entry.header, data::entry::Header::Blob) {
                return Err(corrupt(
                    &"the server sent files, though it was asked for directories only",
                ));
            }
            let base = |id: &gix::hash::oid, _: &mut Vec<u8>| match offsets.get(id) {
                Some(offset) => Ok(Some(ResolvedBase::InPack(file.entry(*offset)?))),
                None => Ok(None),
            };
            let start = entry.data_offset;
            let outcome = file
                .decode_entry(entry, &mut content, &mut inflate, &base, &mut cache)
                .map_err(|error| remote.unreadable(&error, limits.object_bytes as u64))?;
            bytes += outcome.object_size;
            if bytes > limits.bytes {
                return Err(remote.over("bytes of directories", limits.bytes));
            }
            let id = gix::objs::compute_hash(gix::hash::Kind::Sha1, outcome.kind, &content)
                .map_err(|error| corrupt(&error))?;
            offsets.insert(id, offset);
            offset = start + outcome.compressed_size as u64;
            match outcome.kind {
                Kind::Commit => {
                    let commit = CommitRef::from_bytes(&content, gix::hash::Kind::Sha1)
                        .map_err(|error| corrupt(&error))?;
                    let told = (commit.tree(), heading(&commit));
                    unpacked.parents.insert(id, commit.parents().collect());
                    unpacked.commits.insert(id, told);
                }
                Kind::Tree => {
                    let children = children(remote, &content)?;
                    // Each is in at least one place, so the limit of places also bounds the children of all trees.
                    known += children.len();
                    if known > limits.directories {
                        return Err(remote.too_many(limits));
                    }
                    unpacked.trees.insert(id, children);
                }
                Kind::Blob | Kind::Tag => {
                    return Err(corrupt(&"the server sent a non-directory object"));
                }
            }
        }
        Ok(unpacked)
    }

    fn commit(&self, remote: &Remote, commit: ObjectId) -> Result<&(ObjectId, Heading), Error> {
        let found = self.commits.get(&commit);
        found.ok_or_else(|| remote.corrupt("the server sent a different commit than requested"))
    }

    /// The parents of each commit.
    pub(super) fn parents(self) -> HashMap<ObjectId, Vec<ObjectId>> {
        self.parents
    }

    /// Returns the heading of a commit.
    pub(super) fn heading(&self, remote: &Remote, commit: ObjectId) -> Result<Heading, Error> {
        let (_, heading) = self.commit(remote, commit)?;
        Ok(heading.clone())
    }

    /// Walks the tree from its root.
    pub(super) fn directories(
        &self,
        remote: &Remote,
        commit: ObjectId,
        limits: &TreeLimits,
    ) -> Result<Directories, Error> {
        let (root, _) = self.commit(remote, commit)?;
        let mut found: Vec<(String, TreeId)> = Vec::new();
        let mut waiting = vec![(ROOT.to_owned(), *root, 0)];
        while let Some((path, id, depth)) = waiting.pop() {
            if found.len() >= limits.directories {
                return Err(remote.too_many(limits));
            }
            let deepest = remote.limits.tree_depth;
            if depth > deepest {
                return Err(remote.over("levels of directories", deepest as u64));
            }
            let children = self
                .trees
                .get(&id)
                .ok_or_else(|| remote.corrupt(format!("the tree of {path:?} is missing")))?;
            for (name, child) in children {
                if path.len() + name.len() >= MAX_PATH {
                    return Err(remote.over("bytes in one path", MAX_PATH as u64));
                }
                let child_path = match path.as_str() {
                    ROOT => name.to_string(),
                    parent => format!("{parent}/{name}"),
                };
                waiting.push((child_path, *child, depth + 1));
            }
            // SHA-1, as negotiated.
            let id: TreeId = id
                .as_slice()
                .try_into()
                .map_err(|error| remote.corrupt(error))?;
            found.push((path, id));
        }
        Ok(Directories::new(found))
    }
}

/// Reads the heading; an author that cannot be read counts as none, since the commit is valid without.
fn heading(commit: &CommitRef<'_>) -> Heading {
    let author = commit.author().ok();
    let seconds = author.as_ref().map_or(0, gix::actor::SignatureRef::seconds);
    let author = author.map_or(&[][..], |author| author.name);
    Heading::new(commit.message, author, seconds)
}

fn children(remote: &Remote, tree: &[u8]) -> Result<Children, Error> {
    let mut children: Children = Vec::new();
    for entry in TreeRefIter::from_bytes(tree, gix::hash::Kind::Sha1) {
        let entry = entry.map_err(|error| remote.corrupt(format!("{error:?}")))?;
        if !entry.mode.is_tree() {
            continue;
        }
        let name = std::str::from_utf8(entry.filename)
            .map_err(|_| remote.corrupt("a directory's name is not valid UTF-8"))?;
        if matches!(name, "" | "." | "..") || name.contains('/') {
            return Err(remote.corrupt(format!("a directory is called {name:?}")));
        }
        children.push((name.into(), entry.oid.to_owned()));
    }
    // Git never makes a tree with duplicate names. Here only one of the two would be found, while an agent reads both.
    let mut names: Vec<&str> = children.iter().map(|(name, _)| &**name).collect();
    names.sort_unstable();
    if let Some(pair) = names.windows(2).find(|pair| pair.first() == pair.last()) {
        let what = format!("two directories are called {:?}", pair.first());
        return Err(remote.corrupt(what));
    }
    Ok(children)
}

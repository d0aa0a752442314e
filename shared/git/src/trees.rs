//! A commit's directories without its files: what has one and the same tree in two commits is the same in
//! both, and to know that nobody has to read a single manifest.
//!
//! Asked with `filter blob:none` (git's protocol-v2, section fetch; partial-clone). A server that does not
//! offer that is not asked: files have no business here. What comes is judged in memory and forgotten;
//! every id is computed here, so that a server cannot pass one tree off as another.

use std::collections::{BTreeMap, HashMap};
use std::io::Read;
use std::time::Instant;

use flotilla_shared::revision::Commit;
use flotilla_shared::source::{Directories, ROOT, TreeId};
use gix::ObjectId;
use gix::objs::{CommitRef, Kind, TreeRefIter};
use gix::odb::pack::data::{self, decode::entry::ResolvedBase};
use gix::protocol::fetch::{Arguments, Response};
use gix::protocol::transport::{Protocol, Service};

use crate::fetch::object_id;
use crate::{Error, Remote};

/// What the directories of one commit may cost.
#[derive(Debug, Clone)]
pub struct TreeLimits {
    /// Bytes of the pack.
    pub pack_bytes: u64,
    /// Objects in it.
    pub objects: u32,
    /// Bytes of one object, and of what it takes to unpack it.
    pub object_bytes: usize,
    /// Bytes of all objects, unpacked.
    pub bytes: u64,
    /// Directories; one that is in two places counts twice.
    pub directories: usize,
}

impl Default for TreeLimits {
    fn default() -> Self {
        Self {
            pack_bytes: 32 << 20,
            objects: 40_000,
            object_bytes: 16 << 20,
            bytes: 128 << 20,
            directories: 20_000,
        }
    }
}

/// The directories right below one, with their trees.
type Children = Vec<(Box<str>, ObjectId)>;

impl Remote {
    /// The directories of a commit with their trees' ids. Nothing is kept on disk, and no file comes here.
    ///
    /// # Errors
    /// [`Error::FilterUnsupported`] where the server would send files, too; otherwise when it cannot be
    /// asked, does not have the commit, or answers with something else or over a limit.
    pub fn directories(&self, commit: &Commit, limits: &TreeLimits) -> Result<Directories, Error> {
        let deadline = Instant::now() + self.limits.timeout;
        let wanted = object_id(commit).ok_or_else(|| Error::ObjectFormat {
            url: self.url.clone(),
        })?;
        let pack = self.receive_trees(wanted, limits, deadline)?;
        let unpacked = Unpacked::read(self, pack, limits, deadline)?;
        unpacked.directories(self, wanted, limits)
    }

    fn receive_trees(
        &self,
        wanted: ObjectId,
        limits: &TreeLimits,
        deadline: Instant,
    ) -> Result<Vec<u8>, Error> {
        let remote = self.remote(std::iter::empty())?;
        let (mut connection, said) = self.connect(&remote)?;
        let received = self.exchange(connection.transport_mut(), wanted, limits, deadline);
        // Over SSH the program tells its reason once it is gone.
        drop(connection);
        received.map_err(|error| match error {
            Failure::Ours(error) => error,
            Failure::Theirs(error) => self.failed(said.as_ref(), error),
        })
    }

    fn exchange(
        &self,
        transport: &mut Transport,
        wanted: ObjectId,
        limits: &TreeLimits,
        deadline: Instant,
    ) -> Result<Vec<u8>, Failure> {
        let unsupported = || {
            Failure::Ours(Error::FilterUnsupported {
                url: self.url.clone(),
            })
        };
        if let Some(options) = self.http_options() {
            use gix::protocol::transport::client::TransportWithoutIO as _;
            let configured = transport.configure(&options);
            configured.map_err(|error| Failure::Theirs(format!("{error:?}")))?;
        }
        let handshake = gix::protocol::handshake(
            &mut *transport,
            Service::UploadPack,
            self.credentials(),
            Vec::new(),
            &mut gix::progress::Discard,
        );
        let handshake = handshake.map_err(|error| Failure::Theirs(format!("{error:?}")))?;
        if handshake.server_protocol_version != Protocol::V2 {
            return Err(unsupported());
        }
        let offered =
            gix::protocol::Command::Fetch.default_features(Protocol::V2, &handshake.capabilities);
        let is_sha1 = |format: &Option<String>| format.as_deref().is_none_or(|f| f == "sha1");
        if let Some((_, format)) = offered.iter().find(|(name, _)| *name == "object-format")
            && !is_sha1(format)
        {
            let url = self.url.clone();
            return Err(Failure::Ours(Error::ObjectFormat { url }));
        }
        // Nothing else: each of the others changes how the answer is to be read.
        let needed = ["filter", "shallow", "object-format"];
        let features: Vec<_> = offered
            .into_iter()
            .filter(|(name, _)| needed.contains(name))
            .collect();
        let mut arguments = Arguments::new(Protocol::V2, features, false);
        if !arguments.can_use_filter() || !arguments.can_use_shallow() {
            return Err(unsupported());
        }
        arguments.filter("blob:none");
        arguments.deepen(1);
        arguments.want(wanted);
        let theirs = |error: &dyn std::fmt::Debug| Failure::Theirs(format!("{error:?}"));
        let mut reader = arguments
            .send(transport, true)
            .map_err(|error| theirs(&error))?;
        let response = Response::from_line_reader(Protocol::V2, &mut reader, true, false)
            .map_err(|error| theirs(&error))?;
        if !response.has_pack() {
            return Err(Failure::Theirs("the answer has no pack".to_owned()));
        }
        // Parts the pack from what the server says beside it, which nobody reads.
        reader.set_progress_handler(Some(Box::new(|_, _| std::ops::ControlFlow::Continue(()))));
        let mut pack = Vec::new();
        let mut part = vec![0; 1 << 16];
        loop {
            if Instant::now() > deadline {
                return Err(Failure::Ours(self.out_of_time()));
            }
            match reader.read(&mut part).map_err(|error| theirs(&error))? {
                0 => return Ok(pack),
                count => pack.extend_from_slice(part.get(..count).unwrap_or_default()),
            }
            if pack.len() as u64 > limits.pack_bytes {
                return Err(Failure::Ours(
                    self.over("bytes of a pack of directories", limits.pack_bytes),
                ));
            }
        }
    }

    fn over(&self, what: &'static str, limit: u64) -> Error {
        Error::Limit {
            url: self.url.clone(),
            what,
            limit,
        }
    }

    fn too_many(&self, limits: &TreeLimits) -> Error {
        self.over("directories in one commit", limits.directories as u64)
    }

    fn out_of_time(&self) -> Error {
        self.over(
            "seconds for the directories of a commit",
            self.limits.timeout.as_secs(),
        )
    }
}

type Transport = Box<dyn gix::protocol::transport::client::blocking_io::Transport + Send>;

enum Failure {
    /// Ours to tell.
    Ours(Error),
    /// What the transport said.
    Theirs(String),
}

/// A pack's commits and trees.
#[derive(Default)]
struct Unpacked {
    commits: BTreeMap<ObjectId, ObjectId>,
    trees: HashMap<ObjectId, Children>,
}

impl Unpacked {
    fn read(
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
            // Beyond it is the checksum only.
            if offset + 20 >= size {
                return Err(corrupt(&"the pack ends in its middle"));
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
                .map_err(|error| corrupt(&error))?;
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
                    unpacked.commits.insert(id, commit.tree());
                }
                Kind::Tree => {
                    let children = children(&content).map_err(|error| remote.corrupt(error))?;
                    // Each is in at least one place, so that they cannot be more than the places.
                    known += children.len();
                    if known > limits.directories {
                        return Err(remote.too_many(limits));
                    }
                    unpacked.trees.insert(id, children);
                }
                Kind::Blob | Kind::Tag => {
                    return Err(corrupt(&"the server sent something that is no directory"));
                }
            }
        }
        Ok(unpacked)
    }

    /// Walks the tree from its root.
    fn directories(
        &self,
        remote: &Remote,
        commit: ObjectId,
        limits: &TreeLimits,
    ) -> Result<Directories, Error> {
        let root = self.commits.get(&commit).ok_or_else(|| {
            remote.corrupt("the server sent another commit than the one asked for")
        })?;
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
                let child_path = match path.as_str() {
                    ROOT => name.to_string(),
                    parent => format!("{parent}/{name}"),
                };
                waiting.push((child_path, *child, depth + 1));
            }
            // SHA-1 by the format that was agreed on.
            let id: TreeId = id
                .as_slice()
                .try_into()
                .map_err(|error| remote.corrupt(error))?;
            found.push((path, id));
        }
        Ok(Directories::new(found))
    }
}

fn children(tree: &[u8]) -> Result<Children, String> {
    let mut children = Vec::new();
    for entry in TreeRefIter::from_bytes(tree, gix::hash::Kind::Sha1) {
        let entry = entry.map_err(|error| format!("{error:?}"))?;
        if !entry.mode.is_tree() {
            continue;
        }
        let name = std::str::from_utf8(entry.filename)
            .map_err(|_| "a directory's name is not valid UTF-8".to_owned())?;
        if matches!(name, "" | "." | "..") || name.contains('/') {
            return Err(format!("a directory is called {name:?}"));
        }
        children.push((name.into(), entry.oid.to_owned()));
    }
    Ok(children)
}

//! A commit's directories without its files: a directory with the same tree in two commits has the same content in
//! both, so no manifest has to be read to know that.
//!
//! They are fetched with `filter blob:none` (git's protocol-v2, section fetch; partial-clone). A server that does not
//! offer it is not asked, since it would send files. The answer is checked in memory and not kept; every id is computed
//! here, so that a server cannot pass one tree off as another.

mod commits;
mod heading;
mod pack;

use std::io::Read;
use std::time::Instant;

use flotilla_shared::revision::Commit;
use flotilla_shared::source::Directories;
use gix::ObjectId;
use gix::protocol::fetch::{Arguments, Response};
use gix::protocol::transport::client::git::{ConnectMode, blocking_io::Connection};
use gix::protocol::transport::{Protocol, Service};

use pack::Unpacked;

use crate::fetch::object_id;
use crate::ssh::ErrorOutput;
use crate::{Error, Remote};

/// Limits for the directories of one commit.
#[derive(Debug, Clone)]
pub struct TreeLimits {
    /// Bytes of the pack.
    pub pack_bytes: u64,
    /// Objects in it.
    pub objects: u32,
    /// Bytes of one object, and of what is needed to unpack it.
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

impl Remote {
    /// Returns the directories of a commit with their trees' ids. Nothing is kept on disk, and no files are fetched.
    ///
    /// # Errors
    /// [`Error::FilterUnsupported`] if the server would also send files; otherwise when it cannot be reached, lacks the
    /// commit, or sends anything else or more than a limit.
    pub fn directories(&self, commit: &Commit, limits: &TreeLimits) -> Result<Directories, Error> {
        self.directories_over(commit, limits, |requested, deadline| {
            let request = FetchRequest::one(&requested, ObjectFilter::Directories);
            self.receive_trees(&request, limits, deadline)
        })
    }

    /// Like [`Remote::directories`], but reads the server's answer from `answer` without a connection, for tests of
    /// hostile answers.
    ///
    /// # Errors
    /// As there.
    pub fn directories_said(
        &self,
        commit: &Commit,
        limits: &TreeLimits,
        answer: Vec<u8>,
    ) -> Result<Directories, Error> {
        self.directories_over(commit, limits, |requested, deadline| {
            let mut transport: Transport = Box::new(Connection::new(
                std::io::Cursor::new(answer),
                std::io::sink(),
                Protocol::V2,
                "/",
                None::<(String, Option<u16>)>,
                ConnectMode::Process,
                false,
            ));
            let ask = FetchRequest::one(&requested, ObjectFilter::Directories);
            self.exchange(&mut transport, &ask, limits, deadline)
                .map_err(|error| self.told(None, error))
        })
    }

    fn directories_over(
        &self,
        commit: &Commit,
        limits: &TreeLimits,
        receive: impl FnOnce(ObjectId, Instant) -> Result<Vec<u8>, Error>,
    ) -> Result<Directories, Error> {
        let (unpacked, requested) = self.unpacked(commit, limits, receive)?;
        unpacked.directories(self, requested, limits)
    }

    fn unpacked(
        &self,
        commit: &Commit,
        limits: &TreeLimits,
        receive: impl FnOnce(ObjectId, Instant) -> Result<Vec<u8>, Error>,
    ) -> Result<(Unpacked, ObjectId), Error> {
        let deadline = Instant::now() + self.limits.timeout;
        let requested = object_id(commit).ok_or_else(|| Error::ObjectFormat {
            url: self.url.clone(),
        })?;
        let pack = receive(requested, deadline)?;
        Ok((Unpacked::read(self, pack, limits, deadline)?, requested))
    }

    fn receive_trees(
        &self,
        ask: &FetchRequest<'_>,
        limits: &TreeLimits,
        deadline: Instant,
    ) -> Result<Vec<u8>, Error> {
        let remote = self.remote(std::iter::empty())?;
        let (mut connection, output) = self.connect(&remote)?;
        let received = self.exchange(connection.transport_mut(), ask, limits, deadline);
        // Over SSH the program's error output is complete only after the connection was dropped.
        drop(connection);
        received.map_err(|error| self.told(output.as_ref(), error))
    }

    fn told(&self, output: Option<&ErrorOutput>, failure: Failure) -> Error {
        match failure {
            Failure::Ours(error) => error,
            Failure::Theirs(error) => self.failed(output, error),
        }
    }

    fn exchange(
        &self,
        transport: &mut Transport,
        ask: &FetchRequest<'_>,
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
        // No other features: each of them changes how the answer has to be read.
        let needed = ["filter", "shallow", "object-format"];
        let features: Vec<_> = offered
            .into_iter()
            .filter(|(name, _)| needed.contains(name))
            .collect();
        let mut arguments = Arguments::new(Protocol::V2, features, false);
        if !arguments.can_use_filter() || !arguments.can_use_shallow() {
            return Err(unsupported());
        }
        arguments.filter(ask.only.filter());
        arguments.deepen(ask.depth);
        for requested in ask.requested {
            arguments.want(requested);
        }
        let theirs = |error: &dyn std::fmt::Debug| Failure::Theirs(format!("{error:?}"));
        let mut reader = arguments
            .send(transport, true)
            .map_err(|error| theirs(&error))?;
        let response = Response::from_line_reader(Protocol::V2, &mut reader, true, false)
            .map_err(|error| theirs(&error))?;
        if !response.has_pack() {
            return Err(Failure::Theirs("the answer has no pack".to_owned()));
        }
        // Separates the pack from the server's progress messages, which are dropped.
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

/// A request to a server.
#[derive(Debug, Clone, Copy)]
struct FetchRequest<'a> {
    requested: &'a [ObjectId],
    only: ObjectFilter,
    /// Number of generations to send, the commits themselves included: 1 sends no ancestors.
    depth: usize,
}

impl<'a> FetchRequest<'a> {
    fn one(requested: &'a ObjectId, only: ObjectFilter) -> Self {
        Self {
            requested: std::slice::from_ref(requested),
            only,
            depth: 1,
        }
    }
}

/// The part of a commit that is requested.
#[derive(Debug, Clone, Copy)]
enum ObjectFilter {
    /// The commit and its directories.
    Directories,
    /// The commit without its trees.
    Commits,
}

impl ObjectFilter {
    /// Returns the filter in the syntax of git's rev-list.
    fn filter(self) -> &'static str {
        match self {
            Self::Directories => "blob:none",
            Self::Commits => "tree:0",
        }
    }
}

type Transport = Box<dyn gix::protocol::transport::client::blocking_io::Transport + Send>;

enum Failure {
    /// An error of this crate.
    Ours(Error),
    /// Message of the transport.
    Theirs(String),
}

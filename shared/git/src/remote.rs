//! A remote repository with its local bare cache.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use flotilla_shared::revision::{BranchName, Commit, RepositoryUrl};
use gix::credentials::helper::Action;
use gix::protocol::transport::client::blocking_io::{self, http};
use gix::remote::Direction;

use crate::Error;
use crate::access::Access;
use crate::error::one_line;
use crate::packs::{PackCheck, damaged, packs_of, remove_lone, size_of};
use crate::ssh::{self, ErrorOutput};

/// A connection over any transport.
pub(crate) type Connected<'a, 'r> =
    gix::remote::Connection<'a, 'static, 'r, Box<dyn blocking_io::Transport + Send>>;

/// Limits for one repository.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Longest single exchange with the server.
    pub timeout: Duration,
    /// Most bytes a fetch may put on disk.
    pub pack_bytes: u64,
    /// Most objects of one fetch; each takes some 150 bytes of memory until the fetch is done.
    pub objects: u64,
    /// Largest object, packed and unpacked; a fetch has several in memory at once.
    pub object_bytes: u64,
    /// Bytes by which the process may grow while fetches run, where the system reports it (Linux).
    pub memory_bytes: u64,
    /// Largest blob that is read; of larger ones only the size is known.
    pub blob_bytes: u64,
    /// All blobs and paths of one tree together; they are in memory at once.
    pub tree_bytes: u64,
    /// Most entries of one tree.
    pub tree_entries: u64,
    /// Deepest directory of a tree.
    pub tree_depth: usize,
    /// Maximum number of commits between a branch's tip and an assigned commit.
    pub history: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(60),
            pack_bytes: 1 << 30,
            objects: 500_000,
            object_bytes: 64 << 20,
            memory_bytes: 128 << 20,
            blob_bytes: 8 << 20,
            tree_bytes: 128 << 20,
            tree_entries: 200_000,
            tree_depth: 64,
            history: 10_000,
        }
    }
}

/// One remote repository.
pub struct Remote {
    pub(crate) url: RepositoryUrl,
    pub(crate) limits: Limits,
    pub(crate) directory: PathBuf,
    pub(crate) repository: gix::Repository,
    access: Access,
}

impl Remote {
    /// Opens the bare cache in `directory`, and creates it if it is missing or damaged.
    ///
    /// # Errors
    /// When the directory cannot be written.
    pub fn open(
        directory: &Path,
        url: RepositoryUrl,
        limits: Limits,
        access: Access,
    ) -> Result<Self, Error> {
        let cache = |error: std::io::Error| unusable(directory, &error.to_string());
        // Fetches only add packs, so a cache that has grown over the limit is removed and starts empty.
        if size_of(&packs_of(directory)) > limits.pack_bytes {
            std::fs::remove_dir_all(directory).map_err(cache)?;
        }
        let repository = match open(directory, &limits) {
            Ok(repository) => repository,
            Err(_) => {
                // A cache that cannot be opened is removed: everything in it can be fetched again.
                if directory.exists() {
                    std::fs::remove_dir_all(directory).map_err(cache)?;
                }
                std::fs::create_dir_all(directory).map_err(cache)?;
                gix::ThreadSafeRepository::init_opts(
                    directory,
                    gix::create::Kind::Bare,
                    gix::create::Options::default(),
                    options(&limits),
                )
                .map_err(|error| unusable(directory, &format!("{error:?}")))?;
                open(directory, &limits)?
            }
        };
        Ok(Self {
            url,
            limits,
            directory: directory.to_owned(),
            repository,
            access,
        })
    }

    /// Returns the commits that branches point at, by the server's reference advertisement; the answer lacks branches
    /// that do not exist.
    ///
    /// # Errors
    /// When the server cannot be asked.
    pub fn tips(&self, branches: &[BranchName]) -> Result<BTreeMap<BranchName, Commit>, Error> {
        let specs = branches
            .iter()
            .map(|branch| format!("+{0}:{0}", branch.full_ref()));
        let remote = self.remote(specs)?;
        let (connection, output) = self.connect(&remote)?;
        let (map, _) = self
            .prepare(connection)
            .ref_map(
                gix::progress::Discard,
                gix::remote::ref_map::Options::default(),
            )
            .map_err(|error| self.failed(output.as_ref(), error))?;
        let mut tips = BTreeMap::new();
        for reference in map.remote_refs {
            let (name, target, _) = reference.unpack();
            let Some(branch) = branches.iter().find(|b| name == b.full_ref().as_bytes()) else {
                continue;
            };
            if let Some(commit) = target.and_then(|id| id.to_string().parse().ok()) {
                tips.insert(branch.clone(), commit);
            }
        }
        Ok(tips)
    }

    pub(crate) fn remote(
        &self,
        specs: impl Iterator<Item = String>,
    ) -> Result<gix::Remote<'_>, Error> {
        let specs: Vec<String> = specs.collect();
        self.repository
            .remote_at(self.url.as_str())
            .and_then(|remote| {
                remote
                    .with_fetch_tags(gix::remote::fetch::Tags::None)
                    .with_refspecs(specs.iter().map(String::as_bytes), Direction::Fetch)
            })
            .map_err(|error| Error::transport(&self.url, error))
    }

    /// Connects to the server; over SSH also returns the program's error output, which is complete only after the
    /// connection was dropped.
    pub(crate) fn connect<'a, 'r>(
        &self,
        remote: &'a gix::Remote<'r>,
    ) -> Result<(Connected<'a, 'r>, Option<ErrorOutput>), Error> {
        if self.url.scheme() == "ssh" {
            let key = self.access.ssh.as_ref();
            let (transport, output) = ssh::connect(&self.url, key, self.limits.timeout)?;
            return Ok((remote.to_connection_with_transport(transport), Some(output)));
        }
        let connection = remote.connect(Direction::Fetch);
        let connection = connection.map_err(|error| Error::transport(&self.url, error))?;
        Ok((connection, None))
    }

    pub(crate) fn over(&self, what: &'static str, limit: u64) -> Error {
        Error::Limit {
            url: self.url.clone(),
            what,
            limit,
        }
    }

    /// Returns the damage of the cache; called only after a failure. A damaged cache is removed, so that the next
    /// opening starts with an empty one (G12): everything in it can be fetched again. Leftovers of a killed fetch do
    /// not count as damage: only they are removed.
    pub(crate) fn damage(&self, look: PackCheck) -> Option<Error> {
        let depth = match remove_lone(&self.directory) {
            0 => 1,
            _ => self.limits.history as usize,
        };
        let place = damaged(&self.directory, look).or_else(|| self.lost(depth))?;
        let cause = match std::fs::remove_dir_all(&self.directory) {
            Ok(()) => "it is not as it was fetched; the cache begins anew".to_owned(),
            Err(error) => format!("it is not as it was fetched, and cannot be removed: {error}"),
        };
        Some(unusable(&place, &cause))
    }

    /// Returns the directory of the packs if a commit is missing that a reference names, or one of its `depth`
    /// ancestors. A commit that cannot be read for another reason is not lost.
    fn lost(&self, depth: usize) -> Option<PathBuf> {
        // Opens the repository again, to see the files as they are now.
        let repository = open(&self.directory, &self.limits).ok()?;
        let references = repository.references().ok()?;
        let mut all = references.all().ok()?.flatten();
        let is_lost = all.any(|reference| {
            let id = reference.try_id().map(gix::Id::detach);
            id.is_some_and(|id| is_cut(&repository, id, depth))
        });
        is_lost.then(|| packs_of(&self.directory))
    }

    /// Returns why a commit that was fetched cannot be read.
    pub(crate) fn missing(&self, commit: &Commit) -> Error {
        let damage = self.damage(PackCheck::Cached);
        damage.unwrap_or_else(|| Error::CommitNotFound {
            url: self.url.clone(),
            commit: commit.clone(),
        })
    }

    /// Returns the error of a failed exchange.
    pub(crate) fn failed(
        &self,
        output: Option<&ErrorOutput>,
        error: impl std::fmt::Debug,
    ) -> Error {
        output
            .and_then(|output| output.explain(&self.url))
            .unwrap_or_else(|| Error::transport(&self.url, error))
    }

    /// Sets time-outs, no redirects to other hosts, and the mounted credentials or none: never a prompt, never a
    /// helper.
    pub(crate) fn prepare<'a, 'r, T: blocking_io::Transport>(
        &self,
        connection: gix::remote::Connection<'a, 'a, 'r, T>,
    ) -> gix::remote::Connection<'a, 'a, 'r, T> {
        let connection = connection.with_credentials(self.credentials());
        match self.http_options() {
            Some(options) => connection.with_transport_options(Box::new(options)),
            None => connection,
        }
    }

    /// Answers with the mounted credentials or none.
    pub(crate) fn credentials(
        &self,
    ) -> impl FnMut(Action) -> gix::Result<Option<gix::credentials::protocol::Outcome>> + 'static
    {
        let credentials = self.access.credentials.clone();
        move |action| {
            let (Action::Get(context), Some(credentials)) = (action, credentials.clone()) else {
                return Ok(None);
            };
            Ok(Some(gix::credentials::protocol::Outcome {
                identity: gix::sec::identity::Account {
                    username: credentials.username,
                    password: credentials.password,
                    oauth_refresh_token: None,
                },
                next: context.into(),
            }))
        }
    }

    /// Returns options of an HTTP transport; none for other transports.
    pub(crate) fn http_options(&self) -> Option<http::Options> {
        if matches!(self.url.scheme(), "file" | "ssh") {
            return None;
        }
        let timeout = self.limits.timeout;
        let roots = self.access.roots.clone();
        let configure_client: Option<Box<http::reqwest::ConfigureClientFn>> = match roots {
            None => None,
            Some(pem) => Some(Box::new(move |builder| {
                let tls = flotilla_shared::tls::client_trusting(&pem);
                let tls = tls.map_err(gix::Error::from_error)?;
                Ok(builder.tls_backend_preconfigured(tls))
            })),
        };
        let request_options = http::reqwest::Options {
            configure_request: Some(Box::new(move |request| {
                *request.timeout_mut() = Some(timeout);
                Ok(())
            })),
            configure_client,
        };
        Some(http::Options {
            follow_redirects: http::options::FollowRedirects::None,
            connect_timeout: Some(Duration::from_secs(10)),
            user_agent: Some(format!("flotilla/{}", env!("CARGO_PKG_VERSION"))),
            ssl_verify: true,
            #[expect(clippy::disallowed_types, reason = "the type that gix takes")]
            backend: Some(Arc::new(std::sync::Mutex::new(request_options))),
            ..http::Options::default()
        })
    }
}

fn options(limits: &Limits) -> gix::open::Options {
    // Neither the size that a hostile header claims (catalogue G10) nor the unpacked size of a small file may be
    // allocated.
    let largest = format!("gitoxide.objects.allocLimit={}", limits.object_bytes);
    gix::open::Options::isolated().config_overrides([
        largest.as_str(),
        "core.deltaBaseCacheLimit=8m",
        // Each thread would hold its own objects in memory.
        "pack.threads=1",
    ])
}

fn unusable(directory: &Path, cause: &str) -> Error {
    Error::Cache {
        path: directory.display().to_string(),
        cause: one_line(cause),
    }
}

/// Returns whether a commit, or one of the ancestors that should be present, is missing.
fn is_cut(repository: &gix::Repository, tip: gix::ObjectId, depth: usize) -> bool {
    match repository.rev_walk([tip]).all() {
        Ok(walk) => walk
            .take(depth)
            .any(|commit| commit.is_err_and(|error| error.is_not_found())),
        Err(error) => error.is_not_found(),
    }
}

fn open(directory: &Path, limits: &Limits) -> Result<gix::Repository, Error> {
    gix::ThreadSafeRepository::open_opts(directory, options(limits).open_path_as_is(true))
        .map(|repository| repository.to_thread_local())
        .map_err(|error| unusable(directory, &format!("{error:?}")))
}

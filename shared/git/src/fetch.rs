//! Bringing in one commit, and proof that it is on its branch.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use flotilla_shared::revision::{BranchName, Commit};
use gix::ObjectId;
use gix::remote::fetch::Shallow;

use crate::{Error, Remote};

/// How deep each round of looking for a commit on its branch reaches.
const DEPTHS: [u32; 4] = [1, 50, 1000, 10_000];

impl Remote {
    /// Makes `commit` available, and proves that it is the tip of `branch` or an ancestor of it, as the
    /// server shows the branch to *us*. Returns the tip.
    ///
    /// A commit that is merely present in the repository is not enough: forges serve commits of forks
    /// from the parent's address (reliability V2).
    ///
    /// # Errors
    /// When the branch or commit is not there, or a limit is reached.
    pub fn fetch(&self, branch: &BranchName, commit: &Commit) -> Result<Commit, Error> {
        self.fetch_reaching(branch, commit, &[])
    }

    /// Like [`Remote::fetch`], and brings in history until each of `bases` is seen to be behind `commit`,
    /// or before it, or there is no more history. Which of these it is, [`Remote::is_ancestor`] tells.
    ///
    /// # Errors
    /// See [`Remote::fetch`].
    pub fn fetch_reaching(
        &self,
        branch: &BranchName,
        commit: &Commit,
        bases: &[Commit],
    ) -> Result<Commit, Error> {
        if commit.as_str().len() != gix::hash::Kind::Sha1.len_in_hex() {
            return Err(Error::ObjectFormat {
                url: self.url.clone(),
            });
        }
        let tips = self.tips(std::slice::from_ref(branch))?;
        let tip = tips
            .get(branch)
            .cloned()
            .ok_or_else(|| Error::BranchNotFound {
                url: self.url.clone(),
                branch: branch.clone(),
            })?;
        let is_related =
            |base: &Commit| self.is_ancestor(base, commit) || self.is_ancestor(commit, base);
        let is_enough = || self.is_ancestor(commit, &tip) && bases.iter().all(is_related);
        if self.has_tree(commit) && is_enough() {
            return Ok(tip);
        }
        let mut reached = 0;
        // One commit is never enough to see another one behind it.
        for depth in DEPTHS.into_iter().skip(usize::from(!bases.is_empty())) {
            let depth = depth.min(self.limits.history);
            if depth <= reached {
                break;
            }
            reached = depth;
            self.receive(branch, depth)?;
            if is_enough() {
                return Ok(tip);
            }
            if self.is_complete(&tip) {
                break;
            }
        }
        if self.is_ancestor(commit, &tip) {
            return Ok(tip);
        }
        if !self.has_tree(commit) && self.is_complete(&tip) {
            return Err(Error::CommitNotFound {
                url: self.url.clone(),
                commit: commit.clone(),
            });
        }
        Err(Error::NotOnBranch {
            url: self.url.clone(),
            branch: branch.clone(),
            commit: commit.clone(),
            depth: reached,
        })
    }

    /// Whether the commit and the tree it points at are in the cache.
    #[must_use]
    pub fn has_tree(&self, commit: &Commit) -> bool {
        object_id(commit)
            .and_then(|id| self.repository.find_object(id).ok())
            .and_then(|object| object.try_into_commit().ok())
            .is_some_and(|commit| commit.tree().is_ok())
    }

    /// Whether `commit` is `tip` or is behind it, as far as the cache's history goes.
    #[must_use]
    pub fn is_ancestor(&self, commit: &Commit, tip: &Commit) -> bool {
        let (Some(wanted), Some(tip)) = (object_id(commit), object_id(tip)) else {
            return false;
        };
        self.walk(tip).any(|id| id == wanted)
    }

    /// Whether the history below `tip` has no shallow border any more.
    fn is_complete(&self, tip: &Commit) -> bool {
        let shallow = self.repository.shallow_commits().ok().flatten();
        shallow.is_none_or(|shallow| shallow.is_empty()) && self.has_tree(tip)
    }

    /// The commits reachable from `tip` in the cache, at most as many as the history limit.
    pub(crate) fn walk(&self, tip: ObjectId) -> impl Iterator<Item = ObjectId> + '_ {
        self.repository
            .rev_walk([tip])
            .all()
            .into_iter()
            .flatten()
            .map_while(Result::ok)
            .take(self.limits.history as usize)
            .map(|info| info.id)
    }

    fn receive(&self, branch: &BranchName, depth: u32) -> Result<(), Error> {
        let spec = format!("+{}:refs/flotilla/{branch}", branch.full_ref());
        let remote = self.remote(std::iter::once(spec))?;
        let (connection, said) = self.connect(&remote)?;
        let depth = std::num::NonZeroU32::new(depth).unwrap_or(std::num::NonZeroU32::MIN);
        let interrupt = AtomicBool::new(false);
        let outcome = self.watched(&interrupt, || {
            self.prepare(connection)
                .prepare_fetch(
                    gix::progress::Discard,
                    gix::remote::ref_map::Options::default(),
                )
                .and_then(|fetch| {
                    fetch
                        .with_shallow(Shallow::DepthAtRemote(depth))
                        .receive(gix::progress::Discard, &interrupt)
                })
                .map(|_| ())
                .map_err(|error| format!("{error:?}"))
        });
        match outcome {
            Watched::Done(Ok(())) => Ok(()),
            Watched::Done(Err(error)) => Err(self.failed(said.as_ref(), DebugText(error))),
            Watched::OutOfTime => Err(Error::Limit {
                url: self.url.clone(),
                what: "seconds for one fetch",
                limit: self.limits.timeout.as_secs(),
            }),
            Watched::OutOfSpace => Err(Error::Limit {
                url: self.url.clone(),
                what: "bytes of packs",
                limit: self.limits.pack_bytes,
            }),
        }
    }

    /// Runs a fetch beside a watchdog that interrupts it when time or space runs out; gix has no such
    /// limits of its own.
    fn watched(
        &self,
        interrupt: &AtomicBool,
        fetch: impl FnOnce() -> Result<(), String>,
    ) -> Watched {
        let (done, finished) = mpsc::channel::<()>();
        let packs = self.directory.join("objects").join("pack");
        let deadline = Instant::now() + self.limits.timeout;
        let pack_bytes = self.limits.pack_bytes;
        std::thread::scope(|scope| {
            let watchdog = scope.spawn(move || {
                loop {
                    let verdict = if Instant::now() > deadline {
                        Some(Watched::OutOfTime)
                    } else if size_of(&packs) > pack_bytes {
                        Some(Watched::OutOfSpace)
                    } else {
                        None
                    };
                    if let Some(verdict) = verdict {
                        interrupt.store(true, Ordering::SeqCst);
                        return Some(verdict);
                    }
                    match finished.recv_timeout(Duration::from_millis(50)) {
                        Err(mpsc::RecvTimeoutError::Timeout) => {}
                        _ => return None,
                    }
                }
            });
            let result = fetch();
            drop(done);
            match watchdog.join() {
                Ok(Some(verdict)) if result.is_err() => verdict,
                _ => Watched::Done(result),
            }
        })
    }
}

enum Watched {
    Done(Result<(), String>),
    OutOfTime,
    OutOfSpace,
}

/// A text that is already an error's debug form.
struct DebugText(String);

impl std::fmt::Debug for DebugText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

pub(crate) fn object_id(commit: &Commit) -> Option<ObjectId> {
    ObjectId::from_hex(commit.as_str().as_bytes()).ok()
}

fn size_of(directory: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(directory) else {
        return 0;
    };
    entries
        .flatten()
        .filter_map(|entry| entry.metadata().ok())
        .map(|meta| meta.len())
        .sum()
}

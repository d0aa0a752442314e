//! Fetches one commit, and proves that it is on its branch.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use flotilla_shared::revision::{BranchName, Commit};
use gix::ObjectId;
use gix::remote::fetch::Shallow;

use crate::error::{TOO_LARGE, one_line};
use crate::meter::{Excess, Meter, MeterProgress, Running};
use crate::packs::{PackCheck, packs_of, size_of};
use crate::{Error, Remote};

/// Interval of checks of a fetch: only some megabytes are unpacked in between.
const LOOK: Duration = Duration::from_millis(10);

/// Depth of each round of searching a commit on its branch.
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

    /// Like [`Remote::fetch`], and also fetches history until each of `bases` is known to be an ancestor or a
    /// descendant of `commit`, or history ends. [`Remote::is_ancestor`] tells which of these holds.
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
        // Depth 1 shows no other commit, so it is skipped if there are bases.
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
            return Err(self.missing(commit));
        }
        if let Some(damage) = self.damage(PackCheck::Cached) {
            return Err(damage);
        }
        Err(Error::NotOnBranch {
            url: self.url.clone(),
            branch: branch.clone(),
            commit: commit.clone(),
            depth: reached,
        })
    }

    /// Returns whether the commit and its root tree are in the cache.
    #[must_use]
    pub fn has_tree(&self, commit: &Commit) -> bool {
        object_id(commit)
            .and_then(|id| self.repository.find_object(id).ok())
            .and_then(|object| object.try_into_commit().ok())
            .is_some_and(|commit| commit.tree().is_ok())
    }

    /// Returns whether `commit` is `tip` or an ancestor of it, as far as the cache's history goes.
    #[must_use]
    pub fn is_ancestor(&self, commit: &Commit, tip: &Commit) -> bool {
        let (Some(sought), Some(tip)) = (object_id(commit), object_id(tip)) else {
            return false;
        };
        self.walk(tip).any(|id| id == sought)
    }

    /// Returns whether the history of `tip` is complete, without a shallow boundary.
    fn is_complete(&self, tip: &Commit) -> bool {
        let shallow = self.repository.shallow_commits().ok().flatten();
        shallow.is_none_or(|shallow| shallow.is_empty()) && self.has_tree(tip)
    }

    /// Returns the commits that are reachable from `tip` in the cache, up to the history limit.
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

    pub(crate) fn receive(&self, branch: &BranchName, depth: u32) -> Result<(), Error> {
        let spec = format!("+{}:refs/flotilla/{branch}", branch.full_ref());
        let remote = self.remote(std::iter::once(spec))?;
        let (connection, output) = self.connect(&remote)?;
        let depth = std::num::NonZeroU32::new(depth).unwrap_or(std::num::NonZeroU32::MIN);
        let meter = Meter::new(&self.limits);
        let received = self.watched(&meter, || {
            self.prepare(connection)
                .prepare_fetch(
                    gix::progress::Discard,
                    gix::remote::ref_map::Options::default(),
                )
                .and_then(|fetch| {
                    fetch
                        .with_shallow(Shallow::DepthAtRemote(depth))
                        .receive(MeterProgress::to(&meter), &meter.stop)
                })
                .map(drop)
        });
        received.map_err(|error| {
            if let Some(excess) = meter.excess() {
                return self.too_much(excess);
            }
            let fault = cache_fault(&self.directory).or_else(|| self.damage(PackCheck::Cached));
            if let Some(fault) = fault {
                return fault;
            }
            if error.is_resource_exhausted() {
                return self.too_much(meter.refused_memory());
            }
            self.failed(output.as_ref(), error)
        })
    }

    fn too_much(&self, excess: Excess) -> Error {
        let limits = &self.limits;
        let (what, limit) = match excess {
            Excess::Time => ("seconds for one fetch", limits.timeout.as_secs()),
            Excess::Pack => ("bytes of packs", limits.pack_bytes),
            Excess::Object => (TOO_LARGE, limits.object_bytes),
            Excess::Objects => (
                "objects (commits, directories and files) in one fetch; keep what is deployed in a smaller \
                 repository, or on a branch with fewer files",
                limits.objects,
            ),
            Excess::Memory => (
                "bytes of memory while it is fetched; keep large files out of the branch, or in Git LFS",
                limits.memory_bytes,
            ),
        };
        self.over(what, limit)
    }

    /// Runs a fetch beside a watchdog that ends it when time, disk or memory runs out; gix has no such
    /// limits of its own.
    fn watched<T>(&self, meter: &Meter, fetch: impl FnOnce() -> T) -> T {
        let (done, finished) = mpsc::channel::<()>();
        let packs = packs_of(&self.directory);
        // Packs of earlier fetches do not count for this one.
        let before = size_of(&packs);
        let limits = &self.limits;
        let deadline = Instant::now() + limits.timeout;
        let running = &Running::begin();
        let excess = move || {
            if Instant::now() > deadline {
                Some(Excess::Time)
            } else if size_of(&packs).saturating_sub(before) > limits.pack_bytes {
                Some(Excess::Pack)
            } else {
                let is_short = meter.is_short_of_memory(running);
                is_short.then_some(Excess::Memory)
            }
        };
        std::thread::scope(|scope| {
            scope.spawn(move || {
                loop {
                    if let Some(excess) = excess() {
                        meter.end(excess);
                        return;
                    }
                    match finished.recv_timeout(LOOK) {
                        Err(mpsc::RecvTimeoutError::Timeout) => {}
                        _ => return,
                    }
                }
            });
            let result = fetch();
            drop(done);
            result
        })
    }
}

pub(crate) fn object_id(commit: &Commit) -> Option<ObjectId> {
    ObjectId::from_hex(commit.as_str().as_bytes()).ok()
}

/// Returns the error if a fetch failed at the local disk; called after a failure only.
fn cache_fault(directory: &Path) -> Option<Error> {
    ["", "objects", "objects/pack", "refs", "refs/flotilla"]
        .iter()
        .find_map(|part| {
            let place = directory.join(part);
            let probe = place.join("flotilla-probe");
            // Writes some bytes, since a full disk may accept an empty file.
            let written = std::fs::write(&probe, [0; 4096]);
            let _ = std::fs::remove_file(&probe);
            match written {
                Ok(()) => None,
                // Created by the first fetch that needs it.
                Err(error) if error.kind() == ErrorKind::NotFound && !part.is_empty() => None,
                Err(error) => Some(Error::Cache {
                    path: place.display().to_string(),
                    cause: one_line(&format!("nothing can be written there: {error}")),
                }),
            }
        })
}

//! History between two commits, as the raw objects that signatures cover.

use std::collections::HashSet;

use flotilla_shared::revision::Commit;
use gix::ObjectId;

use crate::fetch::object_id;
use crate::{Error, Remote};

/// A commit and its ancestors by first parents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// The commit itself first.
    pub commits: Vec<Commit>,
    /// Why the chain ends.
    pub end: ChainEnd,
}

/// End of a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChainEnd {
    /// The next commit is the base, or an ancestor of it.
    Base,
    /// The last one has no parent.
    Root,
    /// The next commit is not in the cache, or beyond the history limit.
    Unknown,
}

impl Remote {
    /// Returns the commit and its first parents, down to `base`, without `base` and its ancestors. The commit itself is
    /// always included.
    ///
    /// # Errors
    /// When the commit is not in the cache.
    pub fn first_parents(&self, commit: &Commit, base: Option<&Commit>) -> Result<Chain, Error> {
        let missing = || self.missing(commit);
        let first = object_id(commit).ok_or_else(missing)?;
        let base = base.and_then(object_id);
        let mut ids = vec![first];
        let mut next = self.first_parent(first).ok_or_else(missing)?;
        let mut end = loop {
            let Some(id) = next else {
                break ChainEnd::Root;
            };
            if base == Some(id) {
                break ChainEnd::Base;
            }
            if ids.len() >= self.limits.history as usize {
                break ChainEnd::Unknown;
            }
            match self.first_parent(id) {
                Some(parent) => {
                    ids.push(id);
                    next = parent;
                }
                None => break ChainEnd::Unknown,
            }
        };
        if let (Some(base), true) = (base, end != ChainEnd::Base) {
            // The base was merged by another parent: its ancestors were accepted with it.
            let behind: HashSet<ObjectId> = self.walk(base).collect();
            let known = ids.iter().skip(1).position(|id| behind.contains(id));
            let next_is_known = next.is_some_and(|id| behind.contains(&id));
            if let Some(known) = known {
                ids.truncate(known + 1);
                end = ChainEnd::Base;
            } else if next_is_known {
                end = ChainEnd::Base;
            }
        }
        let commits = ids.iter().filter_map(|id| id.to_string().parse().ok());
        Ok(Chain {
            commits: commits.collect(),
            end,
        })
    }

    /// Returns a commit object's bytes, which its id is a hash of (without Git's own `commit <size>\0`).
    ///
    /// # Errors
    /// When it is not in the cache.
    pub fn raw_commit(&self, commit: &Commit) -> Result<Vec<u8>, Error> {
        let missing = || self.missing(commit);
        let id = object_id(commit).ok_or_else(missing)?;
        let object = self.repository.find_object(id).map_err(|_| missing())?;
        let mut commit = object
            .try_into_commit()
            .map_err(|error| self.corrupt(error))?;
        Ok(std::mem::take(&mut commit.data))
    }

    /// Returns the first parent; inner none: it has none; outer none: the commit cannot be read.
    fn first_parent(&self, id: ObjectId) -> Option<Option<ObjectId>> {
        let commit = self.repository.find_commit(id).ok()?;
        let parent = commit.parent_ids().next().map(gix::Id::detach);
        Some(parent)
    }
}

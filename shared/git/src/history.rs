//! History between two commits, as the raw objects that signatures cover.

use std::collections::HashSet;

use flotilla_shared::revision::Commit;
use gix::ObjectId;

use crate::fetch::object_id;
use crate::{Error, Remote};

/// A commit and those that it follows by first parents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// The commit itself first.
    pub commits: Vec<Commit>,
    /// Why the chain ends.
    pub end: End,
}

/// End of a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The next one is the base, or behind it.
    Base,
    /// The last one has no parent.
    Root,
    /// The next one is not in the cache, or over the limit of history.
    Unknown,
}

impl Remote {
    /// The commit and its first parents, down to but without `base` and all that is behind `base`. The
    /// commit itself is always part of it.
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
                break End::Root;
            };
            if base == Some(id) {
                break End::Base;
            }
            if ids.len() >= self.limits.history as usize {
                break End::Unknown;
            }
            match self.first_parent(id) {
                Some(parent) => {
                    ids.push(id);
                    next = parent;
                }
                None => break End::Unknown,
            }
        };
        if let (Some(base), true) = (base, end != End::Base) {
            // The base came in by another parent: what is behind it was accepted with it.
            let behind: HashSet<ObjectId> = self.walk(base).collect();
            let known = ids.iter().skip(1).position(|id| behind.contains(id));
            let next_is_known = next.is_some_and(|id| behind.contains(&id));
            if let Some(known) = known {
                ids.truncate(known + 1);
                end = End::Base;
            } else if next_is_known {
                end = End::Base;
            }
        }
        let commits = ids.iter().filter_map(|id| id.to_string().parse().ok());
        Ok(Chain {
            commits: commits.collect(),
            end,
        })
    }

    /// A commit object's bytes, as its id is made over them (without Git's own `commit <size>\0`).
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

    /// The first parent; none within: it has none; none: the commit cannot be read.
    fn first_parent(&self, id: ObjectId) -> Option<Option<ObjectId>> {
        let commit = self.repository.find_commit(id).ok()?;
        let parent = commit.parent_ids().next().map(gix::Id::detach);
        Some(parent)
    }
}

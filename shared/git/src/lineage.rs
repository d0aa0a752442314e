//! Relation of a commit to an earlier one.

use std::collections::{HashSet, VecDeque};
use std::time::Instant;

use flotilla_shared::revision::{BranchName, Commit};
use gix::ObjectId;

use crate::fetch::object_id;
use crate::{Error, Remote};

/// Depth to which a branch is fetched if the server sends files with each commit.
const DEPTH_WITH_FILES: u32 = 50;

/// Relation of a commit to another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lineage {
    /// It is a descendant, or the same commit.
    After,
    /// It is an ancestor.
    Behind,
    /// It is neither a descendant nor a known ancestor.
    Apart,
}

impl Remote {
    /// Returns the relation of `commit`, which is in the cache and on `branch`, to `base`; none: the available history
    /// does not tell.
    ///
    /// The cache is searched first: each commit names its parents, even if the rest of its history is missing. Only
    /// then the server is asked for commits without files, at most twice; a server without this feature is asked for
    /// part of the branch.
    ///
    /// # Errors
    /// When the cache does not tell and the server cannot be asked.
    pub fn lineage(
        &self,
        branch: &BranchName,
        commit: &Commit,
        base: &Commit,
    ) -> Result<Option<Lineage>, Error> {
        let (Some(commit), Some(base)) = (object_id(commit), object_id(base)) else {
            return Ok(None);
        };
        let limit = self.limits.history as usize;
        let cached = |id: ObjectId| self.parents(id);
        let known = relation(commit, base, limit, cached);
        if known.is_some() {
            return Ok(known);
        }
        let deadline = Instant::now() + self.limits.timeout;
        let told = match self.parents_said(&[commit, base], deadline) {
            Err(Error::FilterUnsupported { .. }) => {
                self.receive(branch, DEPTH_WITH_FILES.min(self.limits.history))?;
                return Ok(relation(commit, base, limit, cached));
            }
            // After a forced push the server may no longer have the earlier commit.
            Err(_) if Instant::now() < deadline => self.parents_said(&[commit], deadline)?,
            told => told?,
        };
        let said_or_cached = |id: ObjectId| told.get(&id).cloned().or_else(|| cached(id));
        Ok(relation(commit, base, limit, said_or_cached))
    }

    /// Returns the parents of a commit in the cache, whether or not they are in the cache.
    fn parents(&self, id: ObjectId) -> Option<Vec<ObjectId>> {
        let commit = self.repository.find_commit(id).ok()?;
        Some(commit.parent_ids().map(gix::Id::detach).collect())
    }
}

/// Returns the relation by the parents of each commit; none: it is not known.
fn relation(
    commit: ObjectId,
    base: ObjectId,
    limit: usize,
    parents: impl Fn(ObjectId) -> Option<Vec<ObjectId>>,
) -> Option<Lineage> {
    // Fast path: most pushes add a single commit.
    if commit == base || parents(commit)?.contains(&base) {
        return Some(Lineage::After);
    }
    let mut below = HashSet::from([base]);
    let mut waiting = VecDeque::from([base]);
    while let Some(id) = waiting.pop_front() {
        if below.len() > limit {
            break;
        }
        let news = parents(id).unwrap_or_default().into_iter();
        waiting.extend(news.filter(|parent| below.insert(*parent)));
    }
    if below.contains(&commit) {
        return Some(Lineage::Behind);
    }
    // Ancestors of the base cannot descend from it, so the search stops there.
    let mut seen = HashSet::from([commit]);
    let mut waiting = VecDeque::from([commit]);
    let mut is_all_known = true;
    while let Some(id) = waiting.pop_front() {
        if seen.len() > limit {
            return None;
        }
        let Some(parents) = parents(id) else {
            is_all_known = false;
            continue;
        };
        if parents.contains(&base) {
            return Some(Lineage::After);
        }
        let news = parents.into_iter();
        waiting.extend(news.filter(|parent| !below.contains(parent) && seen.insert(*parent)));
    }
    is_all_known.then_some(Lineage::Apart)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Commits are numbers; `known` has the parents of each.
    fn stands(commit: u8, base: u8, known: &[(u8, &[u8])]) -> Option<Lineage> {
        let id = |number: u8| ObjectId::from_bytes_or_panic(&[number; 20]);
        relation(id(commit), id(base), 100, |asked| {
            let of = known.iter().find(|(number, _)| id(*number) == asked)?;
            Some(of.1.iter().map(|parent| id(*parent)).collect())
        })
    }

    #[test]
    fn g01_history_that_is_known_in_part_tells_what_it_can() {
        let line: &[(u8, &[u8])] = &[(4, &[3]), (3, &[2]), (2, &[1]), (1, &[])];
        assert_eq!(stands(4, 4, line), Some(Lineage::After));
        assert_eq!(stands(4, 1, line), Some(Lineage::After));
        assert_eq!(stands(1, 4, line), Some(Lineage::Behind));
        // Neither the base itself nor its history has to be in the cache.
        assert_eq!(stands(4, 3, &[(4, &[3])]), Some(Lineage::After));
        assert_eq!(stands(3, 4, &[(4, &[3]), (3, &[2])]), Some(Lineage::Behind));
        assert_eq!(stands(4, 2, &[(4, &[3])]), None);
        assert_eq!(stands(2, 4, &[(4, &[3]), (2, &[1])]), None);
        // An amended tip: both have a parent that is not in the cache.
        assert_eq!(stands(5, 4, &[(5, &[3]), (4, &[3])]), Some(Lineage::Apart));
        // Another history altogether.
        assert_eq!(stands(7, 4, &[(7, &[6]), (6, &[])]), Some(Lineage::Apart));
        // By a merge; and undecided while the other parent, which could descend from it, is unknown.
        let merged: &[(u8, &[u8])] = &[(9, &[5, 8]), (8, &[4]), (5, &[3]), (4, &[3])];
        assert_eq!(stands(9, 4, merged), Some(Lineage::After));
        assert_eq!(stands(9, 4, &[(9, &[5, 8]), (5, &[3]), (4, &[3])]), None);
    }
}

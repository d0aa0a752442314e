//! Which commits of a cache were proven to be on their branch (V2), remembered beside it.

use std::path::Path;

use flotilla_shared::revision::{BranchName, Commit};

const FILE: &str = "flotilla-proven";
/// Most proofs that are remembered; older ones are proven again when they are asked for.
const MAX: usize = 64;

/// The proofs of one cache.
#[derive(Debug, Default)]
pub(super) struct Proofs {
    is_open: bool,
    /// Branch, commit, and the tip that it was reached from; oldest first.
    known: Vec<(String, Commit, Commit)>,
}

impl Proofs {
    /// Reads the proofs of an earlier process, and removes the locks that it may have left when it
    /// was killed: only this process uses the data directory.
    pub(super) fn open(&mut self, directory: &Path) {
        if std::mem::replace(&mut self.is_open, true) {
            return;
        }
        unlock(directory, 0);
        let text = std::fs::read_to_string(directory.join(FILE)).unwrap_or_default();
        self.known = text
            .lines()
            .filter_map(|line| {
                let mut words = line.split(' ');
                let (commit, tip) = (words.next()?, words.next()?);
                let branch = words.next()?.to_owned();
                Some((branch, commit.parse().ok()?, tip.parse().ok()?))
            })
            .collect();
    }

    /// The tip that a proven commit was reached from.
    pub(super) fn get(&self, branch: &BranchName, commit: &Commit) -> Option<Commit> {
        let is_it = |(name, known, _): &&(String, Commit, Commit)| {
            *name == branch.to_string() && known == commit
        };
        self.known
            .iter()
            .rev()
            .find(is_it)
            .map(|(_, _, tip)| tip.clone())
    }

    pub(super) fn add(
        &mut self,
        directory: &Path,
        branch: &BranchName,
        commit: &Commit,
        tip: &Commit,
    ) {
        self.known
            .push((branch.to_string(), commit.clone(), tip.clone()));
        if self.known.len() > MAX {
            self.known.remove(0);
        }
        let lines = self.known.iter();
        let text: String = lines
            .map(|(branch, commit, tip)| format!("{commit} {tip} {branch}\n"))
            .collect();
        if let Err(error) = flotilla_disk::replace(&directory.join(FILE), text.as_bytes()) {
            tracing::warn!(%error, "cannot record that a commit is on its branch");
        }
    }
}

/// Lock files of Git, in the cache's own directories.
fn unlock(directory: &Path, depth: usize) {
    let Ok(entries) = std::fs::read_dir(directory) else {
        return;
    };
    for entry in entries.flatten() {
        let path = entry.path();
        let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_directory && depth < 8 && entry.file_name() != "objects" {
            unlock(&path, depth + 1);
        } else if path
            .extension()
            .is_some_and(|extension| extension == "lock")
            && std::fs::remove_file(&path).is_ok()
        {
            tracing::info!(path = %path.display(), "removed the lock of a process that was killed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g12_proofs_outlive_the_process_and_stale_locks_do_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        std::fs::create_dir_all(path.join("refs/flotilla")).unwrap();
        std::fs::write(path.join("refs/flotilla/dev.lock"), "").unwrap();
        std::fs::write(path.join("shallow.lock"), "").unwrap();
        let branch: BranchName = "dev".parse().unwrap();
        let commit = |c: &str| c.repeat(40).parse::<Commit>().unwrap();
        let mut proofs = Proofs::default();
        proofs.open(path);
        assert!(!path.join("shallow.lock").exists());
        assert!(!path.join("refs/flotilla/dev.lock").exists());
        proofs.add(path, &branch, &commit("a"), &commit("b"));
        let mut next = Proofs::default();
        next.open(path);
        assert_eq!(next.get(&branch, &commit("a")), Some(commit("b")));
        assert_eq!(next.get(&branch, &commit("b")), None);
        assert_eq!(next.get(&"prod".parse().unwrap(), &commit("a")), None);
    }
}

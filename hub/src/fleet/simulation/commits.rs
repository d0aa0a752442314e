//! Commits that are numbers: what each changed, and which of them are bad.

use super::*;

/// Directories of applications; the first ones are those of an unedited file.
pub(super) const PATHS: [&str; 13] = [
    "apps/web/dev",
    "apps/web/stage",
    "apps/web/prod",
    "apps/db",
    "apps/web2",
    "apps/web/canary",
    "apps/web/edge",
    "apps/web/rest",
    "apps/db2",
    "apps/db/canary",
    "apps/db/edge",
    "apps/db/rest",
    "apps/extra",
];

/// Number of directories in an unedited file.
pub(super) const FIRST: usize = 4;

/// Directories with this prefix are in no commit.
pub(super) const MISSING: &str = "missing/";

fn number_of(commit: &Commit) -> u64 {
    u64::from_str_radix(&commit.as_str()[24..], 16).unwrap()
}

/// Returns the commit that last changed a directory; most commits change none of these.
fn changed_by(commit: &Commit, path: &str) -> u64 {
    let salt = path.bytes().map(u64::from).sum::<u64>();
    let changes =
        |n: &u64| (n.wrapping_mul(salt).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) % 100 < 7;
    let all = (1..=number_of(commit)).rev();
    all.into_iter().find(changes).unwrap_or_default()
}

/// Returns whether a commit broke a directory. Every seventh commit is bad: what it changed never becomes healthy.
pub(super) fn is_bad(commit: &Commit, path: &str) -> bool {
    changed_by(commit, path) % 7 == 6
}

/// Returns the tree of a commit's directory.
pub(super) fn tree(commit: &Commit, path: &str) -> TreeId {
    let content = Digest::of(format!("{path} of {}", changed_by(commit, path)).as_bytes());
    content.as_bytes()[..20].try_into().unwrap()
}

pub(super) fn directories(commit: &Commit) -> Arc<Directories> {
    let all = PATHS
        .iter()
        .map(|path| ((*path).to_owned(), tree(commit, path)));
    Arc::new(Directories::new(all))
}

/// The commit with this number; its first characters are unique, too.
pub(super) fn commit(n: u64) -> Commit {
    format!("{:07x}{:033x}", n + 1, n + 1).parse().unwrap()
}

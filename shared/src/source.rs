//! Directories that a render depends on, and the trees of a commit: together they tell, without any content, whether
//! another commit renders the same.

use std::collections::BTreeSet;

/// Path of the repository's root.
pub const ROOT: &str = ".";

/// Maximum number of paths of one application.
pub const MAX_PATHS: usize = 32;

/// Longest list of paths, bytes, one more for each path.
pub const MAX_PATHS_BYTES: usize = 4096;

/// Directories of a repository that determine a rendering: two commits in which each of them has the same tree render
/// the same.
///
/// Sorted, none inside another, [`ROOT`] for the repository's root. Empty: not known.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct SourcePaths {
    /// One line a path; reports of ten thousand clusters stay in memory.
    lines: Box<str>,
}

impl SourcePaths {
    /// Creates it from directories in any order; not known if a path is malformed or there are too many.
    #[must_use]
    pub fn new<'a>(directories: impl IntoIterator<Item = &'a str>) -> Self {
        let all: BTreeSet<&str> = directories.into_iter().collect();
        if all.contains(ROOT) {
            return Self { lines: ROOT.into() };
        }
        let is_inside = |path: &&&str| {
            let ends = path.match_indices('/').map(|(end, _)| end);
            ends.filter_map(|end| path.get(..end))
                .any(|parent| all.contains(parent))
        };
        let outermost: Vec<&str> = all
            .iter()
            .filter(|path| !is_inside(path))
            .copied()
            .collect();
        Self::checked(&outermost)
    }

    /// Reads paths from the wire; anything but the output of [`SourcePaths::new`] is not known.
    #[must_use]
    pub fn from_wire(paths: &[String]) -> Self {
        if paths.len() > MAX_PATHS {
            return Self::default();
        }
        let made = Self::new(paths.iter().map(String::as_str));
        if made.iter().eq(paths.iter().map(String::as_str)) {
            made
        } else {
            Self::default()
        }
    }

    fn checked(paths: &[&str]) -> Self {
        let bytes: usize = paths.iter().map(|path| path.len() + 1).sum();
        if paths.len() > MAX_PATHS || bytes > MAX_PATHS_BYTES || !paths.iter().all(is_path) {
            return Self::default();
        }
        Self {
            lines: paths.join("\n").into(),
        }
    }

    /// Whether anything is known.
    #[must_use]
    pub fn is_known(&self) -> bool {
        !self.lines.is_empty()
    }

    /// The paths, sorted.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.lines.lines()
    }
}

fn is_path(path: &&str) -> bool {
    let is_plain = |c: char| !c.is_control() && c != '\\';
    *path == ROOT
        || path.chars().all(is_plain)
            && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

/// An object id of SHA-1.
pub type TreeId = [u8; 20];

/// A commit's directories, each with the id of its tree. Equal ids are equal content, all the way down.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Directories {
    /// Sorted by path.
    trees: Box<[(Box<str>, TreeId)]>,
}

impl Directories {
    /// Creates it from paths in the form of [`SourcePaths`].
    #[must_use]
    pub fn new(trees: impl IntoIterator<Item = (String, TreeId)>) -> Self {
        let trees = trees.into_iter().map(|(path, id)| (path.into(), id));
        let mut trees: Vec<(Box<str>, TreeId)> = trees.collect();
        trees.sort_unstable();
        Self {
            trees: trees.into(),
        }
    }

    /// Returns the id of a directory's tree; none: there is no such directory.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<&TreeId> {
        let at = self.trees.binary_search_by(|(have, _)| (**have).cmp(path));
        at.ok().and_then(|at| self.trees.get(at)).map(|(_, id)| id)
    }

    /// Number of directories.
    #[must_use]
    pub fn len(&self) -> usize {
        self.trees.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.trees.is_empty()
    }

    /// Returns whether all of `paths` have the same trees in both commits; false if that is not known.
    #[must_use]
    pub fn agree(&self, other: &Self, paths: &SourcePaths) -> bool {
        paths.is_known()
            && paths
                .iter()
                .all(|path| self.get(path).is_some_and(|id| other.get(path) == Some(id)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(paths: &[&str], expected: &[&str]) {
        let made = SourcePaths::new(paths.iter().copied());
        assert_eq!(made.iter().collect::<Vec<_>>(), expected, "{paths:?}");
        assert_eq!(made.is_known(), !expected.is_empty(), "{paths:?}");
        let wire: Vec<String> = made.iter().map(str::to_owned).collect();
        assert_eq!(SourcePaths::from_wire(&wire), made, "{paths:?}");
    }

    #[test]
    fn paths_are_sorted_and_none_is_inside_another() {
        check(&["b", "a"], &["a", "b"]);
        check(&["a/b", "a", "a-b", "a"], &["a", "a-b"]);
        check(&["a/b/c/d", "a-b/c", "a/b"], &["a-b/c", "a/b"]);
        check(&["a", "."], &["."]);
        check(&[], &[]);
    }

    #[test]
    fn h11_hostile_paths_are_not_known() {
        let long = "a".repeat(MAX_PATHS_BYTES);
        for path in [
            "/a", "a/", "a//b", "..", "a/../b", "a/.", "a\nb", "a\\b", "", &long,
        ] {
            check(&[path], &[]);
            let known = SourcePaths::from_wire(&["b".to_owned(), path.to_owned()]).is_known();
            assert!(!known, "{path:?}");
        }
        let many: Vec<String> = (0..=MAX_PATHS)
            .map(|index| format!("a{index:02}"))
            .collect();
        check(&many.iter().map(String::as_str).collect::<Vec<_>>(), &[]);
        assert!(!SourcePaths::from_wire(&many).is_known());
        let unsorted = ["b".to_owned(), "a".to_owned()];
        assert!(!SourcePaths::from_wire(&unsorted).is_known());
    }

    #[test]
    fn commits_agree_where_every_path_has_one_tree() {
        let directories = |trees: &[(&str, u8)]| {
            Directories::new(
                trees
                    .iter()
                    .map(|(path, id)| ((*path).to_owned(), [*id; 20])),
            )
        };
        let before = directories(&[(".", 1), ("a", 2), ("b", 3)]);
        let after = directories(&[(".", 9), ("a", 2), ("b", 4)]);
        let agree = |paths: &[&str]| before.agree(&after, &SourcePaths::new(paths.iter().copied()));
        assert!(agree(&["a"]));
        assert!(!agree(&["b"]) && !agree(&["a", "b"]) && !agree(&["."]));
        assert!(!agree(&["c"]), "what is in neither is not known");
        assert!(!agree(&[]), "nothing known");
    }
}

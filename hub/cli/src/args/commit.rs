//! Commits on the command line.

use flotilla_shared::revision::Commit;

/// A commit by its full id, or by its first digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CommitPrefix(String);

impl CommitPrefix {
    /// Fewest digits: fewer are more likely a typing error.
    const SHORTEST: usize = 4;

    /// Returns the digits.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the commit, if the id is full.
    pub(crate) fn whole(&self) -> Option<Commit> {
        self.0.parse().ok()
    }
}

impl std::str::FromStr for CommitPrefix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let id = text.to_ascii_lowercase();
        // Accepts the form `sha1:3f2a9c1` that tables print.
        let id = id
            .strip_prefix("sha1:")
            .or_else(|| id.strip_prefix("sha256:"))
            .unwrap_or(&id);
        let is_id =
            (Self::SHORTEST..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_hexdigit());
        if !is_id {
            return Err(format!(
                "give a commit's id, or {} or more of its first digits",
                Self::SHORTEST
            ));
        }
        Ok(Self(id.to_owned()))
    }
}

impl std::fmt::Display for CommitPrefix {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commits_are_read_as_tables_print_them() {
        let read = |text: &str| text.parse::<CommitPrefix>();
        assert_eq!(read("sha1:3F2A9c1").unwrap().as_str(), "3f2a9c1");
        assert_eq!(read("3f2a9c1").unwrap().whole(), None);
        let whole = "3f2a9c1b".repeat(5);
        assert_eq!(read(&whole).unwrap().whole(), whole.parse().ok());
        for bad in ["", "abc", "main", "3f2a9c1;rm", "--abcd"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}

//! Who requests something at a pull request by a label, and their access to the repository.

/// A label was added or removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelEvent {
    /// The label's name, which is case-sensitive.
    pub label: String,
    /// The account that did it.
    pub by: String,
    /// Whether the label was added; otherwise it was removed.
    pub given: bool,
}

/// Access to a repository. A forge's other levels count as the next lower one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Right {
    /// No more than everybody has.
    None,
    /// Read access.
    Read,
    /// Write access: push to branches.
    Write,
    /// Admin access: manage access.
    Admin,
}

impl Right {
    /// Reads the word of GitHub, Gitea and Forgejo.
    pub(crate) fn of_word(word: &str) -> Self {
        match word {
            "read" | "triage" => Self::Read,
            "write" | "maintain" => Self::Write,
            "admin" | "owner" => Self::Admin,
            _ => Self::None,
        }
    }
}

/// Returns who added a label that is present: the last change counts. None: not known.
#[must_use]
pub fn given_by<'l>(all: &'l [LabelEvent], label: &str) -> Option<&'l str> {
    let mut own = all.iter().rev();
    let last = own.find(|event| event.label == label)?;
    last.given.then_some(last.by.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_on_a_label_counts() {
        let labelling = |label: &str, by: &str, given| LabelEvent {
            label: label.to_owned(),
            by: by.to_owned(),
            given,
        };
        let all = [
            labelling("plan", "ann", true),
            labelling("plan", "bob", false),
            labelling("plan", "eve", true),
            labelling("docs", "joe", true),
        ];
        assert_eq!(given_by(&all, "plan"), Some("eve"));
        assert_eq!(given_by(&all[..2], "plan"), None, "it was taken away");
        assert_eq!(given_by(&all, "other"), None);
        for (word, right) in [
            ("none", Right::None),
            ("read", Right::Read),
            ("triage", Right::Read),
            ("write", Right::Write),
            ("admin", Right::Admin),
            ("god", Right::None),
        ] {
            assert_eq!(Right::of_word(word), right);
        }
    }
}

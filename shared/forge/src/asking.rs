//! Who asks for something at a pull request, and what they may do in the repository.

/// A mark was given, or taken away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labelling {
    /// The label's name; upper and lower case are told apart.
    pub label: String,
    /// Who did it.
    pub by: String,
    /// Whether it was given.
    pub given: bool,
}

/// What somebody may do in a repository. A forge's other words count as the next lower one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Right {
    /// Nothing that not everybody may.
    None,
    /// Look at it.
    Read,
    /// Push to its branches.
    Write,
    /// Decide who may.
    Admin,
}

impl Right {
    /// As GitHub, Gitea and Forgejo name it.
    pub(crate) fn of_word(word: &str) -> Self {
        match word {
            "read" | "triage" => Self::Read,
            "write" | "maintain" => Self::Write,
            "admin" | "owner" => Self::Admin,
            _ => Self::None,
        }
    }
}

/// Who gave a mark that is there: the last word on it counts. None: nobody is known to have.
#[must_use]
pub fn given_by<'l>(all: &'l [Labelling], label: &str) -> Option<&'l str> {
    let mut own = all.iter().rev();
    let last = own.find(|event| event.label == label)?;
    last.given.then_some(last.by.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_on_a_label_counts() {
        let labelling = |label: &str, by: &str, given| Labelling {
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

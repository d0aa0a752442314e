//! Holds of automatic promotions, by repository.

use std::collections::BTreeSet;

use flotilla_shared::id::RepositoryName;
use serde::{Deserialize, Serialize};

use super::super::rollout::Commits;
use super::{EnvironmentState, Mark};

/// A hold of automatic promotions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Who decided it, why and when.
    #[serde(flatten)]
    pub mark: Mark,
    /// The rollout that was rolled back; empty: an operator rolled the branch back, or it is from an older hub.
    #[serde(
        default,
        skip_serializing_if = "String::is_empty",
        rename = "rolledBack"
    )]
    pub rolled_back: String,
    /// Repositories that it holds; empty: all of them, as where the fleet file failed alone, or where an older hub
    /// wrote it.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub repositories: BTreeSet<RepositoryName>,
    /// Those of them that were held last, which `mark` describes; empty: all of them.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub latest: BTreeSet<RepositoryName>,
}

impl Hold {
    /// Makes a hold of the commits that were rolled back. The fleet file is left out: no branch contains it.
    pub(in crate::fleet) fn of<'a>(
        mark: Mark,
        rolled_back: String,
        repositories: impl IntoIterator<Item = &'a RepositoryName>,
    ) -> Self {
        let repositories = repositories.into_iter();
        let repositories = repositories.filter(|repository| !repository.is_fleet_file());
        Self {
            mark,
            rolled_back,
            repositories: repositories.cloned().collect(),
            latest: BTreeSet::new(),
        }
    }

    /// Returns whether it holds the promotions of a repository.
    #[must_use]
    pub fn is_of(&self, repository: &RepositoryName) -> bool {
        self.repositories.is_empty() || self.repositories.contains(repository)
    }

    /// Returns whether `mark` describes the hold of a repository.
    #[must_use]
    pub fn is_told_of(&self, repository: &RepositoryName) -> bool {
        self.is_of(repository) && (self.latest.is_empty() || self.latest.contains(repository))
    }
}

impl EnvironmentState {
    /// Holds automatic promotions, in addition to existing holds.
    pub(in crate::fleet) fn hold_promotions(&mut self, mut hold: Hold) {
        if let Some(before) = self.hold.take() {
            hold.latest.clone_from(&hold.repositories);
            match before.repositories.is_empty() {
                true => hold.repositories.clear(),
                false if hold.repositories.is_empty() => {}
                false => hold.repositories.extend(before.repositories),
            }
        }
        self.hold = Some(hold);
    }

    /// Lifts the hold for the repositories of these commits, whose rollout has ended and made them good.
    pub(in crate::fleet) fn lift_hold(&mut self, good: &Commits) {
        if let Some(hold) = &mut self.hold {
            hold.repositories
                .retain(|repository| !good.contains_key(repository));
            if hold.repositories.is_empty() {
                self.hold = None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use flotilla_shared::revision::Commit;
    use jiff::Timestamp;

    use super::*;

    /// Rows of older hubs do not name the rollout.
    #[test]
    fn a_hold_of_an_older_hub_is_read() {
        let old = r#"{"hold":{"by":"hub","reason":"prod-6 was rolled back: x","at":"2026-11-01T00:00:00Z"}}"#;
        let state: EnvironmentState = serde_json::from_str(old).unwrap();
        let mut hold = state.hold.clone().unwrap();
        assert_eq!(
            (hold.mark.by.as_str(), hold.rolled_back.as_str()),
            ("hub", "")
        );
        let again = serde_json::to_value(&hold).unwrap();
        assert_eq!(again.as_object().unwrap().len(), 3, "an older hub reads it");
        let repository: RepositoryName = "charts".parse().unwrap();
        assert!(hold.is_of(&repository), "an older hub holds all");
        hold.rolled_back = "prod-6".to_owned();
        let text = serde_json::to_string(&hold).unwrap();
        assert_eq!(serde_json::from_str::<Hold>(&text).unwrap(), hold);
    }

    #[test]
    fn a_hold_is_of_what_went_back_and_ends_where_that_is_good_again() {
        let name = |text: &str| -> RepositoryName { text.parse().unwrap() };
        let commit = |digit: &str| -> Commit { digit.repeat(40).parse().unwrap() };
        let hold = |names: &[&str]| {
            let mark = Mark {
                by: "ada".to_owned(),
                reason: "it leaks".to_owned(),
                at: Timestamp::UNIX_EPOCH,
            };
            let repositories: Vec<_> = names.iter().map(|text| name(text)).collect();
            Hold::of(mark, String::new(), &repositories)
        };
        let of = |state: &EnvironmentState| {
            let held = |text: &&str| {
                state
                    .hold
                    .as_ref()
                    .is_some_and(|hold| hold.is_of(&name(text)))
            };
            ["a", "b", "c"].into_iter().filter(held).collect::<Vec<_>>()
        };
        let good = |text: &str| Commits::from([(name(text), commit("1"))]);
        let mut state = EnvironmentState::default();
        state.hold_promotions(hold(&["a"]));
        state.hold_promotions(hold(&["b"]));
        assert_eq!(
            of(&state),
            ["a", "b"],
            "one does not take the other's place"
        );
        state.lift_hold(&good("c"));
        assert_eq!(of(&state), ["a", "b"], "another repository mends nothing");
        state.lift_hold(&good("a"));
        assert_eq!(of(&state), ["b"]);
        state.lift_hold(&good("b"));
        assert_eq!(state.hold, None);
        // The fleet file failed alone: it is not known which repositories are concerned, so all are held.
        for order in [[&["a"][..], &[]], [&[], &["a"]]] {
            let mut state = EnvironmentState::default();
            for names in order {
                state.hold_promotions(hold(names));
            }
            assert_eq!(of(&state), ["a", "b", "c"]);
            state.lift_hold(&good("c"));
            assert_eq!(state.hold, None, "as it was before holds had names");
        }
    }
}

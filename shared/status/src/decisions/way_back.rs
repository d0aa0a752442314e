//! The commit that a repository of an environment goes back to, by the environment's good commits.

use super::{Decisions, Quarantine, RepositoryCommit};

/// The commit that a repository goes back to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RollbackTarget {
    /// The last good commit; none: none is known.
    pub found: Option<GoodCommit>,
    /// Commits that came after it and were not seen to be good, each with the reason.
    pub passed_over: Vec<(String, String)>,
}

/// A commit that was good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GoodCommit {
    /// Full commit id.
    pub commit: String,
    /// Whether a rollout or its clusters confirmed it.
    pub is_seen: bool,
}

impl Decisions {
    /// Returns the good commits of a repository, newest first.
    pub fn good_commits(&self, repository: &str) -> impl Iterator<Item = &str> {
        let all = self.good.iter().rev().flat_map(|good| &good.commits);
        all.filter(move |commit| commit.repository == repository)
            .map(|commit| commit.commit.as_str())
    }

    /// Returns whether a commit was good, as far back as the hub remembers.
    #[must_use]
    pub fn was_good(&self, repository: &str, commit: &str) -> bool {
        let mut all = self.good_commits(repository);
        all.any(|good| good == commit)
    }

    /// Returns the first failure of a commit, as far back as the hub remembers; none: it did not fail.
    #[must_use]
    pub fn failure_of(&self, repository: &str, commit: &str) -> Option<&Quarantine> {
        let is_it =
            |entry: &RepositoryCommit| entry.repository == repository && entry.commit == commit;
        let mut all = self.quarantined.iter();
        all.find(|failed| failed.commits.iter().any(is_it))
    }

    /// Returns the last commit before `head` that was seen to be good. If `head` has the content of an earlier good
    /// commit, its `twin`, it is the last one before that. For commits without rollouts the hub records what clusters
    /// reported; commits without such a record, from an older hub, count as good.
    #[must_use]
    pub fn way_back(&self, repository: &str, head: &str, twin: Option<&str>) -> RollbackTarget {
        let mut passed_over: Vec<(String, String)> = Vec::new();
        // If `twin` is the newest good commit other than `head`, `head` undid nothing.
        let mut all = self.good_commits(repository);
        let last = all.find(|commit| *commit != head);
        let mut is_undone = twin.is_some() && last != twin;
        for state in self.good.iter().rev() {
            let mut own = state.commits.iter();
            let own = own.find(|commit| commit.repository == repository && commit.commit != head);
            let Some(commit) = own.map(|own| own.commit.clone()) else {
                continue;
            };
            if is_undone {
                is_undone = Some(commit.as_str()) != twin;
                if is_undone && !passed_over.iter().any(|(before, _)| *before == commit) {
                    passed_over.push((commit, "it was rolled back from".to_owned()));
                }
                continue;
            }
            // The newest state of a commit counts.
            if passed_over.iter().any(|(before, _)| *before == commit) {
                continue;
            }
            let seen = state.seen.iter().find(|seen| seen.repository == repository);
            if let Some(seen) = seen.filter(|seen| !seen.doubt.is_empty()) {
                let doubt = format!("it is not known to be good: {}", seen.doubt);
                passed_over.push((commit, doubt));
                continue;
            }
            let is_seen = seen.is_some() || !state.rollout.is_empty();
            return RollbackTarget {
                found: Some(GoodCommit { commit, is_seen }),
                passed_over,
            };
        }
        RollbackTarget {
            found: None,
            passed_over,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Good, Seen};
    use super::*;

    fn of(commit: &str) -> Vec<RepositoryCommit> {
        vec![RepositoryCommit {
            repository: "fleet".to_owned(),
            commit: commit.to_owned(),
        }]
    }

    fn good(commit: &str, rollout: &str, doubt: Option<&str>) -> Good {
        let seen = doubt.map(|doubt| Seen {
            repository: "fleet".to_owned(),
            doubt: doubt.to_owned(),
        });
        Good {
            commits: of(commit),
            rollout: rollout.to_owned(),
            at: None,
            seen: seen.into_iter().collect(),
        }
    }

    fn way_back(good: &[Good], repository: &str, head: &str, twin: Option<&str>) -> RollbackTarget {
        let decisions = Decisions {
            good: good.to_vec(),
            ..Decisions::default()
        };
        decisions.way_back(repository, head, twin)
    }

    #[test]
    fn what_was_not_seen_to_be_good_is_passed_over_with_the_reason() {
        let found = |commit: &str, is_seen| {
            Some(GoodCommit {
                commit: commit.to_owned(),
                is_seen,
            })
        };
        let all = [
            good("a", "", None),
            good("b", "", Some("")),
            good("c", "", Some("c1: web was refused")),
            good("c", "", Some("c1: web was Failed")),
            good("d", "", Some("c1: web was Failed")),
        ];
        let chosen = way_back(&all, "fleet", "d", None);
        assert_eq!(chosen.found, found("b", true));
        let doubt = "it is not known to be good: c1: web was Failed";
        let over = [("c".to_owned(), doubt.to_owned())];
        assert_eq!(chosen.passed_over, over, "its last word");
        assert_eq!(
            way_back(&all[..1], "fleet", "d", None).found,
            found("a", false)
        );
        assert_eq!(way_back(&all, "other", "d", None).found, None);
        let ill = way_back(&all[2..], "fleet", "d", None);
        assert_eq!((ill.found, ill.passed_over.len()), (None, 1));
        let rolled = [good("a", "prod-1", None), good("d", "prod-2", None)];
        assert_eq!(
            way_back(&rolled, "fleet", "d", None).found,
            found("a", true)
        );
        assert_eq!(
            way_back(&rolled, "fleet", "e", None).found,
            found("d", true)
        );
    }

    /// A second rollback does not bring back the commit that the first one undid.
    #[test]
    fn what_was_rolled_back_from_is_passed_over() {
        let all = [
            good("a", "prod-1", None),
            good("b", "prod-2", None),
            good("c", "prod-3", None),
            good("back-to-b", "prod-4", None),
        ];
        let chosen = way_back(&all, "fleet", "back-to-b", Some("b"));
        assert_eq!(chosen.found.unwrap().commit, "a");
        let over = [("c".to_owned(), "it was rolled back from".to_owned())];
        assert_eq!(chosen.passed_over, over);
        let chosen = way_back(&all[1..], "fleet", "back-to-b", Some("b"));
        assert_eq!(chosen.found, None);
        let chosen = way_back(&all[..2], "fleet", "like-b", Some("b"));
        assert_eq!(chosen.found.unwrap().commit, "b");
    }

    #[test]
    fn what_was_good_and_what_failed_is_known_by_repository() {
        let decisions = Decisions {
            good: vec![good("a", "prod-1", None), good("b", "prod-2", None)],
            quarantined: vec![Quarantine {
                commits: of("c"),
                rollout: "prod-3".to_owned(),
                reason: "1 failed".to_owned(),
                at: None,
            }],
            ..Decisions::default()
        };
        assert!(decisions.was_good("fleet", "a") && !decisions.was_good("fleet", "c"));
        assert!(!decisions.was_good("other", "a"));
        let newest: Vec<&str> = decisions.good_commits("fleet").collect();
        assert_eq!(newest, ["b", "a"]);
        let failed = decisions.failure_of("fleet", "c");
        assert_eq!(failed.map(|failed| failed.rollout.as_str()), Some("prod-3"));
        assert_eq!(decisions.failure_of("other", "c"), None);
        assert_eq!(decisions.failure_of("fleet", "a"), None);
    }
}

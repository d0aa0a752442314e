//! Whether a pull request may be merged: what its forge would require, and never less.

use flotilla_shared::revision::Commit;

use crate::pull::{Approval, Check, PullRequest, Required};
use crate::status::State;

/// Why a pull request may not be merged yet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotReady {
    /// It is closed.
    #[error("it is closed")]
    Closed,
    /// It is a draft.
    #[error("it is a draft")]
    Draft,
    /// Its branch is at another commit.
    #[error("its branch is not at the commit that was proven")]
    OtherCommit,
    /// It comes from a fork, which anybody can create.
    #[error("it comes from a fork")]
    Fork,
    /// Approvals are missing.
    #[error("{have} of {}", flotilla_shared::words::counted(*need, "approval"))]
    Approvals {
        /// Number of approvals.
        have: usize,
        /// Number of approvals that it needs.
        need: usize,
    },
    /// A check is missing or not green.
    #[error("check {0} is not green")]
    Check(String),
    /// Its merge would create another commit.
    #[error("it is marked to be squashed, which would merge another commit; clear that mark in it")]
    Squash,
    /// The forge reports that it cannot be merged.
    #[error("the forge reports that it cannot be merged")]
    Forge,
}

/// Checks whether a pull request may be merged at exactly this commit. At least one person other than its author has to
/// have approved it, whatever the branch requires. Returns who approved it.
///
/// # Errors
/// The first thing that is missing.
pub fn ready(
    pull: &PullRequest,
    commit: &Commit,
    required: &Required,
    approvals: &[Approval],
    checks: &[Check],
) -> Result<Vec<String>, NotReady> {
    if !pull.open || pull.merged {
        return Err(NotReady::Closed);
    }
    if pull.draft {
        return Err(NotReady::Draft);
    }
    if pull.from_fork {
        return Err(NotReady::Fork);
    }
    if !names(&pull.head_commit, commit) {
        return Err(NotReady::OtherCommit);
    }
    if pull.squash {
        return Err(NotReady::Squash);
    }
    let mut people: Vec<&str> = approvals
        .iter()
        .filter(|approval| approval.by != pull.author)
        .filter(|approval| {
            !required.fresh || approval.commit.is_empty() || names(&approval.commit, commit)
        })
        .map(|approval| approval.by.as_str())
        .collect();
    people.sort_unstable();
    people.dedup();
    let need = (required.approvals as usize).max(1);
    if people.len() < need {
        let have = people.len();
        return Err(NotReady::Approvals { have, need });
    }
    for name in &required.checks {
        let mut found = checks.iter().filter(|check| check.name == *name).peekable();
        // A name that occurs twice is green only if both checks are.
        if found.peek().is_none() || found.any(|check| check.state != State::Success) {
            return Err(NotReady::Check(name.clone()));
        }
    }
    if let Some(failed) = checks.iter().find(|check| check.state == State::Failure) {
        return Err(NotReady::Check(failed.name.clone()));
    }
    if pull.mergeable == Some(false) {
        return Err(NotReady::Forge);
    }
    Ok(people.into_iter().map(str::to_owned).collect())
}

/// Returns whether a text is this commit, possibly shortened to at least twelve digits.
fn names(text: &str, commit: &Commit) -> bool {
    text.len() >= 12 && commit.as_str().starts_with(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_is_missing_is_overlooked() {
        let commit: Commit = "1".repeat(40).parse().unwrap();
        let pull = PullRequest {
            open: true,
            head_commit: commit.to_string(),
            author: "ann".to_owned(),
            ..PullRequest::default()
        };
        let by = |name: &str, digit: &str| Approval {
            by: name.to_owned(),
            commit: digit.repeat(40),
        };
        let check = |name: &str, state| Check {
            name: name.to_owned(),
            state,
        };
        let required = Required {
            checks: vec!["build".to_owned()],
            approvals: 2,
            fresh: true,
        };
        let approvals = [by("bob", "1"), by("eve", "1")];
        let green = [
            check("build", State::Success),
            check("docs", State::Pending),
        ];
        let judge = |pull: &PullRequest, approvals: &[Approval], checks: &[Check]| {
            ready(pull, &commit, &required, approvals, checks)
        };
        let people = vec!["bob".to_owned(), "eve".to_owned()];
        assert_eq!(judge(&pull, &approvals, &green), Ok(people));
        let with = |change: fn(&mut PullRequest)| {
            let mut pull = pull.clone();
            change(&mut pull);
            judge(&pull, &approvals, &green).unwrap_err()
        };
        assert_eq!(with(|pull| pull.open = false), NotReady::Closed);
        assert_eq!(with(|pull| pull.merged = true), NotReady::Closed);
        assert_eq!(with(|pull| pull.draft = true), NotReady::Draft);
        assert_eq!(with(|pull| pull.from_fork = true), NotReady::Fork);
        assert_eq!(with(|pull| pull.squash = true), NotReady::Squash);
        assert_eq!(with(|pull| pull.mergeable = Some(false)), NotReady::Forge);
        assert_eq!(
            with(|pull| pull.head_commit = "2".repeat(40)),
            NotReady::OtherCommit
        );
        assert_eq!(with(|pull| pull.head_commit.clear()), NotReady::OtherCommit);
        assert_eq!(
            with(|pull| pull.head_commit.truncate(7)),
            NotReady::OtherCommit,
            "seven digits are easily made"
        );
        let few = |approvals: &[Approval]| judge(&pull, approvals, &green).unwrap_err();
        for approvals in [
            vec![],
            vec![by("bob", "1")],
            vec![by("bob", "1"), by("bob", "1")],
            vec![by("bob", "1"), by("ann", "1")],
            vec![by("bob", "1"), by("eve", "2")],
        ] {
            assert!(matches!(
                few(&approvals),
                NotReady::Approvals { need: 2, .. }
            ));
        }
        for checks in [
            vec![],
            vec![check("build", State::Pending)],
            vec![
                check("build", State::Success),
                check("build", State::Failure),
            ],
            vec![
                check("build", State::Success),
                check("docs", State::Failure),
            ],
        ] {
            let found = judge(&pull, &approvals, &checks).unwrap_err();
            assert!(matches!(found, NotReady::Check(_)), "{checks:?}");
        }
        // One approval is needed even if the branch requires none.
        let none = Required::default();
        let found = ready(&pull, &commit, &none, &[], &[]).unwrap_err();
        assert_eq!(found, NotReady::Approvals { have: 0, need: 1 });
    }
}

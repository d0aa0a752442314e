//! Errors for a branch that the Git server did not move, and for a pushed one whose pull request the forge did not
//! accept.

use flotilla_shared::revision::{BranchName, Commit};

use crate::error::Error;

/// Adds a hint to a failed push: `hint` where the server refuses; where another push came first, only to try again.
pub(super) fn refused(error: &Error, branch: &BranchName, hint: &str) -> Error {
    let message = format!("{error}\n{branch} was not moved");
    // A refusal of the server itself is reported as "remote rejected".
    let was_raced = matches!(error, Error::Git { detail, .. } if detail.contains("! [rejected]"));
    if was_raced {
        return Error::refused(message, format!("someone else moved it meanwhile: {hint}"));
    }
    Error::refused(message, hint)
}

/// The error for a pushed branch whose pull request failed. `page` is where a person can open one.
pub(super) fn proposed_not(
    error: &Error,
    (branch, commit): (&BranchName, &Commit),
    repository: &str,
    page: Option<String>,
) -> Error {
    let message = format!(
        "{error}\n{branch} of {repository} is pushed, at {}; no pull request was opened or \
         updated",
        commit.short()
    );
    let mut hint = "the same command continues from there".to_owned();
    if let Some(page) = page {
        hint = format!("{hint}, or open the pull request by hand: {page}");
    }
    if let Some(first) = error.hint() {
        hint = format!("{first}; {hint}");
    }
    Error::refused(message, hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_pushed_before_a_forge_said_no_is_told_with_both_ways_on() {
        let branch = "flotilla/promote-prod".parse().unwrap();
        let commit = "4".repeat(40).parse().unwrap();
        let page = "https://git.example.org/acme/fleet/compare/prod...flotilla/promote-prod";
        let refused = Error::refused("git.example.org: no answer", "see the token");
        let told = proposed_not(&refused, (&branch, &commit), "fleet", Some(page.to_owned()));
        let message = told.to_string();
        assert!(
            message.starts_with("git.example.org: no answer\n"),
            "{message}"
        );
        assert!(
            message.contains("flotilla/promote-prod of fleet is pushed, at 4444444;"),
            "{message}"
        );
        let hint = told.hint().unwrap();
        assert!(
            hint.starts_with("see the token; the same command continues") && hint.ends_with(page),
            "{hint}"
        );
        let alone = Error::Refused {
            message: "no".to_owned(),
            hint: None,
        };
        let hint = proposed_not(&alone, (&branch, &commit), "fleet", None).hint();
        assert_eq!(hint.unwrap(), "the same command continues from there");
    }

    #[test]
    fn a_branch_that_somebody_else_moved_is_told_from_a_server_that_says_no() {
        let hint = |detail: &str| {
            let error = Error::Git {
                what: "push".to_owned(),
                detail: detail.to_owned(),
            };
            refused(&error, &"prod".parse().unwrap(), "again").hint()
        };
        let raced = ":\n  ! [rejected]        fe64566 -> prod (fetch first)";
        let raced = hint(raced);
        assert_eq!(raced.unwrap(), "someone else moved it meanwhile: again");
        let refused = hint(":\n  ! [remote rejected] fe64566 -> prod (pre-receive hook declined)");
        assert_eq!(refused.unwrap(), "again");
    }
}

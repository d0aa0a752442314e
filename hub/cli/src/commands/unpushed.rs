//! What to say of a branch that the Git server did not let move.

use flotilla_shared::revision::BranchName;

use crate::error::Error;

/// With a way on. `hint` is for a server that says no; where somebody else was quicker, there is nothing
/// to do but to look again.
pub(super) fn refused(error: &Error, branch: &BranchName, hint: &str) -> Error {
    let message = format!("{error}\n{branch} was not moved");
    // What the server itself refuses is a "remote rejected".
    let was_raced = matches!(error, Error::Git { detail, .. } if detail.contains("! [rejected]"));
    if was_raced {
        return Error::refused(message, format!("somebody else moved it meanwhile: {hint}"));
    }
    Error::refused(message, hint)
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(raced.unwrap(), "somebody else moved it meanwhile: again");
        let refused = hint(":\n  ! [remote rejected] fe64566 -> prod (pre-receive hook declined)");
        assert_eq!(refused.unwrap(), "again");
    }
}

//! Branches that the hub cannot read: it knows only their earlier heads.

use flotilla_shared::reason::Reason;
use flotilla_status::{Environment, Promotion};

use super::super::repository;
use super::branches::concerned;
use crate::args::Promote;
use crate::client::Client;
use crate::error::Error;

/// A branch that the last read did not find, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct UnreadBranch {
    repository: String,
    branch: String,
    /// Code of the failure, from the hub.
    reason: String,
    message: String,
    /// The last good commit, or the last known head; empty: neither is known.
    last: String,
}

/// Returns the unreadable branches of a promotion's two environments.
pub(super) async fn branches(
    client: &Client,
    promotion: &Promotion,
    args: &Promote,
) -> Result<Vec<UnreadBranch>, Error> {
    let environments = client.environments().await?;
    let only = args.repository.as_deref();
    Ok(unread(&environments, &promotion.environment, only))
}

/// Filters the branches that a promotion reads for unreadable ones.
fn unread(environments: &[Environment], name: &str, only: Option<&str>) -> Vec<UnreadBranch> {
    let all = concerned(environments, name, only).into_iter();
    let failed = all.filter(|(_, branch)| !branch.reason.is_empty());
    let failed = failed.map(|(environment, branch)| {
        let head = branch.head.as_ref().map(|head| &head.commit);
        UnreadBranch {
            repository: branch.repository.clone(),
            branch: environment.branch.clone(),
            reason: branch.reason.clone(),
            message: branch.message.clone(),
            last: branch.good.as_ref().or(head).cloned().unwrap_or_default(),
        }
    });
    failed.collect()
}

/// Lists the unreadable branches with their reasons.
pub(super) fn named(unread: &[UnreadBranch]) -> String {
    let all: Vec<String> = unread
        .iter()
        .map(|branch| {
            let why = match branch.message.as_str() {
                "" => String::new(),
                message => format!(": {message}"),
            };
            format!(
                "{} of {} cannot be read ({}){why}",
                branch.branch, branch.repository, branch.reason
            )
        })
        .collect();
    all.join("; ")
}

/// Makes the error that it is not known whether there is something to promote, with a hint.
pub(super) async fn refused(
    client: &Client,
    promotion: &Promotion,
    unread: &[UnreadBranch],
) -> Error {
    let mut ways = Vec::new();
    for branch in unread.iter().filter(|branch| branch.is_gone()) {
        let url = repository::url(client, &branch.repository).await;
        let url = url.map_or_else(|_| "ORIGIN".to_owned(), |url| url.to_string());
        ways.push(branch.made(&url));
    }
    if ways.is_empty() {
        ways.push(format!(
            "`flotilla get environments` shows when they are read again; `flotilla explain {}` says more",
            promotion.environment
        ));
    }
    Error::refused(
        format!(
            "cannot tell whether there is something to promote from {} to {}: {}",
            promotion.promotes_from,
            promotion.environment,
            named(unread)
        ),
        ways.join("; "),
    )
}

impl UnreadBranch {
    /// Whether the repository was read, but has no such branch.
    fn is_gone(&self) -> bool {
        self.reason == Reason::BranchNotFound.as_str()
    }

    /// Returns the command that creates the branch again.
    fn made(&self, url: &str) -> String {
        let commit = match self.last.as_str() {
            "" => "COMMIT",
            last => last,
        };
        format!(
            "create {} again: git push {url} {commit}:refs/heads/{}",
            self.branch, self.branch
        )
    }
}

#[cfg(test)]
mod tests {
    use flotilla_proto::v1;

    use super::*;

    fn branch(repository: &str, name: &str, reason: &str, approved: &str) -> v1::BranchStatus {
        v1::BranchStatus {
            revision: Some(v1::Revision {
                repository: repository.to_owned(),
                branch: name.to_owned(),
                commit: "2".repeat(40),
            }),
            reason: reason.to_owned(),
            message: format!("why {name}"),
            approved: approved.to_owned(),
            ..v1::BranchStatus::default()
        }
    }

    fn environment(name: &str, from: &str, branches: Vec<v1::BranchStatus>) -> Environment {
        Environment::from(&v1::EnvironmentStatus {
            name: name.to_owned(),
            branch: name.to_owned(),
            promotes_from: from.to_owned(),
            branches,
            ..v1::EnvironmentStatus::default()
        })
    }

    #[test]
    fn a_branch_that_is_gone_is_named_with_what_makes_it_anew() {
        let good = "1".repeat(40);
        let all = [
            environment("dev", "", vec![branch("fleet", "dev", "", &good)]),
            environment(
                "prod",
                "dev",
                vec![
                    branch("fleet", "prod", "BranchNotFound", &good),
                    branch("unused", "prod", "BranchNotFound", ""),
                ],
            ),
            environment(
                "stage",
                "dev",
                vec![branch("fleet", "stage", "BranchNotFound", "")],
            ),
        ];
        let found = unread(&all, "prod", None);
        let [gone] = found.as_slice() else {
            panic!("{found:?}");
        };
        assert_eq!(
            named(&found),
            "prod of fleet cannot be read (BranchNotFound): why prod"
        );
        assert!(gone.is_gone());
        assert_eq!(
            gone.made("https://git.example.org/fleet"),
            format!(
                "create prod again: git push https://git.example.org/fleet {good}:refs/heads/prod"
            )
        );
    }

    #[test]
    fn where_nothing_is_sent_anywhere_yet_every_branch_counts() {
        let source = branch("fleet", "dev", "RepositoryUnavailable", "");
        let target = branch("fleet", "prod", "", "");
        let all = [
            environment("dev", "", vec![source]),
            environment("prod", "dev", vec![target]),
            environment("lab", "prod", vec![branch("fleet", "lab", "", "")]),
        ];
        let found = unread(&all, "prod", None);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(!found[0].is_gone());
        let of_others = unread(&all, "lab", None);
        assert!(of_others.is_empty(), "{of_others:?}");
    }
}

//! Recent pushes: the hub polls branches, and would otherwise answer with their earlier heads.

use std::time::Duration;

use flotilla_shared::revision::{BranchName, Commit, RepositoryUrl};
use flotilla_status::{Environment, Revision, digits};
use futures::{StreamExt as _, stream};
use tokio::time::{Instant, timeout};

use super::super::repository;
use super::branches::concerned;
use super::refresh;
use crate::args::Promote;
use crate::client::Client;
use crate::error::Error;
use crate::git::Workspace;
use crate::printer::Printer;
use crate::reader;

/// Time limit of reading one branch from Git, and of reading the hub's state.
const ASK: Duration = Duration::from_secs(10);
/// Number of branches that are read concurrently.
const AT_ONCE: usize = 4;
/// Longest time that the hub is given to read the branches.
const READ: Duration = Duration::from_secs(15);
/// Interval at which the hub's state is read.
const LOOK: Duration = Duration::from_millis(200);

/// Has the hub read the branches of a promotion's two environments where Git has another head than the hub. Branches
/// that need a password are skipped: the commits to move are checked later in any case.
pub(super) async fn catch_up(
    client: &Client,
    args: &Promote,
    printer: &Printer,
) -> Result<(), Error> {
    let known = heads(&client.environments().await?, args);
    // Shared by all, since they only list refs of the server.
    let Ok(workspace) = Workspace::new(args.branch.repo_dir.as_deref()).await else {
        return Ok(());
    };
    let Ok(urls) = repository::urls(client).await else {
        return Ok(());
    };
    let (workspace, urls) = (&workspace, &urls);
    let mut behind: Vec<(Revision, Commit)> = stream::iter(known)
        .map(|head| async move {
            let now = in_git(urls.get(&head.repository)?, &head, workspace).await?;
            (now.as_str() != head.commit).then_some((head, now))
        })
        .buffered(AT_ONCE)
        .filter_map(|head| async move { head })
        .collect()
        .await;
    if behind.is_empty() {
        return Ok(());
    }
    for (head, now) in &behind {
        printer.say(&format!(
            "{} of {} is at {} in Git, and the hub has read {} there; asking it to read again",
            head.branch,
            head.repository,
            now.short(),
            digits(&head.commit)
        ));
    }
    if refresh(client, args.environment.as_str(), printer).await {
        behind = until_read(client, args, behind).await?;
    }
    for (head, now) in &behind {
        printer.warn(&format!(
            "the hub still knows {} as the head of {} of {}, not {}: `flotilla get environments` shows when it reads it",
            digits(&head.commit),
            head.branch,
            head.repository,
            now.short()
        ));
    }
    Ok(())
}

/// Waits until the hub has read the heads that Git has; returns those that it has not read within the time limit. A hub
/// that does not answer (it may be restarting) has not read them yet.
async fn until_read(
    client: &Client,
    args: &Promote,
    mut behind: Vec<(Revision, Commit)>,
) -> Result<Vec<(Revision, Commit)>, Error> {
    let deadline = Instant::now() + READ.min(args.wait_timeout);
    loop {
        if let Ok(Ok(environments)) = timeout(ASK, client.environments()).await {
            let known = heads(&environments, args);
            behind.retain(|(head, _)| known.contains(head));
        }
        if behind.is_empty() || Instant::now() >= deadline {
            return Ok(behind);
        }
        reader::pause(LOOK).await?;
    }
}

/// Returns the heads of a promotion's branches as the hub read them; none for unreadable branches.
fn heads(environments: &[Environment], args: &Promote) -> Vec<Revision> {
    let (name, only) = (args.environment.as_str(), args.repository.as_deref());
    let all = concerned(environments, name, only).into_iter();
    let read = all.filter(|(_, branch)| branch.reason.is_empty());
    read.filter_map(|(_, branch)| branch.head.clone()).collect()
}

/// Returns the head of a branch in Git; none: not available.
async fn in_git(url: &str, head: &Revision, workspace: &Workspace) -> Option<Commit> {
    let url: RepositoryUrl = url.parse().ok()?;
    let branch: BranchName = head.branch.parse().ok()?;
    let asked = timeout(ASK, workspace.remote_head_unprompted(&url, &branch)).await;
    asked.ok()?.ok()?
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use flotilla_proto::v1;

    use super::*;
    use crate::args::{Args, Command};

    fn branch(repository: &str, branch: &str, reason: &str, approved: &str) -> v1::BranchStatus {
        v1::BranchStatus {
            revision: Some(v1::Revision {
                repository: repository.to_owned(),
                branch: branch.to_owned(),
                commit: "2".repeat(40),
            }),
            reason: reason.to_owned(),
            approved: approved.to_owned(),
            ..v1::BranchStatus::default()
        }
    }

    fn environment(name: &str, from: &str, branches: Vec<v1::BranchStatus>) -> Environment {
        Environment::from(&v1::EnvironmentStatus {
            name: name.to_owned(),
            promotes_from: from.to_owned(),
            branches,
            ..v1::EnvironmentStatus::default()
        })
    }

    #[test]
    fn what_is_read_and_used_in_both_environments_counts() {
        let all = [
            environment(
                "dev",
                "",
                vec![
                    branch("fleet", "dev", "", "1"),
                    branch("base", "dev", "RepositoryUnavailable", "1"),
                    branch("unused", "dev", "", ""),
                ],
            ),
            environment(
                "stage",
                "dev",
                vec![
                    branch("fleet", "stage", "", "1"),
                    branch("base", "stage", "", "1"),
                    branch("unused", "stage", "", ""),
                ],
            ),
            environment("prod", "stage", vec![branch("fleet", "prod", "", "1")]),
        ];
        let named = |arguments: &[&str]| -> Vec<String> {
            let words = ["flotilla", "promote", "stage"].iter().chain(arguments);
            let Command::Promote(args) = Args::parse_from(words).command else {
                panic!("another command");
            };
            let heads = heads(&all, &args);
            let names = heads.iter().map(|head| (&head.repository, &head.branch));
            names.map(|(of, branch)| format!("{of}/{branch}")).collect()
        };
        assert_eq!(named(&[]), ["fleet/dev", "fleet/stage", "base/stage"]);
        assert_eq!(named(&["--repository", "base"]), ["base/stage"]);
    }
}

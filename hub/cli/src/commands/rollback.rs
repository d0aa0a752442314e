//! `rollback`: a commit with the content of the last good one, on top of the branch, with the user's
//! own git. History is kept, and agents that refuse to go back in history need no exception.

use flotilla_proto::v1;
use flotilla_shared::revision::{BranchName, Commit};

use super::{approval, commit, promote, repository, rollout, steer, unpushed};
use crate::args::RollbackArgs;
use crate::client::Client;
use crate::error::Error;
use crate::git::Workspace;
use crate::printer::Printer;

pub(super) async fn run(
    client: &Client,
    args: RollbackArgs,
    printer: &Printer,
) -> Result<(), Error> {
    let name = args.environment.to_string();
    let environments = client.environments().await?;
    let environment = environments
        .iter()
        .find(|one| one.name == name)
        .ok_or_else(|| {
            Error::refused(
                format!("there is no environment {name}"),
                "`flotilla get environments` lists them",
            )
        })?;
    let revisions: Vec<&v1::Revision> = environment
        .branches
        .iter()
        .filter_map(|branch| branch.revision.as_ref())
        .filter(|revision| {
            args.repository
                .as_ref()
                .is_none_or(|only| *only == revision.repository)
        })
        .collect();
    let [revision] = revisions.as_slice() else {
        return Err(Error::refused(
            format!("{} repositories could be meant", revisions.len()),
            "name one with --repository",
        ));
    };
    let url = repository::url(client, &revision.repository).await?;
    let branch: BranchName = revision.branch.parse()?;
    let workspace = Workspace::new(args.repo_dir.as_deref()).await?;
    let head = workspace.fetch(&url, &branch).await?;
    let to = match &args.to {
        Some(prefix) => match prefix.whole() {
            Some(commit) => commit,
            None => {
                let found = workspace.find(prefix.as_str(), &head).await?;
                commit::one(prefix, &found)?.ok_or_else(|| {
                    Error::refused(
                        format!("no commit of the branch begins with {prefix}"),
                        "`flotilla rollout list` shows what was there",
                    )
                })?
            }
        },
        None => last_good(client, &name, &revision.repository, &head, printer).await?,
    };
    if !workspace.is_ancestor(&to, &head).await? || to == head {
        return Err(Error::refused(
            format!(
                "{} is not before the head of {branch}, {}",
                to.short(),
                head.short()
            ),
            "name a commit of the branch's own history with --to",
        ));
    }
    if let Some(key) = &args.signing.sign {
        let life = args.signing.approval_expires;
        let wish = approval::Wish {
            subject: approval::Subject::Environment(&name),
            repository: &revision.repository,
            url: &url,
            to: &to,
            life,
        };
        let said = approval::make(client, &wish, printer).await?;
        if args.dry_run {
            return Ok(());
        }
        if !args.yes && !printer.ask(&format!("\nSign this, and pin {name} on it?"))? {
            return Err(Error::Refused {
                message: "nothing was changed".to_owned(),
                hint: None,
            });
        }
        let request = v1::SteerRequest {
            action: v1::SteerAction::Pin.into(),
            environment: name.clone(),
            repository: revision.repository.clone(),
            commit: to.to_string(),
            reason: args.reason,
            approval: Some(approval::sign(&said, key).await?),
            ..v1::SteerRequest::default()
        };
        steer::send(client, request).await?;
        printer.say(&format!(
            "{name} is pinned on {}; `flotilla unpin --env {name}` goes forward again",
            to.short()
        ));
        return Ok(());
    }
    let undone = workspace.log(Some(&to), &head).await?;
    printer.say(&format!(
        "{branch} of {}: content of {} on top of {}, which undoes {} commit{}:",
        revision.repository,
        to.short(),
        head.short(),
        undone.count,
        if undone.count == 1 { "" } else { "s" }
    ));
    for line in &undone.lines {
        printer.say(&format!("  {}", crate::view::text(line)));
    }
    if args.dry_run {
        return Ok(());
    }
    if !args.yes && !printer.ask(&format!("\nRoll {name} back?"))? {
        return Err(Error::Refused {
            message: "nothing was changed".to_owned(),
            hint: None,
        });
    }
    let message = format!(
        "Roll {name} back to {}\n\n{}\n\nThis has the content of commit {to}.\n",
        to.short(),
        args.reason
    );
    let commit = workspace.commit_content_of(&to, &head, &message).await?;
    // The hub hears of it first, so that its gates let the way back in when it sees the branch.
    let request = v1::SteerRequest {
        action: v1::SteerAction::Rollback.into(),
        environment: name.clone(),
        repository: revision.repository.clone(),
        commit: commit.to_string(),
        to_commit: to.to_string(),
        reason: args.reason.clone(),
        ..v1::SteerRequest::default()
    };
    steer::send(client, request).await?;
    let pushed = workspace.push(&url, &commit, &branch).await;
    pushed.map_err(|error| {
        let hint = format!(
            "run the command again, it begins from what is there then. The hub was told beforehand, and \
             lets no automatic promotion into {name} until `flotilla resume {name}`"
        );
        unpushed::refused(&error, &branch, &hint)
    })?;
    printer.say(&format!("moved {branch} to {}", commit.short()));
    let before = environments
        .iter()
        .find(|one| one.name == environment.promotes_from)
        .and_then(|one| one.branch.parse::<BranchName>().ok());
    if let Some(before) = before {
        printer.say(&format!(
            "{branch} now has a commit that {before} lacks. To go forward again: {}",
            promote::forward(&branch, &before)
        ));
    }
    let refresh = client.request(v1::RefreshRequest { environment: name });
    if let Err(status) = client.api().refresh(refresh).await {
        let error = Error::from(status);
        printer.warn(&format!("the hub will see it at its next look ({error})"));
    }
    Ok(())
}

async fn last_good(
    client: &Client,
    environment: &str,
    repository: &str,
    head: &Commit,
    printer: &Printer,
) -> Result<Commit, Error> {
    let (rollout, decisions) = rollout::get(client, environment).await?;
    let good = decisions.good.iter().rev().flat_map(|good| {
        good.commits
            .iter()
            .filter(|one| one.repository == repository && one.commit != head.as_str())
    });
    let Some(found) = good.map(|one| one.commit.clone()).next() else {
        return Err(Error::refused(
            format!("the hub knows no other good commit of {environment}"),
            "name one with --to",
        ));
    };
    if rollout.is_none() {
        printer.warn(&format!(
            "{environment} has no rollouts, so that nobody knows whether a commit was good there; --to \
             names another than the one before"
        ));
    }
    Ok(found.parse()?)
}

//! `promote`: preview, confirm, wait for gates, fast-forward, follow.

mod behind;
mod branches;
mod follow;
mod gates;
mod unread;

use flotilla_forge::{Repository, Secret};
use flotilla_proto::v1;
use flotilla_shared::revision::{BranchName, Commit, RepositoryUrl};
use flotilla_status::{FleetPlan, Move, Promotion};
use tokio::time::Instant;

use self::follow::Arrival;
use self::gates::{Timing, WaitOutcome};
use super::{commit, overriding, plan, steer, unpushed};
use crate::args::Promote;
use crate::client::Client;
use crate::error::Error;
use crate::forge;
use crate::git::Workspace;
use crate::printer::Printer;
use crate::pulls;
use crate::render;

/// Alternative for a repository without a supported forge.
const NO_FORGE: &str = "promote without --pull-request";

/// The move of one repository, fetched and checked.
struct CheckedMove {
    url: RepositoryUrl,
    target: BranchName,
    to: Commit,
    workspace: Workspace,
}

pub(super) async fn run(client: &Client, args: Promote, printer: &Printer) -> Result<(), Error> {
    // Read first: a missing file does not depend on gates and branches.
    let file = args.forge_token_file.as_deref();
    let token = file.filter(|_| args.pull_request).map(pulls::token);
    let token = token.transpose()?;
    behind::catch_up(client, &args, printer).await?;
    // A hotfix that is already on the branch needs no move.
    if args.force && overriding::is_there(client, &args).await? {
        return overriding::run(client, &args, printer).await;
    }
    let mut promotion = preview(client, &args).await?;
    if promotion.moves.is_empty() {
        if args.force {
            return overriding::run(client, &args, printer).await;
        }
        return nothing_to_move(client, &promotion, &args, printer).await;
    }
    let mut checked = Vec::new();
    for moved in &mut promotion.moves {
        checked.push(check(moved, &args).await?);
    }
    let structured = args.output.output.is_structured();
    if structured {
        printer.value(args.output.output, &promotion)?;
    } else {
        let columns = printer.columns();
        printer.out(&render::promotion(&promotion, printer.paint, columns))?;
    }
    let go = gates::judge(&promotion, &args, printer)?;
    if args.dry_run {
        return Ok(());
    }
    if !args.branch.yes {
        consent(&promotion, &args, go, printer)?;
    }
    if args.pull_request {
        return propose(client, &checked, &promotion, token.as_ref(), &args, printer).await;
    }
    let deadline = Instant::now() + args.wait_timeout;
    if go == Timing::Later {
        let opened = gates::wait(client, &promotion, &args, deadline, printer).await?;
        checked.clear();
        if opened == WaitOutcome::Moved {
            printer.say("it was moved there by someone else meanwhile");
        } else {
            // Checked again, because the branches may have changed during the wait.
            for moved in &mut promotion.moves {
                checked.push(check(moved, &args).await?);
            }
        }
    }
    announce(client, &promotion, &checked, &args, printer).await?;
    for (ready, shown) in checked.iter().zip(&promotion.moves) {
        let pushed = ready
            .workspace
            .push(&ready.url, &ready.to, &ready.target)
            .await;
        pushed.map_err(|error| {
            let hint = format!(
                "`flotilla promote {}` starts from the new state; if the branch does not accept \
                 pushes, --pull-request pushes a branch of its own",
                args.environment
            );
            unpushed::refused(&error, &ready.target, &hint)
        })?;
        printer.say(&format!(
            "moved {} of {} to {}",
            ready.target,
            shown.repository,
            ready.to.short()
        ));
    }
    refresh(client, args.environment.as_str(), printer).await;
    if args.wait {
        let arrival = Arrival {
            client,
            promotion: &promotion,
            args: &args,
            deadline,
            printer,
        };
        return arrival.until_there().await;
    }
    Ok(())
}

/// Handles branches that already have the requested commits: waits for the clusters, or reports it.
async fn nothing_to_move(
    client: &Client,
    promotion: &Promotion,
    args: &Promote,
    printer: &Printer,
) -> Result<(), Error> {
    let is_there = format!(
        "{} already has what {} has",
        promotion.environment, promotion.promotes_from
    );
    let unread = unread::branches(client, promotion, args).await?;
    // An interrupted or second caller may still wait for the clusters.
    if args.wait && !args.dry_run && !args.pull_request {
        if !unread.is_empty() {
            printer.warn(&format!("as last seen: {}", unread::named(&unread)));
        }
        printer.say(&format!("{is_there}; waiting for its clusters"));
        let moved = follow::already_moved(client, promotion).await?;
        let arrival = Arrival {
            client,
            promotion: &moved,
            args,
            deadline: Instant::now() + args.wait_timeout,
            printer,
        };
        return arrival.until_there().await;
    }
    if !unread.is_empty() {
        return Err(unread::refused(client, promotion, &unread).await);
    }
    Err(Error::refused(
        format!("there is nothing to promote: {is_there}"),
        format!(
            "`flotilla explain {}` shows why it is on its commit; --force --reason TEXT \
             overrides gates that hold it back there, --wait waits for its clusters",
            args.environment
        ),
    ))
}

/// Asks whether to move the branches.
fn consent(
    promotion: &Promotion,
    args: &Promote,
    go: Timing,
    printer: &Printer,
) -> Result<(), Error> {
    let branches: Vec<&str> = promotion
        .moves
        .iter()
        .map(|moved| moved.target_branch.as_str())
        .collect();
    let branches = branches.join(", ");
    let question = match go {
        _ if args.pull_request => format!("\nPush for pull requests into {branches}?"),
        Timing::Now => format!("\nMove {branches}?"),
        Timing::Later => format!("\nMove {branches} once the gates are open?"),
    };
    printer.consent(&question, "nothing was moved")
}

/// Asks the hub to read an environment's branches now; returns whether the hub accepted that. Only a hint: the hub also
/// polls, so a failure does not matter.
pub(super) async fn refresh(client: &Client, environment: &str, printer: &Printer) -> bool {
    let request = client.request(v1::RefreshRequest {
        environment: environment.to_owned(),
    });
    match client.api().refresh(request).await {
        Ok(_) => true,
        Err(status) => {
            let error = Error::from(status);
            printer.warn(&format!(
                "the hub will read the branch at its next poll ({error})"
            ));
            false
        }
    }
}

/// Pushes each commit as a branch of its own, and prints where to open its pull request. The branch of the environment
/// moves when that is merged.
async fn propose(
    client: &Client,
    checked: &[CheckedMove],
    promotion: &Promotion,
    token: Option<&Secret>,
    args: &Promote,
    printer: &Printer,
) -> Result<(), Error> {
    for (ready, shown) in checked.iter().zip(&promotion.moves) {
        if let Some(token) = token {
            let plan = match args.plan {
                true => Some(planned(client, shown, args, printer).await?),
                false => None,
            };
            open(ready, shown, token, promotion, plan.as_ref(), args, printer).await?;
            continue;
        }
        // Named by the commit, so that a later push to the environment before does not change it.
        let branch: BranchName =
            format!("promote-{}-{}", args.environment, ready.to.short()).parse()?;
        let page = forge::page(&ready.url, args.forge, &branch, &ready.target)
            .map_err(|error| forge::no_place(&error, NO_FORGE))?;
        ready.workspace.push(&ready.url, &ready.to, &branch).await?;
        printer.out(&format!("{page}\n"))?;
    }
    printer.warn(
        "merge it by fast-forward if the forge can: another commit counts as proven only with \
         exactly the same files",
    );
    Ok(())
}

/// Returns the effect of a move, as planned by the environment's agents.
async fn planned(
    client: &Client,
    shown: &Move,
    args: &Promote,
    printer: &Printer,
) -> Result<FleetPlan, Error> {
    let request = v1::StartPlanRequest {
        environment: args.environment.to_string(),
        repository: shown.repository.clone(),
        branch: shown.source_branch.clone(),
        commit: shown.to_commit.clone(),
        ..v1::StartPlanRequest::default()
    };
    plan::ask(client, request, printer).await
}

/// Opens the environment's pull request with the forge's API, or updates the open one.
async fn open(
    ready: &CheckedMove,
    shown: &Move,
    token: &Secret,
    promotion: &Promotion,
    plan: Option<&FleetPlan>,
    args: &Promote,
    printer: &Printer,
) -> Result<(), Error> {
    let kind = args.forge.map(Into::into);
    let at = Repository::at(&ready.url, kind, args.forge_api.as_deref());
    let at = at.map_err(|error| forge::no_place(&error, NO_FORGE))?;
    let forge = pulls::Forge::open(at, token.clone())?;
    // One branch for each environment, so that the same pull request is updated.
    let branch: BranchName = format!("flotilla/promote-{}", args.environment).parse()?;
    ready
        .workspace
        .replace(&ready.url, &ready.to, &branch)
        .await?;
    let proposed = forge.propose(&branch, &ready.target, promotion, shown, plan);
    let (pull, written) = proposed.await.map_err(|error| {
        let page = forge::page(&ready.url, args.forge, &branch, &ready.target);
        unpushed::proposed_not(&error, (&branch, &ready.to), &shown.repository, page.ok())
    })?;
    let word = match written {
        pulls::Outcome::First => "opened",
        pulls::Outcome::Anew => "updated",
    };
    printer.say(&format!(
        "{word} pull request {} of {}",
        pull.number, shown.repository
    ));
    printer.out(&format!("{}\n", pull.link))
}

/// Tells the hub before the branch moves: it checks the right, records the actor, and lets an overridden commit through
/// its own gates.
async fn announce(
    client: &Client,
    promotion: &Promotion,
    checked: &[CheckedMove],
    args: &Promote,
    printer: &Printer,
) -> Result<(), Error> {
    let reason = args.reason.clone().unwrap_or_default();
    for (ready, repository) in checked.iter().zip(&promotion.moves) {
        let mut actions = vec![v1::SteerAction::Promote];
        if args.force {
            actions.push(v1::SteerAction::Override);
        }
        for action in actions {
            let request = v1::SteerRequest {
                action: action.into(),
                environment: args.environment.to_string(),
                repository: repository.repository.clone(),
                commit: ready.to.to_string(),
                reason: reason.clone(),
                ..v1::SteerRequest::default()
            };
            match steer::send(client, request).await {
                Err(Error::Hub {
                    code: tonic::Code::Unimplemented,
                    ..
                }) => printer.warn("the hub is older and does not record this"),
                other => {
                    other?;
                }
            }
        }
    }
    Ok(())
}

async fn preview(client: &Client, args: &Promote) -> Result<Promotion, Error> {
    let commit = match &args.commit {
        None => None,
        Some(prefix) => {
            let place = commit::CommitScope {
                environment: args.environment.as_str(),
                repository: args.repository.as_deref(),
            };
            let whole = commit::whole(client, &place, prefix).await?;
            Some(whole.to_string())
        }
    };
    let request = client.request(v1::PreviewPromotionRequest {
        environment: args.environment.to_string(),
        commit: commit.clone().unwrap_or_default(),
        repository: args.repository.clone().unwrap_or_default(),
    });
    let wire = client.api().preview_promotion(request).await?.into_inner();
    let mut promotion = Promotion::from(&wire);
    if let Some(only) = &args.repository {
        promotion.moves.retain(|moved| moved.repository == *only);
    }
    if commit.is_some() && promotion.moves.len() > 1 {
        let names: Vec<&str> = promotion
            .moves
            .iter()
            .map(|moved| moved.repository.as_str())
            .collect();
        return Err(Error::refused(
            format!(
                "a commit is in one repository, and this fleet has {}",
                names.join(", ")
            ),
            "name it with --repository",
        ));
    }
    Ok(promotion)
}

/// Describes how a branch that was rolled back, or repaired directly, can be fast-forwarded again.
pub(super) fn forward(target: &BranchName, source: &BranchName) -> String {
    format!(
        "merge it into the branch where your changes begin, and promote that: `git fetch && git \
         merge -s ours origin/{target}` keeps the content of {source}, plain `git merge \
         origin/{target}` merges its content too"
    )
}

/// Reads the commits from Git itself, so that the hub's answer is not trusted for what moves.
async fn check(moved: &mut Move, args: &Promote) -> Result<CheckedMove, Error> {
    let url: RepositoryUrl = moved.url.parse()?;
    let source: BranchName = moved.source_branch.parse()?;
    let target: BranchName = moved.target_branch.parse()?;
    let to: Commit = moved.to_commit.parse()?;
    let workspace = Workspace::new(args.branch.repo_dir.as_deref()).await?;
    let head = workspace.fetch(&url, &source).await?;
    if !workspace.has(&to).await? || !workspace.is_ancestor(&to, &head).await? {
        return Err(Error::refused(
            format!(
                "commit {} is not on branch {source} of {}",
                to.short(),
                moved.repository
            ),
            "only commits on the branch of the environment before can be promoted",
        ));
    }
    let from = workspace.remote_head(&url, &target).await?;
    moved.from_commit = from.as_ref().map(ToString::to_string).unwrap_or_default();
    if let Some(from) = &from {
        workspace.fetch(&url, &target).await?;
        if *from != to && workspace.is_ancestor(&to, from).await? {
            return Err(Error::refused(
                format!(
                    "{target} of {} is already past {}: it is at {}",
                    moved.repository,
                    to.short(),
                    from.short()
                ),
                format!(
                    "to go back: flotilla rollback {} --reason TEXT",
                    args.environment
                ),
            ));
        }
        if !workspace.is_ancestor(from, &to).await? {
            return Err(Error::refused(
                format!(
                    "{target} of {} cannot be fast-forwarded from {} to {}: it has commits that \
                     {source} lacks",
                    moved.repository,
                    from.short(),
                    to.short()
                ),
                match (args.force, &args.commit) {
                    (true, None) => format!(
                        "to let in what is already on {target}: flotilla promote {} --force \
                         --commit {} --reason TEXT; otherwise {}",
                        args.environment,
                        from.short(),
                        forward(&target, &source)
                    ),
                    _ => forward(&target, &source),
                },
            ));
        }
    }
    let log = workspace.log(from.as_ref(), &to).await?;
    moved.commits = log
        .lines
        .iter()
        .map(|line| flotilla_status::text(line))
        .collect();
    moved.commit_count = log.count;
    Ok(CheckedMove {
        url,
        target,
        to,
        workspace,
    })
}

//! `flotilla plan`: asks an environment's agents what a commit would change.
//!
//! Exit code 0: no cluster would change. 1: some would, and every cluster would accept it. 2: some cluster did not
//! answer, or would refuse it.

use std::time::Duration;

use flotilla_forge::{Kind, Repository, Secret};
use flotilla_proto::v1;
use flotilla_shared::revision::{BranchName, Commit, RepositoryUrl};
use flotilla_status::{Answer, FleetPlan};
use tonic::Code;

use super::commit::{self, CommitScope};
use super::patience::Patience;
use crate::args::PlanArgs;
use crate::client::Client;
use crate::error::Error;
use crate::git::Workspace;
use crate::printer::Printer;
use crate::reader;
use crate::{forge, pulls, render};

/// Interval at which a plan is read, if the hub itself does not wait.
const LOOK: Duration = Duration::from_millis(200);

pub(super) async fn run(client: &Client, args: PlanArgs, printer: &Printer) -> Result<(), Error> {
    // Read first: otherwise a missing file would only be reported after the plan.
    let file = args.forge_token_file.as_deref();
    let token = args.comment.and(file).map(pulls::token).transpose()?;
    let commit = commit(client, &args).await?;
    let request = v1::StartPlanRequest {
        environment: args.environment.to_string(),
        repository: args.repository.clone().unwrap_or_default(),
        branch: args
            .branch
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        commit: commit.to_string(),
        application: args
            .application
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        wait_seconds: args
            .wait
            .map_or(0, |wait| u32::try_from(wait.as_secs()).unwrap_or(u32::MAX)),
    };
    let plan = ask(client, request, printer).await?;
    match args.output.plain() {
        None => printer.out(&render::plan_markdown(&plan, Kind::Github))?,
        Some(output) if output.is_structured() => printer.value(output, &plan)?,
        Some(_) => printer.out(&render::plan(&plan, printer.paint))?,
    }
    if let (Some(number), Some(token)) = (args.comment, token) {
        tell(client, &args, &plan, number, token, printer).await?;
    }
    match plan.answer {
        Answer::Nothing => Ok(()),
        Answer::Changes => Err(Error::Differs),
        Answer::CannotSay => Err(Error::Unseen),
    }
}

/// Requests a plan, and waits for its end.
pub(super) async fn ask(
    client: &Client,
    request: v1::StartPlanRequest,
    printer: &Printer,
) -> Result<FleetPlan, Error> {
    let call = client.request(request);
    let started = client.api().start_plan(call).await?.into_inner();
    let mut wire = started.plan.ok_or(Error::Answer("the plan"))?;
    let id = wire.id.clone();
    let mut told = None;
    let mut patience = Patience::default();
    while !wire.done {
        if told != Some(wire.waiting) {
            let answered: usize = wire.groups.iter().map(|group| group.clusters.len()).sum();
            printer.say(&format!("{answered} answered, {} to come", wire.waiting));
            told = Some(wire.waiting);
        }
        let call = client.request(v1::GetPlanRequest { id: id.clone() });
        match client.api().get_plan(call).await {
            Ok(answer) => {
                patience.answered(printer);
                wire = answer.into_inner().plan.ok_or(Error::Answer("the plan"))?;
                if !wire.done {
                    reader::pause(LOOK).await?;
                }
            }
            Err(status) if status.code() == Code::NotFound => {
                return Err(Error::refused(
                    "the hub restarted while the plan was made, or another replica leads now; \
                     plans are kept in memory only. No cluster was changed",
                    "run the same command again",
                ));
            }
            Err(status) => patience.wait(status.into(), printer).await?,
        }
    }
    Ok(FleetPlan::from(&wire))
}

/// Returns the commit to plan: by its digits, or the head of a branch in Git.
async fn commit(client: &Client, args: &PlanArgs) -> Result<Commit, Error> {
    if let Some(prefix) = &args.commit {
        let place = CommitScope {
            environment: args.environment.as_str(),
            repository: args.repository.as_deref(),
        };
        return commit::whole(client, &place, prefix).await;
    }
    let branch = args
        .branch
        .as_ref()
        .ok_or_else(|| Error::refused("no commit to plan", "name --commit or --branch"))?;
    head(client, args.repository.as_deref(), branch).await
}

async fn head(
    client: &Client,
    repository: Option<&str>,
    branch: &BranchName,
) -> Result<Commit, Error> {
    let request = client.request(v1::ListRepositoriesRequest {});
    let known = client.api().list_repositories(request).await?.into_inner();
    let meant = known.repositories.iter();
    let mut meant = meant.filter(|found| repository.is_none_or(|name| found.name == name));
    let found = match (meant.next(), meant.next()) {
        (Some(found), None) => found,
        (None, _) => {
            return Err(Error::refused(
                format!(
                    "the fleet has no repository {}",
                    repository.unwrap_or_default()
                ),
                "name one of the fleet file with --repository",
            ));
        }
        (Some(_), Some(_)) => {
            return Err(Error::refused(
                "a branch is in one repository, and this fleet has several",
                "name it with --repository",
            ));
        }
    };
    let url: RepositoryUrl = found.url.parse()?;
    let workspace = Workspace::new(None).await?;
    workspace.remote_head(&url, branch).await?.ok_or_else(|| {
        Error::refused(
            format!("{} has no branch {branch}", found.name),
            "push it first",
        )
    })
}

/// Writes the plan into a pull request.
async fn tell(
    client: &Client,
    args: &PlanArgs,
    plan: &FleetPlan,
    number: u64,
    token: Secret,
    printer: &Printer,
) -> Result<(), Error> {
    let revision = plan.revision.as_ref();
    let name = revision
        .map(|revision| revision.repository.as_str())
        .unwrap_or_default();
    let request = client.request(v1::ListRepositoriesRequest {});
    let known = client.api().list_repositories(request).await?.into_inner();
    let found = known.repositories.iter().find(|found| found.name == name);
    let found = found.ok_or(Error::Answer("the repository of the plan"))?;
    let url: RepositoryUrl = found.url.parse()?;
    let kind = args.forge.map(Into::into);
    let at = Repository::at(&url, kind, args.forge_api.as_deref());
    let at = at.map_err(|error| forge::no_place(&error, "leave --comment out"))?;
    let body = render::plan_markdown(plan, at.kind());
    let mark = render::plan_mark(plan, at.kind());
    let forge = pulls::Forge::open(at, token)?;
    let written = forge.comment(number, &mark, &body).await?;
    let word = match written {
        pulls::Outcome::First => "wrote",
        pulls::Outcome::Anew => "updated",
    };
    printer.say(&format!("{word} the comment of pull request {number}"));
    Ok(())
}

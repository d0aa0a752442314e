//! What a commit would change: an environment's agents are asked, and the answers are shown.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use flotilla_proto::v1;
use flotilla_shared::id::{ApplicationName, ClusterName, EnvironmentName, RepositoryName};
use flotilla_shared::plan::{ApplicationChanges, Change};
use flotilla_shared::report::{MAX_MESSAGE_BYTES, plain_line};
use flotilla_shared::revision::{BranchName, Commit, Revision};
use flotilla_shared::wire::reason_to_wire;
use flotilla_status::{AuditAction, FleetPlan, PlanGroup, PlannedApplication, PlannedChange};
use tonic::{Request, Response, Status};

use super::super::access::Need;
use super::super::planning::{PlanRun, PlanSubject};
use super::{Operators, bad_name, entry, no_environment};
use crate::fleet::{AuditEntry, Fleet};
use crate::plans::{Group, Question};
use crate::spec::Environment;
use crate::status;
use crate::suggestion::missing;

/// Longest time that a plan waits for offline clusters.
const MAX_WAIT: Duration = Duration::from_secs(1800);
/// How long a request waits for a plan to be complete.
const LOOK: Duration = Duration::from_secs(2);

pub(super) async fn start(
    api: &Operators,
    request: Request<v1::StartPlanRequest>,
) -> Result<Response<v1::StartPlanResponse>, Status> {
    let caller = api.allow_anywhere(&request)?;
    let request = request.into_inner();
    // Checked first, so that a caller without the right does not learn what exists.
    let environment: Option<EnvironmentName> = request.environment.parse().ok();
    let access = &api.0.access;
    access.check(&caller, Need::Plan, environment.as_ref())?;
    let patience = Duration::from_secs(request.wait_seconds.into()).min(MAX_WAIT);
    let asked = api.ask(move |fleet, _| {
        let question = question(fleet, &request)?;
        resolve(fleet, question).map_err(|error| Status::not_found(error.to_string()))
    });
    let asked = asked.await??;
    let question = asked.question.clone();
    // The same question again gets the plan in progress, and no further audit entry.
    if let Some((id, running)) = api.0.plans.under_way(&question, patience) {
        let plan = Some(shown(&id, &running).into());
        return Ok(Response::new(v1::StartPlanResponse { plan }));
    }
    let recorded = AuditEntry {
        environment: question.environment.to_string(),
        commit: question.revision.commit.to_string(),
        detail: format!(
            "{} asked what {} of {} would change",
            flotilla_shared::words::counted(asked.clusters.len(), "cluster"),
            question.revision.branch,
            question.revision.repository
        ),
        ..entry(&caller, AuditAction::Plan)
    };
    let begun = api.0.plans.begin(&api.0, asked, patience);
    let (id, running) = begun.map_err(|full| Status::resource_exhausted(full.to_string()))?;
    api.record(recorded).await?;
    let plan = Some(shown(&id, &running).into());
    Ok(Response::new(v1::StartPlanResponse { plan }))
}

pub(super) async fn get(
    api: &Operators,
    request: Request<v1::GetPlanRequest>,
) -> Result<Response<v1::GetPlanResponse>, Status> {
    api.allow(&request, Need::See)?;
    let id = request.into_inner().id;
    let Some(running) = api.0.plans.get(&id) else {
        return Err(Status::not_found(
            "the hub has no such plan: it was restarted, another replica decides now, or the \
             plan is older than ten minutes; ask for it again",
        ));
    };
    running.whole(LOOK).await;
    let plan = Some(shown(&id, &running).into());
    Ok(Response::new(v1::GetPlanResponse { plan }))
}

/// Reads the question of a request; fields that are left open are completed from the fleet.
fn question(fleet: &Fleet, request: &v1::StartPlanRequest) -> Result<Question, Status> {
    let spec = fleet.spec();
    let named = request.environment.parse().map_err(|e| bad_name(&e))?;
    let environment = spec
        .environment(&named)
        .ok_or_else(|| Status::not_found(no_environment(fleet, named.as_str())))?;
    let commit: Commit = request.commit.parse().map_err(|e| bad_name(&e))?;
    let application: Option<ApplicationName> = match request.application.as_str() {
        "" => None,
        name if spec.applications.contains_key(name) => {
            Some(name.parse().map_err(|e| bad_name(&e))?)
        }
        name => {
            let names = spec.applications.keys().map(ApplicationName::as_str);
            return Err(Status::not_found(missing("application", name, names)));
        }
    };
    let repository = match (request.repository.as_str(), &application) {
        ("", Some(name)) => spec
            .applications
            .get(name)
            .map(|declared| declared.repository.clone()),
        ("", None) => only_repository(fleet, environment, &commit),
        (name, _) if spec.repositories.contains_key(name) => {
            Some(name.parse().map_err(|e| bad_name(&e))?)
        }
        (name, _) => {
            let names = spec.repositories.keys().map(RepositoryName::as_str);
            return Err(Status::not_found(missing("repository", name, names)));
        }
    };
    let repository = repository.ok_or_else(|| {
        Status::invalid_argument(format!(
            "{named} runs from several repositories: specify which one has the commit"
        ))
    })?;
    let branch = match request.branch.as_str() {
        "" => branch(fleet, environment, &repository, &commit),
        text => text.parse().map_err(|e| bad_name(&e))?,
    };
    Ok(Question {
        environment: named,
        revision: Revision {
            repository,
            branch,
            commit,
        },
        application,
    })
}

/// The question names something that is not in the fleet file; the text is for the operator.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(in crate::serve) struct NotDeclared(String);

/// Returns the clusters that a question concerns.
pub(in crate::serve) fn resolve(
    fleet: &Fleet,
    question: Question,
) -> Result<PlanSubject, NotDeclared> {
    let spec = fleet.spec();
    let Question {
        environment,
        revision,
        application,
    } = &question;
    if spec.environment(environment).is_none() {
        return Err(NotDeclared(no_environment(fleet, environment.as_str())));
    }
    if !spec.repositories.contains_key(&revision.repository) {
        let names = spec.repositories.keys().map(RepositoryName::as_str);
        let text = missing("repository", revision.repository.as_str(), names);
        return Err(NotDeclared(text));
    }
    let mut clusters = BTreeMap::new();
    let mut unconcerned = 0u32;
    for (name, cluster) in fleet.clusters() {
        let is_there = cluster.record.pending.is_none() && fleet.belongs_to(name, environment);
        if !is_there {
            continue;
        }
        let concerned: BTreeSet<ApplicationName> = cluster
            .placed
            .keys()
            .filter(|placed| application.as_ref().is_none_or(|only| only == *placed))
            .filter(|placed| {
                let declared = spec.applications.get(*placed);
                declared.is_some_and(|declared| declared.repository == revision.repository)
            })
            .cloned()
            .collect();
        if concerned.is_empty() {
            unconcerned += 1;
        } else {
            clusters.insert(name.clone(), concerned);
        }
    }
    Ok(PlanSubject {
        question,
        clusters,
        unconcerned,
    })
}

/// Returns the only repository of an environment; else the one that has the commit at the head of a branch.
fn only_repository(
    fleet: &Fleet,
    environment: &Environment,
    commit: &Commit,
) -> Option<RepositoryName> {
    let names = fleet.spec().repositories.keys();
    let used: Vec<&RepositoryName> = names.filter(|name| fleet.uses(environment, name)).collect();
    if let [only] = used.as_slice() {
        return Some((*only).clone());
    }
    status::home(fleet, commit).cloned()
}

/// Returns the branch where agents find a commit that was given without one: the environment's own branch if it is the
/// head of it, else that of the environment before, where commits come from.
fn branch(
    fleet: &Fleet,
    environment: &Environment,
    repository: &RepositoryName,
    commit: &Commit,
) -> BranchName {
    let head = fleet.head(repository, &environment.branch);
    let is_head = head.is_some_and(|head| head.commit.as_ref() == Some(commit));
    let before = environment.promotes_from.as_ref();
    let before = before.and_then(|name| fleet.spec().environment(name));
    match before {
        Some(before) if !is_head => before.branch.clone(),
        _ => environment.branch.clone(),
    }
}

/// Converts a plan for operators.
pub(in crate::serve) fn shown(id: &str, running: &PlanRun) -> FleetPlan {
    let question = &running.asked.question;
    let (groups, waiting) = running.state();
    let groups = groups.iter().map(group).collect();
    FleetPlan {
        id: id.to_owned(),
        environment: question.environment.to_string(),
        revision: Some(flotilla_status::Revision {
            repository: question.revision.repository.to_string(),
            branch: question.revision.branch.to_string(),
            commit: question.revision.commit.to_string(),
        }),
        application: question
            .application
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        started_at: Some(running.started_at),
        unconcerned: running.asked.unconcerned,
        ..FleetPlan::answered(groups, u32::try_from(waiting).unwrap_or(u32::MAX))
    }
}

fn group(group: &Group) -> PlanGroup {
    let plan = group.plan.iter();
    let applications = plan.flat_map(|plan| &plan.applications);
    PlanGroup {
        verdict: group.verdict,
        clusters: group.clusters.iter().map(ClusterName::to_string).collect(),
        applications: applications
            .map(|(name, changes)| application(name, changes))
            .collect(),
        reason: reason_to_wire(group.reason),
        message: group.message.clone(),
        folded: group.folded,
    }
}

fn application(name: &ApplicationName, changes: &ApplicationChanges) -> PlannedApplication {
    let refused = changes.refused.as_ref();
    PlannedApplication {
        application: name.to_string(),
        changes: changes.changes.iter().map(change).collect(),
        unchanged: changes.unchanged,
        truncated: changes.truncated,
        reason: reason_to_wire(refused.map(|refused| refused.reason)),
        message: refused
            .map(|refused| plain_line(&refused.message, MAX_MESSAGE_BYTES))
            .unwrap_or_default(),
    }
}

fn change(change: &Change) -> PlannedChange {
    PlannedChange {
        object: change.object.clone(),
        action: change.action.into(),
        reason: reason_to_wire(change.reason),
        managers: change.managers.clone(),
        fields: change.fields.clone(),
        message: plain_line(&change.message, MAX_MESSAGE_BYTES),
    }
}

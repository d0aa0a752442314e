//! Performs the action of a form: one call to the hub, which checks the right and audits.

use std::time::Duration;

use flotilla_proto::v1;

use crate::Api;
use crate::act::{Act, Action};
use crate::ask::{ask, ask_for};

/// Time limit where a Git server fetches and pushes.
const PUSH: Duration = Duration::from_secs(150);

/// Outcome of an action.
pub(super) struct ActOutcome {
    /// Text for the operator.
    pub(super) told: String,
    /// The page that shows it; none: the page of the form.
    pub(super) page: Option<String>,
}

impl ActOutcome {
    fn told(told: String) -> Self {
        Self { told, page: None }
    }
}

/// Sends an action to the hub, which checks the right and audits.
pub(super) async fn do_it(api: &Api, act: &Act) -> Result<ActOutcome, tonic::Status> {
    let action = match act.action {
        Action::Accept => {
            let request = v1::AcceptClusterRequest {
                name: act.cluster.clone(),
                fingerprint: act.fingerprint.clone(),
                ..v1::AcceptClusterRequest::default()
            };
            ask(api, request, |mut api, request| async move {
                api.accept_cluster(request).await
            })
            .await?;
            return Ok(ActOutcome::told(format!("{} was accepted", act.cluster)));
        }
        Action::Refresh => {
            let request = v1::RefreshRequest {
                environment: act.environment.clone(),
            };
            ask(api, request, |mut api, request| async move {
                api.refresh(request).await
            })
            .await?;
            return Ok(ActOutcome::told("reading the branches".to_owned()));
        }
        Action::Plan => return plan(api, act).await,
        Action::Promote => return promote(api, act).await,
        Action::Approve => v1::SteerAction::Approve,
        Action::Pause => v1::SteerAction::Pause,
        Action::Resume => v1::SteerAction::Resume,
        Action::Retry => v1::SteerAction::Retry,
        Action::Pin => v1::SteerAction::Pin,
        Action::Unpin => v1::SteerAction::Unpin,
    };
    let mut told = String::new();
    // Each new commit of a rollout needs its own approval; any other action is one call.
    let none = [(String::new(), String::new())];
    let commits = if act.commits.is_empty() {
        &none[..]
    } else {
        &act.commits[..]
    };
    for (repository, commit) in commits {
        let request = v1::SteerRequest {
            action: action.into(),
            environment: act.environment.clone(),
            cluster: act.cluster.clone(),
            repository: repository.clone(),
            commit: commit.clone(),
            wave: act.wave.clone(),
            reason: act.reason.clone(),
            expires_seconds: act.expires,
            ..v1::SteerRequest::default()
        };
        let answer = ask(api, request, |mut api, request| async move {
            api.steer(request).await
        })
        .await?;
        told = flotilla_status::text(&answer.detail);
    }
    Ok(ActOutcome::told(told))
}

/// Starts a plan; its page shows it while agents answer.
async fn plan(api: &Api, act: &Act) -> Result<ActOutcome, tonic::Status> {
    let [(repository, commit)] = act.commits.as_slice() else {
        return Err(tonic::Status::invalid_argument("a plan is of one commit"));
    };
    let request = v1::StartPlanRequest {
        environment: act.environment.clone(),
        repository: repository.clone(),
        branch: act.branch.clone(),
        commit: commit.clone(),
        ..v1::StartPlanRequest::default()
    };
    let answer = ask(api, request, |mut api, request| async move {
        api.start_plan(request).await
    })
    .await?;
    let id = answer.plan.map(|plan| plan.id).unwrap_or_default();
    Ok(ActOutcome {
        told: "asking the environment's agents".to_owned(),
        page: Some(format!(
            "/plan/{}",
            flotilla_shared::percent::encode(&id, b"")
        )),
    })
}

/// Has the hub move an environment's branches.
async fn promote(api: &Api, act: &Act) -> Result<ActOutcome, tonic::Status> {
    let moves = act
        .commits
        .iter()
        .map(|(repository, commit)| v1::RepositoryCommit {
            repository: repository.clone(),
            commit: commit.clone(),
        });
    let request = v1::MoveBranchesRequest {
        environment: act.environment.clone(),
        moves: moves.collect(),
        reason: act.reason.clone(),
    };
    let answer = ask_for(api, PUSH, request, |mut api, request| async move {
        api.move_branches(request).await
    })
    .await?;
    Ok(ActOutcome {
        told: flotilla_status::text(&answer.detail),
        page: Some(format!(
            "/env/{}",
            flotilla_shared::percent::encode(&act.environment, b"")
        )),
    })
}

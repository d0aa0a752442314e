//! What a promotion would move, and what holds it back. Pure.

use flotilla_proto::v1;
use flotilla_shared::id::{EnvironmentName, RepositoryName};
use flotilla_shared::revision::Commit;
use jiff::Timestamp;

use crate::fleet::Fleet;
use crate::fleet::gates::{Gate, Open};
use crate::status;
use crate::suggestion::missing;

/// Works out a promotion into an environment.
///
/// # Errors
/// A text for the person: no such environment, nothing to promote from, or a malformed commit.
pub(super) fn preview(
    fleet: &Fleet,
    request: &v1::PreviewPromotionRequest,
    now: Timestamp,
) -> Result<v1::PreviewPromotionResponse, String> {
    let name: EnvironmentName = request.environment.parse().map_err(|e| format!("{e}"))?;
    let spec = fleet.spec();
    let target = spec
        .environment(&name)
        .ok_or_else(|| missing("environment", name.as_str(), spec.environment_names()))?;
    let source = target
        .promotes_from
        .as_ref()
        .and_then(|from| spec.environment(from))
        .ok_or(format!(
            "environment {name} promotes from none; commit to its branch directly"
        ))?;
    let wanted: Option<Commit> = match request.commit.as_str() {
        "" => None,
        text => Some(text.parse().map_err(|e| format!("{e}"))?),
    };
    let mut response = v1::PreviewPromotionResponse {
        environment: name.to_string(),
        promotes_from: source.name.to_string(),
        ..v1::PreviewPromotionResponse::default()
    };
    let mut commits = fleet.good(target);
    let only = request.repository.as_str();
    if !only.is_empty() && !spec.repositories.contains_key(only) {
        let names = spec.repositories.keys().map(RepositoryName::as_str);
        return Err(missing("repository", only, names));
    }
    let home = wanted.as_ref().and_then(|commit| home(fleet, commit));
    for (repository_name, repository) in &spec.repositories {
        if !only.is_empty() && repository_name.as_str() != only {
            continue;
        }
        // What nobody uses there, and repositories that lack the commit, have nothing to move.
        if only.is_empty()
            && (!fleet.uses(target, repository_name)
                || home.is_some_and(|home| home != repository_name))
        {
            continue;
        }
        let commit = |branch| {
            fleet
                .head(repository_name, branch)
                .and_then(|head| head.commit.clone())
        };
        let Some(to) = wanted.clone().or_else(|| commit(&source.branch)) else {
            continue;
        };
        let from = commit(&target.branch);
        if from.as_ref() == Some(&to) {
            continue;
        }
        commits.insert(repository_name.clone(), to.clone());
        response.moves.push(v1::PromotionMove {
            repository: repository_name.to_string(),
            url: repository.url.to_string(),
            source_branch: source.branch.to_string(),
            target_branch: target.branch.to_string(),
            from_commit: from.map(|commit| commit.to_string()).unwrap_or_default(),
            to_commit: to.to_string(),
            applications: spec
                .applications
                .iter()
                .filter(|(_, application)| application.repository == *repository_name)
                .map(|(name, _)| name.to_string())
                .collect(),
        });
    }
    for cluster_name in fleet.clusters().keys() {
        if fleet.environment_of(cluster_name).as_ref() == Some(&name) {
            response.clusters.push(cluster_name.to_string());
        }
    }
    let gates = fleet.gates(target, &commits, now);
    response.gates = gates.into_iter().map(step).collect();
    if let Some(state) = fleet.environments().get(&name) {
        if let Some(quarantine) = state.quarantine(&commits) {
            response.gates.push(step(Gate {
                gate: "quarantine",
                subject: quarantine.rollout.clone(),
                open: Open::No,
                lasting: true,
                text: format!("these commits failed: {}", quarantine.reason),
                reason: Some(flotilla_shared::reason::Reason::Quarantined),
                at: Some(quarantine.at),
                opens_at: None,
                commit: None,
            }));
        }
        if let Some(mark) = &state.paused {
            response.gates.push(step(Gate {
                gate: "pause",
                subject: mark.by.clone(),
                open: Open::NotYet,
                lasting: false,
                text: mark.reason.clone(),
                reason: Some(flotilla_shared::reason::Reason::Paused),
                at: Some(mark.at),
                opens_at: None,
                commit: None,
            }));
        }
    }
    Ok(response)
}

/// The repository that has a commit at the head of a branch, if only one has.
pub(super) fn home<'f>(fleet: &'f Fleet, commit: &Commit) -> Option<&'f RepositoryName> {
    let mut having: Vec<&RepositoryName> = fleet
        .heads()
        .iter()
        .filter(|(_, head)| head.commit.as_ref() == Some(commit))
        .map(|((repository, _), _)| repository)
        .collect();
    having.dedup();
    match having.as_slice() {
        [one] => Some(one),
        _ => None,
    }
}

pub(super) fn step(gate: Gate) -> v1::ExplainStep {
    status::gate_step(gate)
}

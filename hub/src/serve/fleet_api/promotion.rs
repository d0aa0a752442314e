//! What a promotion would move, and what holds it back. Pure.

use flotilla_proto::v1;
use flotilla_shared::id::EnvironmentName;
use flotilla_shared::revision::Commit;
use jiff::Timestamp;

use crate::fleet::Fleet;
use crate::status;

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
        .ok_or(format!("there is no environment {name}"))?;
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
    for (repository_name, repository) in &spec.repositories {
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
    for (cluster_name, cluster) in fleet.clusters() {
        if fleet.environment_of(cluster_name).as_ref() != Some(&source.name) {
            continue;
        }
        // Proven is: an agent reported exactly the commits that would move, synced and healthy.
        let summary = status::summary(cluster, now);
        let exact = response.moves.iter().all(|one| {
            cluster.assigned.iter().all(|assigned| {
                assigned
                    .assignment
                    .applications
                    .values()
                    .filter(|app| app.revision.repository.as_str() == one.repository)
                    .all(|app| app.revision.commit.as_str() == one.to_commit)
            })
        });
        let good = summary.current && exact;
        response.gates.push(v1::ExplainStep {
            step: "health".to_owned(),
            subject: cluster_name.to_string(),
            state: if good {
                v1::StepState::Ok
            } else {
                v1::StepState::Failed
            }
            .into(),
            text: match (good, exact) {
                (true, _) => "runs exactly this, synced and healthy".to_owned(),
                (false, true) => format!("{} / {}", summary.sync, summary.health),
                (false, false) => "does not run this commit".to_owned(),
            },
            reason: String::new(),
            at: cluster
                .reported_at
                .map(flotilla_shared::wire::timestamp_to_wire),
        });
    }
    if response.gates.is_empty() {
        response.gates.push(v1::ExplainStep {
            step: "health".to_owned(),
            subject: source.name.to_string(),
            state: v1::StepState::Failed.into(),
            text: "no cluster of this environment has proven anything".to_owned(),
            ..v1::ExplainStep::default()
        });
    }
    Ok(response)
}

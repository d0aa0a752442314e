//! Explanations: the chain from branch head to the agent's last report.

mod agent;
mod applications;
mod environment;
mod steps;

use flotilla_shared::assignment::Assignment;
use flotilla_shared::id::{ClusterName, EnvironmentName};
use flotilla_shared::problem::Problem;
use flotilla_shared::reason::Reason;
use flotilla_shared::words::counted;
use flotilla_status::StepKind;
use jiff::Timestamp;

pub use self::steps::gate_step;

use self::agent::{acceptance, clock, delivery, freeze};
use self::applications::applications;
use self::environment::{clusters, rollout, wave};
use self::steps::{Step, Steps};
use crate::fleet::{Cluster, Fleet, OFFLINE_AFTER};
use crate::spec::Environment;

/// Explains a cluster or an environment; none where it does not exist.
#[must_use]
pub fn explain(fleet: &Fleet, subject: &str, now: Timestamp) -> Option<Vec<flotilla_status::Step>> {
    let mut steps = Steps(Vec::new());
    if let Ok(name) = subject.parse::<ClusterName>()
        && let Some(cluster) = fleet.clusters().get(&name)
    {
        explain_cluster(fleet, &name, cluster, now, &mut steps);
        return Some(steps.0);
    }
    let name: EnvironmentName = subject.parse().ok()?;
    let environment = fleet.spec().environment(&name)?;
    heads(fleet, environment, &mut steps);
    rollout(fleet, environment, now, &mut steps);
    clusters(fleet, environment, now, &mut steps);
    Some(steps.0)
}

fn heads(fleet: &Fleet, environment: &Environment, steps: &mut Steps) {
    use flotilla_status::StepState::{Failed, Ok, Waiting};
    for repository in fleet.spec().repositories.keys() {
        let subject = format!("{repository}/{}", environment.branch);
        let head = fleet
            .head(repository, &environment.branch)
            .cloned()
            .unwrap_or_default();
        let short = head
            .commit
            .as_ref()
            .map_or("no commit", |commit| commit.short())
            .to_owned();
        match (&head.problem, &head.commit) {
            (Some(Problem { reason, message }), _) => {
                let text = format!("{short} is kept; the last poll failed: {message}");
                let step = Step::new(StepKind::BranchHead, Failed, text).of(&subject);
                steps.add(step.because(*reason).at(head.checked_at));
            }
            (None, Some(_)) => {
                let text = format!("the head is {short}");
                let step = Step::new(StepKind::BranchHead, Ok, text).of(&subject);
                steps.add(step.at(head.seen_at));
            }
            (None, None) => {
                let text = "not read yet".to_owned();
                let step = Step::new(StepKind::BranchHead, Waiting, text).of(&subject);
                steps.add(step.because(Reason::NoRevision));
            }
        }
    }
}

/// Explains a cluster, from its placement to its agent's report on each application.
fn explain_cluster(
    fleet: &Fleet,
    name: &ClusterName,
    cluster: &Cluster,
    now: Timestamp,
    steps: &mut Steps,
) {
    use flotilla_status::StepState::{Failed, Waiting};
    if let Some(key) = &cluster.record.pending {
        let text =
            format!("waits for acceptance: flotilla cluster accept {name} --fingerprint {key}");
        steps.add(Step::new(StepKind::Acceptance, Waiting, text).because(Reason::Pending));
        return;
    }
    if let Some(lock) = &cluster.record.credential.locked {
        let text = format!("locked: {}; no new assignments", lock.why);
        let step = Step::new(StepKind::Identity, Failed, text);
        steps.add(step.because(Reason::IdentityInUse).at(lock.at));
    }
    placement(fleet, name, cluster, now, steps);
    problems(cluster, steps);
    assignment(cluster, steps);
    let connection = cluster.connection(now, OFFLINE_AFTER);
    delivery(cluster, connection, steps);
    clock(cluster, connection, steps);
    acceptance(cluster, steps);
    freeze(name, cluster, steps);
    applications(cluster, steps);
}

/// Explains the environment of a cluster, and what applies to it there.
fn placement(
    fleet: &Fleet,
    name: &ClusterName,
    cluster: &Cluster,
    now: Timestamp,
    steps: &mut Steps,
) {
    use flotilla_status::StepState::{Failed, Ok};
    let environment = fleet
        .environment_of(name)
        .and_then(|e| fleet.spec().environment(&e).cloned());
    match &environment {
        Some(environment) => {
            let text = format!(
                "environment {}, branch {}",
                environment.name, environment.branch
            );
            steps.add(Step::new(StepKind::Placement, Ok, text));
            heads(fleet, environment, steps);
            rollout(fleet, environment, now, steps);
            wave(fleet, name, cluster, environment, now, steps);
        }
        None => {
            let text = match fleet.environment_of(name) {
                Some(gone) => format!(
                    "environment {gone} is not in the fleet file; the cluster keeps its last \
                     assignment. If the environment was renamed, list the cluster under the new \
                     name; its rollouts and approvals are not carried over"
                ),
                None => "in no environment; the cluster keeps its last assignment".to_owned(),
            };
            steps.add(Step::new(StepKind::Placement, Failed, text).because(Reason::NoEnvironment));
        }
    }
}

/// Explains why applications that are placed on a cluster are not assigned as the fleet file says.
fn problems(cluster: &Cluster, steps: &mut Steps) {
    use flotilla_status::StepState::{Failed, Waiting};
    for (app, placed) in &cluster.placed {
        if let Some(problem) = &placed.problem {
            let state = match placed.is_a_wait() {
                true => Waiting,
                false => Failed,
            };
            let step = Step::new(StepKind::Placement, state, problem.message.clone());
            steps.add(step.of(app.as_str()).because(problem.reason));
        }
    }
}

/// Explains the assignment of a cluster.
fn assignment(cluster: &Cluster, steps: &mut Steps) {
    use flotilla_status::StepState::{Ok, Waiting};
    match &cluster.assigned {
        Some(assigned) => {
            let reference = assigned.reference;
            let text = format!(
                "epoch {} generation {}: {}",
                reference.epoch,
                reference.generation,
                assigned_text(&assigned.assignment)
            );
            steps.add(Step::new(StepKind::Assignment, Ok, text).at(assigned.assignment.issued_at));
        }
        None => steps.add(Step::new(
            StepKind::Assignment,
            Waiting,
            "nothing assigned yet".to_owned(),
        )),
    }
}

/// Describes what is assigned, by commit.
fn assigned_text(assignment: &Assignment) -> String {
    let applications = &assignment.applications;
    let mut commits: Vec<&str> = applications
        .values()
        .map(|app| app.revision.commit.short())
        .collect();
    commits.sort_unstable();
    commits.dedup();
    match (applications.len(), commits.as_slice()) {
        (0, _) => "no applications yet".to_owned(),
        (count, several) => {
            format!(
                "{} at {}",
                counted(count, "application"),
                several.join(", ")
            )
        }
    }
}

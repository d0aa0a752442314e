//! Why a cluster runs what it runs: the chain from branch head to the agent's last word.

mod environment;
mod steps;

use flotilla_proto::v1;
use flotilla_shared::assignment::Assignment;
use flotilla_shared::clock::agent_clock;
use flotilla_shared::health::{Health, SyncState};
use flotilla_shared::id::{ApplicationName, ClusterName, EnvironmentName};
use flotilla_shared::reason::Reason;
use flotilla_shared::words::counted;
use jiff::Timestamp;

pub use self::steps::gate_step;

use self::environment::{clusters, rollout, wave};
use self::steps::Steps;
use crate::fleet::{Cluster, Connection, Fleet, OFFLINE_AFTER};
use crate::spec::Environment;

/// Explains a cluster or an environment; none where there is neither.
#[must_use]
pub fn explain(fleet: &Fleet, subject: &str, now: Timestamp) -> Option<Vec<v1::ExplainStep>> {
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
            (Some((reason, message)), _) => steps.add(
                "branch-head",
                &subject,
                v1::StepState::Failed,
                format!("{short} is kept; the last look failed: {message}"),
                Some(*reason),
                head.checked_at,
            ),
            (None, Some(_)) => {
                let text = format!("the head is {short}");
                steps.add(
                    "branch-head",
                    &subject,
                    v1::StepState::Ok,
                    text,
                    None,
                    head.seen_at,
                );
            }
            (None, None) => {
                let text = "not read yet".to_owned();
                let reason = Some(Reason::NoRevision);
                steps.add(
                    "branch-head",
                    &subject,
                    v1::StepState::Waiting,
                    text,
                    reason,
                    None,
                );
            }
        }
    }
}

fn explain_cluster(
    fleet: &Fleet,
    name: &ClusterName,
    cluster: &Cluster,
    now: Timestamp,
    steps: &mut Steps,
) {
    use v1::StepState::{Failed, Ok, Skipped, Waiting};
    if let Some(key) = &cluster.record.pending {
        let text =
            format!("waits for a person: flotilla cluster accept {name} --fingerprint {key}");
        steps.add("acceptance", "", Waiting, text, Some(Reason::Pending), None);
        return;
    }
    if let Some(lock) = &cluster.record.credential.locked {
        let reason = Some(Reason::IdentityInUse);
        let text = format!("locked: {}; no new assignments", lock.why);
        steps.add("identity", "", Failed, text, reason, Some(lock.at));
    }
    let environment = fleet
        .environment_of(name)
        .and_then(|e| fleet.spec().environment(&e).cloned());
    match &environment {
        Some(environment) => {
            let text = format!(
                "environment {}, branch {}",
                environment.name, environment.branch
            );
            steps.add("placement", "", Ok, text, None, None);
            heads(fleet, environment, steps);
            rollout(fleet, environment, now, steps);
            wave(fleet, name, cluster, environment, now, steps);
        }
        None => {
            let text = match fleet.environment_of(name) {
                Some(gone) => format!(
                    "in environment {gone}, which the fleet file does not have (any more): if it was renamed, list \
                     this cluster in the file under the new name; nothing was carried over to that, and it keeps \
                     its last assignment"
                ),
                None => "in no environment; it keeps its last assignment".to_owned(),
            };
            steps.add(
                "placement",
                "",
                Failed,
                text,
                Some(Reason::NoEnvironment),
                None,
            );
        }
    }
    for (app, placed) in &cluster.placed {
        if let Some(problem) = &placed.problem {
            let (text, reason) = (problem.message.clone(), Some(problem.reason));
            let state = match problem.is_a_wait() {
                true => Waiting,
                false => Failed,
            };
            steps.add("placement", app.as_str(), state, text, reason, None);
        }
    }
    match &cluster.assigned {
        Some(assigned) => {
            let reference = assigned.reference;
            let text = format!(
                "epoch {} generation {}: {}",
                reference.epoch,
                reference.generation,
                assigned_text(&assigned.assignment)
            );
            steps.add(
                "assignment",
                "",
                Ok,
                text,
                None,
                Some(assigned.assignment.issued_at),
            );
        }
        None => steps.add(
            "assignment",
            "",
            Waiting,
            "nothing yet".to_owned(),
            None,
            None,
        ),
    }
    let connection = cluster.connection(now, OFFLINE_AFTER);
    let (state, text, at) = match connection {
        Connection::Online { since } => (Ok, "the agent is connected", Some(since)),
        Connection::Offline => {
            let last = cluster.last_seen.or(cluster.reported_at);
            (Waiting, "the agent is offline", last)
        }
        Connection::Pending | Connection::NeverSeen => {
            (Waiting, "the agent has never connected", None)
        }
    };
    let reason = (state != Ok).then_some(Reason::Offline);
    steps.add("delivery", "", state, text.to_owned(), reason, at);
    let ahead = super::clock_ahead(cluster, connection);
    if ahead != 0 {
        let (text, reason) = (agent_clock(ahead), Some(Reason::ClockSkew));
        steps.add("clock", "", Failed, text, reason, None);
    }
    match (&cluster.refusal, cluster.accepted == cluster.assigned_ref()) {
        (Some((reason, message)), _) => {
            steps.add(
                "acceptance",
                "",
                Failed,
                message.clone(),
                Some(*reason),
                None,
            );
        }
        (None, true) => {
            let text = format!(
                "the agent runs on generation {}",
                cluster.accepted.generation
            );
            steps.add("acceptance", "", Ok, text, None, None);
        }
        (None, false) => {
            let text = match cluster.accepted.generation.0 {
                0 => "the agent has not said yet what it runs on".to_owned(),
                generation => format!("the agent runs on generation {generation}"),
            };
            steps.add("acceptance", "", Waiting, text, None, None);
        }
    }
    let suspended = cluster.report.as_ref().map(|report| &report.suspended);
    if let Some(mark) = &cluster.record.suspended {
        let text = super::leaving::suspended(name, cluster);
        let (reason, at) = (Some(Reason::SuspendedByHub), Some(mark.at));
        steps.add("freeze", name.as_str(), Waiting, text, reason, at);
    } else if let Some(why) = suspended.filter(|why| !why.is_empty()) {
        let text = format!("nothing is written inside the cluster, whatever is assigned: {why}");
        let (reason, at) = (Some(Reason::Frozen), cluster.reported_at);
        steps.add("freeze", name.as_str(), Waiting, text, reason, at);
    }
    let reported = cluster
        .report
        .iter()
        .flat_map(|report| &report.applications);
    for (app, report) in reported {
        let assigned = assigned_commit(cluster, app);
        let runs = report
            .revision
            .as_ref()
            .map(|revision| revision.commit.short().to_owned());
        let exact = report
            .revision
            .as_ref()
            .map(|revision| revision.commit.as_str())
            == assigned;
        let state = match report.sync {
            SyncState::Synced if exact => Ok,
            SyncState::Synced | SyncState::Applying | SyncState::OutOfSync | SyncState::Unknown => {
                Waiting
            }
            SyncState::Suspended | SyncState::Orphaned => Skipped,
            SyncState::Refused => Failed,
        };
        // What is wrong with objects that were applied is a matter of health, not of applying them.
        let is_health = report.sync == SyncState::Synced && report.health != Health::Current;
        let (about_sync, about_health) = match (report.message.as_str(), is_health) {
            ("", _) => (String::new(), String::new()),
            (message, true) => (String::new(), format!("; {message}")),
            (message, false) => (format!(": {message}"), String::new()),
        };
        let of = |mine: bool| report.reason.filter(|_| mine);
        let text = match &runs {
            Some(runs) => format!("{} at {runs}{about_sync}", report.sync),
            None => format!("{}{about_sync}", report.sync),
        };
        steps.add(
            "apply",
            app.as_str(),
            state,
            text,
            of(!is_health),
            match state {
                Failed => report.changed_at,
                _ => report.applied_at,
            },
        );
        let state = match report.health {
            Health::Current => Ok,
            Health::Failed | Health::NotFound => Failed,
            _ => Waiting,
        };
        let counts = &report.counts;
        let text = match counts.total {
            0 => format!("{}{about_health}", report.health),
            total => format!(
                "{}: {} of {} current{about_health}",
                report.health,
                counts.current,
                counted(total as usize, "object")
            ),
        };
        let at = report.changed_at;
        steps.add("health", app.as_str(), state, text, of(is_health), at);
    }
}

/// What is assigned, by commit.
fn assigned_text(assignment: &Assignment) -> String {
    let applications = &assignment.applications;
    let mut commits: Vec<&str> = applications
        .values()
        .map(|app| app.revision.commit.short())
        .collect();
    commits.sort_unstable();
    commits.dedup();
    match (applications.len(), commits.as_slice()) {
        (0, _) => "no application yet".to_owned(),
        (count, several) => {
            format!(
                "{} at {}",
                counted(count, "application"),
                several.join(", ")
            )
        }
    }
}

fn assigned_commit<'c>(cluster: &'c Cluster, app: &ApplicationName) -> Option<&'c str> {
    let assigned = cluster.assigned.as_ref()?;
    Some(
        assigned
            .assignment
            .applications
            .get(app)?
            .revision
            .commit
            .as_str(),
    )
}

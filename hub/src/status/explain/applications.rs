//! Each application's part of the chain, by its cluster's agent: whether it is applied, and whether it is healthy.

use flotilla_shared::health::{Health, SyncState};
use flotilla_shared::id::ApplicationName;
use flotilla_shared::reason::Reason;
use flotilla_shared::report::ApplicationReport;
use flotilla_shared::words::counted;
use flotilla_status::{GateKind, StepKind};

use super::steps::{Step, Steps};
use crate::fleet::Cluster;

/// The problem in a report, for one of an application's two steps; empty for the other.
struct Message {
    text: String,
    reason: Option<Reason>,
}

/// Explains all applications that the agent reports.
pub(super) fn applications(cluster: &Cluster, steps: &mut Steps) {
    let reported = cluster
        .report
        .iter()
        .flat_map(|report| &report.applications);
    for (app, report) in reported {
        let (of_sync, of_health) = by_sync_and_health(report);
        apply(app, report, assigned_commit(cluster, app), &of_sync, steps);
        health(app, report, &of_health, steps);
    }
}

/// Splits a report's problem into the parts for sync and health: all of it belongs to one of them.
fn by_sync_and_health(report: &ApplicationReport) -> (Message, Message) {
    // Problems of objects that were applied belong to health.
    let is_health = report.sync == SyncState::Synced && report.health != Health::Current;
    let (about_sync, about_health) = match (report.message.as_str(), is_health) {
        ("", _) => (String::new(), String::new()),
        (message, true) => (String::new(), format!("; {message}")),
        (message, false) => (format!(": {message}"), String::new()),
    };
    let of = |mine: bool| report.reason.filter(|_| mine);
    let sync = Message {
        text: about_sync,
        reason: of(!is_health),
    };
    let health = Message {
        text: about_health,
        reason: of(is_health),
    };
    (sync, health)
}

/// Explains whether the assigned commit is applied.
fn apply(
    app: &ApplicationName,
    report: &ApplicationReport,
    assigned: Option<&str>,
    message: &Message,
    steps: &mut Steps,
) {
    use flotilla_status::StepState::{Failed, Ok, Skipped, Waiting};
    let about_sync = &message.text;
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
    let text = match &runs {
        Some(runs) => format!("{} at {runs}{about_sync}", report.sync),
        None => format!("{}{about_sync}", report.sync),
    };
    let at = match state {
        Failed => report.changed_at,
        _ => report.applied_at,
    };
    let step = Step::new(StepKind::Apply, state, text).of(app.as_str());
    steps.add(step.because(message.reason).at(at));
}

/// Explains whether what is applied is healthy.
fn health(app: &ApplicationName, report: &ApplicationReport, message: &Message, steps: &mut Steps) {
    use flotilla_status::StepState::{Failed, Ok, Waiting};
    let about_health = &message.text;
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
    let kind = StepKind::Gate(GateKind::Health);
    let step = Step::new(kind, state, text).of(app.as_str());
    steps.add(step.because(message.reason).at(report.changed_at));
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

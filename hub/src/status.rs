//! What operators see: pure views of the fleet at a moment.

mod explain;
mod filter;
mod leaving;
mod rollout;

use flotilla_proto::v1;
use flotilla_shared::heading::Heading;
use flotilla_shared::health::{Health, SyncState};
use flotilla_shared::id::{ApplicationName, ClusterName};
use flotilla_shared::report::ApplicationReport;
use flotilla_shared::revision::Commit;
use flotilla_shared::wire::{
    application_report_to_wire, assignment_ref_to_wire, health_to_wire, reason_to_wire,
    renderer_to_wire, revision_to_wire, sync_to_wire, timestamp_to_wire,
};
use jiff::Timestamp;

pub use explain::{explain, gate_step};
pub use filter::Filter;
pub use rollout::{decisions, past_rollout, rollout};
use rollout::{hold, mark, pin, quarantine, unread};

use crate::fleet::{Cluster, Connectivity, Fleet, Head, OFFLINE_AFTER};
use crate::spec::Environment;

/// How one cluster stands, in short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// Worst over its applications.
    pub sync: SyncState,
    /// Worst over its applications.
    pub health: Health,
    /// Online, synced and healthy at exactly what is assigned.
    pub current: bool,
}

/// Sums up a cluster. An application without a report of exactly the assigned commit is not current,
/// whatever the agent said of an older one (I1, promise 4).
#[must_use]
pub fn summary(cluster: &Cluster, now: Timestamp) -> Summary {
    let online = matches!(
        cluster.connection(now, OFFLINE_AFTER),
        Connectivity::Online { .. }
    );
    let (sync, health) = cluster.worst();
    let current = online && cluster.is_current();
    Summary {
        sync,
        health,
        current,
    }
}

/// How much is told of a cluster or a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// A cluster without its objects, a rollout without its clusters.
    Summary,
    /// All of it.
    Full,
}

#[must_use]
pub fn cluster(
    fleet: &Fleet,
    name: &ClusterName,
    now: Timestamp,
    detail: Detail,
) -> Option<v1::ClusterStatus> {
    let cluster = fleet.clusters().get(name)?;
    let summary = summary(cluster, now);
    let connection = cluster.connection(now, OFFLINE_AFTER);
    let refusal = cluster.refusal.as_ref();
    let applications = cluster
        .placed
        .keys()
        .map(|app| placement(fleet, name, cluster, app, detail))
        .chain(
            leaving::applications(cluster)
                .into_iter()
                .map(|app| placement(fleet, name, cluster, app, detail)),
        )
        .collect();
    let verdict = if refusal.is_some() {
        v1::Verdict::Refused
    } else if cluster.assigned.is_some() && cluster.accepted == cluster.assigned_ref() {
        v1::Verdict::Accepted
    } else {
        v1::Verdict::Unspecified
    };
    Some(v1::ClusterStatus {
        name: name.to_string(),
        environment: fleet
            .environment_of(name)
            .map(|e| e.to_string())
            .unwrap_or_default(),
        labels: fleet
            .labels_of(name)
            .into_iter()
            .map(|(key, value)| v1::Label { key, value })
            .collect(),
        connection: match connection {
            Connectivity::Pending => v1::Connection::Pending,
            Connectivity::NeverSeen => v1::Connection::NeverSeen,
            Connectivity::Online { .. } => v1::Connection::Online,
            Connectivity::Offline => v1::Connection::Offline,
        }
        .into(),
        last_seen: cluster.last_seen.map(timestamp_to_wire),
        connected_since: match connection {
            Connectivity::Online { since } => Some(timestamp_to_wire(since)),
            _ => None,
        },
        locked: cluster
            .record
            .credential
            .locked
            .as_ref()
            .map(|lock| lock.why.clone())
            .unwrap_or_default(),
        agent_version: cluster.facts.agent_version.clone(),
        kubernetes_version: cluster.facts.kubernetes_version.clone(),
        cluster_uid: match cluster.facts.cluster_uid.as_str() {
            "" => cluster.record.cluster_uid.clone(),
            uid => uid.to_owned(),
        },
        assigned: cluster
            .assigned
            .as_ref()
            .map(|a| assignment_ref_to_wire(a.reference)),
        accepted: Some(assignment_ref_to_wire(cluster.accepted)),
        verdict: verdict.into(),
        reason: reason_to_wire(refusal.map(|refusal| refusal.reason)),
        message: refusal
            .map(|refusal| refusal.message.clone())
            .unwrap_or_default(),
        sync: sync_to_wire(summary.sync).into(),
        health: health_to_wire(summary.health).into(),
        applications,
        reported_at: cluster.reported_at.map(timestamp_to_wire),
        suspended: leaving::suspended(name, cluster),
        clock_ahead_seconds: clock_ahead(cluster, connection),
        suspension: cluster.record.suspended.as_ref().map(mark),
        created_at: Some(timestamp_to_wire(cluster.record.created_at)),
        certificate_expires_at: cluster.record.certificate_expires_at.map(timestamp_to_wire),
        current_since: cluster.current_since.map(timestamp_to_wire),
        pending_fingerprint: cluster.record.pending.clone().unwrap_or_default(),
        pin: cluster
            .record
            .pin
            .as_ref()
            .filter(|one| one.holds(now))
            .map(|one| pin(name.as_str(), one)),
    })
}

/// What an agent that is away said of its clock says nothing of it now.
fn clock_ahead(cluster: &Cluster, connection: Connectivity) -> i64 {
    match connection {
        Connectivity::Online { .. } => cluster.clock_ahead,
        _ => 0,
    }
}

fn placement(
    fleet: &Fleet,
    name: &ClusterName,
    cluster: &Cluster,
    app: &ApplicationName,
    detail: Detail,
) -> v1::ApplicationInCluster {
    let assigned = cluster
        .assigned
        .as_ref()
        .and_then(|a| a.assignment.applications.get(app));
    let mut report = cluster
        .report
        .as_ref()
        .and_then(|report| report.applications.get(app))
        .map(|report| (**report).clone())
        .unwrap_or_default();
    if let Some(placed) = cluster.placed.get(app)
        && let Some(problem) = &placed.problem
    {
        report = ApplicationReport {
            sync: placed.sync(report.sync),
            reason: Some(problem.reason),
            message: problem.message.clone(),
            ..report
        };
    }
    if !cluster.placed.contains_key(app) {
        leaving::say(fleet, name, cluster, app, &mut report);
    }
    if detail == Detail::Summary {
        report.objects.clear();
    }
    v1::ApplicationInCluster {
        cluster: name.to_string(),
        environment: fleet
            .environment_of(name)
            .map(|e| e.to_string())
            .unwrap_or_default(),
        report: Some(application_report_to_wire(app.as_str(), &report)),
        assigned: assigned.map(|assigned| revision_to_wire(&assigned.revision)),
        path: assigned
            .map(|assigned| assigned.path.to_string())
            .unwrap_or_default(),
    }
}

/// Whether a cluster's agent reports an application.
#[must_use]
pub fn reports(fleet: &Fleet, cluster: &ClusterName, application: &str) -> bool {
    let report = fleet
        .clusters()
        .get(cluster)
        .and_then(|one| one.report.as_ref());
    report.is_some_and(|report| report.applications.contains_key(application))
}

/// All environments, in the fleet file's order.
#[must_use]
pub fn environments(fleet: &Fleet, now: Timestamp) -> Vec<v1::EnvironmentStatus> {
    fleet
        .spec()
        .environments
        .iter()
        .map(|one| environment(fleet, one, now))
        .collect()
}

fn environment(fleet: &Fleet, environment: &Environment, now: Timestamp) -> v1::EnvironmentStatus {
    let mut status = v1::EnvironmentStatus {
        name: environment.name.to_string(),
        branch: environment.branch.to_string(),
        promotes_from: environment
            .promotes_from
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        ..v1::EnvironmentStatus::default()
    };
    let mut health = Health::Current;
    for (name, cluster) in fleet.clusters() {
        if !fleet.belongs_to(name, &environment.name) {
            continue;
        }
        let summary = summary(cluster, now);
        status.clusters += 1;
        if matches!(
            cluster.connection(now, OFFLINE_AFTER),
            Connectivity::Online { .. }
        ) {
            status.online += 1;
            health = health.max(summary.health);
        }
        status.current += u32::from(summary.current);
        status.failed +=
            u32::from(summary.health == Health::Failed || summary.sync == SyncState::Refused);
    }
    status.health = health_to_wire(health).into();
    let good = fleet.good(environment);
    for repository in fleet.spec().repositories.keys() {
        let head = fleet
            .head(repository, &environment.branch)
            .cloned()
            .unwrap_or_default();
        let approved = good.get(repository);
        let told = |commit: Option<&Commit>| Some(heading(fleet.heading(repository, commit?)?));
        let headings = (told(head.commit.as_ref()), told(approved));
        let branch = branch(
            repository.as_str(),
            environment.branch.as_str(),
            head,
            approved.map(ToString::to_string).unwrap_or_default(),
        );
        status.branches.push(v1::BranchStatus {
            heading: headings.0,
            approved_heading: headings.1,
            ..branch
        });
    }
    status.rollout = fleet
        .rollouts()
        .get(&environment.name)
        .map(|one| rollout(fleet, one, Detail::Summary, now));
    if let Some(state) = fleet.environments().get(&environment.name) {
        status.paused = state.paused.as_ref().map(mark);
        status.hold = hold(state);
        status.pin = state
            .pin
            .as_ref()
            .filter(|one| one.holds(now))
            .map(|one| pin("", one));
        let newest = fleet.newest(environment);
        let failed = state.quarantines_among(&newest);
        status.quarantined = failed.iter().map(|(one, _)| quarantine(one)).collect();
    }
    status
}

fn branch(repository: &str, branch: &str, head: Head, approved: String) -> v1::BranchStatus {
    let commit = head
        .commit
        .map(|commit| commit.to_string())
        .unwrap_or_default();
    let (reason, message) = head.problem.map_or((None, String::new()), |problem| {
        (Some(problem.reason), problem.message)
    });
    v1::BranchStatus {
        revision: Some(v1::Revision {
            repository: repository.to_owned(),
            branch: branch.to_owned(),
            commit,
        }),
        seen_at: head.seen_at.map(timestamp_to_wire),
        checked_at: head.checked_at.map(timestamp_to_wire),
        reason: reason_to_wire(reason),
        message,
        approved,
        ..v1::BranchStatus::default()
    }
}

fn heading(heading: &Heading) -> v1::CommitHeading {
    v1::CommitHeading {
        subject: heading.subject.clone(),
        author: heading.author.clone(),
        authored_at: heading.authored_at.map(timestamp_to_wire),
    }
}

/// All applications, or the one named.
#[must_use]
pub fn applications(fleet: &Fleet, only: &str, now: Timestamp) -> Vec<v1::ApplicationStatus> {
    let mut all = Vec::new();
    for (app, declared) in &fleet.spec().applications {
        if !only.is_empty() && app.as_str() != only {
            continue;
        }
        let mut status = v1::ApplicationStatus {
            name: app.to_string(),
            repository: declared.repository.to_string(),
            path: declared.path.as_str().to_owned(),
            renderer: renderer_to_wire(declared.renderer).into(),
            ..v1::ApplicationStatus::default()
        };
        let mut worst = Health::Current;
        for (name, cluster) in fleet.clusters() {
            if !cluster.placed.contains_key(app) {
                continue;
            }
            let placement = placement(fleet, name, cluster, app, Detail::Summary);
            let report = placement.report.clone().unwrap_or_default();
            let exact = report.revision == placement.assigned && placement.assigned.is_some();
            let online = matches!(
                cluster.connection(now, OFFLINE_AFTER),
                Connectivity::Online { .. }
            );
            let good = report.sync() == v1::Sync::Synced && report.health() == v1::Health::Current;
            status.clusters += 1;
            status.current += u32::from(exact && good && online);
            status.failed += u32::from(
                report.health() == v1::Health::Failed || report.sync() == v1::Sync::Refused,
            );
            worst = worst.max(flotilla_shared::wire::health_from_wire(report.health()));
            status.placements.push(placement);
        }
        status.health = health_to_wire(worst).into();
        all.push(status);
    }
    all
}

#[cfg(test)]
mod tests;

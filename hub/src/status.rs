//! Status for operators: pure views of the fleet at a moment, in the status model.

mod explain;
mod filter;
mod leaving;
mod promotion;
mod rollout;

use flotilla_shared::assignment::Renderer;
use flotilla_shared::clock::far_apart;
use flotilla_shared::health::{Health, SyncState};
use flotilla_shared::id::{ApplicationName, ClusterName, RepositoryName};
use flotilla_shared::reason::Reason;
use flotilla_shared::report::{
    ApplicationReport, MAX_MESSAGE_BYTES, MAX_OBJECTS_SHOWN, plain_line,
};
use flotilla_shared::revision::Commit;
use jiff::Timestamp;

pub use explain::{explain, gate_step};
pub use filter::{Filter, FilterRequest};
pub use promotion::{Move, Promotion, PromotionError, home, promotion};
pub use rollout::{decisions, past_rollout, rollout};
use rollout::{hold, mark, pin, quarantine, unread};

use crate::fleet::{Cluster, Connectivity, Fleet, Head, OFFLINE_AFTER};
use crate::spec::Environment;

/// Summary of a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// Worst sync state of its applications.
    pub sync: SyncState,
    /// Worst health of its applications.
    pub health: Health,
    /// Whether it is online, synced and healthy at exactly what is assigned.
    pub current: bool,
}

/// Summarises a cluster. An application without a report of exactly the assigned commit is not current, even if an
/// older one was (I1, promise 4).
#[must_use]
pub fn summary(cluster: &Cluster, now: Timestamp) -> Summary {
    let (sync, health) = cluster.worst();
    let current = is_online(cluster, now) && cluster.is_current();
    Summary {
        sync,
        health,
        current,
    }
}

fn is_online(cluster: &Cluster, now: Timestamp) -> bool {
    matches!(
        cluster.connection(now, OFFLINE_AFTER),
        Connectivity::Online { .. }
    )
}

/// Level of detail of a cluster or a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// A cluster without its objects, a rollout without its clusters.
    Summary,
    /// Everything.
    Full,
}

/// Returns the code of a reason; empty: none.
fn code(reason: Option<Reason>) -> String {
    reason.map_or("", Reason::as_str).to_owned()
}

/// Returns a cluster with its agent's last report; none where it does not exist.
#[must_use]
pub fn cluster(
    fleet: &Fleet,
    name: &ClusterName,
    now: Timestamp,
    detail: Detail,
) -> Option<flotilla_status::Cluster> {
    let cluster = fleet.clusters().get(name)?;
    let record = &cluster.record;
    let summary = summary(cluster, now);
    let connection = cluster.connection(now, OFFLINE_AFTER);
    let refusal = cluster.refusal.as_ref();
    let assigned = cluster.assigned.as_ref().map(|stored| stored.reference);
    let accepted = cluster.accepted;
    let present = cluster.placed.keys();
    let applications = present.chain(leaving::applications(cluster));
    let applications = applications.map(|app| placement(fleet, name, cluster, app, detail));
    let held = record.pin.as_ref().filter(|pin| pin.holds(now));
    Some(flotilla_status::Cluster {
        name: name.to_string(),
        environment: environment_of(fleet, name),
        labels: fleet.labels_of(name),
        connection: match connection {
            Connectivity::Pending => flotilla_status::Connectivity::Pending,
            Connectivity::NeverSeen => flotilla_status::Connectivity::NeverSeen,
            Connectivity::Online { .. } => flotilla_status::Connectivity::Online,
            Connectivity::Offline => flotilla_status::Connectivity::Offline,
        },
        locked: record
            .credential
            .locked
            .as_ref()
            .map(|lock| lock.why.clone())
            .unwrap_or_default(),
        last_seen: cluster.last_seen,
        connected_since: match connection {
            Connectivity::Online { since } => Some(since),
            _ => None,
        },
        agent_version: cluster.facts.agent_version.clone(),
        kubernetes_version: cluster.facts.kubernetes_version.clone(),
        cluster_uid: match cluster.facts.cluster_uid.as_str() {
            "" => record.cluster_uid.clone(),
            uid => uid.to_owned(),
        },
        assigned_generation: assigned.map(|reference| reference.generation.0),
        accepted_generation: Some(accepted.generation.0).filter(|generation| *generation > 0),
        refused: refusal.is_some(),
        reason: code(refusal.map(|refusal| refusal.reason)),
        message: refusal
            .map(|refusal| refusal.message.clone())
            .unwrap_or_default(),
        sync: summary.sync,
        health: summary.health,
        applications: applications.collect(),
        reported_at: cluster.reported_at,
        suspended: leaving::suspended(name, cluster),
        created_at: Some(record.created_at),
        certificate_expires_at: record.certificate_expires_at,
        pending_fingerprint: record.pending.clone().unwrap_or_default(),
        pin: held.map(|held| pin(name.as_str(), held)),
        suspension: record.suspended.as_ref().map(mark),
        clock_ahead_seconds: far_apart(clock_ahead(cluster, connection)),
        assigned_epoch: assigned.map_or(0, |reference| reference.epoch.0),
        accepted_epoch: accepted.epoch.0,
        current_since: cluster.current_since,
        current: Some(summary.current),
    })
}

/// Returns the environment of a cluster, by name; empty: none.
fn environment_of(fleet: &Fleet, cluster: &ClusterName) -> String {
    let environment = fleet.environment_of(cluster);
    environment
        .map(|environment| environment.to_string())
        .unwrap_or_default()
}

/// Returns how far the agent's clock is ahead; the value of an offline agent is out of date.
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
) -> flotilla_status::Placement {
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
    let objects = report.objects.iter().take(MAX_OBJECTS_SHOWN);
    flotilla_status::Placement {
        application: app.to_string(),
        cluster: name.to_string(),
        environment: environment_of(fleet, name),
        path: assigned
            .map(|assigned| assigned.path.to_string())
            .unwrap_or_default(),
        assigned: assigned.map(|assigned| (&assigned.revision).into()),
        revision: report.revision.as_ref().map(Into::into),
        sync: report.sync,
        health: report.health,
        reason: code(report.reason),
        message: plain_line(&report.message, MAX_MESSAGE_BYTES),
        counts: report.counts,
        objects: objects.map(Into::into).collect(),
        applied_at: report.applied_at,
        changed_at: report.changed_at,
        written: report.written,
        pruned: report.pruned,
    }
}

/// Returns whether a cluster's agent reports an application.
#[must_use]
pub fn reports(fleet: &Fleet, cluster: &ClusterName, application: &str) -> bool {
    let report = fleet
        .clusters()
        .get(cluster)
        .and_then(|cluster| cluster.report.as_ref());
    report.is_some_and(|report| report.applications.contains_key(application))
}

/// Returns all environments, in the fleet file's order.
#[must_use]
pub fn environments(fleet: &Fleet, now: Timestamp) -> Vec<flotilla_status::Environment> {
    fleet
        .spec()
        .environments
        .iter()
        .map(|declared| environment(fleet, declared, now))
        .collect()
}

fn environment(
    fleet: &Fleet,
    environment: &Environment,
    now: Timestamp,
) -> flotilla_status::Environment {
    let (mut clusters, mut online, mut current, mut failed) = (0, 0, 0, 0);
    let mut health = Health::Current;
    for (name, cluster) in fleet.clusters() {
        if !fleet.belongs_to(name, &environment.name) {
            continue;
        }
        let summary = summary(cluster, now);
        clusters += 1;
        if is_online(cluster, now) {
            online += 1;
            health = health.max(summary.health);
        }
        current += u32::from(summary.current);
        failed += u32::from(summary.health == Health::Failed || summary.sync == SyncState::Refused);
    }
    let state = fleet.environments().get(&environment.name);
    let last = fleet.rollouts().get(&environment.name);
    let newest = fleet.newest(environment);
    let quarantines = state.map(|state| state.quarantines_among(&newest));
    let held = state.and_then(|state| state.pin.as_ref());
    let held = held.filter(|pin| pin.holds(now));
    flotilla_status::Environment {
        name: environment.name.to_string(),
        branch: environment.branch.to_string(),
        promotes_from: environment
            .promotes_from
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        branches: branches(fleet, environment),
        clusters,
        online,
        current,
        failed,
        health,
        rollout: last.map(|last| rollout(fleet, last, Detail::Summary, now)),
        paused: state.and_then(|state| state.paused.as_ref()).map(mark),
        hold: state.and_then(hold),
        pin: held.map(|held| pin("", held)),
        quarantined: quarantines
            .unwrap_or_default()
            .into_iter()
            .map(|(failed, _)| quarantine(failed))
            .collect(),
    }
}

/// Returns the branch that an environment follows, in each repository.
fn branches(fleet: &Fleet, environment: &Environment) -> Vec<flotilla_status::Branch> {
    let good = fleet.good(environment);
    let never_read = Head::default();
    let of = |repository: &RepositoryName| {
        let head = fleet.head(repository, &environment.branch);
        let head = head.unwrap_or(&never_read);
        let good = good.get(repository);
        let other = good.filter(|good| head.commit.as_ref() != Some(*good));
        let told = |commit: Option<&Commit>| heading(fleet, repository, commit?);
        let problem = head.problem.as_ref();
        flotilla_status::Branch {
            repository: repository.to_string(),
            head: head
                .commit
                .as_ref()
                .map(|commit| flotilla_status::Revision {
                    repository: repository.to_string(),
                    branch: environment.branch.to_string(),
                    commit: commit.to_string(),
                }),
            approved: other.map(ToString::to_string),
            heading: told(head.commit.as_ref()),
            approved_heading: told(other),
            seen_at: head.seen_at,
            checked_at: head.checked_at,
            reason: code(problem.map(|problem| problem.reason)),
            message: problem
                .map(|problem| problem.message.clone())
                .unwrap_or_default(),
            good: good.map(ToString::to_string),
            used: Some(fleet.uses(environment, repository)),
        }
    };
    fleet.spec().repositories.keys().map(of).collect()
}

/// Returns subject and author of a commit; none: not read.
fn heading(
    fleet: &Fleet,
    repository: &RepositoryName,
    commit: &Commit,
) -> Option<flotilla_status::Heading> {
    let heading = fleet.heading(repository, commit)?;
    Some(flotilla_status::Heading {
        subject: heading.subject.clone(),
        author: heading.author.clone(),
        authored_at: heading.authored_at,
    })
}

/// Returns all applications, or the one named.
#[must_use]
pub fn applications(
    fleet: &Fleet,
    only: &str,
    now: Timestamp,
) -> Vec<flotilla_status::Application> {
    let mut all = Vec::new();
    for (app, declared) in &fleet.spec().applications {
        if !only.is_empty() && app.as_str() != only {
            continue;
        }
        let mut status = flotilla_status::Application {
            name: app.to_string(),
            repository: declared.repository.to_string(),
            path: declared.path.as_str().to_owned(),
            renderer: renderer(declared.renderer),
            clusters: 0,
            current: 0,
            failed: 0,
            health: Health::Current,
            placements: Vec::new(),
        };
        for (name, cluster) in fleet.clusters() {
            if !cluster.placed.contains_key(app) {
                continue;
            }
            let placement = placement(fleet, name, cluster, app, Detail::Summary);
            let current = placement.is_current() && is_online(cluster, now);
            let failed = placement.health == Health::Failed || placement.sync == SyncState::Refused;
            status.clusters += 1;
            status.current += u32::from(current);
            status.failed += u32::from(failed);
            status.health = status.health.max(placement.health);
            status.placements.push(placement);
        }
        all.push(status);
    }
    all
}

/// Returns the renderer's name as in `-o json`, such as `Kustomize`.
fn renderer(renderer: Renderer) -> String {
    let mut word = renderer.as_str().to_owned();
    if let Some(first) = word.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    word
}

#[cfg(test)]
mod tests;

//! Applications that a cluster is to lose, and suspended clusters, in words. Pure.

use std::collections::BTreeSet;

use flotilla_shared::health::SyncState;
use flotilla_shared::id::{ApplicationName, ClusterName, EnvironmentName};
use flotilla_shared::reason::Reason;
use flotilla_shared::report::ApplicationReport;

use crate::fleet::{Cluster, Fleet, is_over};

/// Returns the applications that are not to run in a cluster and are still there: those that its agent reports, and
/// those that it is to remove.
pub(super) fn applications(cluster: &Cluster) -> BTreeSet<&ApplicationName> {
    let reported = cluster
        .report
        .iter()
        .flat_map(|report| &report.applications);
    let known = reported
        .filter(|(app, report)| !cluster.placed.contains_key(*app) && !is_over(report))
        .map(|(app, _)| app);
    known.chain(cluster.leaving()).collect()
}

/// Explains the state of an application that is no longer declared, or that is being removed.
pub(super) fn say(
    fleet: &Fleet,
    name: &ClusterName,
    cluster: &Cluster,
    app: &ApplicationName,
    report: &mut ApplicationReport,
) {
    let assigned = cluster.assigned.as_ref();
    let is_removed =
        assigned.is_some_and(|assigned| assigned.assignment.tombstones.contains_key(app));
    if is_removed {
        let done = std::mem::take(&mut report.message);
        report.sync = report.sync.max(SyncState::Applying);
        report.message = match done.as_str() {
            "" => "it is being removed".to_owned(),
            done => format!("it is being removed: {done}"),
        };
    } else if is_let_go(cluster, app, report) {
        // Its agent may have reported this before it heard of the removal.
        report.sync = report.sync.max(SyncState::Applying);
        report.message = match fleet.environment_of(name) {
            Some(environment) => let_go(fleet, (name, cluster), &environment, app),
            None => "its cluster is in no environment; its objects are kept".to_owned(),
        };
        report.reason = Some(Reason::NotAssigned);
    }
}

/// Returns whether an application is not to run in a cluster, by its assignment or by its agent's report: an offline
/// agent has not heard of it yet.
fn is_let_go(cluster: &Cluster, app: &ApplicationName, report: &ApplicationReport) -> bool {
    let assigned = cluster.assigned.as_ref();
    report.sync == SyncState::Orphaned
        || assigned.is_some_and(|assigned| !assigned.assignment.applications.contains_key(app))
}

/// Explains what decides about an application that is no longer assigned.
fn let_go(
    fleet: &Fleet,
    (name, cluster): (&ClusterName, &Cluster),
    environment: &EnvironmentName,
    app: &ApplicationName,
) -> String {
    if fleet.spec().removal(app, name, environment).is_some() {
        return removal(fleet, (name, cluster), environment, app);
    }
    let labels = fleet.labels_of(name);
    // The revision of the file that places it here failed, or is still to come.
    if fleet.places(app, (name, environment), &labels) {
        return format!(
            "it is declared for this cluster by a revision of the fleet file that {environment} \
             has not adopted; its objects are kept (see flotilla rollout show {environment})"
        );
    }
    // An entry for all clusters would remove it where it is to run.
    if fleet.spec().applications.contains_key(app) {
        return format!(
            "it is declared, but no longer for this cluster, and its objects are kept; place it \
             here again, or delete them with this entry in the fleet file: removed: \
             [{{application: {app}, clusters: [{name}]}}] (keepObjects: true keeps them)"
        );
    }
    format!(
        "it is no longer declared, and its objects are kept; declare it again, or remove it: \
         flotilla application remove {app} --env {environment} (--keep-objects keeps its \
         objects)"
    )
}

/// Explains why an application that the fleet file removes is not being removed.
fn removal(
    fleet: &Fleet,
    (name, cluster): (&ClusterName, &Cluster),
    environment: &EnvironmentName,
    app: &ApplicationName,
) -> String {
    if cluster.withheld.contains(app) {
        let assigned = cluster.assigned.iter();
        let lacking = assigned.flat_map(|assigned| &assigned.assignment.unresolved);
        let lacking: Vec<&str> = lacking.map(ApplicationName::as_str).collect();
        return format!(
            "its removal waits, and its objects are kept: they may be meant for what is declared for this cluster and \
             cannot be assigned yet: {} (flotilla explain {name} says why)",
            lacking.join(", ")
        );
    }
    let failed = fleet.declared_revision(environment).and_then(|declared| {
        let state = fleet.environments().get(environment)?;
        let failed = state.quarantine_of(&declared.0, &declared.1)?;
        Some((failed, declared.1.short().to_owned()))
    });
    match failed {
        Some((failed, revision)) => format!(
            "its removal came with a revision of the fleet file that failed in {}, and is not tried again by itself; \
             what was not deleted by then is kept (flotilla promote {environment} --force --commit {revision} --reason \
             TEXT tries it again): {}",
            failed.rollout, failed.reason
        ),
        // Its rollout has not reached this cluster yet.
        None => {
            "its removal has not come here yet; what is there of it is kept until then".to_owned()
        }
    }
}

/// Returns why a cluster writes nothing, and what ends that; empty: it writes.
pub(super) fn suspended(name: &ClusterName, cluster: &Cluster) -> String {
    let told = cluster
        .report
        .as_ref()
        .map(|report| report.suspended.as_str())
        .unwrap_or_default();
    let Some(mark) = &cluster.record.suspended else {
        return told.to_owned();
    };
    let heard = match told {
        "" => ", not yet confirmed by its agent",
        _ => "",
    };
    format!(
        "suspended by {}: {}{heard}; to end it: flotilla resume {name}",
        mark.by, mark.reason
    )
}

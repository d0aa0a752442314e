//! What is to be said of applications that a cluster is to run no more, and of a cluster that is to write
//! nothing. Pure.

use std::collections::BTreeSet;

use flotilla_shared::health::SyncState;
use flotilla_shared::id::{ApplicationName, ClusterName, EnvironmentName};
use flotilla_shared::reason::Reason;
use flotilla_shared::report::ApplicationReport;

use crate::fleet::{Cluster, Fleet, is_over};

/// Applications that are not to run in a cluster and are not gone: those that its agent still knows, and
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

/// Says what decides over an application that nobody declares any more, and that one is being removed.
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
        // Whatever its agent said before it heard of that.
        report.sync = report.sync.max(SyncState::Applying);
        report.message = match fleet.environment_of(name) {
            Some(environment) => let_go(fleet, (name, cluster), &environment, app),
            None => "its cluster is in no environment; its objects are kept".to_owned(),
        };
        report.reason = Some(Reason::NotAssigned);
    }
}

/// Whether an application is not to run in a cluster by what is assigned there, or by its agent's word: who is away
/// has not heard of it yet.
fn is_let_go(cluster: &Cluster, app: &ApplicationName, report: &ApplicationReport) -> bool {
    let assigned = cluster.assigned.as_ref();
    report.sync == SyncState::Orphaned
        || assigned.is_some_and(|assigned| !assigned.assignment.applications.contains_key(app))
}

/// What decides over an application that is not assigned any more.
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
    // The revision of the file that gives it to the cluster failed, or is still to come.
    if fleet.places(app, (name, environment), &labels) {
        return format!(
            "it is declared for this cluster by a revision of the fleet file that {environment} does not \
             have; its objects are kept (flotilla rollout show {environment} says what became of it)"
        );
    }
    // Removing it everywhere would take it from where it is to run.
    if fleet.spec().applications.contains_key(app) {
        return format!(
            "it is declared, but not for this cluster any more, and its objects are kept; place it here \
             again, or take them away by this in the fleet file: removed: [{{application: {app}, clusters: \
             [{name}]}}] (they stay with keepObjects: true)"
        );
    }
    format!(
        "nobody declares it any more, and its objects are kept; declare it again, or \
         decide: flotilla application remove {app} --env {environment} (its \
         objects stay with --keep-objects)"
    )
}

/// Why an application is not being removed that the fleet file removes.
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
        // Its rollout has not come here yet.
        None => {
            "its removal has not come here yet; what is there of it is kept until then".to_owned()
        }
    }
}

/// Why a cluster writes nothing, and what ends it; empty: it does write.
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
        "" => ", and its agent has not said yet that it knows",
        _ => "",
    };
    format!(
        "suspended by {}: {}{heard}; flotilla resume {name} ends it",
        mark.by, mark.reason
    )
}

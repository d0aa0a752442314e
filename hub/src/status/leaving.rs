//! What is to be said of applications that a cluster is to run no more, and of a cluster that is to write
//! nothing. Pure.

use std::collections::BTreeSet;

use flotilla_shared::health::SyncState;
use flotilla_shared::id::{ApplicationName, ClusterName};
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
    } else if report.sync == SyncState::Orphaned {
        report.message = match fleet.environment_of(name) {
            Some(environment) => {
                let removal = fleet.spec().removal(app, name, &environment);
                let labels = fleet.labels_of(name);
                match removal {
                    // The file says so, and its rollout has not come here yet.
                    Some(_) => "its removal has not come here yet; its objects are kept".to_owned(),
                    // The revision of the file that gives it to the cluster failed, or is still to come.
                    None if fleet.places(app, (name, &environment), &labels) => format!(
                        "it is declared for this cluster by a revision of the fleet file that {environment} does not \
                         have; its objects are kept (flotilla rollout show {environment} says what became of it)"
                    ),
                    // Removing it everywhere would take it from where it is to run.
                    None if fleet.spec().applications.contains_key(app) => format!(
                        "it is declared, but not for this cluster any more, and its objects are kept; place it here \
                         again, or take them away by this in the fleet file: removed: [{{application: {app}, clusters: \
                         [{name}]}}] (they stay with keepObjects: true)"
                    ),
                    None => format!(
                        "nobody declares it any more, and its objects are kept; declare it again, or \
                         decide: flotilla application remove {app} --env {environment} (its \
                         objects stay with --keep-objects)"
                    ),
                }
            }
            None => "its cluster is in no environment; its objects are kept".to_owned(),
        };
        report.reason = Some(Reason::NotAssigned);
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

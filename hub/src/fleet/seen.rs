//! What clusters of an environment without rollouts reported on a commit when the next one came: there, commits count
//! as good when they arrive, and a rollback should go to one that was healthy.

use std::collections::BTreeMap;

use flotilla_shared::health::{Health, SyncState};
use flotilla_shared::id::{EnvironmentName, RepositoryName};
use flotilla_shared::problem::Problem;
use flotilla_shared::report::{ApplicationReport, MAX_MESSAGE_BYTES, plain_line};
use flotilla_shared::revision::Commit;
use flotilla_shared::words::counted;

use super::Fleet;
use super::cluster::Cluster;

impl Fleet {
    /// Returns, by repository, why the clusters of an environment do not report its present commit as healthy; empty:
    /// they do, or it runs nowhere. Clusters that are kept elsewhere on purpose do not count.
    #[must_use]
    pub fn doubts(&self, environment: &EnvironmentName) -> BTreeMap<RepositoryName, String> {
        let Some(state) = self.environments().get(environment) else {
            return BTreeMap::new();
        };
        let commits = state.approved.iter();
        let commits = commits.filter(|(repository, _)| !repository.is_fleet_file());
        commits
            .map(|(repository, commit)| {
                let mut doubts = self.clusters_of(environment).filter_map(|name| {
                    let cluster = self.clusters().get(name)?;
                    let why = doubt(cluster, repository, commit)?;
                    Some(format!("{name}: {why}"))
                });
                let text = doubts.next().map_or(String::new(), |first| {
                    let first = plain_line(&first, MAX_MESSAGE_BYTES / 2);
                    match doubts.count() {
                        0 => first,
                        more => format!("{first} (and {})", counted(more, "more cluster")),
                    }
                });
                (repository.clone(), text)
            })
            .collect()
    }
}

fn doubt(cluster: &Cluster, repository: &RepositoryName, commit: &Commit) -> Option<String> {
    if cluster.record.pin.is_some() || cluster.record.suspended.is_some() {
        return None;
    }
    let assigned = &cluster.assigned.as_ref()?.assignment.applications;
    let mut own = assigned
        .iter()
        .filter(|(_, application)| application.revision.repository == *repository);
    own.find_map(|(name, _)| {
        let report = cluster.report.as_ref();
        let report = report.and_then(|report| report.applications.get(name));
        let why = match report {
            Some(report) => says(report, commit)?,
            None => "had not been reported".to_owned(),
        };
        Some(match &cluster.refusal {
            Some(Problem { reason, message }) => {
                format!("the assignment was refused: {reason}: {message}")
            }
            None => format!("{name} {why}"),
        })
    })
}

/// Returns what an application's report says against a commit.
fn says(report: &ApplicationReport, commit: &Commit) -> Option<String> {
    let because = match (report.reason, report.message.as_str()) {
        (None, _) => String::new(),
        (Some(reason), "") => format!(": {reason}"),
        (Some(reason), message) => format!(": {reason}: {message}"),
    };
    let runs = report.revision.as_ref();
    if report.sync == SyncState::Refused {
        return Some(format!("was refused{because}"));
    }
    if runs.is_none_or(|revision| revision.commit != *commit) {
        return Some(format!("was not fully applied{because}"));
    }
    if report.sync != SyncState::Synced {
        return Some(format!("was {}{because}", report.sync));
    }
    match report.health {
        Health::Current | Health::Suspended => None,
        health => Some(format!("was {health}{because}")),
    }
}

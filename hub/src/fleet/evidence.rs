//! Evidence of the environment before for a commit, or for a revision of the fleet file.

use std::sync::Arc;
use std::time::Duration;

use flotilla_shared::assignment::ApplicationAssignment;
use flotilla_shared::id::{ApplicationName, EnvironmentName, RepositoryName};
use flotilla_shared::reason::Reason;
use flotilla_shared::revision::Commit;
use jiff::{SignedDuration, Timestamp};

use super::Fleet;
use super::cluster::{Cluster, Connectivity, OFFLINE_AFTER};
use super::gate::{Gate, GateKind, Open};
use crate::spec::{Environment, Specification};

/// What a cluster is assigned of a repository, or of the declarations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RevisionMatch {
    NothingOfIt,
    /// All of it is at exactly this commit, or declared exactly as here.
    It,
    Another,
}

/// Whether clusters that do not run it yet may still get it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arrival {
    OnItsWay,
    Unlikely,
}

/// Which of a cluster's applications count as evidence. Others that are unhealthy there do not (promise 5).
#[derive(Clone, Copy)]
pub(super) struct EvidenceScope<'c> {
    /// Tells which of the applications that it is to run count.
    pub(super) runs: &'c dyn Fn(&ApplicationName, &ApplicationAssignment) -> bool,
    /// Applications that it is to lose and that count.
    pub(super) loses: &'c [&'c ApplicationName],
}

impl EvidenceScope<'_> {
    /// Returns since when they run exactly what is assigned, synced and healthy, or are removed; or the first that does
    /// not.
    fn well_since(self, cluster: &Cluster) -> Result<Timestamp, String> {
        let ill = || {
            let (sync, health) = cluster.worst();
            format!("{sync} / {health}")
        };
        let mut later = cluster.loses_later();
        if let Some(name) = later.find(|name| self.loses.contains(name)) {
            return Err(format!(
                "{name}: not removed yet, since something else that is declared there cannot be assigned"
            ));
        }
        let assigned = cluster.assigned.iter().map(|stored| &stored.assignment);
        let tombstones = assigned
            .clone()
            .flat_map(|assignment| assignment.tombstones.keys());
        let lost = tombstones.filter(|name| self.loses.contains(name));
        let assigned = assigned.flat_map(|assignment| &assignment.applications);
        let counted = assigned.filter(|(name, app)| (self.runs)(name, app));
        let counted = counted.map(|(name, _)| name).chain(lost);
        match cluster.well_since(counted) {
            Ok(since) => since.or(cluster.current_since).ok_or_else(ill),
            Err(name) => {
                let report = cluster.report.as_ref();
                let report = report.and_then(|report| report.applications.get(name));
                let (sync, health) =
                    report.map_or_else(Default::default, |report| (report.sync, report.health));
                let text = format!("{name}: {sync} / {health}");
                Err(match report.is_some_and(|report| report.is_well()) {
                    _ if self.loses.contains(&name) => format!("{text}, not removed yet"),
                    true => format!("{text}, but not yet as currently assigned"),
                    false => text,
                })
            }
        }
    }
}

impl Fleet {
    /// Returns the evidence of the clusters of the environment before: `runs` judges a cluster, `counts` names the
    /// applications that count.
    pub(super) fn evidence(
        &self,
        environment: &Environment,
        source: &EnvironmentName,
        (soak, arrival): (Duration, Arrival),
        (runs, counts): (impl Fn(&Cluster) -> RevisionMatch, EvidenceScope<'_>),
        now: Timestamp,
    ) -> Vec<Gate> {
        let mut gates = Vec::new();
        let (mut total, mut offline) = (0usize, Vec::new());
        for (name, cluster) in &self.clusters {
            if cluster.record.pending.is_some() || !self.belongs_to(name, source) {
                continue;
            }
            let runs = runs(cluster);
            if runs == RevisionMatch::NothingOfIt {
                continue;
            }
            total += 1;
            let online = matches!(
                cluster.connection(now, OFFLINE_AFTER),
                Connectivity::Online { .. }
            );
            if !online {
                offline.push(name.to_string());
                continue;
            }
            let mut gate = match runs {
                RevisionMatch::It => evidence(name.as_str(), cluster, counts, soak, now),
                _ => Gate::new(
                    GateKind::Health,
                    name.as_str(),
                    Open::No,
                    "does not run this commit".to_owned(),
                ),
            };
            gate.lasting = arrival == Arrival::Unlikely && runs != RevisionMatch::It;
            gates.push(gate);
        }
        // An offline cluster is no evidence for or against a commit; it counts against a budget of its own.
        let allowed = environment.gates.offline_allowed(total);
        let enough = gates.iter().any(|gate| gate.open == Open::Yes);
        for name in &offline {
            let (open, text) = if offline.len() <= allowed && enough {
                (
                    Open::Skipped,
                    format!("offline: {} (limit {allowed})", offline.len()),
                )
            } else {
                (
                    Open::NotYet,
                    format!("offline: {} of {total} (limit {allowed})", offline.len()),
                )
            };
            let mut gate = Gate::new(GateKind::Health, name.clone(), open, text);
            if open == Open::NotYet {
                gate.reason = Some(Reason::Offline);
            }
            gates.push(gate);
        }
        if total == 0 {
            let text = format!("no cluster of {source} has proven anything");
            return vec![Gate::never(source, text)];
        }
        gates
    }

    /// Returns whether something of a repository is placed on a cluster and not assigned to it.
    pub(super) fn lacks_from(&self, cluster: &Cluster, repository: &RepositoryName) -> bool {
        let assigned = cluster.assigned.as_ref();
        let assigned = assigned.map(|assigned| &assigned.assignment.applications);
        let specification = self.specification_of(cluster);
        cluster.placed.keys().any(|name| {
            self.source_of(specification.as_deref(), name) == Some(repository)
                && assigned
                    .and_then(|assigned| assigned.get(name))
                    .is_none_or(|app| app.revision.repository != *repository)
        })
    }

    /// Returns the specification by which applications are placed on a cluster; none: not known since a restart.
    pub(super) fn specification_of(&self, cluster: &Cluster) -> Option<Arc<Specification>> {
        self.specification(cluster.specified.as_ref()?)
    }

    /// Returns the repository of an application by a specification, or by the present fleet file.
    pub(super) fn source_of<'s>(
        &'s self,
        specification: Option<&'s Specification>,
        name: &ApplicationName,
    ) -> Option<&'s RepositoryName> {
        match specification {
            Some(known) => Some(&known.applications.get(name)?.application.repository),
            None => Some(&self.spec().applications.get(name)?.repository),
        }
    }

    /// Compares what a cluster is assigned of a repository with one of its commits.
    pub(super) fn runs(
        &self,
        cluster: &Cluster,
        repository: &RepositoryName,
        commit: &Commit,
    ) -> RevisionMatch {
        let assigned = cluster.assigned.as_ref();
        let assigned = assigned.map(|assigned| &assigned.assignment.applications);
        if self.lacks_from(cluster, repository) {
            return RevisionMatch::Another;
        }
        let mut found = RevisionMatch::NothingOfIt;
        for app in assigned.into_iter().flat_map(|all| all.values()) {
            if app.revision.repository != *repository {
                continue;
            }
            if app.revision.commit != *commit {
                return RevisionMatch::Another;
            }
            found = RevisionMatch::It;
        }
        found
    }
}

fn evidence(
    name: &str,
    cluster: &Cluster,
    counts: EvidenceScope<'_>,
    soak: Duration,
    now: Timestamp,
) -> Gate {
    let gate = |open, text: String| Gate::new(GateKind::Health, name, open, text);
    let well = counts.well_since(cluster);
    let mut gate = match &well {
        Err(text) => gate(Open::No, text.clone()),
        Ok(since) => {
            let for_seconds = now.duration_since(*since).as_secs().max(0).unsigned_abs();
            if for_seconds >= soak.as_secs() {
                gate(
                    Open::Yes,
                    "runs exactly this, synced and healthy".to_owned(),
                )
            } else {
                let soak_seconds = soak.as_secs();
                let mut gate = gate(
                    Open::NotYet,
                    format!("runs exactly this, healthy for {for_seconds} s of {soak_seconds}"),
                );
                let end = SignedDuration::try_from(soak).ok();
                gate.opens_at = end.and_then(|end| since.checked_add(end).ok());
                gate
            }
        }
    };
    gate.at = well.ok().or(cluster.reported_at);
    gate
}

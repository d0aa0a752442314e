//! The simulated store, which survives the hub.

use super::*;

/// The simulated store, which survives the hub.
#[derive(Default, Clone)]
pub(super) struct Disk {
    pub(super) heads: BTreeMap<(RepositoryName, BranchName), Head>,
    pub(super) clusters: BTreeMap<ClusterName, ClusterRecord>,
    pub(super) assignments: BTreeMap<ClusterName, StoredAssignment>,
    pub(super) reports: BTreeMap<ClusterName, (Report, Option<Timestamp>)>,
    pub(super) environments: BTreeMap<EnvironmentName, EnvironmentState>,
    pub(super) rollouts: BTreeMap<String, Rollout>,
    pub(super) progress: BTreeMap<(String, ClusterName), Progress>,
    pub(super) audit: Vec<AuditEntry>,
    pub(super) retired: BTreeMap<ClusterName, u64>,
    pub(super) specifications: BTreeMap<Commit, crate::spec::Specification>,
}

impl Disk {
    pub(super) fn apply(&mut self, effects: &[Effect]) {
        for effect in effects.iter().cloned() {
            match effect {
                Effect::StoreHead(repository, branch, head) => {
                    self.heads.insert((repository, branch), head);
                }
                Effect::StoreCluster(name, record) => {
                    self.clusters.insert(name, *record);
                }
                Effect::DeleteCluster(name) => {
                    self.clusters.remove(&name);
                    self.assignments.remove(&name);
                    self.reports.remove(&name);
                }
                Effect::StoreAssignment(name, assignment) => {
                    self.assignments.insert(name, assignment);
                }
                Effect::StoreReport(name, report, since) => {
                    self.reports.insert(name, (report, since));
                }
                Effect::StoreEnvironment(name, state) => {
                    self.environments.insert(name, *state);
                }
                Effect::StoreRollout(rollout) => {
                    self.rollouts.insert(rollout.id.clone(), *rollout);
                }
                Effect::StoreProgress(rollout, cluster, progress) => {
                    self.progress.insert((rollout, cluster), *progress);
                }
                Effect::DeleteProgress(rollout, cluster) => {
                    self.progress.remove(&(rollout, cluster));
                }
                Effect::StoreSpecification(revision, specification) => {
                    self.specifications
                        .insert(revision, (*specification).clone());
                }
                Effect::DeleteSpecification(revision) => {
                    self.specifications.remove(&revision);
                }
                Effect::Audit(entry) => self.audit.push(entry),
                Effect::Retire(name, counter) => {
                    self.retired.insert(name, counter);
                }
                Effect::RedeemToken(..)
                | Effect::RevokeToken(..)
                | Effect::Send(..)
                | Effect::RequestReport(..)
                | Effect::AskJobs(..)
                | Effect::RequestRenewal(..)
                | Effect::Measure(..)
                | Effect::Close(..) => {}
            }
        }
    }

    pub(super) fn restore(&self) -> Event {
        let mut last: BTreeMap<EnvironmentName, Rollout> = BTreeMap::new();
        for rollout in self.rollouts.values() {
            let number = |id: &str| id.rsplit_once('-').unwrap().1.parse::<u64>().unwrap();
            if last
                .get(&rollout.environment)
                .is_none_or(|other| number(&other.id) < number(&rollout.id))
            {
                last.insert(rollout.environment.clone(), rollout.clone());
            }
        }
        for rollout in last.values_mut() {
            let own = self
                .progress
                .iter()
                .filter(|((id, _), _)| *id == rollout.id);
            rollout.clusters = own
                .map(|((_, cluster), progress)| (cluster.clone(), progress.clone()))
                .collect();
        }
        Event::Restored {
            heads: self.heads.clone().into_iter().collect(),
            clusters: self
                .clusters
                .iter()
                .map(|(name, record)| StoredCluster {
                    name: name.clone(),
                    record: record.clone(),
                    assignment: self.assignments.get(name).cloned(),
                    report: self.reports.get(name).map(|(report, _)| report.clone()),
                    current_since: self.reports.get(name).and_then(|(_, since)| *since),
                })
                .collect(),
            environments: self.environments.clone().into_iter().collect(),
            rollouts: last.into_values().collect(),
            retired: self.retired.clone().into_iter().collect(),
            specifications: self.specifications.clone().into_iter().collect(),
        }
    }
}

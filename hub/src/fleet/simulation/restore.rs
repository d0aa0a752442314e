//! Backups, and restores of older ones: the end of the history is lost, and agents know assignments that the hub does
//! not. Promise 1 as a law: a restore alone changes nothing that a cluster runs, so that it deletes nothing.

use super::*;

/// State of the backups, apart from the hub under test.
#[derive(Default)]
pub(super) struct Backups {
    kept: Vec<Disk>,
    pub(super) epoch: u64,
    pub(super) since: Option<Timestamp>,
    /// Clusters that accepted assignments that the restored store does not contain.
    ahead: BTreeSet<ClusterName>,
    /// Branches that moved since the last restore, as far as the hub has read them.
    moved: BTreeSet<(RepositoryName, BranchName)>,
    /// Clusters that an operator released.
    let_go: BTreeSet<ClusterName>,
    pub(super) restored: usize,
    pub(super) held: usize,
}

impl Simulation {
    pub(super) fn back_up(&mut self) {
        if self.backups.kept.len() >= 4 {
            self.backups.kept.remove(0);
        }
        self.backups.kept.push(self.disk.clone());
    }

    /// Replaces the store with an older one, as `store::epoch` does.
    pub(super) fn put_back(&mut self) {
        let Some(backup) = self.backups.kept.choose(&mut self.rng).cloned() else {
            return;
        };
        self.disk = backup;
        self.disk.heads.clear();
        for rollout in self.disk.rollouts.values_mut() {
            if !rollout.state.is_over() {
                super::super::leave_behind(rollout, self.now);
            }
        }
        for state in self.disk.environments.values_mut() {
            super::super::forget_queue(state);
        }
        self.backups.epoch += 1;
        self.backups.since = Some(self.now);
        self.backups.restored += 1;
        self.backups.let_go.clear();
        self.backups.moved.clear();
        // A cluster without an assignment of a newer epoch still runs one that no store has.
        self.backups.ahead.retain(|name| {
            let accepted = self.agents[name].accepted;
            let known = self
                .disk
                .assignments
                .get(name)
                .map(|stored| stored.decoded.reference);
            known.is_none_or(|known| known.place() < accepted.place())
        });
        for (name, agent) in &self.agents {
            let known = self
                .disk
                .assignments
                .get(name)
                .map(|stored| stored.decoded.reference);
            let known = known.unwrap_or_default();
            if agent.accepted.generation.0 > 0
                && known != agent.accepted
                && known.place() <= agent.accepted.place()
            {
                self.backups.ahead.insert(name.clone());
            }
        }
        // A cluster that is not in the backup is unknown, and enrols again.
        let clusters = &self.disk.clusters;
        self.agents.retain(|name, _| clusters.contains_key(name));
        self.highest.retain(|name, _| clusters.contains_key(name));
        self.backups
            .ahead
            .retain(|name| clusters.contains_key(name));
        self.passed.clear();
        self.crash();
    }

    /// Notes the branches that the hub is about to read.
    pub(super) fn note_moved(
        &mut self,
        repository: &RepositoryName,
        found: &BTreeMap<BranchName, Commit>,
    ) {
        for ((of, branch), head) in self.hub.heads() {
            if of == repository
                && let (Some(commit), Some(before)) = (found.get(branch), &head.commit)
                && commit != before
            {
                self.backups.moved.insert((of.clone(), branch.clone()));
            }
        }
    }

    /// Notes that an operator decided what a held cluster runs.
    pub(super) fn note_let_go(&mut self, subject: &Subject) {
        let is_of = |name: &&ClusterName| match subject {
            Subject::Environment(environment) => self.hub.belongs_to(name, environment),
            Subject::Cluster(cluster) => cluster == *name,
        };
        self.backups
            .let_go
            .extend(self.agents.keys().filter(is_of).cloned());
    }

    /// Checks the law when an assignment arrives.
    pub(super) fn check_not_taken_back(&mut self, name: &ClusterName, next: &DecodedAssignment) {
        let agent = &self.agents[name];
        if !self.backups.ahead.contains(name) || next.reference.place() <= agent.accepted.place() {
            return;
        }
        self.backups.ahead.remove(name);
        let Some(before) = &agent.assignment else {
            return;
        };
        let epoch = self.backups.epoch + 1;
        for (app, application) in &before.assignment.applications {
            // Applications that the file no longer places are covered by another law.
            let Some(given) = next.assignment.applications.get(app) else {
                continue;
            };
            if given.revision.commit == application.revision.commit {
                self.backups.held += 1;
                continue;
            }
            let rollout = self.disk.rollouts.get(&given.rollout);
            let environment = &next.assignment.environment;
            let state = self.hub.environments().get(environment);
            let pinned = state.and_then(|state| state.pin.as_ref());
            let head = (
                given.revision.repository.clone(),
                given.revision.branch.clone(),
            );
            let decided = rollout.is_some_and(|rollout| rollout.epoch == epoch)
                || state.is_some_and(|state| {
                    let good = |good: &GoodCommits| good.epoch == epoch;
                    state.history.back().is_some_and(good)
                })
                || pinned.is_some_and(|pin| pin.epoch == epoch)
                || self.backups.moved.contains(&head)
                || self.backups.let_go.contains(name);
            assert!(
                decided,
                "a restore took {app} on {name} from {} to {}",
                application.revision.commit, given.revision.commit
            );
        }
    }
}

//! Proofs of the environment before, for commits and for revisions of the fleet file.

use flotilla_shared::assignment::ApplicationAssignment;
use flotilla_shared::id::{ApplicationName, ClusterName, EnvironmentName, RepositoryName};
use flotilla_shared::revision::Commit;
use jiff::Timestamp;

use super::cluster::Cluster;
use super::environment::{GoodCommits, MAX_HISTORY, push};
use super::evidence::{Arrival, EvidenceScope, RevisionMatch};
use super::gate::{Gate, GateKind, Open};
use super::rollout::Commits;
use super::{Effect, Fleet};
use crate::spec::{Difference, Environment, Specification};

impl Fleet {
    /// Returns the gate of the environment before: whether it is healthy at exactly this commit, and was for the soak.
    /// Only clusters that run something of the repository count.
    pub(super) fn proof(
        &self,
        environment: &Environment,
        source: &EnvironmentName,
        (repository, commit): (&RepositoryName, &Commit),
        now: Timestamp,
    ) -> Vec<Gate> {
        let soak = environment.gates.proof.unwrap_or_default();
        let state = self.environments.get(&environment.name);
        if let Some(proven) = state.and_then(|state| state.proof_of(repository, commit)) {
            let text = format!("{source} proved it");
            let mut gate = Gate::new(GateKind::Health, source.to_string(), Open::Yes, text);
            gate.at = Some(proven.at);
            return vec![gate];
        }
        if let Some((twin, at)) = state.and_then(|state| self.twin(state, repository, commit)) {
            let text = format!(
                "{source} proved {}, which has exactly the same files (proof by tree)",
                twin.short()
            );
            let mut gate = Gate::new(GateKind::Health, source.to_string(), Open::Yes, text);
            gate.at = Some(at);
            return vec![gate];
        }
        let declared = self.spec().environment(source);
        if declared.is_some_and(|source| !self.uses(source, repository)) {
            let text = format!(
                "{source} has no application from repository {repository} and can never prove \
                 it; place one there, or have an admin override the gate"
            );
            return vec![Gate::never(source, text)];
        }
        let arrival = match self.is_on_its_way(source, repository, commit) {
            true => Arrival::OnItsWay,
            false => Arrival::Unlikely,
        };
        let runs = |cluster: &Cluster| self.runs(cluster, repository, commit);
        let from_it = |_: &ApplicationName, app: &ApplicationAssignment| {
            app.revision.repository == *repository
        };
        let counts = EvidenceScope {
            runs: &from_it,
            loses: &[],
        };
        self.evidence(environment, source, (soak, arrival), (runs, counts), now)
    }

    /// Returns whether clusters of an environment that do not run a commit yet may still get it.
    fn is_on_its_way(
        &self,
        environment: &EnvironmentName,
        repository: &RepositoryName,
        commit: &Commit,
    ) -> bool {
        let Some(environment) = self.spec().environment(environment) else {
            return false;
        };
        let has = |all: &Commits| all.get(repository) == Some(commit);
        let (heads, name) = (self.head_commits(environment), &environment.name);
        let state = self.environments.get(name);
        let given_up = state.is_some_and(|state| state.quarantine_of(repository, commit).is_some());
        let rollout = self.rollouts.get(name);
        has(&self.good(environment))
            || (has(&heads) && !given_up)
            || rollout.is_some_and(|rollout| !rollout.state.is_over() && has(&rollout.target))
            || state.is_some_and(|state| state.queue.iter().any(has))
    }

    /// Returns whether the environment before runs the applications that a revision of the fleet file changes, as it
    /// declares them, and was healthy for the soak. Directories and names of clusters differ between environments by
    /// their templates; the templates are the same.
    pub(super) fn proof_of_declared(
        &self,
        environment: &Environment,
        source: &EnvironmentName,
        revision: &Commit,
        now: Timestamp,
    ) -> Vec<Gate> {
        let fleet_file = RepositoryName::fleet_file();
        let state = self.environments.get(&environment.name);
        if let Some(proven) = state.and_then(|state| state.proof_of(fleet_file, revision)) {
            let text = format!("{source} proved what it declares");
            let mut gate = Gate::new(GateKind::Health, source.to_string(), Open::Yes, text);
            gate.at = Some(proven.at);
            return vec![gate];
        }
        let before = state.and_then(|state| self.specification_among(&state.approved));
        let (Some(before), Some(after)) = (before, self.specification(revision)) else {
            let text = "what this revision declares is no longer known".to_owned();
            return vec![Gate::never(source, text)];
        };
        let difference = Difference::between(&before, &after);
        let changed: Vec<_> = difference.to_prove().collect();
        // Removals that the environment before shares have to be done there first; it cannot prove any other.
        let coming = self.declarations.present().get(source);
        let loses = |name: &&ApplicationName| {
            coming.is_some_and(|(_, coming)| coming.removed.contains_key(*name))
        };
        let lost: Vec<_> = difference.to_remove().filter(loses).collect();
        let Some(from) = self
            .spec()
            .environment(source)
            .filter(|_| !changed.is_empty() || !lost.is_empty())
        else {
            // Only branches or labels differ, which no other environment can prove.
            return Vec::new();
        };
        // The revision that is in force there; without rollouts the present one.
        let good = if self.has_waves(from) {
            let state = self.environments.get(source);
            state.and_then(|state| state.approved.get(fleet_file).cloned())
        } else {
            coming.map(|(revision, _)| revision.clone())
        };
        let known = good.as_ref().and_then(|good| self.specification(good));
        if let Some(gate) = self.not_in_force(source, known.as_deref(), &after, (&changed, &lost)) {
            return vec![gate];
        }
        let runs = |cluster: &Cluster| {
            let assigned = cluster.assigned.as_ref().map(|stored| &stored.assignment);
            let any = assigned.is_some_and(|assignment| {
                let mut runs = changed.iter();
                let mut loses = lost.iter();
                runs.any(|name| assignment.applications.contains_key(*name))
                    || loses.any(|name| {
                        assignment.tombstones.contains_key(*name)
                            || cluster.loses_later().any(|later| later == *name)
                    })
            });
            // A cluster that was not assigned this revision yet may still have it to remove.
            let any = any || (!lost.is_empty() && cluster.specified != good);
            match (any, cluster.specified == good) {
                (false, _) => RevisionMatch::NothingOfIt,
                (true, true) => RevisionMatch::It,
                (true, false) => RevisionMatch::Another,
            }
        };
        let mut there = self.clusters_of(source);
        let says_anything = |name: &ClusterName| {
            let cluster = self.clusters.get(name);
            cluster.is_some_and(|cluster| runs(cluster) != RevisionMatch::NothingOfIt)
        };
        if changed.is_empty() && !there.any(says_anything) {
            // No cluster there had it.
            return Vec::new();
        }
        let soak = environment.gates.proof.unwrap_or_default();
        let is_changed =
            |name: &ApplicationName, _: &ApplicationAssignment| changed.contains(&name);
        let counts = EvidenceScope {
            runs: &is_changed,
            loses: &lost,
        };
        self.evidence(
            environment,
            source,
            (soak, Arrival::OnItsWay),
            (runs, counts),
            now,
        )
    }

    /// Returns the gate that says why no cluster of the environment before can prove what is declared `after`: it
    /// declares something else, or that is not in force there. `known` is what is in force there.
    fn not_in_force(
        &self,
        source: &EnvironmentName,
        known: Option<&Specification>,
        after: &Specification,
        (changed, lost): (&[&ApplicationName], &[&ApplicationName]),
    ) -> Option<Gate> {
        let coming = self.declarations.present().get(source);
        for name in changed {
            let alike = |other: &Specification| {
                other.applications.contains_key(*name)
                    && Difference::between(other, after).same_definition(name)
            };
            if !coming.is_some_and(|(_, coming)| alike(coming)) {
                let text = format!(
                    "{source} does not declare {name} like this and can never prove it; declare \
                     it there, or have an admin override the gate"
                );
                return Some(Gate::never(source, text));
            }
            if !known.is_some_and(alike) {
                let coming = coming.map(|(revision, _)| revision);
                return Some(self.not_there_yet(source, name, coming));
            }
        }
        for name in lost {
            if !known.is_some_and(|known| known.removed.contains_key(*name)) {
                let text = format!("{source} has not removed {name} yet");
                let subject = source.to_string();
                return Some(Gate::new(GateKind::Health, subject, Open::NotYet, text));
            }
        }
        None
    }

    /// Returns why an environment does not run an application as it is declared now: it failed there, or has not
    /// arrived yet.
    fn not_there_yet(
        &self,
        environment: &EnvironmentName,
        application: &ApplicationName,
        coming: Option<&Commit>,
    ) -> Gate {
        let tried = self.environments.get(environment).zip(coming);
        let failed = tried
            .and_then(|(state, coming)| state.quarantine_of(RepositoryName::fleet_file(), coming));
        match failed {
            Some(failed) => {
                let text = format!(
                    "{environment} tried what is declared there, and it failed in rollout {}: {}",
                    failed.rollout, failed.reason
                );
                Gate::never(environment, text)
            }
            None => {
                let text = format!("{environment} does not run {application} as declared here yet");
                Gate::new(
                    GateKind::Health,
                    environment.to_string(),
                    Open::NotYet,
                    text,
                )
            }
        }
    }

    /// Returns whether the proof, if any, is of this commit itself, and not of another one with the same files.
    #[must_use]
    pub fn is_proof_its_own(
        &self,
        environment: &EnvironmentName,
        repository: &RepositoryName,
        commit: &Commit,
    ) -> bool {
        self.environments.get(environment).is_none_or(|state| {
            state.proof_of(repository, commit).is_some()
                || self.twin(state, repository, commit).is_none()
        })
    }

    /// Records commits that the environment before has proven, so that they stay proven when it moves on.
    pub(super) fn note_proof(
        &mut self,
        environment: &Environment,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        let (Some(source), Some(_)) = (&environment.promotes_from, environment.gates.proof) else {
            return;
        };
        let Some(source) = self.spec().environment(source).cloned() else {
            return;
        };
        let state = self.environments.get(&environment.name);
        let mut proven = self.good(&source);
        proven.retain(|repository, commit| {
            if state.is_some_and(|state| state.proof_of(repository, commit).is_some()) {
                return false;
            }
            let gates = self.proof(environment, &source.name, (repository, commit), now);
            !gates.is_empty() && !gates.iter().any(Gate::holds_back)
        });
        if let Some((fleet_file, revision)) = self.declared_revision(&environment.name)
            && state.is_none_or(|state| {
                state.proof_of(&fleet_file, &revision).is_none()
                    && state.approved.get(&fleet_file) != Some(&revision)
            })
        {
            let gates = self.proof_of_declared(environment, &source.name, &revision, now);
            if !gates.is_empty() && !gates.iter().any(Gate::holds_back) {
                proven.insert(fleet_file, revision);
            }
        }
        if proven.is_empty() {
            return;
        }
        let good = GoodCommits {
            commits: proven,
            rollout: String::new(),
            at: now,
            epoch: self.epoch.0,
        };
        let (name, versions) = (&environment.name, &mut self.versions);
        self.environments.change(name, versions, effects, |state| {
            push(&mut state.proven, MAX_HISTORY, good);
        });
    }
}

//! Specifications of environments: which one the fleet file asks for, which ones are kept, and which of its
//! changes need no rollout.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use flotilla_shared::id::{ClusterName, EnvironmentName, RepositoryName};
use flotilla_shared::revision::Commit;
use jiff::Timestamp;

use super::environment::EnvironmentState;
use super::event::{AuditEntry, Effect};
use super::rollout::Commits;
use super::{Fleet, place};
use crate::spec::{Difference, Environment, Specification, Touch};

/// Who changes what is declared: the hub does not know the person.
const FLEET_FILE: &str = "fleet file";
/// Clusters that an entry names at most.
const NAMED: usize = 50;

/// Whether there is a commit of a repository among these revisions.
pub(super) fn has_commits(commits: &Commits) -> bool {
    commits.keys().any(|source| !source.is_fleet_file())
}

impl Fleet {
    /// Works out what the fleet file says of each environment.
    pub(super) fn declare(&mut self) {
        let spec = Arc::clone(&self.spec);
        let mut declared = BTreeMap::new();
        for environment in &spec.environments {
            let place = |name: &ClusterName| {
                let record = self.clusters.get(name).map(|cluster| &cluster.record);
                place(&spec, name, record).cloned()
            };
            let specification = Specification::of(&spec, &environment.name, place);
            let found = specification
                .and_then(|specification| Some((specification.revision()?, specification)));
            if let Some((revision, specification)) = found {
                let specification = Arc::new(specification);
                declared.insert(environment.name.clone(), (revision, specification));
            }
        }
        self.declared = declared;
    }

    /// Where clusters are changed: it matters where applications name them.
    pub(super) fn membership_changed(&mut self) {
        self.members.clear();
        let mut all = self.spec.applications.values();
        if all.any(|application| !application.placement.clusters.is_empty()) {
            self.declare();
        }
    }

    /// The revision of the fleet file that an environment asks for, as a source of revisions.
    pub(super) fn declared_revision(
        &self,
        environment: &EnvironmentName,
    ) -> Option<(RepositoryName, Commit)> {
        let (revision, _) = self.declared.get(environment)?;
        Some((RepositoryName::fleet_file().clone(), revision.clone()))
    }

    /// A specification by its revision, if it is known: declared now, or kept.
    pub(super) fn specification(&self, revision: &Commit) -> Option<Arc<Specification>> {
        let declared = self.declared.values();
        let declared = declared.filter(|(one, _)| one == revision);
        let mut declared = declared.map(|(_, specification)| specification);
        self.specifications
            .get(revision)
            .or_else(|| declared.next())
            .cloned()
    }

    pub(super) fn specification_among(&self, commits: &Commits) -> Option<Arc<Specification>> {
        self.specification(commits.get(RepositoryName::fleet_file())?)
    }

    /// Keeps the specifications among revisions in the store.
    pub(super) fn keep_specifications<'c>(
        &mut self,
        all: impl IntoIterator<Item = &'c Commits>,
        effects: &mut Vec<Effect>,
    ) {
        for revision in all
            .into_iter()
            .filter_map(|one| one.get(RepositoryName::fleet_file()))
        {
            if self.specifications.contains_key(revision) {
                continue;
            }
            if let Some(specification) = self.specification(revision) {
                let kept = Arc::clone(&specification);
                self.specifications.insert(revision.clone(), kept);
                effects.push(Effect::StoreSpecification(revision.clone(), specification));
            }
        }
    }

    /// Forgets specifications to which nothing goes and from which nothing comes any more.
    pub(super) fn forget_specifications(&mut self, effects: &mut Vec<Effect>) {
        let mut used: BTreeSet<&Commit> = BTreeSet::new();
        let source = RepositoryName::fleet_file();
        for state in self.environments.values() {
            let all = std::iter::once(&state.approved).chain(&state.queue);
            used.extend(all.filter_map(|commits| commits.get(source)));
        }
        for rollout in self.rollouts.values().filter(|one| !one.state.is_over()) {
            let all = [&rollout.target, &rollout.from];
            used.extend(all.into_iter().filter_map(|commits| commits.get(source)));
        }
        let gone: Vec<Commit> = self
            .specifications
            .keys()
            .filter(|revision| !used.contains(revision))
            .cloned()
            .collect();
        for revision in gone {
            self.specifications.remove(&revision);
            effects.push(Effect::DeleteSpecification(revision));
        }
    }

    /// A cluster's labels under a specification; of a cluster that it does not name, as they are now.
    pub(super) fn labels_under(
        &self,
        specification: &Specification,
        name: &ClusterName,
    ) -> BTreeMap<String, String> {
        let Some(declared) = specification.labels.get(name) else {
            return self.labels_of(name);
        };
        let record = self.clusters.get(name).map(|cluster| &cluster.record);
        let mut labels = record.map(|one| one.labels.clone()).unwrap_or_default();
        labels.extend(declared.clone());
        labels
    }

    /// What one specification means for a cluster after another one.
    pub(super) fn touches<'s>(
        &self,
        difference: &Difference<'s>,
        (before, after): (&Specification, &Specification),
        (name, environment): (&ClusterName, &EnvironmentName),
    ) -> BTreeMap<&'s flotilla_shared::id::ApplicationName, Touch> {
        let old = self.labels_under(before, name);
        if before.labels.get(name) == after.labels.get(name) {
            return difference.touches((name, environment), (&old, &old));
        }
        let new = self.labels_under(after, name);
        difference.touches((name, environment), (&old, &new))
    }

    /// Clusters of an environment, apart from those that wait to be accepted.
    pub(super) fn clusters_of(
        &self,
        environment: &EnvironmentName,
    ) -> impl Iterator<Item = &ClusterName> {
        let all = self.clusters.iter();
        all.filter(move |(name, cluster)| {
            cluster.record.pending.is_none()
                && place(&self.spec, name, Some(&cluster.record)) == Some(environment)
        })
        .map(|(name, _)| name)
    }

    /// Whether one specification after another defines nothing anew and brings nobody anything new: it may
    /// take applications away from clusters, which keeps their objects and waits for nothing.
    pub(super) fn only_takes(
        &self,
        before: &Specification,
        after: &Specification,
        environment: &EnvironmentName,
    ) -> bool {
        let difference = Difference::between(before, after);
        !difference.defines_anew()
            && self.clusters_of(environment).all(|name| {
                let place = (name, environment);
                let touches = self.touches(&difference, (before, after), place);
                touches.into_values().all(|touch| touch == Touch::Loses)
            })
    }

    /// The revision of the fleet file that an environment should go to: what the file says, or what it is
    /// already on the way to or at, where that means the same to everybody who is there.
    pub(super) fn asked_revision(
        &self,
        environment: &EnvironmentName,
        state: &EnvironmentState,
        newest: &Commits,
    ) -> Option<(RepositoryName, Commit)> {
        let (source, revision) = self.declared_revision(environment)?;
        let wanted = self.specification(&revision)?;
        let failed = state.quarantine_of(&source, &revision).is_some();
        for other in [newest, &state.approved] {
            let Some(other) = other.get(&source).filter(|_| !failed) else {
                continue;
            };
            let same = *other == revision
                || self
                    .specification(other)
                    .is_some_and(|other| self.only_takes(&other, &wanted, environment));
            if same {
                return Some((source, other.clone()));
            }
        }
        Some((source, revision))
    }

    /// An environment whose store knows no specification yet begins from the one that is declared now; and
    /// where nothing is on its way, changes that bring nobody anything are in force at once.
    pub(super) fn adopt_specification(
        &mut self,
        environment: &Environment,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        let name = &environment.name;
        let source = RepositoryName::fleet_file();
        let Some((revision, wanted)) = self.declared.get(name).cloned() else {
            return;
        };
        let running = self.rollouts.get(name);
        let running = running.is_some_and(|rollout| !rollout.state.is_over());
        let state = self.environments.get(name);
        let present = state.and_then(|state| state.approved.get(source)).cloned();
        if present.as_ref() == Some(&revision) {
            return;
        }
        let mut audit = None;
        if let Some(present) = &present {
            let state = self.environments.get(name);
            let idle = !running && state.is_none_or(|state| state.queue.is_empty());
            let before = self.specification(present);
            let takes = || {
                before
                    .as_ref()
                    .is_none_or(|before| self.only_takes(before, &wanted, name))
            };
            if !idle || !takes() {
                return;
            }
            audit = before.and_then(|before| self.taken(&before, &wanted, name));
        }
        let used = wanted.repositories();
        let state = self.environments.entry(name.clone()).or_default();
        let known = (source.clone(), revision.clone());
        state
            .approved
            .retain(|repository, _| used.contains(repository));
        state.approved.extend([known.clone()]);
        for waiting in &mut state.queue {
            waiting.entry(known.0.clone()).or_insert(known.1.clone());
        }
        let state = state.clone();
        self.keep_specifications([&state.approved], effects);
        effects.push(Effect::StoreEnvironment(name.clone(), Box::new(state)));
        if let Some(rollout) = self.rollouts.get_mut(name).filter(|_| running)
            && !rollout.target.contains_key(source)
        {
            // An older hub began it, when there was nothing but commits.
            rollout.target.extend([known.clone()]);
            rollout.from.extend([known]);
            effects.push(Effect::StoreRollout(Box::new(rollout.clone())));
        }
        if let Some((clusters, detail)) = audit {
            effects.push(Effect::Audit(AuditEntry {
                at: now,
                actor: FLEET_FILE.to_owned(),
                action: "applications taken away".to_owned(),
                environment: name.to_string(),
                clusters,
                commit: revision.to_string(),
                reason: "their objects stay, and nobody manages them any more".to_owned(),
                detail,
            }));
        }
        self.touch_environments();
        self.assign_later(|environment| environment.name == *name);
    }

    /// Who loses what between two specifications; none: nobody anything.
    fn taken(
        &self,
        before: &Specification,
        after: &Specification,
        environment: &EnvironmentName,
    ) -> Option<(Vec<String>, String)> {
        let difference = Difference::between(before, after);
        let mut clusters = Vec::new();
        for name in self.clusters_of(environment) {
            let touches = self.touches(&difference, (before, after), (name, environment));
            if !touches.is_empty() {
                clusters.push(name.to_string());
            }
        }
        if clusters.is_empty() {
            return None;
        }
        let more = clusters.len().saturating_sub(NAMED);
        clusters.truncate(NAMED);
        let mut detail = difference.describe().join("; ");
        if more > 0 {
            detail.push_str(&format!("; and {more} more clusters"));
        }
        Some((clusters, detail))
    }

    /// What a rollout changes of what is declared, in words.
    pub(super) fn declared_changes(&self, from: &Commits, target: &Commits) -> Vec<String> {
        let source = RepositoryName::fleet_file();
        if from.get(source) == target.get(source) {
            return Vec::new();
        }
        match (
            self.specification_among(from),
            self.specification_among(target),
        ) {
            (Some(before), Some(after)) => Difference::between(&before, &after).describe(),
            _ => Vec::new(),
        }
    }

    /// Revisions with a commit for each repository that their specification takes something from, and for no
    /// other one.
    pub(super) fn completed(&self, state: &EnvironmentState, mut commits: Commits) -> Commits {
        let Some(specification) = self.specification_among(&commits) else {
            return commits;
        };
        let used = specification.repositories();
        commits.retain(|source, _| source.is_fleet_file() || used.contains(source));
        for repository in used {
            if !commits.contains_key(repository)
                && let Some(good) = state.approved.get(repository)
            {
                commits.insert(repository.clone(), good.clone());
            }
        }
        commits
    }
}

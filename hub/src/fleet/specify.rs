//! Specifications of environments: which one the fleet file asks for, which ones are kept, and which of its changes
//! need no rollout.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use flotilla_shared::id::{ClusterName, EnvironmentName, RepositoryName};
use flotilla_shared::revision::Commit;
use flotilla_status::AuditAction;
use jiff::Timestamp;

use super::environment::EnvironmentState;
use super::event::{AuditEntry, Effect};
use super::rollout::Commits;
use super::{Fleet, place};
use crate::spec::{ClusterImpact, Difference, Environment, Specification};

/// Actor of changes of the fleet file: the hub does not know the person.
pub(super) const FLEET_FILE: &str = "fleet file";
/// Highest number of clusters that an entry names.
pub(super) const NAMED: usize = 50;

/// Returns whether there is a commit of a repository among these revisions.
pub(super) fn has_commits(commits: &Commits) -> bool {
    commits.keys().any(|source| !source.is_fleet_file())
}

impl Fleet {
    /// Returns whether a rollout can bring anything of these revisions after those before: a commit, or removals where
    /// the fleet file no longer declares anything.
    pub(super) fn brings_anything(&self, before: &Commits, after: &Commits) -> bool {
        if has_commits(after) {
            return true;
        }
        let before = self.specification_among(before);
        let known = before.zip(self.specification_among(after));
        known.is_some_and(|(before, after)| {
            let difference = Difference::between(&before, &after);
            after.repositories().is_empty() && difference.to_remove().next().is_some()
        })
    }

    /// Returns the revision of the fleet file that an environment asks for, as a source of revisions.
    pub(crate) fn declared_revision(
        &self,
        environment: &EnvironmentName,
    ) -> Option<(RepositoryName, Commit)> {
        let (revision, _) = self.declarations.present().get(environment)?;
        Some((RepositoryName::fleet_file().clone(), revision.clone()))
    }

    /// Returns a specification by its revision, if it is known: declared now, or kept.
    pub(super) fn specification(&self, revision: &Commit) -> Option<Arc<Specification>> {
        self.declarations.specification(revision).cloned()
    }

    pub(super) fn specification_among(&self, commits: &Commits) -> Option<Arc<Specification>> {
        self.specification(commits.get(RepositoryName::fleet_file())?)
    }

    /// Discards specifications that are no longer used by any environment or rollout.
    pub(super) fn forget_specifications(&mut self, effects: &mut Vec<Effect>) {
        let mut used: BTreeSet<&Commit> = BTreeSet::new();
        let source = RepositoryName::fleet_file();
        for state in self.environments.values() {
            let all = std::iter::once(&state.approved).chain(&state.queue);
            used.extend(all.filter_map(|commits| commits.get(source)));
        }
        for rollout in self
            .rollouts
            .values()
            .filter(|rollout| !rollout.state.is_over())
        {
            let all = [&rollout.target, &rollout.from];
            used.extend(all.into_iter().filter_map(|commits| commits.get(source)));
        }
        self.declarations.keep_only(&used, effects);
    }

    /// Returns a cluster's labels in an environment under a specification. A cluster that the specification does not
    /// name has the labels it enrolled with, since what the fleet file says of it now comes with its rollout; but a
    /// cluster that is in the environment by the fleet file alone has the labels of that.
    pub(super) fn labels_under(
        &self,
        specification: &Specification,
        (name, environment): (&ClusterName, &EnvironmentName),
    ) -> BTreeMap<String, String> {
        let declared = specification.labels.get(name);
        let record = self.record_of(name);
        let enrolled = record.and_then(|record| record.environment.as_ref());
        if declared.is_none() && enrolled != Some(environment) {
            return self.labels_of(name);
        }
        let mut labels = record
            .map(|record| record.labels.clone())
            .unwrap_or_default();
        labels.extend(declared.cloned().unwrap_or_default());
        labels
    }

    /// Returns the effect on a cluster of one specification after another one.
    pub(super) fn touches<'s>(
        &self,
        difference: &Difference<'s>,
        (before, after): (&Specification, &Specification),
        (name, environment): (&ClusterName, &EnvironmentName),
    ) -> BTreeMap<&'s flotilla_shared::id::ApplicationName, ClusterImpact> {
        let old = self.labels_under(before, (name, environment));
        if before.labels.get(name) == after.labels.get(name) {
            return difference.touches((name, environment), (&old, &old));
        }
        let new = self.labels_under(after, (name, environment));
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
                && place(self.spec(), name, Some(&cluster.record)) == Some(environment)
        })
        .map(|(name, _)| name)
    }

    /// Returns whether one specification after another changes no definition and brings no cluster anything new: it may
    /// only take applications away from clusters, which keeps their objects and waits for nothing.
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
                touches
                    .into_values()
                    .all(|touch| touch == ClusterImpact::Loses)
            })
    }

    /// Returns the revision of the fleet file that an environment should go to: that of the file, or the present or
    /// coming one where both have the same effect on every cluster.
    pub(super) fn asked_revision(
        &self,
        environment: &EnvironmentName,
        state: &EnvironmentState,
        newest: &Commits,
    ) -> Option<(RepositoryName, Commit)> {
        let (source, revision) = self.declared_revision(environment)?;
        let desired = self.specification(&revision)?;
        let failed = state.quarantine_of(&source, &revision).is_some();
        for other in [newest, &state.approved] {
            let Some(other) = other.get(&source).filter(|_| !failed) else {
                continue;
            };
            let same = *other == revision
                || self
                    .specification(other)
                    .is_some_and(|other| self.only_takes(&other, &desired, environment));
            if same {
                return Some((source, other.clone()));
            }
        }
        Some((source, revision))
    }

    /// In an environment whose store has no specification yet, adopts the one that is declared now; and where no
    /// rollout is in progress, puts changes in force at once that bring no cluster anything.
    pub(super) fn adopt_specification(
        &mut self,
        environment: &Environment,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        let name = &environment.name;
        let source = RepositoryName::fleet_file();
        let Some((revision, desired)) = self.declarations.present().get(name).cloned() else {
            return;
        };
        let running = self.rollouts.running(name).is_some();
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
                    .is_none_or(|before| self.only_takes(before, &desired, name))
            };
            if !idle || !takes() {
                return;
            }
            let taken = before.map(|before| self.touched(&before, &desired, name));
            audit = taken.filter(|(clusters, _)| !clusters.is_empty());
        }
        let used = desired.repositories();
        let known = (source.clone(), revision.clone());
        let versions = &mut self.versions;
        let approved = self.environments.change(name, versions, effects, |state| {
            state
                .approved
                .retain(|repository, _| used.contains(repository));
            state.approved.extend([known.clone()]);
            for waiting in &mut state.queue {
                waiting.entry(known.0.clone()).or_insert(known.1.clone());
            }
            state.approved.clone()
        });
        self.declarations.keep([&approved], effects);
        let rollout = self.rollouts.running(name);
        if rollout.is_some_and(|rollout| !rollout.target.contains_key(source)) {
            // It was begun by an older hub, whose rollouts contained commits only.
            let versions = &mut self.versions;
            self.rollouts.change(name, versions, effects, |rollout| {
                rollout.target.extend([known.clone()]);
                rollout.from.extend([known]);
            });
        }
        if let Some((clusters, detail)) = audit {
            effects.push(Effect::Audit(AuditEntry {
                at: now,
                actor: FLEET_FILE.to_owned(),
                action: AuditAction::ApplicationsTakenAway,
                environment: name.to_string(),
                clusters,
                commit: revision.to_string(),
                reason: "their objects stay and are no longer managed".to_owned(),
                detail,
                rollout: None,
            }));
        }
        self.touch_environments();
        self.assign_later(|environment| environment.name == *name);
    }

    /// Returns which clusters another specification affects, and how.
    pub(super) fn touched(
        &self,
        before: &Specification,
        after: &Specification,
        environment: &EnvironmentName,
    ) -> (Vec<String>, String) {
        let difference = Difference::between(before, after);
        let mut clusters = Vec::new();
        for name in self.clusters_of(environment) {
            let touches = self.touches(&difference, (before, after), (name, environment));
            if !touches.is_empty() {
                clusters.push(name.to_string());
            }
        }
        let more = clusters.len().saturating_sub(NAMED);
        clusters.truncate(NAMED);
        let mut detail = difference.describe().join("; ");
        if more > 0 {
            detail.push_str(&format!("; and {more} more clusters"));
        }
        (clusters, detail)
    }

    /// Returns a rollout's changes of declarations, in words.
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

    /// Returns revisions with a commit for each repository that their specification uses, and for no other one.
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

//! Declarations: the fleet file, the specification of each environment, and the specifications that rollouts use. Those
//! in force are in the store.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use flotilla_shared::id::{ClusterName, EnvironmentName, RepositoryName};
use flotilla_shared::revision::Commit;

use super::event::Effect;
use super::place;
use super::rollout::Commits;
use super::roster::Roster;
use crate::spec::{Spec, Specification};

/// A specification with its digest.
pub(super) type Declaration = (Commit, Arc<Specification>);

/// The fleet file and the specifications of it.
#[derive(Debug, Clone, Default)]
pub(super) struct Declarations {
    spec: Arc<Spec>,
    /// Present specification of each environment.
    present: BTreeMap<EnvironmentName, Declaration>,
    /// Specifications in force, of rollouts in progress, and of those before them.
    kept: BTreeMap<Commit, Arc<Specification>>,
}

impl Declarations {
    pub(super) const fn spec(&self) -> &Arc<Spec> {
        &self.spec
    }

    /// Returns the present specification of each environment.
    pub(super) const fn present(&self) -> &BTreeMap<EnvironmentName, Declaration> {
        &self.present
    }

    /// Restores specifications from the store.
    pub(super) fn restore(&mut self, specifications: Vec<(Commit, Specification)>) {
        let all = specifications.into_iter();
        self.kept
            .extend(all.map(|(revision, specification)| (revision, Arc::new(specification))));
    }

    /// Replaces the fleet file. Returns the previous one.
    pub(super) fn replace(&mut self, spec: Arc<Spec>, clusters: &Roster) -> Arc<Spec> {
        let before = std::mem::replace(&mut self.spec, spec);
        self.work_out(clusters);
        before
    }

    /// Handles a cluster that came, left or moved: it matters where applications list clusters.
    pub(super) fn clusters_changed(&mut self, clusters: &Roster) {
        let mut all = self.spec.applications.values();
        if all.any(|application| !application.placement.clusters.is_empty()) {
            self.work_out(clusters);
        }
    }

    /// Computes the specification of each environment.
    fn work_out(&mut self, clusters: &Roster) {
        let spec = &self.spec;
        let places = |name: &ClusterName| {
            let record = clusters.get(name).map(|cluster| &*cluster.record);
            place(spec, name, record).cloned()
        };
        let present = spec.environments.iter().filter_map(|environment| {
            let specification = Specification::of(spec, &environment.name, places)?;
            let revision = specification.revision()?;
            Some((
                environment.name.clone(),
                (revision, Arc::new(specification)),
            ))
        });
        self.present = present.collect();
    }

    /// Returns a specification by its revision, if it is known: declared now, or kept.
    pub(super) fn specification(&self, revision: &Commit) -> Option<&Arc<Specification>> {
        let mut present = self.present.values();
        self.kept.get(revision).or_else(|| {
            let found = present.find(|(known, _)| known == revision);
            found.map(|(_, specification)| specification)
        })
    }

    /// Keeps the specifications of these revisions, in the store, too.
    pub(super) fn keep<'c>(
        &mut self,
        all: impl IntoIterator<Item = &'c Commits>,
        effects: &mut Vec<Effect>,
    ) {
        let source = RepositoryName::fleet_file();
        for revision in all.into_iter().filter_map(|commits| commits.get(source)) {
            if self.kept.contains_key(revision) {
                continue;
            }
            if let Some(specification) = self.specification(revision).map(Arc::clone) {
                let stored = Arc::clone(&specification);
                self.kept.insert(revision.clone(), specification);
                effects.push(Effect::StoreSpecification(revision.clone(), stored));
            }
        }
    }

    /// Deletes kept specifications that are not used, in the store, too.
    pub(super) fn keep_only(&mut self, used: &BTreeSet<&Commit>, effects: &mut Vec<Effect>) {
        self.kept.retain(|revision, _| {
            let is_used = used.contains(revision);
            if !is_used {
                effects.push(Effect::DeleteSpecification(revision.clone()));
            }
            is_used
        });
    }
}

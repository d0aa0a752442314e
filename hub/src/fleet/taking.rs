//! Removals that the fleet file declares. Two conditions must hold at once: the specification that its environment's
//! rollout has brought to the cluster removes the application, and the fleet file still does so. So a removal passes
//! waves and gates, and one that is reverted in Git stops everywhere at once.

use std::collections::{BTreeMap, BTreeSet};

use flotilla_shared::assignment::{Assignment, Tombstone};
use flotilla_shared::id::{ApplicationName, ClusterName, EnvironmentName};

use super::Fleet;
use super::action::ActionError;
use super::cluster::PlacedApplication;
use super::plan::{Plan, SpecSource};
use super::removed::is_over;
use super::rollout::Rollout;
use crate::spec::{Difference, Environment, Objects};
use crate::suggestion::missing;

/// Applications that a cluster is to lose.
#[derive(Debug, Default)]
pub(super) struct Losses {
    pub(super) tombstones: BTreeMap<ApplicationName, Tombstone>,
    /// Those that it is to lose with their objects, once all that is declared for it can be assigned: until then those
    /// objects may belong to another application.
    pub(super) withheld: BTreeSet<ApplicationName>,
}

impl Fleet {
    /// Returns the applications that a cluster is to lose. None is lost with its objects while something that is
    /// declared for the cluster is `unresolved`, since that may claim the same objects (promise 1).
    pub(super) fn losses(
        &self,
        (name, environment): (&ClusterName, &Environment),
        labels: &BTreeMap<String, String>,
        plan: &Plan,
        (placed, unresolved): (
            &BTreeMap<ApplicationName, PlacedApplication>,
            &BTreeSet<ApplicationName>,
        ),
        before: Option<&Assignment>,
    ) -> Losses {
        let at = (name, &environment.name);
        let in_force: BTreeMap<&ApplicationName, Objects> = match &plan.specification {
            SpecSource::As(_, specification) => specification
                .removed
                .keys()
                .filter_map(|app| Some((app, specification.removes(app, at, labels)?)))
                .collect(),
            SpecSource::Kept => before
                .filter(|before| before.environment == environment.name)
                .into_iter()
                .flat_map(|before| &before.tombstones)
                .map(|(app, tombstone)| (app, Objects::from(!tombstone.delete_objects)))
                .collect(),
        };
        let current = self.labels_of(name);
        let is_declared =
            |app: &ApplicationName| self.places(app, (name, &environment.name), &current);
        let mut losses = Losses::default();
        for (app, objects) in in_force
            .into_iter()
            .filter(|(app, _)| !placed.contains_key(*app) && !is_declared(app))
        {
            let Some(removal) = self.spec().removal(app, name, &environment.name) else {
                continue;
            };
            let delete_objects = objects == Objects::Delete && removal == Objects::Delete;
            if delete_objects && !unresolved.is_empty() {
                losses.withheld.insert(app.clone());
            } else {
                let tombstone = Tombstone { delete_objects };
                losses.tombstones.insert(app.clone(), tombstone);
            }
        }
        if plan.specification == SpecSource::Kept && !unresolved.is_empty() {
            // The former specification names no new removals, so those that were withheld here are carried over: they
            // stay withheld, and are shown with their reason, until a newer rollout reaches the cluster.
            let is_here = before.is_some_and(|before| before.environment == environment.name);
            let cluster = self.clusters.get(name).filter(|_| is_here);
            let waiting = cluster.map(|cluster| &cluster.withheld);
            let stays = |app: &&ApplicationName| {
                let removal = self.spec().removal(app, name, &environment.name);
                removal == Some(Objects::Delete) && !placed.contains_key(*app) && !is_declared(app)
            };
            let waiting = waiting.into_iter().flatten().filter(stays);
            losses.withheld.extend(waiting.cloned());
        }
        losses
    }

    /// Returns the applications that are declared for a cluster and cannot be assigned there as declared: not at all,
    /// or only as they were before.
    pub(super) fn unresolved(
        &self,
        (name, environment): (&ClusterName, &Environment),
        plan: &Plan,
        placed: &BTreeMap<ApplicationName, PlacedApplication>,
        before: Option<&Assignment>,
    ) -> BTreeSet<ApplicationName> {
        let lacking = placed.iter().filter(|(_, placed)| placed.problem.is_some());
        let mut unresolved: BTreeSet<_> = lacking.map(|(app, _)| app.clone()).collect();
        // Applications of a kept assignment that were unresolved stay unresolved.
        if plan.specification == SpecSource::Kept {
            let current = self.labels_of(name);
            let stays =
                |app: &&ApplicationName| self.places(app, (name, &environment.name), &current);
            let before = before.filter(|before| before.environment == environment.name);
            let before = before.into_iter().flat_map(|before| &before.unresolved);
            unresolved.extend(before.filter(stays).cloned());
        }
        unresolved
    }

    /// Notes the announced removal of an application. Only the fleet file removes it.
    pub(super) fn announce_removal(
        &self,
        application: &ApplicationName,
        environment: Option<&EnvironmentName>,
        objects: Objects,
    ) -> Result<String, ActionError> {
        if let Some(environment) = environment {
            self.known(environment)?;
        }
        let mut known: BTreeSet<&str> = BTreeSet::new();
        known.extend(self.spec().applications.keys().map(ApplicationName::as_str));
        for cluster in self.clusters.values() {
            let reported = cluster
                .report
                .iter()
                .flat_map(|report| &report.applications);
            let reported = reported.filter(|(_, report)| !is_over(report));
            known.extend(reported.map(|(name, _)| name.as_str()));
        }
        let name = application.as_str();
        if !known.contains(name) {
            return Err(ActionError::Nothing(missing("application", name, known)));
        }
        let place = environment.map_or("everywhere".to_owned(), |environment| {
            format!("in {environment}")
        });
        let objects = match objects {
            Objects::Keep => "its objects stay",
            Objects::Delete => "with its objects",
        };
        Ok(format!(
            "announced: {name} {place}, {objects}; rollouts remove it once the fleet file says so"
        ))
    }

    /// Returns the applications that a rollout newly removes.
    pub(super) fn takes_away(&self, rollout: &Rollout) -> BTreeSet<ApplicationName> {
        let before = self.specification_among(&rollout.from);
        let after = self.specification_among(&rollout.target);
        let (Some(before), Some(after)) = (before, after) else {
            return BTreeSet::new();
        };
        let difference = Difference::between(&before, &after);
        difference.to_remove().cloned().collect()
    }
}

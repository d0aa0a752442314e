//! What a pass remembers of its observations: drift and since when, health, finished hooks, and which of
//! them are managed here. Sends no request.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use flotilla_shared::health::Health;
use flotilla_shared::object::{Action, ObjectRef};
use flotilla_shared::reason::Reason;
use jiff::Timestamp;

use super::pass::Pass;
use crate::health::ObjectHealth;
use crate::inventory::Entry;
use crate::plan::{Desired, Observed, Plan, Step};

impl Pass<'_> {
    /// Remembers which manager changed which fields, and since when.
    pub(super) fn note_drift(&mut self, observed: &Observed, made: &Plan, now: Duration) {
        let mut drifting: BTreeSet<ObjectRef> = BTreeSet::new();
        for step in made.apply.iter().flatten() {
            let Step::Apply {
                index, drift: true, ..
            } = step
            else {
                continue;
            };
            let Some(desired) = self.desired.get(*index) else {
                continue;
            };
            let fit = observed.live.get(&desired.object).map(|live| &live.fit);
            if let Some(crate::plan::Fit::Differs { fields, manager }) = fit {
                tracing::info!(
                    object = %desired.object,
                    "drift: {}", crate::plan::drifted(fields, manager)
                );
                if !self.input.frozen {
                    self.memory
                        .contests
                        .corrected(&desired.object, manager, now);
                    self.outcome.drifted += 1;
                }
            }
            drifting.insert(desired.object.clone());
        }
        let corrected = drifting.len();
        drifting.extend(made.rest.iter().filter_map(|step| match step {
            Step::Skip(object, Reason::Drifted | Reason::Contested, _) => Some(object.clone()),
            _ => None,
        }));
        self.outcome.differing = u32::try_from(drifting.len() - corrected).unwrap_or(u32::MAX);
        let at = Timestamp::now();
        self.memory
            .drifted
            .retain(|object, _| drifting.contains(object));
        for object in drifting {
            self.memory.drifted.entry(object).or_insert(at);
        }
    }

    /// Since when an object has differed from what was applied.
    pub(super) fn drifted_since(&self, object: &ObjectRef) -> Option<Timestamp> {
        self.memory.drifted.get(object).copied()
    }

    /// Notes every live object with its current health.
    pub(super) fn note_all(&mut self, observed: &Observed) {
        let desired = Arc::clone(&self.desired);
        for entry in desired.iter() {
            let Some(fact) = self.facts.get(&entry.object) else {
                continue;
            };
            let mut health = fact.health.clone();
            if observed
                .live
                .get(&entry.object)
                .is_some_and(|live| live.overdue)
            {
                health = ObjectHealth::failed("it exceeded its deadline");
            }
            self.note(
                &entry.object,
                Action::Unchanged,
                health,
                None,
                String::new(),
            );
        }
    }

    /// Finished hooks are remembered for as long as their content is desired.
    pub(super) fn finish_hooks(&mut self) {
        let hooks = self.desired.iter().filter(|d| d.hook().is_some());
        let finished: BTreeSet<ObjectRef> = hooks
            .filter(|hook| {
                let is_done = self
                    .facts
                    .get(&hook.object)
                    .is_some_and(|fact| fact.health.health == Health::Current);
                is_done || self.inventory.finished_hooks.contains(&hook.object)
            })
            .map(|hook| hook.object.clone())
            .collect();
        self.inventory.finished_hooks = finished;
    }

    /// Returns inventory entries of the objects that the application has or will have.
    pub(super) fn entries(&self, plan: &Plan) -> Vec<Entry> {
        let ours = plan.apply.iter().flatten().filter_map(|step| match step {
            Step::Apply { index, .. } => self.desired.get(*index),
            _ => None,
        });
        let by_object: BTreeMap<&ObjectRef, &Arc<Desired>> =
            self.desired.iter().map(|d| (&d.object, d)).collect();
        let unchanged = plan.rest.iter().filter_map(|step| match step {
            Step::Unchanged(object) => by_object.get(object).copied(),
            _ => None,
        });
        ours.map(|desired| (desired, false))
            .chain(unchanged.map(|desired| (desired, true)))
            .map(|(desired, is_there)| {
                // An unchanged object counts as applied; a hook that has finished is no longer in the facts.
                let fact = self.facts.get(&desired.object).filter(|_| is_there);
                let (uid, applied) = match fact {
                    Some(fact) => (fact.uid.clone(), desired.short_digest()),
                    None => (String::new(), String::new()),
                };
                Entry {
                    object: desired.object.clone(),
                    version: desired.version.clone(),
                    uid,
                    applied,
                }
            })
            .filter(|entry| !(entry.uid.is_empty() && self.is_finished(&entry.object)))
            .collect()
    }

    fn is_finished(&self, object: &ObjectRef) -> bool {
        self.inventory.finished_hooks.contains(object)
    }
}

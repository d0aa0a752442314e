//! Carrying out a plan's steps and summing up. Decides nothing.

use std::sync::Arc;

use flotilla_shared::health::{Health, Sync};
use flotilla_shared::object::{Action, ObjectRef};
use flotilla_shared::reason::Reason;
use flotilla_shared::report::ObjectStatus;
use futures::StreamExt as _;
use tokio_util::sync::CancellationToken;

use super::TurnOutcome;
use super::apply::{Deleted, Request};
use super::turn::Turn;
use crate::events::Event;
use crate::failpoint;
use crate::health::ObjectHealth;
use crate::inventory::Entry;
use crate::plan::{Plan, Step};

impl Turn<'_> {
    pub(super) fn note(
        &mut self,
        object: &ObjectRef,
        action: Action,
        health: ObjectHealth,
        reason: Option<Reason>,
        message: String,
    ) {
        let status = ObjectStatus {
            object: object.clone(),
            action,
            health: health.health,
            reason,
            message: if message.is_empty() {
                health.message
            } else {
                message
            },
        };
        self.statuses.insert(object.clone(), status);
    }

    /// Tells the cluster's own people what was done, or could not be.
    fn tell(&self, event: Event) {
        self.cluster
            .events
            .send(self.input.application.as_str(), event);
    }

    /// Everything that needs no request.
    pub(super) fn skipped(&mut self, plan: &Plan) {
        for step in &plan.rest {
            match step {
                Step::Forget(object) => self.inventory.remove(object),
                Step::Skip(object, reason, message) => {
                    // How it is stays true while nothing is done about it.
                    let health = match self.facts.get(object) {
                        Some(fact) => fact.health.clone(),
                        None => unknown(),
                    };
                    let mut message = message.clone();
                    if let Some(since) = self.drifted_since(object) {
                        message = format!("since {since:.0}: {message}");
                    }
                    if *reason != Reason::DependencyNotReady {
                        self.tell(Event::refused(object, *reason, &message));
                    }
                    self.note(object, Action::Skipped, health, Some(*reason), message);
                }
                Step::Hold(object, reason, message) => {
                    let health = ObjectHealth::current();
                    self.tell(Event::refused(object, *reason, message));
                    self.note(object, Action::Held, health, Some(*reason), message.clone());
                }
                Step::Unchanged(_) | Step::Apply { .. } | Step::Prune(..) => {}
            }
        }
    }

    pub(super) async fn apply(&mut self, plan: &Plan, cancel: &CancellationToken) {
        let mut definitions = Vec::new();
        for phase in &plan.apply {
            if cancel.is_cancelled() {
                return;
            }
            let made = self.apply_phase(phase, cancel).await;
            definitions.extend(made);
        }
        let waits = |step: &Step| {
            matches!(
                step,
                Step::Skip(_, Reason::DependencyNotReady, _)
                    | Step::Skip(_, Reason::UnknownKind, _)
            )
        };
        // What waited for what was just done need not wait for the next turn.
        self.again = self.outcome.written > 0 && plan.rest.iter().any(waits);
        if definitions.is_empty() || cancel.is_cancelled() {
            return;
        }
        // Definitions and their objects in one commit converge in one turn (A9).
        if let Err(error) = self.cluster.established(&definitions).await {
            tracing::warn!(%error, "new kinds are not served yet");
            self.again = false;
        }
    }

    /// Applies everything of one phase, some at once. Returns the definitions among it.
    async fn apply_phase(&mut self, phase: &[Step], cancel: &CancellationToken) -> Vec<String> {
        let cluster = self.cluster;
        let api = self.api.clone();
        let mut requests = Vec::new();
        for step in phase {
            let Step::Apply {
                index,
                create,
                drift,
            } = step
            else {
                continue;
            };
            let Some(desired) = self.desired.get(*index) else {
                continue;
            };
            let fact = self.facts.get(&desired.object).cloned();
            let is_ours = fact
                .as_ref()
                .is_some_and(|fact| fact.application == self.input.application.as_str());
            let request = Request {
                desired: Arc::clone(desired),
                fact,
                force: *drift || self.input.sync_policy.force_conflicts,
                is_ours,
                may_recreate: is_ours && !self.input.policy.is_protected(&desired.object),
            };
            requests.push((request, *create));
        }
        let mut results = futures::stream::iter(requests.into_iter().map(|(request, create)| {
            let api = api.clone();
            async move {
                // What has not begun when a newer assignment comes does not begin any more.
                if cancel.is_cancelled() {
                    return None;
                }
                let result = cluster.apply(&api, &request).await;
                failpoint::reach("applied");
                Some((request, create, result))
            }
        }))
        .buffer_unordered(cluster.options.concurrency);
        let mut done = Vec::new();
        while let Some(result) = results.next().await {
            done.extend(result);
        }
        drop(results);
        let mut definitions = Vec::new();
        for (request, create, result) in done {
            let object = &request.desired.object;
            match result {
                Ok(applied) => {
                    self.outcome.written += 1;
                    self.inventory.insert(Entry {
                        object: object.clone(),
                        version: request.desired.version.clone(),
                        uid: applied.uid,
                        applied: request.desired.short_digest(),
                    });
                    if object.kind == "CustomResourceDefinition" {
                        definitions.push(object.name.clone());
                    }
                    let action = if create {
                        Action::Created
                    } else {
                        Action::Updated
                    };
                    self.tell(Event::done(object, action));
                    self.note(object, action, applied.health, None, String::new());
                }
                Err(error) => {
                    let health = match &request.fact {
                        Some(fact) => fact.health.clone(),
                        None => unknown(),
                    };
                    self.tell(Event::refused(object, error.reason, &error.message));
                    let reason = Some(error.reason);
                    self.note(object, Action::Failed, health, reason, error.message);
                }
            }
        }
        definitions
    }

    pub(super) async fn delete(&mut self, plan: &Plan) {
        for phase in &plan.prune {
            for step in phase {
                let Step::Prune(object, uid) = step else {
                    continue;
                };
                let application = self.input.application.as_str();
                let deleted = self
                    .cluster
                    .prune(
                        &self.api,
                        object,
                        uid,
                        application,
                        self.input.policy.is_protected(object),
                        &self.inventory,
                    )
                    .await;
                failpoint::reach("pruned");
                match deleted {
                    Ok(Deleted::Done) => {
                        self.outcome.pruned += 1;
                        self.inventory.remove(object);
                        tracing::info!(%object, application, "pruned");
                        self.tell(Event::done(object, Action::Pruned));
                    }
                    Ok(Deleted::Waiting(why)) => {
                        self.outcome.pruned += 1;
                        let terminating = ObjectHealth::new(Health::Terminating, "");
                        let reason = Some(Reason::WaitingForFinalizer);
                        self.note(object, Action::Pruned, terminating, reason, why);
                    }
                    Ok(Deleted::NotOurs) => self.inventory.remove(object),
                    Ok(Deleted::Held(reason, message)) => {
                        let current = ObjectHealth::current();
                        let message = message.to_owned();
                        self.note(object, Action::Held, current, Some(reason), message);
                    }
                    Err(error) => {
                        let reason = Some(error.reason);
                        self.tell(Event::refused(object, error.reason, &error.message));
                        let current = ObjectHealth::current();
                        self.note(object, Action::Failed, current, reason, error.message);
                    }
                }
            }
        }
    }

    /// What an object's health is for the application: what Git itself holds back is as it should be,
    /// what anybody else holds waits for a person.
    fn counts_as(&self, status: &ObjectStatus) -> Health {
        let is_held = || {
            let desired = self.desired.iter().find(|d| d.object == status.object);
            desired.is_some_and(|desired| crate::health::is_held(&desired.value()))
        };
        match status.health {
            Health::Suspended if is_held() => Health::Current,
            health => health,
        }
    }

    /// Sums up: sync from what could not be done, health from what is.
    pub(super) fn finish(mut self, best: Sync) -> (TurnOutcome, bool) {
        let mut sync = best;
        let mut health = Health::Current;
        let mut worst: Option<&ObjectStatus> = None;
        for status in self.statuses.values() {
            if !matches!(status.action, Action::Held | Action::Pruned) {
                health = health.max(self.counts_as(status));
            }
            if matches!(status.action, Action::Failed | Action::Skipped) && sync == Sync::Synced {
                sync = Sync::OutOfSync;
            }
            let is_worse = |other: &ObjectStatus| {
                (rank(status.action), status.health) > (rank(other.action), other.health)
            };
            let is_bad = rank(status.action) > 0 || self.counts_as(status) != Health::Current;
            if is_bad && worst.is_none_or(is_worse) {
                worst = Some(status);
            }
        }
        if let (None, Some(worst)) = (self.outcome.reason, worst) {
            let unhealthy = (worst.health == Health::Failed).then_some(Reason::Unhealthy);
            if let Some(reason) = worst.reason.or(unhealthy) {
                self.outcome.message = format!("{}: {}", worst.object, worst.message);
                self.outcome.reason = Some(reason);
            }
        }
        self.outcome.sync = sync;
        self.outcome.health = health;
        self.outcome.objects = self.statuses.into_values().collect();
        (self.outcome, self.again)
    }
}

fn unknown() -> ObjectHealth {
    ObjectHealth::new(Health::Unknown, "")
}

fn rank(action: Action) -> u8 {
    match action {
        Action::Failed => 3,
        Action::Skipped => 2,
        Action::Held => 1,
        _ => 0,
    }
}

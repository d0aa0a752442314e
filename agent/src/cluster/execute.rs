//! Carrying out a plan's steps and summing up. Decides nothing.

use std::sync::Arc;

use flotilla_shared::health::{Health, SyncState};
use flotilla_shared::object::{Action, ObjectRef};
use flotilla_shared::reason::Reason;
use flotilla_shared::report::ObjectStatus;
use futures::StreamExt as _;
use tokio_util::sync::CancellationToken;

use super::apply::Request;
use super::desired::is_scaler;
use super::pass::{CHANGED, Pass, Round, TOLD};
use super::prune::{DeleteResult, Removal};
use crate::events::Event;
use crate::failpoint;
use crate::health::ObjectHealth;
use crate::inventory::Entry;
use crate::plan::{Intent, Plan, Step, forbids};

impl Pass<'_> {
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

    /// Writes an Event about what was done or failed.
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
                Step::Disown(object) => self.disown(object),
                Step::Skip(object, reason, message) => {
                    // The health that was observed stays true while the object is skipped.
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
                    let waits = *reason == Reason::WaitingForFinalizer;
                    // The object's own message names the finalizers.
                    let message = match self.facts.get(object).filter(|_| waits) {
                        Some(fact) => fact.health.message.clone(),
                        None => message.clone(),
                    };
                    // Waiting, and being kept without an assignment, are states: the report is enough.
                    if !matches!(reason, Reason::NotAssigned | Reason::DependencyNotReady) {
                        self.tell(Event::refused(object, *reason, &message));
                    }
                    self.note(object, Action::Held, health, Some(*reason), message);
                }
                Step::Unchanged(_) | Step::Apply { .. } | Step::Prune(..) => {}
            }
        }
    }

    /// Removes an object from the inventory that has no ownership mark of this agent.
    fn disown(&mut self, object: &ObjectRef) {
        self.inventory.remove(object);
        let why = "the inventory lists it, but it has no ownership mark of this agent; it is \
             kept, and removed from the inventory";
        self.tell(Event::refused(object, Reason::NotOurs, why));
        tracing::warn!(%object, application = %self.input.application, "{why}");
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
        // Steps that waited for something that has just been applied need not wait for the next interval.
        self.again = self.outcome.written > 0 && plan.rest.iter().any(waits);
        if definitions.is_empty() || cancel.is_cancelled() {
            return;
        }
        // Definitions and their objects in one commit converge in one pass (A9).
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
            // Applied by this application, or handed over by another one of this agent: the plan made
            // sure that no other application desires it.
            let application = self.input.application.as_str();
            let is_ours = fact
                .as_ref()
                .is_some_and(|fact| fact.applied_by_us || fact.application == application);
            let request = Request {
                desired: Arc::clone(desired),
                fact,
                force: *drift || self.input.sync_policy.force_conflicts,
                is_ours,
                drift: self.input.sync_policy.drift,
                held_back: None,
                tenure: Arc::clone(&self.tenure),
            };
            let request = Request {
                held_back: self.held_back(&request),
                ..request
            };
            requests.push((request, *create));
        }
        let mut results = futures::stream::iter(requests.into_iter().map(|(request, create)| {
            let api = api.clone();
            async move {
                // Once a newer assignment has come, no further request is started.
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
                    if error.reason == Reason::UnknownKind {
                        self.cluster.discovery.lock().await.doubt();
                    }
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

    /// Returns why an object may not be deleted and recreated, as a message for its owner; none: it may.
    fn held_back(&self, request: &Request) -> Option<&'static str> {
        let fact = request.fact.as_ref();
        let is_applied = fact.is_some_and(|fact| fact.applied_by_us);
        let word = fact.map_or("", |fact| fact.prune.as_str());
        match forbids(word, &self.input.policy, &request.desired.object) {
            _ if !is_applied => Some("not recreated: it has no ownership mark of this agent"),
            None => None,
            Some((Reason::PruneDisabled, _)) => {
                Some("not recreated: it is annotated flotilla.dev/prune: disabled")
            }
            Some((Reason::ProtectedKind, _)) => Some(
                "not recreated: its kind is protected by the agent's policy; annotate the live \
                 object flotilla.dev/prune=confirmed to allow it",
            ),
            Some(_) => Some(
                "not recreated: annotate the live object flotilla.dev/prune=confirmed to allow it",
            ),
        }
    }

    pub(super) async fn delete(&mut self, plan: &Plan, cancel: &CancellationToken) {
        for phase in &plan.prune {
            for step in phase {
                let Step::Prune(object, uid) = step else {
                    continue;
                };
                // A deletion that was planned before a newer assignment, or before another application
                // desired the object, must not happen after it.
                let application = self.input.application.as_str();
                let is_desired = {
                    let claims = self.input.claims.borrow();
                    !claims.complete || claims.desired_by_another(object, application)
                };
                if cancel.is_cancelled() || is_desired {
                    self.again = false;
                    return;
                }
                let entry = self.inventory.get(object);
                let version = entry.map(|entry| entry.version.clone());
                let removal = Removal {
                    object,
                    uid,
                    version: version.as_deref().unwrap_or_default(),
                    application,
                    policy: &self.input.policy,
                    tenure: &self.tenure,
                };
                let deleted = self.cluster.prune(&self.api, &removal).await;
                failpoint::reach("pruned");
                match deleted {
                    Ok(DeleteResult::Done) => {
                        self.outcome.pruned += 1;
                        self.inventory.remove(object);
                        // Without its autoscaler, the workload's number of replicas is decided by Git again.
                        self.again |= is_scaler(&object.group, &object.kind);
                        tracing::info!(%object, application, "pruned");
                        self.tell(Event::done(object, Action::Pruned));
                    }
                    Ok(DeleteResult::Waiting(why)) => {
                        self.outcome.pruned += 1;
                        let terminating = ObjectHealth::new(Health::Terminating, "");
                        let reason = Some(Reason::WaitingForFinalizer);
                        self.note(object, Action::Pruned, terminating, reason, why);
                    }
                    Ok(DeleteResult::NotOurs) => self.inventory.remove(object),
                    Ok(DeleteResult::Unmarked) => self.disown(object),
                    Ok(DeleteResult::Held(reason, message)) => {
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

    /// How an object counts for the health of the application: one that Git itself suspends is as
    /// desired, one that others suspended waits for a person.
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

    /// Sums up: sync from what could not be done, health from the objects.
    pub(super) fn finish(mut self, best: SyncState) -> Round {
        let mut sync = best;
        let mut health = Health::Current;
        let mut usable = true;
        let mut worst: Option<&ObjectStatus> = None;
        for status in self.statuses.values() {
            if !matches!(status.action, Action::Held | Action::Pruned) {
                health = health.max(self.counts_as(status));
            }
            if !matches!(status.action, Action::Held | Action::Pruned) {
                // A claim is bound by its first consumer, which may be in an application that waits for this
                // one.
                let is_unused = status.health == Health::InProgress
                    && status.object.kind == "PersistentVolumeClaim"
                    && status.object.group.is_empty();
                usable &= self.counts_as(status) == Health::Current || is_unused;
            }
            if matches!(status.action, Action::Failed | Action::Skipped)
                && sync == SyncState::Synced
            {
                sync = SyncState::OutOfSync;
            }
            let badness = |status: &ObjectStatus| {
                let is_final = status.reason.is_some_and(Reason::is_final);
                (rank(status.action), is_final, status.health)
            };
            let is_worse = |other: &ObjectStatus| badness(status) > badness(other);
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
        self.outcome.remembered = self.inventory.len();
        if self.input.intent == Intent::Orphan {
            let message = match self.statuses.is_empty() {
                true => "no longer assigned; its objects move to other applications",
                false => "no longer assigned; its objects are kept",
            };
            self.outcome.reason = Some(Reason::NotAssigned);
            message.clone_into(&mut self.outcome.message);
        }
        self.told_of_record();
        self.outcome.usable = usable && sync == SyncState::Synced;
        self.outcome.sync = sync;
        self.outcome.health = health;
        self.outcome.objects = self.statuses.into_values().collect();
        Round {
            outcome: self.outcome,
            again: self.again,
        }
    }
}

impl Pass<'_> {
    /// Reports a changed inventory for a while, if there is no other reason.
    fn told_of_record(&mut self) {
        if let (None, Some((at, why))) = (self.outcome.reason, self.memory.changed)
            && at.elapsed() < TOLD
        {
            self.outcome.reason = Some(Reason::InventoryChanged);
            self.outcome.message = format!("{CHANGED}: {why}");
        }
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

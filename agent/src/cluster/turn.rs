//! One application's turn. It sequences; [`crate::plan`] decides.

use std::collections::BTreeMap;
use std::sync::Arc;

use flotilla_render::Manifest;
use flotilla_shared::assignment::{Prune, SyncPolicy};
use flotilla_shared::health::{Health, Sync};
use flotilla_shared::id::ApplicationName;
use flotilla_shared::object::{Action, ObjectRef};
use flotilla_shared::reason::Reason;
use flotilla_shared::report::ObjectStatus;
use futures::StreamExt as _;
use tokio_util::sync::CancellationToken;

use super::api::Error;
use super::apply::Deleted;
use super::{Cluster, TurnOutcome, desired};
use crate::health::ObjectHealth;
use crate::inventory::{Entry, Inventory};
use crate::plan::{Claims, Desired, Inputs, Plan, Step, plan};
use crate::policy::Policy;

/// What a turn works on.
pub struct TurnInput {
    /// The application.
    pub application: ApplicationName,
    /// Its commit, rendered.
    pub manifests: Arc<Vec<Manifest>>,
    /// How it is kept in sync.
    pub sync_policy: SyncPolicy,
    /// The agent's own rules.
    pub policy: Arc<Policy>,
    /// For namespaced objects that name none.
    pub namespace: String,
    /// What the other applications want.
    pub claims: Arc<Claims>,
    /// Look and plan, and write nothing.
    pub frozen: bool,
}

/// A turn under way.
struct Turn<'a> {
    cluster: &'a Cluster,
    input: &'a TurnInput,
    desired: Vec<Desired>,
    inventory: Inventory,
    statuses: BTreeMap<ObjectRef, ObjectStatus>,
    outcome: TurnOutcome,
}

fn failed(error: &Error) -> TurnOutcome {
    TurnOutcome {
        sync: Sync::OutOfSync,
        health: Health::Unknown,
        reason: Some(error.reason),
        message: error.message.clone(),
        ..TurnOutcome::default()
    }
}

impl Cluster {
    /// What an application wants, as objects of this cluster: needs to know which kinds are
    /// namespaced.
    ///
    /// # Errors
    /// When the API server cannot be asked.
    pub async fn objects(&self, input: &TurnInput) -> Result<Vec<Desired>, Error> {
        let mut discovery = self.discovery.lock().await;
        let missing = input
            .manifests
            .iter()
            .any(|m| discovery.find(m.group(), m.version(), m.kind()).is_none());
        discovery.refresh(&self.api, missing).await?;
        let default = if input.namespace.is_empty() {
            "default"
        } else {
            &input.namespace
        };
        Ok(input
            .manifests
            .iter()
            .map(|manifest| {
                let namespaced = discovery
                    .find(manifest.group(), manifest.version(), manifest.kind())
                    .map(|resource| resource.namespaced);
                desired(manifest, input.application.as_str(), default, namespaced)
            })
            .collect())
    }

    /// Takes one turn. Whatever fails is in the outcome; a newer assignment cancels it between steps.
    pub async fn reconcile(&self, input: &TurnInput, cancel: &CancellationToken) -> TurnOutcome {
        let wanted = match self.objects(input).await {
            Ok(wanted) => wanted,
            Err(error) => return failed(&error),
        };
        let stored = match self.read_inventory(input.application.as_str()).await {
            Ok(stored) => stored,
            Err(error) => return failed(&error),
        };
        let turn = Turn {
            cluster: self,
            input,
            desired: wanted,
            inventory: stored.inventory,
            statuses: BTreeMap::new(),
            outcome: TurnOutcome::default(),
        };
        turn.run(stored.trusted, cancel).await
    }
}

impl Turn<'_> {
    async fn run(mut self, trusted: bool, cancel: &CancellationToken) -> TurnOutcome {
        let application = self.input.application.as_str();
        let mut seen = self.cluster.observe(&self.desired, &self.inventory).await;
        if let Some(problem) = seen.problem.take()
            && seen.observed.live.is_empty()
            && problem.is_transient()
        {
            return failed(&problem);
        }
        // An inventory that cannot be trusted proves nothing.
        seen.observed.complete &= trusted || self.inventory.is_empty();
        let made = self.plan(&seen.observed);
        for (object, health) in &seen.health {
            if self.desired.iter().any(|d| d.object == *object) {
                self.note(
                    object,
                    Action::Unchanged,
                    health.clone(),
                    None,
                    String::new(),
                );
            }
        }
        if let Some((reason, message)) = made.refused {
            self.outcome.reason = Some(reason);
            self.outcome.message = message;
            return self.finish(Sync::Refused);
        }
        if self.input.frozen {
            self.skipped(&made);
            let sync = if made.is_noop() {
                Sync::Synced
            } else {
                Sync::Suspended
            };
            return self.finish(sync);
        }
        // Remembered before it is made: a crash leaves no object that nobody knows (A16).
        let before = self.inventory.clone();
        let shards = Cluster::shards(&before);
        let superset = self.inventory.superset(self.entries(&made));
        if (superset != before || !trusted)
            && let Err(error) = self
                .cluster
                .write_inventory(application, &superset, shards)
                .await
        {
            return failed(&error);
        }
        self.inventory = superset.clone();
        self.skipped(&made);
        self.apply(&made, cancel).await;
        if !cancel.is_cancelled() {
            self.delete(&made).await;
        }
        if self.inventory != superset {
            let shards = Cluster::shards(&superset);
            if let Err(error) = self
                .cluster
                .write_inventory(application, &self.inventory, shards)
                .await
            {
                // The superset stays: too much is remembered, which harms nothing.
                tracing::warn!(application, %error, "cannot narrow the inventory");
            }
        }
        self.finish(Sync::Synced)
    }

    fn plan(&self, observed: &crate::plan::Observed) -> Plan {
        plan(&Inputs {
            application: self.input.application.as_str(),
            desired: &self.desired,
            observed,
            inventory: &self.inventory,
            policy: &self.input.policy,
            own_namespace: &self.cluster.options.namespace,
            claims: &self.input.claims,
            prune_enabled: self.input.sync_policy.prune == Prune::Enabled,
        })
    }

    /// Inventory entries of what will be, or is, ours.
    fn entries(&self, plan: &Plan) -> Vec<Entry> {
        let ours = plan.apply.iter().flatten().filter_map(|step| match step {
            Step::Apply { index, .. } => self.desired.get(*index),
            _ => None,
        });
        let unchanged = plan.rest.iter().filter_map(|step| match step {
            Step::Unchanged(object) => self.desired.iter().find(|d| d.object == *object),
            // Its definition may come with this very set.
            Step::Skip(object, Reason::UnknownKind, _) => {
                self.desired.iter().find(|d| d.object == *object)
            }
            _ => None,
        });
        ours.chain(unchanged)
            .map(|desired| Entry {
                object: desired.object.clone(),
                version: desired.version.clone(),
                uid: String::new(),
            })
            .collect()
    }

    fn note(
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

    /// Everything that needs no request.
    fn skipped(&mut self, plan: &Plan) {
        for step in &plan.rest {
            match step {
                Step::Forget(object) => self.inventory.remove(object),
                Step::Skip(object, reason, message) => {
                    let health = ObjectHealth {
                        health: Health::Unknown,
                        message: String::new(),
                    };
                    self.note(
                        object,
                        Action::Skipped,
                        health,
                        Some(*reason),
                        message.clone(),
                    );
                }
                Step::Hold(object, reason, message) => {
                    let health = ObjectHealth {
                        health: Health::Current,
                        message: String::new(),
                    };
                    self.note(object, Action::Held, health, Some(*reason), message.clone());
                }
                Step::Unchanged(_) | Step::Apply { .. } | Step::Prune(..) => {}
            }
        }
    }

    async fn apply(&mut self, plan: &Plan, cancel: &CancellationToken) {
        let mut definitions = Vec::new();
        for phase in &plan.apply {
            if cancel.is_cancelled() {
                return;
            }
            let steps: Vec<(usize, bool)> = phase
                .iter()
                .filter_map(|step| match step {
                    Step::Apply { index, create } => Some((*index, *create)),
                    _ => None,
                })
                .collect();
            self.apply_all(&steps).await;
            definitions.extend(
                steps
                    .iter()
                    .filter_map(|(index, _)| self.desired.get(*index))
                    .filter(|desired| desired.object.kind == "CustomResourceDefinition")
                    .map(|desired| desired.object.name.clone()),
            );
        }
        if definitions.is_empty() {
            return;
        }
        // Definitions and their objects in one commit converge in one turn (A9).
        if let Err(error) = self.cluster.established(&definitions).await {
            tracing::warn!(%error, "new kinds are not served yet");
            return;
        }
        let late: Vec<usize> = plan
            .rest
            .iter()
            .filter_map(|step| match step {
                Step::Skip(object, Reason::UnknownKind, _) => {
                    self.desired.iter().position(|d| d.object == *object)
                }
                _ => None,
            })
            .collect();
        self.name_namespaces(&late).await;
        let steps: Vec<(usize, bool)> = late.into_iter().map(|index| (index, true)).collect();
        self.apply_all(&steps).await;
    }

    /// Whether a kind is namespaced is only known once it is served.
    async fn name_namespaces(&mut self, late: &[usize]) {
        let Ok(objects) = self.cluster.objects(self.input).await else {
            return;
        };
        for index in late {
            let (Some(now), Some(before)) = (objects.get(*index), self.desired.get_mut(*index))
            else {
                continue;
            };
            if now.object != before.object {
                self.statuses.remove(&before.object);
                self.inventory.remove(&before.object);
                *before = now.clone();
            }
        }
    }

    async fn apply_all(&mut self, steps: &[(usize, bool)]) {
        let cluster = self.cluster;
        let force = self.input.sync_policy.force_conflicts;
        let requests: Vec<(usize, bool, Desired)> = steps
            .iter()
            .filter_map(|(index, create)| {
                Some((*index, *create, self.desired.get(*index)?.clone()))
            })
            .collect();
        let mut results = futures::stream::iter(requests.into_iter().map(
            |(index, create, desired)| async move {
                (index, cluster.apply(&desired, create, force, false).await)
            },
        ))
        .buffer_unordered(cluster.options.concurrency);
        let mut done = Vec::new();
        while let Some(result) = results.next().await {
            done.push(result);
        }
        drop(results);
        for (index, result) in done {
            let Some(desired) = self.desired.get(index).cloned() else {
                continue;
            };
            match result {
                Ok(applied) => {
                    self.outcome.written += 1;
                    self.inventory.insert(Entry {
                        object: desired.object.clone(),
                        version: desired.version.clone(),
                        uid: applied.uid,
                    });
                    self.note(
                        &desired.object,
                        applied.action,
                        applied.health,
                        None,
                        String::new(),
                    );
                }
                Err(error) => {
                    let health = ObjectHealth {
                        health: Health::Unknown,
                        message: String::new(),
                    };
                    let reason = Some(error.reason);
                    self.note(
                        &desired.object,
                        Action::Failed,
                        health,
                        reason,
                        error.message,
                    );
                }
            }
        }
    }

    async fn delete(&mut self, plan: &Plan) {
        for phase in &plan.prune {
            for step in phase {
                let Step::Prune(object, uid) = step else {
                    continue;
                };
                let application = self.input.application.as_str();
                let deleted = self
                    .cluster
                    .prune(object, uid, application, &self.inventory)
                    .await;
                let current = ObjectHealth {
                    health: Health::Current,
                    message: String::new(),
                };
                match deleted {
                    Ok(Deleted::Done) => {
                        self.outcome.pruned += 1;
                        self.inventory.remove(object);
                        tracing::info!(%object, application, "pruned");
                    }
                    Ok(Deleted::Waiting(why)) => {
                        self.outcome.pruned += 1;
                        let terminating = ObjectHealth {
                            health: Health::Terminating,
                            message: String::new(),
                        };
                        let reason = Some(Reason::WaitingForFinalizer);
                        self.note(object, Action::Pruned, terminating, reason, why);
                    }
                    Ok(Deleted::NotOurs) => self.inventory.remove(object),
                    Err(error) => {
                        let reason = Some(error.reason);
                        self.note(object, Action::Failed, current, reason, error.message);
                    }
                }
            }
        }
    }

    /// Sums up: sync from what could not be done, health from what is.
    fn finish(mut self, best: Sync) -> TurnOutcome {
        let mut sync = best;
        let mut health = Health::Current;
        let mut worst: Option<&ObjectStatus> = None;
        for status in self.statuses.values() {
            health = health.max(status.health);
            if matches!(status.action, Action::Failed | Action::Skipped) && sync == Sync::Synced {
                sync = Sync::OutOfSync;
            }
            let is_worse = |other: &ObjectStatus| {
                (rank(status.action), status.health) > (rank(other.action), other.health)
            };
            let is_bad = rank(status.action) > 0 || status.health != Health::Current;
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
        self.close(sync, health)
    }

    fn close(mut self, sync: Sync, health: Health) -> TurnOutcome {
        self.outcome.sync = sync;
        self.outcome.health = health;
        self.outcome.objects = self.statuses.into_values().collect();
        self.outcome
    }
}

fn rank(action: Action) -> u8 {
    match action {
        Action::Failed => 3,
        Action::Skipped => 2,
        Action::Held => 1,
        _ => 0,
    }
}

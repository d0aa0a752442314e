//! One application's turn. It sequences; [`crate::plan`] decides.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use flotilla_render::Manifest;
use flotilla_shared::assignment::{IgnoreRule, Prune, SyncPolicy};
use flotilla_shared::digest::Digest;
use flotilla_shared::health::{Health, Sync};
use flotilla_shared::id::ApplicationName;
use flotilla_shared::object::{Action, ObjectRef};
use flotilla_shared::reason::Reason;
use flotilla_shared::report::ObjectStatus;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::api::{Api, Error};
use super::apply::live_of;
use super::desired::{Setting, autoscaled, desired};
use super::discovery::Resource;
use super::facts::Fact;
use super::{Cluster, TurnOutcome};
use crate::health::ObjectHealth;
use crate::inventory::{Entry, Inventory};
use crate::plan::{Claims, Contests, Desired, Inputs, Observed, Plan, Step, deadline, plan};
use crate::policy::Policy;

/// Rounds of one turn: each wave, and each definition that was waited for, is one.
const MAX_ROUNDS: usize = 24;

/// What an application wants, as objects of this cluster.
#[derive(Debug, Clone, Default)]
pub struct Wish {
    /// The objects.
    pub desired: Arc<Vec<Arc<Desired>>>,
    /// Whether every kind is served; otherwise it is to be made again from the manifests.
    pub complete: bool,
}

/// What a turn works on.
pub struct TurnInput {
    /// The application.
    pub application: ApplicationName,
    /// Its commit, rendered; needed while its wish is not complete.
    pub manifests: Arc<Vec<Manifest>>,
    /// Digest of the content that was rendered.
    pub content: Digest,
    /// How it is kept in sync.
    pub sync_policy: SyncPolicy,
    /// The agent's own rules.
    pub policy: Arc<Policy>,
    /// For namespaced objects that name none; empty: `default`.
    pub namespace: String,
    /// What all applications want.
    pub claims: Arc<Claims>,
    /// Look and plan, and write nothing.
    pub frozen: bool,
    /// The application was removed on purpose, with its objects.
    pub removed: bool,
}

/// What is remembered of an application between turns, in memory only.
#[derive(Debug, Default)]
pub struct Memory {
    /// The inventory as we wrote it last; none: it is to be read.
    pub(super) stored: Option<super::inventory_store::Stored>,
    /// How often the API server had gone back in time when it was read.
    restored: u64,
    contests: Contests,
    /// When an object was first seen to differ from what was applied.
    drifted: BTreeMap<ObjectRef, Timestamp>,
}

/// A round of a turn under way.
pub(super) struct Turn<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) api: Api,
    pub(super) input: &'a TurnInput,
    pub(super) memory: &'a mut Memory,
    pub(super) desired: Arc<Vec<Arc<Desired>>>,
    pub(super) facts: BTreeMap<ObjectRef, Fact>,
    pub(super) inventory: Inventory,
    pub(super) statuses: BTreeMap<ObjectRef, ObjectStatus>,
    pub(super) outcome: TurnOutcome,
    /// Another round would get further at once.
    pub(super) again: bool,
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
    pub async fn wish(&self, input: &TurnInput) -> Result<Wish, Error> {
        let mut discovery = self.discovery.lock().await;
        let missing = input
            .manifests
            .iter()
            .any(|m| discovery.find(m.group(), m.version(), m.kind()).is_none());
        discovery.refresh(&self.api, missing).await?;
        let default_namespace = match input.namespace.as_str() {
            "" => "default",
            namespace => namespace,
        };
        let scaled = autoscaled(&input.manifests, default_namespace);
        let setting = Setting {
            application: input.application.as_str(),
            default_namespace,
            content: input.content,
            autoscaled: &scaled,
        };
        let mut complete = true;
        let objects = input.manifests.iter().map(|manifest| {
            let found = discovery.find(manifest.group(), manifest.version(), manifest.kind());
            complete &= found.is_some();
            let namespaced = found.map(|resource| resource.namespaced);
            Arc::new(desired(manifest, &setting, namespaced))
        });
        Ok(Wish {
            desired: Arc::new(objects.collect()),
            complete,
        })
    }

    /// Takes one turn. Whatever fails is in the outcome; a newer assignment cancels it between steps.
    pub async fn reconcile(
        &self,
        input: &TurnInput,
        wish: &mut Wish,
        memory: &mut Memory,
        cancel: &CancellationToken,
    ) -> TurnOutcome {
        let mut outcome = TurnOutcome::default();
        for _ in 0..MAX_ROUNDS {
            if !wish.complete {
                match self.wish(input).await {
                    Ok(fresh) => *wish = fresh,
                    Err(error) => return failed(&error),
                }
            }
            let (next, again) = self.round(input, wish, memory, cancel).await;
            outcome = TurnOutcome {
                written: outcome.written + next.written,
                pruned: outcome.pruned + next.pruned,
                ..next
            };
            if !again || cancel.is_cancelled() {
                break;
            }
        }
        outcome
    }

    async fn round(
        &self,
        input: &TurnInput,
        wish: &Wish,
        memory: &mut Memory,
        cancel: &CancellationToken,
    ) -> (TurnOutcome, bool) {
        let name = input.application.as_str();
        let restored = self.views.restored();
        if std::mem::replace(&mut memory.restored, restored) != restored {
            memory.stored = None;
        }
        let stored = match memory.stored.take() {
            Some(stored) => stored,
            None => match self.read_inventory(name).await {
                Ok(stored) => stored,
                Err(error) => return (failed(&error), false),
            },
        };
        let account = input.policy.account(&input.application);
        let turn = Turn {
            cluster: self,
            api: self.api.as_account(account.map(Arc::from)),
            input,
            desired: Arc::clone(&wish.desired),
            facts: BTreeMap::new(),
            inventory: stored.inventory.clone(),
            statuses: BTreeMap::new(),
            outcome: TurnOutcome::default(),
            again: false,
            memory,
        };
        turn.run(stored, cancel).await
    }

    /// What serves an object's kind; an empty version takes the preferred one.
    pub(super) async fn resource(
        &self,
        object: &ObjectRef,
        version: &str,
    ) -> Result<Resource, Error> {
        let discovery = self.discovery.lock().await;
        let found = discovery
            .find(&object.group, version, &object.kind)
            .cloned();
        found.ok_or_else(|| {
            let message = format!("the API server does not serve {version} {object}");
            Error::new(404, Reason::UnknownKind, message)
        })
    }

    /// What serves each object, what is not served at all, and whether the API server told everything.
    async fn resources(
        &self,
        desired: &[Arc<Desired>],
        inventory: &Inventory,
    ) -> Result<(BTreeMap<ObjectRef, Resource>, BTreeSet<ObjectRef>, bool), Error> {
        let mut discovery = self.discovery.lock().await;
        let missing = desired.iter().any(|d| {
            discovery
                .find(&d.object.group, &d.version, &d.object.kind)
                .is_none()
        });
        discovery.refresh(&self.api, missing).await?;
        let mut resources = BTreeMap::new();
        let mut unknown = BTreeSet::new();
        for wanted in desired {
            let object = &wanted.object;
            match discovery.find(&object.group, &wanted.version, &object.kind) {
                Some(resource) => {
                    resources.insert(object.clone(), resource.clone());
                }
                None => {
                    unknown.insert(object.clone());
                }
            }
        }
        for entry in inventory.entries() {
            let object = &entry.object;
            // At whatever version it is served now. A kind that is gone for good took its objects with
            // it; one that is only missing from a partial discovery did not, and `complete` says so.
            if let Some(resource) = discovery.find(&object.group, "", &object.kind) {
                resources
                    .entry(object.clone())
                    .or_insert_with(|| resource.clone());
            }
        }
        Ok((resources, unknown, discovery.is_complete()))
    }
}

impl Turn<'_> {
    async fn run(
        mut self,
        stored: super::inventory_store::Stored,
        cancel: &CancellationToken,
    ) -> (TurnOutcome, bool) {
        let (made, observed) = match self.observe(&stored).await {
            Ok(found) => found,
            Err(error) => {
                self.memory.stored = Some(stored);
                return (failed(&error), false);
            }
        };
        self.note_all(&observed);
        if let Some((reason, message)) = made.refused {
            self.memory.stored = Some(stored);
            self.outcome.reason = Some(reason);
            self.outcome.message = message;
            return self.finish(Sync::Refused);
        }
        if self.input.frozen {
            self.memory.stored = Some(stored);
            self.skipped(&made);
            let sync = if made.is_noop() {
                Sync::Synced
            } else {
                Sync::Suspended
            };
            return self.finish(sync);
        }
        self.execute(&made, stored, cancel).await
    }

    /// Looks at everything that is wanted or remembered, and plans.
    pub(super) async fn observe(
        &mut self,
        stored: &super::inventory_store::Stored,
    ) -> Result<(Plan, Observed), Error> {
        let (resources, unknown_kinds, complete) = self
            .cluster
            .resources(&self.desired, &self.inventory)
            .await?;
        let ignore: Arc<Vec<IgnoreRule>> = Arc::new(self.input.sync_policy.ignore.clone());
        let snapshot = self
            .cluster
            .views
            .observe(&self.input.application, &self.desired, &ignore, resources)
            .await;
        let is_complete = snapshot.problem.is_none();
        if let Some(problem) = snapshot.problem
            && snapshot.facts.is_empty()
        {
            return Err(problem);
        }
        self.facts = snapshot.facts;
        let observed = Observed {
            live: self.live(),
            // An inventory that cannot be trusted proves nothing.
            complete: complete && is_complete && (stored.trusted || self.inventory.is_empty()),
            unknown_kinds,
        };
        Ok((self.plan(&observed), observed))
    }

    /// Remember, apply, delete, remember less: in this order, so that a crash at any point leaves no
    /// object that nobody knows (A16).
    async fn execute(
        mut self,
        made: &Plan,
        stored: super::inventory_store::Stored,
        cancel: &CancellationToken,
    ) -> (TurnOutcome, bool) {
        let mut stored = stored;
        let name = self.input.application.as_str();
        self.inventory = self.inventory.superset(self.entries(made));
        self.finish_hooks();
        if let Err(error) = self.cluster.keep(name, &self.inventory, &mut stored).await {
            self.memory.stored = Some(stored);
            return (failed(&error), false);
        }
        self.skipped(made);
        self.apply(made, cancel).await;
        if !cancel.is_cancelled() {
            self.delete(made).await;
        }
        if let Err(error) = self.cluster.keep(name, &self.inventory, &mut stored).await {
            // The superset stays: too much is remembered, which harms nothing.
            tracing::warn!(application = name, %error, "cannot narrow the inventory");
        }
        self.memory.stored = Some(stored);
        self.finish(Sync::Synced)
    }

    fn live(&self) -> BTreeMap<ObjectRef, crate::plan::Live> {
        let now = Timestamp::now();
        let by_object: BTreeMap<&ObjectRef, &Arc<Desired>> =
            self.desired.iter().map(|d| (&d.object, d)).collect();
        self.facts
            .iter()
            .map(|(object, fact)| {
                let overdue = by_object.get(object).is_some_and(|desired| {
                    desired.hook().is_some() && is_overdue(desired, fact, now)
                });
                (object.clone(), live_of(fact, overdue))
            })
            .collect()
    }

    fn plan(&mut self, observed: &Observed) -> Plan {
        let now = monotonic();
        let made = plan(&Inputs {
            application: self.input.application.as_str(),
            desired: &self.desired,
            observed,
            inventory: &self.inventory,
            policy: &self.input.policy,
            own_namespace: &self.cluster.options.namespace,
            claims: &self.input.claims,
            prune_enabled: self.input.removed || self.input.sync_policy.prune == Prune::Enabled,
            drift: self.input.sync_policy.drift,
            contested: &self.memory.contests.held(now),
            finished_hooks: &self.inventory.finished_hooks,
            removed: self.input.removed,
        });
        self.note_drift(observed, &made, now);
        made
    }

    /// Remembers who changed what, and since when.
    fn note_drift(&mut self, observed: &Observed, made: &Plan, now: Duration) {
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
        drifting.extend(made.rest.iter().filter_map(|step| match step {
            Step::Skip(object, Reason::Drifted | Reason::Contested, _) => Some(object.clone()),
            _ => None,
        }));
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

    /// Every object that is there, as it is.
    fn note_all(&mut self, observed: &Observed) {
        let desired = Arc::clone(&self.desired);
        for wanted in desired.iter() {
            let Some(fact) = self.facts.get(&wanted.object) else {
                continue;
            };
            let mut health = fact.health.clone();
            if observed
                .live
                .get(&wanted.object)
                .is_some_and(|live| live.overdue)
            {
                health = ObjectHealth::failed("it is over its deadline");
            }
            self.note(
                &wanted.object,
                Action::Unchanged,
                health,
                None,
                String::new(),
            );
        }
    }

    /// Hooks that are through are remembered for as long as their content is wanted.
    fn finish_hooks(&mut self) {
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

    /// Inventory entries of what will be, or is, ours.
    fn entries(&self, plan: &Plan) -> Vec<Entry> {
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
                // What is as it should be counts as applied; a hook that ran is gone from the facts.
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

fn is_overdue(desired: &Desired, fact: &Fact, now: Timestamp) -> bool {
    let limit = deadline(desired).unwrap_or(Duration::from_secs(600));
    fact.health.health == Health::InProgress
        && fact.created.is_some_and(|created| {
            let age = now.duration_since(created).as_secs();
            age > i64::try_from(limit.as_secs()).unwrap_or(i64::MAX)
        })
}

/// Time since the process began: steady, whatever happens to the wall clock (N6).
fn monotonic() -> Duration {
    static START: std::sync::LazyLock<std::time::Instant> =
        std::sync::LazyLock::new(std::time::Instant::now);
    START.elapsed()
}

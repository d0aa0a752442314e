//! One application's pass. It sequences; [`crate::plan`] decides.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use flotilla_render::Manifest;
use flotilla_shared::assignment::{IgnoreRule, Prune, SyncPolicy};
use flotilla_shared::digest::Digest;
use flotilla_shared::health::{Health, SyncState};
use flotilla_shared::id::ApplicationName;
use flotilla_shared::object::ObjectRef;
use flotilla_shared::problem::Problem;
use flotilla_shared::reason::Reason;
use flotilla_shared::report::ObjectStatus;
use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::apply::live_of;
use super::counted::CustomResourceCounts;
use super::inventory_store::StoredInventory;
use super::{Cluster, PassOutcome};
use crate::api::{Api, Error};
use crate::events::Event;
use crate::failpoint;
use crate::inventory::Inventory;
use crate::observe::facts::Fact;
use crate::observe::views::Tenure;
use crate::plan::{
    Claims, Contests, Desired, Inputs, Intent, Live, Observed, Plan, deadline, plan,
};
use crate::policy::Policy;

/// Rounds of one pass: each wave, and each definition that was waited for, is one.
const MAX_ROUNDS: usize = 24;
/// Interval at which the inventory is read again, so that changes by hand are noticed.
const LOOK_AGAIN: Duration = Duration::from_secs(600);
/// Time for which reports mention a changed inventory.
pub(super) const TOLD: Duration = Duration::from_secs(3600);
pub(super) const CHANGED: &str = "the agent's inventory was changed";
const GROUP_AWAY: &str = "the server of its API group does not answer";
const RESCOPED: &str =
    "its definition changed whether it has a namespace; the agent prepares it again";

/// Desired objects of an application in this cluster.
#[derive(Debug, Clone, Default)]
pub struct DesiredState {
    pub desired: Arc<Vec<Arc<Desired>>>,
    /// Whether every kind is served; if not, it has to be prepared again from the manifests.
    pub complete: bool,
}

/// Input of a pass.
pub struct PassInput {
    pub application: ApplicationName,
    /// Its commit, rendered; needed while its desired state is not complete.
    pub manifests: Arc<Vec<Manifest>>,
    /// Digest of the content that was rendered.
    pub content: Digest,
    /// Sync policy of the application.
    pub sync_policy: SyncPolicy,
    /// The agent's own rules.
    pub policy: Arc<Policy>,
    /// For namespaced objects that name none; empty: `default`.
    pub namespace: String,
    /// Desired objects of all applications, as they change: checked again before each deletion.
    pub claims: watch::Receiver<Arc<Claims>>,
    /// Look and plan, and write nothing.
    pub frozen: bool,
    /// What to do with the application.
    pub intent: Intent,
    /// An application that has to be healthy before anything of this one changes.
    pub waits_for: Option<ApplicationName>,
}

impl PassInput {
    /// Claims that stay as they are.
    #[must_use]
    pub fn fixed(claims: Claims) -> watch::Receiver<Arc<Claims>> {
        watch::channel(Arc::new(claims)).1
    }
}

/// State of an application between passes, in memory only.
#[derive(Debug, Default)]
pub struct Memory {
    /// The inventory as the agent wrote it last; none: it has to be read.
    pub(super) stored: Option<StoredInventory>,
    /// When it was read, or written, last.
    stored_at: Option<Instant>,
    /// Whether the last pass was one of a removal; none: there was none yet.
    removes: Option<bool>,
    /// When the inventory was last found to be changed, and how.
    pub(super) changed: Option<(Instant, &'static str)>,
    /// The tenure of the worker. None: it has not started.
    pub(super) tenure: Option<Arc<Tenure>>,
    /// How often the API server had gone back in time when the inventory was read.
    restored: u64,
    pub(super) contests: Contests,
    /// The custom resources that would be deleted with held definitions.
    pub(super) custom_resources: CustomResourceCounts,
    /// When an object was first seen to differ from what was applied.
    pub(super) drifted: BTreeMap<ObjectRef, Timestamp>,
}

/// A round of a pass under way.
pub(super) struct Pass<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) api: Api,
    pub(super) input: &'a PassInput,
    pub(super) memory: &'a mut Memory,
    pub(super) tenure: Arc<Tenure>,
    pub(super) desired: Arc<Vec<Arc<Desired>>>,
    /// Whether each of their kinds was known when they were prepared.
    is_prepared: bool,
    pub(super) facts: BTreeMap<ObjectRef, Arc<Fact>>,
    pub(super) inventory: Inventory,
    pub(super) statuses: BTreeMap<ObjectRef, ObjectStatus>,
    pub(super) outcome: PassOutcome,
    /// Another round would get further at once.
    pub(super) again: bool,
}

/// Result of one round.
pub(super) struct Round {
    pub(super) outcome: PassOutcome,
    /// Another round would get further at once.
    pub(super) again: bool,
}

impl Round {
    fn failed(error: &Error) -> Self {
        Self {
            outcome: failed(error),
            again: false,
        }
    }
}

fn failed(error: &Error) -> PassOutcome {
    PassOutcome {
        sync: SyncState::OutOfSync,
        health: Health::Unknown,
        reason: Some(error.reason),
        message: error.message.clone(),
        ..PassOutcome::default()
    }
}

impl Cluster {
    /// Runs one pass. Failures are part of the outcome; a newer assignment cancels it between steps.
    pub async fn reconcile(
        &self,
        input: &PassInput,
        desired_state: &mut DesiredState,
        memory: &mut Memory,
        cancel: &CancellationToken,
    ) -> PassOutcome {
        let mut outcome = PassOutcome::default();
        for _ in 0..MAX_ROUNDS {
            if !desired_state.complete {
                match self.desired_state(input).await {
                    Ok(fresh) => *desired_state = fresh,
                    Err(error) => return failed(&error),
                }
            }
            let round = self.round(input, desired_state, memory, cancel).await;
            let next = round.outcome;
            outcome = PassOutcome {
                written: outcome.written + next.written,
                pruned: outcome.pruned + next.pruned,
                ..next
            };
            if !round.again || cancel.is_cancelled() {
                break;
            }
        }
        outcome
    }

    async fn round(
        &self,
        input: &PassInput,
        desired_state: &DesiredState,
        memory: &mut Memory,
        cancel: &CancellationToken,
    ) -> Round {
        let name = input.application.as_str();
        let restored = self.views.restored();
        let is_restored = std::mem::replace(&mut memory.restored, restored) != restored;
        // Edits by people of the inventory are noticed within a fixed time; during a removal, at once.
        let is_old = memory.stored_at.is_none_or(|at| at.elapsed() > LOOK_AGAIN);
        if is_restored || is_old || input.intent != Intent::Run {
            memory.stored = None;
        }
        let mut stored = match memory.stored.take() {
            Some(stored) => stored,
            None => match self.read_inventory(name).await {
                Ok(stored) => {
                    // While the application is not to stay, no time is kept: the first pass after a removal was
                    // withdrawn reads the record again, and removes a confirmation that people wrote on it.
                    let stays = input.intent == Intent::Run;
                    memory.stored_at = stays.then(Instant::now);
                    if let (Some(why), false) = (stored.changed, stored.is_older) {
                        memory.changed = Some((Instant::now(), why));
                        let words = format!(
                            "{CHANGED}: {why}; an entry counts only where the live object \
                             confirms it"
                        );
                        self.tell(name, Event::warning(Reason::InventoryChanged, &words));
                    }
                    stored
                }
                Err(error) => return Round::failed(&error),
            },
        };
        if !input.frozen {
            self.heed_confirmation(input, memory, &mut stored).await;
        }
        let tenure = self.tenure(memory);
        let pass = Pass::new(self, input, desired_state, &stored, tenure, memory);
        pass.run(stored, cancel).await
    }

    /// A confirmation by people counts for a removal that was asked about before. An older one, for example of a
    /// removal that was withdrawn, permits no deletion and is removed.
    async fn heed_confirmation(
        &self,
        input: &PassInput,
        memory: &mut Memory,
        stored: &mut StoredInventory,
    ) {
        let removes = input.intent == Intent::Remove;
        // An agent that has just started does not know whether it asked for a confirmation before.
        let is_answer = removes && memory.removes != Some(false);
        if stored.confirmed && !is_answer {
            let name = input.application.as_str();
            if let Err(error) = self.forget_confirmation(name, stored).await {
                tracing::warn!(application = name, %error,
                    "cannot remove a confirmation given for an earlier removal; retrying");
                stored.confirmed = false;
                memory.stored_at = None;
                return;
            }
            tracing::info!(
                application = name,
                "removed a confirmation given for an earlier removal"
            );
        }
        memory.removes = Some(removes);
    }
}

impl<'a> Pass<'a> {
    /// A pass before anything was observed. Requests are made as the account that the policy names.
    pub(super) fn new(
        cluster: &'a Cluster,
        input: &'a PassInput,
        desired_state: &DesiredState,
        stored: &StoredInventory,
        tenure: Arc<Tenure>,
        memory: &'a mut Memory,
    ) -> Self {
        let account = input.policy.account(&input.application);
        Self {
            cluster,
            api: cluster.api.as_account(account.map(Arc::from)),
            input,
            memory,
            tenure,
            desired: Arc::clone(&desired_state.desired),
            is_prepared: desired_state.complete,
            facts: BTreeMap::new(),
            inventory: stored.inventory.clone(),
            statuses: BTreeMap::new(),
            outcome: PassOutcome::default(),
            again: false,
        }
    }
}

impl Pass<'_> {
    async fn run(mut self, stored: StoredInventory, cancel: &CancellationToken) -> Round {
        let (made, observed) = match self.observe(&stored).await {
            Ok(found) => found,
            Err(error) => {
                self.memory.stored = Some(stored);
                return Round::failed(&error);
            }
        };
        self.note_all(&observed);
        if let Some(refused) = made.refused {
            self.memory.stored = Some(stored);
            self.outcome.reason = Some(refused.reason);
            self.outcome.message = refused.message;
            return self.finish(SyncState::Refused);
        }
        if self.input.frozen {
            self.memory.stored = Some(stored);
            self.skipped(&made);
            let best = match self.best() {
                SyncState::Synced if !made.is_noop() => SyncState::Suspended,
                best => best,
            };
            return self.finish(best);
        }
        self.execute(&made, stored, cancel).await
    }

    /// Looks at everything that is desired or remembered, and plans.
    pub(super) async fn observe(
        &mut self,
        stored: &StoredInventory,
    ) -> Result<(Plan, Observed), Error> {
        let mut served = self
            .cluster
            .resources(&self.desired, &self.inventory)
            .await?;
        if !self.is_prepared {
            // The kind was unknown when the object was prepared, so it is prepared again for the next pass.
            served.away.append(&mut served.rescoped);
        }
        let ignore: Arc<Vec<IgnoreRule>> = Arc::new(self.input.sync_policy.ignore.clone());
        let snapshot = self
            .tenure
            .observe(&self.desired, &ignore, served.resources)
            .await;
        let is_complete = snapshot.problem.is_none();
        let problem = match snapshot.problem {
            Some(problem) if snapshot.facts.is_empty() => return Err(problem),
            Some(problem) => Some(Problem::new(problem.reason, problem.message)),
            None if !served.away.is_empty() => {
                Some(Problem::new(Reason::ClusterUnavailable, GROUP_AWAY))
            }
            None if !served.rescoped.is_empty() => {
                Some(Problem::new(Reason::UnknownKind, RESCOPED))
            }
            None => None,
        };
        self.outcome.outdated = !served.rescoped.is_empty();
        self.facts = snapshot.facts;
        self.find_autoscaled().await;
        let custom_resources = self.count_custom_resources().await;
        let mut unseen = snapshot.unseen;
        unseen.extend(served.away);
        unseen.extend(served.rescoped);
        let observed = Observed {
            live: self.live(),
            complete: served.complete && is_complete,
            unknown_kinds: served.unknown,
            unseen,
            custom_resources,
            problem,
            stale_groups: served.stale,
        };
        Ok((self.plan(&observed, stored), observed))
    }

    /// Extends the inventory, applies, deletes, and shrinks the inventory: in this order, so that a crash at
    /// any point leaves no object without an entry (A16).
    async fn execute(
        mut self,
        made: &Plan,
        stored: StoredInventory,
        cancel: &CancellationToken,
    ) -> Round {
        let mut stored = stored;
        let name = self.input.application.as_str();
        self.inventory = self.inventory.superset(self.entries(made));
        self.finish_hooks();
        if let Err(error) = self.cluster.keep(name, &self.inventory, &mut stored).await {
            self.memory.stored = Some(stored);
            return Round::failed(&error);
        }
        failpoint::reach("journaled");
        self.skipped(made);
        self.apply(made, cancel).await;
        self.delete(made, cancel).await;
        if let Err(error) = self.cluster.keep(name, &self.inventory, &mut stored).await {
            // The larger inventory stays: it names too many objects, which is harmless.
            tracing::warn!(application = name, %error, "cannot remove entries from the inventory");
        }
        failpoint::reach("narrowed");
        self.memory.stored = Some(stored);
        let best = self.best();
        self.finish(best)
    }

    /// Returns the sync state of a pass without problems.
    fn best(&self) -> SyncState {
        match self.input.intent {
            Intent::Orphan => SyncState::Orphaned,
            Intent::Run | Intent::Remove | Intent::Release => SyncState::Synced,
        }
    }

    fn live(&self) -> BTreeMap<ObjectRef, Live> {
        let now = Timestamp::now();
        let by_object: BTreeMap<&ObjectRef, &Arc<Desired>> =
            self.desired.iter().map(|d| (&d.object, d)).collect();
        self.facts
            .iter()
            .map(|(object, fact)| {
                let overdue = by_object.get(object).is_some_and(|desired| {
                    desired.hook().is_some() && is_overdue(desired, fact, now)
                });
                let live = Live {
                    overdue,
                    ..live_of(fact)
                };
                (object.clone(), live)
            })
            .collect()
    }

    fn plan(&mut self, observed: &Observed, stored: &StoredInventory) -> Plan {
        let now = monotonic();
        let claims = Arc::clone(&self.input.claims.borrow());
        let made = plan(&Inputs {
            application: self.input.application.as_str(),
            desired: &self.desired,
            observed,
            inventory: &self.inventory,
            policy: &self.input.policy,
            own_namespace: &self.cluster.options.namespace,
            claims: &claims,
            prune_enabled: self.input.intent == Intent::Remove
                || self.input.sync_policy.prune == Prune::Enabled,
            drift: self.input.sync_policy.drift,
            contested: &self.memory.contests.held(now),
            finished_hooks: &self.inventory.finished_hooks,
            intent: self.input.intent,
            inventory_proven: stored.changed.is_none(),
            removal_confirmed: stored.confirmed,
            waits_for: self.input.waits_for.as_ref().map(ApplicationName::as_str),
        });
        self.note_drift(observed, &made, now);
        made
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

/// Time since the start of the process: monotonic, whatever happens to the wall clock (N6).
pub(super) fn monotonic() -> Duration {
    static START: std::sync::LazyLock<std::time::Instant> =
        std::sync::LazyLock::new(std::time::Instant::now);
    START.elapsed()
}

//! The one task that owns the fleet: takes events, stores their effects, then sends.
//!
//! Everything else holds a [`Handle`]: a bounded channel in, a version number out.

mod handle;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use flotilla_shared::backoff::Backoff;
use flotilla_shared::id::ClusterName;
use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use crate::fleet::{Action, AuditEntry, Effect, Event, Fleet, SessionId, order_effects};
use crate::metrics::Metrics;
use crate::outbox::{Control, Outbox};
use crate::store::{self, Store};

pub use crate::store::Health;
pub use handle::{Handle, Rejection, Stopped};

/// Highest number of waiting events; a full channel slows the senders down on purpose.
const QUEUE: usize = 1024;

/// Interval of ticks: soaks, deadlines, windows and pins end at most this late.
const TICK: Duration = Duration::from_secs(1);

struct Session {
    id: SessionId,
    outbox: Arc<Outbox>,
}

impl Drop for Session {
    fn drop(&mut self) {
        // A stream without a session gets no more messages, so it ends.
        self.outbox.finish();
    }
}

type Query = Box<dyn FnOnce(&Fleet) + Send>;

/// A decision in the fleet itself: effects to store, and the callback that reports `Ok` once they are stored, or `Err`
/// where the outcome is unknown.
type Change = Box<dyn FnOnce(&mut Fleet, Timestamp) -> (Vec<Effect>, Completion) + Send>;

/// Reports the outcome to the requester.
type Completion = Box<dyn FnOnce(Result<(), Rejection>) + Send>;

/// An action of an operator, with the channel for its result.
struct Request {
    action: Action,
    by: String,
    reason: String,
    answer: oneshot::Sender<Result<String, Rejection>>,
}

enum Command {
    Event(Box<Event>),
    Register(ClusterName, Session),
    Query(Query),
    Act(Box<Request>),
    Change(Change),
    Commit(
        Box<Event>,
        Box<AuditEntry>,
        oneshot::Sender<Result<(), Rejection>>,
    ),
}

/// Starts the driver on a fleet that was restored from `store`. It ends when all handles are dropped, or when another
/// process took over deciding; then it cancels `stop`.
#[must_use]
pub fn spawn(
    fleet: Fleet,
    store: Store,
    metrics: Metrics,
    health: Health,
    stop: CancellationToken,
) -> (Handle, tokio::task::JoinHandle<()>) {
    let (commands, receiver) = mpsc::channel(QUEUE);
    let (version, version_end) = watch::channel(fleet.version());
    let handle = Handle {
        commands,
        version: version_end,
        next_session: Arc::new(AtomicU64::new(1)),
    };
    let driver = Driver {
        shown: fleet.clone(),
        fleet,
        health,
        store,
        version,
        sessions: HashMap::new(),
        told: Vec::new(),
        queries: Vec::new(),
        backlog: VecDeque::new(),
        batches: 0,
        metrics,
        name: format!("{:016x}", rand::random::<u64>()),
        stop,
    };
    (handle, tokio::spawn(driver.run(receiver)))
}

struct Driver {
    fleet: Fleet,
    /// The fleet as it was last stored: it is shown while the store fails, since what is not stored may be lost in a
    /// crash.
    shown: Fleet,
    health: Health,
    store: Store,
    version: watch::Sender<u64>,
    sessions: HashMap<(ClusterName, SessionId), Session>,
    /// Requesters to inform when this batch is stored.
    told: Vec<Completion>,
    /// Queries to answer when this batch is stored.
    queries: Vec<Query>,
    /// Commands that arrived while the store was failing.
    backlog: VecDeque<Command>,
    batches: u64,
    metrics: Metrics,
    name: String,
    stop: CancellationToken,
}

impl Driver {
    async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let behind = self.fleet.has_due();
            let first = match self.backlog.pop_front() {
                Some(command) => Some(command),
                None if behind => {
                    // Yields before the next batch of assignments, so that streams are served in between.
                    tokio::task::yield_now().await;
                    commands.try_recv().ok()
                }
                None => tokio::select! {
                    command = commands.recv() => match command {
                        Some(command) => Some(command),
                        None => return,
                    },
                    _ = tick.tick() => None,
                },
            };
            let now = Timestamp::now();
            let mut effects = Vec::new();
            match first {
                Some(command) => self.take(command, now, &mut effects),
                None if behind => {}
                None if self.fleet.needs_ticks() => {
                    effects.extend(self.fleet.absorb(Event::Tick, now));
                }
                None => continue,
            }
            // One transaction for all waiting events, so that ten thousand reports do not cost ten thousand fsyncs.
            for _ in 0..QUEUE {
                let next = self
                    .backlog
                    .pop_front()
                    .or_else(|| commands.try_recv().ok());
                let Some(command) = next else { break };
                self.take(command, now, &mut effects);
            }
            effects.extend(self.fleet.advance(now));
            order_effects(&mut effects);
            if !self.keep(&effects, now, &mut commands).await {
                self.stop.cancel();
                return;
            }
            for told in self.told.drain(..) {
                told(Ok(()));
            }
            self.stored();
            for query in self.queries.drain(..) {
                query(&self.fleet);
            }
            for effect in effects {
                self.act(effect);
            }
            let version = self.fleet.version();
            self.version
                .send_if_modified(|current| std::mem::replace(current, version) != version);
        }
    }

    /// Notes that everything in memory is stored.
    fn stored(&mut self) {
        if self.shown.version() != self.fleet.version() {
            self.shown = self.fleet.clone();
        }
    }

    /// Returns the fleet as stored, with the present connections.
    fn last_stored(&mut self) -> &Fleet {
        self.shown.hear(&self.fleet);
        &self.shown
    }

    fn take(&mut self, command: Command, now: Timestamp, effects: &mut Vec<Effect>) {
        match command {
            Command::Event(event) => {
                if let Event::Disconnected(cluster, session) = &*event {
                    self.sessions.remove(&(cluster.clone(), *session));
                }
                effects.extend(self.fleet.absorb(*event, now));
            }
            // Answered only after the batch is stored: an answer must not show what a crash could undo.
            Command::Query(query) => self.queries.push(query),
            Command::Register(cluster, session) => {
                self.sessions.insert((cluster, session.id), session);
            }
            Command::Commit(event, entry, done) => {
                effects.extend(self.fleet.absorb(*event, now));
                effects.push(Effect::Audit(AuditEntry { at: now, ..*entry }));
                self.told.push(Box::new(move |stored| {
                    // The requester may have gone; the decision stands.
                    let _ = done.send(stored);
                }));
            }
            Command::Change(change) => {
                let (more, told) = change(&mut self.fleet, now);
                effects.extend(more);
                self.told.push(told);
            }
            Command::Act(request) => {
                let Request {
                    action,
                    by,
                    reason,
                    answer,
                } = *request;
                let taken = self.fleet.act(&action, &by, &reason, now);
                let result = taken.map_err(Rejection::from).map(|taken| {
                    effects.extend(taken.effects);
                    taken.answer
                });
                self.told.push(Box::new(move |stored| {
                    // The requester may have gone; the decision stands.
                    let _ = answer.send(stored.and(result));
                }));
            }
        }
    }

    /// Stores a batch before anything of it is sent, however long that takes. While the store fails, the hub makes no
    /// new decisions and reports that; it still shows what it knows, and agents continue with what they have (S1, S9).
    /// False: another process decides now.
    async fn keep(
        &mut self,
        effects: &[Effect],
        now: Timestamp,
        commands: &mut mpsc::Receiver<Command>,
    ) -> bool {
        self.batches += 1;
        let batch = format!("{}-{}", self.name, self.batches);
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(10));
        loop {
            let began = tokio::time::Instant::now();
            match self.store.apply(&batch, effects, now).await {
                Ok(()) => {
                    // A batch without stored effects does not show that the store works.
                    if effects.iter().any(Effect::is_stored) {
                        self.health.works();
                        self.metrics.stored(began.elapsed(), effects.len());
                    }
                    return true;
                }
                Err(error @ store::Error::Fenced { .. }) => {
                    tracing::error!(%error, "stepping down");
                    return false;
                }
                Err(error) => {
                    self.metrics.store_failed();
                    tracing::error!(%error, "cannot store; will retry");
                }
            }
            self.health.fails();
            for told in self.told.drain(..) {
                told(Err(Rejection::Store));
            }
            for query in std::mem::take(&mut self.queries) {
                query(self.last_stored());
            }
            let delay = backoff.next_delay(&mut rand::rng());
            let until = tokio::time::Instant::now() + delay;
            loop {
                tokio::select! {
                    () = tokio::time::sleep_until(until) => break,
                    () = self.stop.cancelled() => return false,
                    command = commands.recv(), if self.backlog.len() < QUEUE => match command {
                        Some(Command::Query(query)) => query(self.last_stored()),
                        Some(Command::Change(change)) => {
                            // Decided on a copy that is discarded, only to answer the requester.
                            let (_, told) = change(&mut self.fleet.clone(), now);
                            told(Err(Rejection::Undecided));
                        }
                        Some(Command::Act(request)) => {
                            let _ = request.answer.send(Err(Rejection::Undecided));
                        }
                        Some(Command::Commit(_, _, done)) => {
                            let _ = done.send(Err(Rejection::Undecided));
                        }
                        Some(command) => self.backlog.push_back(command),
                        None => return false,
                    },
                }
            }
        }
    }

    fn act(&mut self, effect: Effect) {
        match effect {
            Effect::Send(cluster, id, assignment) => {
                if let Some(session) = self.sessions.get(&(cluster, id)) {
                    self.metrics.assignment_sent();
                    session.outbox.assign(assignment);
                }
            }
            Effect::RequestReport(cluster, id) => {
                self.control(&cluster, id, Control::RequestReport);
            }
            Effect::AskJobs(cluster, id, jobs) => {
                self.control(&cluster, id, Control::AskJobs(jobs));
            }
            Effect::RequestRenewal(cluster, id, within) => {
                self.control(&cluster, id, Control::Renew(within));
            }
            Effect::Close(cluster, id, problem) => {
                self.control(&cluster, id, Control::Close(problem));
                self.sessions.remove(&(cluster, id));
            }
            Effect::StoreHead(repository, branch, head) => {
                let commit = head
                    .commit
                    .as_ref()
                    .map(ToString::to_string)
                    .unwrap_or_default();
                tracing::info!(%repository, %branch, commit, "branch moved");
            }
            Effect::StoreAssignment(cluster, assignment) => {
                let reference = assignment.decoded.reference;
                tracing::info!(%cluster, generation = reference.generation.0, "assigned");
            }
            Effect::Measure(environment, took) => self.metrics.applied(&environment, took),
            Effect::Audit(entry) => {
                tracing::info!(
                    actor = entry.actor,
                    action = entry.action.as_str(),
                    environment = entry.environment,
                    reason = entry.reason,
                    detail = entry.detail,
                    "audit"
                );
            }
            Effect::StoreCluster(..)
            | Effect::DeleteCluster(..)
            | Effect::RedeemToken(..)
            | Effect::RevokeToken(..)
            | Effect::Retire(..)
            | Effect::StoreReport(..)
            | Effect::StoreEnvironment(..)
            | Effect::StoreSpecification(..)
            | Effect::DeleteSpecification(..)
            | Effect::StoreRollout(..)
            | Effect::StoreProgress(..)
            | Effect::DeleteProgress(..) => {}
        }
    }

    fn control(&self, cluster: &ClusterName, id: SessionId, control: Control) {
        if let Some(session) = self.sessions.get(&(cluster.clone(), id)) {
            session.outbox.control(control);
        }
    }
}

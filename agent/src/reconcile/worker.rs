//! The loop of one application: fetch, render, run passes. Applications run side by side, so that a
//! slow repository, a broken commit or a large set does not hold up the others (I8).

mod fetch;
mod preview;
mod say;

use std::sync::Arc;
use std::time::Duration;

use flotilla_shared::assignment::ApplicationAssignment;
use flotilla_shared::backoff::Backoff;
use flotilla_shared::digest::Digest;
use flotilla_shared::health::{Health, SyncState};
use flotilla_shared::id::ApplicationName;
use flotilla_shared::preview::ApplicationPlan;
use flotilla_shared::reason::Reason;
use flotilla_shared::report::{ApplicationReport, SUSPENDED_BY_HUB};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub(super) use fetch::ground;

use super::freeze::FreezeDetector;
use super::registry::DesiredBy;
use super::shared::Shared;
use crate::cluster::{DesiredState, Memory, PassInput, PassOutcome};
use crate::plan::{Claims, Intent};
use crate::policy::Refusal;
use crate::source::{DesiredApplication, Rendered};

/// Events of one object come in bursts; a pass waits for the burst to end.
const DEBOUNCE: Duration = Duration::from_millis(100);
/// Longest interval between passes while something is in progress.
const WAITING_INTERVAL: Duration = Duration::from_secs(5);
/// Time to wait for a fetch before the running commit is reconciled.
const PATIENCE: Duration = Duration::from_secs(1);

/// Task of an application.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Task {
    /// Run a commit; nothing is written while the hub asks for a pause.
    Run {
        desired: Box<DesiredApplication>,
        suspended: bool,
    },
    /// It is not to run: it was removed on purpose, with or without its objects, or the assignment no
    /// longer names it.
    End { intent: Intent, suspended: bool },
}

impl Task {
    fn desired(&self) -> Option<&DesiredApplication> {
        match self {
            Self::Run { desired, .. } => Some(desired),
            Self::End { .. } => None,
        }
    }

    fn application(&self) -> Option<&ApplicationAssignment> {
        self.desired().map(|desired| &desired.application)
    }

    fn is_suspended(&self) -> bool {
        match self {
            Self::Run { suspended, .. } | Self::End { suspended, .. } => *suspended,
        }
    }

    pub(super) fn intent(&self) -> Intent {
        match self {
            Self::Run { .. } => Intent::Run,
            Self::End { intent, .. } => *intent,
        }
    }

    pub(super) fn is_end(&self) -> bool {
        matches!(self, Self::End { .. })
    }
}

/// A task, and whether it is still valid: cancelled before the next one is announced, so that
/// nothing that was started for it counts after that.
#[derive(Debug, Clone)]
pub(super) struct AssignedTask {
    pub(super) task: Task,
    pub(super) standing: CancellationToken,
}

/// Request for a preview of the next pass.
pub(super) struct Preview {
    /// Whether to preview the removal of the application with its objects.
    pub(super) removal: bool,
    pub(super) reply: oneshot::Sender<ApplicationPlan>,
}

/// Purpose of a fetch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FetchTarget {
    /// The assigned commit.
    Assigned,
    /// The set that was accepted before, since the assigned one is refused.
    AcceptedBefore,
}

/// A fetch under way.
struct Fetch {
    desired: Box<DesiredApplication>,
    of: FetchTarget,
    work: JoinHandle<Result<Rendered, Refusal>>,
}

/// Purpose of a pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Write,
    /// Look and plan, and write nothing.
    Look,
}

/// The set that passes enforce. Nothing is rendered for an application that is not to run, or before the first
/// render.
#[derive(Default)]
struct Set {
    rendered: Option<Rendered>,
    /// The assignment that the manifests were rendered for.
    made_for: Option<Box<DesiredApplication>>,
    desired_state: DesiredState,
    /// A pass took it, rather than refuse it as a whole.
    is_taken: bool,
    /// Its objects have to be prepared again from the same commit.
    is_outdated: bool,
    /// The record names a newer commit, which a pass refused as a whole: this one is not rendered again.
    is_superseded: bool,
}

/// One application's state between passes.
pub(super) struct Worker {
    shared: Arc<Shared>,
    name: ApplicationName,
    given: watch::Receiver<AssignedTask>,
    /// Of the task that is worked on.
    standing: CancellationToken,
    previews: mpsc::Receiver<Preview>,
    fetch: Option<Fetch>,
    /// The assignment that was rendered, or refused, last.
    handled: Option<Box<DesiredApplication>>,
    set: Set,
    /// The set that was taken last, until one that is newer is.
    taken_before: Option<Set>,
    /// Why the newest commit could not be rendered, or is refused as a whole; passes still enforce the
    /// last good set.
    refusal: Option<Refusal>,
    /// Why the accepted set cannot be used, or prepared again, either.
    refusal_before: Option<Refusal>,
    /// No new attempt before this.
    retry: Option<(Instant, Backoff)>,
    memory: Memory,
    report: ApplicationReport,
    /// Since when health has been waited for.
    waiting_since: Option<Instant>,
    freeze_detector: FreezeDetector,
}

/// Reason why a wait ended.
enum WakeReason {
    Stopped,
    Task,
    Fetched,
    Pass,
    Preview(Preview),
}

impl Worker {
    pub(super) fn new(
        shared: Arc<Shared>,
        name: ApplicationName,
        given: watch::Receiver<AssignedTask>,
        previews: mpsc::Receiver<Preview>,
    ) -> Self {
        let standing = given.borrow().standing.clone();
        Self {
            shared,
            name,
            given,
            standing,
            previews,
            fetch: None,
            handled: None,
            set: Set::default(),
            taken_before: None,
            refusal: None,
            refusal_before: None,
            retry: None,
            memory: Memory::default(),
            report: ApplicationReport::default(),
            waiting_since: None,
            freeze_detector: FreezeDetector::default(),
        }
    }

    /// Works until stopped, or until an application that is not to run has no objects left.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let shared = Arc::clone(&self.shared);
        let mut changes = shared.cluster.changes(&mut self.memory);
        let mut claims = shared.registry.claims();
        loop {
            let AssignedTask { task, standing } = self.given.borrow_and_update().clone();
            self.standing = standing;
            // A refused set is retried with backoff, whatever the cluster serves.
            let is_at_rest = self.fetch.is_none() && self.refusal.is_none();
            if is_at_rest && (self.set.is_outdated || self.is_on_other_ground().await) {
                self.handled = None;
            }
            self.begin_fetch(&task);
            let just_begun = self.fetch.is_some();
            if just_begun {
                // Most fetches take no time: waiting for them makes one pass instead of two.
                let patience = Instant::now() + PATIENCE;
                match self.wait(patience, None, None, &stop).await {
                    WakeReason::Stopped => return,
                    WakeReason::Task => continue,
                    WakeReason::Preview(reply) => self.preview(&task, reply).await,
                    WakeReason::Fetched | WakeReason::Pass => {}
                }
            }
            changes.mark_unchanged();
            claims.mark_unchanged();
            if let Some(application) = task.application() {
                self.freeze_detector
                    .look(&shared, &self.name, application)
                    .await;
            }
            let standing = self.standing.clone();
            let is_gone = self.pass(&task, &standing).await;
            if standing.is_cancelled() {
                if stop.is_cancelled() {
                    self.abort_fetch();
                    return;
                }
                continue;
            }
            if is_gone {
                shared.registry.remove(&self.name, task.intent(), &standing);
                return;
            }
            let next = Instant::now() + self.until_next();
            match self
                .wait(next, Some(&mut changes), Some(&mut claims), &stop)
                .await
            {
                WakeReason::Stopped => return,
                WakeReason::Preview(reply) => self.preview(&task, reply).await,
                WakeReason::Task | WakeReason::Fetched | WakeReason::Pass => {}
            }
        }
    }

    /// How long until a pass is due although nothing happened.
    fn until_next(&self) -> Duration {
        let jitter = rand::Rng::random_range(&mut rand::rng(), 0.8..1.0);
        let mut wait = self.shared.interval.mul_f64(jitter);
        let is_waiting = self.refusal.is_some()
            || self.report.sync != SyncState::Synced
            || self.report.health != Health::Current;
        if is_waiting {
            wait = wait.min(WAITING_INTERVAL);
        }
        if let (Some(_), Some((until, _))) = (&self.refusal, &self.retry) {
            let left = until.saturating_duration_since(Instant::now());
            wait = wait.min(left.max(Duration::from_millis(50)));
        }
        wait
    }

    /// Waits for something to do. A fetch that ends meanwhile is taken in.
    async fn wait(
        &mut self,
        until: Instant,
        changes: Option<&mut watch::Receiver<u64>>,
        claims: Option<&mut watch::Receiver<Arc<Claims>>>,
        stop: &CancellationToken,
    ) -> WakeReason {
        async fn changed<T>(receiver: Option<&mut watch::Receiver<T>>) {
            let is_changed = match receiver {
                Some(receiver) => receiver.changed().await.is_ok(),
                None => false,
            };
            if !is_changed {
                std::future::pending::<()>().await;
            }
        }
        let fetched = async {
            match &mut self.fetch {
                Some(fetch) => (&mut fetch.work).await,
                None => std::future::pending().await,
            }
        };
        let result = tokio::select! {
            () = stop.cancelled() => {
                self.abort_fetch();
                return WakeReason::Stopped;
            }
            changed = self.given.changed() => {
                return if changed.is_ok() { WakeReason::Task } else { WakeReason::Stopped };
            }
            result = fetched => result,
            () = changed(changes) => {
                tokio::time::sleep(DEBOUNCE).await;
                return WakeReason::Pass;
            }
            Some(reply) = self.previews.recv() => return WakeReason::Preview(reply),
            () = changed(claims) => return WakeReason::Pass,
            () = tokio::time::sleep_until(until) => return WakeReason::Pass,
        };
        let result = result.unwrap_or_else(|_| {
            Err(Refusal::new(
                Reason::RenderFailed,
                "internal error (panic) while fetching and rendering; retrying",
            ))
        });
        self.take(result);
        WakeReason::Fetched
    }

    /// A pass. Returns whether nothing is left of an application that is not to run.
    async fn pass(&mut self, task: &Task, cancel: &CancellationToken) -> bool {
        let shared = Arc::clone(&self.shared);
        let frozen = shared.cluster.frozen().await;
        let by_hub = task.is_suspended().then(|| SUSPENDED_BY_HUB.to_owned());
        let suspended = frozen.or(by_hub);
        let purpose = match suspended {
            Some(_) => Purpose::Look,
            None => Purpose::Write,
        };
        let Some(input) = self.input(task, purpose) else {
            self.update_report(task, None, suspended.as_deref());
            return false;
        };
        if !self.set.desired_state.complete {
            match shared.cluster.desired_state(&input).await {
                Ok(desired_state) => self.set.desired_state = desired_state,
                Err(error) => {
                    let outcome = PassOutcome {
                        sync: SyncState::OutOfSync,
                        health: Health::Unknown,
                        reason: Some(error.reason),
                        message: error.message,
                        ..PassOutcome::default()
                    };
                    self.update_report(task, Some(outcome), suspended.as_deref());
                    return false;
                }
            }
        }
        let is_exact = self.refusal.is_none()
            && self.fetch.is_none()
            && (task.is_end() || self.handled.as_deref() == task.desired());
        let by = match is_exact {
            true => DesiredBy::Assignment,
            false => DesiredBy::EarlierOne,
        };
        let desired = &self.set.desired_state.desired;
        shared
            .registry
            .desired_state(&self.name, desired, by, cancel);
        let Ok(_slot) = shared.passes.acquire().await else {
            return false;
        };
        let started = std::time::Instant::now();
        let outcome = shared
            .cluster
            .reconcile(
                &input,
                &mut self.set.desired_state,
                &mut self.memory,
                cancel,
            )
            .await;
        shared
            .metrics
            .pass(self.name.as_str(), started.elapsed(), &outcome);
        self.set.is_outdated = outcome.outdated;
        if self.set.desired_state.complete
            && let Some(rendered) = &mut self.set.rendered
        {
            // The desired state holds the objects; the manifests need not be kept as well.
            rendered.manifests = Arc::default();
        }
        if cancel.is_cancelled() {
            return false;
        }
        if outcome.sync != SyncState::Refused {
            self.was_taken();
        } else if self.refuse_set(&outcome) {
            return Box::pin(self.pass(task, cancel)).await;
        }
        let is_over = matches!(outcome.sync, SyncState::Synced | SyncState::Orphaned)
            && outcome.remembered == 0
            && outcome.reason != Some(Reason::InventoryChanged);
        if task.is_end() && !input.frozen && is_over {
            return match shared.cluster.drop_inventory(self.name.as_str()).await {
                Ok(()) => {
                    if task.intent() == Intent::Remove {
                        shared.source.forget(&self.name);
                    }
                    true
                }
                Err(error) => {
                    tracing::warn!(application = %self.name, %error, "cannot delete the inventory");
                    self.update_report(task, Some(outcome), suspended.as_deref());
                    false
                }
            };
        }
        if outcome.sync == SyncState::Synced
            && let (Some(rendered), Some(ran)) = (&self.set.rendered, &self.set.made_for)
        {
            let chart = rendered.answers.as_ref().map(|_| rendered.content);
            let revision = &ran.application.revision;
            shared.source.ran(&self.name, revision, chart);
        }
        self.update_report(task, Some(outcome), suspended.as_deref());
        false
    }

    fn input(&self, task: &Task, purpose: Purpose) -> Option<PassInput> {
        let (manifests, content) = match (&self.set.rendered, task) {
            (Some(rendered), Task::Run { .. }) => {
                (Arc::clone(&rendered.manifests), rendered.content)
            }
            (None, Task::Run { .. }) => return None,
            (_, Task::End { .. }) => (Arc::default(), Digest::default()),
        };
        // The settings come from the accepted set as a whole: a commit that keeps running keeps the settings it
        // was accepted with.
        let application = task.desired().and(self.set.made_for.as_ref());
        let application = application.map(|desired| &desired.application);
        Some(PassInput {
            application: self.name.clone(),
            manifests,
            content,
            sync_policy: application
                .map(|a| a.sync_policy.clone())
                .unwrap_or_default(),
            policy: Arc::clone(&self.shared.policy),
            namespace: application.map(|a| a.namespace.clone()).unwrap_or_default(),
            claims: self.shared.registry.claims(),
            frozen: purpose == Purpose::Look,
            intent: task.intent(),
            waits_for: application.and_then(|application| {
                let waits = |name: &&ApplicationName| !self.shared.registry.is_ready(name);
                application.depends_on.iter().find(waits).cloned()
            }),
        })
    }
}

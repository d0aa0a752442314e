//! The loop: one turn after another over the accepted assignment. It sequences, and decides nothing.
//!
//! A turn works on a snapshot of the assignment. A newer one cancels it between two steps, so that a
//! broken commit never holds up its own fix.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use flotilla_shared::assignment::ApplicationAssignment;
use flotilla_shared::backoff::Backoff;
use flotilla_shared::health::{Health, Sync};
use flotilla_shared::id::ApplicationName;
use flotilla_shared::reason::Reason;
use flotilla_shared::report::Report;
use flotilla_shared::wire::DecodedAssignment;
use jiff::Timestamp;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::cluster::{Cluster, TurnInput, TurnOutcome};
use crate::plan::Claims;
use crate::policy::{Policy, Refusal};
use crate::report;
use crate::source::{Rendered, Source};

/// Events of one object come in bursts; a turn waits for the burst to end.
const SETTLE: Duration = Duration::from_millis(200);
/// While something is on its way, a turn is taken at least this often.
const WAITING_INTERVAL: Duration = Duration::from_secs(5);
/// The annotation on the agent's own namespace that stops all writes; the hub cannot lift it (V13).
const FREEZE: &str = "/metadata/annotations/flotilla.dev~1freeze";

/// What the loop works with.
pub struct Reconciler {
    /// The API server.
    pub cluster: Cluster,
    /// Git.
    pub source: Source,
    /// The agent's own rules.
    pub policy: Arc<Policy>,
    /// Time between two turns when nothing happens.
    pub interval: Duration,
    /// The newest accepted assignment.
    pub accepted: watch::Receiver<Option<Arc<DecodedAssignment>>>,
    /// The newest report.
    pub reports: watch::Sender<Option<Arc<Report>>>,
    /// Per application: what was rendered last, and what happened.
    pub applications: BTreeMap<ApplicationName, State>,
}

/// What is remembered of one application between turns.
#[derive(Debug, Default)]
pub struct State {
    /// The assignment that `rendered` is of.
    rendered_for: Option<ApplicationAssignment>,
    /// The last good render.
    rendered: Option<Rendered>,
    /// Why the newest commit could not be rendered; the objects of the last good one are still kept
    /// in shape.
    refusal: Option<Refusal>,
    /// No new attempt on a repository before this.
    retry: Option<(tokio::time::Instant, Backoff)>,
    /// What is reported.
    report: flotilla_shared::report::ApplicationReport,
}

impl Reconciler {
    /// Takes turns until cancelled.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut changes = self.cluster.changes();
        loop {
            let assignment = self.accepted.borrow_and_update().clone();
            let mut wait = self.interval;
            if let Some(assignment) = assignment {
                let cancel = stop.child_token();
                let mut newer = self.accepted.clone();
                changes.mark_unchanged();
                let interrupted = {
                    let turn = self.turn(&assignment, &cancel);
                    let mut turn = std::pin::pin!(turn);
                    loop {
                        tokio::select! {
                            () = &mut turn => break false,
                            _ = newer.changed(), if !cancel.is_cancelled() => cancel.cancel(),
                            () = stop.cancelled(), if !cancel.is_cancelled() => cancel.cancel(),
                        }
                    }
                };
                if stop.is_cancelled() {
                    return;
                }
                if interrupted || newer.has_changed().unwrap_or(false) {
                    continue;
                }
                if self.applications.values().any(State::is_waiting) {
                    wait = wait.min(WAITING_INTERVAL);
                }
            }
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                changed = self.accepted.changed() => if changed.is_err() { return },
                _ = changes.changed() => tokio::time::sleep(SETTLE).await,
                () = stop.cancelled() => return,
            }
        }
    }

    /// One turn over all applications.
    async fn turn(&mut self, assignment: &DecodedAssignment, cancel: &CancellationToken) {
        let frozen = match self.cluster.own_namespace().await {
            Ok(namespace) => namespace
                .as_ref()
                .and_then(|n| n.pointer(FREEZE))
                .and_then(serde_json::Value::as_str)
                .map(str::to_owned),
            // Whether the owner froze us cannot be seen: then nothing is written.
            Err(error) => Some(format!("the agent's namespace cannot be read: {error}")),
        };
        let content = &assignment.assignment;
        let hub_suspends = content.suspended.then(|| "suspended at the hub".to_owned());
        let suspended = frozen.or(hub_suspends);
        // What is no longer spoken of is kept and shown, never deleted (P7, P10).
        for (name, state) in &mut self.applications {
            if !content.applications.contains_key(name) {
                state.report.sync = Sync::Orphaned;
                state.report.reason = Some(Reason::NotAssigned);
                state.report.message = "no longer assigned; its objects are kept".to_owned();
            }
        }
        for (name, application) in &content.applications {
            if cancel.is_cancelled() {
                return;
            }
            self.fetch(name, application).await;
        }
        let claims = Arc::new(self.claims(assignment).await);
        for name in order(&content.applications) {
            let Some(application) = content.applications.get(&name) else {
                continue;
            };
            if cancel.is_cancelled() {
                return;
            }
            let waits_for = application.depends_on.iter().find(|dependency| {
                self.applications.get(*dependency).is_none_or(|state| {
                    state.report.health != Health::Current || state.report.sync != Sync::Synced
                })
            });
            let outcome = match waits_for {
                Some(dependency) => Some(TurnOutcome {
                    sync: Sync::OutOfSync,
                    health: Health::Unknown,
                    reason: Some(Reason::DependencyNotReady),
                    message: format!("waits for application {dependency}"),
                    ..TurnOutcome::default()
                }),
                None => {
                    self.apply(&name, application, &claims, suspended.is_some(), cancel)
                        .await
                }
            };
            if cancel.is_cancelled() {
                return;
            }
            let now = Timestamp::now();
            if let Some(state) = self.applications.get_mut(&name) {
                let exact = state.refusal.is_none();
                let rendered = state.rendered.as_ref();
                report::update(
                    &mut state.report,
                    outcome,
                    state.refusal.as_ref(),
                    exact.then_some(&application.revision),
                    rendered.map(|r| (r.source_digest, r.tip.clone())),
                    now,
                );
            }
            self.publish(assignment, suspended.as_deref());
        }
        self.publish(assignment, suspended.as_deref());
    }

    /// Makes sure that the assigned commit is rendered, or remembers why it cannot be.
    async fn fetch(&mut self, name: &ApplicationName, application: &ApplicationAssignment) {
        let state = self.applications.entry(name.clone()).or_default();
        if state.rendered_for.as_ref() == Some(application) && state.refusal.is_none() {
            return;
        }
        let now = tokio::time::Instant::now();
        let is_same = state.rendered_for.as_ref() == Some(application);
        if is_same && state.retry.as_ref().is_some_and(|(until, _)| now < *until) {
            return;
        }
        if !is_same {
            state.retry = None;
        }
        state.rendered_for = Some(application.clone());
        let result = match self.policy.source(application) {
            Some(refusal) => Err(refusal),
            None => self.source.render(application).await,
        };
        match result {
            Ok(rendered) => {
                state.rendered = Some(rendered);
                state.refusal = None;
                state.retry = None;
            }
            Err(refusal) => {
                let reason = refusal.reason;
                tracing::warn!(application = %name, %reason, message = refusal.message, "refused");
                let mut backoff = match state.retry.take() {
                    Some((_, backoff)) => backoff,
                    None => Backoff::new(Duration::from_secs(2), Duration::from_secs(120)),
                };
                let delay = backoff.next_delay(&mut rand::rng());
                state.retry = Some((tokio::time::Instant::now() + delay, backoff));
                state.refusal = Some(refusal);
            }
        }
    }

    fn input(
        &self,
        name: &ApplicationName,
        application: &ApplicationAssignment,
        claims: &Arc<Claims>,
        frozen: bool,
    ) -> Option<TurnInput> {
        let rendered = self.applications.get(name)?.rendered.as_ref()?;
        Some(TurnInput {
            application: name.clone(),
            manifests: Arc::clone(&rendered.manifests),
            sync_policy: application.sync_policy.clone(),
            policy: Arc::clone(&self.policy),
            namespace: application.namespace.clone(),
            claims: Arc::clone(claims),
            frozen,
        })
    }

    /// What every application wants; not complete while one of them cannot be rendered as assigned.
    async fn claims(&self, assignment: &DecodedAssignment) -> Claims {
        let mut claims = Claims {
            complete: true,
            ..Claims::default()
        };
        let none = Arc::new(Claims::default());
        for (name, application) in &assignment.assignment.applications {
            let known = self
                .applications
                .get(name)
                .is_some_and(|state| state.refusal.is_none());
            claims.complete &= known;
            let Some(input) = self.input(name, application, &none, false) else {
                continue;
            };
            match self.cluster.objects(&input).await {
                Ok(objects) => {
                    for desired in objects {
                        // The first by name keeps it; the second is refused with the owner named.
                        claims
                            .owners
                            .entry(desired.object)
                            .or_insert_with(|| name.to_string());
                    }
                }
                Err(_) => claims.complete = false,
            }
        }
        claims
    }

    async fn apply(
        &self,
        name: &ApplicationName,
        application: &ApplicationAssignment,
        claims: &Arc<Claims>,
        frozen: bool,
        cancel: &CancellationToken,
    ) -> Option<TurnOutcome> {
        // A refused commit leaves the last good one in force: drift is still corrected (I6), and
        // nothing is pruned for it, since its claims are not complete.
        let input = self.input(name, application, claims, frozen)?;
        Some(self.cluster.reconcile(&input, cancel).await)
    }

    fn publish(&self, assignment: &DecodedAssignment, suspended: Option<&str>) {
        let applications = self
            .applications
            .iter()
            .map(|(name, state)| (name.clone(), state.report.clone()));
        let next = Report {
            sequence: 0,
            assignment: assignment.reference,
            observed_at: Timestamp::now(),
            applications: applications.collect(),
            suspended: suspended.unwrap_or_default().to_owned(),
        };
        self.reports.send_if_modified(|current| {
            let sequence = current.as_ref().map_or(0, |report| report.sequence);
            let is_same = current.as_ref().is_some_and(|before| {
                before.assignment == next.assignment
                    && before.applications == next.applications
                    && before.suspended == next.suspended
            });
            if is_same {
                return false;
            }
            *current = Some(Arc::new(Report {
                sequence: sequence + 1,
                ..next.clone()
            }));
            true
        });
    }
}

impl State {
    fn is_waiting(&self) -> bool {
        self.refusal.is_some()
            || !matches!(self.report.sync, Sync::Synced | Sync::Orphaned)
            || self.report.health != Health::Current
    }
}

/// Applications in an order in which what is depended on comes first; a circle keeps its names' order.
fn order(applications: &BTreeMap<ApplicationName, ApplicationAssignment>) -> Vec<ApplicationName> {
    let mut ordered: Vec<ApplicationName> = Vec::with_capacity(applications.len());
    while ordered.len() < applications.len() {
        let ready = |name: &&ApplicationName| {
            !ordered.contains(name)
                && applications.get(*name).is_some_and(|application| {
                    application
                        .depends_on
                        .iter()
                        .all(|d| ordered.contains(d) || !applications.contains_key(d))
                })
        };
        let next = applications
            .keys()
            .find(ready)
            .or_else(|| applications.keys().find(|name| !ordered.contains(name)));
        match next.cloned() {
            Some(name) => ordered.push(name),
            None => break,
        }
    }
    ordered
}

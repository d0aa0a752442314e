//! Desired states and reports of a cluster's applications, for each other and for the hub.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use flotilla_shared::assignment::AssignmentRef;
use flotilla_shared::digest::Digest;
use flotilla_shared::gate_job::GateJobReport;
use flotilla_shared::health::{Health, SyncState};
use flotilla_shared::id::ApplicationName;
use flotilla_shared::object::ObjectRef;
use flotilla_shared::reason::Reason;
use flotilla_shared::report::{ApplicationReport, Report};
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;
use crate::plan::{Claims, Desired, Intent};

/// The assignment that a desired state comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum DesiredBy {
    /// The current assignment.
    Assignment,
    /// An earlier assignment, or none yet.
    #[default]
    EarlierOne,
}

#[derive(Default)]
struct DesiredState {
    objects: BTreeSet<ObjectRef>,
    by: DesiredBy,
}

#[derive(Default)]
struct Inner {
    reference: AssignmentRef,
    /// Over the assigned applications, apart from their commits.
    specified: Digest,
    suspended: String,
    is_recorded: bool,
    reports: BTreeMap<ApplicationName, Box<ApplicationReport>>,
    /// Applications that were found usable, each by a pass for its current assignment.
    usable: BTreeSet<ApplicationName>,
    desired_states: BTreeMap<ApplicationName, DesiredState>,
    /// Applications of the cluster that the hub cannot assign yet as they are declared.
    unresolved: Vec<Arc<str>>,
    /// Applications that were removed on purpose and of which nothing is left: said for as long as the
    /// assignment removes them, since silence would say nothing.
    removed: BTreeSet<ApplicationName>,
    gate_jobs: Vec<GateJobReport>,
}

/// What an assignment says about applications, by name.
#[derive(Clone, Copy)]
pub(super) struct Names<'a> {
    /// Those that have a worker.
    pub(super) names: &'a BTreeSet<ApplicationName>,
    /// Those that have another task than before.
    pub(super) changed: &'a BTreeSet<ApplicationName>,
    /// Those that are removed on purpose.
    pub(super) removes: &'a BTreeSet<ApplicationName>,
    /// Applications that the hub cannot assign yet as they are declared: their desired objects are not known here.
    pub(super) unresolved: &'a BTreeSet<ApplicationName>,
    /// The hub's reason if it asks the cluster to write nothing. Workers report it once they have stopped; without any
    /// worker it applies at once.
    pub(super) suspended: Option<&'static str>,
    /// Whether the names include all applications of which the cluster has an inventory; false just after a start.
    pub(super) is_recorded: bool,
}

/// Shared by the workers of all applications.
pub(super) struct Registry {
    inner: Mutex<Inner>,
    reports: watch::Sender<Option<Arc<Report>>>,
    claims: watch::Sender<Arc<Claims>>,
    metrics: Metrics,
}

impl Registry {
    pub(super) fn new(reports: watch::Sender<Option<Arc<Report>>>, metrics: Metrics) -> Self {
        Self {
            inner: Mutex::default(),
            reports,
            claims: watch::Sender::default(),
            metrics,
        }
    }

    /// An assignment is in force: these applications, and no others, have a worker. What the `changed` ones desire is
    /// unknown from this moment on, before any of them runs a pass: an object may be on its way from one to another
    /// (P3). Their earlier desired objects stay theirs until their own worker reports what they desire now: the owner
    /// hands over, and no other application takes.
    pub(super) fn assign(
        &self,
        (reference, specified): (AssignmentRef, Digest),
        Names {
            names,
            changed,
            removes,
            unresolved,
            suspended,
            is_recorded,
        }: Names<'_>,
    ) {
        let mut inner = self.inner.lock();
        inner.is_recorded = is_recorded;
        let unresolved = unresolved.iter();
        inner.unresolved = unresolved.map(|name| Arc::from(name.as_str())).collect();
        inner.reference = reference;
        inner.specified = specified;
        inner
            .removed
            .retain(|name| removes.contains(name) && !changed.contains(name));
        inner.desired_states.retain(|name, _| names.contains(name));
        for name in names {
            let desired_state = inner.desired_states.entry(name.clone()).or_default();
            if changed.contains(name) {
                desired_state.by = DesiredBy::EarlierOne;
            }
        }
        // What was reported belongs to the task before, and must not count for this assignment (promise 4): with the
        // same commit, nothing else would tell them apart until the worker begins.
        for name in changed {
            if let Some(report) = inner.reports.get_mut(name) {
                let before = state(report);
                report.attempted = None;
                report.sync = SyncState::Applying;
                self.metrics.application(name.as_str(), before, report);
            }
        }
        inner.reports.retain(|name, _| names.contains(name));
        inner
            .usable
            .retain(|name| names.contains(name) && !changed.contains(name));
        if names.is_empty() {
            suspended
                .unwrap_or_default()
                .clone_into(&mut inner.suspended);
        }
        self.publish_claims(&inner);
        self.publish(&mut inner);
    }

    /// An application has no objects left, and its worker ends. A pass that may write found this out, so with the last
    /// worker the suspension is over as well, and no other worker would report that.
    pub(super) fn remove(
        &self,
        name: &ApplicationName,
        intent: Intent,
        standing: &CancellationToken,
    ) {
        let mut inner = self.inner.lock();
        if standing.is_cancelled() {
            return;
        }
        if intent != Intent::Orphan {
            inner.removed.insert(name.clone());
        }
        inner.reports.remove(name);
        inner.usable.remove(name);
        inner.desired_states.remove(name);
        if inner.desired_states.is_empty() {
            inner.suspended.clear();
        }
        self.publish_claims(&inner);
        self.publish(&mut inner);
    }

    /// Whether an application was removed on purpose, and has no objects left.
    pub(super) fn is_removed(&self, name: &ApplicationName) -> bool {
        self.inner.lock().removed.contains(name)
    }

    /// Returns the desired objects of all applications, as they change.
    pub(super) fn claims(&self) -> watch::Receiver<Arc<Claims>> {
        self.claims.subscribe()
    }

    /// Records what an application desires. Ignored if the task has been cancelled.
    pub(super) fn desired_state(
        &self,
        name: &ApplicationName,
        desired: &[Arc<Desired>],
        by: DesiredBy,
        standing: &CancellationToken,
    ) {
        let mut inner = self.inner.lock();
        if standing.is_cancelled() {
            return;
        }
        let Some(desired_state) = inner.desired_states.get_mut(name) else {
            return;
        };
        let is_same = desired_state.by == by
            && desired_state.objects.len() == desired.len()
            && desired
                .iter()
                .all(|d| desired_state.objects.contains(&d.object));
        if is_same {
            return;
        }
        desired_state.by = by;
        desired_state.objects = desired.iter().map(|d| d.object.clone()).collect();
        self.publish_claims(&inner);
    }

    fn publish_claims(&self, inner: &Inner) {
        let mut claims = Claims {
            owners: BTreeMap::new(),
            complete: inner.unresolved.is_empty()
                && inner
                    .desired_states
                    .values()
                    .all(|desired_state| desired_state.by == DesiredBy::Assignment),
            unresolved: inner.unresolved.clone(),
        };
        for (name, desired_state) in &inner.desired_states {
            let owner: Arc<str> = name.as_str().into();
            for object in &desired_state.objects {
                // By name, in the order of the desired states.
                let owners = claims.owners.entry(object.clone());
                let owners = owners.or_insert_with(|| Vec::with_capacity(1));
                owners.push(Arc::clone(&owner));
            }
        }
        self.claims.send_if_modified(|current| {
            let is_new = **current != claims;
            if is_new {
                *current = Arc::new(claims);
            }
            is_new
        });
    }

    /// Returns the last report of an application.
    pub(super) fn reported(&self, name: &ApplicationName) -> Option<ApplicationReport> {
        let inner = self.inner.lock();
        inner.reports.get(name).map(|report| (**report).clone())
    }

    /// Whether another application is as those that depend on it need it.
    pub(super) fn is_ready(&self, name: &ApplicationName) -> bool {
        self.inner.lock().usable.contains(name)
    }

    /// Records the state of an application. `usable`: whether a pass for the current assignment found it so; none:
    /// there was no pass.
    pub(super) fn report(
        &self,
        name: &ApplicationName,
        report: &ApplicationReport,
        usable: Option<bool>,
        suspended: Option<&str>,
        standing: &CancellationToken,
    ) {
        let mut inner = self.inner.lock();
        if standing.is_cancelled() || !inner.desired_states.contains_key(name) {
            return;
        }
        match usable {
            Some(true) => {
                inner.usable.insert(name.clone());
            }
            Some(false) => {
                inner.usable.remove(name);
            }
            None => {}
        }
        let before = inner.reports.insert(name.clone(), report.clone().into());
        let before = before.map(|before| state(&before)).unwrap_or_default();
        self.metrics.application(name.as_str(), before, report);
        if usable.is_some() {
            suspended
                .unwrap_or_default()
                .clone_into(&mut inner.suspended);
        }
        self.publish(&mut inner);
    }

    /// Sets the reports of gate Jobs.
    pub(super) fn gate_jobs(&self, gate_jobs: Vec<GateJobReport>) {
        let mut inner = self.inner.lock();
        if inner.gate_jobs != gate_jobs {
            inner.gate_jobs = gate_jobs;
            self.publish(&mut inner);
        }
    }

    fn publish(&self, inner: &mut Inner) {
        let mut applications = inner.reports.clone();
        for name in &inner.removed {
            let removed = ApplicationReport {
                sync: SyncState::Synced,
                health: Health::Current,
                reason: Some(Reason::Removed),
                message: "removed; the agent manages none of its objects any longer".to_owned(),
                ..ApplicationReport::default()
            };
            applications.insert(name.clone(), removed.into());
        }
        // Whoever decides about removals takes an application that a report does not name as gone, so an incomplete
        // report must not carry the digest of all that is assigned.
        let is_whole = inner.is_recorded
            && inner
                .desired_states
                .keys()
                .all(|name| inner.reports.contains_key(name));
        let next = Report {
            sequence: 0,
            assignment: inner.reference,
            observed_at: Timestamp::now(),
            applications,
            suspended: inner.suspended.clone(),
            gate_jobs: inner.gate_jobs.clone(),
            specified: match is_whole {
                true => inner.specified,
                false => Digest::default(),
            },
        };
        self.reports.send_if_modified(|current| {
            let sequence = current.as_ref().map_or(0, |report| report.sequence);
            let is_same = current.as_ref().is_some_and(|before| {
                before.assignment == next.assignment
                    && before.applications == next.applications
                    && before.suspended == next.suspended
                    && before.gate_jobs == next.gate_jobs
                    && before.specified == next.specified
            });
            if is_same {
                return false;
            }
            *current = Some(Arc::new(Report {
                sequence: sequence + 1,
                ..next
            }));
            true
        });
    }
}

/// The state of an application that metrics show.
fn state(report: &ApplicationReport) -> (SyncState, Health, String) {
    let reason = report.reason.map(|reason| reason.to_string());
    (report.sync, report.health, reason.unwrap_or_default())
}

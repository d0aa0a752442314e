//! After a restore, or whenever the epoch was raised: what this hub knows may be older than what clusters run. So each
//! cluster is held on what it reports until a new decision arrives: a rollout that began since, a pin that was set
//! since, a push that was seen since, or a release by an operator. Where a cluster already runs what it would be
//! assigned, nothing is held.

use std::collections::BTreeMap;

use flotilla_shared::assignment::ApplicationAssignment;
use flotilla_shared::id::{ApplicationName, ClusterName};
use flotilla_shared::problem::Problem;
use flotilla_shared::reason::Reason;
use flotilla_shared::report::Report;
use flotilla_shared::wire::specified;
use jiff::Timestamp;

use super::Fleet;
use super::cluster::{Cluster, PlacedApplication};
use super::environment::{EnvironmentState, Pin};
use super::event::Effect;
use super::plan::Plan;
use super::removed::is_managed;
use super::rollout::{Commits, Rollout, State};
use crate::spec::Environment;

type Applications = BTreeMap<ApplicationName, Box<ApplicationAssignment>>;

impl Fleet {
    /// Sets when this epoch began; decisions before that may be out of date.
    #[must_use]
    pub fn since(mut self, raised_at: Option<Timestamp>) -> Self {
        self.epoch_since = raised_at;
        self
    }

    /// Returns whether a cluster has no assignment of this epoch, though it may run one of an older epoch that this hub
    /// does not know.
    pub(super) fn is_unsettled(&self, cluster: &Cluster) -> bool {
        match &cluster.assigned {
            Some(assigned) => assigned.assignment.epoch < self.epoch,
            None => {
                let ran = cluster.accepted.generation.0 > 0;
                let since = self.epoch_since;
                ran && cluster.accepted.epoch < self.epoch
                    || since.is_some_and(|since| cluster.record.created_at < since)
            }
        }
    }

    /// Returns why a cluster stays on what it runs; none: it may be assigned `applications`. An empty text: its agent
    /// has not reported yet what it runs.
    pub(super) fn held(
        &self,
        name: &ClusterName,
        environment: &Environment,
        plan: &Plan,
        (applications, labels): (&Applications, &BTreeMap<String, String>),
        placed: &BTreeMap<ApplicationName, PlacedApplication>,
        now: Timestamp,
    ) -> Option<String> {
        let cluster = self.clusters.get(name)?;
        if !self.is_unsettled(cluster) {
            return None;
        }
        // What a disconnected cluster runs is not known, so nothing is decided about it.
        if cluster.session.is_none() {
            return Some(String::new());
        }
        let accepted = cluster.accepted;
        if accepted.generation.0 == 0 {
            return None;
        }
        // It runs the assignment that this hub remembers, or an older one: nothing was lost.
        if let Some(assigned) = &cluster.assigned
            && (accepted == assigned.reference || accepted.place() < assigned.reference.place())
        {
            return None;
        }
        // Only the agent knows some facts, such as a suspension, so its report is awaited.
        if cluster.reported_at.is_none() {
            return Some(String::new());
        }
        let whole = placed.values().all(|placed| placed.problem.is_none());
        if whole && cluster.record.let_go == Some(self.epoch) {
            return None;
        }
        let report = cluster.report.as_ref();
        let Some(report) =
            report.filter(|report| report.assignment == accepted && cluster.reported_at.is_some())
        else {
            return Some(String::new());
        };
        // Decisions from before its report must not remove anything that is still declared there.
        let takes = self.would_lose(name, environment, report, applications);
        if whole && !takes && self.decided_since(name, environment, plan, now) {
            return None;
        }
        let reported = report.applications.values();
        // The same commits may be declared differently. An older agent does not report its declarations, and they are
        // not guessed.
        let same = report.specified == specified(applications, labels)
            && reported
                .filter(|application| is_managed(application))
                .count()
                == applications.len()
            && applications.iter().all(|(app, assigned)| {
                let reported = report.applications.get(app);
                let reported = reported.and_then(|reported| reported.revision.as_ref());
                reported == Some(&assigned.revision)
            });
        if same {
            return None;
        }
        let pin = match self.can_be_pinned(cluster) {
            true => {
                format!("to keep it on its commits: flotilla pin --cluster {name} --reason TEXT; ")
            }
            false => String::new(),
        };
        Some(format!(
            "the hub was restored or its epoch was raised, and it does not know what this \
             cluster runs (epoch {} generation {}). The cluster keeps that until a new rollout \
             or push reaches it, or an operator decides; {pin}to let it follow its environment: \
             flotilla unpin --cluster {name}",
            accepted.epoch, accepted.generation
        ))
    }

    /// Returns whether an agent manages an application that the fleet file places there and that is not among these.
    fn would_lose(
        &self,
        name: &ClusterName,
        environment: &Environment,
        report: &Report,
        applications: &Applications,
    ) -> bool {
        let labels = self.labels_of(name);
        let is_placed =
            |app: &ApplicationName| self.places(app, (name, &environment.name), &labels);
        report.applications.iter().any(|(app, reported)| {
            is_managed(reported) && !applications.contains_key(app) && is_placed(app)
        })
    }

    /// Returns whether what a cluster would be assigned was decided in this epoch.
    fn decided_since(
        &self,
        name: &ClusterName,
        environment: &Environment,
        plan: &Plan,
        now: Timestamp,
    ) -> bool {
        if self.epoch_since.is_none() {
            // An older hub raised the epoch and did not record when.
            return true;
        }
        // Compared by epoch and not by time: clocks jump, and times from before a restore prove nothing.
        let is_present = |epoch: u64| epoch == self.epoch.0;
        let state = self.environments.get(&environment.name);
        let own = self.clusters.get(name);
        let own = own.and_then(|cluster| cluster.record.pin.as_ref());
        let all = state.and_then(|state| state.pin.as_ref());
        let new = |pin: &Pin| pin.holds(now) && is_present(pin.epoch);
        if [own, all].into_iter().flatten().any(new) {
            return true;
        }
        if environment.strategy.is_none() {
            let pushed = |repository| {
                let head = self.head(repository, &environment.branch);
                head.is_some_and(|head| head.moved)
            };
            return plan.commits.keys().any(pushed);
        }
        let rollout = self.rollouts.get(&environment.name);
        let running = rollout.is_some_and(|rollout| {
            rollout.id == plan.rollout && is_present(rollout.epoch) && rollout.touches(name)
        });
        let good = state.and_then(|state| state.history.back());
        running || good.is_some_and(|good| good.rollout == plan.rollout && is_present(good.epoch))
    }

    /// Shows that a cluster is held; an empty text is not shown.
    pub(super) fn hold(&mut self, name: &ClusterName, why: String) {
        let why = Problem::new(Reason::HeldAfterRestore, why);
        let why = Some(why).filter(|why| !why.message.is_empty());
        let known = self.clusters.get(name).map(|cluster| &cluster.refusal);
        if why.is_none() || known == Some(&why) {
            return;
        }
        if let Some(cluster) = self.clusters.change(name, &mut self.versions) {
            cluster.refusal = why;
            self.touch_environments();
        }
    }

    /// Releases a held cluster. False: it was not held.
    pub(super) fn let_go(&mut self, name: &ClusterName, effects: &mut Vec<Effect>) -> bool {
        let held = self
            .clusters
            .get(name)
            .is_some_and(|cluster| self.is_unsettled(cluster));
        if held {
            let epoch = self.epoch;
            self.change_record(name, effects, |record| record.let_go = Some(epoch));
        }
        held
    }

    /// Returns whether a cluster runs something that it can be pinned to. It is called for many clusters at once.
    pub(super) fn can_be_pinned(&self, cluster: &Cluster) -> bool {
        let report = cluster.report.as_ref();
        let report = report.filter(|_| cluster.reported_at.is_some() && self.is_unsettled(cluster));
        match (report, &cluster.assigned) {
            (Some(report), _) => {
                let mut all = report.applications.values();
                all.any(|app| is_managed(app) && app.revision.is_some())
            }
            (None, Some(assigned)) => !assigned.assignment.applications.is_empty(),
            (None, None) => false,
        }
    }

    /// Returns what a cluster reports to run, where this hub did not assign it.
    pub(super) fn reported(&self, name: &ClusterName) -> Option<Commits> {
        let cluster = self.clusters.get(name)?;
        if !self.is_unsettled(cluster) || cluster.reported_at.is_none() {
            return None;
        }
        let report = cluster.report.as_ref()?;
        let managed = report
            .applications
            .values()
            .filter(|application| is_managed(application));
        let revisions = managed.filter_map(|app| app.revision.as_ref());
        Some(
            revisions
                .map(|revision| (revision.repository.clone(), revision.commit.clone()))
                .collect(),
        )
    }
}

/// Ends a rollout of an older epoch: it was decided in a state that may be out of date.
pub fn leave_behind(rollout: &mut Rollout, now: Timestamp) {
    rollout.end(
        State::Superseded,
        "the hub was restored or its epoch was raised; the present head of the branch is rolled \
         out again"
            .to_owned(),
        now,
    );
}

/// Clears the queue, for the same reason.
pub fn forget_queue(state: &mut EnvironmentState) {
    state.queue.clear();
}

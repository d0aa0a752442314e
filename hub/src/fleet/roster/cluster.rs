//! The state of one cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;
use std::sync::Arc;

use flotilla_shared::assignment::AssignmentRef;
use flotilla_shared::digest::Digest;
use flotilla_shared::health::{Health, SyncState};
use flotilla_shared::id::ApplicationName;
use flotilla_shared::problem::Problem;
use flotilla_shared::reason::Reason;
use flotilla_shared::report::Report;
use flotilla_shared::revision::Commit;
use flotilla_shared::wire::{DecodedAssignment, report_digest};
use jiff::Timestamp;

use super::super::environment::Pin;
use super::super::event::{ClusterRecord, SessionId, StoredCluster};
use super::super::removed::{is_over, is_removed};
use super::super::rendered;

/// Time without a message after which an agent counts as offline: three heartbeats and some slack.
pub const OFFLINE_AFTER: jiff::SignedDuration = jiff::SignedDuration::from_secs(35);

/// Connection state of an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connectivity {
    /// Enrolled, and waiting to be accepted.
    Pending,
    /// Accepted, never connected.
    NeverSeen,
    /// Connected, with recent messages.
    Online { since: Timestamp },
    /// Not connected, or without messages for three heartbeats.
    Offline,
}

/// What an agent reported about itself when it connected.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AgentFacts {
    pub agent_version: String,
    /// The API server's version.
    pub kubernetes_version: String,
    /// UID of the namespace kube-system.
    pub cluster_uid: String,
}

/// An application that is placed on a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PlacedApplication {
    /// Why it is not assigned, or keeps its former assignment; none: it is assigned as fleet file and heads demand.
    pub problem: Option<Box<Problem>>,
}

impl PlacedApplication {
    /// Returns whether its only problem is that no commit of its repository may be assigned here: the application
    /// itself can be assigned.
    pub(in crate::fleet) fn lacks_commit(&self) -> bool {
        self.problem.as_ref().is_some_and(|problem| {
            !matches!(
                problem.reason,
                Reason::RepositoryNotFound | Reason::TemplateFailed
            )
        })
    }

    /// Returns its sync state where its agent reports `reported`. An application for which the hub has no commit was
    /// not refused by an agent.
    #[must_use]
    pub fn sync(&self, reported: SyncState) -> SyncState {
        match (&self.problem, self.lacks_commit()) {
            (None, _) => reported,
            (Some(_), true) => SyncState::Unknown,
            (Some(_), false) => SyncState::Refused,
        }
    }

    /// Returns whether its problem resolves by itself.
    #[must_use]
    pub fn is_a_wait(&self) -> bool {
        self.problem.as_ref().is_some_and(|problem| {
            matches!(problem.reason, Reason::WaitsForRollout | Reason::NoRevision)
        })
    }
}

/// A value that is also in the store. All code may read it; only the roster changes it, and then stores it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoredValue<T>(T);

impl<T> StoredValue<T> {
    pub(super) const fn write(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<T> Deref for StoredValue<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// The state of a cluster.
#[derive(Debug, Clone, Default)]
pub struct Cluster {
    /// Its record, apart from its agent's reports.
    pub record: StoredValue<ClusterRecord>,
    /// Its assignment; none before the first one.
    pub assigned: Option<Arc<DecodedAssignment>>,
    /// The assignment that its agent accepted last.
    pub accepted: AssignmentRef,
    /// Why the agent refused the assignment, or why it cannot be sent.
    pub refusal: Option<Problem>,
    /// The last report.
    pub report: Option<Report>,
    /// When the last report arrived.
    pub reported_at: Option<Timestamp>,
    /// When its agent last confirmed the report, on its present stream.
    pub vouched_at: Option<Timestamp>,
    /// Since when its agent reports that it runs exactly what is assigned, synced and healthy. After a restart of the
    /// hub this continues only if the agent still has the same report: unwatched time proves nothing, unless nothing
    /// happened.
    pub current_since: Option<Timestamp>,
    /// Applications that are placed here.
    pub placed: BTreeMap<ApplicationName, PlacedApplication>,
    /// Applications that it is to lose with their objects, once all that is placed here can be assigned.
    pub withheld: BTreeSet<ApplicationName>,
    /// What its agent reported about itself.
    pub facts: AgentFacts,
    /// When a message last arrived.
    pub last_seen: Option<Timestamp>,
    /// Number of seconds by which its agent's clock is ahead of the hub's, as reported on its present stream; 0: within
    /// the tolerance.
    pub clock_ahead: i64,
    /// The version of its last visible change.
    pub version: u64,
    /// The generation above which its assignments begin: an agent that enrolled again runs something that the hub no
    /// longer knows.
    pub(in crate::fleet) floor: u64,
    pub(in crate::fleet) session: Option<(SessionId, Timestamp)>,
    pub(in crate::fleet) report_digest: Digest,
    /// Digest of what that report was rendered from, computed once.
    pub(in crate::fleet) rendered_from: Digest,
    /// Digest of what its applications run and depend on, likewise; none: not reported.
    pub(in crate::fleet) reads: Option<Digest>,
    /// From before a restart: since when it was current, and by which report. Discarded when another report arrives.
    pub(in crate::fleet) resumable: Option<(Timestamp, Digest)>,
    /// Specification by which its assignment was last computed; none: not known since a restart.
    pub(in crate::fleet) specified: Option<Commit>,
    /// Its assignment has to be computed again, see [`crate::fleet::Fleet::has_due`]: since which round.
    pub(super) due: Option<u64>,
    /// The last assignment on which it was current.
    well_on: AssignmentRef,
    /// Since when each application is as assigned, or removed as assigned, where that is longer than for all of them,
    /// or while not all of them are.
    apart: BTreeMap<ApplicationName, Timestamp>,
    /// The assignment whose delay was measured.
    pub(in crate::fleet) measured: AssignmentRef,
}

impl Cluster {
    /// Restores a cluster from the store.
    pub(super) fn restored(stored: StoredCluster) -> Self {
        let mut cluster = Self {
            record: StoredValue(stored.record),
            assigned: stored.assignment.map(|stored| stored.decoded),
            resumable: stored.current_since.and_then(|since| {
                let report = stored.report.as_ref()?;
                Some((since, report_digest(report)))
            }),
            ..Self::default()
        };
        cluster.note_report(stored.report);
        cluster
    }

    /// Returns the connection state; offline after `offline_after` without a message.
    #[must_use]
    pub fn connection(&self, now: Timestamp, offline_after: jiff::SignedDuration) -> Connectivity {
        if self.record.pending.is_some() {
            return Connectivity::Pending;
        }
        match (self.session, self.last_seen) {
            (Some((_, since)), Some(seen)) if now.duration_since(seen).abs() <= offline_after => {
                Connectivity::Online { since }
            }
            (_, Some(_)) => Connectivity::Offline,
            // A restarted hub has not heard yet from an agent that reported before.
            (_, None) if self.report.is_some() => Connectivity::Offline,
            (_, None) => Connectivity::NeverSeen,
        }
    }

    /// Returns the pin that is in force now.
    #[must_use]
    pub fn pin(&self, now: Timestamp) -> Option<&Pin> {
        let pin = self.record.pin.as_ref();
        pin.filter(|pin| pin.holds(now))
    }

    /// Returns the worst sync state and health over its applications.
    #[must_use]
    pub fn worst(&self) -> (SyncState, Health) {
        let mut sync = SyncState::Synced;
        let mut health = Health::Current;
        for (name, placed) in &self.placed {
            let report = self.report.as_ref().and_then(|r| r.applications.get(name));
            let (app_sync, app_health) = match report {
                Some(report) => (report.sync, report.health),
                None => (SyncState::Unknown, Health::Unknown),
            };
            sync = sync.max(placed.sync(app_sync));
            health = health.max(app_health);
        }
        for name in self.leaving() {
            let report = self.report.as_ref().and_then(|r| r.applications.get(name));
            let app_sync = report.map_or(SyncState::Unknown, |report| report.sync);
            sync = sync.max(app_sync.max(SyncState::Applying));
        }
        if self.refusal.is_some() {
            sync = SyncState::Refused;
        }
        (sync, health)
    }

    /// Returns whether its agent last reported that it runs exactly what is assigned, synced and healthy. An
    /// application without a report of exactly the assigned commit is not current, even if an older one was (I1,
    /// promise 4); nor is a cluster whose assignment has to be computed.
    #[must_use]
    pub fn is_current(&self) -> bool {
        !self.is_due() && self.runs_what_is_assigned()
    }

    /// Returns whether its assignment has to be computed again.
    pub(in crate::fleet) const fn is_due(&self) -> bool {
        self.due.is_some()
    }

    /// Returns the applications that it is to lose and that are not removed yet, by its agent's report.
    pub fn leaving(&self) -> impl Iterator<Item = &ApplicationName> {
        let assigned = self.assigned.iter();
        let tombstones = assigned.flat_map(|assigned| assigned.assignment.tombstones.keys());
        tombstones.filter(|name| !is_removed(self.report.as_ref(), name))
    }

    /// Returns the withheld removals that are still to be done: those of which the agent's report on the present
    /// assignment still has something, or all of them where there is no complete report.
    pub(in crate::fleet) fn loses_later(&self) -> impl Iterator<Item = &ApplicationName> {
        let report = self.report.as_ref();
        // A report that may be incomplete does not state `specified`.
        let report = report.filter(|report| {
            report.assignment == self.assigned_ref() && !report.specified.is_none()
        });
        self.withheld.iter().filter(move |name| {
            report.is_none_or(|report| {
                let left = report.applications.get(*name);
                left.is_some_and(|left| !is_over(left))
            })
        })
    }

    /// Returns whether nothing is written there, suspended by the hub or by the cluster's own administrators.
    fn is_suspended(&self) -> bool {
        let report = self.report.as_ref();
        self.record.suspended.is_some() || report.is_some_and(|report| !report.suspended.is_empty())
    }

    /// Returns whether its agent accepted the assignment, and may apply it.
    fn took_what_is_assigned(&self) -> bool {
        self.accepted == self.assigned_ref() && self.refusal.is_none() && !self.is_suspended()
    }

    /// Returns whether its report is of this assignment; one of another assignment of the same commits does not count.
    fn reported_on_it(&self) -> bool {
        let report = self.report.as_ref();
        report.is_some_and(|report| report.assignment == self.accepted)
    }

    fn speaks_of_what_is_assigned(&self) -> bool {
        self.took_what_is_assigned() && self.reported_on_it()
    }

    fn runs_what_is_assigned(&self) -> bool {
        if !self.took_what_is_assigned() || self.leaving().next().is_some() {
            return false;
        }
        let report = self.report.as_ref();
        let of_this = self.reported_on_it();
        let assigned = self.assigned.iter();
        let mut assigned = assigned.flat_map(|assigned| assigned.assignment.applications.keys());
        let is_nothing = self.placed.is_empty() && assigned.clone().next().is_none();
        if !of_this && !is_nothing {
            return false;
        }
        let is_well = |name| {
            let report = report.and_then(|report| report.applications.get(name));
            report.is_some_and(|report| report.is_well())
        };
        // For a cluster without an environment placements are not computed; it keeps its assignment.
        if !assigned.all(is_well) {
            return false;
        }
        self.placed.keys().all(|name| self.is_well(name))
    }

    /// Returns whether an application is at exactly its assigned commit, synced and healthy, by the last report.
    fn is_well(&self, name: &ApplicationName) -> bool {
        let report = self.report.as_ref().and_then(|r| r.applications.get(name));
        let assigned = self
            .assigned
            .as_ref()
            .and_then(|a| a.assignment.applications.get(name));
        let exact = match (report.and_then(|r| r.revision.as_ref()), assigned) {
            (Some(reported), Some(assigned)) => reported.commit == assigned.revision.commit,
            _ => false,
        };
        let placed = self.placed.get(name);
        let placed = placed.is_none_or(|placed| placed.problem.is_none());
        exact && placed && report.is_some_and(|report| report.is_well())
    }

    /// Notes a report that arrived, or was read from the store.
    pub(in crate::fleet) fn note_report(&mut self, report: Option<Report>) {
        self.rendered_from = report
            .as_ref()
            .map(|report| rendered::rendered_from(report, self.assigned.as_deref()))
            .unwrap_or_default();
        self.reads = report.as_ref().and_then(rendered::reads);
        self.report = report;
    }

    /// Copies the connection from another state, since it is not stored.
    pub(super) fn hear(&mut self, other: &Self) {
        self.session = other.session;
        self.last_seen = other.last_seen;
        self.clock_ahead = other.clock_ahead;
    }

    /// Returns whether it has the same connection state.
    pub(super) fn hears(&self, other: &Self) -> bool {
        let heard = |cluster: &Self| (cluster.session, cluster.last_seen, cluster.clock_ahead);
        heard(self) == heard(other)
    }

    /// Subtracts time that did not pass, or was counted twice, from the time for which it is current.
    pub(super) fn lose(&mut self, lost: jiff::SignedDuration) {
        let later = |since: Timestamp| since.saturating_add(lost).unwrap_or(Timestamp::MAX);
        self.current_since = self.current_since.map(later);
        for since in self.apart.values_mut() {
            *since = later(*since);
        }
    }

    /// Assigns it something else. Applications that do not change keep their state.
    pub(in crate::fleet) fn give(&mut self, next: Arc<DecodedAssignment>, now: Timestamp) {
        self.refusal = None;
        let (all, apart) = (self.current_since.take(), std::mem::take(&mut self.apart));
        let before = self.assigned.iter().map(|stored| &stored.assignment);
        let kept = before.flat_map(|before| {
            let names = before.applications.keys();
            let stays = names.filter(|name| next.assignment.is_same_work(before, name));
            let gone = before.tombstones.iter();
            let gone = gone.filter(|(name, tombstone)| {
                next.assignment.tombstones.get(*name) == Some(*tombstone)
            });
            let stays = stays.chain(gone.map(|(name, _)| name));
            stays.filter_map(|name| Some((name.clone(), apart.get(name).copied().or(all)?)))
        });
        self.apart = kept.collect();
        self.assigned = Some(next);
        self.note_current(now);
    }

    /// Records since when it is current, and each of its applications.
    pub(in crate::fleet) fn note_current(&mut self, now: Timestamp) {
        let known = self.current_since;
        let all = self.runs_what_is_assigned();
        if all {
            self.well_on = self.accepted;
            if known.is_some() {
                return;
            }
        }
        self.current_since = all.then_some(now);
        let apart = std::mem::take(&mut self.apart);
        if self.is_suspended() {
            return;
        }
        // A report on another assignment can count against an application, but not for it.
        let is_of_this = self.speaks_of_what_is_assigned();
        let assigned = self.assigned.iter().map(|stored| &stored.assignment);
        let removed = assigned
            .clone()
            .flat_map(|assignment| assignment.tombstones.keys());
        let gone = removed.filter(|name| is_removed(self.report.as_ref(), name));
        let assigned = assigned.flat_map(|assignment| assignment.applications.keys());
        let well = assigned.filter(|name| self.is_well(name)).chain(gone);
        let well = well.filter_map(|name| {
            let before = apart.get(name).copied();
            let since = before.or(known).or(is_of_this.then_some(now))?;
            (!all || since < now).then(|| (name.clone(), since))
        });
        self.apart = well.collect();
    }

    /// Returns since when applications run exactly what is assigned, synced and healthy, or are removed where that is
    /// assigned, by the last report; or the first that does not.
    pub(in crate::fleet) fn well_since<'n>(
        &self,
        mut applications: impl Iterator<Item = &'n ApplicationName>,
    ) -> Result<Option<Timestamp>, &'n ApplicationName> {
        let is_of_this = self.speaks_of_what_is_assigned();
        applications.try_fold(None, |last: Option<Timestamp>, name| {
            let since = self.apart.get(name).copied().or(self.current_since);
            let since = since.filter(|_| is_of_this).ok_or(name)?;
            Ok(Some(last.map_or(since, |last| last.max(since))))
        })
    }

    /// Returns whether it was current at some moment since its present assignment, as far as this process knows.
    pub(in crate::fleet) fn has_been_well(&self) -> bool {
        self.assigned.is_some() && self.well_on == self.assigned_ref()
    }

    /// Returns a reference to the assignment; where there is none, the one before all assignments.
    #[must_use]
    pub fn assigned_ref(&self) -> AssignmentRef {
        self.assigned
            .as_ref()
            .map(|decoded| decoded.reference)
            .unwrap_or_default()
    }
}

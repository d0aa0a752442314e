//! One cluster as the hub sees it.

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
use super::super::removed::is_removed;
use super::super::rendered;

/// Without a word for this long an agent counts as offline: three heartbeats and some slack.
pub const OFFLINE_AFTER: jiff::SignedDuration = jiff::SignedDuration::from_secs(35);

/// Whether and since when an agent is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connectivity {
    /// Enrolled, and waits for a person.
    Pending,
    /// Accepted, never connected.
    NeverSeen,
    /// A stream is open and heard from.
    Online { since: Timestamp },
    /// No stream, or nothing heard for three heartbeats.
    Offline,
}

/// What an agent said of itself when it connected.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AgentFacts {
    pub agent_version: String,
    /// The API server's version.
    pub kubernetes_version: String,
    /// The cluster's own identity.
    pub cluster_uid: String,
}

/// An application that is placed on a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Placed {
    /// Why it is not assigned, or is assigned as it was before; none: it is assigned as the spec and heads say.
    pub problem: Option<Box<Problem>>,
}

impl Placed {
    /// Whether all that is wrong is that no commit of its repository may be given here: the application
    /// itself can be assigned.
    pub(in crate::fleet) fn lacks_commit(&self) -> bool {
        self.problem.as_ref().is_some_and(|problem| {
            !matches!(
                problem.reason,
                Reason::RepositoryNotFound | Reason::TemplateFailed
            )
        })
    }

    /// What is shown of it where its agent says `reported`. One that the hub has no commit to give was not
    /// refused by anybody there.
    #[must_use]
    pub fn sync(&self, reported: SyncState) -> SyncState {
        match (&self.problem, self.lacks_commit()) {
            (None, _) => reported,
            (Some(_), true) => SyncState::Unknown,
            (Some(_), false) => SyncState::Refused,
        }
    }

    /// Whether what is wrong is over by itself.
    #[must_use]
    pub fn is_a_wait(&self) -> bool {
        self.problem.as_ref().is_some_and(|problem| {
            matches!(problem.reason, Reason::WaitsForRollout | Reason::NoRevision)
        })
    }
}

/// A value that is in the store, too. Everybody may read it; only the roster changes it, which stores it then.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kept<T>(T);

impl<T> Kept<T> {
    pub(super) const fn write(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<T> Deref for Kept<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// Everything the hub knows of one cluster.
#[derive(Debug, Clone, Default)]
pub struct Cluster {
    /// Apart from what its agent says.
    pub record: Kept<ClusterRecord>,
    /// What it should run; none before its first assignment.
    pub assigned: Option<Arc<DecodedAssignment>>,
    /// What its agent runs on.
    pub accepted: AssignmentRef,
    /// Why the agent refused what is assigned, or why nothing can be sent to it.
    pub refusal: Option<Problem>,
    /// The last full state.
    pub report: Option<Report>,
    /// When that came.
    pub reported_at: Option<Timestamp>,
    /// When its agent last said, on its present stream, that the report is how it still is.
    pub vouched_at: Option<Timestamp>,
    /// Since when its agent says that it runs exactly what is assigned, synced and healthy. Over a
    /// restart of the hub this goes on only if the agent still has the same report: what nobody watched
    /// proves nothing, unless nothing happened.
    pub current_since: Option<Timestamp>,
    /// Applications that are placed here.
    pub placed: BTreeMap<ApplicationName, Placed>,
    /// Applications that it is to lose with their objects, once all that is placed here can be assigned.
    pub withheld: BTreeSet<ApplicationName>,
    /// What its agent said of itself.
    pub facts: AgentFacts,
    /// When anything was heard last.
    pub last_seen: Option<Timestamp>,
    /// By how many seconds its agent's clock is ahead of ours, as it said on its present stream; 0: not by
    /// more than clocks may differ.
    pub clock_ahead: i64,
    /// The version of its last visible change.
    pub version: u64,
    /// The generation above which its assignments begin: an agent that enrolled anew runs on what the
    /// hub has forgotten.
    pub(in crate::fleet) floor: u64,
    pub(in crate::fleet) session: Option<(SessionId, Timestamp)>,
    pub(in crate::fleet) report_digest: Digest,
    /// What that report was rendered from, worked out once.
    pub(in crate::fleet) rendered_from: Digest,
    /// What it says its applications run and depend on, likewise; none: it does not say.
    pub(in crate::fleet) reads: Option<Digest>,
    /// From before a restart: since when it was current, and by which report. Gone with the first
    /// other one.
    pub(in crate::fleet) resumable: Option<(Timestamp, Digest)>,
    /// By which specification its assignment was worked out last; none: that is not known, since a restart.
    pub(in crate::fleet) specified: Option<Commit>,
    /// Its assignment is to be worked out anew, see [`crate::fleet::Fleet::has_due`].
    pub(super) due: bool,
    /// The last assignment that it was current on.
    well_on: AssignmentRef,
    /// Since when applications do that are as assigned, or gone as assigned, for longer than all of it is, or while
    /// not all of it is.
    apart: BTreeMap<ApplicationName, Timestamp>,
    /// The assignment whose way here was measured.
    pub(in crate::fleet) measured: AssignmentRef,
}

impl Cluster {
    /// As the store kept it.
    pub(super) fn restored(stored: StoredCluster) -> Self {
        let mut cluster = Self {
            record: Kept(stored.record),
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

    /// How its agent is connected; `offline_after` without a word counts as gone.
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
            // A hub that was restarted has heard nothing yet of an agent that reported before.
            (_, None) if self.report.is_some() => Connectivity::Offline,
            (_, None) => Connectivity::NeverSeen,
        }
    }

    /// The pin that keeps it on commits now.
    #[must_use]
    pub fn pin(&self, now: Timestamp) -> Option<&Pin> {
        let pin = self.record.pin.as_ref();
        pin.filter(|pin| pin.holds(now))
    }

    /// Worst sync state and health over its applications.
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

    /// Whether its agent last said that it runs exactly what is assigned, synced and healthy. An
    /// application without a report of exactly the assigned commit is not current, whatever the agent
    /// said of an older one (I1, promise 4); nor is one whose assignment is to be worked out anew.
    #[must_use]
    pub fn is_current(&self) -> bool {
        !self.due && self.runs_what_is_assigned()
    }

    /// Whether its assignment is to be worked out anew.
    pub(in crate::fleet) const fn is_due(&self) -> bool {
        self.due
    }

    /// Applications that it is to lose, and that are not gone by its agent's word.
    pub fn leaving(&self) -> impl Iterator<Item = &ApplicationName> {
        let assigned = self.assigned.iter();
        let tombstones = assigned.flat_map(|assigned| assigned.assignment.tombstones.keys());
        tombstones.filter(|name| !is_removed(self.report.as_ref(), name))
    }

    /// Whether nothing is written there, by a word of the hub's or of the cluster's own people.
    fn is_suspended(&self) -> bool {
        let report = self.report.as_ref();
        self.record.suspended.is_some() || report.is_some_and(|report| !report.suspended.is_empty())
    }

    /// Whether its agent took what is assigned, and may write it.
    fn took_what_is_assigned(&self) -> bool {
        self.accepted == self.assigned_ref() && self.refusal.is_none() && !self.is_suspended()
    }

    /// What it said of another assignment of the same commits is no word of this one.
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
        // What is placed on a cluster that is in no environment nobody works out, and it runs on.
        if !assigned.all(is_well) {
            return false;
        }
        self.placed.keys().all(|name| self.is_well(name))
    }

    /// Whether an application is at exactly its assigned commit, synced and healthy, by the last report.
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

    /// What a report says, whether it came just now or from the store.
    pub(in crate::fleet) fn note_report(&mut self, report: Option<Report>) {
        self.rendered_from = report
            .as_ref()
            .map(|report| rendered::rendered_from(report, self.assigned.as_deref()))
            .unwrap_or_default();
        self.reads = report.as_ref().and_then(rendered::reads);
        self.report = report;
    }

    /// Takes over who is there, which no store keeps.
    pub(super) fn hear(&mut self, other: &Self) {
        self.session = other.session;
        self.last_seen = other.last_seen;
        self.clock_ahead = other.clock_ahead;
    }

    /// Whether it knows as much of who is there.
    pub(super) fn hears(&self, other: &Self) -> bool {
        let heard = |cluster: &Self| (cluster.session, cluster.last_seen, cluster.clock_ahead);
        heard(self) == heard(other)
    }

    /// So much of the time since it is current was none, or was counted twice.
    pub(super) fn lose(&mut self, lost: jiff::SignedDuration) {
        let later = |since: Timestamp| since.saturating_add(lost).unwrap_or(Timestamp::MAX);
        self.current_since = self.current_since.map(later);
        for since in self.apart.values_mut() {
            *since = later(*since);
        }
    }

    /// It is assigned something else. Applications that stay as they are go on being what they were.
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

    /// Notes since when it is current, and each of its applications.
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
        // What it says of another assignment speaks against an application, and not for it.
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

    /// Since when applications run exactly what is assigned, synced and healthy, or are gone where that is assigned,
    /// by the last report; or the first that does not.
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

    /// Whether it was current at some moment since it was assigned what it has now, as far as this process knows.
    pub(in crate::fleet) fn has_been_well(&self) -> bool {
        self.assigned.is_some() && self.well_on == self.assigned_ref()
    }

    /// What is assigned, as a reference; the place before all assignments where nothing is.
    #[must_use]
    pub fn assigned_ref(&self) -> AssignmentRef {
        self.assigned
            .as_ref()
            .map(|decoded| decoded.reference)
            .unwrap_or_default()
    }
}

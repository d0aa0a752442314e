//! Messages of agents on their streams.

use std::collections::BTreeSet;

use flotilla_shared::assignment::AssignmentRef;
use flotilla_shared::clock::far_apart;
use flotilla_shared::digest::Digest;
use flotilla_shared::id::ClusterName;
use flotilla_shared::problem::Problem;
use flotilla_shared::reason::Reason;
use flotilla_shared::report::Report;
use jiff::Timestamp;

use super::Fleet;
use super::event::{Effect, SessionId};

/// Change of a clock's difference, in seconds, from which on the new value is shown.
const CLOCK_NEWS: u64 = 60;

impl Fleet {
    /// Handles the answer of an agent to an assignment; it now has `accepted`.
    pub(super) fn acked(
        &mut self,
        name: &ClusterName,
        session: SessionId,
        assignment: AssignmentRef,
        refusal: Option<Problem>,
        accepted: AssignmentRef,
        now: Timestamp,
    ) {
        if let Some(cluster) = self.heard(name, session) {
            cluster.last_seen = Some(now);
            cluster.accepted = accepted;
            // An answer to an older assignment says nothing about the present one.
            if assignment == cluster.assigned_ref() {
                cluster.refusal = refusal;
            }
            cluster.note_current(now);
        }
    }

    /// Handles the full report of an agent.
    pub(super) fn hear_report(
        &mut self,
        name: ClusterName,
        session: SessionId,
        report: Report,
        digest: Digest,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        let Some(cluster) = self.heard(&name, session) else {
            return;
        };
        cluster.last_seen = Some(now);
        cluster.vouched_at = Some(now);
        cluster.reported_at = Some(now);
        cluster.report_digest = digest;
        cluster.note_report(Some(report.clone()));
        cluster.note_current(now);
        if let Some((since, same)) = cluster.resumable.take()
            && same == digest
            && cluster.current_since.is_some()
        {
            cluster.current_since = Some(since);
        }
        let current_since = cluster.current_since;
        self.hear_jobs(&name);
        self.adopt_suspension(&name, now, effects);
        let unsettled = self.clusters.get(&name);
        if unsettled.is_some_and(|cluster| self.is_unsettled(cluster)) {
            // What it runs is known only now.
            self.clusters.mark_due(BTreeSet::from([name.clone()]));
        }
        self.measure(&name, now, effects);
        self.touch_environments();
        effects.push(Effect::StoreReport(name, report, current_since));
    }

    /// Returns whether a rollout waits for another report of a cluster.
    fn is_asked(&self, name: &ClusterName) -> bool {
        let environment = self.environment_of(name);
        let rollout = environment.and_then(|environment| self.rollouts.get(&environment));
        let progress = rollout.and_then(|rollout| rollout.clusters.get(name));
        progress.is_some_and(|progress| progress.asked_at.is_some())
    }

    /// Handles the clock of an agent.
    pub(super) fn hear_clock(
        &mut self,
        name: &ClusterName,
        session: SessionId,
        clock: Option<Timestamp>,
        now: Timestamp,
    ) {
        let ahead = clock.and_then(|clock| far_apart(clock.duration_since(now).as_secs()));
        let ahead = ahead.unwrap_or_default();
        let known = self.clusters.get(name).map(|cluster| cluster.clock_ahead);
        // The delay of a message varies, so small differences are not reported to watchers.
        let is_news = known.is_some_and(|known| known.abs_diff(ahead) > CLOCK_NEWS);
        if is_news && let Some(cluster) = self.heard(name, session) {
            cluster.clock_ahead = ahead;
        }
    }

    /// Handles a heartbeat of an agent.
    pub(super) fn heartbeat(
        &mut self,
        name: &ClusterName,
        session: SessionId,
        accepted: AssignmentRef,
        report: Digest,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        if !self.clusters.is_live(name, session) {
            return;
        }
        let Some(cluster) = self.clusters.note(name) else {
            return;
        };
        cluster.last_seen = Some(now);
        // It confirms the report that the hub has, or one that is still to come.
        let vouches = !report.is_none() && cluster.report_digest == report;
        let is_first = vouches && cluster.vouched_at.replace(now).is_none();
        if !report.is_none() && !vouches {
            effects.push(Effect::RequestReport(name.clone(), session));
        }
        // A lost assignment is sent again, since the agent reports an older one as accepted. A refused one is not
        // repeated, unless the agent's disk was full: it may have room now.
        let refused = cluster.refusal.as_ref().map(|refusal| refusal.reason);
        let passes = matches!(refused, None | Some(Reason::LedgerUnavailable));
        let lost = passes && cluster.assigned_ref() != accepted;
        let is_news = cluster.accepted != accepted;
        if is_first || (vouches && self.is_asked(name)) {
            self.mark_dirty(name);
        }
        if is_news && let Some(cluster) = self.heard(name, session) {
            cluster.accepted = accepted;
            cluster.note_current(now);
        }
        if lost {
            self.offer(name, effects);
        }
    }

    /// Measures, once for each assignment, how long its newest commit took until it runs here.
    fn measure(&mut self, name: &ClusterName, now: Timestamp, effects: &mut Vec<Effect>) {
        let Some(cluster) = self
            .clusters
            .get(name)
            .filter(|cluster| cluster.current_since.is_some())
        else {
            return;
        };
        let Some(assigned) = &cluster.assigned else {
            return;
        };
        let reference = assigned.reference;
        let pushed = assigned
            .assignment
            .applications
            .values()
            .filter_map(|app| {
                let revision = &app.revision;
                let head = self.head(&revision.repository, &revision.branch)?;
                head.seen_at
                    .filter(|_| head.commit.as_ref() == Some(&revision.commit))
            })
            .max();
        let environment = assigned.assignment.environment.clone();
        let issued = assigned.assignment.issued_at;
        let Some(cluster) = self.clusters.note(name) else {
            return;
        };
        // An assignment from before the push was not made for it.
        if let Some(pushed) = pushed
            && std::mem::replace(&mut cluster.measured, reference) != reference
            && issued >= pushed
        {
            let took = now.duration_since(pushed).unsigned_abs();
            effects.push(Effect::Measure(environment, took));
        }
    }
}

//! What a commit would change in an environment: which agents are asked when, what they answered, and which answers are
//! equal. Pure; moments are spans since the plan began.
//!
//! Kept in memory for some minutes: names of objects and fields only, once for all clusters with the same answer, and
//! never more than a fixed number of different answers.

mod groups;
mod shelf;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use flotilla_shared::id::{ApplicationName, ClusterName, EnvironmentName};
use flotilla_shared::plan::{ClusterPlan, Outcome};
use flotilla_shared::reason::Reason;
use flotilla_shared::revision::Revision;
use flotilla_status::PlanVerdict;

pub use groups::{Group, Groups};
pub use shelf::{Shelf, ShelfFull};

/// A question for a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    pub environment: EnvironmentName,
    /// The commit and its branch.
    pub revision: Revision,
    /// The only application that is planned; none: all from the repository.
    pub application: Option<ApplicationName>,
}

/// Limits of a plan.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Number of agents that work on an answer at the same time: each of them fetches from the Git server.
    pub at_once: usize,
    /// Time limit of an answer.
    pub answer: Duration,
    /// Longest time for the whole plan.
    pub whole: Duration,
    /// Time before the same agent is asked again.
    pub again: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            at_once: 500,
            answer: Duration::from_secs(75),
            whole: Duration::from_secs(300),
            again: Duration::from_secs(2),
        }
    }
}

/// Answer of an agent.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    Plan(ClusterPlan),
    /// It is busy, or was asked too often: ask again after this time.
    Busy(Duration),
    /// It is not connected.
    Away,
    /// It failed, or does not support the question.
    Failed(Option<Reason>, String),
}

/// Whether a cluster was connected when it was last asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reachability {
    /// Connected, or not asked yet.
    There,
    Away,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum InquiryState {
    /// It is asked from this moment on.
    Ready {
        from: Duration,
        reachability: Reachability,
    },
    /// It was asked; answers after this moment do not count.
    Asked {
        until: Duration,
    },
    Concluded,
}

/// A plan's inquiry to all agents that it concerns, in progress or complete.
#[derive(Debug)]
pub struct PlanInquiry {
    limits: Limits,
    /// How long the plan waits for clusters that are offline.
    patience: Duration,
    clusters: BTreeMap<ClusterName, InquiryState>,
    ready: BTreeSet<(Duration, ClusterName)>,
    asked: BTreeSet<(Duration, ClusterName)>,
    groups: Groups,
}

impl PlanInquiry {
    /// Makes an inquiry to these clusters; none is asked yet.
    #[must_use]
    pub fn new(
        clusters: impl IntoIterator<Item = ClusterName>,
        patience: Duration,
        limits: Limits,
    ) -> Self {
        let ready = InquiryState::Ready {
            from: Duration::ZERO,
            reachability: Reachability::There,
        };
        let clusters: BTreeMap<ClusterName, InquiryState> =
            clusters.into_iter().map(|name| (name, ready)).collect();
        let limits = Limits {
            whole: limits.whole.max(patience),
            ..limits
        };
        Self {
            limits,
            patience,
            ready: clusters
                .keys()
                .map(|name| (Duration::ZERO, name.clone()))
                .collect(),
            clusters,
            asked: BTreeSet::new(),
            groups: Groups::default(),
        }
    }

    /// Returns the clusters to ask now. Those that did not answer in time have timed out.
    pub fn next(&mut self, now: Duration) -> Vec<ClusterName> {
        if now >= self.limits.whole {
            self.give_up();
            return Vec::new();
        }
        while let Some((until, name)) = self.asked.first().cloned()
            && until <= now
        {
            self.conclude(&name, PlanVerdict::TimedOut, None, String::new(), None);
        }
        let mut ask = Vec::new();
        while self.asked.len() < self.limits.at_once
            && let Some((from, name)) = self.ready.first().cloned()
            && from <= now
        {
            self.ready.pop_first();
            let until = now + self.limits.answer;
            self.asked.insert((until, name.clone()));
            self.clusters
                .insert(name.clone(), InquiryState::Asked { until });
            ask.push(name);
        }
        ask
    }

    /// Returns when [`PlanInquiry::next`] has something to do even if no answer comes until then; none: never.
    #[must_use]
    pub fn wake_at(&self) -> Option<Duration> {
        if self.is_done() {
            return None;
        }
        let has_room = self.asked.len() < self.limits.at_once;
        let ready = self.ready.first().filter(|_| has_room);
        let moments = [ready, self.asked.first()];
        let first = moments.into_iter().flatten().map(|(moment, _)| *moment);
        first.chain([self.limits.whole]).min()
    }

    /// Records the answer of a cluster; ignored where the cluster was not asked.
    pub fn heard(&mut self, name: &ClusterName, heard: Answer, now: Duration) {
        let Some(InquiryState::Asked { until }) = self.clusters.get(name).copied() else {
            return;
        };
        if until <= now {
            // The answer is just too late: the next call records the timeout.
            return;
        }
        match heard {
            Answer::Plan(plan) => {
                let (verdict, reason) = match plan.outcome() {
                    Outcome::Nothing => (PlanVerdict::Nothing, None),
                    Outcome::Changes => (PlanVerdict::Changes, None),
                    Outcome::Conflict => (PlanVerdict::Conflict, None),
                    Outcome::Refused(reason) => (PlanVerdict::Refused, Some(reason)),
                };
                let refused = plan.applications.values();
                let mut words = refused.filter_map(|application| application.refused.as_ref());
                let message = words.find(|why| Some(why.reason) == reason);
                let message = message.map(|why| why.message.clone()).unwrap_or_default();
                self.conclude(name, verdict, reason, message, Some(plan));
            }
            Answer::Busy(after) => {
                let from = now + after.max(self.limits.again);
                self.later(name, until, from, Reachability::There);
            }
            Answer::Away if now < self.patience => {
                let from = now + self.limits.again;
                self.later(name, until, from, Reachability::Away);
            }
            Answer::Away => self.conclude(name, PlanVerdict::Offline, None, String::new(), None),
            Answer::Failed(reason, message) => {
                self.conclude(name, PlanVerdict::Failed, reason, message, None);
            }
        }
    }

    /// Returns whether every cluster has answered, or will not.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.ready.is_empty() && self.asked.is_empty()
    }

    /// Returns the number of clusters that have not answered yet.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.ready.len() + self.asked.len()
    }

    /// Returns the answers so far.
    #[must_use]
    pub fn groups(&self) -> &Groups {
        &self.groups
    }

    fn later(
        &mut self,
        name: &ClusterName,
        until: Duration,
        from: Duration,
        reachability: Reachability,
    ) {
        self.asked.remove(&(until, name.clone()));
        self.ready.insert((from, name.clone()));
        self.clusters
            .insert(name.clone(), InquiryState::Ready { from, reachability });
    }

    fn conclude(
        &mut self,
        name: &ClusterName,
        verdict: PlanVerdict,
        reason: Option<Reason>,
        message: String,
        plan: Option<ClusterPlan>,
    ) {
        let before = self.clusters.insert(name.clone(), InquiryState::Concluded);
        match before {
            Some(InquiryState::Asked { until }) => self.asked.remove(&(until, name.clone())),
            Some(InquiryState::Ready { from, .. }) => self.ready.remove(&(from, name.clone())),
            Some(InquiryState::Concluded) | None => return,
        };
        self.groups.add(name, verdict, reason, message, plan);
    }

    /// Gives up after the time limit.
    fn give_up(&mut self) {
        let left: Vec<(ClusterName, InquiryState)> = self
            .clusters
            .iter()
            .filter(|(_, standing)| **standing != InquiryState::Concluded)
            .map(|(name, standing)| (name.clone(), *standing))
            .collect();
        for (name, standing) in left {
            let verdict = match standing {
                InquiryState::Ready {
                    reachability: Reachability::Away,
                    ..
                } => PlanVerdict::Offline,
                _ => PlanVerdict::TimedOut,
            };
            self.conclude(&name, verdict, None, String::new(), None);
        }
    }
}

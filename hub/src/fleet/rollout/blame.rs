//! Whether a rollout is to blame for an unhealthy cluster. An application for which the rollout brings nothing new, and
//! that was not healthy there before, is not evidence about it: it does not count, and delays no other (promise 5). One
//! that was healthy until the rollout came counts, whichever repository it is from: applications share clusters. A
//! refusal or a wait that existed before is not caused by the rollout either, but proves nothing: the rollout halts,
//! and quarantines nothing. The same holds where an agent could not reach the commits, or was suspended by its own
//! cluster's administrators.

use std::collections::BTreeSet;

use flotilla_shared::id::{ApplicationName, ClusterName};
use flotilla_shared::reason::Reason;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::aside::Exemptions;
use super::words::listed;
use super::world::World;
use super::{Phase, Progress, Rollout};

/// Returns whether a reason keeps an agent from any commit, whatever its content.
pub(super) const fn is_outside(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::RepositoryUnavailable
            | Reason::AuthenticationFailed
            | Reason::BranchNotFound
            | Reason::CommitNotFound
            | Reason::ClusterUnavailable
            | Reason::Throttled
            | Reason::LedgerUnavailable
            | Reason::HeldAfterRestore
            | Reason::Frozen
    )
}

/// Whether a cluster was seen to recover after the previous rollout was rolled back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::fleet) enum Recovery {
    Seen,
    NotSeen,
}

/// Problems of a cluster when the first rollout started there that has not become good since.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PriorProblems {
    /// Applications that were not healthy on the last good commits.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub unhealthy: BTreeSet<ApplicationName>,
    /// Why its agent had refused the assignment, if it had.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<Reason>,
    /// Whether a rollout ran there since and never became good, so that problems may be caused by it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    doubted: bool,
}

impl PriorProblems {
    /// Makes the problems as they are now.
    #[must_use]
    pub fn of(unhealthy: BTreeSet<ApplicationName>, refused: Option<Reason>) -> Self {
        Self {
            unhealthy,
            refused,
            doubted: false,
        }
    }

    pub(super) fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    pub(super) const fn is_doubted(&self) -> bool {
        self.doubted
    }

    /// Returns what follows for a rollout after one that was there and never became good.
    pub(super) fn doubted(&self) -> Self {
        Self {
            doubted: true,
            ..self.clone()
        }
    }

    /// Notes what is known when a rollout arrives.
    fn found(&mut self, mut now: Self, recovery: Recovery) {
        if self.doubted && recovery == Recovery::NotSeen {
            now.unhealthy.retain(|app| self.unhealthy.contains(app));
            now.refused = now.refused.filter(|now| self.refused == Some(*now));
        }
        *self = now;
    }
}

impl Progress {
    /// Notes the problems when it was assigned the new commits.
    fn begin_with(&mut self, found: PriorProblems, recovery: Recovery) {
        let recovery = match self.carried {
            None => recovery,
            Some(_) => Recovery::NotSeen,
        };
        self.before.found(found, recovery);
    }

    /// For a failed cluster: returns whether the failure speaks against what the rollout brings.
    const fn is_to_blame(&self) -> bool {
        !self.blameless && !self.outside
    }

    /// Returns what the next rollout has to know after this one was rolled back.
    pub(super) fn doubt(&self, now: Timestamp) -> Option<Self> {
        let was_there = self.phase.is_touched() || self.before.is_doubted();
        was_there.then(|| Self {
            before: self.before.doubted(),
            ..Self::waiting(self.wave, now)
        })
    }
}

impl Rollout {
    /// Records the problems of a cluster that it starts on now.
    pub(in crate::fleet) fn comes_to(
        &mut self,
        name: &ClusterName,
        found: PriorProblems,
        recovery: Recovery,
    ) {
        if let Some(progress) = self.clusters.get_mut(name) {
            progress.begin_with(found, recovery);
        }
    }

    /// Returns whether the failures speak against what it brings.
    pub(in crate::fleet) fn is_to_blame(&self) -> bool {
        let mut failed = self
            .clusters
            .values()
            .filter(|progress| progress.phase == Phase::Failed)
            .peekable();
        failed.peek().is_none() || failed.any(Progress::is_to_blame)
    }

    /// Returns how many of these failed for causes other than what it brings.
    pub(super) fn blameless(&self, failed: &[ClusterName]) -> usize {
        let all = failed.iter().filter_map(|name| self.clusters.get(name));
        all.filter(|progress| !progress.is_to_blame()).count()
    }

    /// Returns the applications that were not counted, for the note at its end.
    pub(super) fn left_aside(&self, world: &World<'_>) -> String {
        let aside = self.pairs(world).filter_map(|(name, progress, seen)| {
            let aside = seen.aside.as_ref()?;
            (progress.phase == Phase::Done).then_some((name, aside))
        });
        let mut aside = aside.peekable();
        if aside.peek().is_none() {
            return String::new();
        }
        let mut all = Exemptions::default();
        let mut clusters = Vec::new();
        for (name, left) in aside {
            all.applications.extend(left.applications.iter().cloned());
            all.waits.extend(left.waits.iter().cloned());
            clusters.push(name.clone());
        }
        format!("; {}: {}", all.text("there"), listed(&clusters))
    }
}

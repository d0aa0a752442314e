//! Whose fault it is that a cluster is not healthy. An application that the rollout brings nothing new for, and
//! that was not healthy there before, says nothing of what it brings: it is left aside, and holds nobody else up
//! (promise 5). One that was healthy until the rollout came counts, whoever it is from: applications share
//! clusters. What refused or waited for such a thing before is no fault of the rollout either, but proves nothing
//! of it: it halts, and condemns nothing. Likewise where an agent had no way to the commits, or was told by its
//! own people to write nothing.

use std::collections::BTreeSet;

use flotilla_shared::id::{ApplicationName, ClusterName};
use flotilla_shared::reason::Reason;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::aside::Aside;
use super::words::listed;
use super::world::World;
use super::{Phase, Progress, Rollout};

/// What keeps an agent from any commit, whatever is in it.
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

/// Whether all was well on a cluster after the rollout before went back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::fleet) enum Recovery {
    Seen,
    NotSeen,
}

/// What was wrong on a cluster when the first rollout came there that has not become good since.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Before {
    /// Applications that were not seen healthy as what was last good.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub unhealthy: BTreeSet<ApplicationName>,
    /// Its agent had refused what was assigned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<Reason>,
    /// A rollout was there since and never became good: what is wrong now may be its doing.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    doubted: bool,
}

impl Before {
    /// What is so now.
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

    /// For a rollout that comes after one that was there and never became good.
    pub(super) fn doubted(&self) -> Self {
        Self {
            doubted: true,
            ..self.clone()
        }
    }

    /// What is known when a rollout comes.
    fn found(&mut self, mut now: Self, recovery: Recovery) {
        if self.doubted && recovery == Recovery::NotSeen {
            now.unhealthy.retain(|app| self.unhealthy.contains(app));
            now.refused = now.refused.filter(|now| self.refused == Some(*now));
        }
        *self = now;
    }
}

impl Progress {
    /// What was wrong there when it was given the new commits.
    fn begin_with(&mut self, found: Before, recovery: Recovery) {
        let recovery = match self.carried {
            None => recovery,
            Some(_) => Recovery::NotSeen,
        };
        self.before.found(found, recovery);
    }

    /// Where it failed: whether that speaks against what the rollout brings.
    const fn is_to_blame(&self) -> bool {
        !self.blameless && !self.outside
    }

    /// What the next rollout has to know of one that was rolled back.
    pub(super) fn doubt(&self, now: Timestamp) -> Option<Self> {
        let was_there = self.phase.is_touched() || self.before.is_doubted();
        was_there.then(|| Self {
            before: self.before.doubted(),
            ..Self::waiting(self.wave, now)
        })
    }
}

impl Rollout {
    /// Notes what was wrong on a cluster that it comes to now.
    pub(in crate::fleet) fn comes_to(
        &mut self,
        name: &ClusterName,
        found: Before,
        recovery: Recovery,
    ) {
        if let Some(progress) = self.clusters.get_mut(name) {
            progress.begin_with(found, recovery);
        }
    }

    /// Whether what failed speaks against what it brings.
    pub(in crate::fleet) fn is_to_blame(&self) -> bool {
        let mut failed = self
            .clusters
            .values()
            .filter(|progress| progress.phase == Phase::Failed)
            .peekable();
        failed.peek().is_none() || failed.any(Progress::is_to_blame)
    }

    /// Who failed by nothing that it brings.
    pub(super) fn blameless(&self, failed: &[ClusterName]) -> usize {
        let all = failed.iter().filter_map(|name| self.clusters.get(name));
        all.filter(|progress| !progress.is_to_blame()).count()
    }

    /// Applications that were not counted, for the note at its end.
    pub(super) fn left_aside(&self, world: &World<'_>) -> String {
        let aside = self.pairs(world).filter_map(|(name, progress, seen)| {
            let aside = seen.aside.as_ref()?;
            (progress.phase == Phase::Done).then_some((name, aside))
        });
        let mut aside = aside.peekable();
        if aside.peek().is_none() {
            return String::new();
        }
        let mut applications = BTreeSet::new();
        let mut clusters = Vec::new();
        for (name, left) in aside {
            applications.extend(left.applications.iter().cloned());
            clusters.push(name.clone());
        }
        let all = Aside {
            applications,
            leaves_nothing: false,
        };
        format!("; {}: {}", all.text("there"), listed(&clusters))
    }
}

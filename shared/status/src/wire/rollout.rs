//! Rollouts, their waves and clusters.

use flotilla_proto::v1;

use super::{MAX_OF_FLEET, list, moment, sent, texts};
use crate::{
    Apart, Budget, BudgetKind, Phase, Progress, RepositoryCommit, Rollout, RolloutState, Step,
    Wave, text,
};

/// Most waves; a fleet file may have as many.
const MAX_WAVES: usize = 64;
/// Highest number of budgets that are read.
const MAX_BUDGETS: usize = 8;
/// Highest number of gates that are read.
const MAX_GATES: usize = 50;
/// Highest number of held-back commits that are read.
const MAX_APART: usize = 100;

impl From<&v1::RepositoryCommit> for RepositoryCommit {
    fn from(wire: &v1::RepositoryCommit) -> Self {
        Self {
            repository: text(&wire.repository),
            commit: text(&wire.commit),
        }
    }
}

impl From<RepositoryCommit> for v1::RepositoryCommit {
    fn from(entry: RepositoryCommit) -> Self {
        Self {
            repository: entry.repository,
            commit: entry.commit,
        }
    }
}

pub(super) fn commits(wire: &[v1::RepositoryCommit]) -> Vec<RepositoryCommit> {
    list(wire, MAX_OF_FLEET)
}

pub(super) fn sent_commits(commits: Vec<RepositoryCommit>) -> Vec<v1::RepositoryCommit> {
    commits.into_iter().map(Into::into).collect()
}

fn gates(wire: &[v1::ExplainStep]) -> Vec<Step> {
    list(wire, MAX_GATES)
}

fn sent_gates(gates: Vec<Step>) -> Vec<v1::ExplainStep> {
    gates.into_iter().map(Into::into).collect()
}

impl From<&v1::WaitingCommit> for Apart {
    fn from(wire: &v1::WaitingCommit) -> Self {
        let none = v1::RepositoryCommit::default();
        Self {
            commit: RepositoryCommit::from(wire.commit.as_ref().unwrap_or(&none)),
            text: text(&wire.text),
            gates: gates(&wire.gates),
        }
    }
}

impl From<Apart> for v1::WaitingCommit {
    fn from(apart: Apart) -> Self {
        Self {
            commit: Some(apart.commit.into()),
            gates: sent_gates(apart.gates),
            text: apart.text,
        }
    }
}

impl From<&v1::BudgetStatus> for Budget {
    fn from(wire: &v1::BudgetStatus) -> Self {
        Self {
            budget: BudgetKind::from(wire.budget.as_str()),
            used: wire.used,
            at_most: wire.at_most,
        }
    }
}

impl From<Budget> for v1::BudgetStatus {
    fn from(budget: Budget) -> Self {
        Self {
            budget: budget.budget.to_string(),
            used: budget.used,
            at_most: budget.at_most,
        }
    }
}

impl From<&v1::WaveStatus> for Wave {
    fn from(wire: &v1::WaveStatus) -> Self {
        Self {
            name: text(&wire.name),
            waiting: wire.waiting,
            started: wire.started,
            soaking: wire.soaking,
            unavailable: wire.unavailable,
            done: wire.done,
            failed: wire.failed,
            pinned: wire.pinned,
            suspended: wire.suspended,
            unchanged: wire.unchanged,
            approvals: wire.approvals,
            approved_by: texts(&wire.approved_by),
            soak_seconds: wire.soak_seconds,
            offline: wire.offline.min(wire.waiting),
            done_unchanged: wire.done_unchanged.min(wire.done),
            soak_ends_at: moment(wire.soak_ends_at.as_ref()),
        }
    }
}

impl From<Wave> for v1::WaveStatus {
    fn from(wave: Wave) -> Self {
        Self {
            name: wave.name,
            waiting: wave.waiting,
            started: wave.started,
            soaking: wave.soaking,
            unavailable: wave.unavailable,
            done: wave.done,
            failed: wave.failed,
            pinned: wave.pinned,
            unchanged: wave.unchanged,
            approvals: wave.approvals,
            approved_by: wave.approved_by,
            soak_seconds: wave.soak_seconds,
            offline: wave.offline,
            done_unchanged: wave.done_unchanged,
            soak_ends_at: sent(wave.soak_ends_at),
            suspended: wave.suspended,
        }
    }
}

impl From<&v1::ClusterProgress> for Progress {
    fn from(wire: &v1::ClusterProgress) -> Self {
        Self {
            cluster: text(&wire.cluster),
            wave: text(&wire.wave),
            phase: Phase::from(wire.phase.as_str()),
            since: moment(wire.since.as_ref()),
            started_at: moment(wire.started_at.as_ref()),
            reason: text(&wire.reason),
            message: text(&wire.message),
            unchanged: wire.unchanged,
        }
    }
}

impl From<Progress> for v1::ClusterProgress {
    fn from(progress: Progress) -> Self {
        Self {
            cluster: progress.cluster,
            wave: progress.wave,
            phase: progress.phase.to_string(),
            since: sent(progress.since),
            started_at: sent(progress.started_at),
            reason: progress.reason,
            message: progress.message,
            unchanged: progress.unchanged,
        }
    }
}

impl From<&v1::RolloutStatus> for Rollout {
    fn from(wire: &v1::RolloutStatus) -> Self {
        Self {
            id: text(&wire.id),
            environment: text(&wire.environment),
            state: RolloutState::from(wire.state.as_str()),
            target: commits(&wire.target),
            from: commits(&wire.from),
            waves: list(&wire.waves, MAX_WAVES),
            wave: wire.wave as usize,
            created_at: moment(wire.created_at.as_ref()),
            started_at: moment(wire.started_at.as_ref()),
            ended_at: moment(wire.ended_at.as_ref()),
            note: text(&wire.note),
            clusters: list(&wire.clusters, MAX_OF_FLEET),
            budgets: list(&wire.budgets, MAX_BUDGETS),
            gates: gates(&wire.gates),
            more_gates: wire.more_gates,
            apart: list(&wire.apart, MAX_APART),
            unread: text(&wire.unread),
            changes: texts(&wire.changes),
            next: text(&wire.next),
            wave_to_approve: text(&wire.wave_to_approve),
        }
    }
}

impl From<Rollout> for v1::RolloutStatus {
    fn from(rollout: Rollout) -> Self {
        Self {
            id: rollout.id,
            environment: rollout.environment,
            state: rollout.state.to_string(),
            target: sent_commits(rollout.target),
            from: sent_commits(rollout.from),
            waves: rollout.waves.into_iter().map(Into::into).collect(),
            wave: u32::try_from(rollout.wave).unwrap_or(u32::MAX),
            created_at: sent(rollout.created_at),
            started_at: sent(rollout.started_at),
            ended_at: sent(rollout.ended_at),
            note: rollout.note,
            clusters: rollout.clusters.into_iter().map(Into::into).collect(),
            unread: rollout.unread,
            changes: rollout.changes,
            budgets: rollout.budgets.into_iter().map(Into::into).collect(),
            gates: sent_gates(rollout.gates),
            more_gates: rollout.more_gates,
            apart: rollout.apart.into_iter().map(Into::into).collect(),
            next: rollout.next,
            wave_to_approve: rollout.wave_to_approve,
        }
    }
}

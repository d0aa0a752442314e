//! Rollouts and decisions, for operators.

mod next;
mod present;

use std::collections::BTreeMap;

use flotilla_shared::id::RepositoryName;
use flotilla_shared::problem::Problem;
use flotilla_shared::revision::Commit;
use flotilla_shared::words::counted;
use flotilla_status::{Decisions, RepositoryCommit, RolloutState, Wave};
use jiff::Timestamp;

use super::{Detail, code};
use crate::fleet::rollout::{Commits, Phase, Progress, Rollout, State};
use crate::fleet::{EnvironmentState, Fleet, Mark, Pin, Quarantine, Scope};
use crate::spec::Environment;

fn commits(commits: &Commits) -> Vec<RepositoryCommit> {
    commits
        .iter()
        .map(|(repository, commit)| RepositoryCommit {
            repository: repository.to_string(),
            commit: commit.to_string(),
        })
        .collect()
}

/// Converts commits, without the digest of the fleet file's declarations.
fn of_repositories(commits: &Commits) -> Vec<RepositoryCommit> {
    let mut all = self::commits(commits);
    all.retain(|repository| !repository.is_fleet_file());
    all
}

/// Converts a present rollout, with the approvals that its waves need.
#[must_use]
pub fn rollout(
    fleet: &Fleet,
    rollout: &Rollout,
    detail: Detail,
    now: Timestamp,
) -> flotilla_status::Rollout {
    let mut status = past_rollout(rollout, detail);
    let environment = fleet.spec().environment(&rollout.environment);
    let strategy = rollout
        .strategy
        .as_deref()
        .or(environment.and_then(|environment| environment.strategy.as_ref()));
    let state = fleet.environments().get(&rollout.environment);
    for (index, shown) in status.waves.iter_mut().enumerate() {
        let Some((strategy, wave)) = strategy.and_then(|all| Some((all, all.waves.get(index)?)))
        else {
            continue;
        };
        let soak = strategy.soak(index).as_secs();
        shown.soak_seconds = u32::try_from(soak).unwrap_or(u32::MAX);
        shown.approvals = wave.approvals;
        let scope = Scope::Wave(wave.name.clone());
        let people = state.and_then(|state| state.approvers_of_all(&rollout.changed(), &scope));
        let people = people.unwrap_or_default();
        shown.approved_by = people.into_iter().map(ToOwned::to_owned).collect();
    }
    let unread = unread(fleet, rollout);
    status.unread = unread.map(|problem| problem.message).unwrap_or_default();
    if !rollout.state.is_over() {
        present::add(fleet, rollout, strategy, now, &mut status);
    }
    status
}

/// Converts a past rollout.
#[must_use]
pub fn past_rollout(rollout: &Rollout, detail: Detail) -> flotilla_status::Rollout {
    let clusters = rollout.clusters.iter().map(|(name, progress)| {
        let wave = rollout.waves.get(progress.wave);
        flotilla_status::Progress {
            cluster: name.to_string(),
            wave: wave.cloned().unwrap_or_default(),
            phase: phase(progress.phase),
            since: Some(progress.since),
            started_at: progress.started_at,
            reason: code(progress.reason),
            message: progress.message.clone(),
            unchanged: progress.unchanged,
        }
    });
    flotilla_status::Rollout {
        id: rollout.id.clone(),
        environment: rollout.environment.to_string(),
        state: state(rollout.state),
        target: commits(&rollout.shown()),
        from: commits(&rollout.shown_from()),
        waves: waves(rollout),
        wave: rollout.wave,
        created_at: Some(rollout.created_at),
        started_at: rollout.started_at,
        ended_at: rollout.ended_at,
        note: note(rollout),
        unread: String::new(),
        changes: rollout.changes.clone(),
        budgets: Vec::new(),
        gates: Vec::new(),
        more_gates: 0,
        apart: Vec::new(),
        clusters: match detail {
            Detail::Summary => Vec::new(),
            Detail::Full => clusters.collect(),
        },
        next: String::new(),
        wave_to_approve: String::new(),
    }
}

/// Returns the reason of its state. For a finished one, the number of clusters is in its waves.
fn note(rollout: &Rollout) -> String {
    let count = || counted(rollout.count(Phase::Done), "cluster");
    match rollout.state {
        State::Succeeded if rollout.note == count() => String::new(),
        _ => rollout.why(),
    }
}

/// Returns its waves, with the number of clusters by phase.
fn waves(rollout: &Rollout) -> Vec<Wave> {
    let mut waves: Vec<Wave> = rollout.waves.iter().map(|name| wave(name)).collect();
    for progress in rollout.clusters.values() {
        if let Some(wave) = waves.get_mut(progress.wave) {
            count(progress, wave);
        }
    }
    waves
}

/// Makes a wave without clusters and approvals.
fn wave(name: &str) -> Wave {
    Wave {
        name: name.to_owned(),
        waiting: 0,
        started: 0,
        soaking: 0,
        unavailable: 0,
        done: 0,
        failed: 0,
        pinned: 0,
        suspended: 0,
        unchanged: 0,
        approvals: 0,
        approved_by: Vec::new(),
        soak_seconds: 0,
        offline: 0,
        done_unchanged: 0,
        soak_ends_at: None,
    }
}

fn count(progress: &Progress, wave: &mut Wave) {
    if progress.unchanged && progress.phase.takes_part() {
        wave.unchanged += 1;
        wave.done_unchanged += u32::from(progress.phase == Phase::Done);
    }
    *match progress.phase {
        Phase::Waiting => &mut wave.waiting,
        Phase::Pinned => &mut wave.pinned,
        Phase::Suspended => &mut wave.suspended,
        Phase::Started => &mut wave.started,
        Phase::Soaking => &mut wave.soaking,
        Phase::Unavailable => &mut wave.unavailable,
        Phase::Done => &mut wave.done,
        Phase::Failed => &mut wave.failed,
    } += 1;
}

fn state(state: State) -> RolloutState {
    match state {
        State::Pending => RolloutState::Pending,
        State::Running => RolloutState::Running,
        State::Soaking => RolloutState::Soaking,
        State::Paused => RolloutState::Paused,
        State::Halted => RolloutState::Halted,
        State::RolledBack => RolloutState::RolledBack,
        State::Succeeded => RolloutState::Succeeded,
        State::Superseded => RolloutState::Superseded,
    }
}

fn phase(phase: Phase) -> flotilla_status::Phase {
    match phase {
        Phase::Waiting => flotilla_status::Phase::Waiting,
        Phase::Pinned => flotilla_status::Phase::Pinned,
        Phase::Suspended => flotilla_status::Phase::Suspended,
        Phase::Started => flotilla_status::Phase::Started,
        Phase::Soaking => flotilla_status::Phase::Soaking,
        Phase::Unavailable => flotilla_status::Phase::Unavailable,
        Phase::Done => flotilla_status::Phase::Done,
        Phase::Failed => flotilla_status::Phase::Failed,
    }
}

/// Returns why it is not known beforehand which clusters a rollout changes; none: it is known, or the rollout is over.
#[must_use]
pub(super) fn unread(fleet: &Fleet, rollout: &Rollout) -> Option<Problem> {
    if rollout.state.is_over() {
        return None;
    }
    let mut problems = rollout.target.keys().filter_map(|name| fleet.unread(name));
    problems.next().cloned()
}

pub(super) fn mark(mark: &Mark) -> flotilla_status::Mark {
    flotilla_status::Mark {
        by: mark.by.clone(),
        reason: mark.reason.clone(),
        at: Some(mark.at),
        rolled_back: String::new(),
        repositories: Vec::new(),
    }
}

/// Returns the hold of automatic promotions, if any.
pub(super) fn hold(state: &EnvironmentState) -> Option<flotilla_status::Mark> {
    let hold = state.hold.as_ref()?;
    Some(flotilla_status::Mark {
        rolled_back: hold.rolled_back.clone(),
        repositories: hold.repositories.iter().map(ToString::to_string).collect(),
        ..mark(&hold.mark)
    })
}

pub(super) fn pin(cluster: &str, pin: &Pin) -> flotilla_status::Pin {
    flotilla_status::Pin {
        cluster: cluster.to_owned(),
        commits: commits(&pin.commits),
        mark: Some(mark(&pin.mark)),
        expires_at: pin.expires_at,
        unproven: pin.unproven,
    }
}

pub(super) fn quarantine(from: &Quarantine) -> flotilla_status::Quarantine {
    flotilla_status::Quarantine {
        commits: commits(&from.commits),
        rollout: from.rollout.clone(),
        reason: from.reason.clone(),
        at: Some(from.at),
    }
}

/// Returns the decisions about an environment.
#[must_use]
pub fn decisions(fleet: &Fleet, environment: &Environment, now: Timestamp) -> Decisions {
    let empty = EnvironmentState::default();
    let state = fleet
        .environments()
        .get(&environment.name)
        .unwrap_or(&empty);
    let own = state.pin.as_ref().map(|own| pin("", own));
    let of_clusters = fleet.clusters().iter().filter_map(|(name, cluster)| {
        let own = cluster.record.pin.as_ref()?;
        fleet
            .belongs_to(name, &environment.name)
            .then(|| pin(name.as_str(), own))
    });
    Decisions {
        paused: state.paused.as_ref().map(mark),
        hold: hold(state),
        pins: own.into_iter().chain(of_clusters).collect(),
        quarantined: state.quarantined.iter().map(quarantine).collect(),
        good: good(fleet, environment, state),
        approvals: state.approvals.iter().map(approval).collect(),
        environment: environment.name.to_string(),
        held: Some(held(fleet, environment, now)),
    }
}

/// Returns the commits that an override would let in.
fn held(fleet: &Fleet, environment: &Environment, now: Timestamp) -> Vec<flotilla_status::Held> {
    let all = fleet.held_back(environment, now).into_iter();
    all.map(|held| flotilla_status::Held {
        commit: RepositoryCommit {
            repository: held.repository.to_string(),
            commit: held.commit.to_string(),
        },
        why: held.why,
        given_up: held.given_up,
    })
    .collect()
}

/// Returns good commits, with the reports of clusters on them where there are no rollouts.
fn good(
    fleet: &Fleet,
    environment: &Environment,
    state: &EnvironmentState,
) -> Vec<flotilla_status::Good> {
    // The clusters still run the present commits, so their reports can be used.
    let present = match state.approved_by.is_empty() {
        true => fleet.doubts(&environment.name),
        false => BTreeMap::new(),
    };
    let doubt = |repository: &RepositoryName, commit: &Commit| {
        let is_present = state.approved.get(repository) == Some(commit);
        if let (true, Some(doubt)) = (is_present, present.get(repository)) {
            return Some(doubt.clone());
        }
        let mut seen = state.seen.iter().rev();
        let seen = seen.find(|seen| (&seen.repository, &seen.commit) == (repository, commit));
        seen.map(|seen| seen.doubt.clone())
    };
    let of_one = |good: &crate::fleet::GoodCommits| flotilla_status::Good {
        commits: of_repositories(&good.commits),
        rollout: good.rollout.clone(),
        at: Some(good.at),
        seen: good
            .commits
            .iter()
            .filter(|_| good.rollout.is_empty())
            .filter_map(|(repository, commit)| {
                Some(flotilla_status::Seen {
                    repository: repository.to_string(),
                    doubt: doubt(repository, commit)?,
                })
            })
            .collect(),
    };
    state.history.iter().map(of_one).collect()
}

fn approval(approval: &crate::fleet::Approval) -> flotilla_status::Approval {
    let repository = approval.repository.as_ref();
    flotilla_status::Approval {
        commit: approval.commit.to_string(),
        wave: match &approval.scope {
            Scope::Wave(wave) => wave.clone(),
            Scope::Commit | Scope::Override => String::new(),
        },
        r#override: approval.scope == Scope::Override,
        mark: Some(mark(&approval.mark)),
        repository: repository.map(ToString::to_string).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hub_and_its_operators_call_a_rollouts_state_the_same() {
        for variant in State::ALL {
            assert_eq!(state(variant).as_str(), variant.as_str());
            assert_eq!(state(variant).is_over(), variant.is_over());
        }
        for variant in [
            Phase::Waiting,
            Phase::Pinned,
            Phase::Suspended,
            Phase::Started,
            Phase::Soaking,
            Phase::Unavailable,
            Phase::Done,
            Phase::Failed,
        ] {
            assert_eq!(phase(variant).as_str(), variant.as_str());
        }
    }
}

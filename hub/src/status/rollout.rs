//! Rollouts and decisions as operators see them.

mod present;

use std::collections::BTreeMap;

use flotilla_proto::v1;
use flotilla_shared::id::RepositoryName;
use flotilla_shared::problem::Problem;
use flotilla_shared::revision::Commit;
use flotilla_shared::wire::{reason_to_wire, timestamp_to_wire};
use jiff::Timestamp;

use super::Detail;
use crate::fleet::rollout::{Commits, Phase, Rollout};
use crate::fleet::{EnvironmentState, Fleet, Mark, Pin, Quarantine, Scope};
use crate::spec::Environment;

fn commits(commits: &Commits) -> Vec<v1::RepositoryCommit> {
    commits
        .iter()
        .map(|(repository, commit)| v1::RepositoryCommit {
            repository: repository.to_string(),
            commit: commit.to_string(),
        })
        .collect()
}

/// Without the digest of what is declared.
fn of_repositories(commits: &Commits) -> Vec<v1::RepositoryCommit> {
    let mut all = self::commits(commits);
    let fleet_file = RepositoryName::fleet_file().as_str();
    all.retain(|one| one.repository != fleet_file);
    all
}

/// A rollout of the present, with what its waves ask for.
#[must_use]
pub fn rollout(
    fleet: &Fleet,
    rollout: &Rollout,
    detail: Detail,
    now: Timestamp,
) -> v1::RolloutStatus {
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

/// A rollout by itself.
#[must_use]
pub fn past_rollout(rollout: &Rollout, detail: Detail) -> v1::RolloutStatus {
    let mut waves: Vec<v1::WaveStatus> = rollout
        .waves
        .iter()
        .map(|name| v1::WaveStatus {
            name: name.clone(),
            ..v1::WaveStatus::default()
        })
        .collect();
    for progress in rollout.clusters.values() {
        let Some(wave) = waves.get_mut(progress.wave) else {
            continue;
        };
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
    let clusters = rollout.clusters.iter().map(|(name, progress)| {
        let wave = rollout.waves.get(progress.wave);
        v1::ClusterProgress {
            cluster: name.to_string(),
            wave: wave.cloned().unwrap_or_default(),
            phase: progress.phase.as_str().to_owned(),
            since: Some(timestamp_to_wire(progress.since)),
            started_at: progress.started_at.map(timestamp_to_wire),
            reason: reason_to_wire(progress.reason),
            message: progress.message.clone(),
            unchanged: progress.unchanged,
        }
    });
    v1::RolloutStatus {
        id: rollout.id.clone(),
        environment: rollout.environment.to_string(),
        state: rollout.state.as_str().to_owned(),
        target: commits(&rollout.shown()),
        from: commits(&rollout.shown_from()),
        waves,
        wave: u32::try_from(rollout.wave).unwrap_or(u32::MAX),
        created_at: Some(timestamp_to_wire(rollout.created_at)),
        started_at: rollout.started_at.map(timestamp_to_wire),
        ended_at: rollout.ended_at.map(timestamp_to_wire),
        note: rollout.why(),
        clusters: match detail {
            Detail::Summary => Vec::new(),
            Detail::Full => clusters.collect(),
        },
        changes: rollout.changes.clone(),
        ..v1::RolloutStatus::default()
    }
}

/// Why nobody can tell beforehand whom a rollout changes; none: it can be told, or it is over.
#[must_use]
pub(super) fn unread(fleet: &Fleet, rollout: &Rollout) -> Option<Problem> {
    if rollout.state.is_over() {
        return None;
    }
    let mut problems = rollout.target.keys().filter_map(|name| fleet.unread(name));
    problems.next().cloned()
}

pub(super) fn mark(mark: &Mark) -> v1::Mark {
    v1::Mark {
        by: mark.by.clone(),
        reason: mark.reason.clone(),
        at: Some(timestamp_to_wire(mark.at)),
        ..v1::Mark::default()
    }
}

/// Why no automatic promotion comes in.
pub(super) fn hold(state: &EnvironmentState) -> Option<v1::Mark> {
    let hold = state.hold.as_ref()?;
    Some(v1::Mark {
        rolled_back: hold.rolled_back.clone(),
        repositories: hold.repositories.iter().map(ToString::to_string).collect(),
        ..mark(&hold.mark)
    })
}

pub(super) fn pin(cluster: &str, pin: &Pin) -> v1::Pin {
    v1::Pin {
        cluster: cluster.to_owned(),
        commits: commits(&pin.commits),
        mark: Some(mark(&pin.mark)),
        expires_at: pin.expires_at.map(timestamp_to_wire),
        unproven: pin.unproven,
    }
}

pub(super) fn quarantine(one: &Quarantine) -> v1::Quarantine {
    v1::Quarantine {
        commits: commits(&one.commits),
        rollout: one.rollout.clone(),
        reason: one.reason.clone(),
        at: Some(timestamp_to_wire(one.at)),
    }
}

/// What was decided about an environment.
#[must_use]
pub fn decisions(fleet: &Fleet, environment: &Environment) -> v1::EnvironmentDecisions {
    let empty = EnvironmentState::default();
    let state = fleet
        .environments()
        .get(&environment.name)
        .unwrap_or(&empty);
    // Of what runs now its clusters can still be asked.
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
        let seen = seen.find(|one| (&one.repository, &one.commit) == (repository, commit));
        seen.map(|one| one.doubt.clone())
    };
    let cluster_pins = fleet.clusters().iter().filter_map(|(name, cluster)| {
        let own = cluster.record.pin.as_ref()?;
        fleet
            .belongs_to(name, &environment.name)
            .then(|| pin(name.as_str(), own))
    });
    v1::EnvironmentDecisions {
        environment: environment.name.to_string(),
        paused: state.paused.as_ref().map(mark),
        hold: hold(state),
        pin: state.pin.as_ref().map(|own| pin("", own)),
        quarantined: state.quarantined.iter().map(quarantine).collect(),
        good: state
            .history
            .iter()
            .map(|good| v1::GoodCommits {
                commits: of_repositories(&good.commits),
                rollout: good.rollout.clone(),
                at: Some(timestamp_to_wire(good.at)),
                seen: good
                    .commits
                    .iter()
                    .filter(|_| good.rollout.is_empty())
                    .filter_map(|(repository, commit)| {
                        Some(v1::Seen {
                            repository: repository.to_string(),
                            doubt: doubt(repository, commit)?,
                        })
                    })
                    .collect(),
            })
            .collect(),
        approvals: state
            .approvals
            .iter()
            .map(|approval| v1::Approval {
                commit: approval.commit.to_string(),
                repository: approval
                    .repository
                    .as_ref()
                    .map(ToString::to_string)
                    .unwrap_or_default(),
                wave: match &approval.scope {
                    Scope::Wave(wave) => wave.clone(),
                    Scope::Commit | Scope::Override => String::new(),
                },
                r#override: approval.scope == Scope::Override,
                mark: Some(mark(&approval.mark)),
            })
            .collect(),
        cluster_pins: cluster_pins.collect(),
    }
}

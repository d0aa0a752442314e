//! Commit statuses of environments. Pure.

use std::collections::BTreeMap;

use flotilla_forge::{CommitStatus, Kind, State};
use flotilla_shared::id::{EnvironmentName, RepositoryName};
use flotilla_shared::revision::Commit;
use jiff::{SignedDuration, Timestamp};

use crate::fleet::rollout::{Phase, Rollout, State as Stands};
use crate::fleet::{EnvironmentState, Fleet};

/// Shortest time between two statuses of a commit.
const APART: SignedDuration = SignedDuration::from_secs(10);
/// Number of statuses that are sent at a time; the others follow.
const AT_ONCE: usize = 32;

/// Key of a status: environment, repository and commit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    pub environment: EnvironmentName,
    pub repository: RepositoryName,
    pub commit: Commit,
}

/// The desired status of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DesiredStatus {
    pub status: CommitStatus,
    /// Key of a change: a status is sent when this differs from the last one, since a change of the text alone is not
    /// sent. Bounded by waves and states.
    pub change: String,
    /// Whether it is the reason that a pull request waits for, which is in the pull request's text too.
    pub of_pull: bool,
}

/// The last status that was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentStatus {
    /// See [`DesiredStatus::change`].
    pub change: String,
    pub at: Timestamp,
}

/// Returns the desired statuses of all environments. `link` is the base URL of the pages; empty: none.
#[must_use]
pub fn desired(fleet: &Fleet, link: &str) -> BTreeMap<Key, DesiredStatus> {
    let mut all = BTreeMap::new();
    for environment in &fleet.spec().environments {
        let name = &environment.name;
        let page = page(link, name);
        let mut put =
            |repository: &RepositoryName, commit: &Commit, (state, change, text): StatusParts| {
                // The fleet file is rolled out like a commit, but is not a repository on a forge.
                if repository.is_fleet_file() {
                    return;
                }
                let key = Key {
                    environment: name.clone(),
                    repository: repository.clone(),
                    commit: commit.clone(),
                };
                let status = CommitStatus {
                    context: context(name),
                    state,
                    description: text,
                    link: page.clone(),
                };
                let desired = DesiredStatus {
                    status,
                    change,
                    of_pull: false,
                };
                all.insert(key, desired);
            };
        let Some(rollout) = fleet.rollouts().get(name) else {
            continue;
        };
        let state = fleet.environments().get(name);
        for (repository, commit) in &rollout.changed() {
            put(repository, commit, status_of(rollout, state));
        }
        let Some(state) = state else { continue };
        // A status that succeeded once changes to failed when a person rolls the commit back.
        if let Some(hold) = &state.hold
            && hold.rolled_back.is_empty()
            && !rollout.state.is_over()
        {
            let changed = rollout.changed();
            for repository in changed
                .keys()
                .filter(|repository| hold.is_told_of(repository))
            {
                if let Some(left) = rollout.from.get(repository) {
                    let text = format!("rolled back by {}: {}", hold.mark.by, hold.mark.reason);
                    put(
                        repository,
                        left,
                        (State::Failure, "rolledBack".to_owned(), text),
                    );
                }
            }
        }
        for quarantine in &state.quarantined {
            for (repository, commit) in &quarantine.commits {
                let good = state.approved.get(repository) == Some(commit);
                let tried = rollout.target.get(repository) == Some(commit);
                let is_on_its_way = tried && !rollout.state.is_over();
                if !good && !is_on_its_way {
                    let text = format!("rolled back: {}", quarantine.reason);
                    put(
                        repository,
                        commit,
                        (State::Failure, "rolledBack".to_owned(), text),
                    );
                }
            }
        }
    }
    waiting_to_be_taken(fleet, link, &mut all);
    all
}

/// Adds statuses of commits of pull requests that the hub merges, where they have no other status.
fn waiting_to_be_taken(fleet: &Fleet, link: &str, all: &mut BTreeMap<Key, DesiredStatus>) {
    for environment in &fleet.spec().environments {
        for (repository, merging, _) in fleet.mergings(&environment.name) {
            let Some(commit) = &merging.commit else {
                continue;
            };
            let key = Key {
                environment: environment.name.clone(),
                repository: repository.clone(),
                commit: commit.clone(),
            };
            let (state, text) = match merging.refused {
                true => (State::Failure, merging.text.clone()),
                false => (
                    State::Pending,
                    format!("waiting to merge: {}", merging.text),
                ),
            };
            let status = CommitStatus {
                context: context(&environment.name),
                state,
                description: text,
                link: page(link, &environment.name),
            };
            let change = format!("merge/{}", merging.word);
            all.entry(key).or_insert(DesiredStatus {
                status,
                change,
                of_pull: true,
            });
        }
    }
}

/// Returns the context of an environment's status.
#[must_use]
pub fn context(environment: &EnvironmentName) -> String {
    format!("flotilla/{environment}")
}

/// Returns the URL of an environment's page; empty: none.
fn page(link: &str, environment: &EnvironmentName) -> String {
    match link {
        "" => String::new(),
        link => format!("{}/env/{environment}", link.trim_end_matches('/')),
    }
}

type StatusParts = (State, String, String);

/// Returns the status of a rollout: state, change key and text.
fn status_of(rollout: &Rollout, state: Option<&EnvironmentState>) -> StatusParts {
    let total = rollout.taking_part();
    let done = rollout.count(Phase::Done);
    let wave = match rollout.waves.len() {
        0 | 1 => String::new(),
        waves => format!("wave {} of {waves}, ", (rollout.wave + 1).min(waves)),
    };
    let note = |text: String| match rollout.note.as_str() {
        "" => text,
        note => format!("{text}: {note}"),
    };
    let (status, text) = match rollout.state {
        Stands::Pending => (State::Pending, note("waits".to_owned())),
        Stands::Running => (State::Pending, format!("{wave}{done} of {total}")),
        Stands::Soaking => (State::Pending, format!("{wave}{done} of {total}, soaking")),
        Stands::Paused => {
            let by = state.and_then(|state| state.paused.as_ref());
            let by = by.map(|mark| format!(" by {}: {}", mark.by, mark.reason));
            let by = by.unwrap_or_default();
            (State::Pending, format!("paused{by}"))
        }
        Stands::Halted => (State::Failure, note("halted".to_owned())),
        Stands::RolledBack => (State::Failure, note("rolled back".to_owned())),
        Stands::Succeeded => (State::Success, format!("{done} of {total} healthy")),
        Stands::Superseded => (State::Pending, note("a newer commit took over".to_owned())),
    };
    let change = match rollout.state {
        // A rollout that is over has one final status, whichever its last wave.
        stands if stands.is_over() => stands.as_str().to_owned(),
        stands => format!("{}/{}", stands.as_str(), rollout.wave),
    };
    (status, change, text)
}

/// Returns whether a status is sent to a forge of this kind. Where statuses block merges, the reason that a pull
/// request waits for is not sent.
#[must_use]
pub fn takes(kind: Kind, status: &DesiredStatus) -> bool {
    !(status.of_pull && kind.holds_merges_by_statuses())
}

/// Returns the statuses to send now: changed ones, not too soon after the last. `can_be_told`: whether its forge is
/// configured and can be called now, so that the others do not take a slot from those that can be sent.
#[must_use]
pub fn due(
    sent: &BTreeMap<Key, SentStatus>,
    desired: &BTreeMap<Key, DesiredStatus>,
    can_be_told: impl Fn(&Key, &DesiredStatus) -> bool,
    now: Timestamp,
) -> Vec<(Key, DesiredStatus)> {
    let news = desired.iter().filter(|(key, desired)| {
        let is_news = sent.get(*key).is_none_or(|last| {
            last.change != desired.change && now.duration_since(last.at).abs() >= APART
        });
        is_news && can_be_told(key, desired)
    });
    news.take(AT_ONCE)
        .map(|(key, desired)| (key.clone(), desired.clone()))
        .collect()
}

#[cfg(test)]
mod tests;

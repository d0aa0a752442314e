//! Rollouts, their waves and clusters.

use flotilla_proto::v1;
use flotilla_shared::id::RepositoryName;
use flotilla_shared::reason::Reason;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::{Step, digits, moment, text};

/// Most budgets that are taken in.
const MAX_BUDGETS: usize = 8;
const MAX_GATES: usize = 50;
/// Most commits that wait beside a rollout.
const MAX_APART: usize = 100;

/// The way of commits through an environment, wave by wave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rollout {
    /// `<environment>-<number>`.
    pub id: String,
    /// The one whose clusters it changes.
    pub environment: String,
    /// pending, running, soaking, paused, halted, rolledBack, succeeded or superseded.
    pub state: String,
    /// What it brings.
    pub target: Vec<RepositoryCommit>,
    /// The last good commits when it began.
    pub from: Vec<RepositoryCommit>,
    /// The waves in their order.
    pub waves: Vec<Wave>,
    /// Index of the present wave.
    pub wave: usize,
    /// When its commits were first seen.
    pub created_at: Option<Timestamp>,
    /// When its first cluster could be started.
    pub started_at: Option<Timestamp>,
    /// When it was over.
    pub ended_at: Option<Timestamp>,
    /// Why it stands as it does.
    pub note: String,
    /// Why nobody can tell beforehand whom the commits change; empty: it can be told, or it is over.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub unread: String,
    /// What it changes of what the fleet file declares: application, field, before and after.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<String>,
    /// How much of each budget is used, while it is not over.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub budgets: Vec<Budget>,
    /// The first of the gates that hold it back now.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<Step>,
    /// How many more do.
    #[serde(skip_serializing_if = "is_zero")]
    pub more_gates: u32,
    /// What the environment is asked for and it does not bring, since gates of its own are closed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub apart: Vec<Apart>,
    /// Its clusters, where they were asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub clusters: Vec<Progress>,
}

/// A rollout in a list, which does not count its clusters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RolloutSummary<'r> {
    /// `<environment>-<number>`.
    id: &'r str,
    /// The one whose clusters it changes.
    environment: &'r str,
    /// pending, running, soaking, paused, halted, rolledBack, succeeded or superseded.
    state: &'r str,
    /// What it brings.
    target: &'r [RepositoryCommit],
    /// The last good commits when it began.
    from: &'r [RepositoryCommit],
    /// By name, in order.
    waves: Vec<&'r str>,
    /// Index of the present wave.
    wave: usize,
    /// When its commits were first seen.
    created_at: Option<Timestamp>,
    /// When its first cluster could be started.
    started_at: Option<Timestamp>,
    /// When it was over.
    ended_at: Option<Timestamp>,
    /// Why it stands as it does.
    note: &'r str,
    /// What it changes of what the fleet file declares: application, field, before and after.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    changes: &'r [String],
}

impl<'r> From<&'r Rollout> for RolloutSummary<'r> {
    fn from(rollout: &'r Rollout) -> Self {
        Self {
            id: &rollout.id,
            environment: &rollout.environment,
            state: &rollout.state,
            target: &rollout.target,
            from: &rollout.from,
            waves: rollout
                .waves
                .iter()
                .map(|wave| wave.name.as_str())
                .collect(),
            wave: rollout.wave,
            created_at: rollout.created_at,
            started_at: rollout.started_at,
            ended_at: rollout.ended_at,
            note: &rollout.note,
            changes: &rollout.changes,
        }
    }
}

/// A commit that waits by itself beside a rollout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Apart {
    /// What waits; of the fleet file, the digest of what is declared.
    #[serde(flatten)]
    pub commit: RepositoryCommit,
    /// What holds it back, in words, with what lets it in.
    pub text: String,
    /// Each of its gates that is closed.
    pub gates: Vec<Step>,
}

impl Apart {
    /// Whether people's approval of it is among what it waits for.
    #[must_use]
    pub fn wants_approval(&self) -> bool {
        asks_people(&self.gates)
    }
}

fn asks_people(gates: &[Step]) -> bool {
    let mut gates = gates.iter();
    gates.any(|gate| gate.reason == Reason::ApprovalNeeded.as_str())
}

impl From<&v1::WaitingCommit> for Apart {
    fn from(wire: &v1::WaitingCommit) -> Self {
        let commit = wire.commit.as_ref();
        Self {
            commit: RepositoryCommit {
                repository: commit.map(|one| text(&one.repository)).unwrap_or_default(),
                commit: commit.map(|one| text(&one.commit)).unwrap_or_default(),
            },
            text: text(&wire.text),
            gates: wire.gates.iter().take(MAX_GATES).map(Step::from).collect(),
        }
    }
}

/// How much of a budget is used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Budget {
    /// failed, unavailable or offline.
    pub budget: String,
    /// Clusters that count against it now.
    pub used: u32,
    /// As many as it takes.
    pub at_most: u32,
}

fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// One commit of one repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct RepositoryCommit {
    /// Its name in the fleet file; `fleet-file` for what that itself declares.
    pub repository: String,
    /// Full commit id.
    pub commit: String,
}

/// How many clusters of a wave are how far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Wave {
    /// As in the strategy; `rest` where that has no last wave for what is left.
    pub name: String,
    /// Clusters that have not started.
    pub waiting: u32,
    /// Given the new commits.
    pub started: u32,
    /// Healthy, for less than the soak.
    pub soaking: u32,
    /// Were healthy, and are not now.
    pub unavailable: u32,
    /// Healthy for the soak.
    pub done: u32,
    /// Did not get there.
    pub failed: u32,
    /// Kept out by a pin.
    pub pinned: u32,
    /// Kept out, since a person asked them to write nothing.
    pub suspended: u32,
    /// Render the same from the new commits as before, as far as that is known.
    pub unchanged: u32,
    /// How many people must approve before it begins.
    pub approvals: u32,
    /// Who approved it.
    pub approved_by: Vec<String>,
    /// How long its clusters must stay healthy.
    pub soak_seconds: u32,
    /// Of those that wait, how many are not online.
    #[serde(skip_serializing_if = "is_zero")]
    pub offline: u32,
    /// Of those that are done, how many render the same as before.
    #[serde(skip_serializing_if = "is_zero")]
    pub done_unchanged: u32,
    /// When the last of those that soak has soaked long enough, if all stay healthy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub soak_ends_at: Option<Timestamp>,
}

impl Wave {
    /// Clusters that take part.
    #[must_use]
    pub fn total(&self) -> u32 {
        self.waiting + self.started + self.soaking + self.unavailable + self.done + self.failed
    }

    /// Whether people have to approve before it begins, and too few did.
    #[must_use]
    pub fn wants_approval(&self) -> bool {
        let touched = self.started + self.soaking + self.unavailable + self.done + self.failed;
        // That clusters were let through is no word on the wave: the hub still asks.
        let begun = touched.saturating_sub(self.unchanged) > 0;
        !begun && self.approved_by.len() < self.approvals as usize
    }
}

/// One cluster's part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// Its name in the fleet.
    pub cluster: String,
    /// The name of the wave that it is in.
    pub wave: String,
    /// waiting, pinned, suspended, started, soaking, unavailable, done or failed.
    pub phase: String,
    /// Since when it is in this phase.
    pub since: Option<Timestamp>,
    /// When it was given the new commits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// A code where something is wrong.
    pub reason: String,
    /// For a person.
    pub message: String,
    /// It renders the same from the new commits as before.
    pub unchanged: bool,
}

pub(super) fn commits(wire: &[v1::RepositoryCommit]) -> Vec<RepositoryCommit> {
    wire.iter()
        .map(|one| RepositoryCommit {
            repository: text(&one.repository),
            commit: text(&one.commit),
        })
        .collect()
}

impl RepositoryCommit {
    /// Commits, shortened, for a line of text: `3f2a9c1+fleet file 77aa01b`; empty: there are none.
    #[must_use]
    pub fn title(commits: &[Self]) -> String {
        let one = |one: &Self| match one.is_fleet_file() {
            true => format!("fleet file {}", digits(&one.commit)),
            false => digits(&one.commit).to_owned(),
        };
        let all: Vec<String> = commits.iter().map(one).collect();
        all.join("+")
    }

    /// Whether it is the digest of what the fleet file declares, and no commit of a repository.
    #[must_use]
    pub fn is_fleet_file(&self) -> bool {
        self.repository == RepositoryName::fleet_file().as_str()
    }
}

impl From<&v1::RolloutStatus> for Rollout {
    fn from(wire: &v1::RolloutStatus) -> Self {
        Self {
            id: text(&wire.id),
            environment: text(&wire.environment),
            state: text(&wire.state),
            target: commits(&wire.target),
            from: commits(&wire.from),
            waves: wire
                .waves
                .iter()
                .map(|wave| Wave {
                    name: text(&wave.name),
                    waiting: wave.waiting,
                    started: wave.started,
                    soaking: wave.soaking,
                    unavailable: wave.unavailable,
                    done: wave.done,
                    failed: wave.failed,
                    pinned: wave.pinned,
                    suspended: wave.suspended,
                    unchanged: wave.unchanged,
                    approvals: wave.approvals,
                    approved_by: wave.approved_by.iter().map(|name| text(name)).collect(),
                    soak_seconds: wave.soak_seconds,
                    offline: wave.offline.min(wave.waiting),
                    done_unchanged: wave.done_unchanged.min(wave.done),
                    soak_ends_at: moment(wave.soak_ends_at.as_ref()),
                })
                .collect(),
            wave: wire.wave as usize,
            created_at: moment(wire.created_at.as_ref()),
            started_at: moment(wire.started_at.as_ref()),
            ended_at: moment(wire.ended_at.as_ref()),
            note: text(&wire.note),
            clusters: wire
                .clusters
                .iter()
                .map(|one| Progress {
                    cluster: text(&one.cluster),
                    wave: text(&one.wave),
                    phase: text(&one.phase),
                    since: moment(one.since.as_ref()),
                    started_at: moment(one.started_at.as_ref()),
                    reason: text(&one.reason),
                    message: text(&one.message),
                    unchanged: one.unchanged,
                })
                .collect(),
            budgets: wire
                .budgets
                .iter()
                .take(MAX_BUDGETS)
                .map(|one| Budget {
                    budget: text(&one.budget),
                    used: one.used,
                    at_most: one.at_most,
                })
                .collect(),
            gates: wire.gates.iter().take(MAX_GATES).map(Step::from).collect(),
            more_gates: wire.more_gates,
            apart: wire.apart.iter().take(MAX_APART).map(Apart::from).collect(),
            unread: text(&wire.unread),
            changes: wire.changes.iter().map(|line| text(line)).collect(),
        }
    }
}

impl Rollout {
    /// The wave that wants a person's approval now; none: none does.
    #[must_use]
    pub fn wants_approval(&self) -> Option<&Wave> {
        let (present, passed) = self.waves.get(..=self.wave)?.split_last()?;
        let runs = matches!(self.state.as_str(), "running" | "soaking");
        // Who comes back behind a wave that was passed by nobody waits for its approval.
        let waits = self.waves.iter().any(|wave| wave.waiting > 0);
        let passed = passed.iter().filter(|wave| waits && wave.done == 0);
        let mut asking = passed.chain([present]);
        asking.find(|wave| runs && wave.wants_approval())
    }

    /// Whether people's approval of its commits is among what it waits for.
    #[must_use]
    pub fn wants_commits_approved(&self) -> bool {
        self.state == "pending" && asks_people(&self.gates)
    }

    /// Whether nothing more will happen.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(
            self.state.as_str(),
            "rolledBack" | "succeeded" | "superseded"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wave(wire: v1::WaveStatus) -> v1::RolloutStatus {
        v1::RolloutStatus {
            id: "prod-1".to_owned(),
            state: "running".to_owned(),
            waves: vec![v1::WaveStatus {
                name: "all".to_owned(),
                approvals: 1,
                ..wire
            }],
            ..v1::RolloutStatus::default()
        }
    }

    fn wants(wire: v1::WaveStatus) -> bool {
        Rollout::from(&wave(wire)).wants_approval().is_some()
    }

    #[test]
    fn a_wave_that_nobody_was_in_is_asked_for_while_somebody_waits_behind_it() {
        let mut wire = wave(v1::WaveStatus {
            suspended: 1,
            ..v1::WaveStatus::default()
        });
        wire.waves.push(v1::WaveStatus {
            name: "rest".to_owned(),
            waiting: 1,
            ..v1::WaveStatus::default()
        });
        wire.wave = 1;
        let asked = |wire: &v1::RolloutStatus| {
            let rollout = Rollout::from(wire);
            rollout.wants_approval().map(|wave| wave.name.clone())
        };
        assert_eq!(asked(&wire).as_deref(), Some("all"));
        let mut taken = wire.clone();
        taken.waves[0].done = 1;
        taken.waves[0].unchanged = 1;
        assert_eq!(asked(&taken), None, "it was passed by who is in it");
        wire.waves[1].waiting = 0;
        assert_eq!(asked(&wire), None, "nobody waits for it");
    }

    #[test]
    fn clusters_that_nothing_changes_for_do_not_begin_a_wave() {
        let passed = v1::WaveStatus {
            waiting: 2,
            started: 1,
            done: 2,
            unchanged: 3,
            ..v1::WaveStatus::default()
        };
        assert!(wants(passed.clone()));
        let begun = v1::WaveStatus {
            soaking: 1,
            ..passed.clone()
        };
        assert!(!wants(begun), "one of them was started");
        let given = v1::WaveStatus {
            approved_by: vec!["bob".to_owned()],
            ..passed
        };
        assert!(!wants(given));
    }
}

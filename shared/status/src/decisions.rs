//! Decisions of operators and rollouts about an environment.

mod way_back;

pub use self::way_back::{GoodCommit, RollbackTarget};

use flotilla_shared::words;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::digits;
use super::rollout::RepositoryCommit;

/// Decisions about an environment.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Decisions {
    /// Who paused its rollouts, when and why.
    pub paused: Option<Mark>,
    /// Why automatic promotions are held; none: they are not.
    pub hold: Option<Mark>,
    /// Pins of the environment and of its clusters.
    pub pins: Vec<Pin>,
    /// Commits that failed and will not be retried.
    pub quarantined: Vec<Quarantine>,
    /// Good commits, oldest first.
    pub good: Vec<Good>,
    /// Approvals of commits, oldest first.
    pub approvals: Vec<Approval>,
    /// Name of the environment.
    #[serde(skip)]
    pub environment: String,
    /// What an override lets in; none: an older hub does not say.
    #[serde(skip)]
    pub held: Option<Vec<Held>>,
}

impl Decisions {
    /// Whether another commit became good since in each repository of which one failed.
    #[must_use]
    pub fn is_history(&self, failed: &Quarantine) -> bool {
        let good_since = |repository: &str| {
            let of = |good: &Good| {
                let mut all = good.commits.iter();
                all.find(|entry| entry.repository == repository)
                    .map(|entry| entry.commit.clone())
            };
            let present = self.good.last().and_then(of)?;
            let same = self.good.iter().rev();
            let first = same.take_while(|good| of(good).as_ref() == Some(&present));
            first.last().and_then(|good| good.at)
        };
        let mut commits = failed.commits.iter();
        !failed.commits.is_empty()
            && commits
                .all(|entry| good_since(&entry.repository).is_some_and(|at| Some(at) >= failed.at))
    }
}

/// A commit that is kept out of an environment now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Of the fleet file, the digest of what is declared.
    pub commit: RepositoryCommit,
    /// By what, in words that follow the commit: `which prod-3 brings`.
    pub why: String,
    /// Nothing asks for it any more: who overrides all that is held back does not mean it, since it would come in at
    /// once if it ever came back.
    pub given_up: bool,
}

/// An approval of a commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Approval {
    /// Full commit id.
    pub commit: String,
    /// The wave that it is for; empty: the commit itself.
    pub wave: String,
    /// Whether it overrides all gates.
    pub r#override: bool,
    /// Who decided it, why and when.
    pub mark: Option<Mark>,
    /// The repository's name; empty: from an older hub.
    #[serde(skip)]
    pub repository: String,
}

/// Who made a decision, when and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Mark {
    /// An operator's name, or `hub`.
    pub by: String,
    /// The reason, in the words of whoever decided.
    pub reason: String,
    /// When it was decided, by the hub's clock.
    pub at: Option<Timestamp>,
    /// The rollout that was rolled back, where that is the reason.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub rolled_back: String,
    /// Of a hold: repositories whose automatic promotions are held; empty: all of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub repositories: Vec<String>,
}

impl Mark {
    /// Returns what it holds, where it holds automatic promotions: `automatic promotion of fleet held`.
    #[must_use]
    pub fn held(&self) -> String {
        let of = words::of_repositories(self.repositories.iter().map(String::as_str));
        format!("automatic promotion{of} held")
    }
}

/// A pin: a cluster or an environment is kept on commits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Pin {
    /// Name of the pinned cluster; empty: the whole environment.
    pub cluster: String,
    /// The commits that it is pinned to.
    pub commits: Vec<RepositoryCommit>,
    /// Who decided it, why and when.
    pub mark: Option<Mark>,
    /// When the pin expires; none: never.
    pub expires_at: Option<Timestamp>,
    /// Whether its commits have not passed the gates, so that an admin overrode them.
    #[serde(skip)]
    pub unproven: bool,
}

/// Commits that failed in a rollout and are quarantined.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Quarantine {
    /// The commits of the rollout: at most one for each repository.
    pub commits: Vec<RepositoryCommit>,
    /// Id of the rollout.
    pub rollout: String,
    /// Why the rollout ended; message for operators.
    pub reason: String,
    /// When the rollout ended, by the hub's clock.
    pub at: Option<Timestamp>,
}

impl Quarantine {
    /// Returns the message for operators of an environment: that the commits failed, and what to do next. `asked` is
    /// the commit among them that the branch still asks for, if any.
    #[must_use]
    pub fn told(&self, environment: &str, asked: Option<&str>) -> String {
        let is_declared = self.commits.iter().any(RepositoryCommit::is_fleet_file);
        let newer = match is_declared {
            true => "another change of the fleet file",
            false => "a newer commit",
        };
        let commit = asked.map_or_else(String::new, |asked| format!(" --commit {}", digits(asked)));
        format!(
            "{} failed in {} and will not be retried; push {newer}, or run flotilla promote \
             {environment} --force{commit} --reason TEXT",
            RepositoryCommit::title(&self.commits),
            self.rollout
        )
    }
}

/// Commits that became good together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Good {
    /// At most one for each repository.
    pub commits: Vec<RepositoryCommit>,
    /// Id of the rollout.
    pub rollout: String,
    /// Since when they are good.
    pub at: Option<Timestamp>,
    /// In an environment without rollouts: what clusters last reported on each repository's commit.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub seen: Vec<Seen>,
}

/// What clusters reported on a commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Seen {
    /// The repository's name.
    pub repository: String,
    /// Why it was not seen to be healthy; empty: it was.
    pub doubt: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_is_history_once_its_own_repository_went_on() {
        let commit = |repository: &str, digit: &str| RepositoryCommit {
            repository: repository.to_owned(),
            commit: digit.repeat(40),
        };
        let at = |second: i64| Timestamp::from_second(second).ok();
        let good = |second: i64, commits: &[RepositoryCommit]| Good {
            commits: commits.to_vec(),
            rollout: String::new(),
            at: at(second),
            seen: Vec::new(),
        };
        let failed = Quarantine {
            commits: vec![commit("fleet", "2")],
            rollout: "prod-2".to_owned(),
            reason: String::new(),
            at: at(20),
        };
        let mut decisions = Decisions {
            good: vec![good(10, &[commit("fleet", "1"), commit("charts", "1")])],
            ..Decisions::default()
        };
        assert!(!decisions.is_history(&failed));
        let other = good(30, &[commit("fleet", "1"), commit("charts", "2")]);
        decisions.good.push(other);
        assert!(!decisions.is_history(&failed), "another repository went on");
        let own = good(40, &[commit("fleet", "3"), commit("charts", "2")]);
        decisions.good.push(own);
        assert!(decisions.is_history(&failed));
        let told = failed.told("prod", Some(&failed.commits[0].commit));
        assert_eq!(
            told,
            "2222222 failed in prod-2 and will not be retried; push a newer commit, or run flotilla promote prod \
             --force --commit 2222222 --reason TEXT"
        );
    }
}

//! What people and rollouts decided about an environment.

mod way_back;

pub use self::way_back::{GoodCommit, WayBack};

use flotilla_shared::words;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::digits;
use super::rollout::RepositoryCommit;

/// What was decided about an environment.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Decisions {
    /// Who stopped rollouts, and why.
    pub paused: Option<Mark>,
    /// Why no automatic promotion comes in.
    pub hold: Option<Mark>,
    /// Pins of the environment and of its clusters.
    pub pins: Vec<Pin>,
    /// Commits that failed and are not tried again.
    pub quarantined: Vec<Quarantine>,
    /// Good commits, oldest first.
    pub good: Vec<Good>,
    /// Who approved which commit, oldest first.
    pub approvals: Vec<Approval>,
    /// Where all of this holds.
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

/// Somebody's word for a commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Approval {
    /// The full id.
    pub commit: String,
    /// For this wave only; empty: for the commit.
    pub wave: String,
    /// Whether it comes in whatever the gates say.
    pub r#override: bool,
    /// Who, why, when.
    pub mark: Option<Mark>,
    /// Of which repository; empty: an older hub does not say.
    #[serde(skip)]
    pub repository: String,
}

/// What somebody decided: who, when and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Mark {
    /// An operator's name, or `hub`.
    pub by: String,
    /// In their own words.
    pub reason: String,
    /// By the hub's clock.
    pub at: Option<Timestamp>,
    /// The rollout that was rolled back, where that is the reason.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub rolled_back: String,
    /// Of a hold: the repositories of which no automatic promotion comes in; empty: of none one does.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub repositories: Vec<String>,
}

impl Mark {
    /// What it holds, where it holds automatic promotions: `automatic promotion of fleet held`.
    #[must_use]
    pub fn held(&self) -> String {
        let of = words::of_repositories(self.repositories.iter().map(String::as_str));
        format!("automatic promotion{of} held")
    }
}

/// Kept on commits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Pin {
    /// Empty: the environment.
    pub cluster: String,
    /// The commits that it is about.
    pub commits: Vec<RepositoryCommit>,
    /// Who, why, when.
    pub mark: Option<Mark>,
    /// End by itself.
    pub expires_at: Option<Timestamp>,
    /// Its commits have not been through the gates: an admin overrode them.
    #[serde(skip)]
    pub unproven: bool,
}

/// Commits that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Quarantine {
    /// What the rollout brought: at most one for each repository.
    pub commits: Vec<RepositoryCommit>,
    /// In which rollout.
    pub rollout: String,
    /// Why the rollout ended, for a person.
    pub reason: String,
    /// When the rollout ended, by the hub's clock.
    pub at: Option<Timestamp>,
}

impl Quarantine {
    /// That it failed, and what comes in its place, for an operator of an environment. `asked`: the commit of it
    /// that is still asked for, where that is one.
    #[must_use]
    pub fn told(&self, environment: &str, asked: Option<&str>) -> String {
        let is_declared = self.commits.iter().any(RepositoryCommit::is_fleet_file);
        let newer = match is_declared {
            true => "another change of the fleet file",
            false => "a newer commit",
        };
        let commit = asked.map_or_else(String::new, |asked| format!(" --commit {}", digits(asked)));
        format!(
            "{} did not come through in {} and is not tried again; {newer} is, or flotilla promote {environment} \
             --force{commit} --reason TEXT",
            RepositoryCommit::title(&self.commits),
            self.rollout
        )
    }
}

/// Commits that were good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Good {
    /// At most one for each repository.
    pub commits: Vec<RepositoryCommit>,
    /// In which rollout.
    pub rollout: String,
    /// Since when it is so.
    pub at: Option<Timestamp>,
    /// Where there are no rollouts: what clusters said of each repository's commit last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub seen: Vec<Seen>,
}

/// What clusters said of a commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Seen {
    /// Of which repository.
    pub repository: String,
    /// Why it was not seen to be good; empty: it was.
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
            "2222222 did not come through in prod-2 and is not tried again; a newer commit is, or flotilla \
             promote prod --force --commit 2222222 --reason TEXT"
        );
    }
}

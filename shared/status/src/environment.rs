//! Environments and the branches they follow.

use flotilla_shared::health::Health;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::schema::HealthWord;
use super::{Cluster, Mark, Pin, Quarantine, Revision, Rollout, is_empty};

/// Environments and clusters, as `status` shows them.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Fleet {
    /// Environments, in the fleet file's order.
    pub environments: Vec<Environment>,
    /// The clusters that were asked for, sorted by name.
    pub clusters: Vec<Cluster>,
}

/// An environment as the hub knows it, with its last rollout and what holds commits back.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Environment {
    /// Its name in the fleet file, such as `prod`.
    pub name: String,
    /// The branch it follows in every repository.
    pub branch: String,
    /// Name of the environment that it promotes from; empty: none, it is the first one.
    pub promotes_from: String,
    /// The branch in each repository.
    pub branches: Vec<Branch>,
    /// Number of its clusters.
    pub clusters: u32,
    /// Number of those that are online.
    pub online: u32,
    /// Number of those that run exactly what is assigned, healthy.
    pub current: u32,
    /// Number of those that failed or refused their assignment.
    pub failed: u32,
    /// The worst health over online clusters.
    #[schemars(with = "HealthWord")]
    pub health: Health,
    /// The last rollout, without its clusters; none: there was none.
    pub rollout: Option<Rollout>,
    /// Who paused its rollouts, when and why; none: not paused.
    pub paused: Option<Mark>,
    /// Why automatic promotions are held; none: they are not.
    pub hold: Option<Mark>,
    /// The pin of the whole environment.
    pub pin: Option<Pin>,
    /// Failures because of which heads of its branches will not be retried.
    pub quarantined: Vec<Quarantine>,
}

impl Environment {
    /// Returns whether it runs something of a repository: an unused repository holds nothing back and has nothing to
    /// promote. An older hub does not report it; then the commits that its clusters are assigned tell, and if there are
    /// none yet, every repository counts.
    #[must_use]
    pub fn uses(&self, repository: &str) -> bool {
        let own = |branch: &&Branch| branch.repository == repository;
        let Some(branch) = self.branches.iter().find(own) else {
            return false;
        };
        branch.used.unwrap_or_else(|| {
            let mut all = self.branches.iter();
            branch.good.is_some() || all.all(|other| other.good.is_none())
        })
    }
}

/// A branch as the hub last read it.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Branch {
    /// The repository's name.
    pub repository: String,
    /// Its head; none: never read.
    pub head: Option<Revision>,
    /// The commit that clusters are assigned, where it is not the head.
    pub approved: Option<String>,
    /// Subject and author of the head; none: not read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heading: Option<Heading>,
    /// Subject and author of `approved`; none: not read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approved_heading: Option<Heading>,
    /// When the head was first seen.
    pub seen_at: Option<Timestamp>,
    /// When the branch was last read.
    pub checked_at: Option<Timestamp>,
    /// Why the last read failed, as a CamelCase code; empty: it did not.
    #[serde(skip_serializing_if = "is_empty")]
    pub reason: String,
    /// Message for operators.
    #[serde(skip_serializing_if = "is_empty")]
    pub message: String,
    /// The commit that clusters are assigned, whether or not it is the head; none: there is none yet.
    #[serde(skip)]
    pub good: Option<String>,
    /// Whether the environment runs something of the repository; none: an older hub does not say. Who wants to know
    /// asks [`Environment::uses`].
    #[serde(skip)]
    pub used: Option<bool>,
}

/// Subject and author of a commit. Its author chose every word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Heading {
    /// First line of the commit message.
    pub subject: String,
    /// Name of the author.
    pub author: String,
    /// When it was written, by the author's clock.
    pub authored_at: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn branch(repository: &str, good: &str, used: Option<bool>) -> Branch {
        Branch {
            repository: repository.to_owned(),
            head: None,
            approved: None,
            heading: None,
            approved_heading: None,
            seen_at: None,
            checked_at: None,
            reason: String::new(),
            message: String::new(),
            good: Some(good.to_owned()).filter(|good| !good.is_empty()),
            used,
        }
    }

    fn used(branches: Vec<Branch>) -> Vec<String> {
        let names: Vec<String> = branches
            .iter()
            .map(|branch| branch.repository.clone())
            .collect();
        let environment = Environment {
            name: "prod".to_owned(),
            branch: "prod".to_owned(),
            promotes_from: String::new(),
            branches,
            clusters: 0,
            online: 0,
            current: 0,
            failed: 0,
            health: Health::Current,
            rollout: None,
            paused: None,
            hold: None,
            pin: None,
            quarantined: Vec::new(),
        };
        assert!(!environment.uses("missing"));
        let all = names.into_iter();
        all.filter(|name| environment.uses(name)).collect()
    }

    #[test]
    fn the_hub_says_which_repositories_are_used() {
        // The assigned commit does not count where the hub reports `used`.
        let said = [branch("a", "", Some(true)), branch("b", "1", Some(false))];
        assert_eq!(used(said.into()), ["a"]);
        let nothing = [branch("a", "", Some(false)), branch("b", "", Some(false))];
        assert!(used(nothing.into()).is_empty());
    }

    #[test]
    fn of_an_older_hub_what_clusters_are_sent_to_tells() {
        let sent = [branch("a", "1", None), branch("b", "", None)];
        assert_eq!(used(sent.into()), ["a"]);
        let new = [branch("a", "", None), branch("b", "", None)];
        assert_eq!(used(new.into()), ["a", "b"]);
    }
}

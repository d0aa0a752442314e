//! Which clusters prove a commit: those that run something of its repository. A revision of the fleet file is proven by
//! the clusters that it affects. Where none of them took part, the repository stays at its last good commit, whatever
//! else the rollout brought.

use std::collections::BTreeSet;

use flotilla_shared::id::{ClusterName, RepositoryName};
use jiff::Timestamp;

use super::super::Fleet;
use super::super::cluster::{Cluster, Connectivity, OFFLINE_AFTER};
use super::super::redeclared::DeclarationChange;
use super::super::rollout::{Phase, Progress, Rollout, State, listed};

/// Description of clusters that a revision of the fleet file changes.
const GAINS: &str = "is affected by the fleet file";

impl Fleet {
    /// Returns whether a cluster can prove a rollout's commit of a repository, or its revision of the fleet file.
    fn takes(
        &self,
        (name, cluster): (&ClusterName, &Cluster),
        rollout: &Rollout,
        (repository, redeclared): (&RepositoryName, &DeclarationChange<'_>),
    ) -> bool {
        match repository.is_fleet_file() {
            true => redeclared.may_bring(self, (name, &rollout.environment)),
            false => self.takes_from(cluster, repository),
        }
    }

    /// Returns what a finished rollout did not prove: every cluster that runs something of the repository, or that the
    /// fleet file affects, was excluded or is behind.
    pub(in crate::fleet) fn unproven(&self, rollout: &Rollout) -> Vec<RepositoryName> {
        if rollout.state != State::Succeeded {
            return Vec::new();
        }
        let redeclared = self.redeclared(rollout);
        let changed = rollout.changed().into_keys();
        let unproven = changed.filter(|repository| {
            let all = rollout.clusters.iter();
            let mut takers = all.filter(|(name, _)| {
                let cluster = self.clusters.get(name);
                cluster.is_some_and(|cluster| {
                    self.takes((name, cluster), rollout, (repository, &redeclared))
                })
            });
            let mut anybody = false;
            let mut proves = |(_, progress): (_, &Progress)| {
                anybody = true;
                progress.phase == Phase::Done || progress.unchanged
            };
            !takers.any(&mut proves) && anybody
        });
        unproven.collect()
    }

    /// Returns whether nothing changes for any cluster that is online, while clusters that it may change are offline:
    /// it waits for those, and what other clusters can prove does not.
    pub(super) fn waits_for_absent(&self, rollout: &Rollout, now: Timestamp) -> bool {
        if rollout.state != State::Running {
            return false;
        }
        let is_online = |name: &ClusterName| {
            let cluster = self.clusters.get(name);
            let connection = cluster.map(|cluster| cluster.connection(now, OFFLINE_AFTER));
            matches!(connection, Some(Connectivity::Online { .. }))
        };
        let all = rollout.clusters.iter();
        let mut taking_part = all.filter(|(_, progress)| progress.phase.takes_part());
        let (mut done, mut away) = (false, false);
        let alone = taking_part.all(|(name, progress)| match progress.phase {
            Phase::Done => {
                done = true;
                progress.unchanged
            }
            phase => {
                away = true;
                phase == Phase::Waiting && !is_online(name)
            }
        });
        alone && done && away
    }

    /// Returns why a rollout cannot begin: every cluster that runs something of what it brings is excluded. It yields
    /// to what other clusters can prove.
    pub(crate) fn kept_out(&self, rollout: &Rollout, now: Timestamp) -> Option<String> {
        if rollout.started_at.is_some() {
            return None;
        }
        let changed = rollout.changed();
        if changed.is_empty() {
            return None;
        }
        let redeclared = self.redeclared(rollout);
        // A cluster that runs something of several repositories is named once.
        let (mut pinned, mut suspended) = (BTreeSet::new(), BTreeSet::new());
        for repository in changed.keys() {
            let takers = self.clusters_of(&rollout.environment).filter_map(|name| {
                let cluster = self.clusters.get(name)?;
                self.takes((name, cluster), rollout, (repository, &redeclared))
                    .then_some((name, cluster))
            });
            let mut anybody = false;
            for (name, cluster) in takers {
                anybody = true;
                match cluster.record.suspended.is_some() {
                    true => suspended.insert(name),
                    false if self.is_pinned_away(cluster, &changed, now) => pinned.insert(name),
                    false => return None,
                };
            }
            if !anybody {
                return None;
            }
        }
        let of = |names: &BTreeSet<&ClusterName>, what: &str| {
            (!names.is_empty()).then(|| format!("{what} {}", listed(names)))
        };
        let begins = match (pinned.is_empty(), suspended.is_empty()) {
            (_, true) => "unpinned (flotilla unpin --cluster NAME)",
            (true, false) => "resumed (flotilla resume NAME)",
            (false, false) => {
                "unpinned (flotilla unpin --cluster NAME) or resumed (flotilla resume NAME)"
            }
        };
        let kept = [of(&pinned, "pinned:"), of(&suspended, "suspended:")];
        let kept: Vec<String> = kept.into_iter().flatten().collect();
        let repositories = changed
            .keys()
            .filter(|repository| !repository.is_fleet_file());
        let repositories: Vec<&str> = repositories.map(RepositoryName::as_str).collect();
        let runs = format!("runs applications of {}", repositories.join(", "));
        let takes = match (repositories.is_empty(), rollout.specification()) {
            (_, None) => runs,
            (true, Some(_)) => GAINS.to_owned(),
            (false, Some(_)) => format!("{runs} or {GAINS}"),
        };
        Some(format!(
            "every cluster that {takes} is excluded ({}); the rollout starts when one is \
             {begins}; to end it: flotilla abort {} --reason TEXT",
            kept.join("; "),
            rollout.environment
        ))
    }
}

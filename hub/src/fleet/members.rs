//! The clusters of an environment, and their observations for a rollout.

use std::sync::Arc;

use flotilla_shared::id::{ApplicationName, ClusterName, EnvironmentName, RepositoryName};
use jiff::Timestamp;

use super::Fleet;
use super::blame;
use super::cluster::{Cluster, Connectivity, OFFLINE_AFTER};
use super::environment::{Pin, pinned_or};
use super::observe::{self, Lookup, Target};
use super::redeclared::gives;
use super::rollout::{Change, Commits, Exemptions, Observation, Phase, Progress, Rollout, Verdict};
use super::roster::Members;
use super::trees::Answers;
use crate::spec::Environment;

impl Fleet {
    /// Returns the number of clusters that are waiting to be accepted into an environment.
    pub(super) fn joining(&self, environment: &EnvironmentName) -> usize {
        let pending = self.clusters.iter();
        let pending = pending.filter(|(_, cluster)| cluster.record.pending.is_some());
        pending
            .filter(|(name, _)| self.belongs_to(name, environment))
            .count()
    }

    /// Returns the first cluster of the first wave that has clusters.
    pub(super) fn first_member(&self, environment: &Environment) -> Option<ClusterName> {
        let strategy = environment.strategy.as_ref()?;
        let spec = self.declarations.spec();
        let members = self.clusters.members_now(spec, environment, strategy);
        let places = members.iter().map(|(name, (wave, key))| (wave, key, name));
        places.min().map(|(_, _, name)| name.clone())
    }

    /// Returns the observations of its clusters for a rollout.
    pub(super) fn observe(
        &self,
        rollout: &Rollout,
        members: &Members,
        mut answers: Option<&mut Answers>,
        now: Timestamp,
    ) -> Vec<(ClusterName, Observation)> {
        let mut clusters = Lookup::new(self.clusters.all(), members);
        let mut progress = Lookup::new(&rollout.clusters, members);
        let mut all = Vec::with_capacity(members.len());
        let takes = self.takes_away(rollout);
        let redeclared = self.redeclared(rollout);
        let changed = rollout.changed();
        for (name, (wave, sort_key)) in members {
            let (cluster, progress) = (clusters.get(name), progress.get(name));
            let Some(cluster) = cluster else {
                continue;
            };
            let begun = progress.filter(|progress| progress.phase.is_touched());
            let online = matches!(
                cluster.connection(now, OFFLINE_AFTER),
                Connectivity::Online { .. }
            );
            let touches = redeclared.touches(self, (name, &rollout.environment));
            let brings = touches.as_ref().map(gives);
            let pin = cluster.pin(now);
            let aside = begun
                .filter(|progress| !progress.before.unhealthy.is_empty())
                .and_then(|progress| {
                    let what = (touches.as_ref()?, &takes);
                    blame::aside(cluster, progress, rollout, what, pin)
                });
            let none = Exemptions::default();
            let left_aside = aside.as_ref().unwrap_or(&none);
            let was_good = begun.is_none() && runs_good(cluster, rollout, pin);
            let observation = Observation {
                wave: *wave,
                sort_key: Arc::clone(sort_key),
                pinned: self.is_pinned_away(cluster, &changed, now),
                suspended: cluster.record.suspended.is_some(),
                online,
                awaited: !online && cluster.last_seen.is_none() && self.has_just_begun(now),
                can_be_pinned: !online && self.can_be_pinned(cluster),
                verdict: match begun {
                    // Its assignment is still to be computed.
                    Some(progress) if cluster.is_due() && progress.phase == Phase::Started => {
                        Verdict::NotYet
                    }
                    Some(progress) => {
                        let is_brought =
                            |name: &_| self.is_from_any(cluster, name, &rollout.target);
                        let target = Target { rollout, pin };
                        let verdict =
                            observe::verdict(cluster, target, &takes, left_aside, is_brought);
                        since_started(verdict, cluster, progress)
                    }
                    None => Verdict::NotYet,
                },
                blameless: begun.is_some_and(|progress| {
                    blame::is_as_before(cluster, progress, &left_aside.applications)
                }),
                concerned: brings != Some(false)
                    || changed.is_empty()
                    || changed
                        .keys()
                        .any(|repository| self.takes_from(cluster, repository)),
                heard_at: cluster.vouched_at,
                rendered_from: if was_good {
                    cluster.rendered_from
                } else {
                    flotilla_shared::digest::Digest::default()
                },
                change: match answers.as_deref_mut() {
                    _ if begun.is_some() || !was_good => Change::Unknown,
                    _ if brings != Some(false) => {
                        brings.map_or(Change::Unknown, |_| Change::Something)
                    }
                    _ if self.waits_for_any(cluster, &changed) => Change::Something,
                    Some(answers) => self.sources.trees.change(cluster, answers),
                    _ => Change::Unknown,
                },
                carried: !rollout.carried.is_empty() && self.carried(cluster, rollout),
                aside,
            };
            all.push((name.clone(), observation));
        }
        all
    }

    /// Returns whether a cluster runs something of a repository, or is to run it.
    pub(super) fn takes_from(&self, cluster: &Cluster, repository: &RepositoryName) -> bool {
        let assigned = cluster.assigned.as_ref();
        let assigned = assigned.map(|assigned| &assigned.assignment.applications);
        let mut runs = assigned.iter().flat_map(|all| all.values());
        if runs.any(|app| app.revision.repository == *repository) {
            return true;
        }
        self.lacks_from(cluster, repository)
    }

    /// Returns whether a pin excludes a cluster from a rollout of these changes: unless the pin names none of their
    /// repositories, since a cluster that proves one commit has to run all of them.
    pub(super) fn is_pinned_away(
        &self,
        cluster: &Cluster,
        changed: &Commits,
        now: Timestamp,
    ) -> bool {
        cluster.pin(now).is_some_and(|pin| {
            let keeps = |repository: &RepositoryName| {
                repository.is_fleet_file() || pin.commits.contains_key(repository)
            };
            let brings = |repository: &RepositoryName| self.takes_from(cluster, repository);
            changed.keys().any(keeps) || !changed.keys().any(brings)
        })
    }

    /// Returns whether something that is declared for a cluster has had no commit of its repository so far.
    fn waits_for_any(&self, cluster: &Cluster, commits: &Commits) -> bool {
        cluster
            .placed
            .iter()
            .any(|(name, placed)| placed.lacks_commit() && self.is_from_any(cluster, name, commits))
    }

    /// Returns whether there is a commit of an application's repository, as the application is declared for a cluster.
    fn is_from_any(&self, cluster: &Cluster, name: &ApplicationName, commits: &Commits) -> bool {
        let specification = self.specification_of(cluster);
        let source = self.source_of(specification.as_deref(), name);
        source.is_some_and(|source| commits.contains_key(source))
    }

    pub(super) fn carried(&self, cluster: &Cluster, rollout: &Rollout) -> bool {
        cluster.assigned.as_ref().is_some_and(|assigned| {
            let mut by = assigned.assignment.brought_by();
            by.any(|by| rollout.carried.contains(by))
        })
    }
}

/// Returns whether a cluster runs exactly the last good commits, or its pinned ones, by its own report.
fn runs_good(cluster: &Cluster, rollout: &Rollout, pin: Option<&Pin>) -> bool {
    let Some(assigned) = &cluster.assigned else {
        return false;
    };
    let mut applications = assigned.assignment.applications.values();
    let specified = rollout.from.get(RepositoryName::fleet_file());
    cluster.current_since.is_some()
        && cluster.specified.as_ref() == specified
        && cluster
            .report
            .as_ref()
            .is_some_and(|report| report.assignment == assigned.reference)
        && applications.all(|app| {
            pinned_or(pin, &rollout.from, &app.revision.repository) == Some(&app.revision.commit)
        })
}

/// A failure that was reported before a cluster was started or retried belongs to an earlier attempt: this one has the
/// whole progress deadline. A refusal is about the present assignment, whenever the last report was. A healthy report
/// does not count as a recovery while the cluster's assignment is due: what it is still to lose is not known.
fn since_started(verdict: Verdict, cluster: &Cluster, progress: &Progress) -> Verdict {
    let before = cluster.reported_at < progress.started_at && cluster.refusal.is_none();
    match verdict {
        Verdict::Failed(problem) if before && progress.phase == Phase::Started => {
            Verdict::Progressing(problem)
        }
        Verdict::Healthy(_)
            if cluster.is_due() && matches!(progress.phase, Phase::Unavailable | Phase::Failed) =>
        {
            Verdict::NotYet
        }
        verdict => verdict,
    }
}

#[cfg(test)]
mod tests {
    use flotilla_shared::digest::Digest;
    use flotilla_shared::id::Epoch;

    use super::*;
    use crate::fleet::{ClusterRecord, Event};

    /// After a restart its batch may come late, and applications that are withheld from removal are not stored.
    #[test]
    fn who_failed_has_not_recovered_by_a_word_on_what_is_worked_out_anew() {
        let (name, now): (ClusterName, _) = ("c".parse().unwrap(), Timestamp::UNIX_EPOCH);
        let mut fleet = Fleet::new(Epoch(1));
        fleet.absorb(
            Event::ClusterPut(name.clone(), ClusterRecord::default()),
            now,
        );
        let healthy = Verdict::Healthy(Digest::default());
        let judged = |fleet: &Fleet, phase| {
            let mut progress = Progress::waiting(0, now);
            progress.phase = phase;
            since_started(healthy.clone(), &fleet.clusters()[&name], &progress)
        };
        for phase in [Phase::Unavailable, Phase::Failed] {
            assert_eq!(judged(&fleet, phase), healthy);
        }
        fleet.clusters.mark_due([name.clone()].into());
        for phase in [Phase::Unavailable, Phase::Failed] {
            assert_eq!(judged(&fleet, phase), Verdict::NotYet);
        }
        assert_eq!(judged(&fleet, Phase::Soaking), healthy, "it goes on");
    }
}

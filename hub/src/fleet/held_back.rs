//! Commits that an override lets in: those that are currently kept out of an environment, and by what.

use std::collections::BTreeMap;

use flotilla_shared::id::RepositoryName;
use flotilla_shared::revision::Commit;
use jiff::Timestamp;

use super::Fleet;
use super::environment::{EnvironmentState, Quarantine};
use crate::spec::Environment;

/// A commit that is kept out of an environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldBackCommit {
    /// Name of its repository; the fleet file counts as one.
    pub repository: RepositoryName,
    pub commit: Commit,
    /// What keeps it out, in words that follow the commit: `which prod-3 brings`.
    pub why: String,
    /// Nothing asks for it any longer. An override of all commits that are held back does not include it, since it
    /// would come in at once if it ever returned.
    pub given_up: bool,
}

impl HeldBackCommit {
    fn new(repository: &RepositoryName, commit: &Commit, why: String) -> Self {
        Self {
            repository: repository.clone(),
            commit: commit.clone(),
            why,
            given_up: false,
        }
    }

    fn failed(repository: &RepositoryName, commit: &Commit, failure: &Quarantine) -> Self {
        let (id, why) = (&failure.rollout, &failure.reason);
        Self::new(repository, commit, format!("which failed in {id}: {why}"))
    }
}

impl Fleet {
    /// Returns each commit that is kept out of an environment and has had no override since: those of a rollout that is
    /// not over, those that wait beside it, and those that failed. Of failed ones that nothing asks for any longer only
    /// revisions of the fleet file are listed, since they may return.
    #[must_use]
    pub fn held_back(&self, environment: &Environment, now: Timestamp) -> Vec<HeldBackCommit> {
        let empty = EnvironmentState::default();
        let state = self.environments.get(&environment.name).unwrap_or(&empty);
        let newest = self.newest(environment);
        let mut all = Vec::new();
        if let Some(rollout) = self.rollouts.running(&environment.name) {
            let id = &rollout.id;
            for (repository, commit) in &state.not_overridden(&rollout.changed()) {
                // A branch that moved on asks for another commit.
                if repository.is_fleet_file() || newest.get(repository) == Some(commit) {
                    let why = format!("which {id} brings");
                    all.push(HeldBackCommit::new(repository, commit, why));
                }
            }
            for apart in self.apart(environment, now) {
                let why = format!("which waits separately beside {id}");
                all.push(HeldBackCommit::new(&apart.repository, &apart.commit, why));
            }
        }
        let source = RepositoryName::fleet_file();
        let revisions = state.quarantined.iter();
        let revisions = revisions.filter_map(|failure| failure.commits.get(source));
        for revision in revisions.filter(|revision| newest.get(source) != Some(*revision)) {
            if let Some(failure) = state.quarantine_of(source, revision) {
                all.push(HeldBackCommit {
                    given_up: true,
                    ..HeldBackCommit::failed(source, revision, failure)
                });
            }
        }
        for (repository, commit) in &newest {
            if let Some(failure) = state.quarantine_of(repository, commit) {
                all.push(HeldBackCommit::failed(repository, commit, failure));
            }
        }
        // Each commit once, with the last of its reasons.
        let key = |held: HeldBackCommit| ((held.repository.clone(), held.commit.clone()), held);
        let all: BTreeMap<_, _> = all.into_iter().map(key).collect();
        all.into_values().collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use flotilla_shared::id::{EnvironmentName, Epoch};

    use super::*;
    use crate::fleet::Event;
    use crate::fleet::environment::{Approval, Mark, Scope};
    use crate::fleet::rollout::Commits;
    use crate::spec;

    const FILE: &str = "apiVersion: flotilla.dev/v1alpha1
kind: Fleet
repositories: [{name: fleet, url: 'https://git.example.com/fleet.git'}]
environments: [{name: prod, branch: prod}]
applications: [{name: web, repository: fleet, path: web}]
";

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn commit(digit: &str) -> Commit {
        digit.repeat(40).parse().unwrap()
    }

    fn prod() -> EnvironmentName {
        "prod".parse().unwrap()
    }

    /// A fleet whose branch is at `2`, and where nothing is good yet.
    fn fleet() -> Fleet {
        let mut fleet = Fleet::new(Epoch(1));
        let spec = Arc::new(spec::parse("f", FILE).unwrap());
        fleet.absorb(Event::SpecChanged(spec), at(0));
        let event = Event::HeadsRead {
            repository: "fleet".parse().unwrap(),
            asked: vec!["prod".parse().unwrap()],
            found: [("prod".parse().unwrap(), commit("2"))].into(),
        };
        fleet.absorb(event, at(0));
        fleet
    }

    fn decide(fleet: &mut Fleet, decide: impl FnOnce(&mut EnvironmentState)) {
        fleet.decide(&prod(), &mut Vec::new(), decide);
    }

    fn fail(fleet: &mut Fleet, commits: Commits, rollout: &str, second: i64) {
        decide(fleet, |state| {
            state.quarantined.push_back(Quarantine {
                commits,
                rollout: rollout.to_owned(),
                reason: "1 failed".to_owned(),
                at: at(second),
            });
        });
    }

    /// The commits by their first digit, with the reason; given-up ones are in brackets.
    fn told(fleet: &Fleet) -> Vec<String> {
        let spec = Arc::clone(fleet.spec());
        let held = fleet.held_back(spec.environment(&prod()).unwrap(), at(100));
        let line = |held: &HeldBackCommit| {
            let of = match held.repository.is_fleet_file() {
                true => "file",
                false => &held.commit.as_str()[..1],
            };
            match held.given_up {
                true => format!("({of} {})", held.why),
                false => format!("{of} {}", held.why),
            }
        };
        held.iter().map(line).collect()
    }

    #[test]
    fn what_failed_is_held_as_long_as_it_is_asked_for() {
        let mut fleet = fleet();
        assert!(told(&fleet).is_empty());
        let repository: RepositoryName = "fleet".parse().unwrap();
        let (source, declared) = fleet.declared_revision(&prod()).unwrap();
        let old = [
            (repository.clone(), commit("1")),
            (source.clone(), commit("a")),
        ];
        fail(&mut fleet, old.into(), "prod-1", 10);
        let new = [(repository, commit("2")), (source, declared)];
        fail(&mut fleet, new.into(), "prod-2", 20);
        let mut all = told(&fleet);
        all.sort();
        let failed = "which failed in prod-2: 1 failed";
        assert_eq!(
            all,
            [
                "(file which failed in prod-1: 1 failed)".to_owned(),
                format!("2 {failed}"),
                format!("file {failed}"),
            ],
            "of what the branch had before nobody is told"
        );
    }

    #[test]
    fn what_was_overridden_since_is_held_no_more() {
        let mut fleet = fleet();
        let repository: RepositoryName = "fleet".parse().unwrap();
        let bad = Commits::from([(repository.clone(), commit("2"))]);
        let overridden = |second| Approval {
            repository: Some(repository.clone()),
            commit: commit("2"),
            scope: Scope::Override,
            mark: Mark {
                by: "ann".to_owned(),
                reason: "incident".to_owned(),
                at: at(second),
            },
        };
        fail(&mut fleet, bad.clone(), "prod-1", 10);
        decide(&mut fleet, |state| {
            state.approvals.push_back(overridden(20));
        });
        assert!(told(&fleet).is_empty());
        // It was overridden, and failed again.
        fail(&mut fleet, bad, "prod-2", 30);
        assert_eq!(told(&fleet), ["2 which failed in prod-2: 1 failed"]);
        decide(&mut fleet, |state| {
            state.approvals.push_back(overridden(40));
        });
        assert!(told(&fleet).is_empty());
    }
}

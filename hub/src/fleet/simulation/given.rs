//! What a cluster runs changes only by rollouts, for commits and for the fleet file. This law is checked for each
//! assignment, from declarations and decisions, independently of the hub's plans.

use flotilla_shared::assignment::{ApplicationAssignment, Assignment};

use super::edits::NAMES;
use super::file::{ClusterView, Definition, Meaning};
use super::*;
use crate::fleet::rollout::Commits;

/// The decisions about an environment.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Decisions {
    /// Whether commits come by rollouts.
    waves: bool,
    approved: Commits,
    approved_by: String,
    /// The commits of a running rollout, and the clusters that it reached.
    brings: Option<(Commits, BTreeSet<ClusterName>)>,
    heads: Commits,
}

/// Revisions that a cluster may run, including that of the fleet file.
struct Revisions {
    declared: Commit,
    commits: BTreeMap<RepositoryName, BTreeSet<Commit>>,
}

impl Revisions {
    fn of(commits: &Commits) -> Option<Self> {
        let mut commits = commits.clone();
        let declared = commits.remove(RepositoryName::fleet_file())?;
        let commits = commits.into_iter();
        Some(Self {
            declared,
            commits: commits
                .map(|(source, commit)| (source, [commit].into()))
                .collect(),
        })
    }

    fn add(&mut self, more: &Commits) {
        for (repository, commit) in more {
            let known = self.commits.entry(repository.clone()).or_default();
            known.insert(commit.clone());
        }
    }
}

impl Simulation {
    pub(super) fn stands_now(&self) -> BTreeMap<EnvironmentName, Decisions> {
        let of = |environment: &crate::spec::Environment| {
            let name = &environment.name;
            let state = self.hub.environments().get(name);
            let rollout = self.hub.rollouts().get(name);
            let rollout = rollout.filter(|rollout| !rollout.state.is_over());
            let touched = |rollout: &Rollout| {
                let all = rollout.clusters.iter();
                let all = all.filter(|(_, progress)| progress.phase.is_touched());
                all.map(|(name, _)| name.clone()).collect()
            };
            let heads = self.hub.heads().iter();
            let heads = heads.filter(|((_, branch), _)| *branch == environment.branch);
            let stand = Decisions {
                waves: environment.strategy.is_some() || rollout.is_some(),
                approved: state
                    .map(|state| state.approved.clone())
                    .unwrap_or_default(),
                approved_by: state
                    .map(|state| state.approved_by.clone())
                    .unwrap_or_default(),
                brings: rollout.map(|rollout| (rollout.target.clone(), touched(rollout))),
                heads: heads
                    .filter_map(|((repository, _), head)| {
                        Some((repository.clone(), head.commit.clone()?))
                    })
                    .collect(),
            };
            (name.clone(), stand)
        };
        self.hub.spec().environments.iter().map(of).collect()
    }

    /// Returns the clusters that are known to be outside an environment.
    fn elsewhere(&self, environment: &str) -> BTreeSet<ClusterName> {
        let known = self.hub.clusters().keys().chain(self.file.clusters.keys());
        known
            .filter(|name| {
                let at = self.hub.environment_of(name);
                at.is_some_and(|at| at.as_str() != environment)
            })
            .cloned()
            .collect()
    }

    /// Returns the meaning of the present file for an environment.
    pub(super) fn meaning(&self, environment: &str) -> Meaning {
        Meaning {
            file: self.file.clone(),
            elsewhere: self.elsewhere(environment),
        }
    }

    /// Notes the meaning of each revision of the file.
    pub(super) fn note_meanings(&mut self) {
        let environments = self.hub.spec().environments.iter();
        let names: Vec<EnvironmentName> = environments
            .map(|environment| environment.name.clone())
            .collect();
        for name in names {
            let Some((_, revision)) = self.hub.declared_revision(&name) else {
                continue;
            };
            let key = (name, revision);
            if !self.meanings.contains_key(&key) {
                let meaning = self.meaning(key.0.as_str());
                self.meanings.insert(key, meaning);
            }
        }
    }

    pub(super) fn place<'p>(
        &'p self,
        name: &'p ClusterName,
        environment: &'p str,
    ) -> ClusterView<'p> {
        ClusterView {
            name,
            environment,
            record: &self.hub.clusters()[name].record,
            present: &self.file,
        }
    }

    fn means(&self, environment: &EnvironmentName, revision: &Commit) -> &Meaning {
        let key = (environment.clone(), revision.clone());
        let meaning = self.meanings.get(&key);
        meaning.unwrap_or_else(|| panic!("nobody declared {revision} for {environment}"))
    }

    /// Returns the revisions that a cluster may run in an environment with these decisions.
    fn sources(
        &self,
        name: &ClusterName,
        environment: &EnvironmentName,
        stand: &Decisions,
    ) -> Vec<Revisions> {
        let mut sources: Vec<Revisions> = Vec::new();
        if stand.waves {
            sources.extend(Revisions::of(&stand.approved));
            let brings = stand.brings.as_ref();
            let brings = brings.filter(|(_, touched)| touched.contains(name));
            sources.extend(brings.and_then(|(target, _)| Revisions::of(target)));
        } else if let Some((_, declared)) = self.hub.declared_revision(environment) {
            let mut source = Revisions {
                declared,
                commits: BTreeMap::new(),
            };
            let mut approved = stand.approved.clone();
            approved.remove(RepositoryName::fleet_file());
            source.add(&approved);
            source.add(&stand.heads);
            sources.push(source);
        }
        let own = self.hub.clusters()[name].record.pin.as_ref();
        let state = self.hub.environments().get(environment);
        let all = state.and_then(|state| state.pin.as_ref());
        for source in &mut sources {
            for pin in [own, all].into_iter().flatten() {
                source.add(&pin.commits);
            }
        }
        sources
    }

    fn all_sources(
        &self,
        name: &ClusterName,
        environment: &EnvironmentName,
        stands: [&BTreeMap<EnvironmentName, Decisions>; 2],
    ) -> Vec<Revisions> {
        let stands = stands.into_iter().filter_map(|all| all.get(environment));
        stands
            .flat_map(|stand| self.sources(name, environment, stand))
            .collect()
    }

    /// A cluster is assigned only commits and definitions that a rollout has brought there, that are good, or that are
    /// pinned (case 35). Nothing is taken from it that neither the file nor the revision in force there takes, and what
    /// is removed is removed by both.
    pub(super) fn check_given(
        &self,
        name: &ClusterName,
        before: Option<&DecodedAssignment>,
        after: &DecodedAssignment,
        stands: [&BTreeMap<EnvironmentName, Decisions>; 2],
    ) {
        let after = &after.assignment;
        let environment = &after.environment;
        if self.hub.environment_of(name).as_ref() != Some(environment) || after.suspended {
            return;
        }
        let sources = self.all_sources(name, environment, stands);
        let place = self.place(name, environment.as_str());
        let had = |app: &ApplicationName| {
            let before = before.and_then(|before| before.assignment.applications.get(app));
            before.map(|before| (before.revision.commit.clone(), Definition::of(before)))
        };
        let pin = self.hub.clusters()[name].record.pin.as_ref();
        let keeps = |repository: &RepositoryName| {
            let waves = stands
                .iter()
                .all(|all| all.get(environment).is_none_or(|meaning| meaning.waves));
            waves && pin.is_some_and(|pin| pin.commits.contains_key(repository))
        };
        let is_there = before.is_some_and(|before| before.assignment.environment == *environment);
        for (app, application) in &after.applications {
            let now = (
                application.revision.commit.clone(),
                Definition::of(application),
            );
            if had(app).as_ref() == Some(&now) {
                continue;
            }
            // A pinned cluster keeps its definitions, whatever becomes good for others meanwhile.
            let pinned = had(app).filter(|_| is_there && keeps(&application.revision.repository));
            assert!(
                pinned.is_none_or(|(_, definition)| definition == now.1),
                "{name} is pinned and was given {app} {now:?}; it had {:?}",
                had(app)
            );
            let brought = sources
                .iter()
                .any(|source| self.is_from(source, app, application, &place, environment));
            assert!(
                brought,
                "{name} was given {app} {now:?}, which no rollout has brought; it had {:?}; {:?}",
                had(app),
                stands.map(|all| all.get(environment))
            );
        }
        let present = self.meaning(environment.as_str());
        let before = before.map(|stored| &stored.assignment);
        let before = before.filter(|assignment| assignment.environment == *environment);
        for app in before
            .iter()
            .flat_map(|assignment| assignment.applications.keys())
        {
            let is_taken = |meaning: &Meaning| !meaning.places(app.as_str(), &place);
            let in_force = sources.iter();
            let mut in_force = in_force.map(|stand| self.means(environment, &stand.declared));
            assert!(
                after.applications.contains_key(app)
                    || is_taken(&present)
                    || in_force.any(is_taken),
                "{app} was taken out of what is assigned to {name}, and nobody said so"
            );
        }
        let lacks = |meaning: &Meaning, app: &str| {
            meaning.places(app, &place)
                && present.places(app, &place)
                && !after.applications.contains_key(app)
        };
        self.check_known((name, environment), after, stands);
        for (app, tombstone) in &after.tombstones {
            let removes = |meaning: &Meaning| {
                let keeps = meaning.file.removal(app.as_str(), environment.as_str());
                let keeps = keeps.filter(|_| !meaning.places(app.as_str(), &place));
                keeps.is_some_and(|keeps| !tombstone.delete_objects || !keeps)
            };
            let was = before.and_then(|assignment| assignment.tombstones.get(app));
            let mut in_force = sources.iter();
            // That its objects are kept after all takes effect at once.
            let brought = was.is_some_and(|was| was.delete_objects || !tombstone.delete_objects)
                || in_force.any(|stand| removes(self.means(environment, &stand.declared)));
            assert!(
                removes(&present) && brought,
                "{app} is removed from {name} ({tombstone:?}), and not both said so: {brought}"
            );
            // A renamed application is handed over: its old name loses nothing before the new one is there.
            let is_new = tombstone.delete_objects && was.is_none_or(|was| !was.delete_objects);
            let is_whole = |stand: &Revisions| {
                let meaning = self.means(environment, &stand.declared);
                removes(meaning) && !NAMES.into_iter().any(|other| lacks(meaning, other))
            };
            assert!(
                !is_new || sources.iter().any(is_whole),
                "{app} is removed from {name} with its objects, which may be meant for what is not assigned yet"
            );
        }
    }

    /// Each application that is declared for a cluster is assigned as declared, or reported as unresolved. While
    /// anything is unresolved, nothing is removed with its objects.
    fn check_known(
        &self,
        (name, environment): (&ClusterName, &EnvironmentName),
        after: &Assignment,
        stands: [&BTreeMap<EnvironmentName, Decisions>; 2],
    ) {
        let mut tombstones = after.tombstones.values();
        let deletes = tombstones.any(|tombstone| tombstone.delete_objects);
        assert!(
            !deletes || after.unresolved.is_empty(),
            "{name} is to delete while {:?} are not known",
            after.unresolved
        );
        // With rollouts a declaration waits for its rollout.
        let mut stands = stands.iter().filter_map(|all| all.get(environment));
        if stands.any(|stand| stand.waves) {
            return;
        }
        let (present, place) = (
            self.meaning(environment.as_str()),
            self.place(name, environment.as_str()),
        );
        for app in NAMES.iter().filter(|app| present.places(app, &place)) {
            let given = after.applications.get(*app);
            let given = given.map(|application| Definition::of(application));
            assert!(
                after.unresolved.contains(*app)
                    || (given.is_some() && given == present.defines(app, &place)),
                "{name} is not assigned {app} as it is declared, and is not told so: {given:?}"
            );
        }
    }

    /// Returns whether revisions declare an application from a repository of which they have no commit.
    pub(super) fn is_left(
        &self,
        name: &ClusterName,
        environment: &EnvironmentName,
        app: &ApplicationName,
        revisions: &Commits,
    ) -> bool {
        let declared = &revisions[RepositoryName::fleet_file()];
        let meaning = self.means(environment, declared);
        let place = self.place(name, environment.as_str());
        let defined = meaning.defines(app.as_str(), &place);
        defined.is_some_and(|definition| !revisions.contains_key(definition.repository.as_str()))
    }

    fn is_from(
        &self,
        source: &Revisions,
        app: &ApplicationName,
        application: &ApplicationAssignment,
        place: &ClusterView<'_>,
        environment: &EnvironmentName,
    ) -> bool {
        let revision = &application.revision;
        let commits = source.commits.get(&revision.repository);
        let meaning = self.means(environment, &source.declared);
        commits.is_some_and(|commits| commits.contains(&revision.commit))
            && meaning.defines(app.as_str(), place) == Some(Definition::of(application))
    }

    /// Returns whether another revision of the file gives a cluster something that the one before did not, or removes
    /// something from it.
    fn is_given_by(
        &self,
        name: &ClusterName,
        environment: &EnvironmentName,
        (was, is): (&Meaning, &Meaning),
    ) -> bool {
        let place = self.place(name, environment.as_str());
        let removal = |meaning: &Meaning, app| {
            let keeps = meaning.file.removal(app, environment.as_str());
            keeps.filter(|_| !meaning.places(app, &place))
        };
        NAMES.iter().any(|app| {
            let defined = is.defines(app, &place);
            let removed = removal(is, app);
            (defined.is_some() && defined != was.defines(app, &place))
                || (removed.is_some() && removed != removal(was, app))
        })
    }

    /// Returns what a successful rollout has made good: its commits, except for repositories of which all clusters that
    /// run something of them were excluded or left behind (promise 4), and except for a revision of the file if that
    /// is so for all clusters to which it gives something. These stay where they were.
    fn proven(&self, rollout: &Rollout, before: &Commits, after: &Commits) -> Commits {
        let mut proven = rollout.target.clone();
        for (repository, commit) in rollout.changed() {
            let takes = |name: &ClusterName| {
                if repository.is_fleet_file() {
                    let environment = &rollout.environment;
                    let was = rollout.from.get(&repository);
                    return was.is_none_or(|was| {
                        let pair = [was, &commit].map(|revision| self.means(environment, revision));
                        self.is_given_by(name, environment, (pair[0], pair[1]))
                    });
                }
                let assigned = self.disk.assignments.get(name);
                let assigned = assigned.iter().map(|stored| &stored.decoded.assignment);
                let mut apps = assigned.flat_map(|assignment| assignment.applications.values());
                apps.any(|app| app.revision.repository == repository)
            };
            // The next rollout may have assigned something else at the same moment.
            let took = |name: &ClusterName, progress: &Progress| {
                let environment = &rollout.environment;
                let place = self.place(name, environment.as_str());
                let declared = rollout.target.get(RepositoryName::fleet_file());
                let meaning = declared.map(|declared| self.means(environment, declared));
                (progress.phase == Phase::Done || progress.unchanged)
                    && meaning.is_some_and(|meaning| {
                        let mut defined =
                            NAMES.iter().filter_map(|app| meaning.defines(app, &place));
                        defined
                            .any(|definition| definition.repository.as_str() == repository.as_str())
                    })
            };
            let all = rollout.clusters.iter();
            let takers = all.filter(|(name, progress)| takes(name) || took(name, progress));
            let takers: Vec<&Progress> = takers.map(|(_, progress)| progress).collect();
            let is_proven = takers
                .iter()
                .any(|progress| progress.phase == Phase::Done || progress.unchanged);
            if after.get(&repository) == Some(&commit) {
                assert!(
                    takers.is_empty() || is_proven,
                    "{} made {commit} of {repository} good, and nobody has proven it",
                    rollout.id
                );
            } else if after.get(&repository) == before.get(&repository) {
                match before.get(&repository) {
                    Some(good) => proven.insert(repository, good.clone()),
                    None => proven.remove(&repository),
                };
            }
        }
        proven
    }

    /// Commits become good by a rollout that brought them everywhere, or by an edit that gives no cluster anything.
    pub(super) fn check_good(
        &self,
        before: &BTreeMap<EnvironmentName, Decisions>,
        after: &BTreeMap<EnvironmentName, Decisions>,
    ) {
        let pairs = after
            .iter()
            .filter_map(|(name, after)| Some((name, before.get(name)?, after)));
        for (environment, before, after) in pairs {
            if !before.waves || !after.waves || before.approved == after.approved {
                continue;
            }
            let by = self.disk.rollouts.get(&after.approved_by);
            let by = by.filter(|rollout| rollout.state == State::Succeeded);
            let from = match by {
                Some(rollout) if before.approved_by != after.approved_by => {
                    self.proven(rollout, &before.approved, &after.approved)
                }
                _ => before.approved.clone(),
            };
            if from == after.approved {
                continue;
            }
            let (Some(old), Some(new)) = (Revisions::of(&from), Revisions::of(&after.approved))
            else {
                panic!("what is good in {environment} became {after:?} after {before:?}");
            };
            let (was, is) = (
                self.means(environment, &old.declared),
                self.means(environment, &new.declared),
            );
            let all = self.hub.clusters().keys();
            for name in all.filter(|name| self.hub.belongs_to(name, environment)) {
                let place = self.place(name, environment.as_str());
                for app in NAMES {
                    let defined = is.defines(app, &place);
                    let commit = defined.as_ref().map(|definition| {
                        let repository: RepositoryName = definition.repository.parse().unwrap();
                        (old.commits.get(&repository), new.commits.get(&repository))
                    });
                    let same = commit.is_none_or(|(old, new)| old == new);
                    assert!(
                        same && (defined.is_none() || defined == was.defines(app, &place)),
                        "what is good in {environment} gave {app} to {name} without a rollout: \
                         {defined:?} {commit:?} after {:?}",
                        was.defines(app, &place)
                    );
                    let removal = |meaning: &Meaning| {
                        let keeps = meaning.file.removal(app, environment.as_str());
                        keeps.filter(|_| !meaning.places(app, &place))
                    };
                    assert!(
                        removal(is).is_none() || removal(is) == removal(was),
                        "what is good in {environment} removes {app} from {name} without a rollout"
                    );
                }
            }
        }
    }
}

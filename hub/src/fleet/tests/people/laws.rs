//! Laws that must hold at every moment.

use super::super::super::gate::Gate;
use super::super::super::rollout::Rollout;
use super::*;

impl People {
    pub(super) fn check(&mut self) {
        if std::env::var_os("FLOTILLA_TRACE").is_some() {
            self.trace();
        }
        self.check_done();
        self.check_waves();
        self.check_apart();
        for cluster in CLUSTERS {
            self.check_removed(cluster);
            for (app, entry, definition) in self.runs(cluster) {
                let stays = self.stays(cluster, &entry);
                let key = (cluster, app.to_string());
                let before = self.given.insert(key, entry.clone());
                if before.as_ref() != Some(&entry) && !stays {
                    self.check_given(cluster, &entry);
                }
                let key = (cluster, app);
                let before = self.defined.insert(key, definition.clone());
                if before.as_ref() != Some(&definition) {
                    self.check_defined(cluster, &definition);
                }
            }
        }
        self.note();
    }

    /// A rollout that has not begun contains no commit with open gates beside one with closed gates, which would delay
    /// it.
    fn check_apart(&self) {
        let fleet = &self.world.fleet;
        let rollout = self.world.rollout();
        let prod = fleet.spec().environment(&rollout.environment);
        let (Some(prod), None) = (prod, rollout.started_at) else {
            return;
        };
        let now = at(self.world.second);
        // During a freeze, or outside the change windows, they wait together; a pin lets commits in as it names them.
        let times = fleet.standing_gates(prod, now);
        let is_ahead = self
            .world
            .state()
            .pin
            .as_ref()
            .is_some_and(|pin| pin.unproven);
        if rollout.state.is_over() || is_ahead || times.iter().any(Gate::holds_back) {
            return;
        }
        let changed = rollout.changed();
        let (closed, open): (Vec<_>, Vec<_>) = changed
            .iter()
            .partition(|entry| !fleet.own_gates(prod, *entry, now).is_empty());
        assert!(
            closed.is_empty() || open.is_empty(),
            "{} waits for {closed:?}, and {open:?} with it: {}",
            rollout.id,
            rollout.why()
        );
    }

    /// Prints the state, for seeds that fail.
    fn trace(&self) {
        let rollout = self.world.rollout();
        let short = |commit: &Commit| commit.as_str()[36..].to_owned();
        let target: Vec<String> = rollout.target.values().map(short).collect();
        eprintln!(
            "{} {} {} {target:?}",
            self.world.second,
            rollout.id,
            rollout.why()
        );
        for cluster in CLUSTERS {
            let known = &self.world.fleet.clusters()[&name(cluster)];
            let runs: Vec<String> = self
                .runs(cluster)
                .iter()
                .map(|run| short(&run.1.1))
                .collect();
            let phase = rollout.clusters.get(&name(cluster)).map(|own| own.phase);
            let pin = known.record.pin.as_ref().map(|pin| &pin.commits);
            eprintln!(
                "  {cluster} {phase:?} {runs:?} suspended {} pin {pin:?} online {}",
                known.record.suspended.is_some(),
                known.session.is_some()
            );
        }
    }

    /// Returns whether a cluster is pinned to a revision that it runs.
    fn stays(&self, cluster: &'static str, entry: &RevisionKey) -> bool {
        let pin = self.world.fleet.clusters()[&name(cluster)]
            .record
            .pin
            .as_ref();
        let source: RepositoryName = entry.0.parse().unwrap();
        let mut given = self.given.iter();
        pin.is_some_and(|pin| pin.commits.get(&source) == Some(&entry.1))
            && given.any(|((of, _), given)| *of == cluster && given == entry)
    }

    /// Returns whether a revision was approved, was let in by an admin by name, or was there at the start.
    fn passed(&self, cluster: &str, entry: &RevisionKey) -> bool {
        let people = self.approved.get(entry).map_or(0, BTreeSet::len);
        people >= APPROVALS
            || self.let_in.contains(entry)
            || self
                .let_in_at
                .contains(&(cluster.to_owned(), entry.clone()))
            || self.first.contains(entry)
    }

    /// No cluster gets a commit that has not passed its own gates, or that had failed, and none gets it before the
    /// waves before its own.
    fn check_given(&self, cluster: &str, entry: &RevisionKey) {
        let rollout = self.world.rollout();
        assert!(
            self.passed(cluster, entry),
            "{cluster} was given {entry:?}, for which {:?} stand; {} {}",
            self.approved.get(entry),
            rollout.id,
            rollout.note
        );
        let again = self.retried.contains(entry) || self.good.contains(entry);
        assert!(
            again || !self.failed.contains(entry),
            "{cluster} was given {entry:?}, which had failed"
        );
        let state = self.world.state();
        let source: RepositoryName = entry.0.parse().unwrap();
        let came = self.good.contains(entry)
            || state.approved.get(&source) == Some(&entry.1)
            || self
                .let_in_at
                .contains(&(cluster.to_owned(), entry.clone()))
            || self
                .world
                .touched
                .contains(&(name(cluster), source, entry.1.clone()));
        assert!(
            came,
            "{cluster} was given {entry:?}, and no rollout has come to it; {} {}: {:?}",
            rollout.id,
            rollout.state,
            rollout.clusters.get(&name(cluster))
        );
    }

    /// A rollout reaches a cluster in its wave, after the required approvals. Its commits may be assigned later: a
    /// suspended cluster gets them when it is resumed.
    fn check_waves(&mut self) {
        let rollout = self.world.rollout();
        let changed: Vec<RevisionKey> = rollout
            .changed()
            .into_iter()
            .map(|(repository, commit)| (repository.to_string(), commit))
            .collect();
        let touched = rollout.clusters.iter();
        let touched = touched.filter(|(_, progress)| progress.phase.is_touched());
        let mut new = Vec::new();
        for (name, progress) in touched {
            for entry in &changed {
                let key = (name.clone(), entry.clone());
                if !self.reached.contains(&key) {
                    new.push(key);
                }
            }
            if !new.iter().any(|(of, _)| of == name) {
                continue;
            }
            assert!(
                progress.wave <= rollout.wave,
                "{} came to {name} before its wave: {progress:?}",
                rollout.id
            );
            let strategy = rollout.strategy.as_deref().unwrap();
            for wave in strategy.waves[..=progress.wave]
                .iter()
                .filter(|wave| wave.approvals > 0)
            {
                let let_begin =
                    |entry: &RevisionKey| self.waves.contains(&(entry.clone(), wave.name.clone()));
                assert!(
                    changed.iter().all(let_begin),
                    "wave {} of {} began, and nobody let it for {changed:?}",
                    wave.name,
                    rollout.id
                );
            }
        }
        self.reached.extend(new);
    }

    /// Declarations of an application pass gates like a commit.
    fn check_defined(&self, cluster: &str, definition: &Definition) {
        let revisions = self.revisions.get(definition);
        let revisions = revisions.unwrap_or_else(|| panic!("nobody declared {definition:?}"));
        let passed = |revision: &Commit| {
            let entry = ("fleet-file".to_owned(), revision.clone());
            self.passed(cluster, &entry)
        };
        let rollout = self.world.rollout();
        assert!(
            revisions.iter().any(passed),
            "{cluster} was given {definition:?}, which passed no gate; {} {}",
            rollout.id,
            rollout.note
        );
    }

    /// A cluster keeps its applications, unless the file took them away; only the file removes applications.
    fn check_removed(&self, cluster: &'static str) {
        let assigned = self.world.fleet.clusters()[&name(cluster)].assigned.clone();
        let assignment = assigned.unwrap().assignment.clone();
        for (of, app) in self.defined.keys().filter(|(of, _)| *of == cluster) {
            assert!(
                assignment.applications.contains_key(app)
                    || self.taken.contains(&(of, app.clone())),
                "{app} was taken from {cluster}, and nobody said so"
            );
        }
        for (app, tombstone) in &assignment.tombstones {
            let gone = assignment.suspended || (app.as_str() == "c" && self.declared.removes_c());
            assert!(gone, "{app} is removed from {cluster}, and nobody said so");
            let deletes = tombstone.delete_objects;
            assert!(deletes || assignment.suspended, "it was to be deleted");
        }
    }

    pub(super) fn counted_as_done(&self) -> BTreeSet<(String, ClusterName)> {
        let rollout = self.world.rollout();
        let done = rollout.clusters.iter();
        let done = done.filter(|(_, progress)| progress.phase == Phase::Done);
        done.map(|(name, _)| (rollout.id.clone(), name.clone()))
            .collect()
    }

    /// A cluster that counts as done ran exactly its assignment, healthy, with the rollout's commits.
    fn check_done(&mut self) {
        let done = self.counted_as_done();
        let rollout = self.world.rollout();
        for (id, name) in done.difference(&self.done) {
            let cluster = &self.world.fleet.clusters()[name];
            if rollout.state == State::RolledBack {
                // Another cluster failed at the same moment, and this one was already told to go back.
                let report = cluster.report.as_ref().unwrap();
                let ran = (name.to_string(), report.assignment);
                self.check_ran(name, rollout, &ran);
                let revisions = report.applications.values();
                for revision in revisions.filter_map(|app| app.revision.as_ref()) {
                    let target = desired_commit(cluster, rollout, &revision.repository);
                    assert_eq!(target, Some(&revision.commit), "{name} in {id}");
                }
                continue;
            }
            let assigned = cluster.assigned.as_ref().unwrap();
            let ran = (name.to_string(), assigned.reference);
            self.check_ran(name, rollout, &ran);
            assert!(!assigned.assignment.suspended, "{name} is suspended");
            for app in assigned.assignment.applications.values() {
                let target = desired_commit(cluster, rollout, &app.revision.repository);
                assert_eq!(target, Some(&app.revision.commit), "{name} in {id}");
            }
        }
        if rollout.state == State::Succeeded {
            let any = done.iter().any(|(id, _)| *id == rollout.id);
            assert!(any, "{} succeeded, proven by nobody", rollout.id);
            self.check_proven(&done);
        }
        self.done = done;
    }

    /// Each commit that a rollout made good ran on a cluster with something of its repository that no pin kept away
    /// from it.
    fn check_proven(&self, done: &BTreeSet<(String, ClusterName)>) {
        let (rollout, state) = (self.world.rollout(), self.world.state());
        let changed = rollout.changed();
        let good = changed.iter().filter(|(repository, commit)| {
            !repository.is_fleet_file() && state.approved.get(*repository) == Some(*commit)
        });
        for (repository, commit) in good {
            let runs = |name: &ClusterName, at: Option<&Commit>| {
                let assigned = self.world.fleet.clusters()[name].assigned.iter();
                let mut all =
                    assigned.flat_map(|assigned| assigned.assignment.applications.values());
                all.any(|app| {
                    app.revision.repository == *repository
                        && at.is_none_or(|at| app.revision.commit == *at)
                })
            };
            let mut proven = done.iter().filter(|(id, _)| *id == rollout.id);
            let anybody = CLUSTERS.iter().any(|cluster| runs(&name(cluster), None));
            assert!(
                !anybody || proven.any(|(_, name)| runs(name, Some(commit))),
                "{}: {commit} of {repository} is good, and who is done did not run it",
                rollout.id
            );
        }
    }

    /// All that was new there was healthy; anything else is as it was before the rollout.
    fn check_ran(&self, name: &ClusterName, rollout: &Rollout, ran: &(String, AssignmentRef)) {
        let (id, changed) = (&rollout.id, rollout.changed());
        let Some(ill) = self
            .world
            .ill
            .get(ran)
            .filter(|_| !self.world.ran.contains(ran))
        else {
            let has_run = self.world.ran.contains(ran);
            assert!(
                has_run,
                "{name} counts as done in {id} and never ran {ran:?}"
            );
            return;
        };
        let report = self.world.fleet.clusters()[name].report.as_ref().unwrap();
        for app in ill {
            let revision = report.applications[app].revision.as_ref().unwrap();
            let is_new = changed.get(&revision.repository) == Some(&revision.commit);
            assert!(
                !is_new,
                "{name} counts as done in {id} with {app} that it brought"
            );
            let fleet = &self.world.fleet;
            let [before, after] = [&rollout.from, &rollout.target].map(|commits| {
                let specification = fleet.specification_among(commits);
                specification.and_then(|specification| specification.applications.get(app).cloned())
            });
            assert_eq!(
                before, after,
                "{name} counts as done in {id} with {app} as it declared it"
            );
        }
    }
}

/// Returns what a cluster has to run of a repository in a rollout: the pinned commit, or the rollout's.
fn desired_commit<'c>(
    cluster: &'c Cluster,
    rollout: &'c Rollout,
    repository: &RepositoryName,
) -> Option<&'c Commit> {
    let pin = cluster.record.pin.as_ref();
    let pinned = pin.and_then(|pin| pin.commits.get(repository));
    pinned.or_else(|| rollout.target.get(repository))
}

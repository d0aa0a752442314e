//! What must hold at every moment.

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

    /// A rollout that has not begun brings no commit whose own gates are open beside one whose are closed: that one
    /// would hold it up.
    fn check_apart(&self) {
        let fleet = &self.world.fleet;
        let rollout = self.world.rollout();
        let prod = fleet.spec().environment(&rollout.environment);
        let (Some(prod), None) = (prod, rollout.started_at) else {
            return;
        };
        let now = at(self.world.second);
        // When the time comes they are parted; what a pin lets in comes as it names it.
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

    /// For who looks into a seed that fails.
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

    /// A person keeps a cluster on what it runs: what comes to it comes at that commit.
    fn stays(&self, cluster: &'static str, entry: &One) -> bool {
        let pin = self.world.fleet.clusters()[&name(cluster)]
            .record
            .pin
            .as_ref();
        let source: RepositoryName = entry.0.parse().unwrap();
        let mut given = self.given.iter();
        pin.is_some_and(|pin| pin.commits.get(&source) == Some(&entry.1))
            && given.any(|((of, _), given)| *of == cluster && given == entry)
    }

    /// People approved it, an admin let it in by its name, or it was there when everything began.
    fn passed(&self, cluster: &str, entry: &One) -> bool {
        let people = self.approved.get(entry).map_or(0, BTreeSet::len);
        people >= APPROVALS
            || self.let_in.contains(entry)
            || self
                .let_in_at
                .contains(&(cluster.to_owned(), entry.clone()))
            || self.first.contains(entry)
    }

    /// Nobody gets a commit that did not pass its own gates, nor one that had failed, and nobody before the
    /// waves before it.
    fn check_given(&self, cluster: &str, entry: &One) {
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

    /// A rollout comes to a cluster in its wave, which people let begin where they are asked. What it brought
    /// may be assigned later: whoever is suspended is given it when it is resumed.
    fn check_waves(&mut self) {
        let rollout = self.world.rollout();
        let changed: Vec<One> = rollout
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
                    |entry: &One| self.waves.contains(&(entry.clone(), wave.name.clone()));
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

    /// How an application is declared comes through gates like a commit.
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

    /// What a cluster has it keeps, unless the file took it away; what is removed, the file removes.
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

    /// What counts as done ran exactly its assignment, healthy, and that is the rollout's.
    fn check_done(&mut self) {
        let done = self.counted_as_done();
        let rollout = self.world.rollout();
        for (id, name) in done.difference(&self.done) {
            let cluster = &self.world.fleet.clusters()[name];
            if rollout.state == State::RolledBack {
                // Another cluster failed in the same moment, and this one was told to go back already.
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

    /// Each commit that a rollout made good ran where something of its repository runs, and a person did not keep it
    /// from there.
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

    /// All that was new there was healthy; what was not is as it was when the rollout came.
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

/// What a cluster is to run of a repository in a rollout: what a person keeps it on, or what the rollout brings.
fn desired_commit<'c>(
    cluster: &'c Cluster,
    rollout: &'c Rollout,
    repository: &RepositoryName,
) -> Option<&'c Commit> {
    let pin = cluster.record.pin.as_ref();
    let pinned = pin.and_then(|pin| pin.commits.get(repository));
    pinned.or_else(|| rollout.target.get(repository))
}

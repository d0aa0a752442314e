//! Laws that must hold at every moment, and convergence once the faults stop.

use super::*;

impl Simulation {
    /// Checks the laws that hold at every moment.
    pub(super) fn check(&self) {
        for (name, cluster) in self.hub.clusters() {
            let stored = self
                .disk
                .assignments
                .get(name)
                .map(|stored| stored.decoded.reference);
            let held = cluster.assigned.as_ref().map(|stored| stored.reference);
            assert_eq!(stored, held, "memory and disk agree on {name}");
        }
        for rollout in self.hub.rollouts().values() {
            for (name, progress) in &rollout.clusters {
                let stored = self.disk.progress.get(&(rollout.id.clone(), name.clone()));
                // The stored value of the counted time lags a little.
                let stored = stored.map(|stored| Progress {
                    counted: progress.counted.max(stored.counted),
                    ..stored.clone()
                });
                assert_eq!(
                    stored.as_ref(),
                    Some(progress),
                    "progress of {name} is on disk"
                );
            }
            let mut stored = self.disk.rollouts[&rollout.id].clone();
            stored.clusters.clone_from(&rollout.clusters);
            stored.stepped_at = rollout.stepped_at;
            assert_eq!(stored, *rollout, "the rollout is on disk");
        }
        for (name, state) in self.hub.environments() {
            let stored = self
                .disk
                .environments
                .get(name)
                .cloned()
                .unwrap_or_default();
            assert_eq!(stored, *state, "the state of {name} is on disk");
        }
    }

    /// I3: an application stays assigned, unless the fleet file no longer places it there, by an edit or because an
    /// operator moved the cluster or changed its labels.
    pub(super) fn check_kept(
        &self,
        name: &ClusterName,
        before: &DecodedAssignment,
        after: &DecodedAssignment,
    ) {
        let after = &after.assignment;
        if before.assignment.environment != after.environment {
            return;
        }
        // A revision that no rollout has brought, or one that was rolled back, is not in force there.
        let cluster = &self.hub.clusters()[name];
        let in_force = cluster.specified.as_ref();
        let in_force = in_force.and_then(|revision| self.hub.specification(revision));
        let in_force = |app: &ApplicationName| {
            let known = in_force.as_ref();
            known.is_none_or(|known| {
                let placement = known
                    .applications
                    .get(app)
                    .map(|declared| &declared.application.placement);
                placement.is_some_and(|placement| {
                    placement.matches(name, &after.environment, &after.labels)
                })
            })
        };
        for app in before
            .assignment
            .applications
            .keys()
            .filter(|app| in_force(app))
        {
            let application = self.hub.spec().applications.get(app);
            let placed = application.is_some_and(|application| {
                let (placement, labels) = (&application.placement, self.hub.labels_of(name));
                placement.matches(name, &after.environment, &labels)
            });
            assert!(
                !placed || after.applications.contains_key(app),
                "I3: {app} was taken out of what is assigned to {name}"
            );
        }
    }

    /// Returns the clusters that count as done, by rollout.
    pub(super) fn counted_as_done(&self) -> BTreeSet<(String, ClusterName)> {
        let of = |rollout: &Rollout| {
            let done = rollout.clusters.iter();
            let done = done.filter(|(_, progress)| progress.phase == Phase::Done);
            let id = rollout.id.clone();
            done.map(move |(name, _)| (id.clone(), name.clone()))
                .collect::<Vec<_>>()
        };
        self.hub.rollouts().values().flat_map(of).collect()
    }

    /// Returns whether a cluster ran all that is assigned to it, and any unhealthy application was so before the
    /// rollout, which does not change it.
    fn ran_but_for_what_was_ill(
        &self,
        (id, name): (&str, &ClusterName),
        assigned: &DecodedAssignment,
    ) -> bool {
        let mut rollouts = self.hub.rollouts().values();
        let rollout = rollouts.find(|rollout| rollout.id == id);
        let ill = self.agents[name].ill.get(&assigned.reference);
        let (Some(rollout), Some(ill)) = (rollout, ill) else {
            return false;
        };
        let changed = rollout.changed();
        ill.iter().all(|app| {
            let application = assigned.assignment.applications.get(app);
            rollout.clusters[name].before.unhealthy.contains(app)
                && application.is_some_and(|application| {
                    !changed.contains_key(&application.revision.repository)
                })
        })
    }

    /// A cluster that counts as done has run exactly its assignment with the rollout's commit, all of it healthy except
    /// for applications that were unhealthy before (promise 4).
    pub(super) fn check_done(&mut self) {
        let done = self.counted_as_done();
        let new = done.difference(&self.done).filter(|_| self.judges_done);
        for (id, name) in new {
            let (Some(agent), Some(cluster)) =
                (self.agents.get(name), self.hub.clusters().get(name))
            else {
                continue;
            };
            let assigned = cluster.assigned.as_ref().expect("something is assigned");
            assert!(
                !assigned.assignment.suspended,
                "{name} is suspended and counts as done"
            );
            // A removal by an edit in the same step is assigned after the cluster was judged.
            let judged = self.disk.assignments.get(name);
            let mut judged = judged.map(|stored| stored.decoded.reference).into_iter();
            let is_nothing = assigned.assignment.applications.is_empty()
                && assigned.assignment.tombstones.is_empty();
            assert!(
                is_nothing
                    || agent.ran.contains(&assigned.reference)
                    || self.ran_but_for_what_was_ill((id.as_str(), name), assigned)
                    || judged.any(|reference| agent.ran.contains(&reference)),
                "{name} counts as done in {id} and never ran {:?}",
                assigned.reference
            );
            let rollouts = self.hub.rollouts();
            let rollout = rollouts.values().find(|rollout| rollout.id == *id);
            let environment = &assigned.assignment.environment;
            let target = rollout.map(|rollout| &rollout.target);
            for (app, application) in &assigned.assignment.applications {
                let commit = target.and_then(|target| target.get(&application.revision.repository));
                // An application from a repository without a commit in the rollout stays as it was.
                assert!(
                    commit == Some(&application.revision.commit)
                        || target.is_some_and(|target| self.is_left(
                            name,
                            environment,
                            app,
                            target
                        )),
                    "{name} counts as done in {id} on another commit of {app}: {application:?}; {target:?}"
                );
            }
        }
        self.done = done;
    }

    /// The faults stop; the fleet must converge to the heads by itself.
    pub(super) fn converge(&mut self) {
        self.calm_down();
        self.take_nothing();
        // A good commit is pushed everywhere, and stopped rollouts are resumed.
        let declared = &PATHS[..commits::FIRST];
        let is_bad = |n| declared.iter().any(|path| is_bad(&commit(n), path));
        while is_bad(self.commits + 1) {
            self.commits += 1;
        }
        self.commits += 1;
        let good = commit(self.commits);
        for branch in file::ENVIRONMENTS {
            for repository in file::REPOSITORIES {
                let head = (repository.parse().unwrap(), branch.parse().unwrap());
                self.branches.insert(head, good.clone());
            }
            let environment: EnvironmentName = branch.parse().unwrap();
            self.act(&Action::Resume(environment.clone()));
            self.act(&Action::Unpin(Subject::Environment(environment)));
        }
        for round in 0..3000 {
            self.now = self
                .now
                .saturating_add(SignedDuration::from_secs(1))
                .unwrap();
            self.read_heads();
            if round % 7 == 0 {
                self.read_trees();
            }
            self.agents_act(1.0);
            while !self.network.is_empty() {
                self.deliver();
            }
            self.feed(Event::Tick);
            // The queue may have to be worked off first, and a bad commit in it halts; its repair is already on the
            // branch.
            let there = self.agents.keys().all(|name| self.is_as_declared(name));
            let over = self
                .hub
                .rollouts()
                .values()
                .all(|rollout| rollout.state.is_over());
            if there && over {
                self.check();
                self.check_reported();
                return;
            }
            let halted: BTreeSet<EnvironmentName> = self
                .hub
                .rollouts()
                .values()
                .filter(|rollout| rollout.state == State::Halted)
                .map(|rollout| rollout.environment.clone())
                .collect();
            // In queue mode a halted rollout waits for an operator.
            if round % 100 == 99 {
                self.let_all_write();
                for name in halted {
                    self.act(&Action::Abort(name));
                }
            }
        }
        let late = self.agents.keys();
        let late: Vec<&ClusterName> = late.filter(|name| !self.is_as_declared(name)).collect();
        panic!(
            "I7: no convergence of {late:?}: {:#?}",
            self.open_rollouts()
        );
    }
}

//! The fleet file removes an application and adds it again, and clusters are suspended.

use super::*;
use crate::spec::Objects;

impl Simulation {
    /// Edits the fleet file.
    pub(super) fn edit(&mut self) {
        let before = self.file.clone();
        let mut new = before.clone();
        self.edits += 1;
        if self.takes_all && self.rng.random_bool(0.4) {
            new.take(&mut self.rng);
        } else if !self.edits_all {
            self.take_or_give(&mut new);
        } else if self.rng.random_bool(0.15) && !self.files.is_empty() {
            // The file is rolled back in Git.
            new = self.files.choose(&mut self.rng).unwrap().clone();
        } else {
            let names = (0..8).map(|index| format!("c{index}").parse().unwrap());
            let names: Vec<ClusterName> = names.collect();
            // Sometimes two edits in one commit.
            for _ in 0..self.rng.random_range(1..3) {
                new.edit(&mut self.rng, self.edits, &names);
            }
        }
        self.files.push(before);
        self.write(new);
    }

    fn take_or_give(&mut self, file: &mut File) {
        let environment = *file::ENVIRONMENTS.choose(&mut self.rng).unwrap();
        file.apps.remove("db");
        file.removed.clear();
        match self.rng.random_range(0..5) {
            0 | 1 => {
                file.apps.insert("db", file::App::new("fleet", "apps/db"));
            }
            2 => {}
            3 => {
                file.removed.insert("db", (Some(environment), false));
            }
            _ => {
                file.removed.insert("db", (None, true));
            }
        }
    }

    /// Reads the fleet file again.
    pub(super) fn redeclare(&mut self) {
        self.write(self.file.clone());
    }

    /// Pushes a file. An invalid one changes nothing.
    fn write(&mut self, new: File) {
        let mut text = new.text();
        if self.edits_all && !self.calm && self.rng.random_bool(0.05) {
            text = text.replace("environments:\n", "enviroments:\n");
        }
        let Ok(spec) = spec::parse("f", &text) else {
            self.refused += 1;
            return;
        };
        for (app, (environment, keeps)) in &new.removed {
            let places = file::ENVIRONMENTS.iter();
            let places = places.filter(|place| environment.is_none_or(|only| only == **place));
            let app: ApplicationName = app.parse().unwrap();
            let known = places.map(|place| (place.parse().unwrap(), app.clone()));
            self.removals.extend(known.filter(|_| !keeps));
        }
        self.file = new;
        self.feed(Event::SpecChanged(Arc::new(spec)));
    }

    pub(super) fn suspend_or_resume(&mut self) {
        let names: Vec<ClusterName> = self.agents.keys().cloned().collect();
        let name = names.choose(&mut self.rng).unwrap().clone();
        let action = match self.rng.random_bool(0.4) {
            true => Action::Suspend(name),
            false => Action::Unsuspend(name),
        };
        self.act(&action);
    }

    /// Declares everything again, and ends all suspensions. An earlier declaration may have failed together with a bad
    /// commit, and is not retried by itself.
    pub(super) fn take_nothing(&mut self) {
        let mut new = self.file.clone();
        if self.edits_all {
            new.mend(self.edits);
        } else {
            let mut db = file::App::new("fleet", "apps/db");
            db.timeout = 600;
            new.apps.insert("db", db);
            new.removed.clear();
        }
        self.write(new);
        self.let_all_write();
    }

    /// Ends all suspensions. After a restore the hub learns of a suspension from the agent only, so an operator may
    /// have to end it later.
    pub(super) fn let_all_write(&mut self) {
        let names: Vec<ClusterName> = self.agents.keys().cloned().collect();
        for name in names {
            self.act(&Action::Unsuspend(name.clone()));
            self.act(&Action::Unpin(Subject::Cluster(name)));
        }
    }

    /// Pins a cluster, or unpins it.
    pub(super) fn pin_or_unpin(&mut self) {
        let names: Vec<ClusterName> = self.agents.keys().cloned().collect();
        let subject = Subject::Cluster(names.choose(&mut self.rng).unwrap().clone());
        let repositories: Vec<_> = self.hub.spec().repositories.keys().cloned().collect();
        let chosen = repositories.choose(&mut self.rng).cloned();
        let repository = chosen.filter(|_| self.rng.random_bool(0.5));
        let action = match self.rng.random_bool(0.4) {
            true => Action::Pin {
                subject,
                commit: None,
                repository,
                expires_at: None,
                approval: None,
                overriding: GateOverride::Denied,
            },
            false => Action::Unpin(subject),
        };
        self.act(&action);
    }

    /// Checks that an agent deletes only what the fleet file removes with its objects there.
    pub(super) fn check_deleted(&mut self, name: &ClusterName) {
        let Some(agent) = self.agents.get_mut(name) else {
            return;
        };
        let Some(decoded) = &agent.assignment else {
            return;
        };
        for app in std::mem::take(&mut agent.deleted) {
            // An older agent does not know unresolved applications, and holds nothing back for them.
            assert!(
                decoded.assignment.unresolved.is_empty(),
                "objects of {app} were deleted on {name}, and may have been meant for another one"
            );
            let key = (decoded.assignment.environment.clone(), app);
            assert!(
                self.removals.contains(&key),
                "objects of {key:?} were deleted on {name}, and nobody said so"
            );
        }
    }

    /// Promise 1: an application is removed only where the fleet file says so, and with its objects only where it says
    /// that.
    pub(super) fn check_taken(&self, name: &ClusterName, next: &DecodedAssignment) {
        let next = &next.assignment;
        if next.suspended {
            return;
        }
        for (app, tombstone) in &next.tombstones {
            let removal = self.hub.spec().removal(app, name, &next.environment);
            assert!(
                removal.is_some(),
                "{app} is removed from {name}, and nobody said so"
            );
            assert!(
                !tombstone.delete_objects || removal == Some(Objects::Delete),
                "objects of {app} are deleted on {name}, and nobody said so"
            );
        }
    }

    /// Checks that a suspended cluster keeps its assignment.
    pub(super) fn check_stays_suspended(
        &self,
        name: &ClusterName,
        before: &DecodedAssignment,
        after: &DecodedAssignment,
    ) {
        let (before, after) = (&before.assignment, &after.assignment);
        if before.suspended && after.suspended && before.epoch == after.epoch {
            assert_eq!(
                before.applications, after.applications,
                "{name} is suspended"
            );
            assert_eq!(before.tombstones, after.tombstones, "{name} is suspended");
        }
    }

    /// I3 from an agent's view, for the application that is never removed: assignments arrive late.
    pub(super) fn check_web_kept(
        &self,
        name: &ClusterName,
        had: &DecodedAssignment,
        next: &DecodedAssignment,
    ) {
        if self.takes_all {
            return;
        }
        let web: ApplicationName = "web".parse().unwrap();
        assert!(
            !had.assignment.applications.contains_key(&web)
                || next.assignment.applications.contains_key(&web),
            "I3: web was taken out of what is assigned to {name}"
        );
    }
}

//! The fleet file takes an application away and gives it back, and clusters are suspended.

use super::*;
use crate::spec::Objects;

const DB: &str = "- {name: db, repository: fleet, path: 'apps/db'}\n";

impl Simulation {
    /// Somebody edits the fleet file.
    pub(super) fn edit(&mut self) {
        let environment = *["dev", "stage", "prod"].choose(&mut self.rng).unwrap();
        let db = match self.rng.random_range(0..5) {
            0 | 1 => DB.to_owned(),
            2 => String::new(),
            3 => format!("removed: [{{application: db, environments: [{environment}]}}]\n"),
            _ => "removed: [{application: db, keepObjects: true}]\n".to_owned(),
        };
        self.write(&db);
    }

    fn write(&mut self, db: &str) {
        let web = self.text.find("- {name: db").or(self.text.find("removed:"));
        if let Some(end) = web {
            self.text.truncate(end);
        }
        self.text.push_str(db);
        let spec = spec::parse("f", &self.text).unwrap();
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

    /// All is declared again, and everybody may write. What was declared before may have failed together
    /// with a bad commit, and is not tried again by itself.
    pub(super) fn take_nothing(&mut self) {
        let anew = "'apps/db', syncPolicy: {healthTimeout: 600s}}";
        self.write(&DB.replace("'apps/db'}", anew));
        self.let_all_write();
    }

    /// Nobody stays suspended. After a restore the hub hears of it from the agent only, so that a person who
    /// looked before that looks again.
    pub(super) fn let_all_write(&mut self) {
        let names: Vec<ClusterName> = self.agents.keys().cloned().collect();
        for name in names {
            self.act(&Action::Unsuspend(name));
        }
    }

    /// Promise 1: an application is removed where the fleet file says so, and nowhere else; with its objects
    /// only where it says that.
    pub(super) fn check_taken(&self, name: &ClusterName, next: &DecodedAssignment) {
        let next = &next.assignment;
        if next.suspended {
            return;
        }
        for (app, tombstone) in &next.tombstones {
            let said = self.hub.spec().removal(app, name, &next.environment);
            assert!(
                said.is_some(),
                "{app} is removed from {name}, and nobody said so"
            );
            assert!(
                !tombstone.delete_objects || said == Some(Objects::Delete),
                "objects of {app} are deleted on {name}, and nobody said so"
            );
        }
    }

    /// What is suspended stays as it is.
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

    /// I3 as an agent sees it, of the application that nobody takes away: assignments arrive late.
    pub(super) fn check_web_kept(
        &self,
        name: &ClusterName,
        had: &DecodedAssignment,
        next: &DecodedAssignment,
    ) {
        let web: ApplicationName = "web".parse().unwrap();
        assert!(
            !had.assignment.applications.contains_key(&web)
                || next.assignment.applications.contains_key(&web),
            "I3: web was taken out of what is assigned to {name}"
        );
    }
}

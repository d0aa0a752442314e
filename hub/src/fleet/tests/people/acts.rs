//! When no operator acts any longer, a rollout is over, or names a command that the hub accepts and that leads to its
//! end; and whatever happened before, a repair is rolled out.

use super::*;

impl People {
    /// Performs the commands that rollouts name until the last one is over. Returns them.
    pub(super) fn rest(&mut self) -> Vec<&'static str> {
        let mut taken = Vec::new();
        for _ in 0..120 {
            let before = self.standing();
            self.wait_long(30);
            let rollout = self.world.rollout();
            if rollout.state.is_over() {
                return taken;
            }
            // A rollout that proceeds by itself needs no command.
            if self.standing() != before {
                continue;
            }
            if commands(&rollout.why()).is_empty() {
                // A cluster that has just become silent counts as offline only later.
                self.wait_long(OFFLINE_AFTER.as_secs());
                if self.standing() != before || self.world.rollout().state.is_over() {
                    continue;
                }
            }
            let rollout = self.world.rollout();
            let (id, why) = (rollout.id.clone(), rollout.why());
            let acts = commands(&why);
            assert!(!acts.is_empty(), "{id} waits for nothing: {why:?}");
            for words in acts {
                // An earlier command may have made this one obsolete.
                let now = self.world.rollout();
                if now.state.is_over() || now.id != id {
                    break;
                }
                taken.push(self.take(&words, &why));
            }
        }
        let rollout = self.world.rollout();
        panic!(
            "{} is not over whatever is done: {} {:?}",
            rollout.id,
            rollout.state,
            rollout.why()
        );
    }

    fn standing(&self) -> (String, usize, Vec<Phase>) {
        let rollout = self.world.rollout();
        let phases = rollout.clusters.values().map(|progress| progress.phase);
        (rollout.id.clone(), rollout.wave, phases.collect())
    }

    /// Performs a command that a text names. The hub has to accept it.
    fn take(&mut self, words: &[String], why: &str) -> &'static str {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let prod = Self::prod();
        let changed: Vec<RevisionKey> = self
            .world
            .rollout()
            .changed()
            .into_iter()
            .map(|(repository, commit)| (repository.to_string(), commit))
            .collect();
        // The short forms of these tests' commits are alike.
        let waits =
            |entry: &&RevisionKey| self.approved.get(*entry).map_or(0, BTreeSet::len) < APPROVALS;
        let of = |short: &str| -> RevisionKey {
            let own = changed.iter();
            let own: Vec<&RevisionKey> = own
                .filter(|entry| entry.1.as_str().starts_with(short))
                .collect();
            let found = own.iter().find(|entry| waits(entry)).or(own.first());
            (*found.expect("it names a commit of its own")).clone()
        };
        let clusters = self.world.fleet.clusters();
        let first = |which: &dyn Fn(&Cluster) -> bool| {
            let mut all = CLUSTERS.iter();
            let found = all.find(|cluster| which(&clusters[&name(cluster)]));
            name(found.expect("there is one that this is about"))
        };
        let (word, action) = match words.as_slice() {
            ["approve", "prod", "--commit", short] => {
                let entry = of(short);
                for person in ["bob", "carol"] {
                    self.approve_as(person, &entry);
                    assert!(self.approved[&entry].contains(person), "{why}");
                }
                return "approve";
            }
            ["approve", "prod", "--wave", wave] => {
                for entry in &changed {
                    assert!(self.let_begin("bob", entry, wave), "{why}");
                }
                return "approve wave";
            }
            [
                "promote",
                "prod",
                "--force",
                "--commit",
                short,
                "--reason",
                "TEXT",
            ] => {
                let own = changed
                    .iter()
                    .filter(|entry| entry.1.as_str().starts_with(short));
                let held = own.clone().find(|entry| !self.let_in.contains(*entry));
                let entry = held
                    .or(own.clone().next())
                    .expect("it names a commit of its own");
                let entry = entry.clone();
                assert!(self.override_of("ada", &entry), "{why}");
                return "override";
            }
            ["resume", "prod"] => ("resume", Action::Resume(prod)),
            ["retry", "prod"] => ("retry", Action::Retry(prod)),
            ["abort", "prod", "--reason", "TEXT"] => ("abort", Action::Abort(prod)),
            ["unpin", "--env", "prod"] => ("unpin", Action::Unpin(Subject::Environment(prod))),
            ["resume", "NAME"] => {
                let member = first(&|cluster| cluster.record.suspended.is_some());
                ("resume cluster", Action::Unsuspend(member))
            }
            ["unpin", "--cluster", "NAME"] => {
                let member = first(&|cluster| cluster.record.pin.is_some());
                ("unpin cluster", Action::Unpin(Subject::Cluster(member)))
            }
            ["pin", "--cluster", of, "--reason", "TEXT"] => {
                let mut action = pin(None, false);
                if let Action::Pin { subject, .. } = &mut action {
                    *subject = Subject::Cluster(name(of));
                }
                ("pin cluster", action)
            }
            ["suspend", of, "--reason", "TEXT"] => ("suspend", Action::Suspend(name(of))),
            ["status", ..] | ["token", "create", ..] => return "look",
            other => panic!("no such command: {other:?} in {why:?}"),
        };
        if word == "retry" {
            self.retried.extend(self.failed.iter().cloned());
            self.retried.extend(changed);
        }
        let done = self.world.act_as("bob", &action);
        assert!(done.is_ok(), "{word}: {done:?}; {why}");
        self.check();
        word
    }

    /// An approved repair is rolled out, whatever happened before (promise 5).
    pub(super) fn repair(&mut self) {
        self.free();
        self.push("fleet", false);
        self.push("second", false);
        self.declared.mend();
        self.declare();
        let repairs = [
            ("fleet".to_owned(), commit(self.commits - 1)),
            ("second".to_owned(), of_second(self.commits)),
            (
                "fleet-file".to_owned(),
                self.declarations.last().unwrap().clone(),
            ),
        ];
        for _ in 0..60 {
            let rollout = self.world.rollout();
            let stands = rollout.state;
            let changed: Vec<RevisionKey> = rollout
                .changed()
                .into_iter()
                .map(|(repository, commit)| (repository.to_string(), commit))
                .collect();
            for entry in repairs.iter().chain(&changed) {
                self.approve_as("bob", entry);
                self.approve_as("carol", entry);
            }
            for entry in &changed {
                self.let_begin("bob", entry, "two");
            }
            // A halted rollout without commits of the repair has to be ended by an operator.
            let brings = changed.iter().any(|entry| repairs.contains(entry));
            if stands == State::Halted && !brings {
                let _ = self.world.act(&Action::Abort(Self::prod()));
            }
            self.wait_long(12);
            let there = CLUSTERS.iter().all(|cluster| {
                let runs = self.runs(cluster);
                let commits: BTreeSet<RevisionKey> = runs.iter().map(|run| run.1.clone()).collect();
                let defined: BTreeSet<Definition> = runs.into_iter().map(|run| run.2).collect();
                repairs[..2].iter().all(|entry| commits.contains(entry))
                    && self
                        .declared
                        .definitions()
                        .all(|definition| defined.contains(&definition))
            });
            if there && self.world.rollout().state == State::Succeeded {
                return;
            }
        }
        let rollout = self.world.rollout();
        let runs = CLUSTERS.map(|cluster| self.runs(cluster));
        let world = &self.world;
        let told = crate::status::explain(&world.fleet, "prod", at(world.second));
        panic!(
            "no repair comes in: {} {} {:?}; {repairs:?} are wanted; {runs:#?}; {told:#?}",
            rollout.id,
            rollout.state,
            rollout.why()
        );
    }

    /// Ends all pins, pauses and suspensions, and connects all agents.
    fn free(&mut self) {
        self.world.silent.clear();
        let _ = self.world.act(&Action::Resume(Self::prod()));
        let _ = self
            .world
            .act(&Action::Unpin(Subject::Environment(Self::prod())));
        for cluster in CLUSTERS {
            self.world.connect(cluster, true);
            let _ = self
                .world
                .act(&Action::Unpin(Subject::Cluster(name(cluster))));
            let _ = self.world.act(&Action::Unsuspend(name(cluster)));
        }
        self.check();
    }
}

/// Returns the action of a command; none: it only reads. `changed`: the commits that it may name.
fn asked(words: &[String], changed: &[(RepositoryName, Commit)]) -> Option<Action> {
    let prod = People::prod();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let of = |short: &str, scope: Scope| {
        let mut all = changed.iter();
        let (repository, commit) = all
            .find(|(_, commit)| commit.as_str().starts_with(short))
            .expect("it names a commit of its own");
        approve(repository.as_str(), commit, scope)
    };
    let kept = |subject: Subject| {
        let mut action = pin(None, false);
        if let Action::Pin { subject: of, .. } = &mut action {
            *of = subject;
        }
        action
    };
    Some(match words.as_slice() {
        ["approve", "prod", "--commit", short] => of(short, Scope::Commit),
        ["approve", "prod", "--wave", wave] => of("", Scope::Wave((*wave).to_owned())),
        [
            "promote",
            "prod",
            "--force",
            "--commit",
            short,
            "--reason",
            "TEXT",
        ] => of(short, Scope::Override),
        ["resume", "prod"] => Action::Resume(prod),
        ["retry", "prod"] => Action::Retry(prod),
        ["abort", "prod", "--reason", "TEXT"] => Action::Abort(prod),
        ["unpin", "--env", "prod"] => Action::Unpin(Subject::Environment(prod)),
        // The text names them elsewhere.
        ["resume" | "unpin", .., "NAME"] | ["status", ..] | ["token", "create", ..] => return None,
        ["resume", cluster] => Action::Unsuspend(name(cluster)),
        ["unpin", "--cluster", cluster] => Action::Unpin(Subject::Cluster(name(cluster))),
        ["pin", "--cluster", cluster, "--reason", "TEXT"] => kept(Subject::Cluster(name(cluster))),
        ["suspend", cluster, "--reason", "TEXT"] => Action::Suspend(name(cluster)),
        other => panic!("no such command: {other:?}"),
    })
}

impl People {
    /// Each command that is suggested is one that the hub accepts.
    pub(super) fn check_suggested(&mut self) {
        // Every third time, so that it takes no longer than all other laws.
        self.looks += 1;
        if !self.looks.is_multiple_of(3) {
            return;
        }
        let fleet = &self.world.fleet;
        let now = at(self.world.second);
        let rollout = self.world.rollout();
        let mut texts = vec![(rollout.id.clone(), rollout.why())];
        for subject in std::iter::once("prod").chain(CLUSTERS) {
            let steps = crate::status::explain(fleet, subject, now).unwrap();
            texts.extend(
                steps
                    .into_iter()
                    .map(|step| (subject.to_owned(), step.text)),
            );
        }
        for cluster in CLUSTERS {
            let known = &fleet.clusters()[&name(cluster)];
            let held = known.refusal.iter().map(|refusal| refusal.message.clone());
            texts.extend(held.map(|text| (cluster.to_owned(), text)));
        }
        let environment = fleet.spec().environment(&People::prod()).unwrap();
        let known = rollout.changed().into_iter();
        let known: Vec<_> = known.chain(fleet.newest(environment)).collect();
        for (subject, text) in texts {
            for words in commands(&text) {
                let Some(action) = asked(&words, &known) else {
                    continue;
                };
                let taken = fleet.clone().act(&action, "ada", "why", now);
                assert!(taken.is_ok(), "{subject} is told {text:?}: {taken:?}");
            }
        }
    }
}

/// Returns the commands that a text names, word by word.
pub(in crate::fleet) fn commands(text: &str) -> Vec<Vec<String>> {
    let mut all = Vec::new();
    for part in text.split("flotilla ").skip(1) {
        let end = part.find([',', ';', ')']).unwrap_or(part.len());
        let words = part[..end].split(' ');
        // Its explanation follows the last argument.
        let words = words.take_while(|word| {
            ![
                "gives",
                "keeps",
                "runs",
                "overrides",
                "goes",
                "lets",
                "leaves",
                "shows",
                "tries",
                "ends",
                "to",
            ]
            .contains(word)
        });
        all.push(words.map(str::to_owned).collect());
    }
    all
}

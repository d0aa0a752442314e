//! Operators act at any moment: two repositories in one environment, and operators who push, approve, pin, roll back,
//! override, retry, abort, suspend and edit the fleet file while agents go offline and return. The laws of the table
//! `live/roll`, from a seed.

mod acts;
mod laws;
mod texts;

use std::collections::BTreeSet;

use flotilla_shared::id::ApplicationName;

use super::super::rollout::{Phase, State};
use super::roll::{World, approve, of_second, pin};
use super::seeds;
use super::*;

pub(in crate::fleet) use acts::commands;
use texts::FleetFile;

/// A revision: repository (or the fleet file) and commit.
type RevisionKey = (String, Commit);
/// What a cluster runs of an application, apart from the commit.
type Definition = (ApplicationName, String, String, u64);

const CLUSTERS: [&str; 3] = ["p1", "p2", "p3"];
const APPROVALS: usize = 2;
/// A rollout counts at most five seconds between two steps.
const STRIDE: i64 = 3;

struct People {
    rng: rand::rngs::StdRng,
    world: World,
    declared: FleetFile,
    commits: u64,
    /// Approvals of revisions, with their people.
    approved: BTreeMap<RevisionKey, BTreeSet<&'static str>>,
    /// Approvals of waves.
    waves: BTreeSet<(RevisionKey, String)>,
    /// Revisions that an admin let in by name, everywhere or for one cluster.
    let_in: BTreeSet<RevisionKey>,
    let_in_at: BTreeSet<(String, RevisionKey)>,
    /// Revisions at the start.
    first: BTreeSet<RevisionKey>,
    /// Clusters that a rollout reached, with its revisions.
    reached: BTreeSet<(ClusterName, RevisionKey)>,
    /// Revisions that were good at some moment.
    good: BTreeSet<RevisionKey>,
    /// Failed revisions that an operator wants retried.
    retried: BTreeSet<RevisionKey>,
    /// Revisions that had failed at the last check.
    failed: BTreeSet<RevisionKey>,
    /// The last assignment of each cluster.
    given: BTreeMap<(&'static str, String), RevisionKey>,
    defined: BTreeMap<(&'static str, ApplicationName), Definition>,
    /// Revisions of the fleet file that contain a definition.
    revisions: BTreeMap<Definition, BTreeSet<Commit>>,
    /// Every revision that was ever declared.
    declarations: Vec<Commit>,
    /// Applications that the file did not place, or removed, at some moment.
    taken: BTreeSet<(&'static str, ApplicationName)>,
    /// Number of calls of `check_suggested`.
    looks: u64,
    /// Clusters that counted as done, with the rollout.
    done: BTreeSet<(String, ClusterName)>,
}

impl People {
    fn new(seed: u64) -> Self {
        let mut rng = rand::rngs::StdRng::seed_from_u64(seed);
        let declared = FleetFile::new(&mut rng);
        let mut world = World::rolled_out(&declared.text());
        for repository in ["fleet", "second"] {
            // The Git server does not support filters.
            world.step(Event::TreesFailed {
                repository: repository.parse().unwrap(),
                problem: Problem::new(Reason::RepositoryUnavailable, "no filter"),
            });
        }
        let mut people = Self {
            rng,
            world,
            declared,
            commits: 1,
            approved: BTreeMap::new(),
            waves: BTreeSet::new(),
            let_in: BTreeSet::new(),
            let_in_at: BTreeSet::new(),
            first: BTreeSet::new(),
            reached: BTreeSet::new(),
            good: BTreeSet::new(),
            retried: BTreeSet::new(),
            failed: BTreeSet::new(),
            given: BTreeMap::new(),
            defined: BTreeMap::new(),
            revisions: BTreeMap::new(),
            declarations: Vec::new(),
            taken: BTreeSet::new(),
            looks: 0,
            done: BTreeSet::new(),
        };
        people.note_declared();
        let approved = people.world.state().approved.clone();
        let first = approved.iter();
        people.first = first
            .map(|(repository, commit)| (repository.to_string(), commit.clone()))
            .collect();
        people.done = people.counted_as_done();
        people.note();
        for cluster in CLUSTERS {
            for (app, entry, definition) in people.runs(cluster) {
                people.given.insert((cluster, app.to_string()), entry);
                people.defined.insert((cluster, app), definition);
            }
        }
        people
    }

    /// Runs a whole sequence. Returns the commands that ended rollouts.
    fn live(seed: u64) -> Vec<&'static str> {
        let mut people = Self::new(seed);
        for _ in 0..60 {
            people.happen();
        }
        let acts = people.rest();
        people.repair();
        acts
    }

    fn commit_of(repository: &str, n: u64) -> Commit {
        if repository == "second" {
            of_second(n)
        } else {
            commit(n)
        }
    }

    fn prod() -> EnvironmentName {
        "prod".parse().unwrap()
    }

    /// Returns the assignment of a cluster.
    fn runs(&self, cluster: &str) -> Vec<(ApplicationName, RevisionKey, Definition)> {
        let assigned = self.world.fleet.clusters()[&name(cluster)].assigned.clone();
        let assigned = assigned.unwrap();
        let all = assigned.assignment.applications.iter();
        all.map(|(app, application)| {
            let commit = application.revision.commit.clone();
            let definition = (
                app.clone(),
                application.path.to_string(),
                application.namespace.clone(),
                u64::from(application.sync_policy.health_timeout_seconds),
            );
            let entry = (application.revision.repository.to_string(), commit);
            (app.clone(), entry, definition)
        })
        .collect()
    }

    fn note_declared(&mut self) {
        let (_, revision) = self.world.fleet.declared_revision(&Self::prod()).unwrap();
        for definition in self.declared.definitions() {
            let known = self.revisions.entry(definition).or_default();
            known.insert(revision.clone());
        }
        for cluster in CLUSTERS {
            for app in ["a", "b", "c"] {
                if !self.declared.places(app, cluster) {
                    self.taken.insert((cluster, app.parse().unwrap()));
                }
            }
        }
        self.declarations.push(revision);
    }

    /// Notes the good and the failed revisions.
    fn note(&mut self) {
        let state = self.world.state();
        for (repository, commit) in &state.approved {
            self.good.insert((repository.to_string(), commit.clone()));
        }
        self.failed.clear();
        for quarantine in &state.quarantined {
            for (repository, commit) in &quarantine.commits {
                if state.quarantine_of(repository, commit).is_some() {
                    self.failed.insert((repository.to_string(), commit.clone()));
                }
            }
        }
    }

    fn any(&mut self) -> RevisionKey {
        let all = ["fleet", "second", "fleet-file"];
        let repository = *all.choose(&mut self.rng).unwrap();
        if repository == "fleet-file" {
            let revision = self.declarations.choose(&mut self.rng).unwrap().clone();
            return (repository.to_owned(), revision);
        }
        let n = self.rng.random_range(1..=self.commits);
        (repository.to_owned(), Self::commit_of(repository, n))
    }

    /// Returns a revision at a head: most actions are about these.
    fn newest(&mut self) -> RevisionKey {
        if self.rng.random_bool(0.3) {
            return self.any();
        }
        let target = self.world.rollout().target.clone();
        let all: Vec<RevisionKey> = target
            .iter()
            .map(|(repository, commit)| (repository.to_string(), commit.clone()))
            .collect();
        all.choose(&mut self.rng).unwrap().clone()
    }

    fn push(&mut self, repository: &str, bad: bool) {
        self.commits += 1;
        let n = self.commits;
        if bad {
            self.world.bad.push(Self::commit_of(repository, n));
        }
        self.world.push(repository, "prod", n);
    }

    fn declare(&mut self) {
        let text = self.declared.text();
        self.world.declare(&text);
        self.note_declared();
    }

    fn approve_as(&mut self, person: &'static str, entry: &RevisionKey) {
        // Noted before the action, since that advances the fleet and may start clusters.
        let people = self.approved.entry(entry.clone()).or_default();
        let is_new = people.insert(person);
        let action = approve(&entry.0, &entry.1, Scope::Commit);
        if self.world.act_as(person, &action).is_err() && is_new {
            self.approved.get_mut(entry).unwrap().remove(person);
        }
        self.check();
    }

    fn let_begin(&mut self, person: &'static str, entry: &RevisionKey, wave: &str) -> bool {
        let key = (entry.clone(), wave.to_owned());
        let is_new = self.waves.insert(key.clone());
        let action = approve(&entry.0, &entry.1, Scope::Wave(wave.to_owned()));
        let done = self.world.act_as(person, &action).is_ok();
        if !done && is_new {
            self.waves.remove(&key);
        }
        self.check();
        done
    }

    fn override_of(&mut self, person: &'static str, entry: &RevisionKey) -> bool {
        // An override also lets in a commit that failed.
        self.let_in.insert(entry.clone());
        self.retried.insert(entry.clone());
        let action = approve(&entry.0, &entry.1, Scope::Override);
        self.world.act_as(person, &action).is_ok()
    }

    fn pin_some(&mut self, person: &'static str) {
        let (_, commit) = self.any();
        let entry = ("fleet".to_owned(), commit.clone());
        let admin = self.rng.random_bool(0.5);
        let cluster = *CLUSTERS.choose(&mut self.rng).unwrap();
        let mut action = pin(Some(&commit), admin);
        let of_one = self.rng.random_bool(0.3);
        if let Action::Pin { subject, .. } = &mut action
            && of_one
        {
            *subject = Subject::Cluster(name(cluster));
        }
        match (admin, of_one) {
            (true, true) => {
                self.let_in_at.insert((cluster.to_owned(), entry.clone()));
            }
            (true, false) => {
                self.let_in.insert(entry.clone());
            }
            (false, _) => {}
        }
        self.retried.insert(entry);
        let _ = self.world.act_as(person, &action);
    }

    fn happen(&mut self) {
        let repository = *["fleet", "second"].choose(&mut self.rng).unwrap();
        let person = *["bob", "carol", "dave"].choose(&mut self.rng).unwrap();
        let cluster = *CLUSTERS.choose(&mut self.rng).unwrap();
        let prod = Self::prod();
        match self.rng.random_range(0..34) {
            0..3 => {
                let bad = self.rng.random_bool(0.3);
                self.push(repository, bad);
            }
            3 => {
                // The branch is forced back.
                let n = self.rng.random_range(1..=self.commits);
                self.world.push(repository, "prod", n);
            }
            4..7 => {
                self.declared.edit(&mut self.rng);
                self.declare();
            }
            7..14 => {
                let entry = self.newest();
                self.approve_as(person, &entry);
            }
            14..16 => {
                let entry = self.newest();
                self.let_begin(person, &entry, "two");
            }
            16 => {
                let entry = self.newest();
                self.override_of(person, &entry);
            }
            17 => self.pin_some(person),
            18 => {
                let _ = self.world.act_as(person, &pin(None, false));
            }
            19..21 => {
                let subject = match self.rng.random_bool(0.5) {
                    true => Subject::Environment(prod),
                    false => Subject::Cluster(name(cluster)),
                };
                let _ = self.world.act_as(person, &Action::Unpin(subject));
            }
            21 => {
                let (repository, commit) = self.newest();
                let admin = self.rng.random_bool(0.5);
                if admin {
                    let entry = (repository.clone(), commit.clone());
                    self.let_in.insert(entry.clone());
                    self.retried.insert(entry);
                }
                let action = Action::Rollback {
                    environment: prod,
                    repository: repository.parse().ok(),
                    commit,
                    to: None,
                    overriding: admin.into(),
                };
                let _ = self.world.act_as(person, &action);
            }
            22 => {
                let failed = self.failed.clone();
                if self.world.act_as(person, &Action::Retry(prod)).is_ok() {
                    self.retried.extend(failed);
                }
            }
            23 => {
                let _ = self.world.act_as(person, &Action::Abort(prod));
            }
            24 => {
                let _ = self.world.act_as(person, &Action::Pause(prod));
            }
            25 => {
                let _ = self.world.act_as(person, &Action::Resume(prod));
            }
            26 => {
                let action = match self.rng.random_bool(0.4) {
                    true => Action::Suspend(name(cluster)),
                    false => Action::Unsuspend(name(cluster)),
                };
                let _ = self.world.act_as(person, &action);
            }
            27 => {
                let on = self.rng.random_bool(0.6);
                self.world.connect(cluster, on);
            }
            28 => {
                // An agent becomes silent, or reports again.
                let silent = &mut self.world.silent;
                match silent.pop() {
                    Some(_) => {}
                    None => silent.push(cluster.to_owned()),
                }
            }
            _ => {
                let seconds = self.rng.random_range(1..12);
                self.wait(seconds);
            }
        }
        self.check();
        self.check_suggested();
    }

    fn wait(&mut self, seconds: i64) {
        for _ in 0..seconds {
            self.world.pass(1);
            self.check();
        }
    }

    /// Passes time with checks now and then.
    fn wait_long(&mut self, seconds: i64) {
        for _ in 0..seconds / STRIDE {
            self.world.stride(STRIDE);
            self.check();
        }
        self.check_suggested();
    }
}

/// `FLOTILLA_PEOPLE` sets the number of seeds, `FLOTILLA_SEED` the first.
#[test]
fn p05_p21_whatever_people_do_gates_hold_for_each_commit_and_a_repair_comes_in() {
    // A normal run uses fixed seeds; a run with a requested number uses new ones.
    let asked = seeds::number("FLOTILLA_PEOPLE");
    let other = asked.map_or(1_000, |_| rand::rng().random());
    let first = seeds::number("FLOTILLA_SEED").unwrap_or(other);
    let runs = asked.unwrap_or(30);
    let taken = seeds::each("people", first, runs, People::live);
    let mut acts = BTreeMap::new();
    for act in taken.into_iter().flatten() {
        *acts.entry(act).or_insert(0usize) += 1;
    }
    eprintln!("{runs} sequences; acts that ended what waited: {acts:?}");
}

/// Sequences that failed once: a wave whose clusters were all excluded was passed, and one of them that returned was
/// let in without the wave's approval (500556); a cluster that was done went back at the same moment (500299, 502051);
/// a commit was quarantined for what failed before it arrived (500134, 500379, 501050, 502431, 502911); a cluster that
/// had just become silent was not waited for (601561, a fault of the test); a cluster that was suspended during a
/// rollout was let past the gates of the next one (700681, 701035), which had nothing new to approve (701573); a queued
/// commit was let in although it had failed, while a pin let in another one (980130, 980178, 980208).
#[test]
fn p05_p21_what_people_did_once_holds_again() {
    for seed in [
        500_556, 500_299, 502_051, 500_134, 500_379, 501_050, 502_431, 502_911, 601_561, 700_681,
        701_035, 701_573, 980_130, 980_178, 980_208,
    ] {
        seeds::each("people", seed, 1, People::live);
    }
}

//! Seeded sequences of commits, passes, crashes, faults and edits by others against a model of one
//! cluster. Every deletion must be one that the promises allow; and once the faults stop, the cluster
//! converges to the desired state (I3, I7).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test fails by panicking"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

use flotilla_agent::inventory::{Entry, Inventory};
use flotilla_agent::plan::{
    Claims, Desired, Fit, Inputs, Intent, Live, Observed, Plan, Step, forbids, plan,
};
use flotilla_agent::policy::{DeleteBudget, Policy};
use flotilla_shared::assignment::Drift;
use flotilla_shared::health::Health;
use flotilla_shared::object::{ObjectNames, ObjectRef};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use serde_json::json;

const SEQUENCES: u64 = 100_000;
const APPLICATIONS: [&str; 2] = ["a", "b"];

fn object(number: u8) -> ObjectRef {
    let kind = match number {
        7 => "Namespace",
        _ => "ConfigMap",
    };
    ObjectRef::from(ObjectNames {
        group: String::new(),
        kind: kind.to_owned(),
        namespace: if number == 7 { "" } else { "web" }.to_owned(),
        name: format!("o{number}"),
    })
}

/// A live object.
#[derive(Debug, Clone)]
struct Thing {
    uid: u64,
    mark: String,
    content: String,
    prune: &'static str,
}

/// What one application's commit desires: contents by object.
type DesiredStates = BTreeMap<u8, u8>;

struct World {
    rng: StdRng,
    live: BTreeMap<ObjectRef, Thing>,
    stored: BTreeMap<&'static str, Inventory>,
    /// The assigned desired states.
    desired_states: BTreeMap<&'static str, DesiredStates>,
    /// The rendered desired states, which may lag behind the assigned ones.
    rendered: BTreeMap<&'static str, DesiredStates>,
    /// Everything that was ever applied: by whom, which object, which UID.
    applied: BTreeSet<(&'static str, ObjectRef, u64)>,
    next_uid: u64,
    policy: Policy,
    deletes: usize,
    faults: bool,
}

/// The agent was killed here.
struct Crash;

impl World {
    fn new(seed: u64) -> Self {
        Self {
            rng: StdRng::seed_from_u64(seed),
            live: BTreeMap::new(),
            stored: BTreeMap::new(),
            desired_states: BTreeMap::new(),
            rendered: BTreeMap::new(),
            applied: BTreeSet::new(),
            next_uid: 1,
            policy: Policy {
                delete_budget: DeleteBudget {
                    count: 4,
                    percent: 100,
                },
                ..Policy::default()
            },
            deletes: 0,
            faults: true,
        }
    }

    fn chance(&mut self, probability: f64) -> bool {
        self.faults && self.rng.random_bool(probability)
    }

    /// A place where the agent may be killed, and where others may act in between.
    fn point(&mut self) -> Result<(), Crash> {
        if self.chance(0.05) {
            self.others();
        }
        if self.chance(0.04) {
            Err(Crash)
        } else {
            Ok(())
        }
    }

    /// An edit by others.
    fn others(&mut self) {
        let id = object(self.rng.random_range(0..8));
        match self.rng.random_range(0..4) {
            0 => {
                self.live.remove(&id);
            }
            1 => {
                // Deleted and created again by others.
                self.next_uid += 1;
                let thing = Thing {
                    uid: self.next_uid,
                    mark: String::new(),
                    content: "theirs".to_owned(),
                    prune: "",
                };
                self.live.insert(id, thing);
            }
            2 => {
                if let Some(thing) = self.live.get_mut(&id) {
                    "edited".clone_into(&mut thing.content);
                }
            }
            _ => {
                let word = *["", "disabled", "confirm", "confirmed"]
                    .choose(&mut self.rng)
                    .unwrap();
                if let Some(thing) = self.live.get_mut(&id) {
                    thing.prune = word;
                }
            }
        }
    }

    fn commit(&mut self) {
        let name = *APPLICATIONS.choose(&mut self.rng).unwrap();
        let mut desired_states = DesiredStates::new();
        for number in 0..8 {
            if self.rng.random_bool(0.4) {
                desired_states.insert(number, self.rng.random_range(0..3));
            }
        }
        self.desired_states.insert(name, desired_states);
    }

    /// Built once: hashing is not under test.
    fn desired(name: &str, desired_states: &DesiredStates) -> Vec<Arc<Desired>> {
        type Cache = BTreeMap<(String, u8, u8), Arc<Desired>>;
        static ALL: LazyLock<Cache> = LazyLock::new(|| {
            let mut all = Cache::new();
            for name in APPLICATIONS {
                for (number, content) in (0..8).flat_map(|n| (0..3).map(move |c| (n, c))) {
                    let value = json!({"by": name, "content": content});
                    let made = Desired::new(object(number), "v1".to_owned(), &value);
                    all.insert((name.to_owned(), number, content), Arc::new(made));
                }
            }
            all
        });
        let key = |number: &u8, content: &u8| (name.to_owned(), *number, *content);
        desired_states
            .iter()
            .map(|(n, c)| Arc::clone(&ALL[&key(n, c)]))
            .collect()
    }

    fn content(desired: &Desired) -> String {
        desired.short_digest()
    }

    fn claims(&self) -> Claims {
        let mut claims = Claims {
            complete: self
                .desired_states
                .keys()
                .all(|n| self.desired_states.get(n) == self.rendered.get(n)),
            ..Claims::default()
        };
        for (name, desired_states) in &self.rendered {
            for number in desired_states.keys() {
                let owners = claims.owners.entry(object(*number)).or_default();
                owners.push((*name).into());
            }
        }
        claims
    }

    /// What the agent observes: everything, or, with a fault, less, and known to be incomplete.
    fn observe(&mut self, desired: &[Arc<Desired>], inventory: &Inventory) -> Observed {
        let by_object: BTreeMap<&ObjectRef, &Arc<Desired>> =
            desired.iter().map(|d| (&d.object, d)).collect();
        let complete = !self.chance(0.1);
        let mut observed = Observed {
            complete,
            ..Observed::default()
        };
        let mut ids: BTreeSet<ObjectRef> = inventory.entries().map(|e| e.object.clone()).collect();
        ids.extend(desired.iter().map(|d| d.object.clone()));
        for id in ids {
            if !complete && self.rng.random_bool(0.5) {
                observed.unseen.insert(id);
                continue;
            }
            let Some(thing) = self.live.get(&id) else {
                continue;
            };
            let fit = match by_object.get(&id) {
                Some(d) if Self::content(d) == thing.content => Fit::Equal,
                _ => Fit::Unknown,
            };
            let live = Live {
                uid: thing.uid.to_string(),
                application: thing.mark.clone(),
                applied_by_us: !thing.mark.is_empty(),
                prune: thing.prune.to_owned(),
                terminating: false,
                fit,
                health: Health::Current,
                overdue: false,
            };
            observed.live.insert(id, live);
        }
        observed
    }

    /// One pass of one application, in the order of the executor: remember, apply, delete, forget.
    fn pass(&mut self, name: &'static str) -> Result<(), Crash> {
        if self.rendered.get(name) != self.desired_states.get(name) && !self.chance(0.2) {
            let desired_states = self.desired_states.get(name).cloned().unwrap_or_default();
            self.rendered.insert(name, desired_states);
        }
        let Some(desired_states) = self.rendered.get(name).cloned() else {
            return Ok(());
        };
        let desired = Self::desired(name, &desired_states);
        let claims = self.claims();
        let mut inventory = self.stored.get(name).cloned().unwrap_or_default();
        let observed = self.observe(&desired, &inventory);
        let made: Plan = plan(&Inputs {
            application: name,
            desired: &desired,
            observed: &observed,
            inventory: &inventory,
            policy: &self.policy,
            own_namespace: "flotilla-system",
            claims: &claims,
            prune_enabled: true,
            drift: Drift::Correct,
            contested: &BTreeMap::new(),
            finished_hooks: &BTreeSet::new(),
            intent: Intent::Run,
            inventory_proven: true,
            removal_confirmed: false,
            waits_for: None,
        });
        if made.refused.is_some() {
            return Ok(());
        }
        self.point()?;
        let steps: Vec<&Step> = made.apply.iter().flatten().collect();
        let mut entries = Vec::new();
        for step in &steps {
            if let Step::Apply { index, .. } = step {
                entries.push(Entry {
                    object: desired[*index].object.clone(),
                    version: "v1".to_owned(),
                    uid: String::new(),
                    applied: String::new(),
                });
            }
        }
        inventory = inventory.superset(entries);
        for step in &made.rest {
            if let Step::Forget(id) = step {
                inventory.remove(id);
            }
        }
        self.stored.insert(name, inventory.clone());
        for step in steps {
            self.point()?;
            let Step::Apply { index, .. } = step else {
                continue;
            };
            let object = &desired[*index];
            if self.chance(0.1) {
                continue;
            }
            self.apply(name, object, &mut inventory);
        }
        for step in made.prune.iter().flatten() {
            self.point()?;
            let Step::Prune(id, uid) = step else { continue };
            self.delete(name, id, uid, &mut inventory);
        }
        self.point()?;
        self.stored.insert(name, inventory);
        Ok(())
    }

    fn apply(&mut self, name: &'static str, object: &Desired, inventory: &mut Inventory) {
        let content = Self::content(object);
        let next = self.next_uid + 1;
        let thing = self
            .live
            .entry(object.object.clone())
            .or_insert_with(|| Thing {
                uid: next,
                mark: String::new(),
                content: String::new(),
                prune: "",
            });
        self.next_uid = next;
        name.clone_into(&mut thing.mark);
        thing.content = content;
        let uid = thing.uid;
        self.applied.insert((name, object.object.clone(), uid));
        inventory.insert(Entry {
            object: object.object.clone(),
            version: "v1".to_owned(),
            uid: uid.to_string(),
            applied: object.short_digest(),
        });
    }

    /// The executor's delete: a live look, then a precondition on the UID. And the judge.
    fn delete(&mut self, name: &'static str, id: &ObjectRef, uid: &str, inventory: &mut Inventory) {
        let Some(thing) = self.live.get(id).cloned() else {
            inventory.remove(id);
            return;
        };
        if thing.uid.to_string() != uid || (!thing.mark.is_empty() && thing.mark != name) {
            inventory.remove(id);
            return;
        }
        if forbids(thing.prune, &self.policy, id).is_some() {
            return;
        }
        // Judged by the assignment, and not by what the agent believes.
        for (other, desired_states) in &self.desired_states {
            let is_desired = desired_states.keys().any(|number| object(*number) == *id);
            let is_held = *other == name && self.rendered.get(name) != Some(desired_states);
            assert!(
                !is_desired || is_held,
                "{name} deletes {id}, which {other} wants"
            );
        }
        assert!(
            self.applied.contains(&(name, id.clone(), thing.uid)),
            "{name} deletes {id} of UID {uid}, which it never applied"
        );
        let is_confirmed = thing.prune == "confirmed";
        let is_free = id.kind != "Namespace" && thing.prune.is_empty();
        assert!(
            is_confirmed || is_free,
            "{name} deletes {id}, which says {:?}",
            thing.prune
        );
        self.live.remove(id);
        inventory.remove(id);
        self.deletes += 1;
    }

    /// Without faults, the cluster reaches the desired state in a few passes.
    fn converge(&mut self) {
        self.faults = false;
        for _ in 0..3 {
            for name in APPLICATIONS {
                assert!(self.pass(name).is_ok());
            }
        }
        for (name, desired_states) in &self.desired_states {
            for object in Self::desired(name, desired_states) {
                let thing = self.live.get(&object.object);
                let thing =
                    thing.unwrap_or_else(|| panic!("{} of {name} is missing", object.object));
                let owner = self
                    .claims()
                    .owner(&object.object, &thing.mark)
                    .map(str::to_owned);
                if owner.as_deref() == Some(name) {
                    assert_eq!(thing.content, Self::content(&object), "{}", object.object);
                }
            }
        }
    }
}

#[test]
fn p21_no_sequence_of_passes_crashes_and_faults_deletes_without_proof() {
    let seed: u64 = rand::rng().random();
    let sequences = std::env::var("FLOTILLA_SEQUENCES")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(SEQUENCES);
    eprintln!("seed {seed}, {sequences} sequences");
    let half = move |from: u64| {
        let mut deletes = 0;
        let mut round = from;
        while round < sequences {
            let current = std::panic::catch_unwind(|| {
                let mut world = World::new(seed.wrapping_add(round));
                for _ in 0..world.rng.random_range(2..6) {
                    world.commit();
                    for name in APPLICATIONS {
                        // A killed agent starts again from its stored state.
                        let _ = world.pass(name);
                    }
                    if world.chance(0.3) {
                        world.others();
                    }
                }
                world.converge();
                world.deletes
            });
            deletes += current.unwrap_or_else(|_| panic!("seed {seed} round {round}"));
            round += 2;
        }
        deletes
    };
    let other = std::thread::spawn(move || half(1));
    let deletes = half(0) + other.join().unwrap();
    eprintln!("{deletes} deletes, each with proof");
    assert!(deletes as u64 > sequences, "the sequences do delete");
}

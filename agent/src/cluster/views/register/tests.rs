use flotilla_shared::object::ObjectNames;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use serde_json::json;

use super::*;
use crate::plan::Desired;

const SEQUENCES: u64 = 5_000;

fn object(number: u8) -> ObjectRef {
    ObjectRef::from(ObjectNames {
        group: String::new(),
        kind: "ConfigMap".to_owned(),
        namespace: "web".to_owned(),
        name: format!("o{number}"),
    })
}

fn key() -> Key {
    Key {
        group: String::new(),
        kind: "ConfigMap".to_owned(),
        version: "v1".to_owned(),
        plural: "configmaps".to_owned(),
        namespaced: true,
        namespace: "web".to_owned(),
    }
}

fn wanted(number: u8, content: u8) -> Wanted {
    let value =
        json!({"metadata": {"name": format!("o{number}")}, "data": {"v": content.to_string()}});
    let desired = Desired::new(object(number), "v1".to_owned(), &value);
    Wanted::new(Arc::new(desired), &Arc::default())
}

/// What the API server has.
#[derive(Clone)]
struct Thing {
    uid: u64,
    version: u64,
    content: u8,
}

impl Thing {
    fn live(&self, number: u8) -> Value {
        json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": format!("o{number}"), "namespace": "web",
                "uid": self.uid.to_string(), "resourceVersion": self.version.to_string()},
            "data": {"v": self.content.to_string()},
        })
    }
}

/// Answers and events on their way.
enum Answer {
    Found(TenureId, u8, Thing),
    List(BTreeMap<u8, Thing>, u64, u64),
    Wrote(TenureId, u8, Thing),
}

enum Event {
    Changed(u8, Thing),
    Deleted(u8, u64),
}

struct World {
    rng: StdRng,
    register: Register,
    things: BTreeMap<u8, Thing>,
    version: u64,
    answers: Vec<Answer>,
    events: std::collections::VecDeque<Event>,
    /// What each tenure follows.
    tenures: BTreeMap<TenureId, BTreeMap<u8, Option<u8>>>,
}

impl World {
    fn new(seed: u64) -> Self {
        Self {
            rng: StdRng::seed_from_u64(seed),
            register: Register::new("flotilla".to_owned(), Arc::default(), Arc::default()),
            things: BTreeMap::new(),
            version: 10,
            answers: Vec::new(),
            events: std::collections::VecDeque::new(),
            tenures: BTreeMap::new(),
        }
    }

    fn write(&mut self, number: u8, content: u8) -> Thing {
        self.version += 1;
        let uid = self.things.get(&number).map_or(self.version, |t| t.uid);
        let thing = Thing {
            uid,
            version: self.version,
            content,
        };
        self.things.insert(number, thing.clone());
        self.events.push_back(Event::Changed(number, thing.clone()));
        thing
    }

    fn delete(&mut self, number: u8) {
        if let Some(thing) = self.things.remove(&number) {
            self.version += 1;
            self.events.push_back(Event::Deleted(number, thing.uid));
        }
    }

    fn follow(&mut self, tenure: TenureId) {
        let mut follows = BTreeMap::new();
        for number in 0..3 {
            if self.rng.random_bool(0.7) {
                let content = self.rng.random_range(0..3);
                follows.insert(number, self.rng.random_bool(0.8).then_some(content));
            }
        }
        let objects = follows
            .iter()
            .map(|(number, content)| (object(*number), content.map(|c| wanted(*number, c))))
            .collect();
        let fresh = self.register.follow(tenure, objects, [key()].into());
        self.tenures.insert(tenure, follows);
        for object in fresh.unwrap() {
            let number = (0..3).find(|n| self::object(*n) == object).unwrap();
            if let Some(thing) = self.things.get(&number) {
                self.answers
                    .push(Answer::Found(tenure, number, thing.clone()));
            }
        }
    }

    fn act(&mut self) {
        let number = self.rng.random_range(0..3);
        let ids: Vec<TenureId> = self.tenures.keys().copied().collect();
        match self.rng.random_range(0..12) {
            0..=2 => {
                let content = self.rng.random_range(0..3);
                self.write(number, content);
            }
            3 => self.delete(number),
            4 => {
                let (tenure, _) = self.register.enter();
                self.follow(tenure);
            }
            5 => {
                if let Some(tenure) = ids.choose(&mut self.rng) {
                    self.register.leave(*tenure);
                    self.tenures.remove(tenure);
                }
            }
            6 => {
                if let Some(tenure) = ids.choose(&mut self.rng) {
                    self.follow(*tenure);
                }
            }
            7 => {
                let moment = self.register.moment();
                self.answers
                    .push(Answer::List(self.things.clone(), self.version, moment));
            }
            8 => {
                // An apply of a tenure's own.
                let Some(tenure) = ids.choose(&mut self.rng).copied() else {
                    return;
                };
                if let Some(Some(content)) = self.tenures[&tenure].get(&number).copied() {
                    let thing = self.write(number, content);
                    self.answers.push(Answer::Wrote(tenure, number, thing));
                }
            }
            9 => {
                if !self.answers.is_empty() {
                    let index = self.rng.random_range(0..self.answers.len());
                    let answer = self.answers.swap_remove(index);
                    self.answer(answer);
                }
            }
            _ => self.event(),
        }
    }

    fn answer(&mut self, answer: Answer) {
        match answer {
            Answer::Found(tenure, number, thing) => {
                let live = thing.live(number);
                self.register.found(tenure, &object(number), &live);
            }
            Answer::Wrote(tenure, number, thing) => {
                let live = thing.live(number);
                let applied = Some(wanted(number, thing.content).key);
                self.register.learn(tenure, &object(number), &live, applied);
            }
            Answer::List(things, version, moment) => {
                let mut seen = BTreeSet::new();
                for (number, thing) in things {
                    let object = object(number);
                    if self.register.is_tracked(&object) {
                        let read = Read::Listed { version, moment };
                        self.register.put(&object, &thing.live(number), read);
                        seen.insert(object);
                    }
                }
                self.register.listed(&key(), &seen, version, moment);
            }
        }
    }

    fn event(&mut self) {
        match self.events.pop_front() {
            Some(Event::Changed(number, thing)) => {
                let live = thing.live(number);
                self.register.put(&object(number), &live, Read::Alone);
            }
            Some(Event::Deleted(number, uid)) => {
                self.register.gone(&object(number), &uid.to_string(), None);
            }
            None => {}
        }
    }

    /// All events have come, and every answer, however late: each tenure knows what is, compared with
    /// what it wants itself.
    fn judge(&mut self) {
        while !self.events.is_empty() {
            self.event();
        }
        while let Some(answer) = self.answers.pop() {
            self.answer(answer);
        }
        for (tenure, follows) in &self.tenures {
            let facts = self.register.snapshot(*tenure).unwrap();
            for (number, content) in follows {
                let fact = facts.get(&object(*number));
                let thing = self.things.get(number);
                assert_eq!(
                    fact.map(|fact| fact.uid.clone()),
                    thing.map(|thing| thing.uid.to_string()),
                    "o{number} is there, or is not"
                );
                let (Some(fact), Some(thing)) = (fact, thing) else {
                    continue;
                };
                let is_equal = *content == Some(thing.content);
                if fact.fit == Fit::Equal {
                    assert!(
                        is_equal,
                        "tenure {tenure} compared o{number} with another wish"
                    );
                }
            }
            assert_eq!(
                facts.len(),
                follows
                    .keys()
                    .filter(|n| self.things.contains_key(n))
                    .count()
            );
        }
    }
}

#[test]
#[ignore = "open: some orders still make a tenure believe in an object that is gone (see SHORTCOMINGS.md)"]
fn p03_no_order_of_answers_and_events_makes_a_tenure_believe_what_is_not() {
    let seed: u64 = rand::rng().random();
    eprintln!("seed {seed}");
    for round in 0..SEQUENCES {
        let mut world = World::new(seed.wrapping_add(round));
        for _ in 0..world.rng.random_range(5..40) {
            world.act();
        }
        let judged = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| world.judge()));
        assert!(judged.is_ok(), "seed {}", seed.wrapping_add(round));
    }
}

#[test]
fn what_one_tenure_compared_is_no_other_ones() {
    let mut register = Register::new("flotilla".to_owned(), Arc::default(), Arc::default());
    let one = |content| BTreeMap::from([(object(0), Some(wanted(0, content)))]);
    let thing = Thing {
        uid: 1,
        version: 5,
        content: 1,
    };
    let (old, _) = register.enter();
    register.follow(old, one(1), [key()].into());
    let applied = Some(wanted(0, 1).key);
    register.learn(old, &object(0), &thing.live(0), applied);
    // The application has another name by now, and then another content; the old worker comes late.
    let (new, _) = register.enter();
    register.follow(new, one(1), [key()].into());
    register.follow(old, one(1), [key()].into());
    register.put(&object(0), &thing.live(0), Read::Alone);
    register.follow(new, one(2), [key()].into());
    assert_ne!(register.snapshot(new).unwrap()[&object(0)].fit, Fit::Equal);
    register.leave(old);
    assert!(register.follow(old, one(1), [key()].into()).is_none());
    assert!(register.snapshot(old).is_none());
}

#[test]
fn p03_an_apply_proves_nothing_about_what_is_wanted_by_the_time_it_is_answered() {
    let mut register = Register::new("flotilla".to_owned(), Arc::default(), Arc::default());
    let one = |content| BTreeMap::from([(object(0), Some(wanted(0, content)))]);
    // As the server keeps it, the applied object looks different from what was applied.
    let thing = Thing {
        uid: 1,
        version: 5,
        content: 7,
    };
    let (tenure, changed) = register.enter();
    register.follow(tenure, one(1), [key()].into());
    let applied = Some(wanted(0, 1).key);
    register.follow(tenure, one(2), [key()].into());
    register.learn(tenure, &object(0), &thing.live(0), applied);
    let fit = |register: &Register| register.snapshot(tenure).unwrap()[&object(0)].fit.clone();
    assert_ne!(fit(&register), Fit::Equal);
    assert!(
        changed.has_changed().unwrap(),
        "its next turn has to see it"
    );
    // The same answer to what is wanted is as near as it gets.
    register.follow(tenure, one(1), [key()].into());
    register.learn(tenure, &object(0), &thing.live(0), applied);
    assert_eq!(fit(&register), Fit::Equal);
}

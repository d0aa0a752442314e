//! Interleavings of requests, answers, events, broken watches and cancelled looks, compared with the objects of
//! the API server.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};

use super::*;

const SEQUENCES: u64 = 3_000;
const OBJECTS: u8 = 3;

enum Question {
    Get(u8),
    List,
    Apply(TenureId, u8, u8),
    Delete(TenureId, u8, u64),
}

enum Answer {
    Got(u8, Option<Thing>),
    Listed(BTreeMap<u8, Thing>, u64),
    Applied(TenureId, u8, Thing),
    Deleted(TenureId, u8, u64),
}

/// A request: the server answers it some time after it was sent, and the answer arrives later still.
struct Request {
    asked: Moment,
    question: Question,
    answer: Option<Answer>,
}

#[derive(Clone)]
enum Event {
    Changed(u8, Thing),
    Deleted(u8, u64),
}

/// The state of the view's task.
enum Watch {
    /// It lists: the moment of the request, and the server's answer.
    Listing(Moment, Option<(BTreeMap<u8, Thing>, u64)>),
    /// It watches: the index of the next event.
    Following(usize),
}

struct Worker {
    /// The baseline of each object, and the step since which it is followed.
    follows: BTreeMap<u8, (Option<u8>, u64)>,
    changed: watch::Receiver<u64>,
    /// The result of its last complete look.
    seen: Option<BTreeMap<u8, Option<String>>>,
}

struct World {
    rng: StdRng,
    register: Register,
    things: BTreeMap<u8, Thing>,
    /// The step at which each object was created.
    made: BTreeMap<u8, u64>,
    version: u64,
    step: u64,
    /// Everything that happened, by version.
    events: Vec<(u64, Event)>,
    requests: Vec<Request>,
    watch: Watch,
    workers: BTreeMap<TenureId, Worker>,
}

impl World {
    fn new(seed: u64) -> Self {
        Self {
            rng: StdRng::seed_from_u64(seed),
            register: Register::new("flotilla".to_owned(), Arc::default(), Arc::default()),
            things: BTreeMap::new(),
            made: BTreeMap::new(),
            version: 10,
            step: 0,
            events: Vec::new(),
            requests: Vec::new(),
            watch: Watch::Listing(0, None),
            workers: BTreeMap::new(),
        }
    }

    fn event(&mut self, event: Event) {
        self.events.push((self.version, event));
    }

    fn write(&mut self, number: u8, content: u8) -> Thing {
        self.version += 1;
        let uid = self.things.get(&number).map_or(self.version, |t| t.uid);
        let thing = Thing {
            uid,
            version: self.version,
            content,
        };
        if self.things.insert(number, thing.clone()).is_none() {
            self.made.insert(number, self.step);
        }
        self.event(Event::Changed(number, thing.clone()));
        thing
    }

    fn delete(&mut self, number: u8) {
        if let Some(thing) = self.things.remove(&number) {
            self.version += 1;
            self.event(Event::Deleted(number, thing.uid));
        }
    }

    fn follow(&mut self, tenure: TenureId) {
        let mut follows = BTreeMap::new();
        let worker = self.workers.get_mut(&tenure).unwrap();
        for number in 0..OBJECTS {
            if self.rng.random_bool(0.7) {
                let content = self.rng.random_range(0..3);
                let followed = self.rng.random_bool(0.8).then_some(content);
                let since = worker.follows.get(&number).map_or(self.step, |(_, s)| *s);
                follows.insert(number, (followed, since));
            }
        }
        worker.follows = follows;
        worker.seen = None;
        let objects = worker.follows.iter();
        let objects = objects
            .map(|(number, (content, _))| (object(*number), content.map(|c| baseline(*number, c))))
            .collect();
        assert!(self.register.follow(tenure, objects, [key()].into()));
    }

    /// Asks for all that a worker has not seen; without any, its look is complete.
    fn look(&mut self, tenure: TenureId) -> bool {
        let worker = self.workers.get_mut(&tenure).unwrap();
        worker.changed.mark_unchanged();
        let known = self.register.snapshot(tenure).unwrap();
        if known.unseen.is_empty() {
            let seen = worker.follows.keys().map(|n| (*n, fact_of(&known, *n)));
            worker.seen = Some(seen.collect());
            return true;
        }
        worker.seen = None;
        if self.rng.random_bool(0.2) {
            self.ask(Question::List);
        } else {
            for number in numbers(&known.unseen) {
                self.ask(Question::Get(number));
            }
        }
        false
    }

    fn ask(&mut self, question: Question) {
        self.requests.push(Request {
            asked: self.register.moment(),
            question,
            answer: None,
        });
    }

    /// The server answers a request.
    fn serve(&mut self, index: usize) {
        let answer = match self.requests[index].question {
            Question::Get(number) => Answer::Got(number, self.things.get(&number).cloned()),
            Question::List => Answer::Listed(self.things.clone(), self.version),
            Question::Apply(tenure, number, content) => {
                let thing = self.write(number, content);
                Answer::Applied(tenure, number, thing)
            }
            Question::Delete(tenure, number, uid) => {
                if self.things.get(&number).is_some_and(|t| t.uid == uid) {
                    self.delete(number);
                }
                Answer::Deleted(tenure, number, uid)
            }
        };
        self.requests[index].answer = Some(answer);
    }

    /// The answer arrives.
    fn take(&mut self, index: usize) {
        if self.requests[index].answer.is_none() {
            self.serve(index);
        }
        let Request { asked, answer, .. } = self.requests.swap_remove(index);
        let own = match answer.unwrap() {
            Answer::Got(number, Some(thing)) => {
                let read = ObjectSource::Alone { asked };
                self.register
                    .put(&object(number), &thing.live(number), read);
                None
            }
            Answer::Got(number, None) => {
                self.register.absent(&object(number), asked);
                None
            }
            Answer::Listed(things, version) => {
                self.list(&things, version, asked, Listing::Once);
                None
            }
            Answer::Applied(tenure, number, thing) => {
                let live = thing.live(number);
                let applied = Some(baseline(number, thing.content).key);
                let object = object(number);
                self.register.learn(tenure, &object, &live, asked, applied);
                Some((tenure, number))
            }
            Answer::Deleted(tenure, number, uid) => {
                let uid = uid.to_string();
                self.register.gone(&object(number), &uid, 0, Some(tenure));
                Some((tenure, number))
            }
        };
        // A worker knows the result of its own writes.
        if let Some((tenure, number)) = own
            && let Some(worker) = self.workers.get_mut(&tenure)
            && let Some(seen) = &mut worker.seen
            && let Some(before) = seen.get_mut(&number)
        {
            *before = fact_of(&self.register.snapshot(tenure).unwrap(), number);
        }
    }

    fn list(
        &mut self,
        things: &BTreeMap<u8, Thing>,
        version: u64,
        asked: Moment,
        listing: Listing,
    ) {
        let mut seen = BTreeSet::new();
        for (number, thing) in things {
            let object = object(*number);
            if self.register.is_tracked(&object) {
                let read = ObjectSource::Listed { version, asked };
                self.register.put(&object, &thing.live(*number), read);
                seen.insert(object);
            }
        }
        self.register.listed(&key(), &seen, version, asked, listing);
    }

    /// The view's task advances by a step.
    fn watch(&mut self, faults: bool) {
        match &mut self.watch {
            Watch::Listing(_, None) if faults && self.rng.random_bool(0.2) => {
                self.register.lost(&key());
                self.register.wake(|_| true);
                self.watch = Watch::Listing(self.register.moment(), None);
            }
            Watch::Listing(_, served @ None) => {
                *served = Some((self.things.clone(), self.version));
            }
            Watch::Listing(asked, Some((things, version))) => {
                let (asked, things, version) = (*asked, std::mem::take(things), *version);
                self.list(&things, version, asked, Listing::Followed);
                // Later changes come as events.
                let next = self.events.partition_point(|(of, _)| *of <= version);
                self.watch = Watch::Following(next);
            }
            Watch::Following(_) if faults && self.rng.random_bool(0.1) => {
                self.watch = Watch::Listing(self.register.moment(), None);
            }
            Watch::Following(next) => {
                let Some((version, event)) = self.events.get(*next).cloned() else {
                    return;
                };
                *next += 1;
                match event {
                    Event::Changed(number, thing) => {
                        let live = thing.live(number);
                        self.register
                            .put(&object(number), &live, ObjectSource::Event);
                    }
                    Event::Deleted(number, uid) => {
                        let uid = uid.to_string();
                        self.register.gone(&object(number), &uid, version, None);
                    }
                }
            }
        }
    }

    fn act(&mut self) {
        self.step += 1;
        let number = self.rng.random_range(0..OBJECTS);
        let content = self.rng.random_range(0..3);
        let ids: Vec<TenureId> = self.workers.keys().copied().collect();
        let tenure = ids.choose(&mut self.rng).copied();
        let request = self.rng.random_range(0..self.requests.len().max(1));
        match (self.rng.random_range(0..16), tenure) {
            (0 | 1, _) => {
                self.write(number, content);
            }
            (2, _) => self.delete(number),
            (3, _) => {
                let (tenure, changed) = self.register.enter();
                let worker = Worker {
                    follows: BTreeMap::new(),
                    changed,
                    seen: None,
                };
                self.workers.insert(tenure, worker);
                self.follow(tenure);
            }
            (4, Some(tenure)) if self.rng.random_bool(0.3) => {
                self.register.leave(tenure);
                self.workers.remove(&tenure);
            }
            (5, Some(tenure)) => self.follow(tenure),
            (6 | 7, Some(tenure)) => {
                self.look(tenure);
            }
            (8, Some(tenure)) => {
                let followed = self.workers[&tenure].follows.get(&number);
                if let Some((Some(content), _)) = followed {
                    self.ask(Question::Apply(tenure, number, *content));
                }
            }
            (9, Some(tenure)) => {
                let known = self.register.snapshot(tenure).unwrap();
                if let Some(fact) = known.facts.get(&object(number)) {
                    let uid = fact.uid.parse().unwrap();
                    self.ask(Question::Delete(tenure, number, uid));
                }
            }
            (10, _) if !self.requests.is_empty() => {
                if self.requests[request].answer.is_none() {
                    self.serve(request);
                }
            }
            (11 | 12, _) if !self.requests.is_empty() => self.take(request),
            // The request was cancelled.
            (13, _) if !self.requests.is_empty() && self.rng.random_bool(0.3) => {
                self.requests.swap_remove(request);
            }
            _ => self.watch(true),
        }
        self.nothing_is_forgotten();
    }

    /// An object that exists all the while is never taken as gone: an inventory would forget it.
    fn nothing_is_forgotten(&self) {
        for (tenure, worker) in &self.workers {
            let known = self.register.snapshot(*tenure).unwrap();
            for (number, (_, since)) in &worker.follows {
                let object = object(*number);
                let is_there = self.things.contains_key(number);
                let was_there = is_there && self.made[number] < *since;
                let is_taken_for_gone =
                    !known.unseen.contains(&object) && !known.facts.contains_key(&object);
                assert!(
                    !(was_there && is_taken_for_gone),
                    "tenure {tenure} takes o{number} for gone"
                );
            }
        }
    }

    /// All events and every answer have arrived, however late, and every tenure looks once more at
    /// unseen objects: each one knows the true state, compared with its own desired state, and was
    /// woken for it.
    fn judge(&mut self) {
        while !self.requests.is_empty() {
            if self.rng.random_bool(0.5) {
                self.watch(false);
            }
            let index = self.rng.random_range(0..self.requests.len());
            self.take(index);
        }
        while !matches!(&self.watch, Watch::Following(next) if *next == self.events.len()) {
            self.watch(false);
        }
        let tenures: Vec<TenureId> = self.workers.keys().copied().collect();
        for tenure in tenures {
            let worker = &self.workers[&tenure];
            let (seen, was_woken) = (worker.seen.clone(), worker.changed.has_changed().unwrap());
            for _ in 0..2 {
                if !self.look(tenure) {
                    while !self.requests.is_empty() {
                        self.take(0);
                    }
                }
            }
            self.judge_one(tenure);
            let worker = &self.workers[&tenure];
            assert!(
                was_woken || seen.is_none() || seen == worker.seen,
                "tenure {tenure} sleeps on {seen:?} while it is {:?}",
                worker.seen
            );
        }
    }

    fn judge_one(&self, tenure: TenureId) {
        let known = self.register.snapshot(tenure).unwrap();
        assert_eq!(known.unseen, BTreeSet::new());
        for (number, (content, _)) in &self.workers[&tenure].follows {
            let fact = known.facts.get(&object(*number));
            let thing = self.things.get(number);
            assert_eq!(
                fact.map(|fact| fact.uid.clone()),
                thing.map(|thing| thing.uid.to_string()),
                "tenure {tenure}: o{number} is there, or is not"
            );
            let (Some(fact), Some(thing)) = (fact, thing) else {
                continue;
            };
            if fact.fit == Fit::Equal {
                assert_eq!(*content, Some(thing.content), "o{number} of {tenure}");
            }
        }
        let mut numbers = self.workers[&tenure].follows.keys();
        let is_there = |n: &&u8| self.things.contains_key(*n);
        assert_eq!(known.facts.len(), numbers.by_ref().filter(is_there).count());
    }
}

/// What a tenure knows about an object.
fn fact_of(known: &TenureFacts, number: u8) -> Option<String> {
    let fact = known.facts.get(&object(number))?;
    Some(format!("{} {:?}", fact.uid, fact.fit))
}

fn numbers(objects: &BTreeSet<ObjectRef>) -> Vec<u8> {
    (0..OBJECTS)
        .filter(|number| objects.contains(&object(*number)))
        .collect()
}

#[test]
fn p03_no_order_of_answers_and_events_makes_a_tenure_believe_what_is_not() {
    let given = |name| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let seed: u64 = given("FLOTILLA_SEED").unwrap_or_else(|| rand::rng().random());
    let sequences = given("FLOTILLA_SEQUENCES").unwrap_or(SEQUENCES);
    eprintln!("seed {seed}, {sequences} sequences");
    for round in 0..sequences {
        let seed = seed.wrapping_add(round);
        let judged = std::panic::catch_unwind(|| {
            let mut world = World::new(seed);
            for _ in 0..world.rng.random_range(5..60) {
                world.act();
            }
            world.judge();
        });
        assert!(judged.is_ok(), "FLOTILLA_SEED={seed}");
    }
}

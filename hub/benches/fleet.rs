//! What the deciding itself costs, without a store and streams: `cargo bench -p flotilla-hub --bench fleet`.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a benchmark fails by panicking, and prints its figures"
)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use flotilla_hub::fleet::rollout::State;
use flotilla_hub::fleet::{ClusterRecord, Effect, Event, Fleet, Hello, SessionId, order_effects};
use flotilla_hub::spec;
use flotilla_shared::digest::Digest;
use flotilla_shared::health::{Health, SyncState};
use flotilla_shared::id::{ClusterName, Epoch};
use flotilla_shared::report::{ApplicationReport, Report};
use flotilla_shared::source::{Directories, SourcePaths};
use flotilla_shared::wire::DecodedAssignment;
use jiff::Timestamp;

/// Batch size of the driver.
const BATCH: usize = 1024;

/// A fleet whose agents always report success, and the time that the fleet spent on them.
struct World {
    fleet: Fleet,
    second: i64,
    spent: Duration,
    steps: Vec<Duration>,
    reports: u64,
}

/// A fleet file with one application.
fn declared(path: &str, environments: usize, strategy: &str) -> Event {
    let mut file = "apiVersion: flotilla.dev/v1alpha1\nkind: Fleet\n\
         repositories: [{name: fleet, url: 'https://git.example.org/fleet'}]\nenvironments:\n"
        .to_owned();
    for index in 0..environments {
        file.push_str(&format!(
            "- {{name: env-{index}, branch: env-{index}{strategy}}}\n"
        ));
    }
    file.push_str(&format!(
        "applications: [{{name: web, repository: fleet, path: '{path}'}}]\n"
    ));
    Event::SpecChanged(Arc::new(spec::parse("bench", &file).unwrap()))
}

impl World {
    fn new(environments: usize, clusters: usize, strategy: &str) -> Self {
        Self::rendering("apps", environments, clusters, strategy)
    }

    fn rendering(path: &str, environments: usize, clusters: usize, strategy: &str) -> Self {
        let mut world = Self {
            fleet: Fleet::new(Epoch(1)),
            second: 0,
            spent: Duration::ZERO,
            steps: Vec::new(),
            reports: 0,
        };
        let mut events = vec![declared(path, environments, strategy)];
        for index in 0..clusters {
            let name: ClusterName = format!("c{index}").parse().unwrap();
            let record = ClusterRecord {
                environment: Some(format!("env-{}", index % environments).parse().unwrap()),
                ..ClusterRecord::default()
            };
            events.push(Event::ClusterPut(name.clone(), record));
            let session = SessionId(index as u64 + 1);
            events.push(Event::Connected(name, session, Hello::default()));
        }
        world.take(events);
        world
    }

    fn now(&self) -> Timestamp {
        Timestamp::new(1_790_000_000 + self.second, 0).unwrap()
    }

    /// Works as the driver does: absorbs a batch, advances once, and again while clusters are due.
    fn take(&mut self, events: Vec<Event>) -> Vec<Effect> {
        let mut all = self.step(events);
        while self.fleet.has_due() {
            all.extend(self.step(Vec::new()));
        }
        order_effects(&mut all);
        all
    }

    fn step(&mut self, events: Vec<Event>) -> Vec<Effect> {
        let now = self.now();
        let mut effects = Vec::new();
        let began = Instant::now();
        for event in events {
            effects.extend(self.fleet.absorb(event, now));
        }
        effects.extend(self.fleet.advance(now));
        order_effects(&mut effects);
        let took = began.elapsed();
        self.steps.push(took);
        self.spent += took;
        effects
    }

    /// A commit on all branches.
    fn push(&mut self, number: u64) -> Vec<Effect> {
        let environments = self.fleet.spec().environments.iter();
        let asked: Vec<_> = environments
            .map(|environment| environment.branch.clone())
            .collect();
        let commit: flotilla_shared::revision::Commit = format!("{number:040x}").parse().unwrap();
        let found: BTreeMap<_, _> = asked
            .iter()
            .map(|branch| (branch.clone(), commit.clone()))
            .collect();
        let repository = "fleet".parse().unwrap();
        self.take(vec![Event::HeadsRead {
            repository,
            asked,
            found,
        }])
    }

    /// Agents accept what they are sent and report; then a second passes. Repeats until nothing is sent and no rollout
    /// runs.
    fn converge(&mut self, mut sent: Vec<Effect>) {
        for _ in 0..1000 {
            let mut news = Vec::new();
            for effect in sent.drain(..) {
                if let Effect::Send(name, session, decoded) = effect {
                    news.extend(self.answer(name, session, &decoded));
                }
            }
            while !news.is_empty() {
                let rest = news.split_off(BATCH.min(news.len()));
                sent.extend(self.take(news));
                news = rest;
            }
            self.second += 1;
            sent.extend(self.take(vec![Event::Tick]));
            let over = |state: State| state == State::Succeeded;
            let mut rollouts = self.fleet.rollouts().values();
            let sends = sent.iter().any(|effect| matches!(effect, Effect::Send(..)));
            if !sends && rollouts.all(|rollout| over(rollout.state)) {
                return;
            }
        }
        panic!("it does not come to rest");
    }

    fn answer(
        &mut self,
        cluster: ClusterName,
        session: SessionId,
        decoded: &DecodedAssignment,
    ) -> [Event; 2] {
        self.reports += 1;
        let applications = decoded
            .assignment
            .applications
            .iter()
            .map(|(name, application)| {
                let report = ApplicationReport {
                    revision: Some(application.revision.clone()),
                    sync: SyncState::Synced,
                    health: Health::Current,
                    source_digest: Digest::of(application.revision.commit.as_str().as_bytes()),
                    source_paths: SourcePaths::new([application.path.as_str()]),
                    ..ApplicationReport::default()
                };
                (name.clone(), report.into())
            });
        let report = Report {
            sequence: self.reports,
            assignment: decoded.reference,
            applications: applications.collect(),
            ..Report::default()
        };
        let digest = Digest::of(&self.reports.to_be_bytes());
        [
            Event::Acked {
                cluster: cluster.clone(),
                session,
                assignment: decoded.reference,
                refusal: None,
                accepted: decoded.reference,
            },
            Event::Reported(cluster, session, report, digest),
        ]
    }

    fn spent(&mut self) -> (Duration, Duration) {
        let longest = self.steps.drain(..).max().unwrap_or_default();
        (std::mem::take(&mut self.spent), longest)
    }
}

fn rounds(what: &str, world: &mut World) {
    let first = world.push(1);
    world.converge(first);
    world.spent();
    let mut all = Vec::new();
    for round in 2..7 {
        let sent = world.push(round);
        world.converge(sent);
        all.push(world.spent());
    }
    all.sort();
    let (spent, longest) = all[all.len() / 2];
    println!(
        "{what}: {spent:?} in all, longest batch {longest:?} (median of {})",
        all.len()
    );
}

/// One cluster's report, a heartbeat or the clock while a rollout runs over all.
fn single_steps() {
    let strategy =
        ", strategy: {waves: [{name: first, share: '1%'}], maxConcurrent: 10%, soak: 1h}";
    let mut world = World::new(1, 10_000, strategy);
    let first = world.push(1);
    let mut sent: Vec<Effect> = first;
    let mut took = Vec::new();
    let mut ticks = Vec::new();
    for _ in 0..100 {
        let next = sent
            .iter()
            .position(|effect| matches!(effect, Effect::Send(..)));
        let mut events = vec![Event::Tick];
        if let Some(next) = next
            && let Effect::Send(name, session, decoded) = sent.swap_remove(next)
        {
            events.extend(world.answer(name, session, &decoded));
        }
        for event in events {
            let is_tick = matches!(event, Event::Tick);
            sent.extend(world.take(vec![event]));
            let step = world.steps.pop().unwrap_or_default();
            if is_tick { &mut ticks } else { &mut took }.push(step);
        }
    }
    for (what, mut all) in [("a report or an ack", took), ("a tick", ticks)] {
        all.sort();
        println!(
            "{what} while a rollout runs over 10,000 clusters: median {:?}, longest {:?}",
            all[all.len() / 2],
            all[all.len() - 1]
        );
    }
}

/// One cluster's report while no rollout runs.
fn idle_steps() {
    let strategy = ", strategy: {waves: [{name: first, share: '1%'}], maxConcurrent: 100%}";
    let mut world = World::new(1, 10_000, strategy);
    let first = world.push(1);
    let some = first.iter().find_map(|effect| match effect {
        Effect::Send(name, session, decoded) => Some((name.clone(), *session, Arc::clone(decoded))),
        _ => None,
    });
    let (name, session, decoded) = some.unwrap();
    world.converge(first);
    world.spent();
    for _ in 0..100 {
        let [_, reported] = world.answer(name.clone(), session, &decoded);
        world.take(vec![reported]);
    }
    world.steps.sort();
    println!(
        "a report while nothing runs over 10,000 clusters: median {:?}, longest {:?}",
        world.steps[50], world.steps[99]
    );
}

/// The directories of a commit that changes every other cluster's.
fn directories(number: u64, clusters: usize) -> Event {
    let trees = (0..clusters).map(|index| {
        let id = if index % 2 == 0 { number } else { 0 };
        let mut tree = [0; 20];
        tree[..8].copy_from_slice(&id.to_be_bytes());
        (format!("apps/c{index}"), tree)
    });
    Event::TreesRead {
        repository: "fleet".parse().unwrap(),
        commit: format!("{number:040x}").parse().unwrap(),
        directories: Arc::new(Directories::new(trees)),
    }
}

/// A commit that changes nothing for half of ten thousand clusters, which the rollout passes through.
fn passing() {
    let clusters = 10_000;
    // Each cluster renders its own directory, so that no cached answer serves two clusters.
    let path = "apps/{cluster}";
    let mut world = World::rendering(path, 1, clusters, "");
    let first = world.push(1);
    world.converge(first);
    let strategy =
        ", strategy: {waves: [{name: first, share: '1%'}], maxConcurrent: 10%, soak: 1h}";
    world.take(vec![declared(path, 1, strategy)]);
    world.push(2);
    world.take(vec![directories(1, clusters)]);
    world.spent();
    let passed = world.take(vec![directories(2, clusters)]);
    let passed = passed
        .iter()
        .filter(|effect| matches!(effect, Effect::Send(..)));
    let passed = passed.count();
    let (all, longest) = world.spent();
    for _ in 0..50 {
        world.take(vec![Event::Tick]);
    }
    world.steps.sort();
    println!(
        "a commit that passes {passed} of {clusters} clusters through: {all:?}, longest step {longest:?}, \
         a tick after it: median {:?}",
        world.steps[25]
    );
}

fn main() {
    single_steps();
    idle_steps();
    passing();
    let mut world = World::new(1, 10_000, "");
    let first = world.push(1);
    world.converge(first);
    world.spent();
    let mut steps = Vec::new();
    for round in 2..7 {
        let sent = world.push(round);
        steps.push(world.spent());
        world.converge(sent);
        world.spent();
    }
    steps.sort();
    let (all, longest) = steps[2];
    println!(
        "a commit for 10,000 clusters without a rollout: {all:?} in all, longest step {longest:?}"
    );
    let waves = ", strategy: {waves: [{name: a, share: '25%'}, {name: b, share: '25%'}], maxConcurrent: 50%}";
    rounds(
        "3 waves, half at once, over 1,000 clusters",
        &mut World::new(1, 1_000, waves),
    );
    rounds(
        "3 waves, half at once, over 10,000 clusters",
        &mut World::new(1, 10_000, waves),
    );
    rounds(
        "100 rollouts at once over 1,000 clusters",
        &mut World::new(100, 1_000, waves),
    );
    rounds(
        "100 rollouts at once over 10,000 clusters",
        &mut World::new(100, 10_000, waves),
    );
}

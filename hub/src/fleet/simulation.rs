//! A fleet of simulated agents, a store that survives crashes and a network that does not behave, all
//! from one seed. After every run the faults stop, and the fleet must converge (I7); at every step the
//! laws I1 to I4 must hold.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use flotilla_shared::assignment::AssignmentRef;
use flotilla_shared::digest::Digest;
use flotilla_shared::health::{Health, Sync};
use flotilla_shared::id::{ApplicationName, ClusterName, EnvironmentName, Epoch};
use flotilla_shared::report::{ApplicationReport, Report};
use flotilla_shared::revision::{BranchName, Commit};
use flotilla_shared::source::{Directories, SourcePaths, TreeId};
use flotilla_shared::wire::DecodedAssignment;
use jiff::{SignedDuration, Timestamp};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};

use super::rollout::{Progress, Rollout, State};
use super::*;
use crate::spec;

const FILE: &str = "apiVersion: flotilla.dev/v1alpha1
kind: Fleet
repositories:
- {name: fleet, url: 'https://git.example.com/fleet.git'}
environments:
- name: dev
  branch: dev
- name: stage
  branch: stage
  promotesFrom: dev
  strategy: {onFailure: rollback, onNewCommit: QUEUEMODE, maxConcurrent: 2, soak: 5s, progressDeadline: 60s}
- name: prod
  branch: prod
  promotesFrom: stage
  gates: {proof: {soak: 3s, offline: 1}}
  strategy:
    waves: [{name: canary, selector: tier=canary}, {name: half, share: '50%'}]
    maxConcurrent: 50%
    soak: 10s
    progressDeadline: 60s
    budgets: {failed: 1, offline: 1, unavailable: 1}
applications:
- {name: web, repository: fleet, path: 'apps/web/{environment}'}
- {name: db, repository: fleet, path: 'apps/db'}
";

/// What applications are rendered from.
const PATHS: [&str; 4] = ["apps/web/dev", "apps/web/stage", "apps/web/prod", "apps/db"];

fn number_of(commit: &Commit) -> u64 {
    u64::from_str_radix(&commit.as_str()[24..], 16).unwrap()
}

/// The commit that last changed a directory: most commits change none of these.
fn changed_by(commit: &Commit, path: &str) -> u64 {
    let salt = path.bytes().map(u64::from).sum::<u64>();
    let changes =
        |n: &u64| (n.wrapping_mul(salt).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) % 100 < 7;
    let all = (1..=number_of(commit)).rev();
    all.into_iter().find(changes).unwrap_or_default()
}

/// Every seventh commit is bad: what it changed never becomes healthy anywhere.
fn is_bad(commit: &Commit, path: &str) -> bool {
    changed_by(commit, path) % 7 == 6
}

/// What a commit's directory holds.
fn tree(commit: &Commit, path: &str) -> TreeId {
    let content = Digest::of(format!("{path} of {}", changed_by(commit, path)).as_bytes());
    content.as_bytes()[..20].try_into().unwrap()
}

fn directories(commit: &Commit) -> Arc<Directories> {
    let all = PATHS
        .iter()
        .map(|path| ((*path).to_owned(), tree(commit, path)));
    Arc::new(Directories::new(all))
}

fn commit(n: u64) -> Commit {
    format!("{:040x}", n + 1).parse().unwrap()
}

/// What is on disk: it survives the hub.
#[derive(Default, Clone)]
struct Disk {
    heads: BTreeMap<(RepositoryName, BranchName), Head>,
    clusters: BTreeMap<ClusterName, ClusterRecord>,
    assignments: BTreeMap<ClusterName, StoredAssignment>,
    reports: BTreeMap<ClusterName, (Report, Option<Timestamp>)>,
    environments: BTreeMap<EnvironmentName, EnvironmentState>,
    rollouts: BTreeMap<String, Rollout>,
    progress: BTreeMap<(String, ClusterName), Progress>,
    audit: Vec<AuditEntry>,
}

impl Disk {
    fn apply(&mut self, effects: &[Effect]) {
        for effect in effects.iter().cloned() {
            match effect {
                Effect::StoreHead(repository, branch, head) => {
                    self.heads.insert((repository, branch), head);
                }
                Effect::StoreCluster(name, record) => {
                    self.clusters.insert(name, record);
                }
                Effect::DeleteCluster(name) => {
                    self.clusters.remove(&name);
                    self.assignments.remove(&name);
                    self.reports.remove(&name);
                }
                Effect::StoreAssignment(name, assignment) => {
                    self.assignments.insert(name, assignment);
                }
                Effect::StoreReport(name, report, since) => {
                    self.reports.insert(name, (report, since));
                }
                Effect::StoreEnvironment(name, state) => {
                    self.environments.insert(name, *state);
                }
                Effect::StoreRollout(rollout) => {
                    self.rollouts.insert(rollout.id.clone(), *rollout);
                }
                Effect::StoreProgress(rollout, cluster, progress) => {
                    self.progress.insert((rollout, cluster), *progress);
                }
                Effect::DeleteProgress(rollout, cluster) => {
                    self.progress.remove(&(rollout, cluster));
                }
                Effect::Audit(entry) => self.audit.push(entry),
                Effect::Send(..)
                | Effect::RequestReport(..)
                | Effect::RequestRenewal(..)
                | Effect::Measure(..)
                | Effect::Close(..) => {}
            }
        }
    }

    fn restore(&self) -> Event {
        let mut last: BTreeMap<EnvironmentName, Rollout> = BTreeMap::new();
        for rollout in self.rollouts.values() {
            let number = |id: &str| id.rsplit_once('-').unwrap().1.parse::<u64>().unwrap();
            if last
                .get(&rollout.environment)
                .is_none_or(|other| number(&other.id) < number(&rollout.id))
            {
                last.insert(rollout.environment.clone(), rollout.clone());
            }
        }
        for rollout in last.values_mut() {
            let own = self
                .progress
                .iter()
                .filter(|((id, _), _)| *id == rollout.id);
            rollout.clusters = own
                .map(|((_, cluster), progress)| (cluster.clone(), progress.clone()))
                .collect();
        }
        Event::Restored {
            heads: self.heads.clone().into_iter().collect(),
            clusters: self
                .clusters
                .iter()
                .map(|(name, record)| StoredCluster {
                    name: name.clone(),
                    record: record.clone(),
                    assignment: self.assignments.get(name).cloned(),
                    report: self.reports.get(name).map(|(report, _)| report.clone()),
                    current_since: self.reports.get(name).and_then(|(_, since)| *since),
                })
                .collect(),
            environments: self.environments.clone().into_iter().collect(),
            rollouts: last.into_values().collect(),
        }
    }
}

/// An agent: keeps what it accepted, applies after a while, reports.
#[derive(Default)]
struct Agent {
    session: Option<SessionId>,
    accepted: AssignmentRef,
    assignment: Option<Arc<DecodedAssignment>>,
    applied_at: Option<Timestamp>,
    report: Report,
    digest: Digest,
    /// The network between it and the hub is cut.
    cut: bool,
    /// It does not tell what its renders depend on.
    is_old: bool,
}

impl Agent {
    fn look(&mut self, now: Timestamp) {
        let Some(decoded) = &self.assignment else {
            return;
        };
        let ready = self
            .applied_at
            .is_some_and(|at| now.duration_since(at) >= SignedDuration::from_secs(3));
        let applications = decoded.assignment.applications.iter().map(|(name, app)| {
            let (commit, path) = (&app.revision.commit, app.path.as_str());
            let bad = is_bad(commit, path);
            let report = ApplicationReport {
                revision: ready.then(|| app.revision.clone()),
                sync: if ready { Sync::Synced } else { Sync::Applying },
                health: match (ready, bad) {
                    (true, true) => Health::Failed,
                    (true, false) => Health::Current,
                    _ => Health::InProgress,
                },
                source_digest: Digest::of(&tree(commit, path)),
                // Older agents do not know.
                source_paths: SourcePaths::new((!self.is_old).then_some(path)),
                ..ApplicationReport::default()
            };
            (name.clone(), Box::new(report))
        });
        let applications: BTreeMap<ApplicationName, Box<ApplicationReport>> =
            applications.collect();
        if applications != self.report.applications || self.report.assignment != decoded.reference {
            self.report = Report {
                sequence: self.report.sequence + 1,
                assignment: decoded.reference,
                observed_at: now,
                applications,
                suspended: String::new(),
            };
            self.digest = Digest::of(format!("{:?}", self.report).as_bytes());
        }
    }
}

enum Message {
    ToHub(Box<Event>),
    ToAgent(ClusterName, SessionId, Arc<DecodedAssignment>),
    AskReport(ClusterName, SessionId),
}

struct Simulation {
    rng: StdRng,
    text: String,
    hub: Fleet,
    disk: Disk,
    agents: BTreeMap<ClusterName, Agent>,
    network: Vec<Message>,
    now: Timestamp,
    sessions: u64,
    commits: u64,
    branches: BTreeMap<BranchName, Commit>,
    calm: bool,
    /// The highest place each agent ever accepted (I4).
    highest: BTreeMap<ClusterName, AssignmentRef>,
    /// Clusters that were started before the time of their wave.
    passed: BTreeSet<(String, ClusterName)>,
}

impl Simulation {
    fn new(seed: u64, clusters: usize) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let mode = *["supersede", "queue", "finish"].choose(&mut rng).unwrap();
        let text = FILE.replace("QUEUEMODE", mode);
        let mut simulation = Self {
            rng,
            text,
            hub: Fleet::new(Epoch(1)),
            disk: Disk::default(),
            agents: BTreeMap::new(),
            network: Vec::new(),
            now: Timestamp::new(1_790_000_000, 0).unwrap(),
            sessions: 0,
            commits: 0,
            branches: BTreeMap::new(),
            calm: false,
            highest: BTreeMap::new(),
            passed: BTreeSet::new(),
        };
        simulation.boot();
        for index in 0..clusters {
            simulation.join(index);
        }
        simulation
    }

    fn boot(&mut self) {
        self.hub = Fleet::new(Epoch(1));
        let restored = self.disk.restore();
        self.feed(restored);
        let spec = spec::parse("f", &self.text).unwrap();
        self.feed(Event::SpecChanged(Arc::new(spec)));
    }

    fn join(&mut self, index: usize) {
        let environment = ["dev", "stage", "prod", "prod", "prod"][index % 5];
        let name: ClusterName = format!("c{index}").parse().unwrap();
        let tier = if index % 10 == 2 { "canary" } else { "rest" };
        let record = ClusterRecord {
            environment: Some(environment.parse().unwrap()),
            labels: [("tier".to_owned(), tier.to_owned())].into(),
            ..ClusterRecord::default()
        };
        self.agents.entry(name.clone()).or_default().is_old = index % 4 == 3;
        self.feed(Event::ClusterPut(name, record));
    }

    /// A step of the hub: stored, then sent; or a crash somewhere in between.
    fn feed(&mut self, event: Event) {
        let before: BTreeMap<ClusterName, AssignmentRef> = self
            .disk
            .assignments
            .iter()
            .map(|(name, stored)| (name.clone(), stored.decoded.reference))
            .collect();
        let effects = self.hub.step(event, self.now);
        self.check_passed();
        let stored = effects
            .iter()
            .take_while(|effect| effect.is_stored())
            .count();
        assert!(
            effects[stored..]
                .iter()
                .all(|effect| !matches!(effect, Effect::StoreAssignment(..))),
            "stores come first"
        );
        self.disk.apply(&effects);
        for (name, stored) in &self.disk.assignments {
            let reference = stored.decoded.reference;
            let last = before.get(name).copied().unwrap_or_default();
            assert!(
                reference == last || reference.place() > last.place(),
                "generations only grow"
            );
        }
        // H14: stored, and dies before anything is sent.
        if !self.calm && self.rng.random_bool(0.002) {
            self.crash();
            return;
        }
        for effect in effects {
            match effect {
                Effect::Send(name, session, decoded) => {
                    let stored = self
                        .disk
                        .assignments
                        .get(&name)
                        .map(|one| one.decoded.reference);
                    assert_eq!(stored, Some(decoded.reference), "I1: stored before sent");
                    self.network.push(Message::ToAgent(name, session, decoded));
                }
                Effect::RequestReport(name, session) => {
                    self.network.push(Message::AskReport(name, session));
                }
                Effect::Close(name, session, ..) => {
                    if let Some(agent) = self.agents.get_mut(&name)
                        && agent.session == Some(session)
                    {
                        agent.session = None;
                    }
                }
                _ => {}
            }
        }
    }

    fn crash(&mut self) {
        for agent in self.agents.values_mut() {
            agent.session = None;
        }
        self.network.clear();
        self.boot();
    }

    /// One message arrives, or is lost, doubled, or overtaken.
    fn deliver(&mut self) {
        if self.network.is_empty() {
            return;
        }
        let index = if self.calm {
            0
        } else {
            self.rng.random_range(0..self.network.len())
        };
        let message = self.network.remove(index);
        if !self.calm && self.rng.random_bool(0.1) {
            return;
        }
        let twice = !self.calm && self.rng.random_bool(0.05);
        match message {
            Message::ToHub(event) => {
                if twice {
                    self.feed((*event).clone());
                }
                self.feed(*event);
            }
            Message::ToAgent(name, session, decoded) => {
                let Some(agent) = self.agents.get_mut(&name) else {
                    return;
                };
                if agent.session != Some(session) || agent.cut {
                    return;
                }
                let reference = decoded.reference;
                let refusal =
                    if reference.place() <= agent.accepted.place() && reference != agent.accepted {
                        Some((
                            flotilla_shared::reason::Reason::StaleAssignment,
                            "older".to_owned(),
                        ))
                    } else {
                        if reference != agent.accepted {
                            agent.accepted = reference;
                            agent.assignment = Some(decoded);
                            agent.applied_at = Some(self.now);
                        }
                        None
                    };
                let highest = self.highest.entry(name.clone()).or_default();
                assert!(agent.accepted.place() >= highest.place(), "I4: never back");
                *highest = agent.accepted;
                let acked = Event::Acked {
                    cluster: name,
                    session,
                    assignment: reference,
                    refusal,
                    accepted: agent.accepted,
                };
                self.network.push(Message::ToHub(Box::new(acked)));
            }
            Message::AskReport(name, session) => {
                let Some(agent) = self.agents.get(&name) else {
                    return;
                };
                if agent.session == Some(session) && !agent.cut {
                    let event = Event::Reported(name, session, agent.report.clone(), agent.digest);
                    self.network.push(Message::ToHub(Box::new(event)));
                }
            }
        }
    }

    fn agents_act(&mut self, chance: f64) {
        let names: Vec<ClusterName> = self.agents.keys().cloned().collect();
        for name in names {
            if !self.rng.random_bool(chance) {
                continue;
            }
            let Some(agent) = self.agents.get_mut(&name) else {
                continue;
            };
            if agent.cut {
                agent.session = None;
                continue;
            }
            let before = agent.digest;
            agent.look(self.now);
            let event = match agent.session {
                None => {
                    self.sessions += 1;
                    agent.session = Some(SessionId(self.sessions));
                    let hello = Hello {
                        accepted: agent.accepted,
                        ..Hello::default()
                    };
                    Event::Connected(name, SessionId(self.sessions), hello)
                }
                Some(session) if agent.digest != before => {
                    Event::Reported(name, session, agent.report.clone(), agent.digest)
                }
                Some(session) => Event::Heartbeat {
                    cluster: name,
                    session,
                    accepted: agent.accepted,
                    report: agent.digest,
                },
            };
            self.network.push(Message::ToHub(Box::new(event)));
        }
    }

    fn push(&mut self, branch: &str) {
        self.commits += 1;
        self.branches
            .insert(branch.parse().unwrap(), commit(self.commits));
    }

    fn read_heads(&mut self) {
        let asked: Vec<BranchName> = ["dev", "stage", "prod"]
            .iter()
            .map(|branch| branch.parse().unwrap())
            .collect();
        self.feed(Event::HeadsRead {
            repository: "fleet".parse().unwrap(),
            asked,
            found: self.branches.clone(),
        });
    }

    /// Some commit's directories come, or do not.
    fn read_trees(&mut self) {
        let repository: RepositoryName = "fleet".parse().unwrap();
        let missing = self.hub.missing_trees(&repository);
        // Now and then one that nobody asked for any more.
        let any = commit(self.rng.random_range(0..self.commits + 2));
        let commit = missing.choose(&mut self.rng).cloned().unwrap_or(any);
        let event = if !self.calm && self.rng.random_bool(0.2) {
            Event::TreesFailed {
                repository,
                reason: flotilla_shared::reason::Reason::RepositoryUnavailable,
                message: "down".to_owned(),
            }
        } else {
            let directories = directories(&commit);
            Event::TreesRead {
                repository,
                commit,
                directories,
            }
        };
        self.feed(event);
    }

    /// Who is started before the time of its wave renders from the target what it rendered before.
    fn check_passed(&mut self) {
        for rollout in self.hub.rollouts().values() {
            if rollout.state.is_over() {
                continue;
            }
            let ahead = rollout.clusters.iter().filter(|(_, progress)| {
                progress.phase.is_touched() && progress.wave > rollout.wave
            });
            for (name, progress) in ahead {
                if !self.passed.insert((rollout.id.clone(), name.clone())) {
                    continue;
                }
                assert!(progress.unchanged, "{name} ran ahead in {}", rollout.id);
                let commit = rollout.target.values().next().unwrap();
                let assigned = self.hub.clusters()[name].assigned.as_ref().unwrap();
                let rendered = assigned.assignment.applications.iter().map(|(app, one)| {
                    let source_digest = Digest::of(&tree(commit, one.path.as_str()));
                    let report = ApplicationReport {
                        source_digest,
                        ..ApplicationReport::default()
                    };
                    (app.clone(), Box::new(report))
                });
                let rendered = Report {
                    applications: rendered.collect(),
                    ..Report::default()
                };
                let from = super::observe::rendered_from(&rendered);
                assert_eq!(progress.rendered_from, from, "{name} in {}", rollout.id);
            }
        }
    }

    /// A random happening.
    fn happen(&mut self) {
        let branch = *["dev", "stage", "prod"].choose(&mut self.rng).unwrap();
        let environment: EnvironmentName = branch.parse().unwrap();
        match self.rng.random_range(0..100) {
            0..4 => self.push(branch),
            4..12 => self.read_heads(),
            12..14 => self.feed(Event::HeadsFailed {
                repository: "fleet".parse().unwrap(),
                asked: vec![branch.parse().unwrap()],
                reason: flotilla_shared::reason::Reason::RepositoryUnavailable,
                message: "down".to_owned(),
            }),
            14..15 => self.crash(),
            15..17 => {
                let names: Vec<ClusterName> = self.agents.keys().cloned().collect();
                let name = names.choose(&mut self.rng).unwrap();
                let agent = self.agents.get_mut(name).unwrap();
                agent.cut = !agent.cut;
            }
            17..18 => {
                let seconds = self.rng.random_range(-120..120);
                self.now = self
                    .now
                    .saturating_add(SignedDuration::from_secs(seconds))
                    .unwrap();
            }
            18..19 => {
                let index = self.rng.random_range(0..self.agents.len() + 1);
                self.join(index);
            }
            19..20 => {
                let names: Vec<ClusterName> = self.agents.keys().cloned().collect();
                let name = names.choose(&mut self.rng).unwrap().clone();
                // The first five stay: an environment without clusters proves nothing to the next.
                if name.as_str() < "c5" {
                    return;
                }
                let relabelled = ClusterRecord {
                    environment: Some(environment),
                    ..ClusterRecord::default()
                };
                self.feed(Event::ClusterPut(name, relabelled));
            }
            20..22 => {
                let action = match self.rng.random_range(0..6) {
                    0 => Action::Pause(environment),
                    1 => Action::Resume(environment),
                    2 => Action::Retry(environment),
                    3 => Action::Abort(environment),
                    4 => Action::Pin {
                        subject: Subject::Environment(environment),
                        commit: None,
                        repository: None,
                        expires_at: None,
                        approval: None,
                    },
                    _ => Action::Unpin(Subject::Environment(environment)),
                };
                self.act(&action);
            }
            22..60 => self.agents_act(0.3),
            60..63 => self.read_trees(),
            63..70 => {
                self.now = self
                    .now
                    .saturating_add(SignedDuration::from_secs(2))
                    .unwrap();
                self.feed(Event::Tick);
            }
            _ => self.deliver(),
        }
    }

    fn act(&mut self, action: &Action) {
        let Ok(mut effects) = self.hub.act(action, "ada", "why not", self.now) else {
            return;
        };
        let audits = |effects: &[Effect]| {
            effects
                .iter()
                .filter(|effect| matches!(effect, Effect::Audit(_)))
                .count()
        };
        assert!(audits(&effects) >= 1, "I2: no act without an entry");
        effects.extend(self.hub.settle(self.now));
        self.check_passed();
        settle_order(&mut effects);
        let before = self.disk.audit.len();
        self.disk.apply(&effects);
        assert_eq!(self.disk.audit.len(), before + audits(&effects));
        for effect in effects {
            if let Effect::Send(name, session, decoded) = effect {
                self.network.push(Message::ToAgent(name, session, decoded));
            }
        }
    }

    /// The laws that hold at every moment.
    fn check(&self) {
        for (name, cluster) in self.hub.clusters() {
            let stored = self
                .disk
                .assignments
                .get(name)
                .map(|one| one.decoded.reference);
            let held = cluster.assigned.as_ref().map(|one| one.reference);
            assert_eq!(stored, held, "memory and disk agree on {name}");
            let Some(environment) = self.hub.environment_of(name) else {
                continue;
            };
            // I3: what ran is never taken out of an assignment by a rollout or a failure.
            if let Some(assigned) = &cluster.assigned {
                assert!(assigned.assignment.tombstones.is_empty());
                let had = cluster.placed.len();
                assert!(assigned.assignment.applications.len() <= had.max(2));
            }
            let _ = environment;
        }
        for rollout in self.hub.rollouts().values() {
            for (name, progress) in &rollout.clusters {
                let stored = self.disk.progress.get(&(rollout.id.clone(), name.clone()));
                assert_eq!(stored, Some(progress), "progress of {name} is on disk");
            }
            let mut stored = self.disk.rollouts[&rollout.id].clone();
            stored.clusters.clone_from(&rollout.clusters);
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

    /// Faults stop; everything must come to rest where the heads say, by itself.
    fn converge(&mut self) {
        self.calm = true;
        self.network.clear();
        for agent in self.agents.values_mut() {
            agent.cut = false;
            agent.session = None;
        }
        // A good commit everywhere, and what people stopped goes on.
        let is_bad = |n| PATHS.iter().any(|path| is_bad(&commit(n), path));
        while is_bad(self.commits + 1) {
            self.commits += 1;
        }
        self.commits += 1;
        for branch in ["dev", "stage", "prod"] {
            self.branches
                .insert(branch.parse().unwrap(), commit(self.commits));
            let environment: EnvironmentName = branch.parse().unwrap();
            self.act(&Action::Resume(environment.clone()));
            self.act(&Action::Unpin(Subject::Environment(environment)));
        }
        let good = commit(self.commits);
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
            // The queue may have to be worked through first, and a bad commit in it halts; its repair
            // is already on the branch.
            let there = self.agents.iter().all(|(name, agent)| {
                self.hub.environment_of(name).is_none()
                    || agent.report.applications.values().all(|app| {
                        app.revision.as_ref().map(|revision| &revision.commit) == Some(&good)
                    }) && !agent.report.applications.is_empty()
            });
            let over = self
                .hub
                .rollouts()
                .values()
                .all(|rollout| rollout.state.is_over());
            if there && over {
                self.check();
                return;
            }
            let halted: BTreeSet<EnvironmentName> = self
                .hub
                .rollouts()
                .values()
                .filter(|rollout| rollout.state == State::Halted)
                .map(|rollout| rollout.environment.clone())
                .collect();
            // In queue mode a halted rollout waits for a person.
            if round % 100 == 99 {
                for name in halted {
                    self.act(&Action::Abort(name));
                }
            }
        }
        let states: Vec<String> = self
            .hub
            .rollouts()
            .values()
            .map(|rollout| format!("{} {} {}", rollout.id, rollout.state, rollout.note))
            .collect();
        panic!("I7: no convergence: {states:#?}");
    }
}

fn seed(name: &str) -> u64 {
    let seed = std::env::var("FLOTILLA_SEED")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or_else(|| rand::rng().random());
    eprintln!("{name}: FLOTILLA_SEED={seed}");
    seed
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}

/// Hub, agents, store and network as a whole, faults and then calm. `FLOTILLA_RUNS` sets how many.
#[test]
fn i07_whole_fleets_converge_after_any_faults_and_keep_i01_to_i04() {
    let seed = seed("whole");
    let runs = number("FLOTILLA_RUNS", 200);
    let mut passed = 0;
    for run in 0..runs {
        let result = std::panic::catch_unwind(|| {
            let mut simulation = Simulation::new(seed.wrapping_add(run), 10);
            for _ in 0..400 {
                simulation.happen();
                simulation.check();
            }
            simulation.converge();
            // The next commit finds everything in place, and changes little.
            if run % 4 == 0 {
                simulation.converge();
            }
            simulation.passed.len()
        });
        assert!(
            result.is_ok(),
            "FLOTILLA_SEED={} fails",
            seed.wrapping_add(run)
        );
        passed += result.unwrap_or_default();
    }
    eprintln!("{passed} clusters were let through before their waves");
    assert!(runs < 50 || passed > 0);
}

/// Short sequences, many of them, on a small fleet. `FLOTILLA_SEQUENCES` sets how many.
#[test]
fn p21_many_short_sequences_keep_i01_to_i04() {
    let seed = seed("sequences");
    for run in 0..number("FLOTILLA_SEQUENCES", 2_000) {
        let result = std::panic::catch_unwind(|| {
            let mut simulation = Simulation::new(seed.wrapping_add(run), 5);
            for _ in 0..25 {
                simulation.happen();
            }
            simulation.check();
        });
        assert!(
            result.is_ok(),
            "FLOTILLA_SEED={} fails",
            seed.wrapping_add(run)
        );
    }
}

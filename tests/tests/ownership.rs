//! Concurrent workers and one cluster: applications are renamed, moved between repositories, removed and added again,
//! objects move between them, workers are cancelled at any point, the agent crashes, and objects are edited. Judged by
//! the API server: once it settles, what is reported Synced equals Git, and no object that was desired all the time
//! was ever deleted.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test fails by panicking"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use flotilla_agent::cluster::{Cluster, Options};
use flotilla_agent::metrics::Metrics;
use flotilla_agent::policy::{DeleteBudget, Policy};
use flotilla_agent::reconcile::Reconciler;
use flotilla_agent::source::{Admission, Source};
use flotilla_apiserver::{Config, Fault, FaultKind};
use flotilla_shared::assignment::{ApplicationAssignment, Assignment, Tombstone};
use flotilla_shared::health::SyncState;
use flotilla_shared::id::{ApplicationName, Generation};
use flotilla_shared::reason::Reason;
use flotilla_shared::report::Report;
use flotilla_shared::revision::Revision;
use flotilla_shared::wire::DecodedAssignment;
use flotilla_tests::cluster::TestCluster;
use flotilla_tests::repository::Repository;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom as _, IteratorRandom as _};
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

#[path = "ownership/happens.rs"]
mod happens;
#[path = "ownership/judged.rs"]
mod judged;

/// Sequences per run; `FLOTILLA_SEQUENCES` overrides it.
const SEQUENCES: u64 = 4;
const ACTIONS: usize = 14;
/// Longest time until an edit is seen and corrected.
const HEALED: Duration = Duration::from_secs(30);
const NAMES: [&str; 6] = ["app", "shop", "store", "web", "api", "queue"];
const NAMESPACE: &str = "web";
/// Two directories in each of two repositories.
const PLACES: [(usize, &str); 4] = [(0, "left"), (0, "right"), (1, "left"), (1, "right")];

/// The values of ConfigMaps by name.
type Content = BTreeMap<String, u32>;
type Directory = (usize, &'static str);

/// The main loop of an agent.
struct Agent {
    accepted: watch::Sender<Option<Arc<DecodedAssignment>>>,
    reports: watch::Receiver<Option<Arc<Report>>>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

struct World {
    rng: StdRng,
    directory: tempfile::TempDir,
    server: TestCluster,
    repositories: [Repository; 2],
    heads: [String; 2],
    content: BTreeMap<Directory, Content>,
    assigned: BTreeMap<&'static str, Directory>,
    tombstones: BTreeMap<&'static str, bool>,
    suspended: bool,
    generation: u64,
    value: u32,
    cluster: Cluster,
    agent: Agent,
    /// Objects that every assignment so far has desired.
    always: Option<BTreeSet<String>>,
    done: Vec<String>,
}

impl World {
    async fn new(seed: u64) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let server = TestCluster::start(Config::default()).await.unwrap();
        for namespace in [NAMESPACE, "flotilla-system"] {
            server.create_namespace(namespace).await.unwrap();
        }
        let repositories =
            ["one", "two"].map(|name| Repository::create(directory.path(), name).unwrap());
        let cluster = Cluster::new(server.client(), Options::default());
        let agent = Self::start(&cluster, &directory);
        let mut world = Self {
            rng: StdRng::seed_from_u64(seed),
            directory,
            server,
            repositories,
            heads: [String::new(), String::new()],
            content: BTreeMap::new(),
            // These two applications always exist, under some name.
            assigned: [("app", PLACES[0]), ("web", PLACES[1])].into(),
            tombstones: BTreeMap::new(),
            suspended: false,
            generation: 0,
            value: 0,
            cluster,
            agent,
            always: None,
            done: Vec::new(),
        };
        for place in PLACES {
            let own = format!("{}-{}", place.0, place.1);
            let names = [own.clone(), format!("{own}-more")];
            world
                .content
                .insert(place, names.map(|name| (name, 0)).into());
        }
        for name in ["mover-1", "mover-2", "mover-3"] {
            let left = world.content.get_mut(&PLACES[0]).unwrap();
            left.insert(name.to_owned(), 0);
        }
        world.push(0);
        world.push(1);
        world.assign();
        world
    }

    fn policy() -> Arc<Policy> {
        Arc::new(Policy {
            allow_file: true,
            delete_budget: DeleteBudget {
                count: 100,
                percent: 100,
            },
            ..Policy::default()
        })
    }

    fn start(cluster: &Cluster, directory: &tempfile::TempDir) -> Agent {
        let data = directory.path().join("agent");
        std::fs::create_dir_all(&data).unwrap();
        let trust = Arc::new(Admission::open(&data, Self::policy(), None).unwrap());
        let (accepted, accepted_end) = watch::channel(None);
        let (reports, reports_end) = watch::channel(None);
        let (_, questions) = mpsc::channel(1);
        let (_, gate_jobs) = watch::channel(Arc::default());
        let reconciler = Reconciler {
            cluster: cluster.clone(),
            source: Source::new(
                data.join("git"),
                flotilla_git::Limits::default(),
                None,
                trust,
            ),
            policy: Self::policy(),
            interval: Duration::from_secs(2),
            accepted: accepted_end,
            reports,
            questions,
            gate_jobs,
            metrics: Metrics::default(),
        };
        let stop = CancellationToken::new();
        Agent {
            accepted,
            reports: reports_end,
            task: tokio::spawn(reconciler.run(stop.clone())),
            stop,
        }
    }

    /// Writes a repository according to the model, with new values, and commits.
    fn push(&mut self, repository: usize) {
        let work = &self.repositories[repository];
        for (place, content) in &mut self.content {
            if place.0 != repository {
                continue;
            }
            let folder = work.work.join(place.1);
            let _ = std::fs::remove_dir_all(&folder);
            for (name, value) in content.iter_mut() {
                if self.rng.random_bool(0.5) || *value == 0 {
                    self.value += 1;
                    *value = self.value;
                }
                let yaml = format!(
                    "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, namespace: {NAMESPACE}}}\n\
                     data: {{value: '{value}'}}\n"
                );
                work.write(&format!("{}/{name}.yaml", place.1), &yaml)
                    .unwrap();
            }
        }
        self.heads[repository] = work.push("next", &["dev"]).unwrap();
    }

    fn assignment(&self) -> DecodedAssignment {
        let application = |place: &Directory| {
            ApplicationAssignment::new(
                Revision {
                    repository: ["one", "two"][place.0].parse().unwrap(),
                    branch: "dev".parse().unwrap(),
                    commit: self.heads[place.0].parse().unwrap(),
                },
                format!("file://{}", self.repositories[place.0].bare.display())
                    .parse()
                    .unwrap(),
                place.1.parse().unwrap(),
            )
        };
        DecodedAssignment::of(Assignment {
            generation: Generation(self.generation),
            applications: self
                .assigned
                .iter()
                .map(|(name, place)| (name.parse().unwrap(), Box::new(application(place))))
                .collect(),
            tombstones: self
                .tombstones
                .iter()
                .map(|(name, delete)| {
                    let delete_objects = *delete;
                    (name.parse().unwrap(), Tombstone { delete_objects })
                })
                .collect(),
            suspended: self.suspended,
            ..Assignment::empty(
                "one".parse().unwrap(),
                "dev".parse().unwrap(),
                jiff::Timestamp::UNIX_EPOCH,
            )
        })
        .unwrap()
    }

    fn desired(&self) -> BTreeSet<String> {
        let places = self.assigned.values();
        places
            .flat_map(|place| self.content[place].keys().cloned())
            .collect()
    }

    fn assign(&mut self) {
        self.generation += 1;
        let desired = self.desired();
        self.always = Some(match self.always.take() {
            Some(before) => before.intersection(&desired).cloned().collect(),
            None => desired,
        });
        let assignment = Arc::new(self.assignment());
        self.agent.accepted.send_replace(Some(assignment));
    }

    fn free_name(&mut self) -> Option<&'static str> {
        let free = NAMES
            .iter()
            .filter(|name| !self.assigned.contains_key(*name));
        free.choose(&mut self.rng).copied()
    }

    async fn pause(&mut self) {
        let longest = *[1, 20, 150, 1200].choose(&mut self.rng).unwrap();
        let pause = self.rng.random_range(0..longest);
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
}

async fn sequence(seed: u64) {
    let mut world = World::new(seed).await;
    for _ in 0..ACTIONS {
        if world.rng.random_bool(0.3) {
            world.weather();
        }
        world.act().await;
        world.pause().await;
    }
    world.suspended = false;
    world.assign();
    world.quiet().await;
    world.ended().await;
    // Rename, then change.
    let name = *world.assigned.keys().choose(&mut world.rng).unwrap();
    let place = world.assigned.remove(name).unwrap();
    let next = world.free_name().unwrap();
    world
        .done
        .push(format!("{name} is renamed {next}, and then changed"));
    world.tombstones.remove(next);
    world.assigned.insert(next, place);
    world.assign();
    world.pause().await;
    for value in world.content.get_mut(&place).unwrap().values_mut() {
        *value = 0;
    }
    world.push(place.0);
    world.assign();
    world.quiet().await;
    world.ended().await;
    world.agent.stop.cancel();
    world.agent.task.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p03_what_is_reported_synced_is_what_git_says_whoever_had_it_before() {
    let seed: u64 = std::env::var("FLOTILLA_SEED")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or_else(|| rand::rng().random());
    let sequences = std::env::var("FLOTILLA_SEQUENCES")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(SEQUENCES);
    for round in 0..sequences {
        let seed = seed.wrapping_add(round);
        eprintln!("seed {seed}");
        sequence(seed).await;
    }
}

//! Floods of frames, connections and messages against a hub process, from strangers and from admitted agents: their
//! effect on other clients, and the memory they cost.
//!
//! `cargo test --release -p flotilla-tests --test floods -- --nocapture --test-threads 1` prints
//! numbers for `tests/benches/README.md`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking, and prints what it measured"
)]

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use flotilla_proto::v1;
use flotilla_proto::v1::agent_service_client::AgentServiceClient;
use flotilla_proto::v1::fleet_service_client::FleetServiceClient;
use flotilla_tests::raw_frames::{self, Flood, Frames};
use flotilla_tests::simulated::{accepted, hello, message};
use flotilla_tests::test_hub::{Process, TestHub};
use flotilla_tests::{eventually, programs};
use tokio::sync::{Mutex, MutexGuard, mpsc};
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;
use tonic::transport::Channel;

/// How long a flood lasts, and how long the hub is idle before: short in the ordinary run.
const STORM: Duration = Duration::from_millis(if cfg!(debug_assertions) { 1500 } else { 5000 });
const QUIET: Duration = Duration::from_millis(if cfg!(debug_assertions) { 800 } else { 5000 });
/// How much more memory the hub may use during a flood.
const MEMORY_KIB: u64 = 32 << 10;
/// Limit for the 99th percentile of the latency of another client's call. Generous: the tests share the machine with
/// each other and with the flood itself.
const PATIENCE: Duration = Duration::from_secs(1);
/// The source address of attackers; other clients use 127.0.0.1.
const ATTACKER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

/// One test at a time, so that the floods of one are not measured by another.
static ALONE: Mutex<()> = Mutex::const_new(());

struct World {
    hub: TestHub,
    _alone: MutexGuard<'static, ()>,
}

impl World {
    /// With `files`, the hub's limit on open files.
    async fn new(files: Option<u32>) -> Self {
        let alone = ALONE.lock().await;
        let clusters = (0..4).map(|index| accepted(&format!("c{index}"), "prod").unwrap());
        let process = Process {
            programs: programs::build_some(&["flotilla-hub"]).await.unwrap(),
            shell: files.map_or_else(String::new, |files| format!("ulimit -n {files}")),
            ..Process::default()
        };
        let hub = TestHub::builder()
            .clusters(clusters)
            .poll(Duration::from_secs(5))
            .process(process)
            .start()
            .await
            .unwrap();
        Self { hub, _alone: alone }
    }

    fn tls(&self, uri: Option<&str>) -> Arc<rustls::ClientConfig> {
        self.hub.tls(uri).unwrap()
    }

    async fn channel(&self, uri: &str) -> Channel {
        self.hub.channel(Some(uri)).await.unwrap()
    }

    async fn operator(&self) -> FleetServiceClient<Channel> {
        self.hub.operator("ada").await.unwrap().api
    }

    /// The 99th percentile of the latency of calls and of new connections until `until`.
    async fn feel(&self, until: Instant) -> (Duration, Duration) {
        let mut api = self.operator().await;
        let (mut calls, mut dials) = (Vec::new(), Vec::new());
        while Instant::now() < until {
            let began = Instant::now();
            api.get_hub(v1::GetHubRequest {}).await.unwrap();
            calls.push(began.elapsed());
            if calls.len() % 10 == 0 {
                let began = Instant::now();
                self.operator().await;
                dials.push(began.elapsed());
            }
            tokio::time::sleep(Duration::from_millis(12)).await;
        }
        (worst(calls), worst(dials))
    }

    /// Runs an attack, and reports what other clients experience and what it costs.
    async fn storm(&self, name: &str, attack: impl Future<Output = u64>) {
        let (quiet, quiet_dial) = self.feel(Instant::now() + QUIET).await;
        let before = self.hub.usage();
        let began = Instant::now();
        let (sent, (calls, dials)) = tokio::join!(attack, self.feel(Instant::now() + STORM));
        let after = self.hub.usage();
        let grown = after.resident_kib.saturating_sub(before.resident_kib);
        let cpu = after.cpu.saturating_sub(before.cpu);
        println!(
            "{name}: {sent} sent in {:.1?}; a call of others takes {calls:.1?} at p99 (quiet {quiet:.1?}), \
             a connection {dials:.1?} (quiet {quiet_dial:.1?}); the hub grows {grown} KiB and takes \
             {cpu:.1?} of CPU",
            began.elapsed()
        );
        assert!(grown < MEMORY_KIB, "{name}: {grown} KiB more");
        assert!(calls < PATIENCE, "{name}: calls took {calls:?}");
        assert!(dials < PATIENCE, "{name}: connections took {dials:?}");
    }

    /// Floods over four connections from one client.
    async fn flood(&self, flood: Flood, uri: Option<&'static str>) -> u64 {
        let until = Instant::now() + STORM;
        // The attackers have their own threads, so that legitimate callers do not wait for them as well.
        let attackers = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            // Real attackers have their own CPUs: their load must not count as that of the hub.
            .on_thread_start(give_way)
            .enable_all()
            .build()
            .unwrap();
        let tasks: Vec<_> = (0..4)
            .map(|_| {
                let (tls, address) = (self.tls(uri), self.hub.address);
                attackers.spawn(async move {
                    let mut sent = 0;
                    while Instant::now() < until {
                        let frames = Frames::connect(ATTACKER, address, Arc::clone(&tls), 65_535);
                        let Ok(mut frames) = frames.await else {
                            tokio::time::sleep(Duration::from_millis(20)).await;
                            continue;
                        };
                        frames.flood(flood, until).await;
                        sent += frames.sent;
                    }
                    sent
                })
            })
            .collect();
        let mut sent = 0;
        for task in tasks {
            sent += task.await.unwrap();
        }
        attackers.shutdown_background();
        sent
    }

    async fn floods(&self, name: &str, floods: &[Flood]) {
        for flood in floods {
            for (who, uri) in [
                ("a stranger", None),
                ("an agent", Some("spiffe://flotilla/cluster/c3")),
            ] {
                let name = format!("{name} {flood:?} by {who}");
                self.storm(&name, self.flood(*flood, uri)).await;
            }
        }
    }
}

/// Runs this thread only when the CPU is idle. A low priority does not suffice: a thread that wants the CPU would
/// still wait for the end of a slice, which is some milliseconds.
fn give_way() {
    let thread = rustix::thread::gettid().as_raw_nonzero().to_string();
    let idle = std::process::Command::new("chrt")
        .args(["--idle", "--pid", "0", &thread])
        .status();
    if !idle.is_ok_and(|status| status.success()) {
        let _ = rustix::process::nice(19);
    }
}

fn worst(mut all: Vec<Duration>) -> Duration {
    all.sort();
    let index = (all.len() * 99 / 100).min(all.len().saturating_sub(1));
    all.get(index).copied().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h01_rapid_reset_and_requests_are_nobody_elses_trouble() {
    let world = World::new(None).await;
    world
        .floods("h01", &[Flood::RapidReset, Flood::Requests])
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e03_guessing_tokens_is_nobody_elses_trouble() {
    let world = World::new(None).await;
    world
        .storm("e03 guesses", world.flood(Flood::Guesses, None))
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h02_a_header_block_without_end_is_cut() {
    let world = World::new(None).await;
    world.floods("h02", &[Flood::Continuation]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h03_data_without_data_is_nobody_elses_trouble() {
    let world = World::new(None).await;
    world.floods("h03", &[Flood::EmptyData]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h04_pings_and_settings_are_nobody_elses_trouble() {
    let world = World::new(None).await;
    world
        .floods("h04", &[Flood::Ping, Flood::Settings, Flood::WindowUpdate])
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h05_bombs_and_giants_are_refused_without_room_being_made_for_them() {
    let world = World::new(None).await;
    let before = world.hub.usage().resident_kib;
    // A gzip bomb that expands to a gigabyte: the hub accepts no compression at all.
    let more = [("grpc-encoding", "gzip")];
    let tls = world.tls(Some("spiffe://flotilla/cluster/c3"));
    let mut bomb = Frames::connect(ATTACKER, world.hub.address, Arc::clone(&tls), 65_535)
        .await
        .unwrap();
    let path = "/flotilla.v1.AgentService/Connect";
    for _ in 0..8 {
        let stream = bomb.open(path, &more).await.unwrap();
        let content = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3].repeat(100);
        bomb.message(stream, true, &content).await.unwrap();
    }
    // Larger than the limit for any message; the declared length alone must be enough to refuse it.
    let mut client = AgentServiceClient::new(world.channel("spiffe://flotilla/cluster/c3").await);
    let giant = message(v1::agent_message::Body::Hello(v1::Hello {
        agent_version: "x".repeat(5 << 20),
        ..v1::Hello::default()
    }));
    let refused = client.connect(tokio_stream::iter([giant])).await;
    let code = refused.err().map(|status| status.code());
    assert!(
        matches!(code, Some(Code::OutOfRange | Code::ResourceExhausted)),
        "{code:?}"
    );
    let mut claims = Frames::connect(ATTACKER, world.hub.address, tls, 65_535)
        .await
        .unwrap();
    for _ in 0..32 {
        let stream = claims.open(path, &[]).await.unwrap();
        // Declares 4 GiB and sends nothing.
        claims.message(stream, false, &[]).await.unwrap();
    }
    world
        .operator()
        .await
        .get_hub(v1::GetHubRequest {})
        .await
        .unwrap();
    let grown = world.hub.usage().resident_kib.saturating_sub(before);
    println!("h05: the hub grows {grown} KiB");
    assert!(grown < 16 << 10, "{grown} KiB more");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h06_half_open_handshakes_leave_room_for_others() {
    let world = World::new(None).await;
    let address = world.hub.address;
    let attack = async {
        let mut held = Vec::new();
        let mut tried = 0u64;
        let until = Instant::now() + STORM;
        while Instant::now() < until {
            // Open as many connections as the file limit allows, and more when the hub closes some.
            if held.len() < 800
                && let Ok(tcp) = raw_frames::tcp(ATTACKER, address).await
            {
                held.push(tcp);
                tried += 1;
            } else {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        tried
    };
    world.storm("h06 half-open handshakes", attack).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h06_a_hub_without_files_left_lives_and_comes_back() {
    let world = World::new(Some(96)).await;
    let mut api = world.operator().await;
    let mut held = Vec::new();
    for _ in 0..200 {
        if let Ok(tcp) = raw_frames::tcp(ATTACKER, world.hub.address).await {
            held.push(tcp);
        }
    }
    // Established connections are still served.
    for _ in 0..20 {
        api.get_hub(v1::GetHubRequest {}).await.unwrap();
    }
    // A new connection gets in once the hub times the silent ones out, although the attacker never closes them.
    let began = Instant::now();
    let served = eventually("others come in", Duration::from_secs(60), || async {
        let mut api = world.hub.operator("ada").await.ok()?.api;
        api.get_hub(v1::GetHubRequest {}).await.ok()
    });
    served.await.unwrap();
    println!(
        "h06: out of files; others came in after {:?}",
        began.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h07_an_agent_and_a_watcher_that_do_not_read_cost_nothing() {
    let world = World::new(None).await;
    let before = world.hub.usage().resident_kib;
    // The flow-control windows of these streams are closed, so the hub can never send to them.
    let mut deaf = Vec::new();
    for index in 0..3 {
        let tls = world.tls(Some(&format!("spiffe://flotilla/cluster/c{index}")));
        let mut frames = Frames::connect(ATTACKER, world.hub.address, tls, 0)
            .await
            .unwrap();
        let path = "/flotilla.v1.AgentService/Connect";
        let stream = frames.open(path, &[]).await.unwrap();
        let content = prost::Message::encode_to_vec(&hello());
        frames.message(stream, false, &content).await.unwrap();
        deaf.push(frames);
    }
    let tls = world.tls(Some("spiffe://flotilla/operator/bob"));
    let mut watcher = Frames::connect(ATTACKER, world.hub.address, tls, 0)
        .await
        .unwrap();
    for _ in 0..16 {
        let path = "/flotilla.v1.FleetService/Watch";
        let stream = watcher.open(path, &[]).await.unwrap();
        watcher.message(stream, false, &[]).await.unwrap();
    }
    // Every change of the fleet file is a new assignment for each of these streams.
    for round in 0..40 {
        let labels: String = (0..4)
            .map(|index| {
                format!("- {{name: c{index}, environment: prod, labels: {{round: 'r{round}'}}}}\n")
            })
            .collect();
        std::fs::write(
            &world.hub.config.fleet,
            format!(
                "apiVersion: flotilla.dev/v1alpha1\nkind: Fleet\nenvironments: [{{name: prod, branch: prod}}]\n\
                 clusters:\n{labels}"
            ),
        )
        .unwrap();
        if round % 10 == 0 {
            let want = format!("r{round}");
            let mut api = world.operator().await;
            let seen = eventually("the labels are there", Duration::from_secs(20), || {
                let (mut api, want) = (api.clone(), want.clone());
                async move {
                    let request = v1::GetClusterRequest {
                        name: "c3".to_owned(),
                    };
                    let cluster = api.get_cluster(request).await.ok()?.into_inner().cluster?;
                    let found = cluster.labels.iter().any(|label| label.value == want);
                    found.then_some(())
                }
            });
            seen.await.unwrap();
            api.get_hub(v1::GetHubRequest {}).await.unwrap();
        }
    }
    // A client that reads receives the newest assignment at once.
    let mut client = AgentServiceClient::new(world.channel("spiffe://flotilla/cluster/c3").await);
    let (outbound, stream) = mpsc::channel(4);
    outbound.send(hello()).await.unwrap();
    let mut inbound = client
        .connect(ReceiverStream::new(stream))
        .await
        .unwrap()
        .into_inner();
    let assigned = tokio::time::timeout(Duration::from_secs(10), async {
        loop {
            let body = inbound.message().await.unwrap().unwrap().body;
            if let Some(v1::hub_message::Body::Assignment(assignment)) = body {
                return flotilla_shared::wire::decode_assignment(&assignment).unwrap();
            }
        }
    });
    let assigned = assigned.await.expect("an assignment");
    assert!(assigned.assignment.labels.contains_key("round"));
    let grown = world.hub.usage().resident_kib.saturating_sub(before);
    println!("h07: the hub grows {grown} KiB");
    assert!(grown < 16 << 10, "{grown} KiB more");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h16_one_agent_that_never_stops_reporting_is_slowed_down() {
    let world = World::new(None).await;
    let mut client = AgentServiceClient::new(world.channel("spiffe://flotilla/cluster/c3").await);
    let attack = async {
        let (outbound, stream) = mpsc::channel(4);
        outbound.send(hello()).await.unwrap();
        let _inbound = client.connect(ReceiverStream::new(stream)).await.unwrap();
        let until = Instant::now() + STORM;
        let mut sent = 0;
        while Instant::now() < until {
            sent += 1;
            let report = v1::Report {
                sequence: sent,
                observed_at: Some(prost_types::Timestamp {
                    seconds: 1_790_000_000,
                    nanos: 0,
                }),
                suspended: "x".repeat(500),
                ..v1::Report::default()
            };
            let body = v1::agent_message::Body::Report(report);
            let sending = outbound.send(message(body));
            if !matches!(tokio::time::timeout_at(until, sending).await, Ok(Ok(()))) {
                break;
            }
        }
        sent
    };
    world.storm("h16 reports of one agent", attack).await;
}

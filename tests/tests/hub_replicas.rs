//! Several hub processes on one real PostgreSQL: agents on any of them, one decides.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use flotilla_hub::app::{self, Config, Running};
use flotilla_hub::authority::Authority;
use flotilla_hub::enrolment::{Attempt, NewToken};
use flotilla_hub::fleet::{AuditEntry, ClusterRecord, Effect};
use flotilla_hub::serve::{oidc, web};
use flotilla_hub::store::{self, Store, Wait};
use flotilla_proto::v1;
use flotilla_proto::v1::fleet_service_client::FleetServiceClient;
use flotilla_shared::dial::dial;
use flotilla_shared::tls;
use flotilla_tests::eventually;
use flotilla_tests::git_server::GitServer;
use flotilla_tests::issuer::Issuer;
use flotilla_tests::postgres::Postgres;
use flotilla_tests::proxy::Proxy;
use flotilla_tests::repository::Repository;
use flotilla_tests::simulated::{Agent, Enrolled, Seen};
use flotilla_tests::tab::{Answer, Tab};
use jiff::Timestamp;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use tokio::sync::watch;
use tonic::transport::Channel;

const LIMIT: Duration = Duration::from_secs(60);
/// What people type who come to the pages of any replica.
const SITE: &str = "https://flotilla.example";

struct World {
    directory: tempfile::TempDir,
    database: Postgres,
    repository: Repository,
    _git: GitServer,
    enrolled: Enrolled,
}

impl World {
    async fn new() -> Option<Self> {
        Self::with("  strategy: {waves: [{name: half, share: '50%'}], soak: 1s}\n").await
    }

    /// With such lines of the environment.
    async fn with(environment: &str) -> Option<Self> {
        tls::install_provider();
        let database = Postgres::start().unwrap()?;
        let directory = tempfile::tempdir().unwrap();
        let authority = Authority::init(directory.path(), Timestamp::now()).unwrap();
        let repository = Repository::create(directory.path(), "fleet").unwrap();
        repository.write("apps/a.yaml", "# 0\n").unwrap();
        repository.push("first", &["prod"]).unwrap();
        let served = directory.path().join("served");
        let git = GitServer::start(&served, "127.0.0.1:0").await.unwrap();
        let fleet = format!(
            "apiVersion: flotilla.dev/v1alpha1\nkind: Fleet\nrepositories:\n- {{name: fleet, url: '{}'}}\n\
             environments:\n- name: prod\n  branch: prod\n{environment}\
             applications:\n- {{name: web, repository: fleet, path: apps}}\n",
            git.url("fleet.git")
        );
        std::fs::write(directory.path().join("fleet.yaml"), fleet).unwrap();
        Some(Self {
            directory,
            database,
            repository,
            _git: git,
            enrolled: Enrolled::with(authority).unwrap(),
        })
    }

    async fn replica(&self) -> Running {
        self.replica_with(None).await
    }

    /// With pages for people of an issuer.
    async fn replica_with(&self, issuer: Option<&Issuer>) -> Running {
        self.replica_on("127.0.0.1:0", issuer).await
    }

    async fn replica_on(&self, address: &str, issuer: Option<&Issuer>) -> Running {
        let oidc = issuer.map(|issuer| {
            let path = self.directory.path().join("oidc.yaml");
            let grants = "grants: [{group: sre, role: admin}]";
            let text = format!("issuer: {}\nclientId: flotilla\n{grants}\n", issuer.url);
            std::fs::write(&path, text).unwrap();
            oidc::Config::read(&path).unwrap()
        });
        let config = || Config {
            web: issuer.map(|_| web::Config {
                listen: "127.0.0.1:0".to_owned(),
                url: SITE.to_owned(),
                behind_proxy: true,
                ..web::Config::default()
            }),
            oidc: oidc.clone(),
            data_dir: self.directory.path().to_owned(),
            fleet: self.directory.path().join("fleet.yaml"),
            listen: address.to_owned(),
            poll_interval: Some(Duration::from_millis(300)),
            store_url: Some(self.database.url()),
            ..Config::default()
        };
        // A database that is busy takes no connection within seconds; whoever runs a hub starts it again.
        let running = eventually("the replica starts", LIMIT, async || {
            app::start(config()).await.ok()
        });
        match running.await {
            Ok(running) => running,
            // Once more, for the reason.
            Err(_) => app::start(config()).await.unwrap(),
        }
    }

    async fn api(&self, hub: &Running) -> FleetServiceClient<Channel> {
        let uri = "spiffe://flotilla/operator/ada".parse().unwrap();
        let identity = self.enrolled.identity(&uri).unwrap();
        let tls = tls::client_config(self.enrolled.trust_bundle(), Some(&identity)).unwrap();
        let channel = dial(&hub.address.to_string(), Arc::new(tls)).await.unwrap();
        FleetServiceClient::new(channel)
    }

    /// Accepted clusters, as rows.
    async fn seed(&self, count: usize) {
        let store = Store::connect(&self.database.url()).await.unwrap();
        store.acquire("seed", "").await.unwrap().unwrap();
        let effects: Vec<Effect> = (0..count)
            .map(|index| {
                let record = ClusterRecord {
                    environment: Some("prod".parse().unwrap()),
                    ..ClusterRecord::default()
                };
                Effect::StoreCluster(format!("c{index}").parse().unwrap(), Box::new(record))
            })
            .collect();
        store
            .apply("seed", &effects, Timestamp::now())
            .await
            .unwrap();
        store.release().await.unwrap();
        store.close().await;
    }
}

async fn current(api: &mut FleetServiceClient<Channel>, commit: &str) -> Option<u32> {
    let request = v1::ListEnvironmentsRequest {};
    let answer = api.list_environments(request).await.ok()?.into_inner();
    let one = answer.environments.into_iter().next()?;
    (one.branches.first()?.approved == commit).then_some(one.current)
}

#[tokio::test(flavor = "multi_thread")]
async fn h15_agents_on_any_replica_are_served_and_a_dead_decider_is_followed_within_ten_seconds() {
    let Some(world) = World::new().await else {
        return;
    };
    const AGENTS: usize = 20;
    world.seed(AGENTS).await;
    let first = world.replica().await;
    let second = world.replica().await;
    let hubs = Arc::new(vec![first.address.to_string(), second.address.to_string()]);
    let seen = Arc::new(Seen::default());
    let (stop, stopped) = watch::channel(false);
    for index in 0..AGENTS {
        let name = format!("c{index}").parse().unwrap();
        // Half of them begin at either replica.
        let mut own = (*hubs).clone();
        own.rotate_left(index % 2);
        let work = Duration::from_millis(50);
        let agent = Agent::new(&world.enrolled, &name, &Arc::new(own), work).unwrap();
        tokio::spawn(agent.run(Arc::clone(&seen), stopped.clone()));
    }
    let commit = world.repository.push("second", &["prod"]).unwrap();
    for hub in [&first, &second] {
        let api = world.api(hub).await;
        eventually("all current, whichever replica is asked", LIMIT, || {
            let (mut api, commit) = (api.clone(), commit.clone());
            async move { (current(&mut api, &commit).await == Some(20)).then_some(()) }
        })
        .await
        .unwrap();
    }
    // The first one to start decides. It dies without a word, with a commit on its way.
    let commit = world.repository.push("third", &["prod"]).unwrap();
    first.kill();
    let died = std::time::Instant::now();
    let api = world.api(&second).await;
    eventually("the other decides", LIMIT, || {
        let mut api = api.clone();
        async move {
            let request = v1::ListEnvironmentsRequest {};
            api.list_environments(request).await.ok().map(|_| ())
        }
    })
    .await
    .unwrap();
    let took = died.elapsed();
    assert!(took < Duration::from_secs(10), "took over after {took:?}");
    eventually("all current on the newest commit", LIMIT, || {
        let (mut api, commit) = (api.clone(), commit.clone());
        async move { (current(&mut api, &commit).await == Some(20)).then_some(()) }
    })
    .await
    .unwrap();
    let verified = api
        .clone()
        .verify_audit(v1::VerifyAuditRequest {})
        .await
        .unwrap()
        .into_inner();
    assert_eq!(verified.broken, "", "I2 over the change of hands");
    assert!(seen.connected.load(Ordering::Relaxed) > 0);
    let _ = stop.send(true);
    second.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn h15_replicas_restarted_in_turn_under_changes_leave_nobody_without_news() {
    let Some(world) = World::with("").await else {
        return;
    };
    let (agents, between) = flotilla_needs::size((20, 10), (500, 150));
    world.seed(agents).await;
    let mut replicas = vec![world.replica().await, world.replica().await];
    let addresses: Vec<String> = replicas.iter().map(|hub| hub.address.to_string()).collect();
    let hubs = Arc::new(addresses.clone());
    let seen = Arc::new(Seen::default());
    let (stop, stopped) = watch::channel(false);
    for index in 0..agents {
        let name = format!("c{index}").parse().unwrap();
        let mut own = (*hubs).clone();
        own.rotate_left(index % 2);
        let agent = Agent::new(&world.enrolled, &name, &Arc::new(own), Duration::ZERO).unwrap();
        tokio::spawn(agent.run(Arc::clone(&seen), stopped.clone()));
    }
    let all = || async { (seen.delivered.lock().len() == agents).then_some(()) };
    eventually("all are served", LIMIT, all).await.unwrap();
    // Ten commits each second, and how long any agent goes without one.
    let made = AtomicUsize::new(0);
    let changes = async {
        let mut beat = tokio::time::interval(Duration::from_millis(100));
        let mut longest = Duration::ZERO;
        while !*stopped.borrow() {
            beat.tick().await;
            let change = made.fetch_add(1, Ordering::Relaxed);
            let text = format!("# {change}\n");
            world.repository.write("apps/a.yaml", &text).unwrap();
            world.repository.push("change", &["prod"]).unwrap();
            let delivered = seen.delivered.lock();
            let gaps = delivered.values().map(tokio::time::Instant::elapsed);
            longest = longest.max(gaps.max().unwrap_or_default());
        }
        longest
    };
    let some_changes = async || {
        let until = made.load(Ordering::Relaxed) + between;
        let reached = || async { (made.load(Ordering::Relaxed) >= until).then_some(()) };
        eventually("commits come", LIMIT, reached).await.unwrap();
    };
    let restarts = async {
        for address in &addresses {
            some_changes().await;
            replicas.remove(0).shutdown().await;
            replicas.push(world.replica_on(address, None).await);
        }
        some_changes().await;
        let _ = stop.send(true);
    };
    let (longest, ()) = tokio::join!(changes, restarts);
    eprintln!("longest time without an assignment: {longest:?}, {agents} agents");
    assert!(longest < Duration::from_secs(30), "{longest:?}");
    let mut api = world.api(&replicas[1]).await;
    let request = v1::VerifyAuditRequest {};
    let verified = api.verify_audit(request).await.unwrap().into_inner();
    assert_eq!(verified.broken, "", "I2");
    for hub in replicas {
        hub.shutdown().await;
    }
}

/// Opens a page until it is one: a replica may not know yet who decides, or the issuer.
async fn opened(tab: &mut Tab, path: &str) -> Answer {
    let deadline = tokio::time::Instant::now() + LIMIT;
    loop {
        // One that begins to decide lets go of its connections.
        let answer = tab.open(path).await;
        match answer {
            Ok(answer) if answer.status == 200 => return answer,
            answer => assert!(tokio::time::Instant::now() < deadline, "{answer:?}"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn e13_a_session_of_one_replica_is_one_of_each_and_ends_on_all() {
    let Some(world) = World::new().await else {
        return;
    };
    let issuer = Issuer::start().await.unwrap();
    issuer.with(|state| {
        state.user = "ada@example.org".to_owned();
        state.groups = vec!["sre".to_owned()];
    });
    let first = world.replica_with(Some(&issuer)).await;
    let second = world.replica_with(Some(&issuer)).await;
    let addresses = [&first, &second].map(|hub| hub.web_address.unwrap().to_string());
    // Logged in at the one that stands by, which asks the other.
    let mut tab = Tab::new(SITE, &addresses[1]).unwrap();
    let page = opened(&mut tab, "/env/prod").await;
    assert!(page.text.contains("oidc:ada@example.org (admin)"));
    let cookie = tab.cookies.clone();
    // The other one, without a new login.
    tab.address.clone_from(&addresses[0]);
    opened(&mut tab, "/env/prod").await;
    assert_eq!(tab.cookies, cookie);
    // An act through the one that stands by is of the person, in the one audit log.
    tab.address.clone_from(&addresses[1]);
    let token = page.field("token").unwrap().to_owned();
    let pause = [
        ("token", token.as_str()),
        ("action", "pause"),
        ("environment", "prod"),
        ("reason", "lunch"),
        ("key", "k"),
        ("back", "/audit"),
    ];
    tab.post("/act", &pause).await.unwrap();
    let audit = opened(&mut tab, "/audit").await;
    let act = "<td>oidc:ada@example.org</td><td>pause</td>";
    assert!(audit.text.contains(act), "{}", audit.text);
    // The one that decides dies: the session lives on.
    first.kill();
    opened(&mut tab, "/audit").await;
    let out = tab.post("/sign-out", &[("token", &token)]).await.unwrap();
    assert_eq!(out.location(), Some("/signed-out"));
    // Ended, it is ended for a replica that never saw it.
    let third = world.replica_with(Some(&issuer)).await;
    tab.address = third.web_address.unwrap().to_string();
    tab.cookies = cookie;
    let request = tab.request(reqwest::Method::GET, "/");
    assert_eq!(tab.send(request).await.unwrap().status, 303);
    third.shutdown().await;
    second.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn e08_a_replica_passes_on_who_calls_and_nobody_else_may_say_so() {
    let Some(world) = World::new().await else {
        return;
    };
    world.seed(1).await;
    let first = world.replica().await;
    let second = world.replica().await;
    // Through the replica that stands by, an agent's certificate is still only an agent's.
    let uri = "spiffe://flotilla/cluster/c0".parse().unwrap();
    let identity = world.enrolled.identity(&uri).unwrap();
    let tls = tls::client_config(world.enrolled.trust_bundle(), Some(&identity)).unwrap();
    for hub in [&first, &second] {
        let channel = dial(&hub.address.to_string(), Arc::new(tls.clone()))
            .await
            .unwrap();
        let api = FleetServiceClient::new(channel);
        let code = eventually("an answer", LIMIT, || {
            let mut api = api.clone();
            async move {
                let mut request = tonic::Request::new(v1::GetHubRequest {});
                let forged = "spiffe://flotilla/operator/ada".parse().unwrap();
                request
                    .metadata_mut()
                    .insert("x-flotilla-on-behalf-of", forged);
                let status = api.get_hub(request).await.err()?;
                (status.code() != tonic::Code::Unavailable).then_some(status.code())
            }
        })
        .await
        .unwrap();
        assert_eq!(code, tonic::Code::PermissionDenied);
    }
    first.shutdown().await;
    second.shutdown().await;
}

fn entry(text: &str) -> Effect {
    Effect::Audit(AuditEntry {
        at: Timestamp::now(),
        detail: text.to_owned(),
        ..AuditEntry::default()
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn s10_who_lost_the_lease_writes_nothing_more() {
    let Some(database) = Postgres::start().unwrap() else {
        return;
    };
    let old = Store::connect(&database.url()).await.unwrap();
    let new = Store::connect(&database.url()).await.unwrap();
    let now = Timestamp::now();
    let lease = old.acquire("old", "old:1").await.unwrap().unwrap();
    assert_eq!(
        new.acquire("new", "new:1").await.unwrap(),
        None,
        "it is held"
    );
    assert_eq!(new.standing().await.unwrap().address, "old:1");
    old.apply("a", &[entry("one")], now).await.unwrap();
    // The old one is paused past its lease, as a process under SIGSTOP is; the new one takes over.
    let taken = eventually("the lease ends", LIMIT, || async {
        new.acquire("new", "new:1").await.unwrap()
    })
    .await
    .unwrap();
    assert!(taken.term > lease.term);
    assert!(!old.renew(lease).await.unwrap());
    let fenced = old.apply("b", &[entry("late")], now).await;
    assert!(
        matches!(fenced, Err(store::Error::Fenced { .. })),
        "{fenced:?}"
    );
    assert!(old.record(&AuditEntry::default()).await.is_err());
    new.apply("c", &[entry("two")], now).await.unwrap();
    let rows = new.audit_newest("", 10).await.unwrap();
    let details: Vec<&str> = rows.iter().map(|row| row.entry.detail.as_str()).collect();
    assert_eq!(details, ["one", "two"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn s07_a_batch_whose_answer_was_lost_is_not_written_twice() {
    let Some(mut database) = Postgres::start().unwrap() else {
        return;
    };
    let store = Store::connect(&database.url()).await.unwrap();
    store.acquire("one", "").await.unwrap().unwrap();
    let now = Timestamp::now();
    store.apply("batch-1", &[entry("once")], now).await.unwrap();
    // As after a COMMIT whose answer never came: the same batch is tried again.
    store.apply("batch-1", &[entry("once")], now).await.unwrap();
    // And over a crash of the server.
    database.kill().unwrap();
    assert!(
        store
            .apply("batch-2", &[entry("twice")], now)
            .await
            .is_err()
    );
    database.resume().unwrap();
    eventually("the server takes it", LIMIT, || async {
        store.apply("batch-2", &[entry("twice")], now).await.ok()
    })
    .await
    .unwrap();
    store
        .apply("batch-2", &[entry("twice")], now)
        .await
        .unwrap();
    let rows = store.audit_newest("", 10).await.unwrap();
    let details: Vec<&str> = rows.iter().map(|row| row.entry.detail.as_str()).collect();
    assert_eq!(details, ["once", "twice"]);
    assert!(store.verify_audit().await.unwrap().is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn s09_a_server_that_hangs_acknowledges_nothing_and_is_waited_for() {
    let Some(database) = Postgres::start().unwrap() else {
        return;
    };
    let store = Store::connect(&database.url()).await.unwrap();
    store.acquire("one", "").await.unwrap().unwrap();
    database.freeze(true).unwrap();
    let now = Timestamp::now();
    let hung = store.apply("batch-1", &[entry("once")], now).await;
    assert!(
        hung.is_err(),
        "nothing is acknowledged that nobody confirmed"
    );
    database.freeze(false).unwrap();
    eventually("it goes on", LIMIT, || async {
        store.apply("batch-1", &[entry("once")], now).await.ok()
    })
    .await
    .unwrap();
    assert_eq!(store.audit_newest("", 10).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn e02_of_fifty_that_use_a_token_at_once_one_comes_in_on_a_real_server() {
    let Some(database) = Postgres::start().unwrap() else {
        return;
    };
    let store = Store::connect(&database.url()).await.unwrap();
    store.acquire("one", "").await.unwrap().unwrap();
    let hour = jiff::SignedDuration::from_hours(1);
    let new = NewToken {
        expires_at: Timestamp::now().saturating_add(hour).unwrap(),
        ..NewToken::default()
    };
    let (text, _) = store.create_token(&new).await.unwrap();
    let (handle, driver) = flotilla_hub::driver::spawn(
        flotilla_hub::fleet::Fleet::new(flotilla_shared::id::Epoch(1)),
        store.clone(),
        flotilla_hub::metrics::Metrics::new(),
        flotilla_hub::driver::Health::default(),
        tokio_util::sync::CancellationToken::new(),
    );
    let tasks: Vec<_> = (0..50)
        .map(|index| {
            let (store, text, handle) = (store.clone(), text.clone(), handle.clone());
            tokio::spawn(async move {
                let token = store.token_of(&text).await.unwrap();
                let attempt = Attempt {
                    name: format!("c{}", index % 7).parse().unwrap(),
                    key: format!("key{index}"),
                    uid: String::new(),
                };
                let change = handle.change(move |fleet, now| fleet.enrol(&attempt, token, now));
                change.await.unwrap().unwrap().is_ok()
            })
        })
        .collect();
    let mut good = 0;
    for task in tasks {
        good += usize::from(task.await.unwrap());
    }
    assert_eq!(good, 1);
    let tokens = store.tokens().await.unwrap();
    assert_eq!(tokens.len(), 1);
    assert!(tokens[0].redeemed.is_some());
    drop(handle);
    driver.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn s12_a_hint_is_seen_at_once_and_a_lost_one_by_looking() {
    let Some(database) = Postgres::start().unwrap() else {
        return;
    };
    let proxy = Proxy::start(database.address()).await.unwrap();
    let decides = Store::connect(&database.url()).await.unwrap();
    let listens = Store::connect(&database.url_at(proxy.address))
        .await
        .unwrap();
    decides.acquire("one", "one:1").await.unwrap().unwrap();
    let mut hints = listens.hints();
    assert_eq!(hints.wait(LIMIT).await, Wait::Hinted, "it listens now");
    // Far below the time between two looks.
    let look = Duration::from_secs(30);
    let began = std::time::Instant::now();
    decides.release().await.unwrap();
    assert_eq!(hints.wait(look).await, Wait::Hinted);
    let took = began.elapsed();
    println!("hinted after {took:?}");
    assert!(took < Duration::from_secs(3), "{took:?}");
    // The connection that listens is silent for good; nobody is told of what happens now.
    proxy.bury();
    decides.acquire("one", "one:2").await.unwrap().unwrap();
    assert_eq!(hints.wait(Duration::from_secs(1)).await, Wait::Passed);
    let looks = Store::connect(&database.url()).await.unwrap();
    assert_eq!(looks.standing().await.unwrap().address, "one:2");
    // And then it is hinted again.
    hints.renew();
    assert_eq!(hints.wait(LIMIT).await, Wait::Hinted, "it listens again");
    decides.release().await.unwrap();
    assert_eq!(hints.wait(LIMIT).await, Wait::Hinted);
}

/// A database whose clock the test sets: its own `clock_timestamp` stands before the system's.
fn with_a_clock(database: &Postgres) {
    database
        .sql(
            "CREATE SCHEMA skew; CREATE TABLE skew.by (ms BIGINT); INSERT INTO skew.by VALUES (0); \
             CREATE FUNCTION skew.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS \
             $$ SELECT pg_catalog.clock_timestamp() + (SELECT ms FROM skew.by) * interval '1 ms' $$; \
             ALTER DATABASE postgres SET search_path = skew, pg_catalog, public",
        )
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn s11_whatever_the_databases_clock_does_one_decides_and_a_dead_one_is_followed() {
    let Some(database) = Postgres::start().unwrap() else {
        return;
    };
    with_a_clock(&database);
    let jump = |hours: i64| {
        let ms = hours * 3_600_000;
        database
            .sql(&format!("UPDATE skew.by SET ms = ms + {ms}"))
            .unwrap();
    };
    let stores = [
        Store::connect(&database.url()).await.unwrap(),
        Store::connect(&database.url()).await.unwrap(),
    ];
    let now = Timestamp::now();
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut leases: [Option<store::Lease>; 2] = [None, None];
    let mut written = Vec::new();
    for round in 0..60 {
        match random.random_range(0..4) {
            0 => jump(1),
            1 => jump(-1),
            _ => {}
        }
        let who = random.random_range(0..2);
        let name = format!("s{who}");
        if let Some(lease) = stores[who].acquire(&name, &name).await.unwrap() {
            leases[who] = Some(lease);
        }
        // Each that ever held the lease believes in it still, and tries to write.
        for (store, lease) in stores.iter().zip(leases) {
            let Some(lease) = lease else { continue };
            let text = lease.term.to_string();
            let batch = format!("{round}-{text}");
            match store.apply(&batch, &[entry(&text)], now).await {
                Ok(()) => written.push(lease.term),
                Err(store::Error::Fenced { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }
    assert!(!written.is_empty());
    assert!(
        written.is_sorted(),
        "an older term wrote after a newer one: {written:?}"
    );
    let rows = stores[0].audit_newest("", 1000).await.unwrap();
    let stored: Vec<i64> = rows
        .iter()
        .map(|row| row.entry.detail.parse().unwrap())
        .collect();
    assert_eq!(stored, written, "what was acknowledged, and nothing else");
    // The clock goes back by an hour while somebody holds the lease, and that one dies.
    eventually("somebody takes it", LIMIT, || async {
        stores[0].acquire("s0", "s0").await.unwrap()
    })
    .await
    .unwrap();
    jump(-1);
    let began = std::time::Instant::now();
    eventually("the other follows", LIMIT, || async {
        stores[1].acquire("s1", "s1").await.unwrap()
    })
    .await
    .unwrap();
    assert!(began.elapsed() < Duration::from_secs(10));
}

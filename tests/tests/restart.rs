//! Agents that stop and start, and a hub that lost its data: real processes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::time::{Duration, Instant};

use flotilla_apiserver::{Fault, FaultKind};
use flotilla_proto::v1;
use flotilla_tests::fleet::{Operator, application};
use flotilla_tests::installation::Installation;
use flotilla_tests::{eventually, most_memory};
use serde_json::Value;
use tokio::process::Child;

const LIMIT: Duration = Duration::from_secs(60);

fn config_map(name: &str, value: &str) -> String {
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {{value: '{value}'}}\n"
    )
}

async fn world(objects: usize) -> Installation {
    let files: Vec<(String, String)> = (0..objects)
        .map(|n| {
            (
                format!("app/{n}.yaml"),
                config_map(&format!("map-{n}"), "one"),
            )
        })
        .collect();
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(path, content)| (path.as_str(), content.as_str()))
        .collect();
    Installation::new(&files).await.unwrap()
}

async fn get(world: &Installation, path: &str) -> Option<Value> {
    world.live(path).await.unwrap()
}

async fn count(world: &Installation, namespace: &str, plural: &str) -> usize {
    let path = format!("/api/v1/namespaces/{namespace}/{plural}");
    get(world, &path).await.unwrap()["items"]
        .as_array()
        .unwrap()
        .len()
}

async fn synced(operator: &Operator, commit: &str, objects: u32) {
    synced_within(LIMIT, operator, commit, objects).await;
}

async fn synced_within(limit: Duration, operator: &Operator, commit: &str, objects: u32) {
    eventually("the commit is applied whole", limit, || {
        let mut operator = operator.clone();
        async move {
            let status = operator.cluster("c1").await?;
            let report = application(&status, "app")?.clone();
            let exact = report.revision.as_ref()?.commit == commit;
            (exact && report.sync() == v1::Sync::Synced && report.counts?.total == objects)
                .then_some(())
        }
    })
    .await
    .unwrap();
}

async fn terminate(agent: &mut Child) -> Duration {
    let pid = agent.id().unwrap().to_string();
    let asked = Instant::now();
    let kill = std::process::Command::new("kill")
        .args(["-TERM", &pid])
        .status();
    assert!(kill.unwrap().success());
    let status = tokio::time::timeout(LIMIT, agent.wait()).await;
    assert!(status.unwrap().unwrap().success());
    asked.elapsed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn n03_an_agent_that_is_asked_to_stop_in_mid_apply_stops_soon_and_goes_on_later() {
    let world = world(200).await;
    let _hub = world.hub().unwrap();
    let mut operator = world.operator().await.unwrap();
    world.invite(&mut operator).await.unwrap();
    world.cluster.inject(Fault {
        verb: "patch".to_owned(),
        resource: "configmaps".to_owned(),
        kind: FaultKind::Hang(Duration::from_millis(1500)),
        times: 1000,
    });
    let mut agent = world.agent("agent", &[]).unwrap();
    eventually("some objects are there", LIMIT, || async {
        let there = count(&world, "default", "configmaps").await;
        (there > 0).then_some(())
    })
    .await
    .unwrap();
    let took = terminate(&mut agent).await;
    assert!(took < Duration::from_secs(10), "{took:?}");
    let there = count(&world, "default", "configmaps").await;
    assert!(there < 200, "it was in the middle: {there}");
    world.cluster.heal();
    let mut agent = world.agent("agent", &[]).unwrap();
    let commit = world.repository.head("dev").unwrap();
    synced(&operator, &commit, 200).await;
    assert_eq!(world.deleted(), Vec::<String>::new());
    agent.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn n07_many_restarts_in_a_row_leave_nothing_behind() {
    let world = world(5).await;
    let _hub = world.hub().unwrap();
    let mut operator = world.operator().await.unwrap();
    world.invite(&mut operator).await.unwrap();
    let commit = world.repository.head("dev").unwrap();
    let mut agent = world.agent("agent", &[]).unwrap();
    synced(&operator, &commit, 5).await;
    let files = |world: &Installation| {
        let mut all = Vec::new();
        let mut folders = vec![world.root().join("agent")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                match path.is_dir() {
                    true => folders.push(path),
                    false => all.push(path),
                }
            }
        }
        all.len()
    };
    let (records, kept) = (
        count(&world, "flotilla-system", "configmaps").await,
        files(&world),
    );
    let writes = world.cluster.audit().len();
    for round in 0..flotilla_needs::size(15, 1000) {
        agent.kill().await.unwrap();
        agent = world.agent("agent", &[]).unwrap();
        if round % 5 == 4 {
            // Let every fifth agent live long enough to work.
            let taken = world.cluster.audit().len();
            eventually("it leads", LIMIT, || async {
                (world.cluster.audit().len() > taken).then_some(())
            })
            .await
            .unwrap();
        }
    }
    synced(&operator, &commit, 5).await;
    assert_eq!(
        count(&world, "flotilla-system", "configmaps").await,
        records
    );
    let now = files(&world);
    assert!(now <= kept + 2, "{now} files, {kept} before");
    let audit = world.cluster.audit();
    let touched: Vec<_> = audit
        .iter()
        .skip(writes)
        .filter(|event| event.changed && event.namespace != "flotilla-system")
        .collect();
    assert!(touched.is_empty(), "nothing was to be done: {touched:?}");
    agent.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a21_beside_a_slow_server_whose_pages_expire_an_agent_stays_within_its_memory() {
    let (objects, slow, pages, limit) = flotilla_needs::size(
        (600, Duration::from_secs(1), 2, LIMIT),
        (
            10_000,
            Duration::from_secs(5),
            40,
            Duration::from_secs(3600),
        ),
    );
    // Secrets, because the inventory is kept in ConfigMaps, whose writes must not be slowed down.
    let secret = |name: u32, value: &str| {
        format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: s-{name}}}\nstringData: {{value: '{value}'}}\n"
        )
    };
    let files: Vec<(String, String)> = (0..objects)
        .map(|number| (format!("app/{number}.yaml"), secret(number, "one")))
        .collect();
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(path, content)| (path.as_str(), content.as_str()))
        .collect();
    let world = Installation::new(&files).await.unwrap();
    let _hub = world.hub().unwrap();
    let mut operator = world.operator().await.unwrap();
    world.invite(&mut operator).await.unwrap();
    let mut agent = world.agent("agent", &[]).unwrap();
    let commit = world.repository.head("dev").unwrap();
    synced_within(limit, &operator, &commit, objects).await;
    let applied = most_memory(agent.id().unwrap()).unwrap();
    agent.kill().await.unwrap();
    let writes = world.cluster.audit().len();
    for (kind, times) in [
        (FaultKind::Hang(slow), pages / 2),
        (FaultKind::Status(410), 1),
        (FaultKind::Hang(slow), pages / 2),
    ] {
        world.cluster.inject(Fault {
            verb: "list".to_owned(),
            resource: "secrets".to_owned(),
            kind,
            times,
        });
    }
    // The agent has to compare everything, and has one object to change.
    let repository = &world.repository;
    repository.write("app/0.yaml", &secret(0, "two")).unwrap();
    let commit = repository.push("one object changes", &["dev"]).unwrap();
    let mut agent = world.agent("agent", &[]).unwrap();
    synced_within(limit, &operator, &commit, objects).await;
    let listed = most_memory(agent.id().unwrap()).unwrap();
    // The memory limit of a pod of `deploy/agent`: 256 MiB.
    assert!(applied < 256 * 1024, "{applied} KiB for new objects");
    assert!(listed < 256 * 1024, "{listed} KiB for slow lists");
    let audit = world.cluster.audit();
    let changed = audit
        .iter()
        .skip(writes)
        .filter(|event| event.changed && event.resource == "secrets");
    assert_eq!(changed.count(), 1, "progress is kept");
    agent.kill().await.unwrap();
}

/// N1 in part: killed processes are tested in `kill.rs` (A16); a shortage of CPU is not tested.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn n01_an_agent_with_few_files_converges() {
    let world = world(40).await;
    let _hub = world.hub().unwrap();
    let mut operator = world.operator().await.unwrap();
    world.invite(&mut operator).await.unwrap();
    let shell = "ulimit -n 64\nexec 2>>flotilla-agent.log";
    let mut agent = world.agent_in_shell("agent", shell).unwrap();
    let commit = world.repository.head("dev").unwrap();
    synced(&operator, &commit, 40).await;
    let limits = format!("/proc/{}/limits", agent.id().unwrap());
    let limits = std::fs::read_to_string(limits).unwrap();
    let files = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    assert!(files.unwrap().contains(" 64 "), "{limits}");
    let repository = &world.repository;
    std::fs::remove_file(repository.work.join("app/0.yaml")).unwrap();
    let changed = config_map("map-1", "two");
    repository.write("app/1.yaml", &changed).unwrap();
    let commit = repository.push("second", &["dev"]).unwrap();
    synced(&operator, &commit, 39).await;
    assert_eq!(world.deleted(), ["map-0"]);
    agent.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn n01_an_agent_without_room_on_its_disk_says_so_and_goes_on() {
    let world = world(3).await;
    let _hub = world.hub().unwrap();
    let mut operator = world.operator().await.unwrap();
    world.invite(&mut operator).await.unwrap();
    // With a file size limit and SIGXFSZ ignored, writes fail as on a full disk.
    let mut agent = world.agent_in_shell("agent", "trap '' XFSZ").unwrap();
    let commit = world.repository.head("dev").unwrap();
    synced(&operator, &commit, 3).await;
    let pid = agent.id().unwrap().to_string();
    let room = |bytes: &str| {
        let size = format!("--fsize={bytes}:");
        let set = std::process::Command::new("prlimit")
            .args(["--pid", &pid, &size])
            .status();
        assert!(set.unwrap().success());
    };
    room("1");
    let repository = &world.repository;
    std::fs::remove_file(repository.work.join("app/0.yaml")).unwrap();
    repository.push("one object leaves", &["dev"]).unwrap();
    eventually("the hub is told", LIMIT, || {
        let mut operator = operator.clone();
        async move {
            let status = operator.cluster("c1").await?;
            (status.reason == "LedgerUnavailable" && !status.message.is_empty()).then_some(())
        }
    })
    .await
    .unwrap();
    let events = "/apis/events.k8s.io/v1/namespaces/flotilla-system/events";
    eventually("the cluster's own people are told", LIMIT, || async {
        let events = get(&world, events).await?;
        let mut events = events["items"].as_array()?.iter();
        let told = events.any(|event| event["reason"] == "LedgerUnavailable");
        told.then_some(())
    })
    .await
    .unwrap();
    // The last accepted assignment stays in force.
    edit(&world, "map-1").await;
    assert_eq!(world.deleted(), Vec::<String>::new());
    room("unlimited");
    let changed = config_map("map-1", "two");
    repository.write("app/1.yaml", &changed).unwrap();
    let commit = repository.push("there is room", &["dev"]).unwrap();
    synced(&operator, &commit, 2).await;
    assert_eq!(world.deleted(), ["map-0"]);
    agent.kill().await.unwrap();
}

/// With a read-only root file system every pod of `deploy/agent` runs, with a volume for its data.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn n01_a_data_directory_that_cannot_be_written_is_named() {
    let world = world(1).await;
    let mut agent = world.agent("/proc/flotilla", &[]).unwrap();
    let ended = tokio::time::timeout(LIMIT, agent.wait()).await;
    assert!(!ended.unwrap().unwrap().success());
    let log = std::fs::read_to_string(world.root().join("flotilla-agent.log")).unwrap();
    assert!(log.contains("/proc/flotilla"), "{log}");
    assert_eq!(world.deleted(), Vec::<String>::new());
}

/// An edit of an object of the first commit is corrected.
async fn edit(world: &Installation, name: &str) {
    let path = format!("/api/v1/namespaces/default/configmaps/{name}");
    let patch = axum::http::Request::patch(&path)
        .header("content-type", "application/merge-patch+json")
        .body(axum::body::Body::from(r#"{"data":{"value":"edited"}}"#))
        .unwrap();
    assert!(world.cluster.handle(patch).await.status().is_success());
    eventually("drift is corrected", LIMIT, || async {
        let live = get(world, &path).await?;
        (live["data"]["value"] == "one").then_some(())
    })
    .await
    .unwrap();
}

/// A narrower policy takes effect without a restart, and an invalid file changes nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_that_is_edited_counts_from_then_on() {
    let world = world(1).await;
    let _hub = world.hub().unwrap();
    let mut operator = world.operator().await.unwrap();
    world.invite(&mut operator).await.unwrap();
    let policy = |text: &str| std::fs::write(world.root().join("policy.yaml"), text).unwrap();
    policy("branches: [dev]\n");
    let mut agent = world.agent("agent", &["--policy", "policy.yaml"]).unwrap();
    let commit = world.repository.head("dev").unwrap();
    synced(&operator, &commit, 1).await;
    policy("branches: [prod]\n");
    eventually("the branch is refused", LIMIT, || {
        let mut operator = operator.clone();
        async move {
            let status = operator.cluster("c1").await?;
            let report = application(&status, "app")?;
            (report.reason == "BranchNotAllowed").then_some(())
        }
    })
    .await
    .unwrap();
    policy("branchs: [dev]\n");
    let log = world.root().join("flotilla-agent.log");
    eventually("the mistake is told", LIMIT, || async {
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        text.contains("did you mean `branches`").then_some(())
    })
    .await
    .unwrap();
    policy("branches: [dev]\n");
    synced(&operator, &commit, 1).await;
    assert!(
        agent.try_wait().unwrap().is_none(),
        "it is the same process"
    );
    assert_eq!(world.deleted(), Vec::<String>::new());
    agent.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p07_a_hub_that_forgot_the_fleet_takes_nothing_away() {
    let world = world(5).await;
    let mut hub = world.hub().unwrap();
    let mut operator = world.operator().await.unwrap();
    world.invite(&mut operator).await.unwrap();
    let mut agent = world.agent("agent", &[]).unwrap();
    let commit = world.repository.head("dev").unwrap();
    synced(&operator, &commit, 5).await;
    hub.kill().await.unwrap();
    // An empty database under the same authority: no cluster, no assignment.
    for file in ["hub.db", "hub.db-wal", "hub.db-shm"] {
        let path = world.root().join("hub").join(file);
        if path.exists() {
            std::fs::remove_file(path).unwrap();
        }
    }
    let mut hub = world.hub().unwrap();
    let log = world.root().join("flotilla-agent.log");
    eventually("the agent is told that it is not known", LIMIT, || async {
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        text.contains("lost its store").then_some(())
    })
    .await
    .unwrap_or_else(|error| {
        panic!(
            "{error}: {}",
            std::fs::read_to_string(&log).unwrap_or_default()
        )
    });
    // The agent keeps what runs, and continues to correct it.
    edit(&world, "map-0").await;
    assert_eq!(world.deleted(), Vec::<String>::new());
    agent.kill().await.unwrap();
    hub.kill().await.unwrap();
}

//! The API server fails, hangs, compacts its history, or is restored from a backup.

use std::time::{Duration, Instant};

use flotilla_agent::api::access::{CHECK_INTERVAL, client};
use flotilla_agent::cluster::{Cluster, Options};
use flotilla_apiserver::{ApiServer, Config, Fault, FaultKind, User};
use flotilla_shared::health::SyncState;
use flotilla_shared::reason::Reason;
use flotilla_tests::proxy::Proxy;
use flotilla_tests::{eventually, most_memory};
use serde_json::{Value, json};

use super::world::{World, config_map, reason};

const MERGE: &str = "application/merge-patch+json";

pub(super) fn fault(verb: &str, resource: &str, kind: FaultKind, times: usize) -> Fault {
    Fault {
        verb: verb.to_owned(),
        resource: resource.to_owned(),
        kind,
        times,
    }
}

/// The scenario's agent, behind a proxy.
async fn behind_a_proxy(world: &mut World<'_>) -> Proxy {
    let (proxy, kubeconfig) = world.server.proxied().await.unwrap();
    let client = client(Some(&kubeconfig), None, CHECK_INTERVAL)
        .await
        .unwrap();
    let options = Options {
        patience: Duration::from_secs(2),
        ..Options::default()
    };
    world.agent = Cluster::new(client, options);
    proxy
}

/// Edits an object, and waits until the agent's watch sees it; returns how long that took.
async fn heard_of(world: &mut World<'_>, value: &str) -> Duration {
    let mut changes = world.agent.changes(&mut world.memory);
    changes.borrow_and_update();
    let path = world.path("configmaps/a?fieldManager=somebody");
    let patch = json!({"data": {"value": value}});
    let (code, answer) = world.send_as("PATCH", &path, MERGE, &patch).await;
    assert_eq!(code, 200, "{answer}");
    let started = Instant::now();
    tokio::time::timeout(Duration::from_secs(60), changes.changed())
        .await
        .expect("the edit is seen")
        .unwrap();
    started.elapsed()
}

pub(crate) async fn a06_what_passes_is_tried_again_and_takes_effect_once(mut world: World<'_>) {
    let server = world.server.server().unwrap().clone();
    let kinds = [
        FaultKind::Status(500),
        FaultKind::Status(503),
        FaultKind::Status(504),
        FaultKind::AnswerLost,
        FaultKind::Cut,
        FaultKind::CutAfter,
    ];
    for (number, kind) in kinds.into_iter().enumerate() {
        for verb in ["patch", "get", "list"] {
            server.inject(fault(verb, "configmaps", kind.clone(), 1));
        }
        let yaml = config_map("a", &number.to_string()) + &config_map("b", &number.to_string());
        world.restart();
        let outcome = world.pass(&yaml).await;
        assert_eq!(outcome.sync, SyncState::Synced, "{kind:?}: {outcome:#?}");
        server.heal();
        for name in ["a", "b"] {
            let live = world.live(&format!("configmaps/{name}")).await.unwrap();
            assert_eq!(live["data"]["value"], number.to_string(), "{kind:?}");
        }
        let changed = server.audit();
        let changed = changed.iter().filter(|event| {
            event.changed && event.namespace == world.namespace && event.resource == "configmaps"
        });
        assert_eq!(
            changed.count(),
            2 * (number + 1),
            "one change each after {kind:?}"
        );
    }
    assert_eq!(world.deletes(), Vec::<String>::new());
}

pub(crate) async fn a06_a_server_that_asks_to_wait_is_waited_for(mut world: World<'_>) {
    let server = world.server.server().unwrap();
    server.inject(fault("patch", "configmaps", FaultKind::Throttle(2), 1));
    let started = Instant::now();
    world.synced(&config_map("a", "1")).await;
    assert!(started.elapsed() >= Duration::from_secs(2), "Retry-After");
    // A Retry-After longer than the pass may take is not waited for, and the request is not repeated.
    server.inject(fault("patch", "configmaps", FaultKind::Throttle(60), 9));
    let before = server.requests().get("patch").copied().unwrap_or(0);
    let outcome = world
        .pass(&(config_map("a", "2") + &config_map("b", "2")))
        .await;
    assert_ne!(outcome.sync, SyncState::Synced);
    let asked = server.requests().get("patch").copied().unwrap_or(0) - before;
    assert!(asked <= 3, "{asked} requests of a server that is full");
    server.heal();
    world
        .synced(&(config_map("a", "2") + &config_map("b", "2")))
        .await;
}

pub(crate) async fn a11_what_the_server_finds_too_large_stops_one_object_only(
    mut world: World<'_>,
) {
    let server = world.server.server().unwrap().clone();
    let secret = "---\napiVersion: v1\nkind: Secret\nmetadata: {name: s}\n";
    let yaml = config_map("a", "1") + secret + &config_map("b", "1");
    server.inject(fault("patch", "secrets", FaultKind::Status(413), 1));
    let outcome = world.pass(&yaml).await;
    assert_eq!(outcome.sync, SyncState::OutOfSync);
    assert_eq!(reason(&outcome, "s"), Some(Reason::ObjectTooLarge));
    assert_eq!(outcome.written, 2, "the others go on");
    world.synced(&yaml).await;
}

pub(crate) async fn a18_watches_that_were_cut_or_fell_silent_are_noticed(mut world: World<'_>) {
    let proxy = behind_a_proxy(&mut world).await;
    let yaml = config_map("a", "git");
    world.synced(&yaml).await;
    let quick = heard_of(&mut world, "first").await;
    world.synced(&yaml).await;
    proxy.cut_once();
    let cut = heard_of(&mut world, "second").await;
    world.synced(&yaml).await;
    proxy.bury();
    let silent = heard_of(&mut world, "third").await;
    world.synced(&yaml).await;
    eprintln!("an edit is heard of after {quick:?}, cut {cut:?}, silent {silent:?}");
    assert!(quick < Duration::from_secs(5));
    assert!(cut < Duration::from_secs(15));
    // The interval (2 s here) plus 30 seconds.
    assert!(silent < Duration::from_secs(32));
    assert_eq!(world.deletes(), Vec::<String>::new());
}

pub(crate) async fn a18_a_watch_from_a_forgotten_version_looks_at_the_whole(mut world: World<'_>) {
    let proxy = behind_a_proxy(&mut world).await;
    let yaml = config_map("a", "git") + &config_map("b", "git");
    world.synced(&yaml).await;
    let mut changes = world.agent.changes(&mut world.memory);
    changes.borrow_and_update();
    proxy.set(flotilla_tests::proxy::Traffic::Cut);
    // While no watch is running, one object is edited, one is deleted, and the history of both is compacted.
    let path = world.path("configmaps/a?fieldManager=somebody");
    let patch = json!({"data": {"value": "edited"}});
    assert_eq!(world.send_as("PATCH", &path, MERGE, &patch).await.0, 200);
    let path = world.path("configmaps/b");
    assert_eq!(world.send("DELETE", &path, &Value::Null).await.0, 200);
    world.server.server().unwrap().compact();
    proxy.set(flotilla_tests::proxy::Traffic::Fair);
    tokio::time::timeout(Duration::from_secs(30), changes.changed())
        .await
        .expect("what happened meanwhile is seen")
        .unwrap();
    world.writes();
    world.synced(&yaml).await;
    let mut writes = world.writes();
    writes.sort();
    assert_eq!(writes, ["patch configmaps/a", "patch configmaps/b"]);
}

pub(crate) async fn a19_a_restored_etcd_is_compared_anew_and_nothing_is_deleted(
    mut world: World<'_>,
) {
    let server = world.server.server().unwrap().clone();
    let first = config_map("a", "1") + &config_map("b", "1");
    world.synced(&first).await;
    let backup = server.backup();
    let second = config_map("a", "2") + &config_map("b", "1") + &config_map("c", "2");
    world.synced(&second).await;
    world.writes();
    let mut changes = world.agent.changes(&mut world.memory);
    changes.borrow_and_update();
    server.restore(&backup);
    assert_eq!(
        world.live("configmaps/a").await.unwrap()["data"]["value"],
        "1"
    );
    tokio::time::timeout(Duration::from_secs(30), changes.changed())
        .await
        .expect("going back in time is seen")
        .unwrap();
    // The watches may recover one after the other.
    let mut writes = Vec::new();
    for _ in 0..20 {
        world.pass(&second).await;
        writes.extend(world.writes());
        if world.live("configmaps/c").await.is_some() && writes.len() >= 2 {
            break;
        }
        tokio::time::timeout(Duration::from_secs(5), changes.changed())
            .await
            .ok();
    }
    writes.sort();
    assert_eq!(writes, ["patch configmaps/a", "patch configmaps/c"]);
    assert_eq!(
        world.live("configmaps/a").await.unwrap()["data"]["value"],
        "2"
    );
    // The restore reverted the inventory as well, which is then written again: what leaves Git is still pruned.
    world.restart();
    world.synced(&first.replace("'1'", "'2'")).await;
    assert_eq!(world.deletes(), ["delete configmaps/c"]);
}

pub(crate) async fn a20_rotated_roots_of_the_api_server_are_taken_up_without_a_restart(
    mut world: World<'_>,
) {
    // This scenario has its own server, which returns at the same address with a new authority.
    let server = ApiServer::new(Config::default());
    let serving = server.serve_tls("127.0.0.1:0").await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("kubeconfig");
    std::fs::write(&path, serving.kubeconfig()).unwrap();
    let check = Duration::from_millis(50);
    let client = client(Some(&path), None, check).await.unwrap();
    let agent = Cluster::new(client.clone(), Options::default());
    let before = agent.facts().await.unwrap();
    let address = serving.address.to_string();
    drop(serving);
    let serving = eventually("the address is free", Duration::from_secs(10), || async {
        server.serve_tls(&address).await.ok()
    })
    .await
    .unwrap();
    std::fs::write(&path, serving.kubeconfig()).unwrap();
    let after = eventually("the new roots are trusted", Duration::from_secs(30), || {
        let client = client.clone();
        async move {
            let agent = Cluster::new(client, Options::default());
            agent.facts().await.ok()
        }
    })
    .await
    .unwrap();
    assert_eq!(before.uid, after.uid);
    assert!(world.writes().is_empty());
}

pub(crate) async fn a20_a_rotated_token_is_taken_up_without_a_restart(mut world: World<'_>) {
    let server = world.server.server().unwrap().clone();
    let only = |token: &str| [(token.to_owned(), User::admin())].into();
    server.set_tokens(only("first"));
    let serving = server.serve_tls("127.0.0.1:0").await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let (path, file) = (
        directory.path().join("kubeconfig"),
        directory.path().join("token"),
    );
    let text = serving.kubeconfig_with_token("in-a-file");
    let text = text.replace("token: in-a-file", "tokenFile: token");
    assert!(text.contains("tokenFile: token"), "{text}");
    std::fs::write(&path, text).unwrap();
    std::fs::write(&file, "first").unwrap();
    let check = Duration::from_millis(50);
    world.agent_over(client(Some(&path), None, check).await.unwrap());
    world.synced(&config_map("a", "1")).await;
    world.writes();
    // The old token is refused before the new one exists.
    server.set_tokens(only("second"));
    let outcome = world.pass(&config_map("a", "2")).await;
    assert_eq!(outcome.reason, Some(Reason::Unauthorized), "{outcome:#?}");
    assert_eq!(world.writes(), Vec::<String>::new());
    std::fs::write(&file, "second").unwrap();
    world.healed(&config_map("a", "2")).await;
    assert_eq!(world.writes(), ["patch configmaps/a"]);
}

/// From each request of a pass on the API server is unreachable, as if it had been killed there: the pass is continued
/// later, in order, and nothing is deleted.
pub(crate) async fn a07_a_server_that_dies_at_any_request_of_a_pass_is_gone_on_with(
    mut world: World<'_>,
) {
    let server = world.server.server().unwrap();
    let (maps, step) = flotilla_needs::size((20, 5), (99, 1));
    let yaml = |value: &str| {
        let maps = (0..maps).map(|number| config_map(&format!("a{number}"), value));
        let web = super::world::deployment("web", &format!("revisionHistoryLimit: {value}"));
        maps.collect::<String>() + &web
    };
    world.synced(&yaml("1")).await;
    let (mut died, mut cut) = (0, 0);
    loop {
        let yaml = yaml(&(cut + 2).to_string());
        world.restart();
        world.writes();
        server.inject(fault("", "", FaultKind::Pass, cut));
        server.inject(fault("", "", FaultKind::Cut, usize::MAX));
        let outcome = world.try_pass(&yaml).await;
        server.heal();
        let through = outcome.is_some_and(|outcome| outcome.sync == SyncState::Synced);
        world.synced(&yaml).await;
        let writes = world.writes();
        let of = |name: &str| writes.iter().filter(|write| write.ends_with(name)).count();
        assert_eq!(of("/web"), 1, "{writes:?}");
        assert_eq!(of("/a0"), 1, "{writes:?}");
        // Requests whose answers were lost are sent once more: they were in flight together.
        let all: std::collections::BTreeSet<_> = writes.iter().collect();
        assert_eq!(all.len(), maps + 1, "{writes:?}");
        let again = writes.len() - all.len();
        assert!(
            again < Options::default().concurrency,
            "{again} of {writes:?}"
        );
        assert!(writes.last().unwrap().ends_with("/web"), "{writes:?}");
        if through {
            break;
        }
        died += 1;
        cut += step;
    }
    // Discovery, lists, inventory and each of the writes.
    assert!(died * step > maps, "{died}");
}

pub(crate) async fn a21_a_slow_server_whose_pages_expire_is_read_to_the_end(mut world: World<'_>) {
    let server = world.server.server().unwrap();
    let (objects, slow, pages) = flotilla_needs::size(
        (600, Duration::from_secs(1), 2),
        (10_000, Duration::from_secs(5), 40),
    );
    let yaml: String = (0..objects)
        .map(|number| config_map(&format!("a{number}"), "1"))
        .collect();
    world.synced(&yaml).await;
    world.writes();
    world.restart();
    server.inject(fault(
        "list",
        "configmaps",
        FaultKind::Hang(slow),
        pages / 2,
    ));
    server.inject(fault("list", "configmaps", FaultKind::Status(410), 1));
    server.inject(fault(
        "list",
        "configmaps",
        FaultKind::Hang(slow),
        pages / 2,
    ));
    let outcome = world.synced(&yaml).await;
    assert_eq!(outcome.objects.len(), objects);
    assert_eq!(world.writes(), Vec::<String>::new());
    // API server, agent and all else in this process; `tests/tests/restart.rs` measures an agent alone.
    let peak = most_memory(std::process::id()).unwrap();
    assert!(peak < 700_000, "{peak} KiB at the peak");
}

pub(crate) async fn p20_objects_outlive_the_agents_namespace(mut world: World<'_>) {
    let yaml = config_map("a", "1") + &super::world::deployment("web", "replicas: 1");
    world.synced(&yaml).await;
    let path = "/api/v1/namespaces/flotilla-system";
    let (code, answer) = world.send("DELETE", path, &Value::Null).await;
    assert_eq!(code, 200, "{answer}");
    eventually("the namespace is gone", Duration::from_secs(20), || async {
        (world.send("GET", path, &Value::Null).await.0 == 404).then_some(())
    })
    .await
    .unwrap();
    let live = world.live("apps/v1:deployments/web").await.unwrap();
    assert!(live.pointer("/metadata/deletionTimestamp").is_none());
    // Installed again, the agent recognises its objects by their marks, and deletes nothing of what left meanwhile.
    let body =
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "flotilla-system"}});
    assert_eq!(world.send("POST", "/api/v1/namespaces", &body).await.0, 201);
    world.writes();
    world.restart();
    world.synced(&config_map("a", "1")).await;
    assert_eq!(world.deletes(), Vec::<String>::new());
    assert!(world.live("apps/v1:deployments/web").await.is_some());
}

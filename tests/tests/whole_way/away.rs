//! Hub, Git or API server are unavailable or fail.

use crate::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p06_p09_git_and_hub_away_delete_nothing_and_drift_is_still_corrected() {
    let mut world = World::new(WEB).await;
    let first = world.head();
    world.current("web", &first).await;
    world.git.set_down(true);
    world.hub.stop().await.unwrap();

    let path = "/api/v1/namespaces/web/configmaps/config";
    world.delete(path).await;
    eventually("drift is corrected without hub and Git", LIMIT, || {
        world.live(path)
    })
    .await
    .unwrap();

    let commit = world.commit(
        "apps/web/config.yaml",
        &config_map("config", "two"),
        "while away",
    );
    world.git.set_down(false);
    world.start_hub_again().await;
    world.current("web", &commit).await;
    assert_eq!(
        world.deletes(),
        ["configmaps/config"],
        "only the test's own"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a16_a_restarted_agent_and_a_failing_api_server_converge() {
    let mut world = World::embedded(WEB).await;
    world.current("web", &world.head()).await;
    world.stop_agent().await;
    let commit = world.commit(
        "apps/web/config.yaml",
        &config_map("config", "two"),
        "second",
    );
    for kind in [
        FaultKind::Status(500),
        FaultKind::Throttle(1),
        FaultKind::AnswerLost,
    ] {
        let fault = Fault {
            verb: "patch".to_owned(),
            resource: "configmaps".to_owned(),
            kind,
            times: 1,
        };
        world.server().inject(fault);
    }
    world.start_agent().await;
    world.current("web", &commit).await;
    assert_eq!(world.deletes(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_narrower_policy_refuses_is_named_and_neither_written_nor_deleted() {
    let mut world = World::embedded(WEB).await;
    let first = world.head();
    world.current("web", &first).await;
    world.stop_agent().await;
    std::fs::write(world.path("policy.yaml"), "paths: [apps/other]\n").unwrap();
    let path = "/api/v1/namespaces/web/configmaps/config";
    let nothing = serde_json::Value::Null;
    send(&world.cluster, "DELETE", path, "application/json", nothing).await;
    let before = world.writes();
    world.start_agent().await;
    let report = world.refused("web", "PathNotAllowed").await;
    assert_eq!(report.sync(), v1::Sync::Refused);
    assert_eq!(report.health(), v1::Health::Unknown, "{report:?}");
    assert_eq!(report.revision.unwrap().commit, first, "what it applied");
    world
        .report("web", "it is still refused after some time", |report| {
            report.reason == "PathNotAllowed"
        })
        .await;
    assert_eq!(world.writes(), before);
    world.stop_agent().await;
    std::fs::remove_file(world.path("policy.yaml")).unwrap();
    world.start_agent().await;
    world.current("web", &first).await;
    assert!(world.live(path).await.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a07_an_api_server_that_goes_away_in_mid_flight_is_waited_for() {
    let mut world = World::embedded(WEB).await;
    world.stop_agent().await;
    let serving = world.server().serve("127.0.0.1:0").await.unwrap();
    let address = serving.address.to_string();
    std::fs::write(world.path("kubeconfig"), serving.kubeconfig()).unwrap();
    world.serving = Some(serving);
    world.start_agent().await;
    world.current("web", &world.head()).await;
    world.serving = None;
    let commit = world.commit(
        "apps/web/config.yaml",
        &config_map("config", "two"),
        "while away",
    );
    world.refused("web", "ClusterUnavailable").await;
    world.serving = Some(world.server().serve(&address).await.unwrap());
    world.current("web", &commit).await;
    assert_eq!(world.deletes(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p14_failing_lists_delete_nothing() {
    let mut world = World::embedded(WEB).await;
    world.current("web", &world.head()).await;
    // A running agent has watches and need not list, but a restarted one does.
    world.stop_agent().await;
    let fault = Fault {
        verb: "list".to_owned(),
        resource: "deployments".to_owned(),
        kind: FaultKind::Status(500),
        times: 1000,
    };
    world.server().inject(fault);
    std::fs::remove_file(world.path("work/fleet/apps/web/config.yaml")).unwrap();
    let commit = world
        .repository
        .push("one object leaves", &["dev"])
        .unwrap();
    world.start_agent().await;
    world.refused("web", "PartialDiscovery").await;
    assert_eq!(world.deletes(), Vec::<String>::new());
    world.server().heal();
    world.current("web", &commit).await;
    eventually("it is pruned then", LIMIT, || async {
        (world.deletes() == ["configmaps/config"]).then_some(())
    })
    .await
    .unwrap();
}

/// The last byte of an assignment does not arrive, and then that of the agent's answer: TLS, HTTP/2 and gRPC are all
/// in the middle of a message when the connection ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h09_a_message_that_is_cut_in_its_middle_is_said_again_on_a_new_stream() {
    let mut world = World::embedded(WEB).await;
    world.current("web", &world.head()).await;
    world.stop_agent().await;
    let proxy = Proxy::start(world.hub.address).await.unwrap();
    world.start_agent_by(&proxy.address.to_string()).await;
    let path = "/api/v1/namespaces/web/configmaps/config";
    for (value, trap) in [
        ("two", Trap::Told(150)),
        ("three", Trap::Said(150)),
        ("four", Trap::Told(150)),
    ] {
        let is_online =
            |cluster: &v1::ClusterStatus| cluster.connection() == v1::Connection::Online;
        let since = world
            .of_cluster("it is online", |cluster| {
                is_online(cluster).then_some(cluster.connected_since)
            })
            .await;
        proxy.set_trap(trap);
        let manifest = config_map("config", value);
        let commit = world.commit("apps/web/config.yaml", &manifest, value);
        world.current("web", &commit).await;
        assert!(proxy.is_sprung(), "{value}: nothing was cut");
        world
            .of_cluster("it is online by another stream", |cluster| {
                (is_online(cluster) && cluster.connected_since != since).then_some(())
            })
            .await;
        let live = world.live(path).await.unwrap();
        assert_eq!(live["data"]["value"], value);
    }
    assert_eq!(world.deletes(), Vec::<String>::new());
}

//! Changes by others in the cluster.

use crate::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn drift_is_corrected() {
    let world = World::new(WEB).await;
    world.current("web", &world.head()).await;
    let path = "/api/v1/namespaces/web/configmaps/config";
    // An edit of an applied field is drift, even if the server now names another field manager.
    let edited = std::time::Instant::now();
    undone(&world, "after an edit by hand").await;
    eprintln!("drift corrected after {:?}", edited.elapsed());
    let code = world.delete(path).await;
    assert_eq!(code, 200);
    eventually("it is made again", LIMIT, || async {
        let live = world.live(path).await?;
        (live.pointer("/data/value")? == "one").then_some(())
    })
    .await
    .unwrap();
}

/// A commit that a pass refuses as a whole is like one that cannot be rendered: drift of the previous revision is
/// still corrected, also by a restarted agent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn drift_is_corrected_while_a_commit_is_refused_as_a_whole() {
    let mut world = World::new(WEB).await;
    let good = world.head();
    world.current("web", &good).await;
    let twice =
        config_map("config", "two").replace("name: config", "name: config\n  namespace: web");
    world.write("apps/web/twice.yaml", &twice);
    world.repository.push("an object twice", &["dev"]).unwrap();
    let report = world.refused("web", "DuplicateObject").await;
    assert_eq!(report.revision.unwrap().commit, good);
    undone(&world, "for a set with an object twice").await;

    let (web, elsewhere) = ("work/fleet/apps/web", "work/fleet/apps/elsewhere");
    std::fs::rename(world.path(web), world.path(elsewhere)).unwrap();
    world.write("apps/web/config.yaml", "# nothing\n");
    world.repository.push("empty", &["dev"]).unwrap();
    world.refused("web", "EmptyRender").await;
    undone(&world, "for an empty set").await;
    world.stop_agent().await;
    world.start_agent().await;
    undone(&world, "by an agent that begins with an empty set").await;
    let report = world.refused("web", "EmptyRender").await;
    assert_eq!(report.revision.unwrap().commit, good);

    std::fs::remove_dir_all(world.path(web)).unwrap();
    std::fs::rename(world.path(elsewhere), world.path(web)).unwrap();
    std::fs::remove_file(world.path("work/fleet/apps/web/twice.yaml")).unwrap();
    let mended = world.repository.push("mended", &["dev"]).unwrap();
    world.current("web", &mended).await;
    assert_eq!(world.deletes(), Vec::<String>::new());
}

/// Edits a field like kubectl, and waits until it is as in Git.
async fn undone(world: &World, what: &str) {
    let path = "/api/v1/namespaces/web/configmaps/config";
    let edit = serde_json::json!({"data": {"value": "edited"}});
    let kind = "application/merge-patch+json";
    let as_kubectl = format!("{path}?fieldManager=kubectl");
    let code = send(&world.cluster, "PATCH", &as_kubectl, kind, edit).await;
    assert_eq!(code, 200);
    let undone = eventually("the edit is undone", LIMIT, || async {
        let live = world.live(path).await?;
        (live.pointer("/data/value")? == "one").then_some(())
    });
    undone
        .await
        .unwrap_or_else(|error| panic!("{what}: {error}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_field_of_another_manager_is_a_conflict_with_its_name_until_it_is_taken_over() {
    let world = World::new(WEB).await;
    world.current("web", &world.head()).await;
    let path = "/api/v1/namespaces/web/configmaps/shared";
    let object = serde_json::json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "shared"},
        "data": {"value": "theirs"},
    });
    let apply = "application/apply-patch+yaml";
    let theirs = format!("{path}?fieldManager=other-controller");
    assert_eq!(
        send(&world.cluster, "PATCH", &theirs, apply, object).await,
        201
    );
    let file = "apps/web/shared.yaml";
    world.write(file, &config_map("shared", "ours"));
    world.repository.push("shared", &["dev"]).unwrap();
    let report = world.refused("web", "Conflict").await;
    assert!(
        report.message.contains("other-controller"),
        "{}",
        report.message
    );
    assert_eq!(report.counts.unwrap().total, 4, "the others go on");
    let forced = config_map("shared", "ours").replace(
        "  name: shared",
        "  name: shared\n  annotations: {flotilla.dev/force-conflicts: 'true'}",
    );
    let commit = world.commit(file, &forced, "taken over");
    world.current("web", &commit).await;
    let live = world.live(path).await.unwrap();
    assert_eq!(live.pointer("/data/value").unwrap(), "ours");
}

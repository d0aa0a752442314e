//! What a good commit applies, and a bad one does not.

use crate::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pushed_commit_is_applied_pruned_and_seen() {
    let world = World::new(WEB).await;
    let report = world.current("web", &world.head()).await;
    assert_eq!(report.counts.unwrap().total, 3);
    let config = world
        .live("/api/v1/namespaces/web/configmaps/config")
        .await
        .unwrap();
    assert_eq!(config.pointer("/data/value").unwrap(), "one");

    world.write("apps/web/config.yaml", &config_map("renamed", "two"));
    let pushed = std::time::Instant::now();
    let commit = world.repository.push("second", &["dev"]).unwrap();
    world.current("web", &commit).await;
    eprintln!("push to applied and reported: {:?}", pushed.elapsed());
    assert_eq!(world.deletes(), ["configmaps/config"]);
    assert!(
        world
            .live("/api/v1/namespaces/web/configmaps/renamed")
            .await
            .is_some()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_turn_writes_nothing() {
    let world = World::new(WEB).await;
    world.current("web", &world.head()).await;
    let writes = world.writes().len();
    let count = |verb: &str| {
        let requests = world.cluster.server().map(ApiServer::requests);
        requests.and_then(|all| all.get(verb).copied()).unwrap_or(0)
    };
    let (gets, lists) = (count("get"), count("list"));
    let passes = world.more_passes("web", 2).await;
    let audit = world.writes();
    assert_eq!(audit.len(), writes, "{:#?}", audit.get(writes..));
    // A pass reads the agent's namespace and inventory, and an election its lease. No pass reads a managed object, and
    // the watches make lists unnecessary.
    let asked = count("get") - gets;
    assert!(asked <= 4 * passes as u64, "{asked} in {passes} passes");
    assert_eq!(count("list"), lists);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p01_p02_p04_bad_commits_delete_nothing_and_hold_up_nobody() {
    let world = World::new(BOTH).await;
    let first = world.head();
    world.current("web", &first).await;
    world.current("other", &first).await;

    std::fs::rename(
        world.path("work/fleet/apps/web"),
        world.path("work/fleet/apps/elsewhere"),
    )
    .unwrap();
    let commit = world.repository.push("path gone", &["dev"]).unwrap();
    world.refused("web", "PathNotFound").await;
    world.current("other", &commit).await;

    world.write("apps/web/config.yaml", "# nothing\n");
    world.repository.push("empty", &["dev"]).unwrap();
    world.refused("web", "EmptyRender").await;

    let commit = world.commit("apps/web/config.yaml", "a: [\n", "malformed");
    let report = world.refused("web", "MalformedYaml").await;
    assert!(
        report.message.starts_with("apps/web/config.yaml:"),
        "{}",
        report.message
    );
    world.current("other", &commit).await;

    let big = "# ".to_owned() + &"x".repeat(10 << 20);
    world.write("apps/web/config.yaml", &big);
    world.repository.push("large", &["dev"]).unwrap();
    world.refused("web", "FileTooLarge").await;

    world.write(
        "apps/web/config.yaml",
        "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
    );
    world.repository.push("lfs", &["dev"]).unwrap();
    world.refused("web", "LfsPointer").await;

    std::fs::remove_file(world.path("work/fleet/apps/web/config.yaml")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", world.path("work/fleet/apps/web/config.yaml"))
        .unwrap();
    world.repository.push("link", &["dev"]).unwrap();
    world.refused("web", "SymlinkRefused").await;
    assert_eq!(world.deletes(), Vec::<String>::new());

    std::fs::remove_dir_all(world.path("work/fleet/apps/web")).unwrap();
    std::fs::rename(
        world.path("work/fleet/apps/elsewhere"),
        world.path("work/fleet/apps/web"),
    )
    .unwrap();
    let commit = world.repository.push("mended", &["dev"]).unwrap();
    world.current("web", &commit).await;
    assert_eq!(world.deletes(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a13_unknown_kinds_and_duplicates_are_named_and_the_rest_goes_on() {
    let world = World::new(BOTH).await;
    world.current("web", &world.head()).await;
    let widget = "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: w}\n";
    world.write("apps/web/widget.yaml", widget);
    world.write("apps/web/more.yaml", &config_map("more", "1"));
    world.repository.push("widget", &["dev"]).unwrap();
    let report = world.refused("web", "UnknownKind").await;
    assert!(
        report.message.contains("Widget.example.com"),
        "{}",
        report.message
    );
    eventually("the rest is applied", LIMIT, || async {
        world.live("/api/v1/namespaces/web/configmaps/more").await
    })
    .await
    .unwrap();
    let commit = world.commit(
        "apps/web/widget.yaml",
        &config_map("more", "2"),
        "duplicate",
    );
    world.refused("web", "DuplicateObject").await;
    world.current("other", &commit).await;
    assert_eq!(world.deletes(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a09_a_definition_and_its_objects_in_one_commit_converge_in_one_turn() {
    let world = World::new(WEB).await;
    world.current("web", &world.head()).await;
    let definition = "apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {kind: Widget, plural: widgets}
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]
---
apiVersion: example.com/v1
kind: Widget
metadata: {name: w}
spec: {size: 1}
";
    let commit = world.commit("apps/web/widget.yaml", definition, "definition");
    world.current("web", &commit).await;
    assert!(
        world
            .live("/apis/example.com/v1/namespaces/web/widgets/w")
            .await
            .is_some()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a13_a_definition_with_another_scope_is_followed_while_the_newest_commit_is_refused() {
    let world = World::new(WEB).await;
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let define = async |scope: &str| {
        let schema = serde_json::json!({"openAPIV3Schema": {"type": "object",
            "x-kubernetes-preserve-unknown-fields": true}});
        let names = serde_json::json!({"kind": "Widget", "plural": "widgets",
            "singular": "widget", "listKind": "WidgetList"});
        let body = serde_json::json!({"apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition", "metadata": {"name": "widgets.example.com"},
            "spec": {"group": "example.com", "scope": scope, "names": names,
                "versions": [{"name": "v1", "served": true, "storage": true, "schema": schema}]}});
        let kind = "application/json";
        send(&world.cluster, "POST", definitions, kind, body).await
    };
    assert_eq!(define("Namespaced").await, 201);
    let widget = "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: w}\n";
    let commit = world.commit("apps/web/widget.yaml", widget, "widget");
    world.current("web", &commit).await;
    world.commit("apps/web/config.yaml", "a: [\n", "malformed");
    world.refused("web", "MalformedYaml").await;
    let definition = format!("{definitions}/widgets.example.com");
    assert_eq!(world.delete(&definition).await, 200);
    world
        .report("web", "the kind is unknown", |report| {
            let mut problems = report.objects.iter();
            problems.any(|object| object.reason == "UnknownKind")
        })
        .await;
    eventually("the definition is there again", LIMIT, || async {
        (define("Cluster").await == 201).then_some(())
    })
    .await
    .unwrap();
    eventually("the widget without a namespace", LIMIT, || async {
        world.live("/apis/example.com/v1/widgets/w").await
    })
    .await
    .unwrap();
    world.refused("web", "MalformedYaml").await;
    assert_eq!(
        world.deletes(),
        ["customresourcedefinitions/widgets.example.com"]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p03_an_object_that_moves_between_applications_is_handed_over() {
    let world = World::new(BOTH).await;
    let first = world.head();
    world.current("web", &first).await;
    world.current("other", &first).await;
    let path = "/api/v1/namespaces/default/configmaps/other";
    let before = world.live(path).await.unwrap();
    std::fs::remove_file(world.path("work/fleet/apps/other/config.yaml")).unwrap();
    world.write("apps/other/filler.yaml", &config_map("filler", "1"));
    let moved =
        config_map("other", "one").replace("name: other", "name: other\n  namespace: default");
    let commit = world.commit("apps/web/moved.yaml", &moved, "moved");
    world.current("web", &commit).await;
    world.current("other", &commit).await;
    let after = world.live(path).await.unwrap();
    assert_eq!(
        before.pointer("/metadata/uid"),
        after.pointer("/metadata/uid")
    );
    assert_eq!(
        after
            .pointer("/metadata/annotations/flotilla.dev~1application")
            .unwrap(),
        "web"
    );
    assert_eq!(world.deletes(), Vec::<String>::new());
}

/// A real repository that was not written for Flotilla (`tests/conformance`).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_repository_goes_through_unchanged_and_once() {
    let source = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("conformance/repos/microservices-demo/release/kubernetes-manifests.yaml");
    let manifests = std::fs::read_to_string(&source).unwrap();
    let world =
        World::new("- {name: shop, repository: fleet, path: apps/shop, namespace: web}\n").await;
    world.write("apps/shop/all.yaml", &manifests);
    let commit = world.commit(
        "apps/shop/namespace.yaml",
        "apiVersion: v1\nkind: Namespace\nmetadata: {name: web}\n",
        "shop",
    );
    let report = world.current("shop", &commit).await;
    let total = report.counts.unwrap().total as usize;
    assert!(total > 30, "{total}");
    let applied = world.writes();
    let writes = applied.iter().filter(|event| event.verb == "patch").count();
    assert_eq!(writes, total, "each object is applied once");
    let before = world.writes().len();
    world.more_passes("shop", 2).await;
    assert_eq!(world.writes().len(), before, "and never again");
    assert_eq!(world.deletes(), Vec::<String>::new());
}

//! Deliberate removals, from the fleet file to the API server: applications are removed, released, handed over or
//! suspended, and nothing else is deleted.

use crate::*;

const OTHER: &str = "- {name: other, repository: fleet, path: apps/other}\n";
const SHOP: &str = "- {name: shop, repository: fleet, path: apps/web, namespace: web}\n";
const CONFIG: &str = "/api/v1/namespaces/web/configmaps/config";
const NOTHING: &[String] = &[];

impl World {
    /// Writes the fleet file; `more` follows the applications.
    fn declare(&self, applications: &str, more: &str) {
        let path = self.path("fleet.yaml");
        let text = std::fs::read_to_string(&path).unwrap();
        let head = text.split("applications:").next().unwrap();
        let text = format!("{head}applications:\n{applications}{more}");
        let part = self.path("fleet.yaml.part");
        std::fs::write(&part, text).unwrap();
        std::fs::rename(part, path).unwrap();
    }

    /// Waits until the cluster is as expected.
    async fn cluster_is(&self, what: &str, is_expected: impl Fn(&v1::ClusterStatus) -> bool) {
        self.of_cluster(what, |cluster| is_expected(cluster).then_some(()))
            .await;
    }

    /// Waits until nothing of an application is left to report, and the cluster is in sync.
    async fn gone(&self, name: &str) {
        self.cluster_is(&format!("{name} is gone"), |cluster| {
            application(cluster, name).is_none()
                && cluster.sync() == v1::Sync::Synced
                && cluster.assigned == cluster.accepted
        })
        .await;
    }

    async fn uid(&self, path: &str) -> String {
        let live = self.live(path).await.unwrap();
        let uid = live.pointer("/metadata/uid").unwrap();
        uid.as_str().unwrap().to_owned()
    }

    async fn annotate(&self, path: &str, key: &str, value: &str) {
        let body = serde_json::json!({"metadata": {"annotations": {key: value}}});
        let kind = "application/merge-patch+json";
        assert_eq!(send(&self.cluster, "PATCH", path, kind, body).await, 200);
    }

    /// Stands in for the namespace controller, which a real API server alone does not have.
    async fn end_namespace(&self, name: &str) {
        let path = format!("/api/v1/namespaces/{name}");
        let going = self.live(&path).await;
        let is_going =
            going.is_some_and(|object| !object["metadata"]["deletionTimestamp"].is_null());
        if self.cluster.is_real() && is_going {
            let body = serde_json::json!({"apiVersion": "v1", "kind": "Namespace",
                "metadata": {"name": name}, "spec": {"finalizers": []}});
            let path = format!("{path}/finalize");
            send(&self.cluster, "PUT", &path, "application/json", body).await;
        }
    }

    async fn record(&self, name: &str) -> Option<serde_json::Value> {
        let records = "/api/v1/namespaces/flotilla-system/configmaps";
        self.live(&format!("{records}/flotilla-inventory-{name}-0"))
            .await
    }

    async fn steer(&self, request: v1::SteerRequest) -> Result<String, tonic::Status> {
        let answer = self.operator.clone().api.steer(request).await?;
        Ok(answer.into_inner().detail)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removal_deletes_exactly_what_was_applied_also_while_the_hub_is_away() {
    let mut world = World::new(BOTH).await;
    world.current("web", &world.head()).await;
    world.current("other", &world.head()).await;
    // An unmanaged object in the same namespace.
    let kind = "application/json";
    let theirs = serde_json::json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "theirs"}});
    let place = "/api/v1/namespaces/web/configmaps";
    assert_eq!(send(&world.cluster, "POST", place, kind, theirs).await, 201);
    // If the application merely vanishes from the file, everything stays, and the report names the command that
    // removes it.
    world.declare(OTHER, "");
    world
        .report("web", "web is orphaned", |report| {
            report.sync() == v1::Sync::Orphaned
                && report
                    .message
                    .contains("flotilla application remove web --env dev")
        })
        .await;
    assert_eq!(world.deletes(), NOTHING);
    // The agent plans the removal, which changes nothing.
    let request = v1::DiffRequest {
        cluster: "c1".to_owned(),
        application: "web".to_owned(),
        removal: true,
    };
    let plan = world.operator.clone().api.diff(request).await.unwrap();
    let plan = plan.into_inner().applications.remove(0);
    let deletes = |change: &&v1::ObjectChange| change.action() == v1::Action::Pruned;
    assert_eq!(plan.changes.iter().filter(deletes).count(), 2, "{plan:#?}");
    assert_eq!(world.deletes(), NOTHING);
    // With a deliberate removal, a protected object waits for a confirmation in the cluster, and the report says so.
    world.declare(OTHER, "removed: [{application: web}]\n");
    world
        .report("web", "the namespace is held", |report| {
            report
                .message
                .starts_with("it is being removed: Namespace web")
                && report.message.contains("flotilla.dev/prune=confirmed")
        })
        .await;
    world
        .cluster_is("nothing that is held counts as done", |cluster| {
            cluster.sync() != v1::Sync::Synced
        })
        .await;
    // The hub fails meanwhile; the agent no longer needs it.
    world.hub.stop().await.unwrap();
    world
        .annotate("/api/v1/namespaces/web", "flotilla.dev/prune", "confirmed")
        .await;
    eventually("the record is gone", LIMIT, || async {
        world.end_namespace("web").await;
        world.record("web").await.is_none().then_some(())
    })
    .await
    .unwrap();
    world.start_hub_again().await;
    world.gone("web").await;
    let mut deletes = world.deletes();
    deletes.sort();
    assert_eq!(
        deletes,
        ["configmaps/config", "deployments/web", "namespaces/web"]
    );
    world.current("other", &world.head()).await;
    // A repeated or outdated removal does nothing, and neither does a restarted agent.
    world.declare(
        OTHER,
        "removed: [{application: web, environments: [dev]}, {application: never}]\n",
    );
    world.stop_agent().await;
    world.start_agent().await;
    world.gone("web").await;
    world.gone("never").await;
    assert_eq!(world.deletes().len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_let_go_stays_and_is_taken_up_as_it_stands() {
    let world = World::new(BOTH).await;
    world.current("web", &world.head()).await;
    let uid = world.uid(CONFIG).await;
    world.declare(OTHER, "removed: [{application: web, keepObjects: true}]\n");
    world.gone("web").await;
    assert!(world.record("web").await.is_none());
    assert_eq!(world.deletes(), NOTHING);
    assert_eq!(world.uid(CONFIG).await, uid);
    // Drift is no longer corrected.
    let kind = "application/merge-patch+json";
    let body = serde_json::json!({"data": {"extra": "by hand"}});
    assert_eq!(send(&world.cluster, "PATCH", CONFIG, kind, body).await, 200);
    world.more_passes("other", 2).await;
    let live = world.live(CONFIG).await.unwrap();
    assert_eq!(live.pointer("/data/extra").unwrap(), "by hand");
    // Declared again, it adopts the same object.
    world.declare(BOTH, "");
    world.current("web", &world.head()).await;
    assert_eq!(world.uid(CONFIG).await, uid);
    assert_eq!(world.deletes(), NOTHING);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removal_that_is_taken_back_before_the_agent_saw_it_did_nothing() {
    let mut world = World::new(BOTH).await;
    world.current("web", &world.head()).await;
    world.stop_agent().await;
    world.declare(OTHER, "removed: [{application: web}]\n");
    world
        .report("web", "web is to be removed", |report| {
            report.message.starts_with("it is being removed")
        })
        .await;
    // Declared and removed at once is a contradiction, and the file is not put into force.
    world.declare(BOTH, "removed: [{application: web}]\n");
    eventually("the contradiction is told", LIMIT, || {
        let mut operator = world.operator.clone();
        async move {
            let hub = operator.api.get_hub(v1::GetHubRequest {}).await.ok()?;
            let error = hub.into_inner().fleet_error;
            error.contains("web is declared there, too").then_some(())
        }
    })
    .await
    .unwrap();
    world.declare(BOTH, "");
    world
        .cluster_is("web is assigned again", |cluster| {
            let mut all = cluster.applications.iter();
            all.any(|app| app.path == "apps/web" && app.assigned.is_some())
        })
        .await;
    world.start_agent().await;
    world.current("web", &world.head()).await;
    assert_eq!(world.deletes(), NOTHING);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_delete_budget_holds_a_removal_until_the_cluster_confirms_it() {
    let world = World::new(BOTH).await;
    for number in 0..12 {
        let name = format!("n{number}");
        let path = format!("apps/other/{name}.yaml");
        world.write(&path, &config_map(&name, "1"));
    }
    let commit = world.repository.push("many", &["dev"]).unwrap();
    world.current("other", &commit).await;
    world.declare(WEB, "removed: [{application: other}]\n");
    let confirm = "kubectl -n flotilla-system annotate configmap flotilla-inventory-other-0 \
                   flotilla.dev/remove=confirmed";
    world
        .report("other", "the budget holds", |report| {
            report.reason == "DeleteBudget" && report.message.contains(confirm)
        })
        .await;
    assert_eq!(world.deletes(), NOTHING);
    let record = "/api/v1/namespaces/flotilla-system/configmaps/flotilla-inventory-other-0";
    world
        .annotate(record, "flotilla.dev/remove", "confirmed")
        .await;
    world.gone("other").await;
    assert_eq!(world.deletes().len(), 13, "{:?}", world.deletes());
    world.current("web", &commit).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_suspended_cluster_applies_nothing_until_it_is_resumed() {
    let mut world = World::new(WEB).await;
    world.current("web", &world.head()).await;
    let suspend = v1::SteerRequest {
        action: v1::SteerAction::Suspend.into(),
        cluster: "c1".to_owned(),
        ..v1::SteerRequest::default()
    };
    let error = world.steer(suspend.clone()).await.unwrap_err();
    assert!(error.message().contains("needs a reason"), "{error}");
    let reason = "the storage is moved".to_owned();
    world
        .steer(v1::SteerRequest { reason, ..suspend })
        .await
        .unwrap();
    let says = "suspended by admin: the storage is moved; to end it: flotilla resume c1";
    world
        .cluster_is("its agent knows", |cluster| cluster.suspended == says)
        .await;
    let writes = world.writes().len();
    let commit = world.commit(
        "apps/web/config.yaml",
        &config_map("config", "two"),
        "second",
    );
    // The report shows that the agent is connected, and the hub has read the branch.
    eventually("the hub knows the commit", LIMIT, || {
        let mut operator = world.operator.clone();
        let commit = commit.clone();
        async move {
            let request = v1::ListEnvironmentsRequest {};
            let all = operator.api.list_environments(request).await.ok()?;
            let environment = all.into_inner().environments.remove(0);
            let head = environment.branches.first()?.revision.clone()?;
            (head.commit == commit && environment.current == 0).then_some(())
        }
    })
    .await
    .unwrap();
    // Removals and corrections are suspended as well, and restarts of hub and agent do not change that.
    world.declare(OTHER, "removed: [{application: web}]\n");
    world.hub.stop().await.unwrap();
    world.stop_agent().await;
    world.start_hub_again().await;
    world.start_agent().await;
    world
        .cluster_is("still suspended", |cluster| {
            cluster.suspended == says && cluster.connection() == v1::Connection::Online
        })
        .await;
    world.more_passes("web", 2).await;
    assert_eq!(
        world.writes().len(),
        writes,
        "{:#?}",
        world.writes().get(writes..)
    );
    world.declare(WEB, "");
    let resume = v1::SteerRequest {
        action: v1::SteerAction::Resume.into(),
        cluster: "c1".to_owned(),
        ..v1::SteerRequest::default()
    };
    world.steer(resume).await.unwrap();
    world.current("web", &commit).await;
    world
        .cluster_is("nothing is suspended", |cluster| {
            cluster.suspended.is_empty()
        })
        .await;
    let live = world.live(CONFIG).await.unwrap();
    assert_eq!(live.pointer("/data/value").unwrap(), "two");
}

/// An application that is handed over keeps its objects: the same UIDs, and no deletes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p03_renaming_moving_and_another_environment_hand_objects_over() {
    let world = World::new(WEB).await;
    world.current("web", &world.head()).await;
    let paths = [
        CONFIG,
        "/apis/apps/v1/namespaces/web/deployments/web",
        "/api/v1/namespaces/web",
    ];
    let mut uids = Vec::new();
    for path in paths {
        uids.push(world.uid(path).await);
    }
    let same = async |world: &World, what: &str| {
        for (path, uid) in paths.iter().zip(&uids) {
            assert_eq!(world.uid(path).await, *uid, "{what}: {path}");
        }
        assert_eq!(world.deletes(), NOTHING, "{what}");
    };
    // Rename the application, and remove the old name in the same change.
    world.declare(SHOP, "removed: [{application: web}]\n");
    world.current("shop", &world.head()).await;
    world.gone("web").await;
    same(&world, "renamed").await;
    // Move it to another repository, under the same name.
    let second = Repository::create(world.directory.path(), "second").unwrap();
    for file in ["config", "namespace", "deployment"] {
        let from = world.path(&format!("work/fleet/apps/web/{file}.yaml"));
        let text = std::fs::read_to_string(from).unwrap();
        second.write(&format!("shop/{file}.yaml"), &text).unwrap();
    }
    let commit = second.push("moved", &["dev", "stage"]).unwrap();
    world.repository.push("stage", &["stage"]).unwrap();
    let fleet = world.path("fleet.yaml");
    let text = std::fs::read_to_string(&fleet).unwrap();
    let url = world.git.url("second.git");
    let text = text
        .replace(
            "environments:\n",
            &format!("- {{name: second, url: '{url}'}}\nenvironments:\n"),
        )
        .replace(
            "branch: dev}\n",
            "branch: dev}\n- {name: stage, branch: stage}\n",
        );
    std::fs::write(&fleet, text).unwrap();
    let moved = "- {name: shop, repository: second, path: shop, namespace: web}\n";
    world.declare(moved, "");
    world.current("shop", &commit).await;
    same(&world, "moved").await;
    // Move the cluster to another environment, which runs the application under another name.
    let both = "- {name: shop, repository: second, path: shop, namespace: web, placement: {environments: [dev]}}\n\
                - {name: store, repository: second, path: shop, namespace: web, placement: {environments: [stage]}}\n";
    world.declare(both, "clusters: [{name: c1, environment: stage}]\n");
    world.current("store", &commit).await;
    world.gone("shop").await;
    same(&world, "in another environment").await;
}

/// The application is renamed, and moves to a branch that does not exist yet: nothing is deleted until it does,
/// neither by the removal of the old name nor by the application that uses it now.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p03_what_moves_to_where_nothing_is_yet_is_handed_over_when_it_is() {
    let world = World::new(WEB).await;
    world.current("web", &world.head()).await;
    let (uid, deployment) = (
        world.uid(CONFIG).await,
        world
            .uid("/apis/apps/v1/namespaces/web/deployments/web")
            .await,
    );
    let second = Repository::create(world.directory.path(), "second").unwrap();
    for file in ["config", "namespace", "deployment"] {
        let from = world.path(&format!("work/fleet/apps/web/{file}.yaml"));
        let text = std::fs::read_to_string(from).unwrap();
        second.write(&format!("shop/{file}.yaml"), &text).unwrap();
    }
    second.push("elsewhere", &["stage"]).unwrap();
    let fleet = world.path("fleet.yaml");
    let text = std::fs::read_to_string(&fleet).unwrap();
    let url = world.git.url("second.git");
    let known = format!("- {{name: second, url: '{url}'}}\nenvironments:\n");
    std::fs::write(&fleet, text.replace("environments:\n", &known)).unwrap();
    let shop = "- {name: shop, repository: second, path: shop, namespace: web}\n";
    world.declare(shop, "removed: [{application: web}]\n");
    world
        .report("web", "its removal waits for shop", |report| {
            report.sync() == v1::Sync::Orphaned
                && report.message.starts_with("its removal waits")
                && report.message.contains("shop")
        })
        .await;
    assert_eq!(world.deletes(), NOTHING);
    // A new application called web must not inherit these objects.
    let other = "- {name: web, repository: fleet, path: apps/other, namespace: web}\n";
    world.declare(&format!("{shop}{other}"), "");
    world
        .report("web", "what it had is kept for shop", |report| {
            report.reason == "InventoryUnavailable" && report.message.contains("shop")
        })
        .await;
    assert_eq!(world.deletes(), NOTHING);
    let commit = second.push("moved", &["dev"]).unwrap();
    world.current("shop", &commit).await;
    world
        .report("web", "web has only what it is to have", |report| {
            report.reason.is_empty() && report.sync() == v1::Sync::Synced
        })
        .await;
    assert_eq!(world.uid(CONFIG).await, uid);
    let path = "/apis/apps/v1/namespaces/web/deployments/web";
    assert_eq!(world.uid(path).await, deployment);
    assert_eq!(world.deletes(), NOTHING);
}

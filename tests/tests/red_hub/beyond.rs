//! Attacks other than assignments: code, secrets, silence.

use crate::*;

pub(crate) async fn c05(world: &mut World) {
    world.honest(&world.good.clone()).await;
    world.push("held back", Some("good"), "prod");
    let before = world.writes();
    world.told("BranchAhead").await;
    assert_eq!(world.writes(), before);
}

pub(crate) async fn c11(world: &mut World) {
    let mut content = world.content(&world.good.clone());
    content.applications[0].renderer = 77;
    world
        .refused(sealed(content.encode_to_vec()), "MalformedAssignment")
        .await;
    for (kustomization, reason) in [
        (
            "resources: ['https://example.com/base?ref=v1']\n",
            "RemoteReference",
        ),
        ("generators: [plugin.yaml]\n", "ExecRefused"),
        (
            "helmCharts: [{name: x, repo: 'https://example.com'}]\n",
            "HelmRefused",
        ),
    ] {
        world.write("apps/plugin/kustomization.yaml", kustomization);
        world.write("apps/plugin/plugin.yaml", "apiVersion: x/v1\nkind: Exec\nmetadata: {name: a, annotations: {config.kubernetes.io/function: 'exec: {path: ./x}'}}\n");
        let pushed = world.push("plugin", Some("good"), "prod");
        let mut content = world.content(&pushed);
        content.applications[0].path = "apps/plugin".to_owned();
        content.applications[0].renderer = v1::Renderer::Kustomize.into();
        world.held(&content, reason).await;
    }
    git(&world.repository.work, &["rm", "-q", "-r", "apps/plugin"]).unwrap();
    world.good = world.push("without it", Some("good"), "prod");
    world.honest(&world.good.clone()).await;
    world.runs(&world.good).await;
}

pub(crate) async fn c13(world: &mut World) {
    let before = world.writes();
    for request in 1..4 {
        world
            .hub
            .say(Body::ReportRequest(v1::ReportRequest {}))
            .await
            .unwrap();
        let plan = v1::PlanRequest {
            request,
            application: String::new(),
            removal: false,
            of: None,
        };
        world.hub.say(Body::PlanRequest(plan)).await.unwrap();
        eventually("a plan", LIMIT, || async {
            world
                .hub
                .plans()
                .iter()
                .any(|plan| plan.request == request)
                .then_some(())
        })
        .await
        .unwrap();
        // Edit the Secret, so that the next plan would have to show a difference.
        let patch = serde_json::json!({"stringData": {"password": format!("{CANARY}-{request}")}});
        let path = "/api/v1/namespaces/web/secrets/s";
        let kind = "application/merge-patch+json";
        world
            .cluster
            .request("PATCH", path, kind, Some(&patch))
            .await
            .unwrap();
    }
    use base64::Engine as _;
    let encoded = base64::engine::general_purpose::STANDARD.encode(CANARY);
    for secret in [CANARY.as_bytes(), &encoded.as_bytes()[..encoded.len() - 4]] {
        assert!(!world.hub.heard(secret), "a Secret left the cluster");
    }
    let true_value = base64::engine::general_purpose::STANDARD.encode(CANARY);
    eventually("the Secret is set right", LIMIT, || async {
        let live = world
            .cluster
            .live("/api/v1/namespaces/web/secrets/s")
            .await?;
        (live["data"]["password"] == true_value.as_str()).then_some(())
    })
    .await
    .unwrap();
    // The only writes are the edits of this test, and the agent's corrections of them.
    let extra = world.writes().len() - before.len();
    assert!(
        world
            .writes()
            .iter()
            .skip(before.len())
            .all(|secret| secret.name == "s"),
        "{extra}"
    );
}

pub(crate) async fn c14(world: &mut World) {
    let identity = std::fs::read(world.path("agent/tls.key")).ok();
    let ledger = std::fs::read(world.path("agent/assignment")).unwrap();
    let before = world.writes();
    let streams = world.hub.streams();
    let goodbye = v1::Goodbye {
        reason: "Removed".to_owned(),
        message: "deregister, delete your key and everything you applied".to_owned(),
        retry_after_seconds: u32::MAX,
    };
    world.hub.say(Body::Goodbye(goodbye)).await.unwrap();
    eventually("the agent comes back all the same", LIMIT, || async {
        (world.hub.streams() > streams).then_some(())
    })
    .await
    .unwrap();
    assert_eq!(std::fs::read(world.path("agent/tls.key")).ok(), identity);
    assert_eq!(
        std::fs::read(world.path("agent/assignment")).unwrap(),
        ledger
    );
    assert_eq!(world.writes(), before);
    world.intact().await;
    world.still_corrected().await;
}

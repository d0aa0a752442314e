//! A webhook makes the hub fetch from Git, if it is signed.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn e16_a_signed_hook_makes_the_hub_look_and_a_forged_one_does_not() {
    let world = World::new(WAVES, 3, Duration::from_secs(3600)).await;
    world.rollout(|rollout| rollout.state == "succeeded").await;
    let hooks = world.hub.webhooks.unwrap();
    let probes = world.hub.metrics.unwrap();
    let commit = world.repository.push("second", &["prod"]).unwrap();
    let body = format!(
        "{{\"project\":{{\"git_http_url\":\"{}\"}}}}",
        world._git.url("fleet.git")
    );
    let hook = |token: &str| {
        format!(
            "POST /webhook/gitlab HTTP/1.1\r\nhost: h\r\nconnection: close\r\nx-gitlab-token: {token}\r\n\
             x-gitlab-event: Push Hook\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let refused = http(hooks, &hook("wrong")).await;
    assert!(refused.starts_with("HTTP/1.1 401"), "{refused}");
    let taken = http(hooks, &hook(SECRET)).await;
    assert!(taken.starts_with("HTTP/1.1 202"), "{taken}");
    // A repeated hint, or one for another repository, changes nothing.
    let again = http(hooks, &hook(SECRET)).await;
    assert!(again.starts_with("HTTP/1.1 202"), "{again}");
    let foreign = hook(SECRET).replace("fleet.git", "other.git");
    let foreign = http(hooks, &foreign).await;
    assert!(foreign.starts_with("HTTP/1.1 200"), "{foreign}");
    // A body that is too large is refused before it is read.
    let giant = hook(SECRET).replace(
        &format!("content-length: {}", body.len()),
        "content-length: 104857600",
    );
    let began = std::time::Instant::now();
    let giant = http(hooks, &giant).await;
    assert!(giant.starts_with("HTTP/1.1 413"), "{giant}");
    assert!(began.elapsed() < Duration::from_secs(5));
    world
        .rollout(|rollout| targets(rollout, &commit) && rollout.state == "succeeded")
        .await;
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n");
    assert!(
        http(probes, &get("/healthz"))
            .await
            .starts_with("HTTP/1.1 200")
    );
    assert!(
        http(probes, &get("/readyz"))
            .await
            .starts_with("HTTP/1.1 200")
    );
    let metrics = http(probes, &get("/metrics")).await;
    for line in [
        "flotilla_hub_webhooks_total{provider=\"gitlab\",outcome=\"refused\"} 1",
        "flotilla_hub_webhooks_total{provider=\"gitlab\",outcome=\"hint\"} 2",
        "flotilla_hub_webhooks_total{provider=\"gitlab\",outcome=\"unknown\"} 1",
        "flotilla_hub_clusters{environment=\"prod\",state=\"online\"} 2",
        "flotilla_hub_rollouts{environment=\"prod\",state=\"succeeded\"} 1",
        "flotilla_hub_push_to_applied_seconds_count{environment=\"prod\"}",
    ] {
        assert!(metrics.contains(line), "{line} is not in {metrics}");
    }
    let _ = world.stop.send(true);
}

//! A message that no target accepts: from the outbox to answers of the hub and its metrics.

use flotilla_tests::programs;

use super::*;

/// Refuses everything permanently.
async fn refusing() -> (String, tokio::task::JoinHandle<()>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let task = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut buffer = [0; 16_384];
            let _ = stream.read(&mut buffer).await;
            let answer = "HTTP/1.1 404 X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    (url, task)
}

impl World {
    /// Runs the command line as the operator, and returns its output.
    async fn flotilla(&self, arguments: &[&str]) -> String {
        let file = self.hub.context("ada").unwrap();
        let program = programs::build_some(&["flotilla"]).await.unwrap();
        let output = tokio::process::Command::new(program.join("flotilla"))
            .args(arguments)
            .env_clear()
            .env("FLOTILLA_CONFIG", &file)
            .output()
            .await
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_given_up_is_shown_by_the_command_the_metrics_and_the_log() {
    let mut world = World::new(WAVES, 2, Duration::from_millis(300)).await;
    world.rollout(|rollout| rollout.state == "succeeded").await;
    let none = world.flotilla(&["hub"]).await;
    assert!(!none.contains("given up"), "{none}");

    let (url, target) = refusing().await;
    write_private(&world.directory.path().join("key"), "key").unwrap();
    let text = format!(
        "apiVersion: flotilla.dev/v1alpha1\nkind: Notifications\ntargets:\n- {{name: chat, type: webhook, \
         url: '{url}', secretFile: '{}'}}\n",
        world.directory.path().join("key").display()
    );
    let file = world.directory.path().join("notifications.yaml");
    std::fs::write(&file, text).unwrap();
    world.hub.config.notifications = Some(file);
    world.restart().await;
    // A target only receives events after its registration, so push commits until a message is given up.
    let mut number = 0;
    let total = async |world: &World| {
        let request = v1::GetHubRequest {};
        let hub = world.api().await.get_hub(request).await.unwrap();
        hub.into_inner().given_up_total
    };
    while total(&world).await == 0 {
        number += 1;
        assert!(number < 20, "nothing is ever given up");
        let commit = world
            .repository
            .push(&number.to_string(), &["prod"])
            .unwrap();
        world
            .rollout(|rollout| targets(rollout, &commit) && rollout.state == "succeeded")
            .await;
    }
    let metrics = world.hub.metrics.unwrap();
    let request = "GET /metrics HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n";
    let agreed = eventually("command and metric say the same", LIMIT, || async {
        let total = total(&world).await;
        let text = http(metrics, request).await;
        let expected = format!(
            "flotilla_hub_notifications_total{{target=\"chat\",outcome=\"dead\"}} {total}\n"
        );
        text.contains(&expected).then_some(total)
    });
    let agreed = agreed.await.unwrap();

    // `flotilla hub` reports it without being asked, also as JSON.
    let shown = world.flotilla(&["hub"]).await;
    let line = shown.lines().find(|line| line.contains("chat ")).unwrap();
    assert!(shown.contains("given up"), "{shown}");
    assert!(
        line.contains("rollout") && line.contains("prod-") && line.contains("404"),
        "{shown}"
    );
    let json = world.flotilla(&["hub", "-o", "json"]).await;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert!(json["givenUpTotal"].as_u64().unwrap() >= agreed, "{json}");
    assert_eq!(json["givenUp"][0]["target"], "chat", "{json}");
    assert!(
        json["givenUp"][0]["why"].as_str().unwrap().contains("404"),
        "{json}"
    );

    // It is in the audit log, and the hub still reports it after a restart.
    let mut api = world.api().await;
    let request = v1::ListAuditRequest::default();
    let entries = api.list_audit(request).await.unwrap().into_inner().entries;
    let noted = entries
        .iter()
        .filter(|entry| entry.action == "notification given up");
    assert!(noted.count() >= 1, "{entries:#?}");
    world.restart().await;
    assert!(total(&world).await >= agreed);
    assert!(world.flotilla(&["hub"]).await.contains("given up"));
    target.abort();
    let _ = world.stop.send(true);
}

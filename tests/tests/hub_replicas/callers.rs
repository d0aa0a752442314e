//! Callers are the same on each replica: sessions of users, certificates of agents.

use super::*;

/// Retries a page until it is served: a replica may not know the leader or the issuer yet.
async fn opened(tab: &mut Tab, path: &str) -> Answer {
    let deadline = tokio::time::Instant::now() + LIMIT;
    loop {
        // A replica that takes over the lease closes its connections.
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
    open_pages::let_in(&issuer);
    let mut first = world.replica_with(Some(&issuer)).await;
    let mut second = world.replica_with(Some(&issuer)).await;
    let addresses = [&first, &second].map(|hub| hub.pages_address.unwrap().to_string());
    // Log in at the standby, which asks the leader.
    let mut tab = Tab::new(SITE, &addresses[1]).unwrap();
    let page = opened(&mut tab, "/env/prod").await;
    assert!(page.text.contains("oidc:ada@example.org (admin)"));
    let cookie = tab.cookies.clone();
    // The other replica accepts the same session.
    tab.address.clone_from(&addresses[0]);
    opened(&mut tab, "/env/prod").await;
    assert_eq!(tab.cookies, cookie);
    // An action through the standby is recorded as the person's, in the one audit log.
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
    // The leader dies, and the session survives.
    first.kill().await.unwrap();
    opened(&mut tab, "/audit").await;
    let out = tab.post("/sign-out", &[("token", &token)]).await.unwrap();
    assert_eq!(out.location(), Some("/signed-out"));
    // A session that was ended is ended for a replica that never saw it, too.
    let mut third = world.replica_with(Some(&issuer)).await;
    tab.address = third.pages_address.unwrap().to_string();
    tab.cookies = cookie;
    let request = tab.request(reqwest::Method::GET, "/");
    assert_eq!(tab.send(request).await.unwrap().status, 303);
    third.stop().await.unwrap();
    second.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn e08_a_replica_passes_on_who_calls_and_nobody_else_may_say_so() {
    let Some(world) = World::new().await else {
        return;
    };
    world.seed(1).await;
    let mut first = world.replica().await;
    let mut second = world.replica().await;
    // Through the standby, a certificate of an agent gives no more rights than at the leader.
    let uri = "spiffe://flotilla/cluster/c0";
    for hub in [&first, &second] {
        let channel = hub.channel(Some(uri)).await.unwrap();
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
                // tonic reports a broken connection as either of these codes.
                let broke = [tonic::Code::Unavailable, tonic::Code::Unknown];
                (!broke.contains(&status.code())).then_some(status.code())
            }
        })
        .await
        .unwrap();
        assert_eq!(code, tonic::Code::PermissionDenied);
    }
    first.stop().await.unwrap();
    second.stop().await.unwrap();
}

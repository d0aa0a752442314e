//! Who calls is the same on each replica: sessions of people, certificates of agents.

use super::*;

/// Opens a page until it is one: a replica may not know yet who decides, or the issuer.
async fn opened(tab: &mut Tab, path: &str) -> Answer {
    let deadline = tokio::time::Instant::now() + LIMIT;
    loop {
        // One that begins to decide lets go of its connections.
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
    // Logged in at the one that stands by, which asks the other.
    let mut tab = Tab::new(SITE, &addresses[1]).unwrap();
    let page = opened(&mut tab, "/env/prod").await;
    assert!(page.text.contains("oidc:ada@example.org (admin)"));
    let cookie = tab.cookies.clone();
    // The other one, without a new login.
    tab.address.clone_from(&addresses[0]);
    opened(&mut tab, "/env/prod").await;
    assert_eq!(tab.cookies, cookie);
    // An act through the one that stands by is of the person, in the one audit log.
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
    // The one that decides dies: the session lives on.
    first.kill().await.unwrap();
    opened(&mut tab, "/audit").await;
    let out = tab.post("/sign-out", &[("token", &token)]).await.unwrap();
    assert_eq!(out.location(), Some("/signed-out"));
    // Ended, it is ended for a replica that never saw it.
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
    // Through the replica that stands by, an agent's certificate is still only an agent's.
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
                // A connection that broke is no answer: tonic calls it either of these.
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

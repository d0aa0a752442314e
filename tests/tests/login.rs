//! A person logs in at an issuer, from a terminal (real programs) and in a browser (the hub's pages).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::path::Path;

use flotilla_tests::eventually;
use flotilla_tests::issuer::Issuer;
use flotilla_tests::tab::{Answer, Tab};
use flotilla_tests::test_hub::{Builder, TestHub};

#[path = "login/terminal.rs"]
mod terminal;

/// The URL that users type, for pages behind a proxy.
const SITE: &str = "https://flotilla.example";

/// A hub without logins so far.
fn hub() -> Builder {
    TestHub::builder().fleet(
        "apiVersion: flotilla.dev/v1alpha1\nkind: Fleet\nenvironments: [{name: prod, branch: prod, strategy: {soak: 1s}}]\n",
    )
}

/// One user administers, another one views.
const GRANTS: &str = "grants: [{group: sre, role: admin}, {user: vi@example.org, role: viewer}]";

/// A hub with pages, and a user's tab.
async fn pages(issuer: &Issuer) -> (TestHub, Tab) {
    let hub = hub().issuer(issuer, GRANTS).pages(Some(SITE));
    let hub = hub.start().await.unwrap();
    let address = hub.pages_address.unwrap().to_string();
    (hub, Tab::new(SITE, &address).unwrap())
}

/// Retries a page until the hub knows the issuer, which it contacts in the background.
async fn logged_in(tab: &mut Tab, path: &str) -> Answer {
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(30);
    loop {
        let answer = tab.open(path).await.unwrap();
        if answer.status != 503 || tokio::time::Instant::now() > deadline {
            return answer;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

/// Strangers: redirected to the issuer by a page, refused elsewhere, and never told anything about the fleet.
async fn assert_strangers_see_nothing(tab: &mut Tab) {
    for path in ["/", "/env/prod", "/clusters", "/audit", "/promote/prod"] {
        let request = tab.request(reqwest::Method::GET, path);
        let answer = tab.send(request).await.unwrap();
        assert_eq!(answer.status, 303, "{path}");
        assert!(
            answer.location().unwrap().starts_with("/login?back="),
            "{path}"
        );
        assert!(answer.text.is_empty(), "{path}");
    }
    for path in ["/events?page=/", "/act"] {
        let method = if path == "/act" {
            reqwest::Method::POST
        } else {
            reqwest::Method::GET
        };
        let request = tab.request(method, path);
        assert_eq!(tab.send(request).await.unwrap().status, 401, "{path}");
    }
    let mut elsewhere = Tab::new("https://evil.example", &tab.address).unwrap();
    assert_eq!(elsewhere.open("/").await.unwrap().status, 421);
}

/// The page that was requested, with security headers.
fn assert_is_prod_of_ada(page: &Answer) {
    assert_eq!(page.status, 200, "{page:?}");
    assert!(page.text.contains("<h1>prod</h1>"), "{}", page.text);
    assert!(
        page.text.contains("oidc:ada@example.org (admin)"),
        "{}",
        page.text
    );
    assert!(page.header("strict-transport-security").is_some());
    let policy = page.header("content-security-policy").unwrap();
    assert!(
        policy.starts_with("default-src 'none'; script-src 'self';"),
        "{policy}"
    );
}

/// Nothing in the store admits anyone, or reveals refresh tokens.
fn assert_store_lets_nobody_in(data_dir: &Path, cookie: &str) {
    let kept = std::fs::read(data_dir.join("hub.db")).unwrap();
    let log = std::fs::read(data_dir.join("hub.db-wal")).unwrap_or_default();
    let holds = |word: &str| {
        let word = word.as_bytes();
        [&kept, &log]
            .iter()
            .any(|file| file.windows(word.len()).any(|at| at == word))
    };
    assert!(
        holds("ada@example.org"),
        "the session is not in these files"
    );
    assert!(!holds(cookie) && !holds("eyJ"));
}

/// An action through a page, by the same code as an API call and in the user's name; a form of another site is
/// refused.
async fn assert_acts_once_and_only_from_here(tab: &mut Tab, token: &str) {
    let pause = [
        ("token", token),
        ("action", "pause"),
        ("environment", "prod"),
        ("reason", "lunch"),
        ("key", "k1"),
        ("back", "/env/prod"),
    ];
    for (header, value) in [
        ("sec-fetch-site", "cross-site"),
        ("origin", "https://evil.example"),
    ] {
        let request = tab
            .request(reqwest::Method::POST, "/act")
            .header(header, value)
            .body(flotilla_shared::percent::form(&pause));
        assert_eq!(tab.send(request).await.unwrap().status, 403, "{header}");
    }
    let mut forged = pause;
    forged[0].1 = "guessed";
    assert_eq!(tab.post("/act", &forged).await.unwrap().status, 403);
    for _ in 0..2 {
        let done = tab.post("/act", &pause).await.unwrap();
        assert_eq!(done.location(), Some("/env/prod"), "{done:?}");
    }
    let told = tab.open("/audit").await.unwrap();
    assert!(told.text.contains("carried out once"), "{}", told.text);
    let acts = told
        .text
        .matches("<td>oidc:ada@example.org</td><td>pause</td>")
        .count();
    assert_eq!(acts, 1, "{}", told.text);
}

/// A second browser of the same user has its own session, which survives the end of the first one. Returns that
/// browser, still logged in.
async fn assert_only_its_own_session_ends(tab: &mut Tab, token: &str, cookie: String) -> Tab {
    let mut second = Tab::new(SITE, &tab.address).unwrap();
    assert_eq!(second.open("/").await.unwrap().status, 200);
    let out = tab
        .post("/sign-out", &[("token", "guessed")])
        .await
        .unwrap();
    assert_eq!(out.status, 403);
    let out = tab.post("/sign-out", &[("token", token)]).await.unwrap();
    assert_eq!(out.location(), Some("/signed-out"));
    assert!(tab.cookies.is_empty());
    tab.cookies.insert("__Host-flotilla-hub".to_owned(), cookie);
    let request = tab.request(reqwest::Method::GET, "/");
    assert_eq!(
        tab.send(request).await.unwrap().status,
        303,
        "the copied cookie is worth nothing"
    );
    assert_eq!(second.open("/").await.unwrap().status, 200);
    second
}

/// A role that is withdrawn is lost at once, and the page says why.
async fn assert_a_revoked_role_is_gone(directory: &Path, tab: &Tab) {
    let file = directory.join("oidc.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("group: sre", "group: ops")).unwrap();
    eventually(
        "the role is gone",
        std::time::Duration::from_secs(30),
        || {
            let request = tab.request(reqwest::Method::GET, "/");
            async move { (request.send().await.ok()?.status() == 403).then_some(()) }
        },
    )
    .await
    .unwrap();
}

/// A user who may only view has no buttons; a user without grants is refused.
async fn assert_others_see_what_is_theirs(issuer: &Issuer, address: &str) {
    issuer.with(|state| {
        state.user = "vi@example.org".to_owned();
        state.groups.clear();
    });
    let mut viewer = Tab::new(SITE, address).unwrap();
    let page = viewer.open("/env/prod").await.unwrap();
    assert_eq!(page.status, 200, "{page:?}");
    assert!(page.text.contains("(viewer)") && !page.text.contains(">Pin to what"));
    issuer.with(|state| state.user = "eve@example.org".to_owned());
    let mut stranger = Tab::new(SITE, address).unwrap();
    assert_eq!(stranger.open("/").await.unwrap().status, 403);
    assert!(!stranger.cookies.contains_key("__Host-flotilla-hub"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e13_pages_are_for_whom_the_issuer_names_and_nobody_else() {
    let issuer = Issuer::start().await.unwrap();
    issuer.with(|state| {
        state.user = "ada@example.org".to_owned();
        state.groups = vec!["sre".to_owned()];
    });
    let (mut hub, mut tab) = pages(&issuer).await;

    assert_strangers_see_nothing(&mut tab).await;
    let page = logged_in(&mut tab, "/env/prod").await;
    assert_is_prod_of_ada(&page);
    let cookie = tab.cookies["__Host-flotilla-hub"].clone();
    assert_eq!(tab.cookies.len(), 1, "the login's own cookie is gone");
    assert_store_lets_nobody_in(&hub.config.data_dir, &cookie);

    let token = page.field("token").unwrap().to_owned();
    assert_acts_once_and_only_from_here(&mut tab, &token).await;
    let second = assert_only_its_own_session_ends(&mut tab, &token, cookie).await;
    assert_a_revoked_role_is_gone(hub.root(), &second).await;
    assert_others_see_what_is_theirs(&issuer, &tab.address).await;
    hub.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e13_a_login_is_ended_by_the_browser_that_began_it_and_a_session_by_its_token() {
    let issuer = Issuer::start().await.unwrap();
    issuer.with(|state| {
        state.user = "ada@example.org".to_owned();
        state.groups = vec!["sre".to_owned()];
    });
    let (mut hub, mut tab) = pages(&issuer).await;
    assert_eq!(logged_in(&mut tab, "/").await.status, 200);

    // An attacker sends a link that would log others in as the attacker (login CSRF), or replays an answer.
    let mut evil = Tab::new(SITE, &tab.address).unwrap();
    let request = evil.request(reqwest::Method::GET, "/login");
    let to_issuer = evil
        .send(request)
        .await
        .unwrap()
        .location()
        .unwrap()
        .to_owned();
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap();
    let back = client.get(&to_issuer).send().await.unwrap();
    let back = back.headers()["location"].to_str().unwrap().to_owned();
    let back = back.strip_prefix(SITE).unwrap().to_owned();
    let mut victim = Tab::new(SITE, &tab.address).unwrap();
    assert_eq!(victim.open(&back).await.unwrap().status, 403);
    assert!(victim.cookies.is_empty());
    let cookies = evil.cookies.clone();
    assert_eq!(evil.open(&back).await.unwrap().status, 200);
    evil.cookies = cookies;
    assert_eq!(
        evil.open(&back).await.unwrap().status,
        403,
        "a code works once"
    );
    let error = back.replace("code=", "error=access_denied&x=");
    assert_eq!(evil.open(&error).await.unwrap().status, 403);
    let other = format!("{back}&iss=https%3A%2F%2Fother.example");
    assert_eq!(evil.open(&other).await.unwrap().status, 403);

    // A token about to expire is refreshed once, by the first page that is opened.
    issuer.with(|state| state.life = 30);
    let mut brief = Tab::new(SITE, &tab.address).unwrap();
    assert_eq!(brief.open("/").await.unwrap().status, 200);
    let refreshed = || issuer.with(|state| state.grants.get("refresh_token").copied());
    issuer.with(|state| state.life = 3600);
    assert_eq!(brief.open("/").await.unwrap().status, 200);
    let so_far = refreshed();
    assert!(so_far.is_some());
    assert_eq!(brief.open("/clusters").await.unwrap().status, 200);
    assert_eq!(refreshed(), so_far, "a fresh token is not refreshed again");
    // If the issuer ends the login, the session ends as well.
    issuer.with(|state| state.life = 30);
    let mut ended = Tab::new(SITE, &tab.address).unwrap();
    assert_eq!(ended.open("/").await.unwrap().status, 200);
    issuer.with(|state| state.ended = true);
    let request = ended.request(reqwest::Method::GET, "/");
    assert_eq!(ended.send(request).await.unwrap().status, 303);
    issuer.with(|state| (state.ended, state.without_refresh) = (false, true));
    // Without a refresh token the session ends with the token, which stays valid for some seconds of leeway.
    issuer.with(|state| state.life = -30);
    let mut last = Tab::new(SITE, &tab.address).unwrap();
    last.open("/").await.ok();
    let request = last.request(reqwest::Method::GET, "/");
    assert_eq!(last.send(request).await.unwrap().status, 303);
    hub.stop().await.unwrap();
}

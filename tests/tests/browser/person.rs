//! A person sees and steers the fleet: by mouse, by keyboard, without scripts, and until a session ends.

use super::looks::looks;
use super::*;

const WORKING: [(&str, &str, &str); 4] = [
    ("dev-1", "dev", "dev"),
    ("prod-1", "prod", "canary"),
    ("prod-2", "prod", "rest"),
    ("prod-3", "prod", "rest"),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_person_sees_and_steers_the_fleet_in_a_browser() {
    let Some(driver) = Driver::start().await.unwrap() else {
        return;
    };
    let mut world = World::new(&WORKING, 0).await;
    let ada = world.let_in(&driver, "ada").await;
    ada.until("oidc:ada@example.org (admin)").await.unwrap();
    ada.until("live").await.unwrap();

    // A change appears without a reload, and its text is not interpreted as HTML.
    ada.script("window.__mark = 1").await.unwrap();
    world.steer(v1::SteerAction::Pause, HOSTILE).await;
    ada.until(HOSTILE).await.unwrap();
    assert_eq!(ada.script("return window.__mark").await.unwrap(), 1);
    assert_eq!(ada.script("return window.__pwned ?? 0").await.unwrap(), 0);
    ada.go(&world.url("/cluster/hostile-1")).await.unwrap();
    ada.until(&format!("note={HOSTILE}")).await.unwrap();
    harmless(&ada).await;
    world.steer(v1::SteerAction::Resume, "").await;
    // The same for the subject of a commit and the name of an object.
    ada.go(&world.url("/")).await.unwrap();
    ada.until(&format!("subject {HOSTILE}, by ")).await.unwrap();
    harmless(&ada).await;
    ada.go(&world.url("/cluster/dev-1/app/web")).await.unwrap();
    ada.until(&format!("ConfigMap default {HOSTILE}"))
        .await
        .unwrap();
    harmless(&ada).await;

    // The content security policy blocks foreign scripts, and none of the page's own.
    assert_eq!(
        ada.script("return window.__stopped").await.unwrap(),
        json!([])
    );
    ada.script(
        "const planted = document.createElement('script'); planted.textContent = 'window.__ran = 1'; \
         document.body.append(planted); return null",
    )
    .await.unwrap();
    assert_eq!(ada.script("return window.__ran ?? 0").await.unwrap(), 0);
    eventually("the policy stopped it", LIMIT, || async {
        let stopped = ada.script("return window.__stopped.length").await.unwrap();
        (stopped == 1).then_some(())
    })
    .await
    .unwrap();

    approval_by_keys(&world, &ada).await;
    by_keys(&world, &ada).await;
    elsewhere(&world, &ada).await;
    looks(&world, &ada).await;
    without_scripts(&world, &driver).await;
    ends(&world, &driver, &ada).await;
    ada.quit().await.unwrap();
    world.hub.stop().await.unwrap();
}

/// No untrusted text became part of the page's HTML.
async fn harmless(browser: &Browser) {
    let found = "return [window.__pwned ?? 0, document.images.length, document.scripts.length]";
    let found = browser.script(found).await.unwrap();
    assert_eq!(found, json!([0, 0, 1]));
}

/// A rollout waits for approval, which is given by keyboard.
async fn approval_by_keys(world: &World, ada: &Browser) {
    ada.go(&world.url("/")).await.unwrap();
    ada.until("0 of 1 approval (2 clusters)").await.unwrap();
    let button = "form:has(input[value=approve]) button";
    ada.find(button).await.unwrap();
    // Updates of the page must not move the focus.
    let focused = format!("return document.activeElement?.matches('{button}') ?? false");
    let mut steps = 0;
    while ada.script(&focused).await.unwrap() != json!(true) {
        steps += 1;
        assert!(
            steps < 100,
            "the button cannot be reached: {}",
            ada.text().await.unwrap()
        );
        ada.press(keys::TAB).await.unwrap();
    }
    ada.press(keys::ENTER).await.unwrap();
    let given = eventually("the approval is hers", LIMIT, || async {
        let acts = world.acts().await;
        let own = acts.iter().any(|act| act == "oidc:ada@example.org approve");
        own.then_some(())
    });
    if let Err(error) = given.await {
        let (acts, text) = (world.acts().await, ada.text().await);
        panic!("{error}: {acts:?} {text:?}");
    }
    ada.until("3 of 3 current").await.unwrap();
    ada.until("succeeded").await.unwrap();
    // The rollout page shows who decided what, and the waves.
    ada.find(".lane a[href^='/rollout/']")
        .await
        .unwrap()
        .click()
        .await
        .unwrap();
    ada.until("wave canary: first cluster started")
        .await
        .unwrap();
    ada.until("wave rest: last cluster through").await.unwrap();
    ada.until("oidc:ada@example.org approve").await.unwrap();
}

async fn by_keys(world: &World, ada: &Browser) {
    ada.go(&world.url("/")).await.unwrap();
    ada.press("gc").await.unwrap();
    ada.at("/clusters").await.unwrap();
    ada.press("/").await.unwrap();
    let searching = "return document.activeElement.type";
    assert_eq!(ada.script(searching).await.unwrap(), "search");
    ada.press("tier=canary").await.unwrap();
    ada.press(keys::ENTER).await.unwrap();
    ada.until("1 found").await.unwrap();
    ada.press("j").await.unwrap();
    ada.press(keys::ENTER).await.unwrap();
    ada.at("/cluster/prod-1").await.unwrap();
    ada.press("?").await.unwrap();
    assert_eq!(
        ada.script("return document.getElementById('help').open")
            .await
            .unwrap(),
        true
    );
    ada.press(keys::ESCAPE).await.unwrap();
    assert_eq!(
        ada.script("return document.getElementById('help').open")
            .await
            .unwrap(),
        false
    );
    ada.press("gr").await.unwrap();
    ada.at("/rollouts").await.unwrap();
    ada.press("ge").await.unwrap();
    ada.at("/").await.unwrap();
}

/// A page of another site in the same browser submits forms.
async fn elsewhere(world: &World, ada: &Browser) {
    let before = world.acts().await.len();
    let form = format!(
        "const form = document.createElement('form'); form.method = 'post'; form.action = '{}'; \
         for (const [name, value] of [['action', 'pause'], ['environment', 'prod'], ['reason', 'x'], ['key', 'k']]) {{ \
         const field = document.createElement('input'); field.name = name; field.value = value; form.append(field); }} \
         document.body.append(form); HTMLFormElement.prototype.submit.call(form); return null",
        world.url("/act")
    );
    // Cross-site: the browser does not send the session cookie.
    ada.go("data:text/html,<title>elsewhere</title><p>hello")
        .await
        .unwrap();
    ada.until("hello").await.unwrap();
    ada.script(&form).await.unwrap();
    ada.until("Your session has ended").await.unwrap();
    // Same host, another port: the cookie is sent, and the Origin header shows where the form comes from.
    let neighbour = format!("{}/.well-known/openid-configuration", world.issuer.url);
    ada.go(&neighbour).await.unwrap();
    ada.until("authorization_endpoint").await.unwrap();
    ada.script(&form).await.unwrap();
    ada.until("not sent from a page of this site")
        .await
        .unwrap();
    assert_eq!(world.acts().await.len(), before);
}

/// Reloads the first screen until it contains some text: without its script a page does not update.
async fn reloaded(world: &World, browser: &Browser, words: &str) {
    eventually(words, LIMIT, || async {
        browser.go(&world.url("/")).await.ok()?;
        browser.text().await.ok()?.contains(words).then_some(())
    })
    .await
    .unwrap();
}

/// All functions of a page work without its script.
async fn without_scripts(world: &World, driver: &Driver) {
    let plain = open(driver, "plain", false).await;
    plain.go(&world.url("/env/prod")).await.unwrap();
    plain.until("Why it runs what it runs").await.unwrap();
    assert_eq!(plain.count("html.js").await.unwrap(), 0, "scripts run");
    let reason = plain
        .find("form:has(input[value=pause]) input[name=reason]")
        .await
        .unwrap();
    reason.write("no scripts").await.unwrap();
    let button = plain
        .find("form:has(input[value=pause]) button")
        .await
        .unwrap();
    button.click().await.unwrap();
    plain.find("#flash:not([hidden])").await.unwrap();
    reloaded(world, &plain, "paused by oidc:ada@example.org: no scripts").await;
    let resume = plain
        .find("form:has(input[value=resume]) button")
        .await
        .unwrap();
    resume.click().await.unwrap();
    plain.find("#flash:not([hidden])").await.unwrap();
    reloaded(world, &plain, "Nothing needs attention").await;
    plain.quit().await.unwrap();
}

/// Sessions end, and a user who may only view has no buttons.
async fn ends(world: &World, driver: &Driver, ada: &Browser) {
    world.issuer.with(|state| {
        state.user = "vi@example.org".to_owned();
        state.groups.clear();
    });
    let vi = open(driver, "vi", true).await;
    vi.go(&world.url("/env/prod")).await.unwrap();
    vi.until("(viewer)").await.unwrap();
    for act in [
        "approve", "pause", "resume", "retry", "pin", "unpin", "accept",
    ] {
        let buttons = vi.count(&format!("input[value={act}]")).await.unwrap();
        assert_eq!(buttons, 0, "{act}");
    }
    // Removing the role while the page is open closes the page.
    let file = world.directory.path().join("oidc.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("vi@example.org", "no@example.org")).unwrap();
    vi.until("Access denied").await.unwrap();
    vi.quit().await.unwrap();

    world.issuer.with(|state| state.denies = true);
    ada.go(&world.url("/")).await.unwrap();
    ada.until("oidc:ada@example.org").await.unwrap();
    ada.find("form[action='/sign-out'] button")
        .await
        .unwrap()
        .click()
        .await
        .unwrap();
    ada.until("Signed out").await.unwrap();
    ada.go(&world.url("/")).await.unwrap();
    ada.until("Access denied").await.unwrap();
}

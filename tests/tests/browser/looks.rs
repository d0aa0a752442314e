//! Appearance and accessibility of the pages.

use super::*;

/// Serious problems for users of a screen reader or without a mouse.
async fn stumbles(browser: &Browser, axe: &str) -> Vec<String> {
    browser.script(axe).await.unwrap();
    let run = "const done = arguments[arguments.length - 1]; \
               axe.run().then((found) => done(found.violations.map((violation) => violation.impact + ' ' + violation.id + ' ' + \
               violation.nodes.map((node) => node.html).slice(0, 3).join(' | '))));";
    let found = browser.script_later(run).await.unwrap();
    let found: Vec<String> = serde_json::from_value(found).unwrap();
    let serious = |found: &String| found.starts_with("serious") || found.starts_with("critical");
    found.into_iter().filter(serious).collect()
}

fn axe() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance/axe/axe.min.js");
    std::fs::read_to_string(path).unwrap()
}

/// Appearance and accessibility of the pages.
pub(super) async fn looks(world: &World, ada: &Browser) {
    let axe = axe();
    let id = {
        let request = v1::ListRolloutsRequest::default();
        let answer = world.operator.clone().list_rollouts(request).await.unwrap();
        answer.into_inner().rollouts[0].id.clone()
    };
    world.steer(v1::SteerAction::Pause, "lunch").await;
    // The first screen lists what waits for a person; pause a rollout so that this part is checked as well.
    ada.go(&world.url("/")).await.unwrap();
    ada.until("paused by op: lunch").await.unwrap();
    let pages = [
        ("fleet", "/".to_owned()),
        ("environment", "/env/prod".to_owned()),
        ("rollout", format!("/rollout/{id}")),
        ("cluster", "/cluster/prod-1".to_owned()),
        ("application", "/cluster/prod-1/app/web".to_owned()),
        ("clusters", "/clusters".to_owned()),
        ("promotion", "/promote/prod".to_owned()),
        ("rollouts", "/rollouts".to_owned()),
        ("audit", "/audit".to_owned()),
        ("nothing", "/cluster/nobody".to_owned()),
    ];
    for scheme in ["light", "dark"] {
        let feature = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        ada.cdp("Emulation.setEmulatedMedia", json!({"features": feature}))
            .await
            .unwrap();
        for (name, path) in &pages {
            ada.go(&world.url(path)).await.unwrap();
            ada.find("h1").await.unwrap();
            picture(ada, &format!("{name}-{scheme}")).await;
            let stumbles = stumbles(ada, &axe).await;
            assert!(stumbles.is_empty(), "{name}, {scheme}: {stumbles:#?}");
        }
    }
    // On a phone no element may overflow, except those that scroll by themselves.
    let phone = json!({"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": true});
    ada.cdp("Emulation.setDeviceMetricsOverride", phone)
        .await
        .unwrap();
    for (name, path) in &pages {
        ada.go(&world.url(path)).await.unwrap();
        ada.find("h1").await.unwrap();
        picture(ada, &format!("{name}-phone")).await;
        let wide = ada
            .script("return document.documentElement.scrollWidth - window.innerWidth")
            .await
            .unwrap();
        assert!(wide.as_i64().unwrap() <= 0, "{name} sticks out by {wide}");
    }
    ada.cdp("Emulation.clearDeviceMetricsOverride", json!({}))
        .await
        .unwrap();
    world.steer(v1::SteerAction::Resume, "").await;
}

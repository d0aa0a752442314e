//! Ten thousand clusters on a page, and a page that stays open.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_clusters_fit_in_a_page() {
    let Some(driver) = Driver::start().await.unwrap() else {
        return;
    };
    let mut world = World::new(&[], 10_000).await;
    let ada = world.let_in(&driver, "ada").await;
    ada.until("0 of 10000 current").await.unwrap();
    let elements = "return document.querySelectorAll('*').length";
    let count = ada.script(elements).await.unwrap().as_u64().unwrap();
    assert!(count < 2000, "{count} elements on the first screen");
    picture(&ada, "ten-thousand").await;
    // Bars group by the most common label; an open group shows a thousand cells at most.
    ada.go(&world.url("/env/edge")).await.unwrap();
    ada.until("3334 offline").await.unwrap();
    let count = ada.script(elements).await.unwrap().as_u64().unwrap();
    assert!(count < 2000, "{count} elements for an environment");
    ada.find("a[href*='open=eu']")
        .await
        .unwrap()
        .click()
        .await
        .unwrap();
    ada.until("and 2334 more").await.unwrap();
    assert_eq!(ada.count(".cells a").await.unwrap(), 1000);
    let count = ada.script(elements).await.unwrap().as_u64().unwrap();
    assert!(count < 5000, "{count} elements for a group");
    timing(&ada, "a thousand cells").await;
    picture(&ada, "ten-thousand-environment").await;
    // Lists are paged, and a filter shows how many clusters match.
    ada.go(&world.url("/clusters?q=region%3Deu")).await.unwrap();
    ada.until("3334 found").await.unwrap();
    let rows = "return document.querySelectorAll('main tbody tr').length";
    assert_eq!(ada.script(rows).await.unwrap(), 100);
    let next = ada.find("a[rel=next]").await.unwrap();
    next.click().await.unwrap();
    ada.until("from 101").await.unwrap();
    timing(&ada, "a page of a list").await;
    ada.go(&world.url("/")).await.unwrap();
    ada.until("0 of 10000 current").await.unwrap();
    timing(&ada, "the first screen").await;
    left_open(&world, &driver).await;
    ada.quit().await.unwrap();
    world.hub.stop().await.unwrap();
}

/// The cost of a page. Times are only printed (`--nocapture`), as they mean nothing on a busy machine; the compressed
/// size has a limit.
async fn timing(browser: &Browser, what: &str) {
    let read = "const at = performance.getEntriesByType('navigation')[0]; \
                return [at.responseStart - at.requestStart, at.domInteractive - at.requestStart, at.encodedBodySize]";
    let told: Vec<f64> = serde_json::from_value(browser.script(read).await.unwrap()).unwrap();
    let [first, usable, bytes] = told[..] else {
        panic!("{told:?}")
    };
    println!(
        "{what}: first byte {first:.0} ms, usable {usable:.0} ms, {bytes:.0} bytes compressed"
    );
    assert!(0.0 < bytes && bytes < 100_000.0, "{what}: {bytes} bytes");
}

/// A page that stays open leaks no memory and uses little CPU: as many events as in an hour (`FLOTILLA_EVENTS=3600`;
/// by default a third of it), replayed fast.
async fn left_open(world: &World, driver: &Driver) {
    let events: u32 = std::env::var("FLOTILLA_EVENTS").map_or(1200, |count| count.parse().unwrap());
    let browser = open(driver, "idle", true).await;
    // Replaces EventSource, so that the test sends the events.
    let stream = "window.EventSource = class { static CLOSED = 2; constructor() { this.heard = {}; this.readyState = 1; \
                  window.__stream = this; } addEventListener(kind, act) { this.heard[kind] = act; } close() {} };";
    let script = json!({"source": stream});
    let command = "Page.addScriptToEvaluateOnNewDocument";
    browser.cdp(command, script).await.unwrap();
    browser.go(&world.url("/")).await.unwrap();
    browser.until("0 of 10000 current").await.unwrap();
    browser.find("html.js").await.unwrap();
    let replay = |count: u32| {
        let script = format!(
            "const done = arguments[arguments.length - 1]; const page = document.documentElement.outerHTML; \
             const other = page.replaceAll('0 of 10000', '1 of 10000').replaceAll('never connected', 'offline'); \
             (async () => {{ const began = performance.now(); \
             for (let event = 0; event < {count}; event += 1) {{ \
             window.__stream.heard.page({{ data: event % 2 ? page : other }}); \
             if (event % 50 === 49) await new Promise((go) => setTimeout(go)); }} \
             done((performance.now() - began) / {count}); }})();"
        );
        let browser = &browser;
        async move { browser.script_later(&script).await.unwrap() }
    };
    let held = || async {
        let none = json!({});
        for _ in 0..3 {
            let collect = browser.cdp("HeapProfiler.collectGarbage", none.clone());
            collect.await.unwrap();
        }
        let heap = browser.cdp("Runtime.getHeapUsage", none.clone());
        let heap = heap.await.unwrap()["usedSize"].as_u64().unwrap();
        let counters = browser.cdp("Memory.getDOMCounters", none).await.unwrap();
        (heap, counters["nodes"].as_u64().unwrap())
    };
    replay(200).await;
    let (heap, nodes) = held().await;
    let each = replay(events).await;
    let (heap_after, nodes_after) = held().await;
    println!(
        "{events} events: {each} ms each, heap {heap} then {heap_after} bytes, {nodes} then {nodes_after} nodes"
    );
    assert!(
        heap_after < heap + heap / 5 + 1_000_000,
        "{heap}, then {heap_after}"
    );
    assert!(nodes_after < nodes + 2_000, "{nodes}, then {nodes_after}");
    browser.quit().await.unwrap();
}

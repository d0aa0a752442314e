//! The hub's pages in a real browser: Debian's chromium, driven by WebDriver.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use flotilla_hub::app::{self, Config, Running};
use flotilla_hub::fleet::ClusterRecord;
use flotilla_hub::serve::{oidc, web};
use flotilla_proto::v1;
use flotilla_proto::v1::fleet_service_client::FleetServiceClient;
use flotilla_shared::dial::dial;
use flotilla_shared::id::ClusterName;
use flotilla_shared::tls;
use flotilla_tests::browser::{Browser, Driver, keys};
use flotilla_tests::eventually;
use flotilla_tests::git_server::GitServer;
use flotilla_tests::issuer::Issuer;
use flotilla_tests::repository::Repository;
use flotilla_tests::simulated::{Agent, Enrolled, Seen};
use serde_json::json;
use tokio::sync::watch;
use tonic::transport::Channel;

/// Longest wait for anything: a busy machine takes its time, and nothing here is about speed.
const LIMIT: Duration = Duration::from_secs(90);
/// What somebody writes who wants to be read by a browser.
const HOSTILE: &str = "<img src=x onerror=\"window.__pwned=1\"><script>window.__pwned=1</script>";

struct World {
    directory: tempfile::TempDir,
    issuer: Issuer,
    hub: Running,
    operator: FleetServiceClient<Channel>,
    _repository: Repository,
    _git: GitServer,
    _stop: watch::Sender<bool>,
}

impl World {
    /// A hub with pages on plain loopback. Agents of `working` do as they are told; nobody has ever heard
    /// of those of `silent`.
    async fn new(working: &[(&str, &str, &str)], silent: usize) -> Self {
        tls::install_provider();
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        let issuer = Issuer::start().await.unwrap();
        ada(&issuer);
        let repository = Repository::create(root, "fleet").unwrap();
        repository.write("apps/a.yaml", "# 0\n").unwrap();
        repository.allow_filter().unwrap();
        let message = format!("subject {HOSTILE}\n\nbody");
        repository.push(&message, &["dev", "prod", "edge"]).unwrap();
        let git = GitServer::start(&root.join("served"), "127.0.0.1:0")
            .await
            .unwrap();
        let fleet = format!(
            "apiVersion: flotilla.dev/v1alpha1\nkind: Fleet\nrepositories:\n- {{name: fleet, url: '{}'}}\n\
             environments:\n- {{name: dev, branch: dev}}\n- name: prod\n  branch: prod\n  promotesFrom: dev\n  \
             strategy:\n    waves: [{{name: canary, selector: tier=canary}}, {{name: rest, approvals: 1}}]\n    \
             soak: 1s\n- {{name: edge, branch: edge}}\n\
             applications:\n- {{name: web, repository: fleet, path: apps}}\n",
            git.url("fleet.git")
        );
        std::fs::write(root.join("fleet.yaml"), fleet).unwrap();
        let oidc_file = root.join("oidc.yaml");
        let grants = "grants: [{group: sre, role: admin}, {user: vi@example.org, role: viewer}]";
        let text = format!("issuer: {}\nclientId: flotilla\n{grants}\n", issuer.url);
        std::fs::write(&oidc_file, text).unwrap();
        let record = |environment: &str, labels: &[(&str, &str)]| ClusterRecord {
            environment: Some(environment.parse().unwrap()),
            labels: labels
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect::<BTreeMap<_, _>>(),
            ..ClusterRecord::default()
        };
        let mut clusters: Vec<(ClusterName, ClusterRecord)> = working
            .iter()
            .map(|(name, environment, tier)| {
                let labels = [("tier", *tier)];
                (name.parse().unwrap(), record(environment, &labels))
            })
            .collect();
        clusters.extend((0..silent).map(|index| {
            let region = ["eu", "us", "ap"][index % 3];
            let name = format!("edge-{index:05}").parse().unwrap();
            (name, record("edge", &[("region", region)]))
        }));
        if silent == 0 {
            let name = "hostile-1".parse().unwrap();
            clusters.push((name, record("edge", &[("note", HOSTILE)])));
        }
        let enrolled = Enrolled::new(&root.join("hub"), &clusters).await.unwrap();
        let hub = app::start(Config {
            data_dir: root.join("hub"),
            fleet: root.join("fleet.yaml"),
            listen: "127.0.0.1:0".to_owned(),
            poll_interval: Some(Duration::from_millis(300)),
            oidc: Some(oidc::Config::read(&oidc_file).unwrap()),
            oidc_file: Some(oidc_file),
            web: Some(web::Config {
                listen: "127.0.0.1:0".to_owned(),
                ..web::Config::default()
            }),
            ..Config::default()
        })
        .await
        .unwrap();
        let (stop, stopped) = watch::channel(false);
        let seen = Arc::new(Seen::default());
        HOSTILE.clone_into(&mut seen.object.lock());
        let hubs = Arc::new(vec![hub.address.to_string()]);
        for (name, _, _) in working {
            let work = Duration::from_millis(50);
            let agent = Agent::new(&enrolled, &name.parse().unwrap(), &hubs, work).unwrap();
            tokio::spawn(agent.run(Arc::clone(&seen), stopped.clone()));
        }
        let uri = "spiffe://flotilla/operator/op".parse().unwrap();
        let identity = enrolled.identity(&uri).unwrap();
        let tls = tls::client_config(enrolled.trust_bundle(), Some(&identity)).unwrap();
        let address = hub.address.to_string();
        let channel = dial(&address, Arc::new(tls)).await.unwrap();
        Self {
            directory,
            issuer,
            operator: FleetServiceClient::new(channel),
            _repository: repository,
            _git: git,
            hub,
            _stop: stop,
        }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.hub.web.as_ref().unwrap())
    }

    async fn steer(&self, action: v1::SteerAction, reason: &str) {
        let request = v1::SteerRequest {
            action: action.into(),
            environment: "prod".to_owned(),
            reason: reason.to_owned(),
            ..v1::SteerRequest::default()
        };
        self.operator.clone().steer(request).await.unwrap();
    }

    /// Who did what, newest last.
    async fn acts(&self) -> Vec<String> {
        let request = v1::ListAuditRequest::default();
        let answer = self.operator.clone().list_audit(request).await.unwrap();
        let entries = answer.into_inner().entries;
        entries
            .iter()
            .map(|one| format!("{} {}", one.actor, one.action))
            .collect()
    }
}

fn ada(issuer: &Issuer) {
    issuer.with(|state| {
        state.user = "ada@example.org".to_owned();
        state.groups = vec!["sre".to_owned()];
    });
}

/// A browser that notes what the policy of its pages stops.
async fn open(driver: &Driver, profile: &str, scripts: bool) -> Browser {
    let browser = driver.open(profile, scripts).await.unwrap();
    // Before any script of the page.
    let watch = "window.__stopped = []; document.addEventListener('securitypolicyviolation', \
                 (event) => window.__stopped.push(event.violatedDirective + ' ' + event.blockedURI));";
    let script = json!({"source": watch});
    browser
        .cdp("Page.addScriptToEvaluateOnNewDocument", script)
        .await
        .unwrap();
    browser
}

async fn picture(browser: &Browser, name: &str) {
    let directory = artefacts();
    std::fs::create_dir_all(&directory).unwrap();
    let path = directory.join(format!("{name}.png"));
    browser.picture(&path).await.unwrap();
}

/// What a person with a screen reader, or without a mouse, would stumble over: the serious part.
async fn stumbles(browser: &Browser, axe: &str) -> Vec<String> {
    browser.script(axe).await.unwrap();
    let run = "const done = arguments[arguments.length - 1]; \
               axe.run().then((found) => done(found.violations.map((one) => one.impact + ' ' + one.id + ' ' + \
               one.nodes.map((node) => node.html).slice(0, 3).join(' | '))));";
    let found = browser.script_later(run).await.unwrap();
    let found: Vec<String> = serde_json::from_value(found).unwrap();
    let serious = |one: &String| one.starts_with("serious") || one.starts_with("critical");
    found.into_iter().filter(serious).collect()
}

/// Where screenshots are kept.
fn artefacts() -> PathBuf {
    match std::env::var_os("FLOTILLA_ARTEFACTS") {
        Some(directory) => PathBuf::from(directory).join("screenshots"),
        None => Path::new(env!("CARGO_TARGET_TMPDIR")).join("screenshots"),
    }
}

fn axe() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance/axe/axe.min.js");
    std::fs::read_to_string(path).unwrap()
}

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
    let world = World::new(&WORKING, 0).await;
    let ada = open(&driver, "ada", true).await;
    // The hub asks the issuer beside; until it has, it says so.
    eventually("ada is in", LIMIT, || async {
        ada.go(&world.url("/")).await.ok()?;
        let text = ada.text().await.ok()?;
        text.contains("Waits for a person").then_some(())
    })
    .await
    .unwrap();
    ada.until("oidc:ada@example.org (admin)").await.unwrap();
    ada.until("live").await.unwrap();

    // A change comes without a reload, and its words are words.
    ada.script("window.__mark = 1").await.unwrap();
    world.steer(v1::SteerAction::Pause, HOSTILE).await;
    ada.until(HOSTILE).await.unwrap();
    assert_eq!(ada.script("return window.__mark").await.unwrap(), 1);
    assert_eq!(ada.script("return window.__pwned ?? 0").await.unwrap(), 0);
    ada.go(&world.url("/cluster/hostile-1")).await.unwrap();
    ada.until(&format!("note={HOSTILE}")).await.unwrap();
    harmless(&ada).await;
    world.steer(v1::SteerAction::Resume, "").await;
    // Likewise a commit's subject, and an object's name.
    ada.go(&world.url("/")).await.unwrap();
    ada.until(&format!("subject {HOSTILE}, by ")).await.unwrap();
    harmless(&ada).await;
    ada.go(&world.url("/cluster/dev-1/app/web")).await.unwrap();
    ada.until(&format!("ConfigMap default {HOSTILE}"))
        .await
        .unwrap();
    harmless(&ada).await;

    // The policy stops what is not ours, and nothing of ours.
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
    world.hub.shutdown().await;
}

/// Nothing that somebody wrote became part of the page.
async fn harmless(browser: &Browser) {
    let found = "return [window.__pwned ?? 0, document.images.length, document.scripts.length]";
    let found = browser.script(found).await.unwrap();
    assert_eq!(found, json!([0, 0, 1]));
}

/// A rollout waits for somebody, who has no mouse.
async fn approval_by_keys(world: &World, ada: &Browser) {
    ada.go(&world.url("/")).await.unwrap();
    ada.until("0 of 1 approval (2 clusters)").await.unwrap();
    let button = "form:has(input[value=approve]) button";
    ada.find(button).await.unwrap();
    // Whatever changes meanwhile, the focus stays where it is.
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
        let own = acts.iter().any(|one| one == "oidc:ada@example.org approve");
        own.then_some(())
    });
    if let Err(error) = given.await {
        let (acts, text) = (world.acts().await, ada.text().await);
        panic!("{error}: {acts:?} {text:?}");
    }
    ada.until("3 of 3 current").await.unwrap();
    ada.until("succeeded").await.unwrap();
    // Who decided what, and how its waves went.
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

/// A page of somebody else, in the same browser, sends forms of its own.
async fn elsewhere(world: &World, ada: &Browser) {
    let before = world.acts().await.len();
    let form = format!(
        "const form = document.createElement('form'); form.method = 'post'; form.action = '{}'; \
         for (const [name, value] of [['action', 'pause'], ['environment', 'prod'], ['reason', 'x'], ['key', 'k']]) {{ \
         const field = document.createElement('input'); field.name = name; field.value = value; form.append(field); }} \
         document.body.append(form); HTMLFormElement.prototype.submit.call(form); return null",
        world.url("/act")
    );
    // Of another site: the session's cookie does not come along.
    ada.go("data:text/html,<title>elsewhere</title><p>hello")
        .await
        .unwrap();
    ada.until("hello").await.unwrap();
    ada.script(&form).await.unwrap();
    ada.until("Your session is over").await.unwrap();
    // Of the same host on another port: it does, and the browser says where the form is from.
    let neighbour = format!("{}/.well-known/openid-configuration", world.issuer.url);
    ada.go(&neighbour).await.unwrap();
    ada.until("authorization_endpoint").await.unwrap();
    ada.script(&form).await.unwrap();
    ada.until("not sent from a page of this site")
        .await
        .unwrap();
    assert_eq!(world.acts().await.len(), before);
}

/// How pages look, and whether everybody can use them.
async fn looks(world: &World, ada: &Browser) {
    let axe = axe();
    let id = {
        let request = v1::ListRolloutsRequest::default();
        let answer = world.operator.clone().list_rollouts(request).await.unwrap();
        answer.into_inner().rollouts[0].id.clone()
    };
    world.steer(v1::SteerAction::Pause, "lunch").await;
    // What waits for a person is on the first screen, and so judged, too.
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
    // A phone: nothing sticks out but what scrolls by itself.
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

/// Opens the first screen again until it says something: without its script a page does not follow.
async fn reloaded(world: &World, browser: &Browser, words: &str) {
    eventually(words, LIMIT, || async {
        browser.go(&world.url("/")).await.ok()?;
        browser.text().await.ok()?.contains(words).then_some(())
    })
    .await
    .unwrap();
}

/// Everything that a page is for works without its script.
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
    reloaded(world, &plain, "Nothing waits for anybody").await;
    plain.quit().await.unwrap();
}

/// Sessions end, and who may only look has nothing to press.
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
    // The role goes while the page is open: so does the page.
    let file = world.directory.path().join("oidc.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("vi@example.org", "no@example.org")).unwrap();
    vi.until("Not let in").await.unwrap();
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
    ada.until("Not let in").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_clusters_fit_in_a_page() {
    let Some(driver) = Driver::start().await.unwrap() else {
        return;
    };
    let world = World::new(&[], 10_000).await;
    let ada = open(&driver, "ada", true).await;
    eventually("ada is in", LIMIT, || async {
        ada.go(&world.url("/")).await.ok()?;
        let text = ada.text().await.ok()?;
        text.contains("Waits for a person").then_some(())
    })
    .await
    .unwrap();
    ada.until("0 of 10000 current").await.unwrap();
    let elements = "return document.querySelectorAll('*').length";
    let count = ada.script(elements).await.unwrap().as_u64().unwrap();
    assert!(count < 2000, "{count} elements on the first screen");
    picture(&ada, "ten-thousand").await;
    // Bars by what most of them are labelled with; a group that is opened has a thousand cells at most.
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
    // A list has pages; a filter says how many it found.
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
    world.hub.shutdown().await;
}

/// What a page cost: it is told (`--nocapture`), since a busy machine says nothing of time; its size as sent is
/// held.
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

/// A page that somebody leaves open neither grows nor burns: as many events as come in an hour
/// (`FLOTILLA_EVENTS=3600`; without that a third of it), replayed fast.
async fn left_open(world: &World, driver: &Driver) {
    let events: u32 = std::env::var("FLOTILLA_EVENTS").map_or(1200, |count| count.parse().unwrap());
    let browser = open(driver, "idle", true).await;
    // The stream is ours.
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

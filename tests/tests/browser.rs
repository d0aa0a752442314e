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

use flotilla_hub::fleet::ClusterRecord;
use flotilla_proto::v1;
use flotilla_proto::v1::fleet_service_client::FleetServiceClient;
use flotilla_shared::id::ClusterName;
use flotilla_tests::browser::{Browser, Driver, keys};
use flotilla_tests::eventually;
use flotilla_tests::git_server::GitServer;
use flotilla_tests::issuer::Issuer;
use flotilla_tests::repository::Repository;
use flotilla_tests::simulated::{Agent, FleetState};
use flotilla_tests::test_hub::TestHub;
use serde_json::json;
use tokio::sync::watch;
use tonic::transport::Channel;

#[path = "browser/looks.rs"]
mod looks;
#[path = "browser/many.rs"]
mod many;
#[path = "browser/person.rs"]
mod person;

/// Longest wait for anything: generous for busy machines, because nothing here measures time.
const LIMIT: Duration = Duration::from_secs(90);
/// HTML that an attacker would want a browser to interpret.
const HOSTILE: &str = "<img src=x onerror=\"window.__pwned=1\"><script>window.__pwned=1</script>";

struct World {
    directory: tempfile::TempDir,
    issuer: Issuer,
    hub: TestHub,
    operator: FleetServiceClient<Channel>,
    _repository: Repository,
    _git: GitServer,
    _stop: watch::Sender<bool>,
}

impl World {
    /// A hub with pages on plain loopback. Agents of `working` behave normally; those of `silent` have never
    /// connected.
    async fn new(working: &[(&str, &str, &str)], silent: usize) -> Self {
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
        let grants = "grants: [{group: sre, role: admin}, {user: vi@example.org, role: viewer}]";
        let hub = TestHub::builder()
            .at(root)
            .fleet(&fleet)
            .clusters(clusters)
            .poll(Duration::from_millis(300))
            .issuer(&issuer, grants)
            .pages(None)
            .start()
            .await
            .unwrap();
        let (stop, stopped) = watch::channel(false);
        let seen = Arc::new(FleetState::default());
        HOSTILE.clone_into(&mut seen.object.lock());
        let hubs = Arc::new(vec![hub.address.to_string()]);
        for (name, _, _) in working {
            let work = Duration::from_millis(50);
            let agent = Agent::new(&hub.enrolled, &name.parse().unwrap(), &hubs, work).unwrap();
            tokio::spawn(agent.run(Arc::clone(&seen), stopped.clone()));
        }
        Self {
            directory,
            issuer,
            operator: hub.operator("op").await.unwrap().api,
            _repository: repository,
            _git: git,
            hub,
            _stop: stop,
        }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.hub.pages.as_ref().unwrap())
    }

    /// A browser with scripts, after login.
    async fn let_in(&self, driver: &Driver, profile: &str) -> Browser {
        let browser = open(driver, profile, true).await;
        // The hub fetches the keys of the issuer in the background, and shows a message until it has them.
        eventually("somebody is in", LIMIT, || async {
            browser.go(&self.url("/")).await.ok()?;
            let text = browser.text().await.ok()?;
            text.contains("Needs attention").then_some(())
        })
        .await
        .unwrap();
        browser
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

    /// The actions in the audit log, newest last.
    async fn acts(&self) -> Vec<String> {
        let request = v1::ListAuditRequest::default();
        let answer = self.operator.clone().list_audit(request).await.unwrap();
        let entries = answer.into_inner().entries;
        entries
            .iter()
            .map(|entry| format!("{} {}", entry.actor, entry.action))
            .collect()
    }
}

fn ada(issuer: &Issuer) {
    issuer.with(|state| {
        state.user = "ada@example.org".to_owned();
        state.groups = vec!["sre".to_owned()];
    });
}

/// A browser that records violations of the content security policy.
async fn open(driver: &Driver, profile: &str, scripts: bool) -> Browser {
    let browser = driver.open(profile, scripts).await.unwrap();
    // Runs before any script of the page.
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

/// The directory for screenshots.
fn artefacts() -> PathBuf {
    match std::env::var_os("FLOTILLA_ARTEFACTS") {
        Some(directory) => PathBuf::from(directory).join("screenshots"),
        None => Path::new(env!("CARGO_TARGET_TMPDIR")).join("screenshots"),
    }
}

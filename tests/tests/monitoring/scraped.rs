//! Debian's Prometheus loads every rule and scrapes a running fleet, and each alert fires on its staged fault and on
//! nothing else.
//!
//! Only times in the rules are shortened, and only here: each `for:` is a second, and the two ages in expressions (ten
//! minutes without a fetch, a day behind) are five seconds. Windows, conditions and all other thresholds are as
//! shipped.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use flotilla_tests::eventually;
use flotilla_tests::ports::free_address;
use serde_json::Value;
use tokio::process::{Child, Command};

use crate::fleet::Fleet;
use crate::read;

const LIMIT: Duration = Duration::from_secs(120);

/// How long the firing alerts must be stable: three evaluations.
const SETTLED: Duration = Duration::from_secs(3);

/// Firing alerts with their subjects.
type FiringAlerts = BTreeSet<(String, String)>;

/// Each alert with the environment, repository or job of its fault. A halted rollout has also failed, and agents that
/// do not lead or have no stream are offline for the hub.
const EXPECTED: [(&str, &str); 14] = [
    ("FlotillaAgentDisconnected", "cut"),
    ("FlotillaAssignmentBehind", "behind"),
    ("FlotillaBranchUnread", "other"),
    ("FlotillaCertificateEnds", "ending"),
    ("FlotillaClustersFailed", "failed"),
    ("FlotillaClustersFailed", "halted"),
    ("FlotillaClustersOffline", "main"),
    ("FlotillaClustersOffline", "offline"),
    ("FlotillaDeletesHeld", "held"),
    ("FlotillaFight", "fought"),
    ("FlotillaHubNotStoring", "lonely-hub"),
    ("FlotillaNoLeader", "led"),
    ("FlotillaRolloutHalted", "halted"),
    ("FlotillaRolloutWaits", "waits"),
];

/// The rules with shortened times, and their number.
fn shortened() -> (String, usize) {
    let rules = read("deploy/monitoring/rules.yaml");
    let patience = regex::Regex::new(r"(?m)^        for: .*$").unwrap();
    let count = patience.find_iter(&rules).count();
    assert_eq!(count, rules.matches("- alert: ").count());
    let mut text = patience.replace_all(&rules, "        for: 1s").into_owned();
    for age in [
        "branch_read_age_seconds > 600",
        "source_behind_seconds) > 24 * 3600",
    ] {
        assert_eq!(text.matches(age).count(), 1, "{age}");
        let (metric, _) = age.split_once(" > ").unwrap();
        text = text.replace(age, &format!("{metric} > 5"));
    }
    (text, count)
}

struct Prometheus {
    child: Child,
    address: String,
    client: reqwest::Client,
}

impl Prometheus {
    fn start(program: &Path, directory: &Path, targets: &[(String, String)]) -> Self {
        std::fs::write(directory.join("rules.yaml"), shortened().0).unwrap();
        let jobs: Vec<Value> = targets
            .iter()
            .map(|(job, address)| {
                serde_json::json!({"job_name": job, "static_configs": [{"targets": [address]}]})
            })
            .collect();
        let config = serde_json::json!({
            "global": {"scrape_interval": "3s", "scrape_timeout": "3s", "evaluation_interval": "1s"},
            "rule_files": ["rules.yaml"],
            "scrape_configs": jobs,
        });
        std::fs::write(directory.join("prometheus.yml"), config.to_string()).unwrap();
        let address = free_address().unwrap();
        let child = Command::new(program)
            .args(["--config.file=prometheus.yml", "--storage.tsdb.path=data"])
            .arg(format!("--web.listen-address={address}"))
            .args(["--web.enable-lifecycle", "--log.level=error"])
            .current_dir(directory)
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let client = reqwest::Client::builder().no_proxy();
        let client = client.timeout(Duration::from_secs(10)).build().unwrap();
        Self {
            child,
            address,
            client,
        }
    }

    async fn ask(&self, path: &str) -> Option<Value> {
        let url = format!("http://{}/api/v1/{path}", self.address);
        let answer = self.client.get(url).send().await.ok()?;
        let value: Value = serde_json::from_str(&answer.text().await.ok()?).ok()?;
        (value["status"] == "success").then(|| value["data"].clone())
    }

    /// Adds scrape targets.
    async fn reload(&self, directory: &Path, targets: &[(String, String)]) {
        let path = directory.join("prometheus.yml");
        let text = std::fs::read_to_string(&path).unwrap();
        let mut config: Value = serde_json::from_str(&text).unwrap();
        let jobs = targets.iter().map(|(job, address)| {
            serde_json::json!({"job_name": job, "static_configs": [{"targets": [address]}]})
        });
        config["scrape_configs"] = jobs.collect();
        std::fs::write(path, config.to_string()).unwrap();
        let url = format!("http://{}/-/reload", self.address);
        assert!(
            self.client
                .post(url)
                .send()
                .await
                .unwrap()
                .status()
                .is_success()
        );
    }

    /// Waits until all targets are scraped and every rule has been evaluated without an error.
    async fn works(&self, targets: usize, rules: usize) {
        eventually(
            "every target is up and every rule evaluated",
            LIMIT,
            async || {
                let found = self.ask("targets?state=active").await?;
                let up = found["activeTargets"].as_array()?;
                let up = up.iter().filter(|target| target["health"] == "up").count();
                let found = self.ask("rules").await?;
                let groups = found["groups"].as_array()?;
                let all = groups.iter().flat_map(|group| group["rules"].as_array());
                let all: Vec<&Value> = all.flatten().collect();
                let well = all.iter().filter(|rule| rule["health"] == "ok").count();
                (up == targets && all.len() == rules && well == rules).then_some(())
            },
        )
        .await
        .unwrap();
    }

    async fn firing(&self) -> Option<FiringAlerts> {
        let found = self.ask("alerts").await?;
        let all = found["alerts"].as_array()?.iter();
        let all = all.filter(|alert| alert["state"] == "firing").map(|alert| {
            let label = |name: &str| alert["labels"][name].as_str().map(str::to_owned);
            let whose = ["environment", "repository", "job"]
                .into_iter()
                .find_map(label);
            (
                label("alertname").unwrap_or_default(),
                whose.unwrap_or_default(),
            )
        });
        Some(all.collect())
    }

    /// Waits until exactly these alerts fire, and still do after some evaluations.
    async fn fires(&self, what: &str, expected: &FiringAlerts) {
        let (mut last, mut since) = (FiringAlerts::new(), None);
        let deadline = Instant::now() + LIMIT;
        while Instant::now() < deadline {
            if let Some(firing) = self.firing().await {
                match firing == *expected {
                    true => since = since.or(Some(Instant::now())),
                    false => since = None,
                }
                last = firing;
            }
            if since.is_some_and(|since| since.elapsed() > SETTLED) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let missing: Vec<_> = expected.difference(&last).collect();
        let wrong: Vec<_> = last.difference(expected).collect();
        panic!("{what}: not within {LIMIT:?}: missing {missing:?}, wrong {wrong:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prometheus_scrapes_a_fleet_and_each_alert_fires_on_its_fault_alone() {
    let Some(program) = flotilla_needs::program("prometheus", None, &["prometheus"]) else {
        return;
    };
    let mut fleet = Fleet::start().await;
    let directory = tempfile::tempdir().unwrap();
    let (_, rules) = shortened();
    let mut prometheus = Prometheus::start(&program, directory.path(), &fleet.targets);
    prometheus.works(fleet.targets.len(), rules).await;
    prometheus
        .fires("a fleet that is well wakes nobody", &FiringAlerts::new())
        .await;

    fleet.break_everything().await;
    prometheus.reload(directory.path(), &fleet.targets).await;
    let expected: FiringAlerts = EXPECTED
        .iter()
        .map(|(alert, whose)| ((*alert).to_owned(), (*whose).to_owned()))
        .collect();
    let alerts: BTreeSet<&str> = EXPECTED.iter().map(|(alert, _)| *alert).collect();
    assert_eq!(alerts.len(), rules, "each rule has its fault");
    prometheus.fires("each fault is told of", &expected).await;
    prometheus.child.kill().await.unwrap();
    fleet.end().await;
}

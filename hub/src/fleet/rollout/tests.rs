mod blame;
mod cases;
mod failure;
mod laws;
mod offline;
mod told;
mod turns;
mod unchanged;
mod waves;
mod word;

use std::collections::{BTreeMap, BTreeSet};

use flotilla_shared::digest::Digest;
use flotilla_shared::id::ClusterName;
use flotilla_shared::problem::Problem;
use flotilla_shared::reason::Reason;
use jiff::{SignedDuration, Timestamp};

use super::*;
use crate::spec::{self, Strategy};

fn at(second: i64) -> Timestamp {
    Timestamp::new(1_790_000_000 + second, 0).unwrap()
}

fn strategy(yaml: &str) -> Strategy {
    let file = format!(
        "apiVersion: flotilla.dev/v1alpha1\nkind: Fleet\nenvironments:\n- name: prod\n  branch: prod\n  strategy: {yaml}\n"
    );
    let spec = spec::parse("f", &file).unwrap();
    spec.environments[0].strategy.clone().unwrap()
}

fn name(text: &str) -> ClusterName {
    text.parse().unwrap()
}

struct Bench {
    strategy: Strategy,
    rollout: Rollout,
    seen: BTreeMap<ClusterName, Observation>,
    joining: usize,
    paused: Option<String>,
    closed: Option<String>,
    held: Option<String>,
    failing: Option<String>,
    unanswered: Option<String>,
    approvals: BTreeMap<String, u32>,
}

impl Bench {
    fn new(yaml: &str, clusters: &[(&str, &str)]) -> Self {
        let strategy = strategy(yaml);
        let rollout = Rollout {
            id: "prod-1".to_owned(),
            environment: "prod".parse().unwrap(),
            target: Commits::new(),
            from: Commits::new(),
            from_id: String::new(),
            state: State::Pending,
            carried: Vec::new(),
            waves: Vec::new(),
            wave: 0,
            created_at: at(0),
            epoch: 1,
            started_at: None,
            ended_at: None,
            note: String::new(),
            blameless: false,
            changes: Vec::new(),
            strategy: None,
            clusters: BTreeMap::new(),
            stepped_at: None,
        };
        let mut bench = Self {
            strategy,
            rollout,
            seen: BTreeMap::new(),
            joining: 0,
            paused: None,
            closed: None,
            held: None,
            failing: None,
            unanswered: None,
            approvals: BTreeMap::new(),
        };
        bench.fleet(clusters);
        bench
    }

    /// Adds clusters with their tiers.
    fn fleet(&mut self, clusters: &[(&str, &str)]) {
        let labels = clusters
            .iter()
            .map(|(cluster, tier)| {
                let labels = [("tier".to_owned(), (*tier).to_owned())].into();
                (name(cluster), labels)
            })
            .collect();
        let waves = wave_of_each(&self.strategy, &labels);
        self.seen.retain(|name, _| labels.contains_key(name));
        for (cluster, labels) in &labels {
            let seen = self.seen.entry(cluster.clone()).or_insert(Observation {
                concerned: true,
                wave: 0,
                sort_key: "".into(),
                pinned: false,
                suspended: false,
                online: true,
                awaited: false,
                can_be_pinned: true,
                verdict: Verdict::NotYet,
                aside: None,
                blameless: false,
                heard_at: None,
                rendered_from: Digest::of(b"before"),
                change: Change::Unknown,
                carried: false,
            });
            seen.wave = waves[cluster];
            seen.sort_key = self.strategy.sort_key(labels).into();
        }
    }

    /// Steps each second up to this one, as a hub does.
    fn step(&mut self, second: i64) -> Vec<String> {
        let before: Vec<ClusterName> = self.touched();
        let last = self
            .rollout
            .stepped_at
            .map(|last| last.as_second() - at(0).as_second());
        let first = last
            .filter(|last| *last < second)
            .map_or(second, |last| last + 1);
        for second in first..=second {
            self.look(second);
        }
        self.touched()
            .into_iter()
            .filter(|name| !before.contains(name))
            .map(|name| name.to_string())
            .collect()
    }

    /// Takes one step; online clusters confirm their reports at once.
    fn look(&mut self, second: i64) -> Changes {
        for seen in self.seen.values_mut().filter(|seen| seen.online) {
            seen.heard_at = Some(at(second));
        }
        self.look_silently(second)
    }

    fn look_silently(&mut self, second: i64) -> Changes {
        let world = World {
            strategy: &self.strategy,
            clusters: &Vec::from_iter(self.seen.clone()),
            joining: self.joining,
            closed: self.closed.clone(),
            held: self.held.clone(),
            paused: self.paused.clone(),
            failing: self.failing.clone(),
            unanswered: self.unanswered.clone(),
            approvals: &self.approvals,
        };
        self.rollout.advance(&world, at(second))
    }

    fn phase(&self, cluster: &str) -> Phase {
        self.rollout.clusters[&name(cluster)].phase
    }

    /// A newer commit takes over.
    fn supersede(&mut self, second: i64) {
        let clusters = self.rollout.carry(at(second));
        self.rollout = Rollout {
            state: State::Pending,
            wave: 0,
            started_at: None,
            ended_at: None,
            note: String::new(),
            blameless: false,
            clusters,
            stepped_at: None,
            ..self.rollout.clone()
        };
        for seen in self.seen.values_mut() {
            seen.verdict = Verdict::NotYet;
        }
    }

    fn touched(&self) -> Vec<ClusterName> {
        let all = self.rollout.clusters.iter();
        all.filter(|(_, progress)| progress.phase.is_touched())
            .map(|(name, _)| name.clone())
            .collect()
    }

    fn says(&mut self, clusters: &[&str], verdict: &Verdict) {
        for cluster in clusters {
            self.seen.get_mut(&name(cluster)).unwrap().verdict = verdict.clone();
        }
    }

    fn healthy(&mut self, clusters: &[&str]) {
        self.says(clusters, &Verdict::Healthy(Digest::of(b"after")));
    }

    fn online(&mut self, clusters: &[&str], online: bool) {
        for cluster in clusters {
            self.seen.get_mut(&name(cluster)).unwrap().online = online;
        }
    }
}

fn failing(reason: Reason, message: &str) -> Verdict {
    Verdict::Failed(Problem::new(reason, message))
}

fn progressing(reason: Reason, message: &str) -> Verdict {
    Verdict::Progressing(Problem::new(reason, message))
}

fn bad() -> Verdict {
    failing(Reason::Unhealthy, "Deployment web/web: crashes")
}

const TIERS: &[(&str, &str)] = &[
    ("a", "canary"),
    ("b", "prod"),
    ("c", "prod"),
    ("d", "prod"),
    ("e", "edge"),
];

//! Metrics in the format of Prometheus (OpenMetrics text). Names begin with `flotilla_hub_`; label values come from
//! enums and the fleet file, so their number is limited.

use std::sync::Arc;
use std::time::Duration;

use flotilla_shared::id::{EnvironmentName, RepositoryName};
use jiff::Timestamp;
use parking_lot::Mutex;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use crate::fleet::rollout::State;
use crate::fleet::{Connectivity, Fleet, OFFLINE_AFTER};

type Labels = Vec<(&'static str, String)>;

fn seconds() -> Histogram {
    // 1 ms to a little over a minute.
    Histogram::new(exponential_buckets(0.001, 2.0, 17))
}

fn long_seconds() -> Histogram {
    // Half a second to a little over four hours.
    Histogram::new(exponential_buckets(0.5, 2.0, 16))
}

/// All metrics of the hub.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Mutex<Registry>>,
    clusters: Family<Labels, Gauge>,
    rollouts: Family<Labels, Gauge>,
    rollout_clusters: Family<Labels, Gauge>,
    head_age: Family<Labels, Gauge>,
    batch: Histogram,
    batch_size: Histogram,
    store_errors: Counter,
    assignments: Counter,
    streams: Counter,
    streams_ended: Counter,
    polls: Family<Labels, Counter>,
    poll_time: Histogram,
    tree_reads: Family<Labels, Counter>,
    hooks: Family<Labels, Counter>,
    forge_calls: Family<Labels, Counter>,
    notifications: Family<Labels, Counter>,
    push_to_applied: Family<Labels, Histogram, fn() -> Histogram>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Makes new metrics.
    #[must_use]
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("flotilla_hub");
        let metrics = Self {
            registry: Arc::new(Mutex::new(Registry::default())),
            clusters: Family::default(),
            rollouts: Family::default(),
            rollout_clusters: Family::default(),
            head_age: Family::default(),
            batch: seconds(),
            batch_size: Histogram::new(exponential_buckets(1.0, 4.0, 8)),
            store_errors: Counter::default(),
            assignments: Counter::default(),
            streams: Counter::default(),
            streams_ended: Counter::default(),
            polls: Family::default(),
            poll_time: seconds(),
            tree_reads: Family::default(),
            hooks: Family::default(),
            forge_calls: Family::default(),
            notifications: Family::default(),
            push_to_applied: Family::new_with_constructor(long_seconds),
        };
        metrics.register_fleet(&mut registry);
        metrics.register_store(&mut registry);
        metrics.register_streams(&mut registry);
        metrics.register_git(&mut registry);
        metrics.register_calls(&mut registry);
        metrics.register_delays(&mut registry);
        Self {
            registry: Arc::new(Mutex::new(registry)),
            ..metrics
        }
    }

    /// Registers the metrics of [`Self::look_at`].
    fn register_fleet(&self, registry: &mut Registry) {
        registry.register(
            "clusters",
            "Clusters by environment and state: online, offline, pending, neverSeen, current, failed",
            self.clusters.clone(),
        );
        registry.register(
            "rollouts",
            "The last rollout of each environment by state; 1 for the state it is in",
            self.rollouts.clone(),
        );
        registry.register(
            "rollout_clusters",
            "Clusters of the last rollout of each environment by phase",
            self.rollout_clusters.clone(),
        );
        registry.register_with_unit(
            "branch_read_age",
            "Time since the last successful read of a branch",
            Unit::Seconds,
            self.head_age.clone(),
        );
    }

    /// Registers the metrics of the store.
    fn register_store(&self, registry: &mut Registry) {
        registry.register_with_unit(
            "store_batch_duration",
            "Time to store one batch of decisions",
            Unit::Seconds,
            self.batch.clone(),
        );
        registry.register(
            "store_batch_effects",
            "Effects in one batch of decisions",
            self.batch_size.clone(),
        );
        registry.register(
            "store_errors",
            "Batches that could not be stored",
            self.store_errors.clone(),
        );
    }

    /// Registers the metrics of agents' streams.
    fn register_streams(&self, registry: &mut Registry) {
        registry.register(
            "assignments_sent",
            "Assignments sent on agents' streams",
            self.assignments.clone(),
        );
        registry.register(
            "streams_opened",
            "Agents' streams opened",
            self.streams.clone(),
        );
        registry.register(
            "streams_ended",
            "Agents' streams ended",
            self.streams_ended.clone(),
        );
    }

    /// Registers the metrics of reading repositories.
    fn register_git(&self, registry: &mut Registry) {
        registry.register(
            "git_looks",
            "Polls of repositories by outcome",
            self.polls.clone(),
        );
        registry.register_with_unit(
            "git_look_duration",
            "Duration of one poll of a repository",
            Unit::Seconds,
            self.poll_time.clone(),
        );
        registry.register(
            "git_tree_reads",
            "Reads of commits' directories by outcome",
            self.tree_reads.clone(),
        );
    }

    /// Registers the metrics of webhooks, calls to forges and notifications.
    fn register_calls(&self, registry: &mut Registry) {
        registry.register(
            "webhooks",
            "Webhook calls by provider and outcome",
            self.hooks.clone(),
        );
        registry.register(
            "forge_calls",
            "Calls to forges by host, call and outcome",
            self.forge_calls.clone(),
        );
        registry.register(
            "notifications",
            "Messages to targets by outcome: ok, failed (will be retried), dead (given up)",
            self.notifications.clone(),
        );
    }

    /// Registers the metrics of delays.
    fn register_delays(&self, registry: &mut Registry) {
        registry.register_with_unit(
            "push_to_applied",
            "Time from the push (or first sight of the commit) until a cluster reports it healthy",
            Unit::Seconds,
            self.push_to_applied.clone(),
        );
    }

    /// Counts a stored batch.
    pub fn stored(&self, took: Duration, effects: usize) {
        self.batch.observe(took.as_secs_f64());
        self.batch_size
            .observe(f64::from(u32::try_from(effects).unwrap_or(u32::MAX)));
    }

    /// Counts a batch that could not be stored.
    pub fn store_failed(&self) {
        self.store_errors.inc();
    }

    /// Counts an assignment that was sent.
    pub fn assignment_sent(&self) {
        self.assignments.inc();
    }

    /// Counts an opened stream.
    pub fn stream_opened(&self) {
        self.streams.inc();
    }

    /// Counts an ended stream.
    pub fn stream_ended(&self) {
        self.streams_ended.inc();
    }

    /// Counts a poll of a repository.
    pub fn polled(&self, repository: &RepositoryName, outcome: &str, took: Duration) {
        let labels = vec![
            ("repository", repository.to_string()),
            ("outcome", outcome.to_owned()),
        ];
        self.polls.get_or_create(&labels).inc();
        self.poll_time.observe(took.as_secs_f64());
    }

    /// Counts a read of a commit's directories.
    pub fn trees_read(&self, repository: &RepositoryName, outcome: &str) {
        let labels = vec![
            ("repository", repository.to_string()),
            ("outcome", outcome.to_owned()),
        ];
        self.tree_reads.get_or_create(&labels).inc();
    }

    /// Counts a message to a target.
    pub fn notified(&self, target: &str, outcome: &'static str) {
        let labels = vec![
            ("target", target.to_owned()),
            ("outcome", outcome.to_owned()),
        ];
        self.notifications.get_or_create(&labels).inc();
    }

    /// Counts a call to a forge.
    pub fn forge_asked(&self, host: &str, call: &'static str, outcome: &'static str) {
        let labels = vec![
            ("host", host.to_owned()),
            ("call", call.to_owned()),
            ("outcome", outcome.to_owned()),
        ];
        self.forge_calls.get_or_create(&labels).inc();
    }

    /// Counts a webhook call.
    pub fn hooked(&self, provider: &'static str, outcome: &'static str) {
        let labels = vec![
            ("provider", provider.to_owned()),
            ("outcome", outcome.to_owned()),
        ];
        self.hooks.get_or_create(&labels).inc();
    }

    /// Records the time until a cluster runs a commit, healthy.
    pub fn applied(&self, environment: &EnvironmentName, took: Duration) {
        let labels = vec![("environment", environment.to_string())];
        self.push_to_applied
            .get_or_create(&labels)
            .observe(took.as_secs_f64());
    }

    /// Updates the gauges from the fleet.
    pub fn look_at(&self, fleet: &Fleet, now: Timestamp) {
        self.clusters.clear();
        self.rollouts.clear();
        self.rollout_clusters.clear();
        self.head_age.clear();
        for (name, cluster) in fleet.clusters() {
            let environment = fleet
                .environment_of(name)
                .map_or(String::new(), |e| e.to_string());
            let add = |state: &str| {
                let labels = vec![
                    ("environment", environment.clone()),
                    ("state", state.to_owned()),
                ];
                self.clusters.get_or_create(&labels).inc();
            };
            let connection = cluster.connection(now, OFFLINE_AFTER);
            add(match connection {
                Connectivity::Pending => "pending",
                Connectivity::NeverSeen => "neverSeen",
                Connectivity::Online { .. } => "online",
                Connectivity::Offline => "offline",
            });
            if matches!(connection, Connectivity::Online { .. }) && cluster.is_current() {
                add("current");
            }
            let (sync, health) = cluster.worst();
            if health == flotilla_shared::health::Health::Failed
                || sync == flotilla_shared::health::SyncState::Refused
            {
                add("failed");
            }
        }
        for rollout in fleet.rollouts().values() {
            let environment = rollout.environment.to_string();
            for state in State::ALL {
                let labels = vec![
                    ("environment", environment.clone()),
                    ("state", state.as_str().to_owned()),
                ];
                let value = i64::from(state == rollout.state);
                self.rollouts.get_or_create(&labels).set(value);
            }
            for progress in rollout.clusters.values() {
                let labels = vec![
                    ("environment", environment.clone()),
                    ("phase", progress.phase.as_str().to_owned()),
                ];
                self.rollout_clusters.get_or_create(&labels).inc();
            }
        }
        for ((repository, branch), head) in fleet.heads() {
            let Some(checked) = head.checked_at else {
                continue;
            };
            let labels = vec![
                ("repository", repository.to_string()),
                ("branch", branch.to_string()),
            ];
            let age = now.duration_since(checked).as_secs();
            self.head_age.get_or_create(&labels).set(age);
        }
    }

    /// Returns all metrics as text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String does not fail.
        let _ = encode(&mut text, &self.registry.lock());
        text
    }
}

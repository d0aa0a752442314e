//! Metrics for Prometheus. Names follow its conventions: `_total` for counters, base units.

use std::sync::Arc;
use std::time::Duration;

use flotilla_shared::health::{Health, SyncState};
use flotilla_shared::report::ApplicationReport;
use http::Method;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    method: String,
    code: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Application {
    application: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Info {
    application: String,
    sync_status: String,
    health_status: String,
    reason: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Objects {
    application: String,
    health: String,
}

#[derive(Debug)]
struct Inner {
    requests: Family<Request, Counter>,
    request_seconds: Histogram,
    info: Family<Info, Gauge>,
    objects: Family<Objects, Gauge>,
    passes: Family<Application, Counter>,
    pass_seconds: Histogram,
    render_seconds: Histogram,
    written: Family<Application, Counter>,
    pruned: Family<Application, Counter>,
    drifted: Family<Application, Counter>,
    differing: Family<Application, Gauge>,
    behind: Family<Application, Gauge>,
    connected: Gauge,
    leader: Gauge,
    generation: Gauge,
    certificate: Gauge,
}

/// The agent's counters. Cheap to clone; every clone counts into the same.
#[derive(Debug, Clone)]
pub struct Metrics {
    inner: Arc<Inner>,
}

impl Default for Metrics {
    fn default() -> Self {
        let seconds = || Histogram::new(exponential_buckets(0.001, 2.0, 16));
        Self {
            inner: Arc::new(Inner {
                requests: Family::default(),
                request_seconds: seconds(),
                info: Family::default(),
                objects: Family::default(),
                passes: Family::default(),
                pass_seconds: seconds(),
                render_seconds: seconds(),
                written: Family::default(),
                pruned: Family::default(),
                drifted: Family::default(),
                differing: Family::default(),
                behind: Family::default(),
                connected: Gauge::default(),
                leader: Gauge::default(),
                generation: Gauge::default(),
                certificate: Gauge::default(),
            }),
        }
    }
}

impl Metrics {
    /// Everything in the text format of OpenMetrics.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut registry = Registry::with_prefix("flotilla_agent");
        let m = &*self.inner;
        registry.register(
            "apiserver_requests",
            "Requests to the API server",
            m.requests.clone(),
        );
        registry.register_with_unit(
            "apiserver_request_duration",
            "Duration of requests to the API server",
            Unit::Seconds,
            m.request_seconds.clone(),
        );
        registry.register(
            "app_info",
            "Applications, by sync and health",
            m.info.clone(),
        );
        registry.register(
            "app_objects",
            "Managed objects, by health",
            m.objects.clone(),
        );
        registry.register("reconcile", "Reconcile passes", m.passes.clone());
        registry.register_with_unit(
            "reconcile_duration",
            "Duration of a reconcile pass",
            Unit::Seconds,
            m.pass_seconds.clone(),
        );
        registry.register_with_unit(
            "render_duration",
            "Time to fetch and render a commit",
            Unit::Seconds,
            m.render_seconds.clone(),
        );
        registry.register("apply_operations", "Objects written", m.written.clone());
        registry.register("prune_operations", "Objects deleted", m.pruned.clone());
        registry.register(
            "drift_corrections",
            "Drifted objects that were corrected",
            m.drifted.clone(),
        );
        registry.register(
            "drifted_objects",
            "Drifted objects that are not corrected: only reported, or contested",
            m.differing.clone(),
        );
        registry.register(
            "source_behind_seconds",
            "How long the branch has been ahead of the assigned commit",
            m.behind.clone(),
        );
        registry.register(
            "connection_status",
            "1 if a stream to the hub is open",
            m.connected.clone(),
        );
        registry.register("leader", "1 if this pod is the leader", m.leader.clone());
        registry.register(
            "accepted_generation",
            "Generation of the assignment in force",
            m.generation.clone(),
        );
        registry.register(
            "certificate_expires_timestamp_seconds",
            "End of the certificate's validity, Unix time",
            m.certificate.clone(),
        );
        let mut text = String::new();
        // Writing into a String does not fail.
        let _ = prometheus_client::encoding::text::encode(&mut text, &registry);
        text
    }

    pub(crate) fn request(&self, method: &Method, code: u16, took: Duration) {
        let labels = Request {
            method: method.to_string(),
            code: u32::from(code),
        };
        self.inner.requests.get_or_create(&labels).inc();
        self.inner.request_seconds.observe(took.as_secs_f64());
    }

    /// Returns the number of requests of a method, for tests and benchmarks.
    #[must_use]
    pub fn requests(&self, method: &Method) -> u64 {
        let text = method.to_string();
        let codes = [0, 200, 400, 403, 404, 409, 410, 413, 422, 429, 500, 503];
        codes
            .into_iter()
            .map(|code| Request {
                method: text.clone(),
                code,
            })
            .filter_map(|labels| {
                self.inner
                    .requests
                    .get(&labels)
                    .map(|counter| counter.get())
            })
            .sum()
    }

    pub(crate) fn rendered(&self, took: Duration) {
        self.inner.render_seconds.observe(took.as_secs_f64());
    }

    /// A pass ended.
    pub(crate) fn pass(
        &self,
        application: &str,
        took: Duration,
        outcome: &crate::cluster::outcome::PassOutcome,
    ) {
        let labels = Application {
            application: application.to_owned(),
        };
        let m = &*self.inner;
        m.passes.get_or_create(&labels).inc();
        m.pass_seconds.observe(took.as_secs_f64());
        let count = |family: &Family<Application, Counter>, number: u32| {
            family.get_or_create(&labels).inc_by(u64::from(number));
        };
        count(&m.written, outcome.written);
        count(&m.pruned, outcome.pruned);
        count(&m.drifted, outcome.drifted);
        m.differing
            .get_or_create(&labels)
            .set(i64::from(outcome.differing));
    }

    /// Sets the current state of an application and removes the previous one.
    pub(crate) fn application(
        &self,
        application: &str,
        before: (SyncState, Health, String),
        report: &ApplicationReport,
    ) {
        let labels = |(sync, health, reason): (SyncState, Health, String)| Info {
            application: application.to_owned(),
            sync_status: sync.to_string(),
            health_status: health.to_string(),
            reason,
        };
        let reason = report.reason.map(|reason| reason.to_string());
        self.inner.info.remove(&labels(before));
        self.inner
            .info
            .get_or_create(&labels((
                report.sync,
                report.health,
                reason.unwrap_or_default(),
            )))
            .set(1);
        let counts = &report.counts;
        for (health, number) in [
            (Health::Current, counts.current),
            (Health::Suspended, counts.suspended),
            (Health::InProgress, counts.in_progress),
            (Health::Failed, counts.failed),
            (Health::Terminating, counts.terminating),
            (Health::NotFound, counts.not_found),
            (Health::Unknown, counts.unknown),
        ] {
            let labels = Objects {
                application: application.to_owned(),
                health: health.to_string(),
            };
            self.inner
                .objects
                .get_or_create(&labels)
                .set(i64::from(number));
        }
    }

    /// Sets how long the branch has been ahead of the assigned commit (V6).
    pub(crate) fn behind(&self, application: &str, behind: Duration) {
        let labels = Application {
            application: application.to_owned(),
        };
        let seconds = i64::try_from(behind.as_secs()).unwrap_or(i64::MAX);
        self.inner.behind.get_or_create(&labels).set(seconds);
    }

    pub(crate) fn connected(&self, connected: bool) {
        self.inner.connected.set(i64::from(connected));
    }

    pub(crate) fn leader(&self, leader: bool) {
        self.inner.leader.set(i64::from(leader));
    }

    pub(crate) fn generation(&self, generation: u64) {
        self.inner
            .generation
            .set(i64::try_from(generation).unwrap_or(i64::MAX));
    }

    pub(crate) fn certificate(&self, expires_at: jiff::Timestamp) {
        self.inner.certificate.set(expires_at.as_second());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_shown_once_under_its_name() {
        let metrics = Metrics::default();
        metrics.request(&Method::PATCH, 409, Duration::from_millis(3));
        let mut report = ApplicationReport::default();
        let fresh = || (SyncState::default(), Health::default(), String::new());
        metrics.application("web", fresh(), &report);
        report.sync = SyncState::Refused;
        metrics.application("web", fresh(), &report);
        let text = metrics.encode();
        assert!(
            text.contains(
                "flotilla_agent_apiserver_requests_total{method=\"PATCH\",code=\"409\"} 1"
            )
        );
        let infos = text
            .lines()
            .filter(|line| line.starts_with("flotilla_agent_app_info{"));
        assert_eq!(infos.count(), 1, "{text}");
        assert_eq!(metrics.requests(&Method::PATCH), 1);
    }
}

//! State shared by all workers of a cluster.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::registry::Registry;
use crate::cluster::Cluster;
use crate::metrics::Metrics;
use crate::policy::Policy;
use crate::source::Source;

/// State shared by all workers.
pub(super) struct Shared {
    pub(super) cluster: Cluster,
    pub(super) source: Source,
    pub(super) policy: Arc<Policy>,
    pub(super) interval: Duration,
    pub(super) registry: Registry,
    pub(super) metrics: Metrics,
    /// Passes and fetches at once.
    pub(super) passes: Semaphore,
    pub(super) fetches: Semaphore,
}

//! Wiring: configuration in, a running agent out.
//!
//! Of all pods of a cluster one holds the lease; only it opens a stream to the hub, watches and writes.
//! The others stand by at almost no cost.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use flotilla_disk::Lock;
use rand::Rng as _;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::api::access;
use crate::args::Run;
use crate::cluster::{Cluster, Options};
use crate::events::Event;
use crate::fence::Fence;
use crate::health::Rules;
use crate::leader::Elector;
use crate::ledger::Ledger;
use crate::metrics::Metrics;
use crate::observe::managers::Managers;
use crate::policy::Policy;
use crate::policy_file;
use crate::serve::{self, Readiness};
use crate::work::{self, Work};

/// An agent that works.
pub struct Running {
    stop: CancellationToken,
    task: JoinHandle<()>,
    policy: Arc<Policy>,
    cluster: Cluster,
    /// Whether a stream to the hub is open.
    pub connected: watch::Receiver<bool>,
    /// Address that serves metrics.
    pub listens: Option<std::net::SocketAddr>,
    /// The agent's metrics.
    pub metrics: Metrics,
}

impl Running {
    /// The policy in force.
    #[must_use]
    pub fn policy(&self) -> Arc<Policy> {
        Arc::clone(&self.policy)
    }

    /// Writes an Event about the agent as a whole.
    pub fn tell(&self, event: Event) {
        self.cluster.tell("", event);
    }

    /// Stops between two requests; the next start finishes what was under way.
    pub async fn shutdown(self) {
        self.stop.cancel();
        if tokio::time::timeout(Duration::from_secs(9), self.task)
            .await
            .is_err()
        {
            tracing::warn!("the agent did not stop in time");
        }
    }
}

/// Only one process may use a data directory.
fn lock(directory: &std::path::Path) -> anyhow::Result<Lock> {
    let name = || directory.display().to_string();
    std::fs::create_dir_all(directory).with_context(name)?;
    Lock::take(&directory.join("lock"))
        .with_context(name)?
        .with_context(|| format!("{}: another agent uses this directory", directory.display()))
}

/// The name of this process in the election. In a pod it is the pod's name; elsewhere it consists of
/// the machine's name and the data directory, which the lock keeps from being used twice.
fn instance(run: &Run) -> String {
    if let Some(name) = &run.instance {
        return name.clone();
    }
    let host = std::fs::read_to_string("/etc/hostname").unwrap_or_default();
    let directory = std::fs::canonicalize(&run.data_dir).unwrap_or_else(|_| run.data_dir.clone());
    format!("{}:{}", host.trim(), directory.display())
}

/// Starts an agent.
///
/// # Errors
/// When policy, ledger, identity or cluster configuration cannot be used.
pub async fn start(run: Run) -> anyhow::Result<Running> {
    let policy = Arc::new(policy_file::read(run.policy.as_deref())?);
    let lock = lock(&run.data_dir)?;
    // Read now, so that a damaged ledger is reported at the start and not only once the lease is held.
    Ledger::new(&run.data_dir).load()?;
    let metrics = Metrics::default();
    let interval = run.interval;
    let options = Options {
        namespace: run.api.namespace.clone(),
        rate: policy.requests_per_second,
        patience: interval,
        rules: Arc::new(Rules::new(&policy.health_rules)?),
        managers: Arc::new(Managers::from(&policy.managers)),
        fence: Fence::closed(),
        metrics: metrics.clone(),
        ..Options::default()
    };
    let client = access::client(
        run.api.kubeconfig.as_deref(),
        run.api.context.as_deref(),
        access::CHECK_INTERVAL,
    )
    .await?;
    let cluster = Cluster::new(client, options);
    let stop = CancellationToken::new();
    let (readiness, readiness_end) = watch::channel(Readiness::default());
    let listens = match run.listen {
        Some(address) => {
            let serving = serve::start(address, metrics.clone(), readiness_end, stop.clone());
            Some(
                serving
                    .await
                    .with_context(|| format!("cannot listen on {address}"))?,
            )
        }
        None => None,
    };
    let (connected, connected_end) = watch::channel(false);
    let supervisor = Supervisor {
        elector: cluster.elector(instance(&run)),
        work: work::Shared {
            share: run.share_identity || run.api.kubeconfig.is_none(),
            run: Arc::new(run),
            cluster: cluster.clone(),
            policy: Arc::clone(&policy),
            interval,
            metrics: metrics.clone(),
            instance: format!("{:016x}", rand::rng().random::<u64>()),
            connected: Arc::new(connected),
        },
        readiness,
        metrics: metrics.clone(),
        _lock: lock,
    };
    Ok(Running {
        task: tokio::spawn(supervisor.run(stop.clone())),
        stop,
        policy,
        cluster,
        connected: connected_end,
        listens,
        metrics,
    })
}

/// Runs the work while this pod is the leader, and stands by otherwise.
struct Supervisor {
    elector: Elector,
    work: work::Shared,
    readiness: watch::Sender<Readiness>,
    metrics: Metrics,
    _lock: Lock,
}

impl Supervisor {
    async fn run(mut self, stop: CancellationToken) {
        loop {
            self.ready("standing by");
            self.metrics.leader(false);
            if !self.elector.acquire(&stop).await {
                return;
            }
            self.metrics.leader(true);
            self.ready("leads");
            let lead = stop.child_token();
            let ended = match Work::start(&self.work, lead.clone()).await {
                Ok(work) => {
                    self.elector.hold(&lead).await;
                    lead.cancel();
                    work.ended().await;
                    Duration::ZERO
                }
                Err(error) => {
                    let message = format!("{error:#}");
                    tracing::error!(
                        error = message,
                        "cannot start work: manual action required; retrying in 10 seconds"
                    );
                    self.unready(&message);
                    lead.cancel();
                    Duration::from_secs(10)
                }
            };
            // Released, so that the next pod does not have to wait for the lease to expire.
            self.elector.release().await;
            tokio::select! {
                () = tokio::time::sleep(ended) => {}
                () = stop.cancelled() => return,
            }
            if stop.is_cancelled() {
                return;
            }
        }
    }

    fn ready(&self, message: &str) {
        self.readiness.send_replace(Readiness {
            ready: true,
            message: message.to_owned(),
        });
    }

    /// Reports that the work failed.
    fn unready(&self, message: &str) {
        self.readiness.send_replace(Readiness {
            ready: false,
            message: message.to_owned(),
        });
    }
}

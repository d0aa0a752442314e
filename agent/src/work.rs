//! The work of the leading pod: the reconcile loop, the stream to the hub, and the copies from which
//! the next leader starts.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use flotilla_git::Limits;
use flotilla_shared::report::Report;
use flotilla_shared::wire::DecodedAssignment;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::args::Run;
use crate::cluster::{Cluster, ClusterFacts};
use crate::connection::{Connection, Pace};
use crate::fence::Fence;
use crate::identity::{self, CertifiedIdentity, IdentityFiles, MountedIdentity};
use crate::ledger::Ledger;
use crate::metrics::Metrics;
use crate::policy::Policy;
use crate::reconcile::{Question, Reconciler, RequestedJobs};
use crate::source::{Admission, Source};

/// The Secret with key and certificate, in the agent's namespace.
const IDENTITY: &str = "flotilla-agent-identity";
/// The ConfigMap with the last accepted assignment, in the agent's namespace.
const LEDGER: &str = "flotilla-agent-ledger";

/// The ConfigMap with the commits that were accepted, in the agent's namespace.
const TRUST: &str = "flotilla-agent-accepted";

/// Interval at which an agent without an identity checks whether the cause has been removed: a mounted
/// Secret can change at any time, and a hub counts bad tokens.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// State that outlives one term as leader.
pub(crate) struct Shared {
    pub(crate) run: Arc<Run>,
    pub(crate) cluster: Cluster,
    pub(crate) policy: Arc<Policy>,
    pub(crate) interval: Duration,
    pub(crate) metrics: Metrics,
    pub(crate) instance: String,
    pub(crate) connected: Arc<watch::Sender<bool>>,
    /// Whether identity and ledger are also stored in the cluster.
    pub(crate) share: bool,
}

impl Shared {
    /// The assignment that was accepted last, as this disk or the copy in the cluster has it.
    async fn accepted(&self, ledger: &Ledger) -> anyhow::Result<Option<Arc<DecodedAssignment>>> {
        let copy = self
            .copy(LEDGER, "cannot read the ledger's copy in the cluster")
            .await?;
        Ok(ledger.load_with(copy.as_deref())?.map(Arc::new))
    }

    /// The record of accepted commits, from this disk or from the copy in the cluster.
    async fn admission(&self) -> anyhow::Result<Arc<Admission>> {
        let failure = "cannot read the copy of the accepted commits in the cluster";
        let copy = self.copy(TRUST, failure).await?;
        let policy = Arc::clone(&self.policy);
        let admission = Admission::open(&self.run.data_dir, policy, copy.as_deref())?;
        Ok(Arc::new(admission))
    }

    /// A copy that the last leader stored in the cluster. None: there is none, or nothing is
    /// shared. `failure` is the message if it cannot be read.
    async fn copy(&self, name: &str, failure: &'static str) -> anyhow::Result<Option<Vec<u8>>> {
        if self.share {
            let copy = self.cluster.read_record(name).await;
            copy.context(failure)
        } else {
            Ok(None)
        }
    }

    /// Git, with the credentials and keys that this process was started with.
    fn source(&self, admission: &Arc<Admission>) -> Source {
        let run = &self.run;
        Source::new(
            run.data_dir.join("git"),
            Limits::default(),
            run.secrets.git_credentials.clone(),
            Arc::clone(admission),
        )
        .with_age_keys(run.secrets.sops_age_keys.clone())
    }

    /// Where the identity is stored, or mounted by another authority.
    fn files(&self) -> IdentityFiles {
        let run = &self.run;
        let mounted = run.identity_dir.clone().map(|directory| MountedIdentity {
            directory,
            roots: run.trust_bundle.clone(),
            cluster: run.cluster.clone(),
        });
        IdentityFiles::new(&run.data_dir).mounted(mounted)
    }

    /// Everything needed to obtain a certificate.
    fn link(&self, files: IdentityFiles) -> Link {
        Link {
            run: Arc::clone(&self.run),
            cluster: self.cluster.clone(),
            // A mounted identity is the same for all pods already.
            share: self.share && !files.is_mounted(),
            files,
            metrics: self.metrics.clone(),
            fence: self.cluster.fence(),
        }
    }
}

/// One term of leading.
pub(crate) struct Work {
    tasks: Vec<JoinHandle<()>>,
}

impl Work {
    /// Starts the work of a leading pod.
    ///
    /// # Errors
    /// When the ledger cannot be used.
    pub(crate) async fn start(shared: &Shared, stop: CancellationToken) -> anyhow::Result<Self> {
        let ledger = Ledger::new(&shared.run.data_dir);
        let accepted = shared.accepted(&ledger).await?;
        let admission = shared.admission().await?;
        let (accepted, accepted_end) = watch::channel(accepted);
        let (reports, reports_end) = watch::channel(None);
        let (renewed, renewed_end) = watch::channel(0);
        let (kept, kept_end) = watch::channel(0);
        let (questions, questions_end) = mpsc::channel(2);
        let (gate_jobs, gate_jobs_end) = watch::channel(Arc::default());
        let reconciler = Reconciler {
            cluster: shared.cluster.clone(),
            source: shared.source(&admission),
            policy: Arc::clone(&shared.policy),
            interval: shared.interval,
            accepted: accepted_end.clone(),
            reports,
            questions: questions_end,
            gate_jobs: gate_jobs_end,
            metrics: shared.metrics.clone(),
        };
        // The reconcile loop starts first and alone: with the hub away the last assignment stays in force (I6).
        let mut tasks = vec![tokio::spawn(reconciler.run(stop.clone()))];
        let files = shared.files();
        if shared.share {
            let copies = Copies {
                cluster: shared.cluster.clone(),
                files: files.clone(),
                accepted: accepted_end,
                trusted: admission.changes(),
                admission,
                renewed: renewed_end,
                kept,
            };
            tasks.push(tokio::spawn(copies.run(stop.clone())));
        }
        let dialer = Dialer {
            link: shared.link(files),
            instance: shared.instance.clone(),
            connected: Arc::clone(&shared.connected),
            ledger,
            accepted,
            reports: reports_end,
            renewed,
            kept: kept_end,
            questions,
            gate_jobs,
        };
        tasks.push(tokio::spawn(dialer.run(stop)));
        Ok(Self { tasks })
    }

    /// Waits until everything has stopped.
    pub(crate) async fn ended(self) {
        for task in self.tasks {
            if tokio::time::timeout(Duration::from_secs(8), task)
                .await
                .is_err()
            {
                tracing::warn!("a task did not end in time");
            }
        }
    }
}

/// Everything that the connection needs to start, as soon as there is a certificate.
struct Dialer {
    link: Link,
    instance: String,
    connected: Arc<watch::Sender<bool>>,
    ledger: Ledger,
    accepted: watch::Sender<Option<Arc<DecodedAssignment>>>,
    reports: watch::Receiver<Option<Arc<Report>>>,
    renewed: watch::Sender<u64>,
    kept: watch::Receiver<u64>,
    questions: mpsc::Sender<Question>,
    gate_jobs: watch::Sender<RequestedJobs>,
}

impl Dialer {
    /// Enrols, and then maintains a stream until it is stopped.
    async fn run(self, stop: CancellationToken) {
        let Some((certified, facts)) = self.link.enrolled(&stop).await else {
            return;
        };
        let link = self.link;
        link.metrics.certificate(certified.expires_at);
        self.renewed.send_modify(|times| *times += 1);
        let connection = Connection {
            hub: link.run.hub.clone(),
            token: link.run.token_file.clone(),
            identity: link.files.clone(),
            certified,
            facts,
            instance: self.instance,
            ledger: self.ledger,
            accepted: self.accepted,
            reports: self.reports,
            connected: self.connected,
            renewed: self.renewed,
            kept: link.share.then_some(self.kept),
            next: None,
            questions: self.questions,
            gate_jobs: self.gate_jobs,
            metrics: link.metrics.clone(),
            fence: link.fence,
            cluster: link.cluster,
            pace: Pace::default(),
        };
        connection.run(stop).await;
    }
}

/// From nothing to a certificate.
struct Link {
    run: Arc<Run>,
    cluster: Cluster,
    files: IdentityFiles,
    share: bool,
    metrics: Metrics,
    fence: Fence,
}

impl Link {
    /// Retries until there is a certificate. None: it was stopped before.
    async fn enrolled(
        &self,
        stop: &CancellationToken,
    ) -> Option<(CertifiedIdentity, ClusterFacts)> {
        loop {
            let ready = tokio::select! {
                ready = self.certified() => ready,
                () = stop.cancelled() => return None,
            };
            match ready {
                Ok(ready) => return Some(ready),
                Err(error) => tracing::error!(
                    error = format!("{error:#}"),
                    "cannot enrol: manual action required; retrying in a minute"
                ),
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK_AGAIN) => {}
                () = stop.cancelled() => return None,
            }
        }
    }

    async fn certified(&self) -> anyhow::Result<(CertifiedIdentity, ClusterFacts)> {
        let facts = self.facts().await;
        if self.share {
            self.share_identity().await?;
        }
        if let Some(certified) = self.files.load()? {
            return Ok((certified, facts));
        }
        let (Some(token), Some(bundle)) = (&self.run.token_file, &self.run.trust_bundle) else {
            return Err(identity::Error::NoToken.into());
        };
        let token = identity::read_private(token)?;
        let bundle =
            std::fs::read_to_string(bundle).with_context(|| bundle.display().to_string())?;
        let run = &self.run;
        let enrolled = self
            .files
            .enroll(&run.hub, &bundle, token.trim(), &run.cluster, &facts.uid);
        Ok((enrolled.await?, facts))
    }

    /// Facts that identify the cluster; without its API server there is nothing to do.
    async fn facts(&self) -> ClusterFacts {
        loop {
            match self.cluster.facts().await {
                Ok(facts) => return facts,
                Err(error) => tracing::warn!(%error, "the API server does not answer; retrying"),
            }
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
    }

    /// All pods of a cluster are one agent: the key is shared before a token is spent on it.
    async fn share_identity(&self) -> anyhow::Result<()> {
        if let Some(entries) = self.cluster.read_secret(IDENTITY).await? {
            self.files.adopt(&entries)?;
        }
        let entries = self.files.entries()?;
        self.cluster.write_secret(IDENTITY, &entries).await?;
        Ok(())
    }
}

/// Stores copies of what the next leader needs, until it is stopped. Failures are retried.
struct Copies {
    cluster: Cluster,
    files: IdentityFiles,
    accepted: watch::Receiver<Option<Arc<DecodedAssignment>>>,
    admission: Arc<Admission>,
    trusted: watch::Receiver<u64>,
    renewed: watch::Receiver<u64>,
    kept: watch::Sender<u64>,
}

impl Copies {
    async fn run(mut self, stop: CancellationToken) {
        let mut ledger_is_due = false;
        let mut identity_is_due = false;
        // An earlier process may have stopped before it copied what it wrote.
        let mut trust_is_due = *self.trusted.borrow_and_update() > 0;
        loop {
            let retry = if ledger_is_due || identity_is_due || trust_is_due {
                Duration::from_secs(2)
            } else {
                Duration::from_secs(3600)
            };
            tokio::select! {
                changed = self.accepted.changed() => {
                    if changed.is_err() { return }
                    ledger_is_due = true;
                }
                changed = self.trusted.changed() => {
                    if changed.is_err() { return }
                    trust_is_due = true;
                }
                changed = self.renewed.changed() => {
                    if changed.is_err() { return }
                    identity_is_due = !self.files.is_mounted();
                }
                () = tokio::time::sleep(retry) => {}
                () = stop.cancelled() => return,
            }
            let newest = self.accepted.borrow_and_update().clone();
            if let (true, Some(newest)) = (ledger_is_due, newest) {
                let kept = self
                    .cluster
                    .write_record(LEDGER, &Ledger::encode(&newest))
                    .await;
                ledger_is_due = kept.is_err();
                if let Err(error) = kept {
                    tracing::warn!(%error, "cannot copy the ledger into the cluster");
                }
            }
            if trust_is_due {
                let kept = self
                    .cluster
                    .write_record(TRUST, &self.admission.encoded())
                    .await;
                trust_is_due = kept.is_err();
                if let Err(error) = kept {
                    tracing::warn!(%error, "cannot copy the accepted commits into the cluster");
                }
            }
            if identity_is_due {
                let renewal = *self.renewed.borrow_and_update();
                let kept = match self.files.entries() {
                    Ok(entries) => {
                        let written = self.cluster.write_secret(IDENTITY, &entries).await;
                        written.map_err(anyhow::Error::from)
                    }
                    Err(error) => Err(error.into()),
                };
                identity_is_due = kept.is_err();
                if kept.is_ok() {
                    self.kept.send_replace(renewal);
                }
                if let Err(error) = kept {
                    tracing::warn!(%error, "cannot copy the identity into the cluster");
                }
            }
        }
    }
}

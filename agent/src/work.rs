//! What the leading pod does: the reconcile loop, the stream to the hub, and the copies by which the
//! next leader knows what this one knew.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use flotilla_git::Limits;
use flotilla_shared::wire::DecodedAssignment;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::args::Run;
use crate::cluster::{Cluster, Facts};
use crate::connection::{Connection, Pace};
use crate::fence::Fence;
use crate::identity::{self, Certified, IdentityFiles, Mounted};
use crate::ledger::Ledger;
use crate::metrics::Metrics;
use crate::policy::Policy;
use crate::reconcile::Reconciler;
use crate::source::{Source, Trust};

/// The Secret with key and certificate, in the agent's namespace.
const IDENTITY: &str = "flotilla-agent-identity";
/// The ConfigMap with the last accepted assignment, in the agent's namespace.
const LEDGER: &str = "flotilla-agent-ledger";

/// The ConfigMap with the commits that were accepted, in the agent's namespace.
const TRUST: &str = "flotilla-agent-accepted";

/// Until an agent without an identity looks again whether somebody has mended what kept it from one: a
/// mounted Secret changes below it, and a hub counts bad tokens.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// What outlives one term of leading.
pub(crate) struct Shared {
    pub(crate) run: Arc<Run>,
    pub(crate) cluster: Cluster,
    pub(crate) policy: Arc<Policy>,
    pub(crate) interval: Duration,
    pub(crate) metrics: Metrics,
    pub(crate) instance: String,
    pub(crate) connected: Arc<watch::Sender<bool>>,
    /// Whether identity and ledger are kept in the cluster too.
    pub(crate) share: bool,
}

/// One term of leading.
pub(crate) struct Work {
    tasks: Vec<JoinHandle<()>>,
}

impl Work {
    /// Starts.
    ///
    /// # Errors
    /// When the ledger cannot be used.
    pub(crate) async fn start(shared: &Shared, stop: CancellationToken) -> anyhow::Result<Self> {
        let ledger = Ledger::new(&shared.run.data_dir);
        let copy = if shared.share {
            let copy = shared.cluster.read_record(LEDGER).await;
            copy.context("cannot read the ledger's copy in the cluster")?
        } else {
            None
        };
        let accepted = ledger.load_with(copy.as_deref())?.map(Arc::new);
        let copy = if shared.share {
            let copy = shared.cluster.read_record(TRUST).await;
            copy.context("cannot read the copy of what was accepted in the cluster")?
        } else {
            None
        };
        let policy = Arc::clone(&shared.policy);
        let trust = Arc::new(Trust::open(&shared.run.data_dir, policy, copy.as_deref())?);
        let (accepted, accepted_end) = watch::channel(accepted);
        let (reports, reports_end) = watch::channel(None);
        let (renewed, renewed_end) = watch::channel(0);
        let (kept, kept_end) = watch::channel(0);
        let (questions, questions_end) = mpsc::channel(2);
        let (gate_jobs, gate_jobs_end) = watch::channel(Arc::default());
        let run = &shared.run;
        let reconciler = Reconciler {
            cluster: shared.cluster.clone(),
            source: Source::new(
                run.data_dir.join("git"),
                Limits::default(),
                run.git_credentials.clone(),
                Arc::clone(&trust),
            )
            .with_age_keys(run.sops_age_keys.clone()),
            policy: Arc::clone(&shared.policy),
            interval: shared.interval,
            accepted: accepted_end.clone(),
            reports,
            questions: questions_end,
            gate_jobs: gate_jobs_end,
            metrics: shared.metrics.clone(),
        };
        // The loop starts first and alone: with the hub away the last assignment goes on (I6).
        let mut tasks = vec![tokio::spawn(reconciler.run(stop.clone()))];
        let mounted = run.identity_dir.clone().map(|directory| Mounted {
            directory,
            roots: run.trust_bundle.clone(),
            cluster: run.cluster.clone(),
        });
        let files = IdentityFiles::new(&run.data_dir).mounted(mounted);
        // What is mounted is the same for all pods already.
        let share_identity = shared.share && !files.is_mounted();
        if shared.share {
            let copies = Copies {
                cluster: shared.cluster.clone(),
                files: files.clone(),
                accepted: accepted_end,
                trusted: trust.changes(),
                trust,
                renewed: renewed_end,
                kept,
            };
            tasks.push(tokio::spawn(copies.run(stop.clone())));
        }
        let link = Link {
            run: Arc::clone(run),
            cluster: shared.cluster.clone(),
            files,
            share: share_identity,
            metrics: shared.metrics.clone(),
            fence: shared.cluster.fence(),
        };
        let (instance, connected) = (shared.instance.clone(), Arc::clone(&shared.connected));
        let connect_stop = stop;
        tasks.push(tokio::spawn(async move {
            let (certified, facts) = loop {
                let ready = tokio::select! {
                    ready = link.certified() => ready,
                    () = connect_stop.cancelled() => return,
                };
                match ready {
                    Ok(ready) => break ready,
                    Err(error) => tracing::error!(
                        error = format!("{error:#}"),
                        "cannot enrol; a person has to act, and the agent looks again in a minute"
                    ),
                }
                tokio::select! {
                    () = tokio::time::sleep(LOOK_AGAIN) => {}
                    () = connect_stop.cancelled() => return,
                }
            };
            link.metrics.certificate(certified.expires_at);
            renewed.send_modify(|times| *times += 1);
            let connection = Connection {
                hub: link.run.hub.clone(),
                token: link.run.token_file.clone(),
                identity: link.files.clone(),
                certified,
                facts,
                instance,
                ledger,
                accepted,
                reports: reports_end,
                connected,
                renewed,
                kept: share_identity.then_some(kept_end),
                next: None,
                questions,
                gate_jobs,
                metrics: link.metrics.clone(),
                fence: link.fence,
                cluster: link.cluster,
                pace: Pace::default(),
            };
            connection.run(connect_stop).await;
        }));
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
    async fn certified(&self) -> anyhow::Result<(Certified, Facts)> {
        let facts = self.facts().await;
        if self.share {
            self.meet().await?;
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

    /// What identifies the cluster; without its API server there is nothing to do.
    async fn facts(&self) -> Facts {
        loop {
            match self.cluster.facts().await {
                Ok(facts) => return facts,
                Err(error) => tracing::warn!(%error, "the API server does not answer yet"),
            }
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
    }

    /// All pods of a cluster are one agent: the key is shared before a token is spent on it.
    async fn meet(&self) -> anyhow::Result<()> {
        if let Some(entries) = self.cluster.read_secret(IDENTITY).await? {
            self.files.adopt(&entries)?;
        }
        let entries = self.files.entries()?;
        self.cluster.write_secret(IDENTITY, &entries).await?;
        Ok(())
    }
}

/// Keeps copies of what the next leader needs, until it is stopped. What fails is tried again.
struct Copies {
    cluster: Cluster,
    files: IdentityFiles,
    accepted: watch::Receiver<Option<Arc<DecodedAssignment>>>,
    trust: Arc<Trust>,
    trusted: watch::Receiver<u64>,
    renewed: watch::Receiver<u64>,
    kept: watch::Sender<u64>,
}

impl Copies {
    async fn run(mut self, stop: CancellationToken) {
        let mut ledger_is_due = false;
        let mut identity_is_due = false;
        // What a process before wrote may not have been copied any more.
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
                    .write_record(TRUST, &self.trust.encoded())
                    .await;
                trust_is_due = kept.is_err();
                if let Err(error) = kept {
                    tracing::warn!(%error, "cannot copy what was accepted into the cluster");
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

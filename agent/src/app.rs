//! Wiring: configuration in, a running agent out.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use flotilla_git::Limits;
use flotilla_shared::wire::DecodedAssignment;
use rand::Rng as _;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::args::Run;
use crate::cluster::{Cluster, Facts, Options};
use crate::connection::Connection;
use crate::identity::{self, Certified, IdentityFiles};
use crate::ledger::Ledger;
use crate::policy::Policy;
use crate::reconcile::Reconciler;
use crate::source::Source;

/// An agent that works.
pub struct Running {
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
    /// Whether a stream to the hub is open.
    pub connected: watch::Receiver<bool>,
}

impl Running {
    /// Stops between two requests; what was begun is finished by the next start.
    pub async fn shutdown(self) {
        self.stop.cancel();
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

/// Reads a policy file; none gives the defaults.
///
/// # Errors
/// File, line and key of what is wrong.
pub fn read_policy(path: Option<&Path>) -> anyhow::Result<Policy> {
    let Some(path) = path else {
        return Ok(Policy::default());
    };
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).with_context(|| name.clone())?;
    Ok(flotilla_yaml::config::from_str(&name, &text)?)
}

/// A client for the cluster: a kubeconfig's context, or the pod's own account.
async fn client(run: &Run) -> anyhow::Result<kube::Client> {
    let config = match &run.kubeconfig {
        Some(path) => {
            let kubeconfig = kube::config::Kubeconfig::read_from(path)
                .with_context(|| path.display().to_string())?;
            let options = kube::config::KubeConfigOptions {
                context: run.context.clone(),
                ..kube::config::KubeConfigOptions::default()
            };
            kube::Config::from_custom_kubeconfig(kubeconfig, &options).await?
        }
        None => kube::Config::incluster()
            .context("not in a pod; give --kubeconfig to work on another cluster")?,
    };
    Ok(kube::Client::try_from(config)?)
}

/// Waits for the cluster to answer; without it there is nothing to do.
async fn facts(cluster: &Cluster, stop: &CancellationToken) -> Option<Facts> {
    loop {
        match cluster.facts().await {
            Ok(facts) => return Some(facts),
            Err(error) => tracing::warn!(%error, "the API server does not answer yet"),
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(2)) => {}
            () = stop.cancelled() => return None,
        }
    }
}

async fn certified(run: &Run, files: &IdentityFiles, facts: &Facts) -> anyhow::Result<Certified> {
    if let Some(certified) = files.load()? {
        return Ok(certified);
    }
    let (Some(token), Some(bundle)) = (&run.token_file, &run.trust_bundle) else {
        return Err(identity::Error::NoToken.into());
    };
    let token = identity::read_private(token)?;
    let bundle = std::fs::read_to_string(bundle).with_context(|| bundle.display().to_string())?;
    Ok(files
        .enroll(&run.hub, &bundle, token.trim(), &run.cluster, &facts.uid)
        .await?)
}

/// Starts an agent.
///
/// # Errors
/// When policy, ledger, identity or cluster configuration cannot be used.
pub async fn start(run: Run) -> anyhow::Result<Running> {
    let policy = Arc::new(read_policy(run.policy.as_deref())?);
    let ledger = Ledger::new(&run.data_dir);
    let accepted: Option<Arc<DecodedAssignment>> = ledger.load()?.map(Arc::new);
    let options = Options {
        namespace: run.namespace.clone(),
        ..Options::default()
    };
    let cluster = Cluster::new(client(&run).await?, options);
    let stop = CancellationToken::new();

    let (accepted, accepted_end) = watch::channel(accepted);
    let (reports, reports_end) = watch::channel(None);
    let (connected, connected_end) = watch::channel(false);
    let reconciler = Reconciler {
        cluster: cluster.clone(),
        source: Source::new(
            run.data_dir.join("git"),
            Limits::default(),
            run.git_credentials.clone(),
        ),
        policy,
        interval: Duration::from_secs(run.interval.max(1)),
        accepted: accepted_end,
        reports,
        applications: BTreeMap::new(),
    };
    // The loop starts first and alone: with the hub away the last assignment goes on (I6).
    let mut tasks = vec![tokio::spawn(reconciler.run(stop.clone()))];
    let connect_stop = stop.clone();
    tasks.push(tokio::spawn(async move {
        let Some(facts) = facts(&cluster, &connect_stop).await else {
            return;
        };
        let identity = IdentityFiles::new(&run.data_dir);
        let certified = tokio::select! {
            certified = certified(&run, &identity, &facts) => certified,
            () = connect_stop.cancelled() => return,
        };
        let certified = match certified {
            Ok(certified) => certified,
            Err(error) => {
                tracing::error!(%error, "cannot enrol; a person has to act");
                return;
            }
        };
        let connection = Connection {
            hub: run.hub.clone(),
            identity,
            certified,
            facts,
            instance: format!("{:016x}", rand::rng().random::<u64>()),
            ledger,
            accepted,
            reports: reports_end,
            connected,
        };
        connection.run(connect_stop).await;
    }));
    Ok(Running {
        stop,
        tasks,
        connected: connected_end,
    })
}

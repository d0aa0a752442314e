//! Arguments of commands that add and remove clusters.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Subcommand, ValueEnum};
use flotilla_shared::dial::host_and_port;
use flotilla_shared::id::{ClusterName, EnvironmentName};

use super::{FilterArgs, OutputArgs, duration};

/// Where a new cluster belongs.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct PlaceArgs {
    /// The environment it will belong to.
    #[arg(short, long = "env", value_name = "ENV")]
    pub(crate) environment: Option<EnvironmentName>,
    /// A label of the cluster; may be repeated.
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label)]
    pub(crate) labels: Vec<(String, String)>,
}

/// Work with join tokens.
#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Create a single-use join token; it is shown only once.
    Create {
        /// Restrict the token to this cluster name.
        #[arg(short, long)]
        cluster: Option<ClusterName>,
        #[command(flatten)]
        place: PlaceArgs,
        /// How long the token is valid.
        #[arg(long, value_name = "TIME", default_value = "1h", value_parser = duration)]
        lifetime: Duration,
        /// Accept the cluster that uses it automatically.
        #[arg(long)]
        auto_accept: bool,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// List join tokens; their secrets are not stored.
    List {
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Revoke a join token.
    Revoke {
        /// The token's id.
        id: String,
    },
}

/// Manage the clusters of the fleet.
#[derive(Debug, Subcommand)]
pub(crate) enum ClusterCommand {
    /// List clusters.
    List {
        /// Only clusters that wait to be accepted.
        #[arg(long)]
        pending: bool,
        #[command(flatten)]
        filter: FilterArgs,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Accept a cluster that enrolled.
    Accept {
        /// The cluster.
        name: ClusterName,
        #[command(flatten)]
        place: PlaceArgs,
        /// The fingerprint that the agent logged; refused if a different key is waiting.
        #[arg(long, value_name = "SHA256")]
        fingerprint: Option<String>,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Remove a cluster from the fleet; what runs in it is kept.
    Remove {
        /// The cluster.
        name: ClusterName,
        /// Reason, for the audit log.
        #[arg(
            long,
            value_name = "TEXT",
            default_value = "",
            hide_default_value = true
        )]
        reason: String,
        /// Do not ask for confirmation.
        #[arg(short, long)]
        yes: bool,
    },
    /// Unlock a cluster that was locked because two agents used its identity.
    Unlock {
        /// The cluster.
        name: ClusterName,
        /// Reason, for the audit log.
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Print the manifests that join a cluster to the fleet, for `kubectl apply`.
    JoinManifest(JoinManifest),
}

/// What to print for a cluster that should join.
#[derive(Debug, clap::Args)]
pub(crate) struct JoinManifest {
    /// The cluster's name in the fleet.
    pub(crate) name: ClusterName,
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    /// The agent's image.
    #[arg(long, default_value = concat!("ghcr.io/flotilla-dev/flotilla-agent:v", env!("CARGO_PKG_VERSION")))]
    pub(crate) image: String,
    /// A file with a join token [default: creates one for this cluster].
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// Accept the cluster automatically.
    #[arg(long, conflicts_with = "token_file")]
    pub(crate) auto_accept: bool,
    /// How long the token is valid.
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = duration)]
    pub(crate) lifetime: Duration,
    /// The address that the agent dials [default: as the hub says].
    #[arg(long, value_name = "HOST:PORT", value_parser = host_and_port)]
    pub(crate) hub: Option<String>,
    /// How the agent runs.
    #[arg(long, default_value = "daemon-set")]
    pub(crate) workload: Workload,
    /// A service account, `namespace/name`, that the agent's policy writes as; may be repeated. The agent
    /// may impersonate only these.
    #[arg(long, value_name = "ACCOUNT", value_parser = account)]
    pub(crate) impersonate: Vec<(String, String)>,
    /// What to print: manifests for `kubectl apply`, or values for the chart flotilla-agent.
    #[arg(short, long, value_name = "FORMAT", default_value = "manifests")]
    pub(crate) output: JoinOutput,
}

/// What `join-manifest` prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum JoinOutput {
    /// All manifests of the agent.
    Manifests,
    /// Values for the chart flotilla-agent, which has the rest.
    HelmValues,
}

fn account(text: &str) -> Result<(String, String), String> {
    let is_name = |name: &str| {
        let is_good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        !name.is_empty() && name.len() <= 63 && name.bytes().all(is_good)
    };
    text.split_once('/')
        .filter(|(namespace, name)| is_name(namespace) && is_name(name))
        .map(|(namespace, name)| (namespace.to_owned(), name.to_owned()))
        .ok_or_else(|| "it should be namespace/name".to_owned())
}

/// How the agent runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Workload {
    /// One pod per node; one of them enrols and works. Its identity ends with its pod.
    DaemonSet,
    /// One pod with a volume; its identity outlives the pod and the node.
    StatefulSet,
}

fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("give a label as key=value".to_owned()),
    }
}

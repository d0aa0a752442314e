//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};
use flotilla_render::{Output, Renderer};
use flotilla_shared::dial::host_and_port;
use flotilla_shared::duration::{DurationError, typed};
use flotilla_shared::id::{ApplicationName, ClusterName, EnvironmentName};
use flotilla_shared::revision::{BranchName, Commit, RepositoryUrl, TreePath};
use flotilla_shared::telemetry::LogFormat;

/// The Flotilla agent.
#[derive(Debug, Parser)]
#[command(
    name = "flotilla-agent",
    version,
    about,
    after_help = "Exit codes: 0 success; 1 something differs, or is not done yet; 2 error."
)]
pub struct Args {
    /// Log filter, such as `info` or `flotilla_agent=debug,info`.
    #[arg(
        long,
        global = true,
        default_value = "info,kube=warn",
        env = "FLOTILLA_LOG"
    )]
    pub log: String,
    /// Format of log lines: auto, text or json.
    #[arg(long, global = true, default_value = "auto")]
    pub log_format: LogFormat,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Connect to the hub and reconcile.
    Run(Box<Run>),
    /// Print what would be applied for a commit; contacts neither hub nor cluster.
    Render(Box<Render>),
    /// Print what a reconcile pass would change for a commit, by a dry run at the API server. Contacts no hub
    /// and changes nothing. Exit code 1: something differs.
    Plan(Box<PlanArgs>),
    /// Check whether the agent has what it needs: rights, namespace, lease, disk, Git, keys, policy.
    ///
    /// Each check is ok, a warning (!), failed, or unknown (?). Exit code 1: a check failed; 2: none failed,
    /// but some are unknown.
    Check(Box<Check>),
    /// Write the manual's pages, one for each command.
    #[command(hide = true)]
    Man {
        /// An existing directory.
        directory: PathBuf,
    },
    /// Check or explain the agent's policy file.
    Policy {
        /// What to do with the policy file.
        #[command(subcommand)]
        command: PolicyCommand,
    },
}

/// What to do with a policy file.
#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// Check a policy file for mistakes.
    Check {
        /// The policy file.
        file: PathBuf,
    },
    /// Explain in sentences what a policy file allows, and mark what it leaves open.
    Explain {
        /// The policy file.
        file: PathBuf,
        /// Output format: text or json.
        #[arg(short, long, default_value = "text")]
        output: PlanOutput,
    },
}

/// What to render.
#[derive(Debug, clap::Args)]
pub struct Render {
    /// The commit.
    #[command(flatten)]
    pub source: CommitArgs,
    /// Output format: yaml, json or files-read.
    #[arg(short, long, default_value = "yaml")]
    pub output: Output,
}

/// What to plan.
#[derive(Debug, clap::Args)]
pub struct PlanArgs {
    /// The commit.
    #[command(flatten)]
    pub source: CommitArgs,
    /// The application's name: objects in its inventory that the commit no longer has are pruned.
    #[arg(long, default_value = "plan")]
    pub application: ApplicationName,
    /// The agent's policy file [default: the built-in policy].
    #[arg(long)]
    pub policy: Option<PathBuf>,
    /// The cluster's API server.
    #[command(flatten)]
    pub api: ApiArgs,
    /// Output format: text or json.
    #[arg(short, long, default_value = "text")]
    pub output: PlanOutput,
}

/// What to check.
#[derive(Debug, clap::Args)]
pub struct Check {
    /// Check what installing the agent needs, with your own rights, before it is installed.
    #[arg(long)]
    pub pre: bool,
    /// The agent's policy file [default: the built-in policy].
    #[arg(long)]
    pub policy: Option<PathBuf>,
    /// The cluster's API server.
    #[command(flatten)]
    pub api: ApiArgs,
    /// Directory for identity, ledger and Git caches.
    #[arg(long)]
    pub data_dir: Option<PathBuf>,
    /// Directory of Git credentials, as for `run`.
    #[arg(long)]
    pub git_credentials: Option<PathBuf>,
    /// File of age keys, or directory of such files.
    #[arg(long)]
    pub sops_age_keys: Option<PathBuf>,
    /// A repository to check besides those of the policy and of the accepted assignment; may be repeated.
    #[arg(long, value_name = "URL")]
    pub repo: Vec<RepositoryUrl>,
    /// Output format: text or json.
    #[arg(short, long, default_value = "text")]
    pub output: PlanOutput,
}

/// Access to the cluster's API server, and the agent's own namespace.
#[derive(Debug, Clone, clap::Args)]
pub struct ApiArgs {
    /// A kubeconfig file [default: the pod's own service account].
    #[arg(long)]
    pub kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig [default: its current one].
    #[arg(long)]
    pub context: Option<String>,
    /// The agent's own namespace.
    #[arg(long, default_value = "flotilla-system")]
    pub namespace: String,
}

/// Credentials of repositories, and keys for files that SOPS encrypted.
#[derive(Debug, Clone, clap::Args)]
pub struct SecretArgs {
    /// Directory of Git credentials: for each host (`host:port` where the URL has a port) a
    /// directory with `token`, or `username` and `password`, and `ca.crt`; for SSH `ssh-privatekey` and `known_hosts`.
    #[arg(long)]
    pub git_credentials: Option<PathBuf>,
    /// File of age keys, or directory of such files, to decrypt files of SOPS.
    #[arg(long)]
    pub sops_age_keys: Option<PathBuf>,
}

/// How a plan is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum PlanOutput {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// A directory of a commit.
#[derive(Debug, clap::Args)]
pub struct CommitArgs {
    /// The repository: a URL, or a path on this machine.
    #[arg(long)]
    pub repo: String,
    /// The branch that the commit is on.
    #[arg(long, default_value = "main")]
    pub branch: BranchName,
    /// The commit's full id [default: the branch's tip].
    #[arg(long)]
    pub commit: Option<Commit>,
    /// The directory, or a single file.
    #[arg(long, default_value = ".")]
    pub path: TreePath,
    /// How the directory becomes manifests; its help names all ways.
    #[arg(long, default_value = "auto", help = Renderer::listed("or"))]
    pub renderer: Renderer,
    /// Namespace of objects without one, and of a chart's release.
    #[arg(long, default_value = "default")]
    pub default_namespace: String,
    /// Helm: name of the release.
    #[arg(long, default_value = "release-name")]
    pub release_name: String,
    /// Helm: a values file, as a path from the repository's root; with `?` at its end it may be missing. May
    /// be repeated, the last wins.
    #[arg(long)]
    pub values: Vec<String>,
    /// Helm: values as JSON, which override those of all files.
    #[arg(long, value_name = "JSON")]
    pub set_json: Option<String>,
    /// Helm: leave out the chart's `crds/`.
    #[arg(long)]
    pub skip_crds: bool,
    /// Helm: render as an upgrade, not as an installation.
    #[arg(long)]
    pub is_upgrade: bool,
    /// Helm: treat `lookup` as an error.
    #[arg(long)]
    pub strict: bool,
    /// Print warnings on standard error, and which file or template each object comes from.
    #[arg(long)]
    pub debug: bool,
    /// Substitute facts of this cluster, as for an application with `substitute: true`.
    #[arg(long, requires = "environment")]
    pub cluster: Option<ClusterName>,
    /// The cluster's environment.
    #[arg(long, requires = "cluster")]
    pub environment: Option<EnvironmentName>,
    /// A label of the cluster, as `name=value`; may be repeated.
    #[arg(long, requires = "cluster", value_parser = label)]
    pub label: Vec<(String, String)>,
    /// Leave facts that the cluster does not have unsubstituted.
    #[arg(long, requires = "cluster")]
    pub lenient: bool,
    /// Credentials of repositories, and keys for files that SOPS encrypted.
    #[command(flatten)]
    pub secrets: SecretArgs,
}

fn label(text: &str) -> Result<(String, String), String> {
    text.split_once('=')
        .filter(|(name, _)| !name.is_empty())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .ok_or_else(|| "expected name=value".to_owned())
}

/// How to run.
#[derive(Debug, Clone, clap::Args)]
pub struct Run {
    /// `host:port` of the hub.
    #[arg(long, value_name = "HOST:PORT", value_parser = host_and_port)]
    pub hub: String,
    /// Directory for identity, ledger and Git caches.
    #[arg(long)]
    pub data_dir: PathBuf,
    /// Directory in which another authority than the hub (such as cert-manager) keeps this agent's `tls.key`,
    /// `tls.crt` and `ca.crt`, read again when the certificate is due for renewal; no token is needed then.
    /// Without a `ca.crt`, the roots of `--trust-bundle` are used.
    #[arg(long)]
    pub identity_dir: Option<PathBuf>,
    /// This cluster's name.
    #[arg(long)]
    pub cluster: ClusterName,
    /// File with the join token; required until the agent is enrolled.
    #[arg(long)]
    pub token_file: Option<PathBuf>,
    /// File with the hub's root certificates in PEM; required until the agent is enrolled.
    #[arg(long)]
    pub trust_bundle: Option<PathBuf>,
    /// The agent's policy file, read again when it changes [default: the built-in policy].
    #[arg(long)]
    pub policy: Option<PathBuf>,
    /// The cluster's API server.
    #[command(flatten)]
    pub api: ApiArgs,
    /// Credentials of repositories, and keys for files that SOPS encrypted.
    #[command(flatten)]
    pub secrets: SecretArgs,
    /// Address that serves `/healthz`, `/readyz` and `/metrics`, such as `0.0.0.0:8080` [default: none].
    #[arg(long)]
    pub listen: Option<SocketAddr>,
    /// Name of this process in the leader election [default: the pod's name].
    #[arg(long, env = "POD_NAME")]
    pub instance: Option<String>,
    /// Also keep identity and ledger in the agent's namespace, so that another pod can take over [default:
    /// without a kubeconfig].
    #[arg(long)]
    pub share_identity: bool,
    /// Time between two reconcile passes when nothing changes, such as 30s or 3m; plain numbers are seconds.
    #[arg(long, default_value = "180", value_parser = interval)]
    pub interval: Duration,
}

/// From a second to a day.
fn interval(text: &str) -> Result<Duration, DurationError> {
    typed(text, Duration::from_secs(1)..=Duration::from_secs(86_400))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hub_that_is_no_host_and_port_is_refused_at_the_start() {
        let run = |hub: &str| {
            Args::try_parse_from([
                "flotilla-agent",
                "run",
                "--hub",
                hub,
                "--data-dir=/d",
                "--cluster=a",
            ])
        };
        let taken = run("https://127.0.0.1:28443/").map(|args| args.command);
        assert!(
            matches!(&taken, Ok(Command::Run(run)) if run.hub == "127.0.0.1:28443"),
            "{taken:?}"
        );
        for bad in ["http://127.0.0.1:28443", "hub.example.com", "hub:8443/api"] {
            let outcome = run(bad).map_err(|error| error.to_string());
            assert!(
                outcome
                    .as_ref()
                    .is_err_and(|error| error.contains("give host:port")),
                "{bad}: {outcome:?}"
            );
        }
    }

    #[test]
    fn intervals_are_read_and_bounded() {
        for (text, seconds) in [("5", 5), ("5s", 5), ("3m", 180), ("24h", 86_400)] {
            assert_eq!(interval(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for bad in [
            "",
            "0",
            "s",
            "1ss",
            "1ms",
            "5 s",
            "-5s",
            "25h",
            "99999999999999999999m",
        ] {
            assert!(interval(bad).is_err(), "{bad}");
        }
    }
}

//! The command line.

mod commit;
mod steer;

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::Resettable;
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum};
use flotilla_shared::id::{ApplicationName, ClusterName, EnvironmentName};

use crate::forge::Forge;

pub(crate) use commit::CommitPrefix;
pub(crate) use steer::{
    ApproveArgs, AuditArgs, AuditCommand, EventsArgs, OperatorCommand, PinArgs, Reasoned,
    RollbackArgs, RolloutCommand, SubjectArgs,
};

/// See and steer a fleet of clusters.
#[derive(Debug, Parser)]
#[command(name = "flotilla", version, about, max_term_width = 100)]
pub(crate) struct Args {
    /// Which hub, and as whom [default: ~/.config/flotilla/config.yaml].
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "FLOTILLA_CONFIG",
        hide_env_values = true
    )]
    pub(crate) context_file: Option<PathBuf>,
    /// Which of the file's contexts [default: the current one].
    #[arg(long, global = true, value_name = "NAME", env = "FLOTILLA_CONTEXT")]
    pub(crate) context: Option<String>,
    /// When to use colours; NO_COLOR is honoured.
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub(crate) color: ColorChoice,
    /// How long the hub may take to answer, such as 10s or 1m.
    #[arg(long, global = true, value_name = "TIME", default_value = "10s", value_parser = duration)]
    pub(crate) timeout: Duration,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Args {
    /// Reads the command line. A variable that is set to nothing counts as not set, as with `KUBECONFIG`.
    pub(crate) fn read() -> Result<Self, clap::Error> {
        let mut command = Self::command().mut_args(|arg| {
            let value = arg.get_env().and_then(std::env::var_os);
            match value.is_some_and(|value| value.is_empty()) {
                true => arg.env(Resettable::Reset),
                false => arg,
            }
        });
        let matches = command.try_get_matches_from_mut(std::env::args_os())?;
        Self::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
    }
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorChoice {
    /// On a terminal.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// How to show results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people.
    Table,
    /// For people with wide terminals.
    Wide,
    /// For programs.
    Json,
    /// For programs.
    Yaml,
}

impl Output {
    /// Whether a program reads it.
    pub(crate) fn is_structured(self) -> bool {
        matches!(self, Self::Json | Self::Yaml)
    }
}

/// How to show results.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct OutputArgs {
    /// How to show the result.
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub(crate) output: Output,
}

/// Which clusters.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct FilterArgs {
    /// Only this environment; may be repeated.
    #[arg(short, long = "env", value_name = "ENV")]
    pub(crate) environments: Vec<EnvironmentName>,
    /// Only this cluster; may be repeated.
    #[arg(short, long = "cluster", value_name = "CLUSTER")]
    pub(crate) clusters: Vec<ClusterName>,
    /// Only clusters with this application, and only its state; may be repeated.
    #[arg(short, long = "app", value_name = "APP")]
    pub(crate) applications: Vec<ApplicationName>,
    /// Only clusters whose labels match, such as region=eu,tier!=edge.
    #[arg(
        short = 'l',
        long,
        value_name = "SELECTOR",
        default_value = "",
        hide_default_value = true
    )]
    pub(crate) selector: String,
    /// Only clusters that are not online, synced and healthy.
    #[arg(long)]
    pub(crate) not_ready: bool,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show environments and clusters: what runs where, and how it is.
    Status {
        #[command(flatten)]
        filter: FilterArgs,
        /// Keep showing: redrawn on a terminal, else a line for each change.
        #[arg(short, long)]
        watch: bool,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Log in to a hub as a person, with a browser somewhere.
    Login(LoginArgs),
    /// Which hubs there are, and which one is meant.
    Context {
        #[command(subcommand)]
        command: ContextCommand,
    },
    /// List clusters, applications or environments.
    Get {
        #[command(subcommand)]
        what: Get,
    },
    /// Show everything about one thing.
    Describe {
        #[command(subcommand)]
        what: Describe,
    },
    /// Say why a cluster or environment is on the commit it is on.
    Explain {
        /// A cluster or an environment.
        subject: String,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Show what a cluster's agent would change now: its pending plan and its drift. Values of Secrets
    /// are masked. Exit code 1: something differs.
    Diff {
        /// The cluster.
        cluster: ClusterName,
        /// Of this application only.
        application: Option<ApplicationName>,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Promote into an environment: show what moves, ask, fast-forward its branch with your own git.
    Promote(Promote),
    /// Go back: commit the content of the last good commit on top of the branch with your own git.
    Rollback(RollbackArgs),
    /// Look at rollouts.
    Rollout {
        #[command(subcommand)]
        command: RolloutCommand,
    },
    /// List what came into environments, newest first.
    History {
        /// Only this environment.
        environment: Option<EnvironmentName>,
        /// At most so many.
        #[arg(long, default_value_t = 20)]
        limit: u32,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Start no further cluster in an environment.
    Pause(Reasoned),
    /// Let a paused environment go on, and automatic promotions in again.
    Resume {
        /// The environment.
        environment: EnvironmentName,
    },
    /// Give the failed clusters of a rollout another chance.
    Retry {
        /// The environment.
        environment: EnvironmentName,
    },
    /// End a rollout; the clusters it touched go back to the last good commit.
    Abort(Reasoned),
    /// Keep a cluster or an environment on a commit.
    Pin(PinArgs),
    /// Let a pinned cluster or environment follow its rollouts again.
    Unpin(SubjectArgs),
    /// Stand for a commit, where a gate or a wave asks for approval.
    Approve(ApproveArgs),
    /// Show who did what to which clusters, why and with which commit.
    Audit(AuditArgs),
    /// Show what happens, as it happens.
    Events(EventsArgs),
    /// Say what operators may do, and let new ones in.
    Operator {
        #[command(subcommand)]
        command: OperatorCommand,
    },
    /// Create, list and revoke join tokens.
    Token {
        #[command(subcommand)]
        command: TokenCommand,
    },
    /// Let clusters join and leave.
    Cluster {
        #[command(subcommand)]
        command: ClusterCommand,
    },
    /// Show the hub: its version, its fleet file, and who you are to it.
    Hub {
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Print what an agent would apply if the work tree were committed; asks no hub.
    Render(RenderArgs),
    /// Show this program's version.
    Version {
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Print a completion script for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

/// What to list.
#[derive(Debug, Subcommand)]
pub(crate) enum Get {
    /// Clusters.
    #[command(alias = "cluster")]
    Clusters {
        #[command(flatten)]
        filter: FilterArgs,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Applications.
    #[command(alias = "application", alias = "apps")]
    Applications {
        /// Only this one.
        name: Option<ApplicationName>,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Environments.
    #[command(alias = "environment", alias = "envs")]
    Environments {
        #[command(flatten)]
        output: OutputArgs,
    },
}

/// What to describe.
#[derive(Debug, Subcommand)]
pub(crate) enum Describe {
    /// A cluster, with every object its agent reports, worst first.
    Cluster {
        /// The cluster.
        name: ClusterName,
        #[command(flatten)]
        output: OutputArgs,
    },
}

/// What to render.
#[derive(Debug, clap::Args)]
pub(crate) struct RenderArgs {
    /// The directory, or the single file.
    #[arg(default_value = ".")]
    pub(crate) directory: PathBuf,
    /// How: auto, plain or kustomize.
    #[arg(long, value_name = "RENDERER", default_value = "auto")]
    pub(crate) renderer: flotilla_render::Renderer,
    /// How to show the result: yaml, json, or files-read for the files it depends on.
    #[arg(short, long, value_name = "FORMAT", default_value = "yaml")]
    pub(crate) output: flotilla_render::Output,
    /// Put facts of this cluster into the texts, as for an application with `substitute: true`.
    #[arg(long, value_name = "CLUSTER", requires = "environment")]
    pub(crate) cluster: Option<ClusterName>,
    /// The cluster's environment.
    #[arg(long = "env", value_name = "ENV", requires = "cluster")]
    pub(crate) environment: Option<EnvironmentName>,
    /// A label of the cluster, `name=value`; may be repeated.
    #[arg(long = "label", value_name = "LABEL", requires = "cluster", value_parser = fact)]
    pub(crate) labels: Vec<(String, String)>,
    /// Leave facts that the cluster does not have as they are written.
    #[arg(long, requires = "cluster")]
    pub(crate) lenient: bool,
}

fn fact(text: &str) -> Result<(String, String), String> {
    text.split_once('=')
        .filter(|(name, _)| !name.is_empty())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .ok_or_else(|| "it should be name=value".to_owned())
}

/// A promotion.
#[derive(Debug, clap::Args)]
pub(crate) struct Promote {
    /// The environment to promote into.
    pub(crate) environment: EnvironmentName,
    /// The commit to promote [default: the head of the environment before].
    #[arg(long, value_name = "COMMIT")]
    pub(crate) commit: Option<CommitPrefix>,
    /// Only this repository, where the fleet has several.
    #[arg(long, value_name = "REPOSITORY")]
    pub(crate) repository: Option<String>,
    /// Show what would move, and stop.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Do not ask.
    #[arg(short, long)]
    pub(crate) yes: bool,
    /// A clone of the repository, to spare fetching what it has; it is not changed.
    #[arg(long, value_name = "DIR")]
    pub(crate) repo_dir: Option<PathBuf>,
    /// Go on although a gate fails; the branch is still only fast-forwarded. Where it has moved already,
    /// overrule what holds its commit back there.
    #[arg(long, requires = "reason")]
    pub(crate) force: bool,
    /// Why the gates are overruled.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    /// Do not move the branch: push the commit as a branch of its own, and print where to open a pull
    /// request for it.
    #[arg(long, conflicts_with_all = ["wait", "force"])]
    pub(crate) pull_request: bool,
    /// What serves the repository, where its host's name does not say.
    #[arg(long, requires = "pull_request")]
    pub(crate) forge: Option<Forge>,
    /// Wait for gates that time or other people may open, then until the environment's clusters run the
    /// commit, healthy.
    #[arg(short, long)]
    pub(crate) wait: bool,
    /// How long to wait in all.
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = duration)]
    pub(crate) wait_timeout: Duration,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// Where a new cluster belongs.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct PlaceArgs {
    /// The environment it will belong to.
    #[arg(short, long = "env", value_name = "ENV")]
    pub(crate) environment: Option<EnvironmentName>,
    /// A label to give it; may be repeated.
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label)]
    pub(crate) labels: Vec<(String, String)>,
}

/// Work with join tokens.
#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Create a join token; it is shown once, and can be used once.
    Create {
        /// The only cluster name it can be used for.
        #[arg(short, long)]
        cluster: Option<ClusterName>,
        #[command(flatten)]
        place: PlaceArgs,
        /// How long it can be used.
        #[arg(long, value_name = "TIME", default_value = "1h", value_parser = duration)]
        lifetime: Duration,
        /// Accept the cluster that uses it without a second step.
        #[arg(long)]
        auto_accept: bool,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// List join tokens; the tokens themselves are not kept.
    List {
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Make a join token unusable.
    Revoke {
        /// Its id.
        id: String,
    },
}

/// Let clusters join and leave.
#[derive(Debug, Subcommand)]
pub(crate) enum ClusterCommand {
    /// List clusters.
    List {
        /// Only those that wait to be accepted.
        #[arg(long)]
        pending: bool,
        #[command(flatten)]
        filter: FilterArgs,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Accept a cluster that has enrolled.
    Accept {
        /// The cluster.
        name: ClusterName,
        #[command(flatten)]
        place: PlaceArgs,
        /// The fingerprint its agent logged; it is refused if another key waits.
        #[arg(long, value_name = "SHA256")]
        fingerprint: Option<String>,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Remove a cluster from the fleet; what runs in it stays.
    Remove {
        /// The cluster.
        name: ClusterName,
        /// Why, for the hub's log.
        #[arg(
            long,
            value_name = "TEXT",
            default_value = "",
            hide_default_value = true
        )]
        reason: String,
        /// Do not ask.
        #[arg(short, long)]
        yes: bool,
    },
    /// Let a cluster have new assignments again that was locked since two agents used its identity.
    Unlock {
        /// The cluster.
        name: ClusterName,
        /// Why, for the audit log.
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Print what to `kubectl apply` in a cluster, so that it joins.
    JoinManifest(JoinManifest),
}

/// Where to log in.
#[derive(Debug, clap::Args)]
pub(crate) struct LoginArgs {
    /// The hub [default: the one of the context].
    #[arg(value_name = "HOST:PORT")]
    pub(crate) hub: Option<String>,
    /// The roots that the hub's certificate must come from [default: those of a context of that hub].
    #[arg(long, value_name = "FILE")]
    pub(crate) trust_bundle: Option<PathBuf>,
    /// What to call the context [default: the first part of the hub's name].
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Roots to trust for the issuer, instead of the system's.
    #[arg(long, value_name = "FILE")]
    pub(crate) issuer_trust_bundle: Option<PathBuf>,
}

/// What to do with contexts.
#[derive(Debug, Subcommand)]
pub(crate) enum ContextCommand {
    /// List them.
    List {
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Choose the one that is meant where none is named.
    Use {
        /// Its name.
        name: String,
    },
    /// Forget one, with its key or login.
    Remove {
        /// Its name.
        name: String,
    },
    /// Take in a context from a file that an admin made.
    Import {
        /// The file.
        from: PathBuf,
        /// What to call it.
        #[arg(long)]
        name: Option<String>,
    },
    /// Get a new certificate with a new key, before the old one ends or its authority does.
    Renew,
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
    /// A file with a join token [default: create one for this cluster].
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// Accept the cluster without a second step.
    #[arg(long, conflicts_with = "token_file")]
    pub(crate) auto_accept: bool,
    /// How long the token can be used.
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = duration)]
    pub(crate) lifetime: Duration,
    /// Which address the agent dials [default: what the hub says].
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) hub: Option<String>,
    /// How the agent runs.
    #[arg(long, default_value = "daemon-set")]
    pub(crate) workload: Workload,
    /// A service account, `namespace/name`, that the agent's policy names to write as; may be repeated.
    /// The agent gets the right to impersonate it, and no other.
    #[arg(long, value_name = "ACCOUNT", value_parser = account)]
    pub(crate) impersonate: Vec<(String, String)>,
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

/// Reads `90s`, `10m`, `2h`, `1d` or plain seconds.
fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match text.get(digits.len()..) {
        Some("" | "s") => 1,
        Some("m") => 60,
        Some("h") => 3600,
        Some("d") => 86_400,
        _ => return Err("give a time such as 30s, 10m, 2h or 1d".to_owned()),
    };
    let number: u64 = digits
        .parse()
        .map_err(|_| "give a time such as 30s, 10m, 2h or 1d".to_owned())?;
    match number.checked_mul(unit) {
        Some(seconds @ 1..=31_536_000) => Ok(Duration::from_secs(seconds)),
        _ => Err("give a time from 1s to 365d".to_owned()),
    }
}

fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("give a label as key=value".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_bounded() {
        assert_eq!(duration("90"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("10m"), Ok(Duration::from_secs(600)));
        for bad in ["", "0s", "m", "1w", "99999999999999999999s", "366d", "-1s"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    /// The whole help, so that a change of it is seen in review.
    #[test]
    fn the_help_of_every_command() {
        fn add(command: &mut clap::Command, path: &str, out: &mut String) {
            let path = format!("{path} {}", command.get_name());
            out.push_str(&format!("===={path}\n{}\n", command.render_help()));
            for sub in command.get_subcommands_mut() {
                if sub.get_name() != "help" {
                    add(sub, &path, out);
                }
            }
        }
        let mut command = Args::command().term_width(100);
        command.build();
        let mut out = String::new();
        add(&mut command, "", &mut out);
        insta::assert_snapshot!(out);
    }
}

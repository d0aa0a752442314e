//! The command line.

mod application;
mod chart;
mod check;
mod commit;
mod context;
mod diff;
mod join;
mod plan;
mod promote;
mod render;
mod steer;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::builder::Resettable;
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum};
use flotilla_shared::duration::{DurationError, typed};
use flotilla_shared::id::{ApplicationName, ClusterName, EnvironmentName};

pub(crate) use application::{ApplicationCommand, RemoveArgs, SuspendArgs};
pub(crate) use chart::{ChartCommand, ReachArgs, VendorArgs};
pub(crate) use check::{BundleArgs, CheckArgs};
pub(crate) use commit::CommitPrefix;
pub(crate) use context::{ContextCommand, LoginArgs};
pub(crate) use diff::{DiffArgs, DiffOutput};
pub(crate) use join::{ClusterCommand, JoinManifest, JoinOutput, TokenCommand, Workload};
pub(crate) use plan::PlanArgs;
pub(crate) use promote::Promote;
pub(crate) use render::{ChartArgs, GeneratedChoice, RenderArgs, Renderer};
pub(crate) use steer::{
    ApproveArgs, AuditArgs, AuditCommand, EventsArgs, OperatorCommand, PinArgs, ReasonArgs,
    RollbackArgs, RolloutCommand, SubjectArgs,
};

/// See and steer a fleet of clusters.
#[derive(Debug, Parser)]
#[command(
    name = "flotilla",
    version,
    about,
    max_term_width = 100,
    after_help = "Exit codes: 0 success; 1 something differs, or is not done yet; 2 error."
)]
pub(crate) struct Args {
    /// The context file: hubs and your credentials [default: ~/.config/flotilla/config.yaml].
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "FLOTILLA_CONFIG",
        hide_env_values = true
    )]
    pub(crate) context_file: Option<PathBuf>,
    /// The context to use [default: the current one].
    #[arg(long, global = true, value_name = "NAME", env = "FLOTILLA_CONTEXT")]
    pub(crate) context: Option<String>,
    /// When to use colours; NO_COLOR is honoured.
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub(crate) color: ColorChoice,
    /// Longest time to wait for an answer of the hub, such as 10s or 1m.
    #[arg(long, global = true, value_name = "TIME", default_value = "10s", value_parser = duration)]
    pub(crate) timeout: Duration,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Args {
    /// Reads the command line. An empty environment variable counts as not set, as with `KUBECONFIG`.
    pub(crate) fn read() -> Result<Self, clap::Error> {
        let mut command = Self::command().mut_args(|arg| {
            let value = arg.get_env().and_then(std::env::var_os);
            match value.is_some_and(|value| value.is_empty()) {
                true => arg.env(Resettable::Reset),
                false => arg,
            }
        });
        if is_plugin(std::env::args_os().next().as_deref()) {
            command = command.bin_name("kubectl flotilla");
        }
        let matches = command.try_get_matches_from_mut(std::env::args_os())?;
        Self::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
    }
}

/// Whether kubectl started this program: it runs `kubectl-flotilla` for `kubectl flotilla`.
fn is_plugin(program: Option<&OsStr>) -> bool {
    let stem = program.and_then(|program| Path::new(program).file_stem());
    stem.is_some_and(|stem| stem == "kubectl-flotilla" || stem == "kubectl_flotilla")
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
    /// Whether the output is for programs.
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
    /// Show environments and clusters: what runs where, and its health.
    Status {
        #[command(flatten)]
        filter: FilterArgs,
        /// Keep showing: redrawn on a terminal, else a line for each change.
        #[arg(short, long)]
        watch: bool,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Log in to a hub through your identity provider, with a browser on any machine.
    Login(LoginArgs),
    /// Manage contexts: the hubs that you work with, and which one is current.
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
    /// Explain why a cluster or an environment is on its current commit.
    Explain {
        /// A cluster or an environment.
        subject: String,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Show what a cluster's agent would change now: pending changes and drift. With --base, show what a
    /// change of the repository does to the whole fleet. Values of Secrets are masked. Exit code 1:
    /// something differs.
    Diff(DiffArgs),
    /// Ask the agents of an environment what a commit would change in their clusters, by a dry run at their
    /// API servers, and group equal answers. Changes nothing and shows no values. Exit code 1: something
    /// would change, and every cluster would accept it; 2: a cluster did not answer, or would refuse it.
    Plan(PlanArgs),
    /// Promote into an environment: show what moves, ask, and fast-forward its branch with your own git.
    Promote(Promote),
    /// Roll back: commit the content of the last good commit on top of the branch, with your own git.
    Rollback(RollbackArgs),
    /// Show rollouts.
    Rollout {
        #[command(subcommand)]
        command: RolloutCommand,
    },
    /// List the commits that came into environments, newest first.
    History {
        /// Only this environment.
        environment: Option<EnvironmentName>,
        /// Same as ENVIRONMENT.
        #[arg(
            short,
            long = "env",
            value_name = "ENV",
            conflicts_with = "environment"
        )]
        env: Option<EnvironmentName>,
        /// Maximum number of entries.
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
        limit: u32,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Pause an environment: start no further cluster.
    Pause(ReasonArgs),
    /// Resume a paused environment and its automatic promotions, or a suspended cluster.
    Resume {
        /// The environment or cluster.
        subject: String,
    },
    /// Suspend a cluster: its agent writes nothing until it is resumed. The cluster keeps what it runs, and
    /// rollouts leave it out by name.
    Suspend(SuspendArgs),
    /// Remove applications.
    Application {
        #[command(subcommand)]
        command: ApplicationCommand,
    },
    /// Retry the failed clusters of a rollout.
    Retry {
        /// The environment.
        environment: EnvironmentName,
    },
    /// Abort a rollout; its clusters go back to the last good commit.
    Abort(ReasonArgs),
    /// Pin a cluster or an environment to a commit.
    Pin(PinArgs),
    /// Unpin a cluster or an environment: it follows its rollouts again.
    Unpin(SubjectArgs),
    /// Approve a commit where a gate or a wave asks for it.
    Approve(ApproveArgs),
    /// Show the audit log: who did what to which clusters, why and with which commit.
    Audit(AuditArgs),
    /// Show events as they happen.
    Events(EventsArgs),
    /// Manage operators and their roles.
    Operator {
        #[command(subcommand)]
        command: OperatorCommand,
    },
    /// Create, list and revoke join tokens.
    Token {
        #[command(subcommand)]
        command: TokenCommand,
    },
    /// Manage the clusters of the fleet.
    Cluster {
        #[command(subcommand)]
        command: ClusterCommand,
    },
    /// Show the hub: its version, its fleet file and your role.
    Hub {
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Check everything between you and the fleet: context, clock, certificates, versions, hub, rights,
    /// clusters.
    ///
    /// Each check is ok, a warning (!), failed, or unknown (?). Exit code 1: a check failed; 2: none failed,
    /// but some are unknown.
    Check(CheckArgs),
    /// Collect diagnostics into a file, without secrets; lists its contents first.
    SupportBundle(BundleArgs),
    /// Serve the fleet's pages to a browser on this machine, with your own context.
    ///
    /// The printed link works once, for one browser. Only this machine can reach the pages.
    Web {
        /// Where to listen: a loopback address; port 0 takes a free one.
        #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
        listen: std::net::SocketAddr,
        /// Open the link in a browser.
        #[arg(long)]
        open: bool,
    },
    /// Print what an agent would apply if the work tree were committed; asks no hub.
    Render(RenderArgs),
    /// Vendor the dependencies of a chart into its folder, ready to commit; asks no hub.
    Chart {
        #[command(subcommand)]
        command: ChartCommand,
    },
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
    /// Write the manual's pages, one for each command.
    #[command(hide = true)]
    Man {
        /// An existing directory.
        directory: PathBuf,
    },
}

/// What to list.
#[derive(Debug, Subcommand)]
pub(crate) enum Get {
    /// List clusters.
    #[command(alias = "cluster")]
    Clusters {
        #[command(flatten)]
        filter: FilterArgs,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// List applications.
    #[command(alias = "application", alias = "apps")]
    Applications {
        /// Only this application.
        name: Option<ApplicationName>,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// List environments.
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

/// From a second to a year.
fn duration(text: &str) -> Result<Duration, DurationError> {
    typed(
        text,
        Duration::from_secs(1)..=Duration::from_secs(31_536_000),
    )
}

#[cfg(test)]
mod suggested;
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

    #[test]
    fn kubectl_finds_us_by_name() {
        for (program, plugin) in [
            ("/usr/bin/flotilla", false),
            ("/home/a/.krew/bin/kubectl-flotilla", true),
            ("kubectl-flotilla.exe", true),
            ("", false),
        ] {
            assert_eq!(is_plugin(Some(OsStr::new(program))), plugin, "{program}");
        }
        assert!(!is_plugin(None));
    }

    /// The whole help, so that reviews show each change of it.
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

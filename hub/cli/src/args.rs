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
    ApproveArgs, AuditArgs, AuditCommand, EventsArgs, OperatorCommand, PinArgs, Reasoned,
    RollbackArgs, RolloutCommand, SubjectArgs,
};

/// See and steer a fleet of clusters.
#[derive(Debug, Parser)]
#[command(
    name = "flotilla",
    version,
    about,
    max_term_width = 100,
    after_help = "Exit codes: 0 as asked, 1 it differs or is not done yet, 2 an error."
)]
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
        if is_plugin(std::env::args_os().next().as_deref()) {
            command = command.bin_name("kubectl flotilla");
        }
        let matches = command.try_get_matches_from_mut(std::env::args_os())?;
        Self::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
    }
}

/// Whether kubectl started us, which runs `kubectl-flotilla` for `kubectl flotilla`.
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
    /// Which hubs there are, and which one is the current one.
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
    /// Show what a cluster's agent would change now: its pending plan and its drift; with --base, what a
    /// change of the repository does to the whole fleet. Values of Secrets are masked. Exit code 1:
    /// something differs.
    Diff(DiffArgs),
    /// Ask an environment's agents what a commit would change on their clusters, by their API servers' own
    /// dry run, and put equal answers together. Changes nothing, and shows no value of any field. Exit code
    /// 1: something would change, and every cluster would take it; 2: of some cluster nobody can say, or it
    /// would not take it.
    Plan(PlanArgs),
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
        /// The same, as other lists take it.
        #[arg(
            short,
            long = "env",
            value_name = "ENV",
            conflicts_with = "environment"
        )]
        env: Option<EnvironmentName>,
        /// At most so many.
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
        limit: u32,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Start no further cluster in an environment.
    Pause(Reasoned),
    /// Let a paused environment go on, and automatic promotions in again; or let a suspended cluster write.
    Resume {
        /// The environment or the cluster.
        subject: String,
    },
    /// Ask a cluster's agent to write nothing until it is resumed. It keeps what it has, and rollouts leave it
    /// out by name.
    Suspend(SuspendArgs),
    /// Take applications away on purpose.
    Application {
        #[command(subcommand)]
        command: ApplicationCommand,
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
    /// Approve a commit, where a gate or a wave asks for it.
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
    /// Look over the whole way to the fleet: context, clock, certificates, versions, hub, rights, clusters.
    ///
    /// Marks: what is well, what somebody should look at (!), what is wrong, and what could not be found out
    /// (?). Exit code 1: something is wrong; 2: nothing that was seen is, and not all could be seen.
    Check(CheckArgs),
    /// Write what somebody who helps wants to see to a file, without secrets; says first what is in it.
    SupportBundle(BundleArgs),
    /// Serve the fleet's pages to this machine's browser, with your own context.
    ///
    /// The link that is printed lets one browser in, once. Nothing but loopback can reach the pages.
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
    /// Bring a chart's dependencies into its folder, ready to commit; asks no hub.
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

//! Arguments of what steers rollouts and shows what was done.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::PossibleValue;
use clap::{Subcommand, ValueEnum};
use flotilla_shared::id::{ClusterName, EnvironmentName, OperatorName};
use flotilla_shared::role::Role;

use super::{CommitPrefix, OutputArgs, duration};

/// Look at rollouts.
#[derive(Debug, Subcommand)]
pub(crate) enum RolloutCommand {
    /// List rollouts, newest first.
    List {
        /// Only this environment.
        #[arg(short, long = "env", value_name = "ENV")]
        environment: Option<EnvironmentName>,
        /// At most so many.
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
        limit: u32,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Show one rollout: its waves, its clusters, and what was decided about its environment.
    Show {
        /// A rollout, or an environment for its last one.
        subject: String,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Follow a rollout until it is over, or needs a person.
    Watch {
        /// A rollout, or an environment for its last one.
        subject: String,
        #[command(flatten)]
        output: OutputArgs,
    },
}

/// Why, where that may be left out.
#[derive(Debug, clap::Args)]
pub(crate) struct OptionalReason {
    /// Why.
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true
    )]
    pub(crate) reason: String,
}

/// How a branch is brought to move: whether it is asked about first, and where Git's objects are.
#[derive(Debug, clap::Args)]
pub(crate) struct BranchArgs {
    /// Do not ask.
    #[arg(short, long)]
    pub(crate) yes: bool,
    /// A clone of the repository, to spare fetching what it has; it is not changed.
    #[arg(long, value_name = "DIR")]
    pub(crate) repo_dir: Option<PathBuf>,
}

/// An environment and why.
#[derive(Debug, clap::Args)]
pub(crate) struct Reasoned {
    /// The environment.
    pub(crate) environment: EnvironmentName,
    /// Why.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
}

/// A pin.
#[derive(Debug, clap::Args)]
pub(crate) struct PinArgs {
    #[command(flatten)]
    pub(crate) subject: SubjectArgs,
    /// The commit to keep it on [default: the one it is on].
    #[arg(long, value_name = "COMMIT")]
    pub(crate) commit: Option<CommitPrefix>,
    /// Only this repository, where the fleet has several.
    #[arg(long, value_name = "REPOSITORY")]
    pub(crate) repository: Option<String>,
    /// Why.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
    /// End by itself after this time.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) expires: Option<Duration>,
    #[command(flatten)]
    pub(crate) signing: SigningArgs,
}

/// An approval to go back in history, for agents whose policy wants one.
#[derive(Debug, clap::Args)]
pub(crate) struct SigningArgs {
    /// Sign an approval to go back with this SSH key (`ssh-keygen -Y sign`); agents that know the key
    /// go back for it, and the hub cannot make one.
    #[arg(long, value_name = "KEY")]
    pub(crate) sign: Option<PathBuf>,
    /// How long the approval may be used.
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "24h", requires = "sign")]
    pub(crate) approval_expires: Duration,
}

/// A cluster or an environment.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub(crate) struct SubjectArgs {
    /// One cluster.
    #[arg(short, long)]
    pub(crate) cluster: Option<ClusterName>,
    /// All of an environment.
    #[arg(short, long = "env", value_name = "ENV")]
    pub(crate) environment: Option<EnvironmentName>,
}

/// An approval.
#[derive(Debug, clap::Args)]
pub(crate) struct ApproveArgs {
    /// The environment that the commit should come into.
    pub(crate) environment: EnvironmentName,
    /// Which commit [default: that of the rollout which waits, and the wave that waits].
    #[arg(long, value_name = "COMMIT")]
    pub(crate) commit: Option<CommitPrefix>,
    /// Only of this repository.
    #[arg(long, value_name = "NAME")]
    pub(crate) repository: Option<String>,
    /// Only this wave of its rollout.
    #[arg(long)]
    pub(crate) wave: Option<String>,
    #[command(flatten)]
    pub(crate) why: OptionalReason,
}

/// A way back.
#[derive(Debug, clap::Args)]
pub(crate) struct RollbackArgs {
    /// The environment.
    pub(crate) environment: EnvironmentName,
    /// The good commit whose content to go back to [default: the last good one before the head].
    #[arg(long, value_name = "COMMIT")]
    pub(crate) to: Option<CommitPrefix>,
    /// Which repository, where the fleet has several.
    #[arg(long, value_name = "REPOSITORY")]
    pub(crate) repository: Option<String>,
    /// Why.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
    /// Go back to a commit that was never good there, past all gates: it takes an admin.
    #[arg(long, requires = "to")]
    pub(crate) force: bool,
    /// Show what would be committed, and stop.
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) branch: BranchArgs,
    /// With `--sign`: pin the environment on the old commit itself, with a signed approval, in place of a
    /// new commit.
    #[command(flatten)]
    pub(crate) signing: SigningArgs,
}

/// What was done, by whom.
#[derive(Debug, clap::Args)]
pub(crate) struct AuditArgs {
    #[command(subcommand)]
    pub(crate) command: Option<AuditCommand>,
    /// Only this environment.
    #[arg(short, long = "env", value_name = "ENV")]
    pub(crate) environment: Option<EnvironmentName>,
    /// At most so many.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: u32,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// More about the log.
#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Check that no entry was changed, taken out or put elsewhere.
    ///
    /// Nor the end cut off since you looked last: the place is remembered beside the context file.
    Verify {
        /// Begin anew from what is there, where a restore explains what is gone.
        #[arg(long)]
        accept: bool,
        #[command(flatten)]
        output: OutputArgs,
    },
}

/// Events as they come.
#[derive(Debug, clap::Args)]
pub(crate) struct EventsArgs {
    /// Only this environment.
    #[arg(short, long = "env", value_name = "ENV")]
    pub(crate) environment: Option<EnvironmentName>,
    /// Keep showing.
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// The newest so many first.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: u32,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// Work with operators.
#[derive(Debug, Subcommand)]
pub(crate) enum OperatorCommand {
    /// List operators and what they may do.
    List {
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Set what an operator may do; it holds at once.
    Set {
        /// The operator.
        name: OperatorName,
        /// What they may do.
        #[arg(long)]
        role: RoleArg,
        /// Only in this environment; may be repeated [default: everywhere].
        #[arg(short, long = "env", value_name = "ENV")]
        environments: Vec<EnvironmentName>,
        /// Make a key here and a certificate for it, and write a context file with both.
        #[arg(long, value_name = "FILE")]
        write_context: Option<PathBuf>,
    },
    /// Take everything from an operator, at once: the certificate is of no use any more, and what was approved
    /// with it and waits does not count.
    Remove {
        /// The operator.
        name: OperatorName,
        /// Why, for the audit log.
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
}

/// A role as it is typed, with what it may do for the help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RoleArg(pub(crate) Role);

impl ValueEnum for RoleArg {
    fn value_variants<'a>() -> &'a [Self] {
        &[
            Self(Role::None),
            Self(Role::Viewer),
            Self(Role::Approver),
            Self(Role::Promoter),
            Self(Role::Admin),
        ]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let help = match self.0 {
            Role::None => "Nothing",
            Role::Viewer => "See",
            Role::Approver => "Approve commits and waves that others bring",
            Role::Promoter => "Bring commits; stop, resume, pin and roll back",
            Role::Admin => "Everything",
        };
        Some(PossibleValue::new(self.0.as_str()).help(help))
    }
}

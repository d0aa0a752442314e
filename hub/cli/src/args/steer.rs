//! Arguments of commands that steer rollouts and show what was done.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::PossibleValue;
use clap::{Subcommand, ValueEnum};
use flotilla_shared::id::{ClusterName, EnvironmentName, OperatorName};
use flotilla_shared::role::Role;

use super::{CommitPrefix, OutputArgs, duration};

/// Show rollouts.
#[derive(Debug, Subcommand)]
pub(crate) enum RolloutCommand {
    /// List rollouts, newest first.
    List {
        /// Only this environment.
        #[arg(short, long = "env", value_name = "ENV")]
        environment: Option<EnvironmentName>,
        /// Maximum number of entries.
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
        limit: u32,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Show one rollout: its waves, its clusters, and decisions about its environment.
    Show {
        /// A rollout, or an environment (its latest rollout).
        subject: String,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Follow a rollout until it ends or needs a person.
    Watch {
        /// A rollout, or an environment (its latest rollout).
        subject: String,
        #[command(flatten)]
        output: OutputArgs,
    },
}

/// Why, where that may be left out.
#[derive(Debug, clap::Args)]
pub(crate) struct OptionalReason {
    /// Reason, for the audit log.
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
    /// Do not ask for confirmation.
    #[arg(short, long)]
    pub(crate) yes: bool,
    /// A local clone whose objects need not be fetched again; it is not changed.
    #[arg(long, value_name = "DIR")]
    pub(crate) repo_dir: Option<PathBuf>,
}

/// An environment and why.
#[derive(Debug, clap::Args)]
pub(crate) struct ReasonArgs {
    /// The environment.
    pub(crate) environment: EnvironmentName,
    /// Reason, for the audit log.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
}

/// A pin.
#[derive(Debug, clap::Args)]
pub(crate) struct PinArgs {
    #[command(flatten)]
    pub(crate) subject: SubjectArgs,
    /// The commit to pin to [default: the current one].
    #[arg(long, value_name = "COMMIT")]
    pub(crate) commit: Option<CommitPrefix>,
    /// Only this repository, if the fleet has several.
    #[arg(long, value_name = "REPOSITORY")]
    pub(crate) repository: Option<String>,
    /// Reason, for the audit log.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
    /// End the pin after this time.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) expires: Option<Duration>,
    #[command(flatten)]
    pub(crate) signing: SigningArgs,
}

/// An approval to go back in history, for agents whose policy wants one.
#[derive(Debug, clap::Args)]
pub(crate) struct SigningArgs {
    /// Sign an approval to go back with this SSH key (`ssh-keygen -Y sign`). Agents whose policy names the key
    /// accept it; the hub cannot make one.
    #[arg(long, value_name = "KEY")]
    pub(crate) sign: Option<PathBuf>,
    /// How long the approval is valid.
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
    /// A whole environment.
    #[arg(short, long = "env", value_name = "ENV")]
    pub(crate) environment: Option<EnvironmentName>,
}

/// An approval.
#[derive(Debug, clap::Args)]
pub(crate) struct ApproveArgs {
    /// The environment.
    pub(crate) environment: EnvironmentName,
    /// The commit [default: that of the waiting rollout, and its waiting wave].
    #[arg(long, value_name = "COMMIT")]
    pub(crate) commit: Option<CommitPrefix>,
    /// Only this repository.
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
    /// The commit to go back to [default: the last good one before the head].
    #[arg(long, value_name = "COMMIT")]
    pub(crate) to: Option<CommitPrefix>,
    /// The repository, if the fleet has several.
    #[arg(long, value_name = "REPOSITORY")]
    pub(crate) repository: Option<String>,
    /// Reason, for the audit log.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
    /// Go back to a commit that was never good there, bypassing all gates (admin only).
    #[arg(long, requires = "to")]
    pub(crate) force: bool,
    /// Only show what would be committed.
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
    /// Maximum number of entries.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: u32,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// More about the log.
#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Verify that no entry was changed, removed or moved.
    ///
    /// The last verified entry is remembered beside the context file, so that a log that lost its end is noticed.
    Verify {
        /// Accept the current log as the new baseline, after a restore that explains missing entries.
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
    /// Continue to show new events.
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Start with this many recent events.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: u32,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// Work with operators.
#[derive(Debug, Subcommand)]
pub(crate) enum OperatorCommand {
    /// List operators and their roles.
    List {
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Set the role of an operator; takes effect immediately.
    Set {
        /// The operator.
        name: OperatorName,
        /// The role.
        #[arg(long)]
        role: RoleArg,
        /// Only in this environment; may be repeated [default: everywhere].
        #[arg(short, long = "env", value_name = "ENV")]
        environments: Vec<EnvironmentName>,
        /// Create a key and a certificate, and write a context file with both.
        #[arg(long, value_name = "FILE")]
        write_context: Option<PathBuf>,
    },
    /// Remove an operator, effective immediately: the certificate stops working, and pending approvals given
    /// with it are void.
    Remove {
        /// The operator.
        name: OperatorName,
        /// Reason, for the audit log.
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
            Role::Viewer => "Read",
            Role::Approver => "Approve commits and waves of others",
            Role::Promoter => "Promote commits; pause, resume, pin and roll back",
            Role::Admin => "Everything",
        };
        Some(PossibleValue::new(self.0.as_str()).help(help))
    }
}

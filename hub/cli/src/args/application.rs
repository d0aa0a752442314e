//! Arguments of what takes away: applications, and a cluster's leave to write.

use std::path::PathBuf;

use clap::Subcommand;
use flotilla_shared::id::{ApplicationName, ClusterName, EnvironmentName};

use super::steer::OptionalReason;

/// Work with applications.
#[derive(Debug, Subcommand)]
pub(crate) enum ApplicationCommand {
    /// Take an application away on purpose: show what each cluster would delete, ask, note it in the audit
    /// log, and print the lines for the fleet file.
    ///
    /// The fleet file alone removes, once it is committed: it comes by the environment's waves and gates, and
    /// each agent deletes as far as its own policy lets it. The preview goes to the terminal, the lines to
    /// standard output. With --push the change is made to the fleet file itself, shown, and pushed to its
    /// branch, with your own git and by fast-forward only.
    Remove(RemoveArgs),
}

/// A removal.
#[derive(Debug, clap::Args)]
pub(crate) struct RemoveArgs {
    /// The application.
    pub(crate) name: ApplicationName,
    /// Only in this environment; may be repeated [default: everywhere].
    #[arg(short, long = "env", visible_alias = "environment", value_name = "ENV")]
    pub(crate) environments: Vec<EnvironmentName>,
    /// Let its objects stay; nobody manages them any more.
    #[arg(long)]
    pub(crate) keep_objects: bool,
    #[command(flatten)]
    pub(crate) why: OptionalReason,
    /// Change the fleet file, which lies here in a clone of its repository, and push it to the branch that
    /// the clone's branch follows. Its comments and its layout stay, and so does all else in the clone.
    #[arg(long, value_name = "FLEET-FILE")]
    pub(crate) push: Option<PathBuf>,
    /// Show what would be deleted and the lines, and stop.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Do not ask.
    #[arg(short, long)]
    pub(crate) yes: bool,
}

/// A cluster and why.
#[derive(Debug, clap::Args)]
pub(crate) struct SuspendArgs {
    /// The cluster.
    pub(crate) cluster: ClusterName,
    /// Why.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
}

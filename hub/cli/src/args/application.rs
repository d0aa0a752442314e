//! Arguments of commands that remove applications or suspend a cluster.

use std::path::PathBuf;

use clap::Subcommand;
use flotilla_shared::id::{ApplicationName, ClusterName, EnvironmentName};

use super::steer::OptionalReason;

/// Work with applications.
#[derive(Debug, Subcommand)]
pub(crate) enum ApplicationCommand {
    /// Remove an application: show what each cluster would delete, ask, note it in the audit log, and print
    /// the lines for the fleet file.
    ///
    /// Nothing is deleted before these lines are committed to the fleet file. The removal then goes through
    /// the environment's waves and gates, and each agent deletes what its own policy permits. The preview
    /// goes to the terminal, the lines to standard output. With --push the fleet file itself is changed,
    /// shown, and pushed to its branch, with your own git and by fast-forward only.
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
    /// Keep its objects in the clusters, unmanaged.
    #[arg(long)]
    pub(crate) keep_objects: bool,
    #[command(flatten)]
    pub(crate) why: OptionalReason,
    /// Path of the fleet file in a clone of its repository: change it and push the change to the branch that
    /// the clone tracks. Comments and layout are kept, and nothing else in the clone changes.
    #[arg(long, value_name = "FLEET-FILE")]
    pub(crate) push: Option<PathBuf>,
    /// Only show what would be deleted, and the lines.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Do not ask for confirmation.
    #[arg(short, long)]
    pub(crate) yes: bool,
}

/// A cluster and why.
#[derive(Debug, clap::Args)]
pub(crate) struct SuspendArgs {
    /// The cluster.
    pub(crate) cluster: ClusterName,
    /// Reason, for the audit log.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
}

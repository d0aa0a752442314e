//! Arguments of promotions.

use std::path::PathBuf;
use std::time::Duration;

use flotilla_shared::id::EnvironmentName;

use super::steer::BranchArgs;
use super::{CommitPrefix, OutputArgs, duration};
use crate::forge::Forge;

/// A promotion.
#[derive(Debug, clap::Args)]
pub(crate) struct Promote {
    /// The environment to promote into.
    pub(crate) environment: EnvironmentName,
    /// The commit to promote [default: the head of the environment before].
    #[arg(long, value_name = "COMMIT")]
    pub(crate) commit: Option<CommitPrefix>,
    /// Only this repository, if the fleet has several.
    #[arg(long, value_name = "REPOSITORY")]
    pub(crate) repository: Option<String>,
    /// Only show what would move.
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) branch: BranchArgs,
    /// Promote although gates are closed; the branch is still only fast-forwarded. If it has moved already,
    /// override what holds the commit back there.
    #[arg(long, requires = "reason")]
    pub(crate) force: bool,
    /// Reason to override the gates.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    /// Do not move the branch: push the commit as a branch of its own, and print where to open a pull
    /// request. With --forge-token-file the pull request is opened, or updated where one is open for this
    /// environment.
    #[arg(long, conflicts_with_all = ["wait", "force"])]
    pub(crate) pull_request: bool,
    /// Ask the environment's agents what the commit would change in their clusters, and write it into the
    /// pull request; see `flotilla plan`.
    #[arg(long, requires_all = ["pull_request", "forge_token_file"])]
    pub(crate) plan: bool,
    /// The forge that serves the repository, if its host name does not tell.
    #[arg(long, requires = "pull_request")]
    pub(crate) forge: Option<Forge>,
    /// A file with a token that may write pull requests there.
    #[arg(
        long,
        value_name = "FILE",
        requires = "pull_request",
        env = "FLOTILLA_FORGE_TOKEN_FILE"
    )]
    pub(crate) forge_token_file: Option<PathBuf>,
    /// The address of the forge's API, if the host name does not tell.
    #[arg(long, value_name = "URL", requires = "forge_token_file")]
    pub(crate) forge_api: Option<String>,
    /// Wait for gates that can still open, then until the environment's clusters run the commit and are
    /// healthy.
    #[arg(short, long)]
    pub(crate) wait: bool,
    /// Longest time to wait in total.
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = duration)]
    pub(crate) wait_timeout: Duration,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

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
    /// Only this repository, where the fleet has several.
    #[arg(long, value_name = "REPOSITORY")]
    pub(crate) repository: Option<String>,
    /// Show what would move, and stop.
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) branch: BranchArgs,
    /// Go on although a gate fails; the branch is still only fast-forwarded. Where it has moved already,
    /// override what holds its commit back there.
    #[arg(long, requires = "reason")]
    pub(crate) force: bool,
    /// Why the gates are overridden.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    /// Do not move the branch: push the commit as a branch of its own, and print where to open a pull
    /// request for it; with --forge-token-file the pull request is opened, or the one that is open for
    /// this environment is written anew.
    #[arg(long, conflicts_with_all = ["wait", "force"])]
    pub(crate) pull_request: bool,
    /// Ask the environment's agents what the commit would change on their clusters, and write that into the
    /// pull request; see `flotilla plan`.
    #[arg(long, requires_all = ["pull_request", "forge_token_file"])]
    pub(crate) plan: bool,
    /// What serves the repository, where its host's name does not say.
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
    /// The address of the forge's API, where its host's name does not say.
    #[arg(long, value_name = "URL", requires = "forge_token_file")]
    pub(crate) forge_api: Option<String>,
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

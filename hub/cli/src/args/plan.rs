//! Arguments of plans of a commit.

use std::path::PathBuf;
use std::time::Duration;

use flotilla_shared::id::{ApplicationName, EnvironmentName};
use flotilla_shared::revision::BranchName;

use super::{CommitPrefix, DiffOutput, duration};
use crate::forge::Forge;

/// What to plan.
#[derive(Debug, clap::Args)]
pub(crate) struct PlanArgs {
    /// The environment whose clusters are asked.
    #[arg(short, long = "env", value_name = "ENV")]
    pub(crate) environment: EnvironmentName,
    /// The commit to plan.
    #[arg(long, value_name = "COMMIT", required_unless_present = "branch")]
    pub(crate) commit: Option<CommitPrefix>,
    /// The branch that has the commit; without --commit, its head. Agents plan only for branches that their
    /// policy names under `plan` [default: the environment's own, or that of the environment before].
    #[arg(long, value_name = "BRANCH")]
    pub(crate) branch: Option<BranchName>,
    /// Only this repository, if the fleet has several.
    #[arg(long, value_name = "REPOSITORY")]
    pub(crate) repository: Option<String>,
    /// Only this application.
    #[arg(short, long = "application", alias = "app", value_name = "APP")]
    pub(crate) application: Option<ApplicationName>,
    /// Wait this long for clusters that are offline.
    #[arg(
        short,
        long,
        value_name = "TIME",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "10m",
        value_parser = duration
    )]
    pub(crate) wait: Option<Duration>,
    /// Write the plan into this pull request as a comment, which the next plan replaces. Needs
    /// --forge-token-file.
    #[arg(long, value_name = "NUMBER", requires = "forge_token_file")]
    pub(crate) comment: Option<u64>,
    /// The forge that serves the repository, if its host name does not tell.
    #[arg(long, requires = "comment")]
    pub(crate) forge: Option<Forge>,
    /// A file with a token that may write comments there.
    #[arg(long, value_name = "FILE", env = "FLOTILLA_FORGE_TOKEN_FILE")]
    pub(crate) forge_token_file: Option<PathBuf>,
    /// The address of the forge's API, if the host name does not tell.
    #[arg(long, value_name = "URL", requires = "comment")]
    pub(crate) forge_api: Option<String>,
    /// How to show the result; markdown fits into a comment of a forge.
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub(crate) output: DiffOutput,
}

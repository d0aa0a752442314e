//! Arguments of differences.

use std::path::PathBuf;

use flotilla_shared::id::{ApplicationName, ClusterName, RepositoryName};

use super::Output;

/// What to compare.
#[derive(Debug, clap::Args)]
pub(crate) struct DiffArgs {
    /// The cluster whose agent is asked.
    #[arg(required_unless_present = "base")]
    pub(crate) cluster: Option<ClusterName>,
    /// Only this application.
    pub(crate) application: Option<ApplicationName>,
    /// Work offline: render the work tree and this commit or branch for every application, environment and
    /// cluster of the fleet file, and show what differs. The comparison starts at their merge base.
    #[arg(long, value_name = "REF", conflicts_with_all = ["cluster", "application"])]
    pub(crate) base: Option<String>,
    /// Compare this commit or branch instead of the work tree.
    #[arg(long, value_name = "REF", requires = "base")]
    pub(crate) head: Option<String>,
    /// The fleet file; it is compared too if it is in the same repository [default: fleet.yaml at the root].
    #[arg(long, value_name = "FILE", requires = "base")]
    pub(crate) fleet: Option<PathBuf>,
    /// The name of this repository in the fleet file [default: found by the URLs of its remotes].
    #[arg(long, value_name = "NAME", requires = "base")]
    pub(crate) repository: Option<RepositoryName>,
    /// Output format; markdown needs --base and fits into a comment of a forge.
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub(crate) output: DiffOutput,
}

/// How to show differences.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum DiffOutput {
    /// For people.
    Table,
    /// For people with wide terminals.
    Wide,
    /// For programs.
    Json,
    /// For programs.
    Yaml,
    /// For a comment of a pull request.
    Markdown,
}

impl DiffOutput {
    /// What other commands take; none: Markdown.
    pub(crate) fn plain(self) -> Option<Output> {
        match self {
            Self::Table => Some(Output::Table),
            Self::Wide => Some(Output::Wide),
            Self::Json => Some(Output::Json),
            Self::Yaml => Some(Output::Yaml),
            Self::Markdown => None,
        }
    }
}

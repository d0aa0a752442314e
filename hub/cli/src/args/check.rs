//! Arguments of `check` and `support-bundle`.

use std::path::PathBuf;

use super::OutputArgs;

/// What to check.
#[derive(Debug, clap::Args)]
pub(crate) struct CheckArgs {
    /// A fleet file that should be in force at the hub.
    #[arg(long, value_name = "FILE")]
    pub(crate) fleet: Option<PathBuf>,
    /// Only show what this fleet file would change, compared with the one in force: which clusters gain, lose
    /// or change which applications.
    #[arg(long, value_name = "FILE", conflicts_with = "fleet")]
    pub(crate) fleet_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// What to gather.
#[derive(Debug, clap::Args)]
pub(crate) struct BundleArgs {
    /// The file to write, such as bundle.tar.gz; it must not exist yet.
    #[arg(value_name = "FILE", required_unless_present = "dry_run")]
    pub(crate) file: Option<PathBuf>,
    /// Only list what would be in it.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// A metrics endpoint, such as http://127.0.0.1:9090/metrics; may be repeated.
    #[arg(long, value_name = "URL")]
    pub(crate) metrics: Vec<String>,
    /// Maximum number of audit log entries.
    #[arg(long, value_name = "COUNT", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) audit: u32,
    /// Do not ask for confirmation.
    #[arg(short, long)]
    pub(crate) yes: bool,
}

//! Arguments of what looks at the whole way to the fleet.

use std::path::PathBuf;

use super::OutputArgs;

/// What to check.
#[derive(Debug, clap::Args)]
pub(crate) struct CheckArgs {
    /// A fleet file that should be the one that the hub has in force.
    #[arg(long, value_name = "FILE")]
    pub(crate) fleet: Option<PathBuf>,
    /// Say only what this fleet file would change: which clusters gain, lose or change which applications,
    /// compared with what is in force at the hub.
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
    /// Say what would be in it, and write nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Where metrics can be read, such as http://127.0.0.1:9090/metrics; may be repeated.
    #[arg(long, value_name = "URL")]
    pub(crate) metrics: Vec<String>,
    /// At most so many entries of the audit log.
    #[arg(long, value_name = "COUNT", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) audit: u32,
    /// Do not ask.
    #[arg(short, long)]
    pub(crate) yes: bool,
}

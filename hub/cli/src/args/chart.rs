//! Arguments of commands about charts.

use std::path::PathBuf;

use super::OutputArgs;

/// What to do with a chart.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum ChartCommand {
    /// Vendor dependencies into charts/ and bring Chart.lock up to date, as helm dependency does.
    ///
    /// Versions are those of Chart.lock where it belongs to Chart.yaml, else the newest that Chart.yaml
    /// allows. Everything is fetched and checked before anything is written. Repositories that have names
    /// and logins are those of helm repo add, helm registry login and docker login.
    Vendor(VendorArgs),
    /// Show dependencies of a chart with newer versions. Exit code 1: there are some, or some are not locked.
    Outdated {
        /// The chart's folder.
        #[arg(value_name = "PATH", default_value = ".")]
        chart: PathBuf,
        #[command(flatten)]
        reach: ReachArgs,
        #[command(flatten)]
        output: OutputArgs,
    },
}

/// What to vendor.
#[derive(Debug, clap::Args)]
pub(crate) struct VendorArgs {
    /// The chart's folder.
    #[arg(value_name = "PATH", default_value = ".")]
    pub(crate) chart: PathBuf,
    /// Use the newest versions that Chart.yaml allows, ignoring Chart.lock.
    #[arg(long)]
    pub(crate) update: bool,
    /// Use the versions of Chart.lock, and fail if it does not match Chart.yaml.
    #[arg(long, conflicts_with = "update")]
    pub(crate) locked: bool,
    /// OpenPGP keys to verify provenance files with, where there are any.
    #[arg(long, value_name = "FILE")]
    pub(crate) keyring: Option<PathBuf>,
    /// Fail for charts without a provenance file.
    #[arg(long, requires = "keyring")]
    pub(crate) verify: bool,
    #[command(flatten)]
    pub(crate) reach: ReachArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// How repositories and registries are reached.
#[derive(Debug, clap::Args)]
pub(crate) struct ReachArgs {
    /// CA certificates to trust instead of the system's.
    #[arg(long, value_name = "FILE")]
    pub(crate) ca_file: Option<PathBuf>,
    /// Use plain HTTP for registries, also when sending credentials.
    #[arg(long)]
    pub(crate) plain_http: bool,
}

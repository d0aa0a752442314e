//! Arguments of commands about charts.

use std::path::PathBuf;

use super::OutputArgs;

/// What to do with a chart.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum ChartCommand {
    /// Bring a chart's dependencies into charts/, and Chart.lock up to date, as helm dependency does.
    ///
    /// Versions are those of Chart.lock where it belongs to Chart.yaml, else the newest that Chart.yaml
    /// allows. Everything is fetched and checked before anything is written. Repositories that have names
    /// and logins are those of helm repo add, helm registry login and docker login.
    Vendor(VendorArgs),
    /// Show which dependencies of a chart have newer versions. Exit code 1: some have, or are not locked.
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
    /// Take the newest versions that Chart.yaml allows, whatever Chart.lock says.
    #[arg(long)]
    pub(crate) update: bool,
    /// Take the versions of Chart.lock, and refuse where it does not belong to Chart.yaml.
    #[arg(long, conflicts_with = "update")]
    pub(crate) locked: bool,
    /// OpenPGP keys that provenance files are held against, where there are any.
    #[arg(long, value_name = "FILE")]
    pub(crate) keyring: Option<PathBuf>,
    /// Refuse what has no provenance file.
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
    /// Certificates to trust instead of the system's.
    #[arg(long, value_name = "FILE")]
    pub(crate) ca_file: Option<PathBuf>,
    /// Ask registries without TLS, and send credentials without it.
    #[arg(long)]
    pub(crate) plain_http: bool,
}

//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};
use flotilla_shared::id::OperatorName;
use flotilla_shared::telemetry::LogFormat;

/// The Flotilla hub.
#[derive(Debug, Parser)]
#[command(name = "flotilla-hub", version, about)]
pub struct Args {
    /// What to log, such as `info` or `flotilla_hub=debug,info`.
    #[arg(long, global = true, default_value = "info", env = "FLOTILLA_LOG")]
    pub log: String,
    /// How log lines look: auto, text or json.
    #[arg(long, global = true, default_value = "auto")]
    pub log_format: LogFormat,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make the certificate authority and the first operator's context file.
    Init {
        /// Where the hub keeps its store, authority and caches.
        #[arg(long)]
        data_dir: PathBuf,
        /// The first operator's name.
        #[arg(long, default_value = "admin")]
        operator: OperatorName,
        /// `host:port` that operators dial, for the context file.
        #[arg(long, default_value = "127.0.0.1:8443")]
        address: String,
    },
    /// Serve.
    Run(Box<Run>),
    /// Copy an SQLite store to a new file, also while a hub serves from it.
    Backup {
        /// Where the hub keeps its store.
        #[arg(long)]
        data_dir: PathBuf,
        /// The new file.
        #[arg(long)]
        to: PathBuf,
    },
    /// Put a backup in the place of the store and raise the epoch, so that agents know the older world
    /// from the newer.
    Restore {
        /// Where the hub keeps its store; the hub must not run.
        #[arg(long)]
        data_dir: PathBuf,
        /// The backup.
        #[arg(long)]
        from: PathBuf,
    },
    /// Raise the epoch of a PostgreSQL store after the database was restored by its own means.
    RaiseEpoch {
        /// A file with the database's URL.
        #[arg(long, value_name = "FILE")]
        store_url_file: PathBuf,
    },
    /// Check a fleet file and say what is wrong with it.
    Check {
        /// The file.
        file: PathBuf,
    },
}

/// How to serve.
#[derive(Debug, clap::Args)]
pub struct Run {
    /// Where the hub keeps its store, authority and caches.
    #[arg(long)]
    pub data_dir: PathBuf,
    /// The fleet file; it is read again when it changes.
    #[arg(long)]
    pub fleet: PathBuf,
    /// Where to listen; port 0 takes a free one.
    #[arg(long, default_value = "0.0.0.0:8443")]
    pub listen: String,
    /// `host:port` that agents and operators should dial; default: what was bound.
    #[arg(long, default_value = "")]
    pub address: String,
    /// More host names for the hub's certificate.
    #[arg(long)]
    pub hostname: Vec<String>,
    /// Time between two looks at each repository, over what the fleet file says (such as 1s).
    #[arg(long, value_parser = seconds)]
    pub poll_interval: Option<Duration>,
    /// A file with the URL of a PostgreSQL database, for several replicas of which one decides
    /// [default: SQLite in the data directory].
    #[arg(long, value_name = "FILE")]
    pub store_url_file: Option<PathBuf>,
    /// `host:port` at which other replicas reach this one; default: what was bound.
    #[arg(long, default_value = "")]
    pub replica_address: String,
    /// Serve /healthz, /readyz and /metrics here, over plain HTTP, such as 0.0.0.0:9090.
    #[arg(long, value_name = "HOST:PORT")]
    pub metrics_listen: Option<String>,
    /// Take webhooks at /webhook/{github,gitlab,gitea,forgejo,bitbucket} here, over plain HTTP
    /// behind whatever ends TLS.
    #[arg(long, value_name = "HOST:PORT", requires = "webhook_secret_file")]
    pub webhook_listen: Option<String>,
    /// A file with the secret that Git servers sign webhooks with.
    #[arg(long, value_name = "FILE")]
    pub webhook_secret_file: Option<PathBuf>,
    /// A file in the format of git-credential-store with what the hub may push with, for
    /// environments with `autoPromote`; without it the hub only reads.
    #[arg(long, value_name = "FILE")]
    pub push_credentials_file: Option<PathBuf>,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let number = text.strip_suffix('s').unwrap_or(text);
    match number.parse::<f64>() {
        Ok(seconds) if (0.1..=86_400.0).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err("give seconds, such as 1s or 0.5s".to_owned()),
    }
}

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
    Run {
        /// Where the hub keeps its store, authority and caches.
        #[arg(long)]
        data_dir: PathBuf,
        /// The fleet file; it is read again when it changes.
        #[arg(long)]
        fleet: PathBuf,
        /// Where to listen; port 0 takes a free one.
        #[arg(long, default_value = "0.0.0.0:8443")]
        listen: String,
        /// `host:port` that agents and operators should dial; default: what was bound.
        #[arg(long, default_value = "")]
        address: String,
        /// More host names for the hub's certificate.
        #[arg(long)]
        hostname: Vec<String>,
        /// Time between two looks at each repository, over what the fleet file says (such as 1s).
        #[arg(long, value_parser = seconds)]
        poll_interval: Option<Duration>,
    },
    /// Check a fleet file and say what is wrong with it.
    Check {
        /// The file.
        file: PathBuf,
    },
}

fn seconds(text: &str) -> Result<Duration, String> {
    let number = text.strip_suffix('s').unwrap_or(text);
    match number.parse::<f64>() {
        Ok(seconds) if (0.1..=86_400.0).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err("give seconds, such as 1s or 0.5s".to_owned()),
    }
}

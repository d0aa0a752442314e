//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};
use flotilla_shared::dial::{DialError, host_and_port};
use flotilla_shared::duration::{DurationError, typed};
use flotilla_shared::id::OperatorName;
use flotilla_shared::telemetry::LogFormat;

/// The Flotilla hub.
#[derive(Debug, Parser)]
#[command(
    name = "flotilla-hub",
    version,
    about,
    after_help = "Exit codes: 0 success; 1 something differs, or is not done yet; 2 error."
)]
pub struct Args {
    /// Log level and filters, such as `info` or `flotilla_hub=debug,info`.
    #[arg(long, global = true, default_value = "info", env = "FLOTILLA_LOG")]
    pub log: String,
    /// Format of log lines: auto, text or json.
    #[arg(long, global = true, default_value = "auto")]
    pub log_format: LogFormat,
    /// The command to run.
    #[command(subcommand)]
    pub command: Command,
}

/// The hub's commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Create the certificate authority and the first operator's context file.
    Init {
        /// Where the hub keeps its store, authority and caches.
        #[arg(long)]
        data_dir: PathBuf,
        /// The first operator's name.
        #[arg(long, default_value = "admin")]
        operator: OperatorName,
        /// `host:port` at which operators reach the hub, for the context file.
        #[arg(long, default_value = "127.0.0.1:8443", value_parser = host_and_port)]
        address: String,
        /// This pod's name in a StatefulSet. Only the first pod (NAME-0) creates an authority; every other pod
        /// has to be given the same one.
        #[arg(long, value_name = "NAME")]
        pod_name: Option<String>,
    },
    /// Run the hub.
    Run(Box<Run>),
    /// Copy an SQLite store to a new file, also while the hub is running.
    Backup {
        /// Where the hub keeps its store.
        #[arg(long)]
        data_dir: PathBuf,
        /// The backup file to create.
        #[arg(long)]
        to: PathBuf,
    },
    /// Replace the store with a backup and raise the epoch, so that agents can tell the restored state from
    /// the state before.
    Restore {
        /// Where the hub keeps its store; the hub must be stopped.
        #[arg(long)]
        data_dir: PathBuf,
        /// The backup file.
        #[arg(long)]
        from: PathBuf,
    },
    /// Raise the epoch after the store was restored by other means (a backup of the database, a snapshot of
    /// a volume). Each cluster then keeps what it runs until a rollout, a push or an operator decides.
    RaiseEpoch {
        /// Where the hub keeps its SQLite store; the hub must be stopped.
        #[arg(long, required_unless_present = "store_url_file")]
        data_dir: Option<PathBuf>,
        /// A file with the URL of a PostgreSQL database; running hubs follow automatically.
        #[arg(long, value_name = "FILE")]
        store_url_file: Option<PathBuf>,
        /// Reason for the audit log, such as what was restored.
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Manage the certificate authority.
    #[command(subcommand)]
    Ca(Ca),
    /// Write manual pages, one for each command.
    #[command(hide = true)]
    Man {
        /// An existing directory.
        directory: PathBuf,
    },
    /// Notifications.
    #[command(subcommand)]
    Notify(Notify),
    /// Check a fleet file and report its errors.
    Check {
        /// The fleet file.
        #[arg(required_unless_present = "fleet_file")]
        file: Option<PathBuf>,
        /// Same as FILE.
        #[arg(long, value_name = "FILE", conflicts_with = "file")]
        fleet_file: Option<PathBuf>,
        /// Ask a running hub which clusters would gain or lose which applications: a context's name, or the
        /// hub's host:port. This runs `flotilla check --fleet-file` with the operator's context file, because
        /// flotilla-hub has no operator's key.
        #[arg(long, value_name = "HUB")]
        against: Option<String>,
        /// For --against: the operator's context file [default: that of `flotilla`].
        #[arg(long, value_name = "FILE", requires = "against")]
        context_file: Option<PathBuf>,
        /// For --against: format of the result, table, json or yaml.
        #[arg(short, long, value_name = "FORMAT", requires = "against")]
        output: Option<String>,
    },
}

/// Commands for notifications.
#[derive(Debug, Subcommand)]
pub enum Notify {
    /// Send a test message to one target, and then its resolution.
    Test {
        /// The target's name.
        target: String,
        /// The notifications file that lists the target.
        #[arg(long, value_name = "FILE")]
        notifications_file: PathBuf,
    },
}

/// Commands for the certificate authority.
#[derive(Debug, Subcommand)]
pub enum Ca {
    /// Rotate the root: create the next root, which signs from now on while both are trusted; later, with
    /// --finish, stop trusting the old one. A running hub follows within seconds.
    Rotate {
        /// Where the hub keeps its store and authority.
        #[arg(long)]
        data_dir: PathBuf,
        /// Stop trusting the old root; refused while a cluster still has a certificate of it.
        #[arg(long)]
        finish: bool,
        /// Finish even if clusters are left behind: they return by their key alone.
        #[arg(long, requires = "finish")]
        force: bool,
        /// A file with the URL of a PostgreSQL database, where the store is one.
        #[arg(long, value_name = "FILE")]
        store_url_file: Option<PathBuf>,
    },
    /// Bind the store to the authority in the data directory, after its previous authority was lost.
    Adopt {
        /// Where the hub keeps its authority, and its store where that is SQLite.
        #[arg(long)]
        data_dir: PathBuf,
        /// A file with the URL of a PostgreSQL database, where the store is one.
        #[arg(long, value_name = "FILE")]
        store_url_file: Option<PathBuf>,
    },
    /// Show the roots, and the number of clusters that still have a certificate of an old one.
    Status {
        /// Where the hub keeps its store and authority.
        #[arg(long)]
        data_dir: PathBuf,
        /// A file with the URL of a PostgreSQL database, where the store is one.
        #[arg(long, value_name = "FILE")]
        store_url_file: Option<PathBuf>,
    },
}

/// Options of `flotilla-hub run`.
#[derive(Debug, clap::Args)]
pub struct Run {
    /// Where the hub keeps its store, authority and caches.
    #[arg(long)]
    pub data_dir: PathBuf,
    /// The fleet file; it is read again when it changes.
    #[arg(long)]
    pub fleet: PathBuf,
    /// Address to listen on; port 0 picks a free one.
    #[arg(long, default_value = "0.0.0.0:8443")]
    pub listen: String,
    /// `host:port` at which agents and operators reach the hub [default: the address that was bound].
    #[arg(long, default_value = "", value_parser = address)]
    pub address: String,
    /// An additional host name for the hub's certificate; may be repeated.
    #[arg(long)]
    pub hostname: Vec<String>,
    /// Time between two polls of each repository, such as 1s; overrides the fleet file.
    #[arg(long, value_parser = interval)]
    pub poll_interval: Option<Duration>,
    /// A file with the URL of a PostgreSQL database, for several replicas of which one decides
    /// [default: SQLite in the data directory].
    #[arg(long, value_name = "FILE")]
    pub store_url_file: Option<PathBuf>,
    /// `host:port` at which other replicas reach this one [default: the address that was bound].
    #[arg(long, default_value = "", value_parser = address)]
    pub replica_address: String,
    /// Serve /healthz, /readyz and /metrics here, over plain HTTP, such as 0.0.0.0:9090.
    #[arg(long, value_name = "HOST:PORT")]
    pub metrics_listen: Option<String>,
    /// Receive webhooks at /webhook/{github,gitlab,gitea,forgejo,bitbucket} here, over plain HTTP
    /// behind a proxy that terminates TLS.
    #[arg(long, value_name = "HOST:PORT", requires = "webhook_secret_file")]
    pub webhook_listen: Option<String>,
    /// A file with the secret that Git servers sign webhooks with.
    #[arg(long, value_name = "FILE")]
    pub webhook_secret_file: Option<PathBuf>,
    /// Directory of Git credentials for reading repositories: for each host (`host:port` where the URL has a port) a
    /// directory with `token`, or `username` and `password`, and `ca.crt`; for SSH `ssh-privatekey` and `known_hosts`.
    #[arg(long, value_name = "DIRECTORY")]
    pub git_credentials: Option<PathBuf>,
    /// A file in the format of git-credential-store with the credentials for pushing, for environments with
    /// `autoPromote`; without it the hub only reads.
    #[arg(long, value_name = "FILE")]
    pub push_credentials_file: Option<PathBuf>,
    /// A file with the hub's credentials for the forges of repositories. The hub sets a commit status for each
    /// environment, merges pull requests of promotions where the fleet file says `merge: fastForward`, and comments
    /// on pull requests that ask for it (`previews`). The file is read at start.
    #[arg(long, value_name = "FILE")]
    pub forge_file: Option<PathBuf>,
    /// A file with the targets of notifications (Slack, Teams, Discord, PagerDuty, Alertmanager, Grafana, email,
    /// webhooks) and the events that each one gets; it is read again when it changes.
    #[arg(long, value_name = "FILE")]
    pub notifications_file: Option<PathBuf>,
    /// A file with an OpenID Connect issuer whose users may log in, and their roles.
    #[arg(long, value_name = "FILE")]
    pub oidc_config_file: Option<PathBuf>,
    /// Serve the fleet's pages here, for users of that issuer.
    #[arg(long, value_name = "HOST:PORT", requires = "oidc_config_file")]
    pub web_listen: Option<String>,
    /// Public URL of the pages, such as `https://flotilla.example.org`; the issuer must allow redirects to
    /// /login/callback below it [default: the address that was bound, on loopback].
    #[arg(
        long,
        value_name = "URL",
        default_value = "",
        hide_default_value = true,
        requires = "web_listen"
    )]
    pub web_url: String,
    /// Certificate chain of the pages; it is read again when it changes. Without it they are served on loopback only.
    #[arg(
        long,
        value_name = "FILE",
        requires = "web_key_file",
        requires = "web_listen"
    )]
    pub web_certificate_file: Option<PathBuf>,
    /// Private key of the pages' certificate.
    #[arg(long, value_name = "FILE", requires = "web_certificate_file")]
    pub web_key_file: Option<PathBuf>,
    /// Serve the pages over plain HTTP, behind a proxy that terminates TLS; only the proxy may reach the listener.
    #[arg(long, requires = "web_listen", conflicts_with = "web_certificate_file")]
    pub web_behind_proxy: bool,
    /// Roots of an external authority, in place of the one in the data directory. This file and those below
    /// are read again when they change.
    #[arg(long, value_name = "FILE")]
    pub trust_bundle_file: Option<PathBuf>,
    /// An intermediate certificate of the external authority, with which the hub issues certificates (chain,
    /// issuing certificate first).
    #[arg(
        long,
        value_name = "FILE",
        requires = "issuer_key_file",
        requires = "trust_bundle_file"
    )]
    pub issuer_certificate_file: Option<PathBuf>,
    /// Private key of the intermediate certificate.
    #[arg(long, value_name = "FILE", requires = "issuer_certificate_file")]
    pub issuer_key_file: Option<PathBuf>,
    /// The hub's own certificate, where cert-manager or another authority issues certificates and the hub does not.
    #[arg(
        long,
        value_name = "FILE",
        requires = "key_file",
        requires = "trust_bundle_file",
        conflicts_with = "issuer_certificate_file"
    )]
    pub certificate_file: Option<PathBuf>,
    /// Private key of the hub's own certificate.
    #[arg(long, value_name = "FILE", requires = "certificate_file")]
    pub key_file: Option<PathBuf>,
}

/// Parses an interval from a tenth of a second to a day.
fn interval(text: &str) -> Result<Duration, DurationError> {
    typed(
        text,
        Duration::from_millis(100)..=Duration::from_secs(86_400),
    )
}

/// Parses a `host:port`, or nothing.
fn address(text: &str) -> Result<String, DialError> {
    match text {
        "" => Ok(String::new()),
        text => host_and_port(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_read_and_bounded() {
        for (text, millis) in [
            ("0.1", 100),
            ("0.2s", 200),
            ("1", 1_000),
            ("5s", 5_000),
            ("2m", 120_000),
            ("86400s", 86_400_000),
        ] {
            assert_eq!(interval(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for bad in ["", "0", "0.09s", "-1s", "s", "25h", "nan", "inf"] {
            assert!(interval(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn addresses_that_others_dial_are_host_and_port() {
        for (text, want) in [
            ("", Some("")),
            (
                "https://hub.example.com:8443/",
                Some("hub.example.com:8443"),
            ),
            ("http://hub:8443", None),
            ("hub.example.com", None),
        ] {
            assert_eq!(address(text).ok().as_deref(), want, "{text}");
        }
    }
}

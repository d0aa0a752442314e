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
    after_help = "Exit codes: 0 as asked, 1 it differs or is not done yet, 2 an error."
)]
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
        #[arg(long, default_value = "127.0.0.1:8443", value_parser = host_and_port)]
        address: String,
        /// This pod's name in a StatefulSet. Only the first pod (NAME-0) makes an authority; any other has
        /// to be given the same one.
        #[arg(long, value_name = "NAME")]
        pod_name: Option<String>,
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
    /// Raise the epoch after the store was restored by its own means (a database's backup, a snapshot of
    /// a volume). Each cluster then stays on what it runs until a rollout, a push or a person decides.
    RaiseEpoch {
        /// Where the hub keeps its SQLite store; the hub must not run.
        #[arg(long, required_unless_present = "store_url_file")]
        data_dir: Option<PathBuf>,
        /// A file with the URL of a PostgreSQL database; hubs that run follow by themselves.
        #[arg(long, value_name = "FILE")]
        store_url_file: Option<PathBuf>,
        /// What was restored, for the audit log.
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// The certificate authority.
    #[command(subcommand)]
    Ca(Ca),
    /// Write the manual's pages, one for each command.
    #[command(hide = true)]
    Man {
        /// An existing directory.
        directory: PathBuf,
    },
    /// Who is told what.
    #[command(subcommand)]
    Notify(Notify),
    /// Check a fleet file and say what is wrong with it.
    Check {
        /// The file.
        #[arg(required_unless_present = "fleet_file")]
        file: Option<PathBuf>,
        /// The same, by name.
        #[arg(long, value_name = "FILE", conflicts_with = "file")]
        fleet_file: Option<PathBuf>,
        /// Ask a hub that runs which clusters would gain or lose which applications: a context's name, or the
        /// hub's host:port. Done by `flotilla check --fleet-file`, with the context file of the operator: this
        /// program holds no operator's key.
        #[arg(long, value_name = "HUB")]
        against: Option<String>,
        /// For --against: the operator's context file [default: that of `flotilla`].
        #[arg(long, value_name = "FILE", requires = "against")]
        context_file: Option<PathBuf>,
        /// For --against: how to show the result, table, json or yaml.
        #[arg(short, long, value_name = "FORMAT", requires = "against")]
        output: Option<String>,
    },
}

/// Who is told what.
#[derive(Debug, Subcommand)]
pub enum Notify {
    /// Send a message to one target as it would be sent, and take it back.
    Test {
        /// The target's name.
        target: String,
        /// The file that names it.
        #[arg(long, value_name = "FILE")]
        notifications_file: PathBuf,
    },
}

/// The certificate authority.
#[derive(Debug, Subcommand)]
pub enum Ca {
    /// Change it: makes the next root, which signs from now on while both are trusted; later, with
    /// --finish, the old one is trusted no more. A hub that runs follows within seconds.
    Rotate {
        /// Where the hub keeps its store and authority.
        #[arg(long)]
        data_dir: PathBuf,
        /// The second step; refused while a cluster still has a certificate of the old root.
        #[arg(long)]
        finish: bool,
        /// Finish though clusters are left behind: they come back by their key alone.
        #[arg(long, requires = "finish")]
        force: bool,
        /// A file with the URL of a PostgreSQL database, where the store is one.
        #[arg(long, value_name = "FILE")]
        store_url_file: Option<PathBuf>,
    },
    /// Give the store to the authority in the data directory, after the one that it belonged to was lost.
    Adopt {
        /// Where the hub keeps its authority, and its store where that is SQLite.
        #[arg(long)]
        data_dir: PathBuf,
        /// A file with the URL of a PostgreSQL database, where the store is one.
        #[arg(long, value_name = "FILE")]
        store_url_file: Option<PathBuf>,
    },
    /// Show roots, and how many clusters still have a certificate of an old one.
    Status {
        /// Where the hub keeps its store and authority.
        #[arg(long)]
        data_dir: PathBuf,
        /// A file with the URL of a PostgreSQL database, where the store is one.
        #[arg(long, value_name = "FILE")]
        store_url_file: Option<PathBuf>,
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
    #[arg(long, default_value = "", value_parser = address)]
    pub address: String,
    /// More host names for the hub's certificate.
    #[arg(long)]
    pub hostname: Vec<String>,
    /// Time between two polls of each repository, over what the fleet file says (such as 1s).
    #[arg(long, value_parser = interval)]
    pub poll_interval: Option<Duration>,
    /// A file with the URL of a PostgreSQL database, for several replicas of which one decides
    /// [default: SQLite in the data directory].
    #[arg(long, value_name = "FILE")]
    pub store_url_file: Option<PathBuf>,
    /// `host:port` at which other replicas reach this one; default: what was bound.
    #[arg(long, default_value = "", value_parser = address)]
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
    /// Directory of Git credentials to read repositories with: for each host (`host:port` where the URL has a port) a
    /// directory with `token`, or `username` and `password`, and `ca.crt`; for SSH `ssh-privatekey` and `known_hosts`.
    #[arg(long, value_name = "DIRECTORY")]
    pub git_credentials: Option<PathBuf>,
    /// A file in the format of git-credential-store with what the hub may push with, for
    /// environments with `autoPromote`; without it the hub only reads.
    #[arg(long, value_name = "FILE")]
    pub push_credentials_file: Option<PathBuf>,
    /// A file that says with what the hub may speak to the forges of repositories: it sets one status for
    /// each environment on the commit that it goes to, and takes pull requests of promotions where the fleet file
    /// says `merge: fastForward`, and comments on pull requests that ask for it (`previews`). It is read at the start.
    #[arg(long, value_name = "FILE")]
    pub forge_file: Option<PathBuf>,
    /// A file that says who is told what, and how (Slack, Teams, Discord, PagerDuty, Alertmanager, Grafana,
    /// webhooks); it is read again when it changes.
    #[arg(long, value_name = "FILE")]
    pub notifications_file: Option<PathBuf>,
    /// A file that names an OpenID Connect issuer whose people may log in, and gives them roles.
    #[arg(long, value_name = "FILE")]
    pub oidc_config_file: Option<PathBuf>,
    /// Serve the fleet's pages here, to people of that issuer.
    #[arg(long, value_name = "HOST:PORT", requires = "oidc_config_file")]
    pub web_listen: Option<String>,
    /// What people type to get there, such as `https://flotilla.example.org`; the issuer must let logins come back to
    /// /login/callback below it [default: the address that was bound, on loopback].
    #[arg(
        long,
        value_name = "URL",
        default_value = "",
        hide_default_value = true,
        requires = "web_listen"
    )]
    pub web_url: String,
    /// Certificate chain for the pages; it is read again when it changes. Without it they are served on loopback only.
    #[arg(
        long,
        value_name = "FILE",
        requires = "web_key_file",
        requires = "web_listen"
    )]
    pub web_certificate_file: Option<PathBuf>,
    /// Its key.
    #[arg(long, value_name = "FILE", requires = "web_certificate_file")]
    pub web_key_file: Option<PathBuf>,
    /// Serve the pages over plain HTTP: whatever ends TLS stands in front, and nobody else reaches the listener.
    #[arg(long, requires = "web_listen", conflicts_with = "web_certificate_file")]
    pub web_behind_proxy: bool,
    /// Roots of an authority that is somebody else's, instead of the one in the data directory. They
    /// and the files below are read again when they change.
    #[arg(long, value_name = "FILE")]
    pub trust_bundle_file: Option<PathBuf>,
    /// An intermediate of that authority with which the hub issues certificates (chain, issuing
    /// certificate first).
    #[arg(
        long,
        value_name = "FILE",
        requires = "issuer_key_file",
        requires = "trust_bundle_file"
    )]
    pub issuer_certificate_file: Option<PathBuf>,
    /// Its key.
    #[arg(long, value_name = "FILE", requires = "issuer_certificate_file")]
    pub issuer_key_file: Option<PathBuf>,
    /// The hub's own certificate, where it issues none: cert-manager or another authority does.
    #[arg(
        long,
        value_name = "FILE",
        requires = "key_file",
        requires = "trust_bundle_file",
        conflicts_with = "issuer_certificate_file"
    )]
    pub certificate_file: Option<PathBuf>,
    /// Its key.
    #[arg(long, value_name = "FILE", requires = "certificate_file")]
    pub key_file: Option<PathBuf>,
}

/// From a tenth of a second to a day.
fn interval(text: &str) -> Result<Duration, DurationError> {
    typed(
        text,
        Duration::from_millis(100)..=Duration::from_secs(86_400),
    )
}

/// A `host:port`, or nothing.
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

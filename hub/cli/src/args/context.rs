//! Arguments of logins and contexts.

use std::path::PathBuf;

use clap::Subcommand;
use flotilla_shared::dial::host_and_port;

use super::OutputArgs;

/// Where to log in.
#[derive(Debug, clap::Args)]
pub(crate) struct LoginArgs {
    /// The hub [default: the one of the context].
    #[arg(value_name = "HOST:PORT", value_parser = host_and_port)]
    pub(crate) hub: Option<String>,
    /// The roots that the hub's certificate must come from [default: those of a context of that hub].
    #[arg(long, value_name = "FILE")]
    pub(crate) trust_bundle: Option<PathBuf>,
    /// What to call the context [default: the first part of the hub's name].
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Roots to trust for the issuer, instead of the system's.
    #[arg(long, value_name = "FILE")]
    pub(crate) issuer_trust_bundle: Option<PathBuf>,
}

/// What to do with contexts.
#[derive(Debug, Subcommand)]
pub(crate) enum ContextCommand {
    /// List them.
    List {
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Choose the one that is meant where none is named.
    Use {
        /// Its name.
        name: String,
    },
    /// Forget one, with its key or login.
    Remove {
        /// Its name.
        name: String,
    },
    /// Take in a context from a file that an admin made.
    Import {
        /// The file.
        from: PathBuf,
        /// What to call it.
        #[arg(long)]
        name: Option<String>,
    },
    /// Get a new certificate with a new key, before the old one ends or its authority does.
    Renew,
}

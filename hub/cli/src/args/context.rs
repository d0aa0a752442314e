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
    /// Roots that the hub's certificate must chain to [default: those of a context of that hub].
    #[arg(long, value_name = "FILE")]
    pub(crate) trust_bundle: Option<PathBuf>,
    /// Name of the context [default: the first part of the hub's name].
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Roots to trust for the issuer, instead of the system's.
    #[arg(long, value_name = "FILE")]
    pub(crate) issuer_trust_bundle: Option<PathBuf>,
}

/// What to do with contexts.
#[derive(Debug, Subcommand)]
pub(crate) enum ContextCommand {
    /// List contexts.
    List {
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Set the current context.
    Use {
        /// The context.
        name: String,
    },
    /// Delete a context with its key or login.
    Remove {
        /// The context.
        name: String,
    },
    /// Import a context from a file that an admin made.
    Import {
        /// The file.
        from: PathBuf,
        /// Name of the context [default: as in the file].
        #[arg(long)]
        name: Option<String>,
    },
    /// Renew your certificate, with a new key, before it or its authority expires.
    Renew,
}

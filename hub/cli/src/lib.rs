//! The flotilla command line: shows the fleet and drives promotion.
//!
//! ```text
//!   args --> commands --+-- client (mTLS, FleetService) --> flotilla-status (wire -> model) --+--> printer
//!                       +-- git (the user's own)                                              |
//!                       +-- work_tree --> flotilla-render (PURE, as the agent's) -------------+
//!                       +-- render (PURE: model -> text) <------------------------------------+
//! ```
//!
//! Data goes to stdout, messages to stderr. Everything that a hub sends is cut and stripped of control characters in
//! [`flotilla_status`] before it can reach a terminal. This crate links neither server nor store nor a Git library;
//! branches are moved by the user's own `git`.

#![allow(
    missing_docs,
    reason = "a program: nobody else builds on its rooms, and docs say what names do not"
)]

mod args;
mod bundle;
mod check;
mod checkpoint;
mod client;
mod commands;
mod commit_tree;
mod context;
mod difference;
mod error;
mod forge;
mod git;
mod objects;
mod oidc;
mod patient;
mod printed;
mod printer;
mod pulls;
mod reader;
mod removal;
pub mod render;
pub mod schema;
mod work_tree;

use std::process::ExitCode;

/// Runs the program from its arguments to its exit code.
#[must_use]
pub fn main() -> ExitCode {
    let args = match args::Args::read() {
        Ok(args) => args,
        Err(error) => {
            let code = if error.use_stderr() { 2 } else { 0 };
            // A closed pipe is not an error for the reader that closed it.
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    let printer = printer::Printer::new(args.color);
    let result = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(error::Error::Runtime)
        .and_then(|runtime| runtime.block_on(commands::run(args, &printer)));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => printer.report(&error),
    }
}

//! The Flotilla agent: dials out to the hub, pulls Git itself, renders, reconciles, reports.
//!
//! ```text
//!   hub --connection--> admit (PURE) --> ledger --> [accepted]  one slot, newest wins
//!                                                      |
//!   reconcile: source (Git) -> render (PURE) -> cluster: observe -> plan (PURE) -> apply, prune
//!                                                      |
//!   hub <--connection-- [report] <-- report (PURE) <---+        one slot, newest wins
//! ```
//!
//! Two tasks and two slots between them: [`connection`] writes the accepted assignment and sends the
//! report; [`reconcile`] reads the assignment and writes the report. While the hub or Git is away,
//! the reconcile loop continues with its last state.

#![allow(
    missing_docs,
    reason = "a program: nobody else builds on its rooms, and docs say what names do not"
)]

pub mod api;
pub mod app;
pub mod args;
pub mod check;
pub mod cluster;
pub mod command;
pub mod connection;
pub mod events;
pub mod failpoint;
pub mod fence;
pub mod gate_job;
pub mod health;
pub mod identity;
pub mod inventory;
pub mod leader;
pub mod ledger;
pub mod metrics;
pub mod observe;
pub mod plan;
pub mod policy;
pub mod policy_file;
pub mod reconcile;
pub mod report;
pub mod serve;
pub mod source;
mod work;

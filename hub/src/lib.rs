//! The Flotilla hub: decides which commit each cluster should run, and streams that decision.
//!
//! ```text
//!   fleet file --spec (PURE)--> Spec ------+
//!   git (IO): branch tips ----> Event --+  |
//!   serve (IO): hello, ack, report -> Event -> fleet::step (PURE) -> Effect -> driver (IO)
//!                                                                      |        | store, then send
//!   FleetService <- status (PURE) <- query <- driver <-----------------+        +-> sessions
//! ```
//!
//! One task, the [`driver`], owns the [`fleet::Fleet`]; everything else sends it events or queries over one bounded
//! channel. What must survive is stored before anything is sent.

#![allow(
    missing_docs,
    reason = "a program: nobody else builds on its rooms, and docs say what names do not"
)]

pub mod app;
pub mod args;
pub mod authority;
pub mod check;
pub mod command;
pub mod driver;
pub mod enrolment;
pub mod fleet;
pub mod forge;
pub mod metrics;
pub mod notify;
mod outbox;
pub mod plans;
pub mod poll;
mod problems;
pub mod promote;
mod secret;
pub mod serve;
mod suggestion;
pub use flotilla_spec as spec;
pub mod status;
pub mod store;

//! Shared by hub, agent and CLI: domain values, their conversion from and to the wire with every limit, identities, TLS
//! and telemetry start-up.
//!
//! ```text
//!   flotilla_proto::v1  <--- wire (limits, TryFrom/From) --->  id, revision, assignment, report, source, ...
//!                                                              identity  trust  tls  dial  telemetry
//! ```
//!
//! Everything except [`tls`], [`dial`] and [`telemetry`] is pure: no clock, randomness, files or network. This crate
//! never depends on Kubernetes clients, Git or a store; code that needs one belongs elsewhere.

pub mod approval;
pub mod assignment;
pub mod backoff;
pub mod chart;
pub mod clock;
pub mod dial;
pub mod digest;
pub mod duration;
pub mod findings;
pub mod gate_job;
pub mod heading;
pub mod health;
pub mod hex;
pub mod id;
pub mod identity;
pub mod loopback;
pub mod markup;
pub mod object;
pub mod percent;
pub mod plan;
pub mod preview;
pub mod problem;
pub mod rate;
pub mod reason;
pub mod report;
pub mod revision;
pub mod role;
pub mod roots;
pub mod source;
pub mod telemetry;
pub mod tls;
pub mod wire;
pub mod words;

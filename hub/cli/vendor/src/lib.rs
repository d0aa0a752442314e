//! Fetches the charts that a chart depends on into its folder, from repositories and registries, as `helm dependency
//! update` and `helm dependency build` do, ready to commit.
//!
//! ```text
//!   Chart.yaml, Chart.lock --chart--> what is asked for --locate--> HTTP repository | registry | folder | charts/
//!        repository (index, choose: PURE)  --+
//!        registry (reference, challenge: PURE) +--> fetch --> checked bytes --> place (all or nothing)
//!        package (PURE, of a folder) --------+                    |
//!                                                       digest, provenance (PURE)
//! ```
//!
//! Everything from outside is bounded. A credential is sent only to the host that it was given for, over TLS or to this
//! machine itself, and is not part of any message.

mod challenge;
mod chart;
mod choose;
mod config;
mod credentials;
mod error;
mod fetch;
pub mod folder;
mod index;
mod locate;
mod outdated;
mod package;
mod place;
mod provenance;
mod pulled;
mod reference;
mod registry;
mod report;
mod repositories;
mod repository;
mod sources;
pub mod tar;
mod vendor;

pub use challenge::Challenge;
pub use config::{Config, Transport};
pub use error::Error;
pub use index::{Entry, Index};
pub use outdated::outdated;
pub use reference::{Reference, tag};
pub use report::{Change, Checked, LockChange, Outdated, Standing, Vendored, VendoredChart};
pub use vendor::{Request, Versions, vendor};

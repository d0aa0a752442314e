//! The fleet in a browser: pages from the operators' model, and the thin shell that serves them.
//!
//! ```text
//! hub --Watch--> follow --> mirror (PURE) --> attention, lane, difference (PURE) --> pages (PURE) --> serve --> browser
//! browser --form--> serve --> act (PURE) --> hub's Fleet API, which asks for the right and audits
//! ```
//!
//! Everything is read and done through the Fleet API with the reader's own identity, so that a page can do nothing that
//! the command line could not.

pub mod act;
pub mod ask;
pub mod assets;
pub mod attention;
pub mod difference;
pub mod entrance;
pub mod filter;
pub mod follow;
pub mod grouping;
pub mod lane;
pub mod mirror;
pub mod overview;
pub mod pages;
pub mod progress;
#[cfg(test)]
pub(crate) mod samples;
pub mod security;
pub mod serve;
pub mod text;
pub mod timeline;

/// The Fleet API, over any transport.
pub type Api = flotilla_proto::v1::fleet_service_client::FleetServiceClient<Carrier>;

/// Transport of calls: a connection to a hub, or the hub's own process.
pub type Carrier = tower::util::BoxCloneSyncService<
    http::Request<tonic::body::Body>,
    http::Response<tonic::body::Body>,
    tonic::Status,
>;

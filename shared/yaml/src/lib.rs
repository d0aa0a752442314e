//! YAML as Kubernetes reads it.
//!
//! The API server, kubectl and kustomize turn YAML into JSON with sigs.k8s.io/yaml (goyaml.v2), which resolves plain
//! scalars by YAML 1.1's rules; this crate returns the same values, and refuses what they refuse (duplicate keys,
//! unknown tags) and what could exhaust the reader (depth, alias bombs, size).
//!
//! ```text
//!   text --scan--> tokens --events--> load (budgets, anchors, merge keys, scalar) --> serde_json::Value
//!   serde_json::Value --emit--> text that reads back as the same value
//!   configuration file --config--> T, or an error with file, line and the nearest valid key
//! ```
//!
//! Pure: no files, no clock.

pub mod config;
mod emit;
mod error;
pub mod events;
mod load;
mod scalar;
mod scan;

pub use emit::{documents_to_string, to_string};
pub use error::YamlError;
pub use load::{
    Document, DuplicateKeys, Limits, Positions, parse_documents, parse_documents_bytes,
    parse_manifests, parse_spanned,
};
pub use scalar::{NotJson, resolve_plain};

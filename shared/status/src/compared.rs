//! What a fleet file would change.

use schemars::JsonSchema;
use serde::Serialize;

use super::is_empty;

/// In one environment, compared with what is in force there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EnvironmentDifference {
    /// One in which something differs, or that only the file in force has.
    pub environment: String,
    /// What is declared in another way, line by line.
    pub changes: Vec<String>,
    /// Whom it touches.
    pub clusters: Vec<ClusterDifference>,
    /// How many more it touches.
    pub more_clusters: u32,
    /// Whether it comes in waves; otherwise to all clusters at once.
    pub in_waves: bool,
    /// A rollout that changes what is declared there just now; empty: none.
    #[serde(skip_serializing_if = "is_empty")]
    pub rollout: String,
}

/// On one cluster: applications by what becomes of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterDifference {
    /// One that would be touched.
    pub cluster: String,
    /// Where it belongs now, where that changes; empty: it does not, or it belongs nowhere.
    #[serde(skip_serializing_if = "is_empty")]
    pub moves_from: String,
    /// They come to it.
    pub gains: Vec<String>,
    /// They leave it, and their objects stay.
    pub loses: Vec<String>,
    /// They are rendered or applied in another way.
    pub changes: Vec<String>,
}

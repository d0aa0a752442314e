//! What a fleet file would change.

use schemars::JsonSchema;
use serde::Serialize;

use super::is_empty;

/// What changes in one environment, compared with what is in force there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EnvironmentDifference {
    /// Name of the environment; one that only the file in force has is listed, too.
    pub environment: String,
    /// Changes of declarations, one line each.
    pub changes: Vec<String>,
    /// Clusters that it affects.
    pub clusters: Vec<ClusterDifference>,
    /// Number of further clusters that it affects.
    pub more_clusters: u32,
    /// Whether the change is rolled out in waves; otherwise it reaches all clusters at once.
    pub in_waves: bool,
    /// Running rollout that already changes what is declared there; empty: none.
    #[serde(skip_serializing_if = "is_empty")]
    pub rollout: String,
}

/// What changes on one cluster: applications by kind of change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterDifference {
    /// Name of the cluster.
    pub cluster: String,
    /// Its present environment, where that changes; empty: it does not change, or it has none.
    #[serde(skip_serializing_if = "is_empty")]
    pub moves_from: String,
    /// Applications that it gains.
    pub gains: Vec<String>,
    /// Applications that it loses; their objects stay.
    pub loses: Vec<String>,
    /// Applications that are rendered or applied differently.
    pub changes: Vec<String>,
}

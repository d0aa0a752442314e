//! What commands print for programs where the operators' model has no type of its own for it.

use flotilla_vendor::Outdated;
use schemars::JsonSchema;
use serde::Serialize;

use crate::checkpoint::Checkpoint;
use flotilla_status::{Cluster, Decisions, Environment, Rollout};

/// This program's version.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Version {
    /// Such as `0.1.0`.
    pub(crate) version: &'static str,
}

/// One context, without its secrets.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Context")]
pub(crate) struct ShownContext<'c> {
    /// As it is named on this machine.
    pub(crate) name: &'c str,
    /// `host:port` of its hub.
    pub(crate) hub: &'c str,
    /// Whether it is the one that is meant where none is named.
    pub(crate) current: bool,
    /// What shows who one is: certificate or login.
    pub(crate) by: &'static str,
}

/// What changed in a fleet that is watched, by `type`.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(tag = "type", rename_all = "camelCase")]
pub(crate) enum StatusChange<'c> {
    /// A cluster, as it is now.
    Cluster {
        /// The whole of it.
        cluster: &'c Cluster,
    },
    /// An environment, as it is now.
    Environment {
        /// The whole of it.
        environment: &'c Environment,
    },
    /// A cluster that is gone, or that is no longer asked for.
    ClusterRemoved {
        /// Its name in the fleet.
        name: &'c str,
    },
    /// All that there is has been told; what comes now has changed.
    Bookmark,
}

/// A rollout, and what was decided about its environment.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct RolloutWithDecisions<'r> {
    /// None where the environment has had none.
    pub(crate) rollout: Option<&'r Rollout>,
    /// What people and rollouts decided.
    pub(crate) decisions: &'r Decisions,
}

/// An audit log that holds from its first entry to its last.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct VerifiedLog {
    /// How many there are.
    pub(crate) entries: u64,
    /// The hash of the last of them.
    pub(crate) last_hash: String,
    /// What was remembered of it on this machine, and is still there; none: nothing was.
    pub(crate) compared_with: Option<Checkpoint>,
}

/// How a chart's dependencies stand against what there is.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct OutdatedCharts<'c> {
    /// In the order of `Chart.yaml`.
    pub(crate) dependencies: &'c [Outdated],
}

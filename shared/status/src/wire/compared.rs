//! Wire form of what a fleet file would change.

use flotilla_proto::v1;

use super::{MAX_OF_FLEET, list, texts};
use crate::{ClusterDifference, EnvironmentDifference, text};

impl From<&v1::EnvironmentDifference> for EnvironmentDifference {
    fn from(wire: &v1::EnvironmentDifference) -> Self {
        Self {
            environment: text(&wire.environment),
            changes: texts(&wire.changes),
            clusters: list(&wire.clusters, MAX_OF_FLEET),
            more_clusters: wire.more_clusters,
            in_waves: wire.in_waves,
            rollout: text(&wire.rollout),
        }
    }
}

impl From<EnvironmentDifference> for v1::EnvironmentDifference {
    fn from(difference: EnvironmentDifference) -> Self {
        Self {
            environment: difference.environment,
            changes: difference.changes,
            clusters: difference.clusters.into_iter().map(Into::into).collect(),
            more_clusters: difference.more_clusters,
            in_waves: difference.in_waves,
            rollout: difference.rollout,
        }
    }
}

impl From<&v1::ClusterDifference> for ClusterDifference {
    fn from(wire: &v1::ClusterDifference) -> Self {
        Self {
            cluster: text(&wire.cluster),
            moves_from: text(&wire.moves_from),
            gains: texts(&wire.gains),
            loses: texts(&wire.loses),
            changes: texts(&wire.changes),
        }
    }
}

impl From<ClusterDifference> for v1::ClusterDifference {
    fn from(difference: ClusterDifference) -> Self {
        Self {
            cluster: difference.cluster,
            moves_from: difference.moves_from,
            gains: difference.gains,
            loses: difference.loses,
            changes: difference.changes,
        }
    }
}

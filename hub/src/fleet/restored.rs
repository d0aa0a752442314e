//! Restores the fleet from the store.

use flotilla_shared::id::{ClusterName, EnvironmentName};
use flotilla_shared::revision::Commit;

use super::Fleet;
use super::environment::EnvironmentState;
use super::event::StoredCluster;
use super::rollout::Rollout;
use crate::spec::Specification;

impl Fleet {
    pub(super) fn clusters_restored(
        &mut self,
        clusters: Vec<StoredCluster>,
        retired: Vec<(ClusterName, u64)>,
    ) {
        self.admissions.restore(retired);
        for stored in clusters {
            self.clusters.restore(stored, &mut self.versions);
        }
    }

    pub(super) fn environments_restored(
        &mut self,
        environments: Vec<(EnvironmentName, EnvironmentState)>,
        rollouts: Vec<Rollout>,
        specifications: Vec<(Commit, Specification)>,
    ) {
        self.declarations.restore(specifications);
        self.environments.restore(environments);
        self.rollouts.restore(rollouts);
        self.touch_environments();
    }
}

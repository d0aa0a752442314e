//! The fleet as the store kept it.

use std::sync::Arc;

use flotilla_shared::digest::Digest;
use flotilla_shared::id::{ClusterName, EnvironmentName};
use flotilla_shared::revision::Commit;
use flotilla_shared::wire::encode_report;
use prost::Message as _;

use super::Fleet;
use super::cluster::Cluster;
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
        self.retired.extend(retired);
        for stored in clusters {
            let mut cluster = Cluster {
                record: stored.record,
                assigned: stored.assignment.map(|stored| stored.decoded),
                resumable: stored.current_since.and_then(|since| {
                    let report = encode_report(stored.report.as_ref()?);
                    Some((since, Digest::of(&report.encode_to_vec())))
                }),
                ..Cluster::default()
            };
            cluster.note_report(stored.report);
            self.clusters.insert(stored.name.clone(), cluster.into());
            self.touch(&stored.name);
        }
        self.count_pins();
    }

    pub(super) fn environments_restored(
        &mut self,
        environments: Vec<(EnvironmentName, EnvironmentState)>,
        rollouts: Vec<Rollout>,
        specifications: Vec<(Commit, Specification)>,
    ) {
        let kept = specifications.into_iter();
        self.specifications
            .extend(kept.map(|(revision, one)| (revision, Arc::new(one))));
        self.environments.extend(environments);
        for rollout in rollouts {
            self.rollouts.insert(rollout.environment.clone(), rollout);
        }
        self.touch_environments();
    }
}

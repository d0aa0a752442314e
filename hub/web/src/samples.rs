//! Fleets to draw in tests.

use flotilla_proto::v1;
use flotilla_status::{Cluster, Environment};
use jiff::Timestamp;

pub(crate) fn moment(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap_or_default()
}

pub(crate) fn environment(name: &str) -> Environment {
    Environment::from(&v1::EnvironmentStatus {
        name: name.to_owned(),
        branch: name.to_owned(),
        ..v1::EnvironmentStatus::default()
    })
}

/// An online cluster at its assignment.
pub(crate) fn cluster(name: &str, environment: &str) -> Cluster {
    let reference = v1::AssignmentRef {
        generation: 3,
        epoch: 1,
        ..v1::AssignmentRef::default()
    };
    Cluster::from(&v1::ClusterStatus {
        name: name.to_owned(),
        environment: environment.to_owned(),
        connection: v1::Connection::Online.into(),
        assigned: Some(reference.clone()),
        accepted: Some(reference),
        sync: v1::Sync::Synced.into(),
        health: v1::Health::Current.into(),
        ..v1::ClusterStatus::default()
    })
}

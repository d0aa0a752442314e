//! Every list of the wire has a limit.

use flotilla_proto::v1;

use super::super::{MAX_OF_FLEET, MAX_SHORT};
use crate::{Cluster, Decisions, Placement, PlannedApplication, Promotion, Rollout};

#[test]
fn who_reads_takes_in_as_much_as_a_fleet_has_and_no_more() {
    fn many<T: Clone + Default>(most: usize) -> Vec<T> {
        vec![T::default(); most + 1]
    }
    let read = Rollout::from(&v1::RolloutStatus {
        target: many(MAX_OF_FLEET),
        waves: many(64),
        clusters: many(MAX_OF_FLEET),
        changes: many(MAX_OF_FLEET),
        ..v1::RolloutStatus::default()
    });
    let lists = [read.target.len(), read.clusters.len()];
    assert_eq!((lists, read.waves.len()), ([MAX_OF_FLEET; 2], 64));
    assert_eq!(read.changes.len(), MAX_OF_FLEET);
    let numbered = |number: usize| v1::Label {
        key: number.to_string(),
        value: String::new(),
    };
    let read = Cluster::from(&v1::ClusterStatus {
        labels: (0..=MAX_SHORT).map(numbered).collect(),
        ..v1::ClusterStatus::default()
    });
    assert_eq!(read.labels.len(), MAX_SHORT);
    let read = Placement::from(&v1::ApplicationInCluster {
        report: Some(v1::ApplicationReport {
            objects: many(200),
            ..v1::ApplicationReport::default()
        }),
        ..v1::ApplicationInCluster::default()
    });
    assert_eq!(read.objects.len(), 200);
    let read = Decisions::from(&v1::EnvironmentDecisions {
        quarantined: many(MAX_SHORT),
        good: many(MAX_SHORT),
        approvals: many(MAX_SHORT),
        cluster_pins: many(MAX_OF_FLEET),
        ..v1::EnvironmentDecisions::default()
    });
    let kept = [read.quarantined.len(), read.good.len()];
    assert_eq!((kept, read.approvals.len()), ([MAX_SHORT; 2], MAX_SHORT));
    assert_eq!(read.pins.len(), MAX_OF_FLEET);
    let read = Promotion::from(&v1::PreviewPromotionResponse {
        moves: many(MAX_OF_FLEET),
        gates: many(MAX_OF_FLEET),
        ..v1::PreviewPromotionResponse::default()
    });
    let lists = [read.moves.len(), read.gates.len()];
    assert_eq!(lists, [MAX_OF_FLEET; 2]);
    // A closed gate may come after much evidence.
    let gate = |subject: &str, state: v1::StepState| v1::ExplainStep {
        subject: subject.to_owned(),
        state: state.into(),
        ..v1::ExplainStep::default()
    };
    let mut gates = vec![gate("evidence", v1::StepState::Ok); MAX_OF_FLEET];
    gates.push(gate("approval", v1::StepState::Waiting));
    let read = Promotion::from(&v1::PreviewPromotionResponse {
        gates,
        ..v1::PreviewPromotionResponse::default()
    });
    assert_eq!(read.gates.len(), MAX_OF_FLEET);
    let closed = read.gates.iter().filter(|gate| gate.state.holds_back());
    let closed: Vec<&str> = closed.map(|gate| gate.subject.as_str()).collect();
    assert_eq!(closed, ["approval"]);
    let change = v1::ObjectChange {
        fields: many(40),
        ..v1::ObjectChange::default()
    };
    let read = PlannedApplication::from(&v1::ApplicationPlan {
        changes: vec![change; 201],
        ..v1::ApplicationPlan::default()
    });
    assert!(read.truncated, "it says that there was more");
    let lists = (read.changes.len(), read.changes[0].fields.len());
    assert_eq!(lists, (200, 40));
}

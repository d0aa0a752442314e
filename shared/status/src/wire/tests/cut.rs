//! Limits also apply to values that did not come over the wire.

use flotilla_shared::object::{ObjectNames, ObjectRef};

use super::*;
use crate::{PlanGroup, PlanVerdict, PlannedAction, PlannedApplication, PlannedChange};

#[test]
fn a_plan_is_cut_where_it_is_made_as_where_it_is_read() {
    let loud = format!("\u{1b}[2J\u{202e}{}", "x".repeat(10_000));
    let change = PlannedChange {
        object: ObjectRef::from(ObjectNames {
            group: loud.clone(),
            kind: loud.clone(),
            namespace: loud.clone(),
            name: loud.clone(),
        }),
        action: PlannedAction::Update,
        reason: loud.clone(),
        managers: vec![loud.clone()],
        fields: vec![loud.clone()],
        message: loud.clone(),
    };
    let group = PlanGroup {
        verdict: PlanVerdict::Conflict,
        clusters: vec![loud.clone()],
        applications: vec![PlannedApplication {
            application: loud.clone(),
            changes: vec![change],
            unchanged: 1,
            truncated: true,
            reason: loud.clone(),
            message: loud.clone(),
        }],
        reason: loud.clone(),
        message: loud.clone(),
        folded: false,
    };
    let plan = FleetPlan {
        id: loud.clone(),
        environment: loud.clone(),
        revision: Some(Revision {
            repository: loud.clone(),
            branch: loud.clone(),
            commit: loud.clone(),
        }),
        application: loud,
        started_at: moment(at(100).as_ref()),
        unconcerned: 2,
        ..FleetPlan::answered(vec![group], 3)
    };
    let read = FleetPlan::from(&v1::FleetPlan::from(plan.clone()));
    assert_ne!(read, plan);
    assert_eq!(read, plan.cut());
}

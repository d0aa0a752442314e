use askama::Template as _;
use flotilla_proto::v1;
use flotilla_status::{FleetPlan, Hub, Promotion};

use super::{PlanPage, PromotePage};
use crate::mirror::Mirror;
use crate::pages::Frame;
use crate::samples::moment;

fn hub(role: &str, moves_branches: bool) -> Hub {
    Hub::from(&v1::GetHubResponse {
        moves_branches,
        rights: vec![v1::OperatorRight {
            role: role.to_owned(),
            environments: Vec::new(),
        }],
        ..v1::GetHubResponse::default()
    })
}

fn page(hub: &Hub, gate: Option<v1::StepState>) -> String {
    let promotion = v1::PreviewPromotionResponse {
        environment: "prod".to_owned(),
        promotes_from: "stage".to_owned(),
        moves: vec![v1::PromotionMove {
            repository: "fleet".to_owned(),
            source_branch: "stage".to_owned(),
            target_branch: "prod".to_owned(),
            to_commit: "3f2a9c1d".repeat(5),
            ..v1::PromotionMove::default()
        }],
        clusters: vec!["a".to_owned(), "b".to_owned()],
        gates: gate
            .map(|state| v1::ExplainStep {
                step: "window".to_owned(),
                state: state.into(),
                ..v1::ExplainStep::default()
            })
            .into_iter()
            .collect(),
    };
    let frame = Frame::new(hub, &Mirror::default(), "/promote/prod", "P", moment(0));
    let page = PromotePage::new(frame, hub, Promotion::from(&promotion));
    page.render().unwrap()
}

#[test]
fn a_hub_that_may_push_moves_the_branch_for_who_may_promote_through_open_gates() {
    let button = "value=\"promote\"";
    let open = page(&hub("promoter", true), Some(v1::StepState::Ok));
    assert!(
        open.contains(button) && open.contains("Promote (2 clusters)"),
        "{open}"
    );
    assert!(open.contains("name=\"reason\" required"));
    for (role, pushes, gate) in [
        ("viewer", true, None),
        ("approver", true, None),
        ("promoter", false, None),
        ("promoter", true, Some(v1::StepState::Waiting)),
        ("admin", true, Some(v1::StepState::Failed)),
        ("promoter", true, Some(v1::StepState::Unspecified)),
    ] {
        let page = page(&hub(role, pushes), gate);
        assert!(!page.contains(button), "{role} {pushes} {gate:?}");
        assert!(page.contains("flotilla promote prod --wait"), "{role}");
    }
}

#[test]
fn a_plan_has_an_end() {
    let change = |number: usize| v1::ObjectChange {
        object: Some(v1::ObjectRef {
            kind: "ConfigMap".to_owned(),
            namespace: "<web>".to_owned(),
            name: format!("c{number}"),
            ..v1::ObjectRef::default()
        }),
        action: v1::Action::Updated.into(),
        ..v1::ObjectChange::default()
    };
    let groups = (0..10).map(|group| v1::PlanGroup {
        verdict: v1::PlanVerdict::Changes.into(),
        clusters: (0..100).map(|n| format!("c-{group}-{n}")).collect(),
        applications: vec![v1::ApplicationPlan {
            application: "shop".to_owned(),
            changes: (0..200).map(change).collect(),
            ..v1::ApplicationPlan::default()
        }],
        ..v1::PlanGroup::default()
    });
    let plan = v1::FleetPlan {
        environment: "prod".to_owned(),
        groups: groups.collect(),
        done: true,
        ..v1::FleetPlan::default()
    };
    let hub = hub("viewer", false);
    let frame = Frame::new(&hub, &Mirror::default(), "/plan/x", "P", moment(0));
    let page = PlanPage::new(frame, FleetPlan::from(&plan))
        .render()
        .unwrap();
    assert_eq!(page.matches("data-row").count(), 800);
    assert!(
        page.contains("1200 more changes") && page.contains("and 80 more"),
        "{page}"
    );
    assert!(!page.contains("<web>"));
}

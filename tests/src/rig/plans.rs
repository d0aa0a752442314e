//! Plans of a commit to which each third of the agents answers differently.

use anyhow::Context as _;
use flotilla_proto::v1;
use flotilla_shared::object::{Action, ObjectNames, ObjectRef};
use flotilla_shared::plan::{ApplicationChanges, Change, ClusterPlan};
use flotilla_tests::test_hub::TestHub;
use tokio::time::Instant;

use super::{Api, Rig, delivered, percentiles, wait_until_current};

impl Rig<'_> {
    /// Requests a plan three times, and once more while a commit is delivered.
    pub(super) async fn plans(&mut self) -> anyhow::Result<()> {
        let expected = self.args.agents;
        *self.seen.plans.lock() = three_answers()?;
        let head = self.ground.head()?;
        for _ in 0..3 {
            plan(&self.hub, &mut self.calls, &head).await?;
        }
        self.ground
            .commit("planned meanwhile", "# planned meanwhile\n")?;
        self.seen.delivered.lock().clear();
        let pushed = Instant::now();
        self.calls.refresh(v1::RefreshRequest::default()).await?;
        plan(&self.hub, &mut self.calls, &head).await?;
        let delivered = delivered(&self.seen, expected, pushed).await?;
        percentiles("commit to delivery beside a plan", delivered);
        wait_until_current(&mut self.calls, expected).await
    }
}

/// What each third of the agents answers: four changed objects, four others, or no change.
fn three_answers() -> anyhow::Result<Vec<ClusterPlan>> {
    let mut answers = Vec::new();
    for kind in ["ConfigMap", "Service"] {
        let changes = (0..4).map(|number| Change {
            object: ObjectRef::from(ObjectNames {
                group: String::new(),
                kind: kind.to_owned(),
                namespace: "web".to_owned(),
                name: format!("object-{number}"),
            }),
            action: Action::Updated,
            reason: None,
            managers: Vec::new(),
            fields: (0..5)
                .map(|field| format!("/spec/template/{field}"))
                .collect(),
            message: String::new(),
        });
        let changes = ApplicationChanges {
            changes: changes.collect(),
            unchanged: 10,
            ..ApplicationChanges::default()
        };
        answers.push(ClusterPlan {
            applications: [("web".parse()?, changes)].into(),
        });
    }
    answers.push(ClusterPlan {
        applications: [("web".parse()?, ApplicationChanges::default())].into(),
    });
    Ok(answers)
}

/// Requests a plan of a commit from the agents of the first environment, and prints how long it takes.
async fn plan(hub: &TestHub, calls: &mut Api, head: &str) -> anyhow::Result<()> {
    let (before, asked) = (hub.usage(), Instant::now());
    let request = v1::StartPlanRequest {
        environment: "env-0".to_owned(),
        branch: "env-0".to_owned(),
        commit: head.to_owned(),
        ..v1::StartPlanRequest::default()
    };
    let started = calls.start_plan(request).await?.into_inner();
    let mut plan = started.plan.context("a plan")?;
    while !plan.done {
        let id = plan.id.clone();
        let got = calls
            .get_plan(v1::GetPlanRequest { id })
            .await?
            .into_inner();
        plan = got.plan.context("a plan")?;
    }
    let (took, after) = (asked.elapsed(), hub.usage());
    let groups: Vec<usize> = plan
        .groups
        .iter()
        .map(|group| group.clusters.len())
        .collect();
    println!(
        "plan: {took:?}, {:?} of the hub's CPU, {} KiB more resident; clusters by answer {groups:?}",
        after.cpu.saturating_sub(before.cpu),
        after.resident_kib.saturating_sub(before.resident_kib),
    );
    Ok(())
}

//! A Job in the commit as a gate: from the fleet file, through the agent's own policy and its API server, to the
//! rollout that waits for it.

use flotilla_shared::digest::Digest;

use crate::*;

const UNGATED: &str = "- {name: dev, branch: dev}";
const GATED: &str = "- {name: dev, branch: dev, gates: {jobs: [{name: smoke, application: web, \
                     path: gates/smoke, timeout: 2m}]}}";
const CONFIG: &str = "/api/v1/namespaces/web/configmaps/config";

fn job(image: &str) -> String {
    format!(
        "apiVersion: batch/v1\nkind: Job\nmetadata: {{name: smoke}}\nspec:\n  template:\n    spec:\n      \
         restartPolicy: Never\n      containers: [{{name: a, image: 'example.com/{image}'}}]\n"
    )
}

impl World {
    /// Changes the application's content and its gate Job.
    fn push_gated(&self, value: &str, image: &str) -> String {
        let files = &self.repository;
        files
            .write("apps/web/config.yaml", &config_map("config", value))
            .unwrap();
        files.write("gates/smoke/job.yaml", &job(image)).unwrap();
        files.push(value, &["dev"]).unwrap()
    }

    /// Waits until the gate Job holds the rollout of a commit as expected.
    async fn gate(
        &self,
        commit: &str,
        what: &str,
        expected: impl Fn(&v1::ExplainStep) -> bool,
    ) -> v1::ExplainStep {
        let last = std::cell::RefCell::new(None);
        let found = eventually(what, LIMIT, || {
            let mut api = self.operator.api.clone();
            let (expected, last) = (&expected, &last);
            async move {
                let request = v1::GetRolloutRequest {
                    subject: "dev".to_owned(),
                };
                let answer = api.get_rollout(request).await.ok()?.into_inner();
                let rollout = answer.rollout?;
                *last.borrow_mut() = Some(rollout.clone());
                let is_of_it = rollout
                    .target
                    .iter()
                    .any(|revision| revision.commit == commit);
                let mut gates = rollout.gates.into_iter().filter(|_| is_of_it);
                gates.find(|gate| gate.step == "job" && expected(gate))
            }
        })
        .await;
        found.unwrap_or_else(|error| panic!("{error}: {:#?}", last.borrow()))
    }

    /// Jobs that gates have created, by name.
    async fn gate_jobs(&self) -> Vec<String> {
        let list = self.live("/apis/batch/v1/namespaces/web/jobs").await;
        let items = list.as_ref().and_then(|list| list["items"].as_array());
        let items = items.into_iter().flatten();
        let gate =
            |item: &&serde_json::Value| item["metadata"]["labels"]["flotilla.dev/gate"] == "smoke";
        let names = items
            .filter(gate)
            .filter_map(|item| item["metadata"]["name"].as_str());
        names.map(str::to_owned).collect()
    }

    async fn value(&self) -> serde_json::Value {
        let live = self.live(CONFIG).await.unwrap();
        live["data"]["value"].clone()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_waits_for_its_own_job_in_the_cluster() {
    let mut world = World::embedded(WEB).await;
    world.current("web", &world.head()).await;
    let path = world.path("fleet.yaml");
    let text = std::fs::read_to_string(&path).unwrap();
    let text = text.replace(UNGATED, GATED);
    std::fs::write(&path, &text).unwrap();
    // The gate must be in force before the commit that it holds back.
    let digest = Digest::of(text.as_bytes()).to_string();
    eventually("the gate is in force", LIMIT, || async {
        let mut api = world.operator.api.clone();
        let hub = api.get_hub(v1::GetHubRequest {}).await.ok()?;
        (hub.into_inner().fleet_digest == digest).then_some(())
    })
    .await
    .unwrap();

    // The agent's own policy decides which gate Jobs run, whatever the hub requests.
    let second = world.push_gated("two", "smoke:broken");
    let gate = world
        .gate(&second, "the policy is asked", |gate| {
            gate.reason == "GateJobNotAllowed"
        })
        .await;
    assert_eq!(gate.state(), v1::StepState::Failed);
    assert!(gate.text.contains("gateJobs.paths"), "{}", gate.text);
    assert!(world.gate_jobs().await.is_empty());

    // The policy allows the Job, which fails: the commit is held back, and the reason is reported.
    world.stop_agent().await;
    std::fs::write(world.path("policy.yaml"), "gateJobs: {paths: [gates]}\n").unwrap();
    world.start_agent().await;
    let gate = world
        .gate(&second, "the Job fails", |gate| {
            gate.reason == "GateJobFailed"
        })
        .await;
    for words in ["failed in cluster c1", "BackoffLimitExceeded"] {
        assert!(gate.text.contains(words), "{}", gate.text);
    }
    let first_jobs = world.gate_jobs().await;
    assert_eq!(first_jobs.len(), 1, "{first_jobs:?}");
    assert_eq!(world.value().await, "one");

    // Restarts of hub and agent do not run the Job again.
    world.hub.stop().await.unwrap();
    world.stop_agent().await;
    world.start_hub_again().await;
    world.start_agent().await;
    world.more_passes("web", 2).await;
    world
        .gate(&second, "it is still held", |gate| {
            gate.reason == "GateJobFailed"
        })
        .await;
    assert_eq!(world.gate_jobs().await, first_jobs);

    // An operator's retry runs it again, and it fails again.
    let retry = v1::SteerRequest {
        action: v1::SteerAction::Retry.into(),
        environment: "dev".to_owned(),
        reason: "the database is back".to_owned(),
        ..v1::SteerRequest::default()
    };
    let mut api = world.operator.api.clone();
    api.steer(retry).await.unwrap();
    eventually("it runs once more", LIMIT, || async {
        (world.gate_jobs().await.len() == 2).then_some(())
    })
    .await
    .unwrap();
    world
        .gate(&second, "it fails again", |gate| {
            gate.reason == "GateJobFailed"
        })
        .await;

    // A commit whose Job succeeds is applied, after its Job.
    let third = world.push_gated("three", "smoke:1");
    world.current("web", &third).await;
    assert_eq!(world.value().await, "three");
    let jobs = world.gate_jobs().await;
    assert_eq!(jobs.len(), 3, "{jobs:?}");
    let writes = world.writes();
    let place = |resource: &str| {
        let is_it = |event: &flotilla_apiserver::AuditEvent| {
            event.resource == resource && event.verb == "patch" && !event.dry_run
        };
        writes.iter().rposition(is_it).unwrap()
    };
    assert!(place("jobs") < place("configmaps"), "the Job comes first");
    let entries = api
        .list_audit(v1::ListAuditRequest::default())
        .await
        .unwrap()
        .into_inner()
        .entries;
    let told = |action: &str| {
        let mut all = entries.iter().filter(|entry| entry.action == action);
        (all.next().map(|entry| entry.detail.clone()), all.count())
    };
    assert_eq!(told("gate job failed").1, 1, "two in all");
    let (detail, more) = told("gate job succeeded");
    let detail = detail.unwrap();
    assert!(
        detail.starts_with("smoke: succeeded in cluster c1"),
        "{detail}"
    );
    assert_eq!(more, 0);
}

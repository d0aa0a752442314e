//! The changes of a commit, planned by a live agent before the commit is assigned.

use crate::*;

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ4bzQXA0vX6KwFjm8tsNIjhFi1+FyJNU3zIVFBVbUqN a";
/// Secret values before and after, which must never leave the cluster.
const CANARIES: [&str; 2] = ["canary-before", "canary-after"];

fn secret(value: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: key}}\nstringData: {{password: {value}}}\n"
    )
}

impl World {
    /// Restarts the agent with these rules in its own policy.
    async fn with_policy(&mut self, text: &str) {
        self.stop_agent().await;
        std::fs::write(self.path("policy.yaml"), text).unwrap();
        self.start_agent().await;
        self.current("web", &self.head_of("dev")).await;
    }

    fn head_of(&self, branch: &str) -> String {
        let remote = format!("refs/heads/{branch}");
        let bare = self.repository.bare.clone();
        flotilla_tests::repository::git(&bare, &["rev-parse", &remote]).unwrap()
    }

    async fn plan(&self, branch: &str, wait_seconds: u32) -> v1::FleetPlan {
        let mut api = self.operator.api.clone();
        let request = v1::StartPlanRequest {
            environment: "dev".to_owned(),
            branch: branch.to_owned(),
            commit: self.head_of(branch),
            wait_seconds,
            ..v1::StartPlanRequest::default()
        };
        let started = api.start_plan(request).await.unwrap().into_inner();
        let id = started.plan.unwrap().id;
        eventually("the plan is whole", LIMIT, || {
            let (mut api, id) = (api.clone(), id.clone());
            async move {
                let request = v1::GetPlanRequest { id };
                let plan = api.get_plan(request).await.unwrap().into_inner().plan;
                plan.filter(|plan| plan.done)
            }
        })
        .await
        .unwrap()
    }

    fn real_writes(&self) -> usize {
        let writes = self.writes().into_iter();
        writes.filter(|event| !event.dry_run).count()
    }
}

/// `action kind name reason managers fields`, one line for each change.
fn changes(group: &v1::PlanGroup) -> Vec<String> {
    let all = group
        .applications
        .iter()
        .flat_map(|application| &application.changes);
    all.map(|change| {
        let object = change.object.clone().unwrap();
        let fields: Vec<&str> = change
            .fields
            .iter()
            .map(|field| field.path.as_str())
            .collect();
        format!(
            "{} {} {} {} {} {}",
            change.action().as_str_name().trim_start_matches("ACTION_"),
            object.kind,
            object.name,
            change.reason,
            change.managers.join(","),
            fields.join(",")
        )
        .trim_end()
        .to_owned()
    })
    .collect()
}

fn only(plan: &v1::FleetPlan) -> &v1::PlanGroup {
    assert_eq!(plan.groups.len(), 1, "{plan:?}");
    assert_eq!(plan.groups[0].clusters, ["c1"], "{plan:?}");
    &plan.groups[0]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i11_a_plan_names_what_would_change_and_leaves_no_trace_and_no_secret() {
    let mut world = World::embedded(WEB).await;
    let files = &world.repository;
    files
        .write("apps/web/key.yaml", &secret(CANARIES[0]))
        .unwrap();
    files
        .write("apps/web/gone.yaml", &config_map("gone", "one"))
        .unwrap();
    let commit = files.push("more", &["dev"]).unwrap();
    world.current("web", &commit).await;
    world.with_policy("plan: {branches: ['feature/*']}\n").await;
    let theirs = serde_json::json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "shared"},
        "data": {"value": "theirs"},
    });
    let path = "/api/v1/namespaces/web/configmaps/shared?fieldManager=other-controller";
    let apply = "application/apply-patch+yaml";
    assert_eq!(
        send(&world.cluster, "PATCH", path, apply, theirs).await,
        201
    );

    let files = &world.repository;
    files
        .write("apps/web/key.yaml", &secret(CANARIES[1]))
        .unwrap();
    files
        .write("apps/web/config.yaml", &config_map("config", "two"))
        .unwrap();
    files
        .write("apps/web/new.yaml", &config_map("new", "one"))
        .unwrap();
    files
        .write("apps/web/shared.yaml", &config_map("shared", "ours"))
        .unwrap();
    std::fs::remove_file(files.work.join("apps/web/gone.yaml")).unwrap();
    files.push("feature", &["feature/x"]).unwrap();
    let before = world.real_writes();
    let plan = world.plan("feature/x", 0).await;
    let group = only(&plan);
    assert_eq!(group.verdict(), v1::PlanVerdict::Conflict, "{plan:?}");
    assert_eq!(
        changes(group),
        [
            "UPDATED ConfigMap config   /data/value",
            "PRUNED ConfigMap gone",
            "CREATED ConfigMap new",
            "FAILED ConfigMap shared Conflict other-controller",
            "UPDATED Secret key   /data/password",
        ]
    );
    let told = format!("{plan:?}");
    for canary in CANARIES {
        let encoded = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, canary);
        assert!(!told.contains(canary) && !told.contains(&encoded), "{told}");
    }

    // Without the conflict it is a change like any other; an error about a Secret quotes none of its content.
    let files = &world.repository;
    std::fs::remove_file(files.work.join("apps/web/shared.yaml")).unwrap();
    files.push("without", &["feature/y"]).unwrap();
    let plan = world.plan("feature/y", 0).await;
    assert_eq!(only(&plan).verdict(), v1::PlanVerdict::Changes, "{plan:?}");
    let files = &world.repository;
    let broken = secret(CANARIES[1]).replace("stringData:", "type: kubernetes.io/tls\nstringData:");
    files.write("apps/web/key.yaml", &broken).unwrap();
    files.push("broken", &["feature/z"]).unwrap();
    let plan = world.plan("feature/z", 0).await;
    assert_eq!(only(&plan).verdict(), v1::PlanVerdict::Conflict, "{plan:?}");
    assert!(!format!("{plan:?}").contains("canary"), "{plan:?}");

    assert_eq!(world.real_writes(), before, "nothing was written");
    let live = world.live("/api/v1/namespaces/web/configmaps/config").await;
    assert_eq!(live.unwrap().pointer("/data/value").unwrap(), "one");
    // The assignment stays in force.
    world.current("web", &world.head_of("dev")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c01_an_agent_plans_only_what_its_own_policy_lets_be_asked() {
    let mut world = World::embedded(WEB).await;
    world.current("web", &world.head()).await;
    let plan = world.plan("dev", 0).await;
    assert_eq!(only(&plan).verdict(), v1::PlanVerdict::Nothing, "{plan:?}");
    let files = &world.repository;
    files
        .write("apps/web/config.yaml", &config_map("config", "two"))
        .unwrap();
    files.push("feature", &["feature/x"]).unwrap();
    let plan = world.plan("feature/x", 0).await;
    let group = only(&plan);
    assert_eq!(group.verdict(), v1::PlanVerdict::Refused, "{plan:?}");
    assert_eq!(group.reason, "BranchNotAllowed");
    assert!(group.message.contains("plan.branches"), "{}", group.message);

    let policy = format!(
        "plan: {{branches: ['feature/*']}}\nkeys: [{{name: a, ssh: '{KEY}'}}]\nsignatures:\n\
         - {{branches: [dev]}}\n- {{branches: [feature/x], mode: tip, keys: [a]}}\n"
    );
    world.with_policy(&policy).await;
    let plan = world.plan("feature/x", 60).await;
    assert_eq!(only(&plan).reason, "SignatureMissing", "{plan:?}");
    let copy = std::fs::read_to_string(world.path("agent-c1/accepted.json")).unwrap();
    assert!(
        !copy.contains(&world.head_of("feature/x")),
        "a question leaves nothing in the record of what was accepted: {copy}"
    );

    world.stop_agent().await;
    let plan = world.plan("feature/x", 0).await;
    assert_eq!(only(&plan).verdict(), v1::PlanVerdict::Offline, "{plan:?}");

    let request = v1::GetPlanRequest { id: "0".repeat(16) };
    let forgotten = world.operator.api.clone().get_plan(request).await;
    let status = forgotten.unwrap_err();
    assert_eq!(status.code(), tonic::Code::NotFound);
    assert!(status.message().contains("ask for it again"), "{status:?}");
}

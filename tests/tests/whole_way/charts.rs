//! Helm charts: from Git to a healthy Deployment, upgrades, refusals, and releases that Helm itself installed.

use crate::*;

const APPS: &str = "- name: shop
  repository: fleet
  path: charts/shop
  namespace: shop
  helm:
    valuesFiles: ['values-{environment}.yaml', 'clusters/{cluster}.yaml?']
    values: {image: {tag: '7'}}
- {name: other, repository: fleet, path: apps/other}
";

const TEMPLATES: &str = "apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .Release.Name }}
  labels: {app.kubernetes.io/managed-by: {{ .Release.Service }}}
spec:
  replicas: {{ .Values.replicas }}
  selector: {matchLabels: {app: shop}}
  template:
    metadata:
      labels: {app: shop}
    spec:
      containers:
      - name: shop
        image: \"example.com/shop:{{ .Values.image.tag }}\"
---
apiVersion: v1
kind: ConfigMap
metadata: {name: facts}
data:
  stage: {{ .Values.stage | quote }}
  revision: {{ .Release.Revision | quote }}
  jobs: {{ .Capabilities.APIVersions.Has \"batch/v1/Job\" | quote }}
";

const HOOKS: &str = "apiVersion: v1
kind: ConfigMap
metadata:
  name: account
  annotations:
    helm.sh/hook: pre-install,pre-upgrade
    helm.sh/hook-weight: '-1'
    helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
---
apiVersion: batch/v1
kind: Job
metadata:
  name: install
  annotations: {helm.sh/hook: pre-install}
spec:
  template:
    spec:
      restartPolicy: Never
      containers: [{name: a, image: 'example.com/a:1'}]
---
apiVersion: batch/v1
kind: Job
metadata:
  name: upgrade
  annotations: {helm.sh/hook: pre-upgrade}
spec:
  template:
    spec:
      restartPolicy: Never
      containers: [{name: a, image: 'example.com/a:1'}]
";

fn chart(world: &World) {
    for (path, text) in [
        (
            "charts/shop/Chart.yaml",
            "apiVersion: v2\nname: shop\nversion: 1.0.0\n",
        ),
        (
            "charts/shop/values.yaml",
            "replicas: 1\nstage: none\nimage: {tag: '1'}\n",
        ),
        ("charts/shop/values-dev.yaml", "stage: dev\nreplicas: 2\n"),
        ("charts/shop/templates/all.yaml", TEMPLATES),
        ("charts/shop/templates/hooks.yaml", HOOKS),
    ] {
        world.write(path, text);
    }
}

const DEPLOYMENT_PATH: &str = "/apis/apps/v1/namespaces/shop/deployments/shop";
const FACTS: &str = "/api/v1/namespaces/shop/configmaps/facts";

/// Jobs that were created since the last call, without the hash of their content.
fn made(world: &World, seen: &mut usize) -> Vec<String> {
    let all = world.writes();
    let new = all.iter().skip(std::mem::replace(seen, all.len()));
    let jobs =
        new.filter(|event| event.resource == "jobs" && event.verb == "patch" && event.code < 300);
    let mut names: Vec<String> = jobs
        .filter_map(|event| Some(event.name.rsplit_once('-')?.0.to_owned()))
        .collect();
    names.dedup();
    names
}

fn at<'v>(live: Option<&'v serde_json::Value>, pointer: &str) -> &'v serde_json::Value {
    live.and_then(|live| live.pointer(pointer))
        .unwrap_or(&serde_json::Value::Null)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chart_is_installed_upgraded_and_refused_alone() {
    let world = World::embedded(APPS).await;
    world.refused("shop", "PathNotFound").await;
    world.cluster.create_namespace("shop").await.unwrap();
    chart(&world);
    let mut seen = world.writes().len();
    let first = world.repository.push("a chart", &["dev"]).unwrap();
    world.current("shop", &first).await;
    world.current("other", &first).await;
    let live = world.live(DEPLOYMENT_PATH).await;
    assert_eq!(at(live.as_ref(), "/spec/replicas"), 2);
    let image = "/spec/template/spec/containers/0/image";
    assert_eq!(at(live.as_ref(), image), "example.com/shop:7");
    let facts = world.live(FACTS).await;
    let expected = serde_json::json!({"stage": "dev", "revision": "1", "jobs": "true"});
    assert_eq!(at(facts.as_ref(), "/data"), &expected);
    assert_eq!(made(&world, &mut seen), ["install"]);
    eventually(
        "what came with the hook has gone with it",
        LIMIT,
        || async {
            world
                .deletes()
                .contains(&"configmaps/account".to_owned())
                .then_some(())
        },
    )
    .await
    .unwrap();

    // An upgrade, with values for this cluster only.
    let own = "stage: c1\n";
    let second = world.commit("charts/shop/clusters/c1.yaml", own, "an upgrade");
    world.current("shop", &second).await;
    let facts = world.live(FACTS).await;
    assert_eq!(at(facts.as_ref(), "/data/stage"), "c1");
    assert_eq!(at(facts.as_ref(), "/data/revision"), "2");
    assert_eq!(made(&world, &mut seen), ["upgrade"]);

    // The error of a broken template names its position, and blocks no other application.
    let template = format!("{TEMPLATES}  broken: {{{{ .Values.none.deeper }}}}\n");
    world.write("charts/shop/templates/all.yaml", &template);
    let third = world.commit(
        "apps/other/config.yaml",
        &config_map("other", "two"),
        "broken",
    );
    let report = world.refused("shop", "RenderFailed").await;
    let message = &report.message;
    assert!(message.contains("shop/templates/all.yaml:24:"), "{message}");
    world.current("other", &third).await;

    // The template is repaired and the content is the old one: this is a new release, so its hook runs.
    world.write("charts/shop/templates/all.yaml", TEMPLATES);
    std::fs::write(
        world.path("work/fleet/charts/shop/clusters/c1.yaml"),
        "stage: c2\n",
    )
    .unwrap();
    let fourth = world.repository.push("mended", &["dev"]).unwrap();
    world.current("shop", &fourth).await;
    assert_eq!(made(&world, &mut seen), ["upgrade"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restarted_agent_renders_the_release_that_runs() {
    let mut world = World::embedded(APPS).await;
    world.cluster.create_namespace("shop").await.unwrap();
    chart(&world);
    let first = world.repository.push("a chart", &["dev"]).unwrap();
    world.current("shop", &first).await;
    let mut seen = world.writes().len();
    world.stop_agent().await;
    world.start_agent().await;
    world.more_passes("shop", 1).await;
    world.current("shop", &first).await;
    assert_eq!(made(&world, &mut seen), Vec::<String>::new());
    let facts = world.live(FACTS).await;
    assert_eq!(at(facts.as_ref(), "/data/revision"), "1");
}

const CHANCE: &str = "- {name: refused, repository: fleet, path: charts/chance, namespace: default}
- name: derived
  repository: fleet
  path: charts/chance
  namespace: default
  helm: {generated: derived}
- {name: other, repository: fleet, path: apps/other}
";

/// Every render of a revision is the same, so that it need not be rendered twice to compare: functions of time or
/// randomness are refused with their name and position, or give the same result at every render if the fleet file says
/// so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r10_what_draws_on_chance_is_reported_and_where_it_is_derived_written_once() {
    let mut world = World::embedded(CHANCE).await;
    let chart = "apiVersion: v2\nname: chance\nversion: 1.0.0\n";
    world.write("charts/chance/Chart.yaml", chart);
    let template = "apiVersion: v1
kind: ConfigMap
metadata: {name: {{ .Release.Name }}}
data:
  word: {{ randAlphaNum 8 | quote }}
  day: {{ now | date \"2006-01-02\" | quote }}
";
    let commit = world.commit("charts/chance/templates/a.yaml", template, "chance");
    let report = world.refused("refused", "RenderFailed").await;
    let told = &report.message;
    assert!(told.contains("templates/a.yaml:5"), "{told}");
    let why = "randAlphaNum depends on time or randomness";
    assert!(told.contains(why), "{told}");
    world.current("other", &commit).await;
    world.current("derived", &commit).await;
    let path = |name: &str| format!("/api/v1/namespaces/default/configmaps/{name}");
    let (refused, derived) = (path("refused"), path("derived"));
    let first = world.live(&derived).await.unwrap();
    world.more_passes("derived", 2).await;
    world.stop_agent().await;
    world.start_agent().await;
    world.more_passes("derived", 2).await;
    world.current("derived", &commit).await;
    let writes = world.writes().into_iter();
    let writes = writes.filter(|event| !event.dry_run && event.name == "derived");
    assert_eq!(writes.count(), 1, "it is not written again");
    let again = world.live(&derived).await.unwrap();
    assert_eq!(again["data"], first["data"]);
    assert!(world.live(&refused).await.is_none());
}

/// Stands in for the Job controller, which a real API server alone does not have.
async fn complete(world: &World) {
    let jobs = "/apis/batch/v1/namespaces/shop/jobs";
    let name = eventually("the hook's Job is there", LIMIT, || async {
        let list = world.live(jobs).await?;
        let name = list.pointer("/items/0/metadata/name")?.as_str()?;
        Some(name.to_owned())
    })
    .await
    .unwrap();
    let now = jiff::Timestamp::from_second(jiff::Timestamp::now().as_second())
        .unwrap()
        .to_string();
    let condition = |kind: &str| serde_json::json!({"type": kind, "status": "True", "lastTransitionTime": now, "lastProbeTime": now});
    let status = serde_json::json!({"status": {
        "startTime": now, "completionTime": now, "succeeded": 1, "uncountedTerminatedPods": {},
        "conditions": [condition("SuccessCriteriaMet"), condition("Complete")],
    }});
    let path = format!("{jobs}/{name}/status");
    let patch = "application/merge-patch+json";
    let code = send(&world.cluster, "PATCH", &path, patch, status).await;
    assert_eq!(code, 200);
}

/// Against a real API server with the real Helm, if both are available.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_release_of_helm_is_taken_over() {
    let Some(helm) = flotilla_needs::program("helm", Some("FLOTILLA_HELM"), &["helm"]) else {
        return;
    };
    let mut world = World::new(APPS).await;
    if world.cluster.server().is_some() {
        // The embedded server does not record managed fields as Helm's libraries expect.
        return flotilla_needs::skip("apiserver");
    }
    world.stop_agent().await;
    world.cluster.create_namespace("shop").await.unwrap();
    chart(&world);
    // Helm signs its writes with the name of its program, so the file must be called helm.
    let program = world.path("helm");
    std::os::unix::fs::symlink(&helm, &program).unwrap();
    let output = tokio::process::Command::new(&program)
        .args([
            "install",
            "shop",
            "work/fleet/charts/shop",
            "--namespace",
            "shop",
            "--no-hooks",
        ])
        .args(["--set", "stage=helm", "--kubeconfig", "kubeconfig"])
        .current_dir(world.directory.path())
        .env("HOME", world.directory.path())
        .output()
        .await
        .unwrap();
    flotilla_tests::programs::printed(output).unwrap();
    let facts = world.live(FACTS).await;
    assert_eq!(at(facts.as_ref(), "/data/stage"), "helm");
    let secret = "/api/v1/namespaces/shop/secrets/sh.helm.release.v1.shop.v1";
    let before = world.live(secret).await.unwrap();

    // What is not in Git is to be pruned, although Helm wrote it.
    let template = TEMPLATES.replace(
        "  jobs: {{ .Capabilities.APIVersions.Has \"batch/v1/Job\" | quote }}\n",
        "",
    );
    let commit = world.commit("charts/shop/templates/all.yaml", &template, "a chart");
    let mut seen = world.writes().len();
    world.start_agent().await;
    complete(&world).await;
    world.current("shop", &commit).await;
    let facts = world.live(FACTS).await;
    let expected = serde_json::json!({"stage": "dev", "revision": "2"});
    assert_eq!(at(facts.as_ref(), "/data"), &expected);
    assert_eq!(made(&world, &mut seen), ["upgrade"], "it ran before");
    assert_eq!(
        world.live(secret).await.unwrap(),
        before,
        "Helm's own record"
    );
}

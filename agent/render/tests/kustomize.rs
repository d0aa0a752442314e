//! Kustomize against its own cases: equal documents, every one.

mod support;

use std::path::Path;

use flotilla_render::{MemoryTree, Options, RenderError, Rendered, render};
use serde_json::Value;
use support::Failure;

fn sorted<'v>(values: impl Iterator<Item = &'v Value>) -> Vec<String> {
    let mut all: Vec<String> = values.map(ToString::to_string).collect();
    all.sort();
    all
}

#[test]
fn shared_cases_render_to_equal_documents() -> Result<(), Failure> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/conformance/kustomize");
    let (mut equal, mut wrong) = (0, Vec::new());
    for case in std::fs::read_dir(&folder)? {
        let case = case?.path();
        if !case.is_dir() {
            continue;
        }
        let tree = support::tree(&case.join("in"))?;
        let path = std::fs::read_to_string(case.join("path"))?;
        let path = path.trim().trim_start_matches("./").trim_start_matches('.');
        match render(&tree, path, &Options::default()) {
            Err(error) => wrong.push(format!("{} refused: {error}", case.display())),
            Ok(rendered) => {
                let expected = std::fs::read(case.join("expected.yaml"))?;
                let expected = support::other_reader::documents(&expected)?;
                let want = sorted(expected.iter());
                let got = sorted(rendered.manifests.iter().map(|m| &m.value));
                if want == got {
                    equal += 1;
                } else {
                    wrong.push(format!("{}\n got {got:#?}\nwant {want:#?}", case.display()));
                }
            }
        }
    }
    eprintln!("kustomize cases: {equal} equal");
    assert!(equal >= 60, "the data is not whole");
    support::verdict::none_wrong(&wrong);
    Ok(())
}

const BASE: &str = "resources: [app.yaml]\n";
const APP: &str = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  template:\n    spec:\n      containers:\n      - {name: a, image: 'r.io/a:1'}\n      - {name: b, image: b}\n";

fn overlay(text: &str) -> Result<Rendered, RenderError> {
    let mut tree = MemoryTree::new();
    for (path, content) in [
        ("base/kustomization.yaml", BASE),
        ("base/app.yaml", APP),
        ("prod/kustomization.yaml", text),
    ] {
        assert_eq!(tree.insert_file(path, content.as_bytes().to_vec()), Ok(()));
    }
    render(&tree, "prod", &Options::default())
}

fn reason(text: &str) -> Option<&'static str> {
    overlay(text).err().map(|error| error.reason().as_str())
}

#[test]
fn an_overlay_patches_renames_scales_and_sets_images() -> Result<(), Failure> {
    let rendered = overlay(
        "resources: [../base]\nnamePrefix: p-\nnamespace: prod\nreplicas: [{name: web, count: 3}]\n\
         images: [{name: r.io/a, newTag: '2'}]\npatches:\n- target: {kind: Deployment, name: web}\n  \
         patch: '[{\"op\": \"add\", \"path\": \"/metadata/labels\", \"value\": {\"x\": \"y\"}}]'\n\
         - patch: '{apiVersion: apps/v1, kind: Deployment, metadata: {name: web}, spec: {template: \
         {spec: {containers: [{name: b, $patch: delete}]}}}}'\n",
    )?;
    let value = &rendered.manifests[0].value;
    assert_eq!(value["metadata"]["name"], "p-web");
    assert_eq!(value["metadata"]["namespace"], "prod");
    assert_eq!(value["metadata"]["labels"]["x"], "y");
    assert_eq!(value["spec"]["replicas"], 3);
    let containers = &value["spec"]["template"]["spec"]["containers"];
    assert_eq!(containers.as_array().map(Vec::len), Some(1));
    assert_eq!(containers[0]["image"], "r.io/a:2");
    Ok(())
}

#[test]
fn r05_what_is_not_rendered_is_refused_by_name() {
    assert_eq!(
        reason("resources: ['https://example.com/x']"),
        Some("RemoteReference")
    );
    assert_eq!(reason("resources: [../../../x]"), Some("OutsideRoot"));
    assert_eq!(reason("resources: [../base/app.yaml]"), Some("OutsideRoot"));
    assert_eq!(reason("resources: [../prod]"), Some("Cycle"));
    assert_eq!(reason("helmCharts: [{name: x}]"), Some("HelmRefused"));
    assert_eq!(
        reason("images: [{name: a, tagSuffx: b}]"),
        Some("UnknownField")
    );
    assert_eq!(reason("namePrefx: x"), Some("UnknownField"));
}

/// Charts of the tree, as `kustomize build --enable-helm` has them from `helm template`.
fn with_chart(helm: &str, more: &[(&str, &str)]) -> Result<Rendered, RenderError> {
    let kustomization = format!("namePrefix: my-\n{helm}");
    let mut tree = MemoryTree::new();
    let template = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}\n  namespace: {{ \
                    .Release.Namespace }}\ndata:\n  value: '{{ .Values.a }} {{ .Values.b }} {{ .Values.c }} {{ \
                    .Capabilities.KubeVersion }}'\n";
    let hook = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: check\n  annotations: {helm.sh/hook: test}\n";
    let crd = "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: a.b}\n";
    for (path, content) in [
        ("prod/kustomization.yaml", kustomization.as_str()),
        (
            "prod/charts/c/Chart.yaml",
            "apiVersion: v2\nname: c\nversion: 1.0.0\n",
        ),
        (
            "prod/charts/c/values.yaml",
            "a: chart\nb: chart\nc: chart\n",
        ),
        ("prod/charts/c/templates/a.yaml", template),
        ("prod/charts/c/templates/hook.yaml", hook),
        ("prod/charts/c/crds/crd.yaml", crd),
    ]
    .iter()
    .chain(more)
    {
        assert_eq!(tree.insert_file(path, content.as_bytes().to_vec()), Ok(()));
    }
    render(&tree, "prod", &Options::default())
}

#[test]
fn charts_of_the_tree_are_rendered_and_changed_like_all_else() -> Result<(), RenderError> {
    let value = |rendered: &Rendered| {
        let config = rendered
            .manifests
            .iter()
            .find(|manifest| manifest.kind() == "ConfigMap");
        let value = config.and_then(|manifest| {
            manifest
                .value
                .pointer("/data/value")?
                .as_str()
                .map(str::to_owned)
        });
        value.unwrap_or_default()
    };
    let plain = with_chart(
        "helmCharts: [{name: c, releaseName: web, namespace: front, valuesInline: {b: own}, kubeVersion: \
         v1.31.0, skipTests: true}]\n",
        &[],
    )?;
    assert_eq!(value(&plain), "chart own chart v1.31.0");
    let names: Vec<String> = plain
        .manifests
        .iter()
        .map(|manifest| manifest.object().to_string())
        .collect();
    assert_eq!(names, ["ConfigMap front/my-web"]);
    assert!(plain.files_read.contains("prod/charts/c/templates/a.yaml"));
    let all = with_chart(
        "helmCharts: [{name: c, releaseName: web, includeCRDs: true}]\n",
        &[],
    )?;
    assert_eq!(all.manifests.len(), 3, "with its definition and its test");
    // How values files and the entry's own values are combined.
    let files = [
        ("prod/v.yaml", "b: file\nc: file\n"),
        ("prod/w.yaml", "c: last\n"),
    ];
    for (merge, expected) in [
        ("override", "own own last"),
        ("merge", "own file last"),
        ("replace", "own own last"),
    ] {
        let helm = format!(
            "helmGlobals: {{chartHome: charts}}\nhelmCharts:\n- {{name: c, releaseName: web, valuesFile: v.yaml, \
             additionalValuesFiles: [w.yaml], valuesMerge: {merge}, valuesInline: {{a: own, b: own}}}}\n"
        );
        let rendered = with_chart(&helm, &files)?;
        assert!(
            value(&rendered).starts_with(expected),
            "{merge}: {}",
            value(&rendered)
        );
    }
    // Without a values file of the entry, the chart's own values take its place.
    let merged = with_chart(
        "helmCharts: [{name: c, releaseName: web, valuesMerge: merge, valuesInline: {b: own, d: own}}]\n",
        &[],
    )?;
    assert!(value(&merged).starts_with("chart chart chart"));
    // The directory that Kustomize itself would have pulled the chart to.
    let pulled = [
        (
            "prod/charts/d-2.0.0/d/Chart.yaml",
            "apiVersion: v2\nname: d\nversion: 2.0.0\n",
        ),
        (
            "prod/charts/d-2.0.0/d/templates/a.yaml",
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: d}\n",
        ),
    ];
    let entry = "helmCharts: [{name: d, repo: 'https://h/r', version: 2.0.0, releaseName: d}]\n";
    assert_eq!(with_chart(entry, &pulled)?.manifests.len(), 1);
    Ok(())
}

#[test]
fn r04_charts_that_are_not_in_the_tree_are_not_fetched() {
    for (helm, reason, words) in [
        (
            "helmCharts: [{name: x, repo: 'https://h/r', version: 1.0.0, releaseName: x}]",
            "HelmRefused",
            "helm pull --untar",
        ),
        ("helmCharts: [{name: c}]", "HelmRefused", "releaseName"),
        (
            "helmCharts: [{name: ../../x, releaseName: x}]",
            "HelmRefused",
            "no chart",
        ),
        (
            "helmCharts: [{name: c, releaseName: x, valuesFile: /etc/passwd}]",
            "OutsideRoot",
            "",
        ),
        (
            "helmCharts: [{name: c, releaseName: x, valuesFile: none.yaml}]",
            "PathNotFound",
            "",
        ),
        (
            "helmCharts: [{name: c, releaseName: x, valuesMerge: mix}]",
            "RenderFailed",
            "mix",
        ),
        (
            "helmCharts: [{name: c, releasename: x}]",
            "UnknownField",
            "",
        ),
    ] {
        let Err(error) = with_chart(&format!("{helm}\n"), &[]) else {
            unreachable!("{helm}")
        };
        assert_eq!(error.reason().as_str(), reason, "{helm}: {error}");
        assert!(error.to_string().contains(words), "{helm}: {error}");
    }
}

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
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
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

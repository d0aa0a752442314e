//! Splitting, order, and what a release's templates share.

use std::collections::BTreeMap;

use super::manifest::{sort, split};
use super::{Print, Release, render};
use crate::capabilities::Capabilities;
use crate::chart::{Chart, File};
use crate::value::{Map, Str};

fn parts(text: &str) -> Vec<String> {
    split(text.as_bytes())
        .into_iter()
        .map(|part| String::from_utf8_lossy(part).into_owned())
        .collect()
}

#[test]
fn documents_are_parted_as_helms_expression_does() {
    assert_eq!(parts("---\na\n---\nb\n"), ["a", "b"]);
    assert_eq!(parts("a\n \n\n---   \n\n\nb"), ["a", "b"]);
    assert_eq!(parts("a ---\n  ---\nb"), ["a ---\n  ---\nb"]);
    assert_eq!(parts("a\n---b"), ["a", "b"]);
    assert_eq!(parts("# c\n---\n"), ["# c"]);
    assert_eq!(parts(""), Vec::<String>::new());
    // A separator right after another one does not split: the first match has consumed the line break before it.
    assert_eq!(parts("---\n---\na"), ["---\na"]);
    assert_eq!(
        parts("x: |\n  -----BEGIN\n-----END"),
        ["x: |\n  -----BEGIN", "--END"]
    );
}

#[test]
fn kinds_are_in_the_order_of_installation_and_hooks_apart() {
    let object = |kind: &str| Str::from(format!("kind: {kind}\nmetadata: {{name: x}}\n"));
    let hook = "kind: Job\nmetadata:\n  name: h\n  annotations:\n    helm.sh/hook: \"Pre-Install, test-success\"\n    \
                helm.sh/hook-weight: -5\n    helm.sh/hook-delete-policy: hook-succeeded\n";
    let unknown = hook.replace("test-success", "crd-install");
    let files = BTreeMap::from([
        ("a".to_owned(), object("Zebra")),
        ("b".to_owned(), object("Deployment")),
        ("c".to_owned(), object("Aardvark")),
        ("d".to_owned(), object("Namespace")),
        ("e".to_owned(), Str::from(hook)),
        ("f".to_owned(), Str::from(unknown)),
        ("g".to_owned(), Str::from(" \n ")),
    ]);
    let (manifests, hooks) = sort(&files).unwrap();
    let kinds: Vec<&str> = manifests
        .iter()
        .map(|manifest| manifest.kind.as_str())
        .collect();
    assert_eq!(kinds, ["Namespace", "Deployment", "Aardvark", "Zebra"]);
    assert_eq!(hooks.len(), 1);
    assert_eq!(hooks[0].events, ["pre-install", "test"]);
    assert_eq!(hooks[0].weight, -5);
    assert_eq!(hooks[0].delete_policies, ["hook-succeeded"]);
    assert!(hooks[0].is_test());
}

fn chart(files: &[(&str, &str)]) -> Chart {
    let chart = ("Chart.yaml", "apiVersion: v2\nname: app\nversion: 1.0.0\n");
    let files = std::iter::once(&chart).chain(files);
    Chart::from_folder(
        files
            .map(|(name, text)| File::new(*name, text.as_bytes()))
            .collect(),
    )
    .unwrap()
}

fn release() -> Release {
    Release {
        name: "r".to_owned(),
        namespace: "n".to_owned(),
        revision: 1,
        is_upgrade: false,
        capabilities: Capabilities::default(),
        skip_schema: false,
        template: crate::template::Options::default(),
    }
}

#[test]
fn a_schema_elsewhere_is_refused_and_not_fetched() {
    for url in [
        "https://example.invalid/s.json",
        "file:///etc/passwd",
        "other.json",
    ] {
        let schema = format!(r#"{{"$ref": "{url}"}}"#);
        let chart = chart(&[("values.schema.json", &schema)]);
        let error = render(chart, &Map::new(), &release()).unwrap_err().message;
        assert!(error.contains("not loaded"), "{url}: {error}");
    }
}

#[test]
fn a_render_twice_is_equal_and_leaves_the_values_alone() {
    let template = "kind: X\nv: {{ set .Values \"n\" (add (.Values.n | default 0) 1) | toJson }}\n";
    let chart = chart(&[("templates/a.yaml", template), ("values.yaml", "n: 1\n")]);
    let given = Map::new();
    let mut outputs = Vec::new();
    for _ in 0..2 {
        let rendered = render(chart.clone(), &given, &release()).unwrap();
        outputs.push(rendered.print(&Print::default()).unwrap());
    }
    assert_eq!(outputs[0], outputs[1]);
    assert!(given.is_empty());
}

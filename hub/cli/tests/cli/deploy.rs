//! The manifests that people apply by hand.

use std::path::{Path, PathBuf};

use flotilla_yaml::{Limits, parse_documents};
use serde_json::Value;

use crate::service::{Fake, Hub, stderr, stdout};

fn manifests(directory: &str) -> Vec<(PathBuf, Value)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy");
    let mut all = Vec::new();
    let mut open = vec![root.join(directory)];
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(
                std::fs::read_dir(&path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
            continue;
        }
        if path.ends_with("kustomization.yaml") {
            // Read by kustomize, and not an object itself.
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let documents = parse_documents(&text, &Limits::default())
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        all.extend(
            documents
                .into_iter()
                .map(|document| (path.clone(), document.value)),
        );
    }
    assert!(!all.is_empty(), "{directory}");
    all
}

#[test]
fn every_manifest_parses_and_says_what_it_is() {
    for directory in ["hub", "agent"] {
        for (path, value) in manifests(directory) {
            assert!(value["kind"].is_string(), "{}: {value}", path.display());
            assert!(value["metadata"]["name"].is_string(), "{}", path.display());
        }
    }
}

#[test]
fn every_pod_is_restricted() {
    let mut seen = 0;
    for directory in ["hub", "agent"] {
        for (path, value) in manifests(directory) {
            let pod = match value["kind"].as_str() {
                Some("Pod") => &value["spec"],
                _ => &value["spec"]["template"]["spec"],
            };
            let path = path.display();
            for list in ["initContainers", "containers"] {
                for container in pod[list].as_array().into_iter().flatten() {
                    seen += 1;
                    let context = &container["securityContext"];
                    assert_eq!(context["allowPrivilegeEscalation"], false, "{path}");
                    assert_eq!(context["readOnlyRootFilesystem"], true, "{path}");
                    assert_eq!(context["capabilities"]["drop"][0], "ALL", "{path}");
                    assert_eq!(pod["securityContext"]["runAsNonRoot"], true, "{path}");
                    let profile = &pod["securityContext"]["seccompProfile"]["type"];
                    assert_eq!(*profile, "RuntimeDefault", "{path}");
                }
            }
        }
    }
    assert_eq!(seen, 5);
}

#[test]
fn the_agents_chart_takes_what_join_manifest_prints_for_it() {
    let hub = Hub::start(Fake::default());
    let made = hub.run(&[
        "cluster",
        "join-manifest",
        "prod-1",
        "--workload",
        "stateful-set",
        "-o",
        "helm-values",
    ]);
    assert_eq!(made.status.code(), Some(0), "{}", stderr(&made));
    let values = hub.directory().join("values.yaml");
    std::fs::write(&values, made.stdout).unwrap();
    let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/charts/flotilla-agent");
    let rendered = hub.run(&[
        "render",
        chart.to_str().unwrap(),
        "--renderer",
        "helm",
        "--values",
        values.to_str().unwrap(),
    ]);
    assert_eq!(rendered.status.code(), Some(0), "{}", stderr(&rendered));
    let text = stdout(&rendered);
    for expected in [
        "kind: StatefulSet",
        "flt_id_secret",
        "hub.example.org:8443",
        "prod-1",
    ] {
        assert!(text.contains(expected), "{expected}\n{text}");
    }
}

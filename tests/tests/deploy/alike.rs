//! Manifests and charts give the same objects, whether rendered by the project or by the official programs.

use std::path::Path;

use serde_json::{Value, json};

use crate::rendered::{OVERLAYS, Objects, charts, deploy, helms, kubectls, ours, with_pages};

/// Which objects differ, and at which field.
fn assert_same(what: &str, one: &Objects, other: &Objects) {
    let names = |all: &Objects| all.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(one), names(other), "{what}");
    for (name, value) in one {
        let mut found = Vec::new();
        differences("", value, &other[name], &mut found);
        assert!(found.is_empty(), "{what}: {name}:\n{}", found.join("\n"));
    }
}

fn differences(at: &str, one: &Value, other: &Value, found: &mut Vec<String>) {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            for key in one.keys().chain(other.keys()) {
                let get = |map: &serde_json::Map<String, Value>| map.get(key).cloned();
                let (one, other) = (get(one), get(other));
                let (one, other) = (one.unwrap_or_default(), other.unwrap_or_default());
                differences(&format!("{at}/{key}"), &one, &other, found);
            }
        }
        (one, other) if one == other => {}
        (one, other) => found.push(format!("{at}: {one} and {other}")),
    }
}

#[test]
fn our_kustomize_and_kubectls_render_every_base_with_its_components_alike() {
    let Some(kubectl) = flotilla_needs::program("kubectl", None, &["kubectl"]) else {
        return;
    };
    for (overlay, ..) in OVERLAYS {
        assert_same(overlay, &ours(overlay), &kubectls(&kubectl, overlay));
    }
}

/// Fills in the placeholders of the manifests like the values of a chart.
fn filled(objects: Objects) -> Objects {
    let fill = |(name, value): (String, Value)| {
        let text = value
            .to_string()
            .replace("\"${HUB}\"", "\"${HUB}:8443\"")
            .replace("${CLUSTER}", "prod-1")
            .replace(
                "${IMAGE}",
                concat!(
                    "ghcr.io/flotilla-dev/flotilla-agent:v",
                    env!("CARGO_PKG_VERSION")
                ),
            );
        (name, serde_json::from_str(&text).unwrap())
    };
    objects.into_iter().map(fill).collect()
}

/// Parses files within a ConfigMap, so that they are compared by content.
fn opened(objects: Objects) -> Objects {
    let open = |(name, mut value): (String, Value)| {
        let data = value.get_mut("data").and_then(Value::as_object_mut);
        for (file, text) in data.into_iter().flatten() {
            if file.ends_with(".yaml") {
                let limits = flotilla_yaml::Limits::default();
                let read = flotilla_yaml::parse_documents(text.as_str().unwrap(), &limits);
                *text = read.unwrap().remove(0).value;
            }
        }
        (name, value)
    };
    objects.into_iter().map(open).collect()
}

/// A release does not create its own namespace.
fn without_namespace(mut objects: Objects) -> Objects {
    objects.retain(|name, _| !name.starts_with("Namespace "));
    objects
}

#[test]
fn the_charts_defaults_are_the_bases_object_by_object() {
    for (chart, overlay) in [("flotilla-hub", "hub"), ("flotilla-agent", "agent")] {
        let chart = opened(charts(chart, &json!({})).unwrap());
        let base = opened(without_namespace(filled(ours(overlay))));
        assert_same(overlay, &base, &chart);
    }
}

#[test]
fn the_agents_chart_as_a_stateful_set_is_the_component() {
    let chart = opened(charts("flotilla-agent", &json!({"workload": "StatefulSet"})).unwrap());
    let mut base = opened(without_namespace(filled(ours("agent-whole"))));
    base.retain(|name, _| !name.starts_with("PodMonitor ") && !name.starts_with("NetworkPolicy "));
    assert_same("agent", &base, &chart);
}

#[test]
fn the_hubs_chart_with_logins_and_pages_is_the_component() {
    for overlay in ["hub-login", "hub-web", "hub-web-behind-proxy"] {
        let chart = opened(charts("flotilla-hub", &with_pages(overlay)).unwrap());
        let base = opened(without_namespace(ours(overlay)));
        assert_same(overlay, &base, &chart);
    }
    // Pages without an issuer would admit no one, so the chart refuses these values before it installs anything.
    let lonely = json!({"web": {"url": "https://flotilla.example.org"}});
    let error = charts("flotilla-hub", &lonely).unwrap_err();
    assert!(error.contains("web.url needs oidc"), "{error}");
}

#[test]
fn our_helm_and_the_official_one_render_the_charts_alike() {
    let Some(helm) = flotilla_needs::program("helm", Some("FLOTILLA_HELM"), &["helm"]) else {
        return;
    };
    let more = json!({
        "image": {"digest": format!("sha256:{}", "a".repeat(64))},
        "imagePullSecrets": [{"name": "pull"}],
        "storage": {"className": "fast"},
        "podAnnotations": {"a": "b"},
        "extraArgs": ["--log", "debug"],
    });
    for chart in ["flotilla-hub", "flotilla-agent"] {
        for more in [&json!({}), &more] {
            let ours = charts(chart, more).unwrap();
            assert_same(chart, &ours, &helms(&helm, chart, more));
        }
    }
    for overlay in ["hub-login", "hub-web", "hub-web-behind-proxy"] {
        let (chart, more) = ("flotilla-hub", with_pages(overlay));
        let ours = charts(chart, &more).unwrap();
        assert_same(overlay, &ours, &helms(&helm, chart, &more));
    }
}

#[test]
fn values_are_few_and_a_misspelt_one_is_refused() {
    for chart in ["flotilla-hub", "flotilla-agent"] {
        let path = deploy().join("charts").join(chart).join("values.yaml");
        let lines = std::fs::read_to_string(path).unwrap().lines().count();
        assert!(lines <= 120, "{chart}: {lines} lines of values");
        let error = charts(chart, &json!({"imge": {}})).unwrap_err();
        assert!(error.contains("imge"), "{error}");
    }
}

#[test]
fn every_kustomization_below_deploy_is_rendered_here() {
    fn find(directory: &Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                find(&path, found);
            } else if path.ends_with("kustomization.yaml") {
                let at = path.parent().unwrap().strip_prefix(deploy()).unwrap();
                found.push(at.to_str().unwrap().to_owned());
            }
        }
    }
    let is_used = |path: &str| {
        let mut all = OVERLAYS.iter();
        all.any(|(_, base, components)| *base == path || components.contains(&path))
    };
    let mut found = Vec::new();
    find(&deploy(), &mut found);
    for path in &found {
        let known = path == "monitoring" || is_used(path);
        assert!(known, "{path} is in no overlay of this test");
    }
}

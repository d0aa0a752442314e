//! The forms of `deploy/`, rendered.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use flotilla_helm::capabilities::Capabilities;
use flotilla_helm::chart::{Chart, File};
use flotilla_helm::release::{Print, Release, render as render_chart};
use flotilla_helm::{Options as ChartOptions, values};
use flotilla_render::{MemoryTree, Options, Output, Renderer, render};
use serde_json::{Value, json};

/// Overlays that can be installed: a base, and its components.
pub(crate) const OVERLAYS: [(&str, &str, &[&str]); 7] = [
    ("hub", "hub", &[]),
    ("hub-login", "hub", &["hub/components/oidc"]),
    ("hub-web", "hub", &["hub/components/web"]),
    (
        "hub-web-behind-proxy",
        "hub",
        &["hub/components/web-behind-proxy"],
    ),
    (
        "hub-whole",
        "hub",
        &[
            "hub/components/replicas",
            "hub/components/metrics",
            "hub/components/web",
        ],
    ),
    ("agent", "agent", &[]),
    (
        "agent-whole",
        "agent",
        &[
            "agent/components/stateful-set",
            "agent/components/metrics",
            "agent/components/network-policy",
        ],
    ),
];

/// Objects by kind, namespace and name.
pub(crate) type Objects = BTreeMap<String, Value>;

pub(crate) fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy")
}

/// Every file below a directory, with its relative path.
fn files(root: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let mut open = vec![root.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap();
                found.push((name.to_owned(), std::fs::read(&path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

/// `deploy/` and the overlays, as in a user's repository.
fn repository() -> Vec<(String, Vec<u8>)> {
    let mut all: Vec<(String, Vec<u8>)> = files(&deploy())
        .into_iter()
        .filter(|(name, _)| !name.starts_with("docs/"))
        .map(|(name, content)| (format!("deploy/{name}"), content))
        .collect();
    for (name, base, components) in OVERLAYS {
        let above = |path: &&str| format!("../../deploy/{path}");
        let text = json!({
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "resources": [above(&base)],
            "components": components.iter().map(above).collect::<Vec<_>>(),
        });
        let path = format!("overlays/{name}/kustomization.yaml");
        all.push((path, text.to_string().into_bytes()));
    }
    all
}

pub(crate) fn objects(text: &str) -> Objects {
    let documents =
        flotilla_yaml::parse_documents(text, &flotilla_yaml::Limits::default()).unwrap();
    let mut all = Objects::new();
    for document in documents {
        let value = document.value;
        if value.is_null() {
            continue;
        }
        let text = |pointer: &str| {
            let text = value.pointer(pointer).and_then(Value::as_str);
            text.unwrap_or_default().to_owned()
        };
        let key = format!(
            "{} {}/{}",
            text("/kind"),
            text("/metadata/namespace"),
            text("/metadata/name")
        );
        assert!(
            all.insert(key.clone(), value).is_none(),
            "{key} is there twice"
        );
    }
    all
}

/// As rendered by the project's own Kustomize.
pub(crate) fn ours(overlay: &str) -> Objects {
    let mut tree = MemoryTree::new();
    for (path, content) in repository() {
        tree.insert_file(&path, content).unwrap();
    }
    let options = Options {
        renderer: Renderer::Kustomize,
        ..Options::default()
    };
    let rendered = render(&tree, &format!("overlays/{overlay}"), &options);
    let rendered = rendered.unwrap_or_else(|error| panic!("{overlay}: {error}"));
    objects(&rendered.text(Output::Yaml))
}

/// As rendered by the Kustomize of kubectl.
pub(crate) fn kubectls(program: &Path, overlay: &str) -> Objects {
    let directory = tempfile::tempdir().unwrap();
    for (path, content) in repository() {
        let path = directory.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    let output = Command::new(program)
        .arg("kustomize")
        .arg(directory.path().join("overlays").join(overlay))
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{overlay}: {told}");
    objects(&String::from_utf8(output.stdout).unwrap())
}

/// The required values of a chart, as YAML.
pub(crate) fn given(chart: &str, more: &Value) -> String {
    let mut given = match chart {
        "flotilla-hub" => json!({}),
        _ => json!({
            "hub": "${HUB}:8443",
            "cluster": "prod-1",
            "trustBundle": "${TRUST_BUNDLE}",
            "token": "${TOKEN}",
        }),
    };
    for (key, value) in more.as_object().unwrap() {
        given[key] = value.clone();
    }
    given.to_string()
}

/// The hub's chart with logins and pages, like the overlay of that name.
pub(crate) fn with_pages(overlay: &str) -> Value {
    let mut more = json!({"oidc": {
        "issuer": "https://login.example.org",
        "clientId": "flotilla",
        "grants": [
            {"group": "platform", "role": "admin"},
            {"group": "developers", "role": "viewer"},
        ],
    }});
    let url = "https://flotilla.example.org";
    match overlay {
        "hub-login" => {}
        "hub-web" => more["web"] = json!({"url": url}),
        "hub-web-behind-proxy" => more["web"] = json!({"url": url, "behindProxy": true}),
        other => panic!("{other} has no pages"),
    }
    more
}

fn namespace(chart: &str) -> &'static str {
    match chart {
        "flotilla-hub" => "flotilla-hub",
        _ => "flotilla-system",
    }
}

/// A chart as rendered by the project's own engine.
pub(crate) fn charts(chart: &str, more: &Value) -> Result<Objects, String> {
    let files = files(&deploy().join("charts").join(chart));
    let files = files.into_iter().map(|(name, data)| File::new(name, data));
    let loaded = Chart::from_folder(files.collect()).unwrap();
    let given = values::load(given(chart, more).as_bytes()).unwrap();
    let release = Release {
        name: chart.to_owned(),
        namespace: namespace(chart).to_owned(),
        revision: 1,
        is_upgrade: false,
        capabilities: Capabilities::default(),
        skip_schema: false,
        template: ChartOptions::default(),
    };
    let rendered = render_chart(loaded, &given, &release).map_err(|error| error.message)?;
    let text = rendered
        .print(&Print::default())
        .map_err(|error| error.message)?;
    Ok(objects(&String::from_utf8(text).unwrap()))
}

/// A chart as rendered by the official Helm.
pub(crate) fn helms(program: &Path, chart: &str, more: &Value) -> Objects {
    let directory = tempfile::tempdir().unwrap();
    let values = directory.path().join("values.yaml");
    std::fs::write(&values, given(chart, more)).unwrap();
    let output = Command::new(program)
        .args(["template", chart])
        .arg(deploy().join("charts").join(chart))
        .args(["--namespace", namespace(chart), "--values"])
        .arg(&values)
        .env("HOME", directory.path())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{chart}: {told}");
    objects(&String::from_utf8(output.stdout).unwrap())
}

//! Runs the cases of the conformance data.

mod differential;
pub(crate) mod folder;

use std::path::{Path, PathBuf};

use flotilla_helm::capabilities::{Capabilities, KubeVersion};
use flotilla_helm::chart::{Chart, File};
use flotilla_helm::release::{Print, Release, render};
use flotilla_helm::values::{self, strvals};
use flotilla_helm::{Generated, Map, Options};
use serde_json::Value as Json;

/// Returns the directory of the data.
pub(crate) fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/conformance/helm")
}

/// Reads a JSON file of the data.
pub(crate) fn json(name: &str) -> Json {
    let text = std::fs::read(data().join(name)).unwrap();
    serde_json::from_slice(&text).unwrap()
}

/// Options of `helm template` besides the chart.
#[derive(Debug, Default)]
pub(crate) struct Case {
    pub(crate) name: Option<String>,
    pub(crate) namespace: Option<String>,
    pub(crate) values: Vec<String>,
    pub(crate) set: Vec<String>,
    pub(crate) set_string: Vec<String>,
    pub(crate) set_json: Vec<String>,
    pub(crate) set_literal: Vec<String>,
    pub(crate) kube_version: Option<String>,
    pub(crate) api_versions: Vec<String>,
    pub(crate) is_upgrade: bool,
    pub(crate) skip_schema: bool,
    pub(crate) print: Print,
}

fn texts(json: &Json) -> Vec<String> {
    match json {
        Json::Array(items) => items
            .iter()
            .map(|item| item.as_str().unwrap().to_owned())
            .collect(),
        _ => Vec::new(),
    }
}

impl Case {
    /// Reads a case's options in the form of the engine's test data.
    pub(crate) fn read(options: &Json, values: &Json) -> Self {
        let known = [
            "name",
            "namespace",
            "set",
            "set_string",
            "set_json",
            "set_literal",
            "kube_version",
            "api_versions",
            "include_crds",
            "no_hooks",
            "skip_tests",
            "is_upgrade",
            "skip_schema",
            "show_only",
        ];
        for key in options.as_object().into_iter().flat_map(|map| map.keys()) {
            assert!(
                known.contains(&key.as_str()),
                "an option that is not read: {key}"
            );
        }
        let text = |key: &str| options[key].as_str().map(str::to_owned);
        let flag = |key: &str| options[key].as_bool().unwrap_or(false);
        Self {
            name: text("name"),
            namespace: text("namespace"),
            values: texts(values),
            set: texts(&options["set"]),
            set_string: texts(&options["set_string"]),
            set_json: texts(&options["set_json"]),
            set_literal: texts(&options["set_literal"]),
            kube_version: text("kube_version"),
            api_versions: texts(&options["api_versions"]),
            is_upgrade: flag("is_upgrade"),
            skip_schema: flag("skip_schema"),
            print: Print {
                include_crds: flag("include_crds"),
                no_hooks: flag("no_hooks"),
                skip_tests: flag("skip_tests"),
                show_only: texts(&options["show_only"]),
            },
        }
    }

    fn given(&self) -> Result<Map, String> {
        let mut given = Map::new();
        for text in &self.values {
            let file = values::load(text.as_bytes()).map_err(|error| error.to_string())?;
            given = values::merge(&given, &file);
        }
        for (expressions, kind) in [
            (&self.set_json, strvals::Kind::Json),
            (&self.set, strvals::Kind::Typed),
            (&self.set_string, strvals::Kind::Text),
            (&self.set_literal, strvals::Kind::Literal),
        ] {
            for expression in expressions {
                strvals::parse_into(expression, kind, &given)?;
            }
        }
        Ok(given)
    }

    /// Returns the output, or the error without `Error: `.
    pub(crate) fn run(&self, files: Vec<File>) -> Result<String, String> {
        let name = self.name.clone().unwrap_or_else(|| "rel".to_owned());
        let given = self.given()?;
        let chart = Chart::from_folder(files).map_err(|error| error.to_string())?;
        let mut capabilities = Capabilities::default();
        if let Some(version) = &self.kube_version {
            let version = KubeVersion::parse(version).map_err(|error| error.to_string())?;
            capabilities = capabilities.with_kube_version(version);
        }
        let release = Release {
            name,
            namespace: self.namespace.clone().unwrap_or_else(|| "ns".to_owned()),
            revision: 1,
            is_upgrade: self.is_upgrade,
            capabilities: capabilities.and_api_versions(self.api_versions.clone()),
            skip_schema: self.skip_schema,
            template: Options {
                generated: Generated::Display,
                ..Options::default()
            },
        };
        let rendered = render(chart, &given, &release).map_err(|error| error.message)?;
        let out = rendered.print(&self.print).map_err(|error| error.message)?;
        Ok(String::from_utf8(out).unwrap())
    }
}

/// Returns the chart's files of a case of the engine.
pub(crate) fn files(case: &Json) -> Vec<File> {
    let mut files = Vec::new();
    for (name, text) in case["files"].as_object().into_iter().flatten() {
        files.push(File::new(name.as_str(), text.as_str().unwrap().as_bytes()));
    }
    for (name, text) in case["files_base64"].as_object().into_iter().flatten() {
        use base64::Engine as _;
        let data = base64::engine::general_purpose::STANDARD
            .decode(text.as_str().unwrap())
            .unwrap();
        files.push(File::new(name.as_str(), data));
    }
    files
}

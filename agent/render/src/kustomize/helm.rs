//! Charts of the tree that a kustomization lists under `helmCharts`, rendered as `helm template` would
//! (`api/internal/builtins/HelmChartInflationGenerator.go`).

use flotilla_helm::capabilities::{Capabilities, KubeVersion};
use flotilla_helm::release::{self, Print, Release};
use flotilla_helm::{Map, Options, Value, values};
use flotilla_shared::reason::Reason;
use serde::Deserialize;

use super::failure::{Failure, Outcome};
use super::load;
use super::resource::Resource;
use super::session::{Directory, Session};
use crate::chart::ChartErrors;

/// One entry (`api/types/helmchartargs.go`).
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(crate) struct HelmChart {
    name: String,
    version: String,
    repo: String,
    release_name: String,
    namespace: String,
    name_template: String,
    values_file: String,
    additional_values_files: Vec<String>,
    values_inline: serde_json::Map<String, serde_json::Value>,
    values_merge: String,
    #[serde(rename = "includeCRDs")]
    include_crds: bool,
    skip_hooks: bool,
    skip_tests: bool,
    api_versions: Vec<String>,
    kube_version: String,
    /// Of the command line, where nothing is changed by them.
    debug: bool,
    devel: bool,
}

/// Settings for all entries.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(crate) struct HelmGlobals {
    chart_home: String,
    config_home: String,
}

impl HelmGlobals {
    /// Whether it asks for something of Helm that is not here.
    pub(crate) fn has_config(&self) -> bool {
        !self.config_home.is_empty()
    }
}

fn refused(message: String) -> Failure {
    Failure::new(Reason::HelmRefused, message)
}

/// Renders an entry.
///
/// # Errors
/// When the chart is not in the tree, or does not render; when its name would be random.
pub(crate) fn inflate(
    entry: &HelmChart,
    globals: Option<&HelmGlobals>,
    session: &Session<'_>,
    directory: &Directory,
) -> Outcome<Vec<Resource>> {
    let name = &entry.name;
    if name.is_empty() {
        return Err(refused("helmCharts: an entry has no name".to_owned()));
    }
    let context = format!("helmCharts {name:?}");
    if entry.release_name.is_empty() || !entry.name_template.is_empty() {
        return Err(refused(format!(
            "{context}: give releaseName and no nameTemplate; a name that Helm generates \
             differs each time"
        )));
    }
    let made = render(entry, globals, session, directory);
    made.map_err(|error| error.context(&context))
}

fn render(
    entry: &HelmChart,
    globals: Option<&HelmGlobals>,
    session: &Session<'_>,
    directory: &Directory,
) -> Outcome<Vec<Resource>> {
    let home = match globals.map_or("", |globals| globals.chart_home.as_str()) {
        "" => "charts",
        home => home,
    };
    let home = home.trim_end_matches('/');
    // Where Kustomize's `helm pull` stores a chart with a repository and a version.
    let pulled = format!("{home}/{}-{}/{}", entry.name, entry.version, entry.name);
    let plain = format!("{home}/{}", entry.name);
    let is_pulled = !entry.repo.is_empty() && !entry.version.is_empty();
    let reference = match is_pulled && session.has(directory, &pulled) {
        true => pulled,
        false => plain,
    };
    if !session.has(directory, &reference) {
        return Err(refused(format!(
            "there is no chart in {reference:?}, and nothing is downloaded while rendering: put it there \
             with `helm pull --untar --untardir {home}`, and commit it"
        )));
    }
    let chart = session.chart(directory, &reference)?;
    let values = values_of(entry, &chart.values, session, directory)?;
    let mut capabilities = Capabilities::default();
    if !entry.kube_version.is_empty() {
        let version = KubeVersion::parse(&entry.kube_version)
            .map_err(|error| Failure::render(error.to_string()))?;
        capabilities = capabilities.with_kube_version(version);
    }
    let release = Release {
        name: entry.release_name.clone(),
        namespace: match entry.namespace.as_str() {
            "" => "default".to_owned(),
            namespace => namespace.to_owned(),
        },
        revision: 1,
        is_upgrade: false,
        capabilities: capabilities.and_api_versions(entry.api_versions.iter().cloned()),
        skip_schema: false,
        template: Options::default(),
    };
    let print = Print {
        include_crds: entry.include_crds,
        no_hooks: entry.skip_hooks,
        skip_tests: entry.skip_tests,
        show_only: Vec::new(),
    };
    let place = session.place(directory, &reference);
    let text = release::render(chart, &values, &release)
        .and_then(|made| made.print(&print))
        .map_err(|error| {
            let teller = ChartErrors {
                path: &place,
                is_sealed: session.has_read_secrets(),
            };
            Failure::render(teller.words(&error.to_string()))
        })?;
    session.budget.work(text.len())?;
    let text =
        String::from_utf8(text).map_err(|_| Failure::render("the chart's output is not text"))?;
    load::resources_of_text(session, &place, &text)
}

/// The values of files and those of the entry itself, merged as the entry says.
fn values_of(
    entry: &HelmChart,
    own: &Map,
    session: &Session<'_>,
    directory: &Directory,
) -> Outcome<Map> {
    let read = |file: &str| {
        let loaded = session.load(directory, file)?;
        values::load(loaded.content).map_err(|error| {
            let why = match session.has_read_secrets() {
                true => "it is not a YAML mapping".to_owned(),
                false => error.to_string(),
            };
            Failure::render(format!("values file {file:?}: {why}"))
        })
    };
    let file = match entry.values_file.as_str() {
        // The chart's own values matter here only if they override the entry's: otherwise they are
        // the base anyway.
        "" if entry.values_merge == "merge" => own.deep_copy(),
        "" => Map::new(),
        file => read(file)?,
    };
    let inline = serde_json::Value::Object(entry.values_inline.clone());
    let inline = match Value::from_json(&inline) {
        Value::Map(map) => map,
        _ => Map::new(),
    };
    let mut all = match entry.values_merge.as_str() {
        "" | "override" => over(&file, &inline),
        "merge" => over(&inline, &file),
        "replace" if !inline.is_empty() => inline,
        "replace" => file,
        other => {
            return Err(Failure::render(format!(
                "valuesMerge: {other:?} is not override, merge or replace"
            )));
        }
    };
    for file in &entry.additional_values_files {
        all = values::merge(&all, &read(file)?);
    }
    Ok(all)
}

/// The second over the first; a null removes the value, as in Kustomize's merge.
fn over(first: &Map, second: &Map) -> Map {
    let out: Map = first.entries().into_iter().collect();
    for (key, value) in second.entries() {
        match (out.get(&key), value) {
            (_, Value::Nil) => {
                out.remove(&key);
            }
            (Some(Value::Map(below)), Value::Map(above)) => {
                out.insert(key, over(&below, &above));
            }
            (_, value) => {
                out.insert(key, value);
            }
        }
    }
    out
}

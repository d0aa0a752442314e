//! A chart with values becomes the manifests of a release, as `helm template` prints them.

mod manifest;
mod print;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crate::capabilities::Capabilities;
use crate::chart::{Chart, File, Files, process_dependencies};
use crate::functions;
use crate::functions::semver::compatible;
use crate::schema;
use crate::template::{Engine, Error, Templates, Warning};
use crate::value::{Map, MapKind, Str, Value};
use crate::values::{self, Mode};

pub use manifest::{Hook, Manifest};
pub use print::Print;

/// Properties of a release besides its chart and values.
#[derive(Clone, Debug)]
pub struct Release {
    /// `.Release.Name`
    pub name: String,
    /// `.Release.Namespace`
    pub namespace: String,
    /// `.Release.Revision`
    pub revision: i64,
    /// `.Release.IsUpgrade`; `.Release.IsInstall` is the opposite.
    pub is_upgrade: bool,
    /// `.Capabilities`
    pub capabilities: Capabilities,
    /// Leaves schemas aside.
    pub skip_schema: bool,
    /// Options of the template engine.
    pub template: crate::template::Options,
}

/// Result of rendering a chart.
#[derive(Clone, Debug)]
pub struct Rendered {
    /// Files of `crds/`, as they are, of the chart and its enabled subcharts.
    pub crds: Vec<File>,
    /// Everything else but hooks, in Helm's order of installation.
    pub manifests: Vec<Manifest>,
    /// Hooks, in Helm's order of installation.
    pub hooks: Vec<Hook>,
    /// The chart's `NOTES.txt`.
    pub notes: Str,
    /// Warnings about behaviour that the chart's author may not expect.
    pub warnings: Vec<Warning>,
}

fn failed(message: impl std::fmt::Display) -> Error {
    Error {
        message: message.to_string(),
    }
}

/// Renders a chart with the values that were given for it.
///
/// # Errors
///
/// In Helm's words: missing dependencies, values that no schema takes, templates that fail, documents that
/// are no YAML.
pub fn render(mut chart: Chart, values: &Map, release: &Release) -> Result<Rendered, Error> {
    if chart.is_library() {
        return Err(failed("library charts are not installable"));
    }
    chart.check_dependencies().map_err(failed)?;
    process_dependencies(&mut chart, values)
        .map_err(|error| failed(format!("chart dependencies processing failed: {error}")))?;
    let values = values::coalesce(&chart, values, Mode::Coalesce).map_err(failed)?;
    if !release.skip_schema {
        let cache = release.template.parsed.as_ref();
        schema::validate(&chart, &values, cache).map_err(failed)?;
    }
    let kube_version = release.capabilities.kube_version();
    let required = &chart.metadata.kube_version;
    if !required.is_empty() {
        release.capabilities.note_version();
    }
    if !required.is_empty() && !compatible(required, kube_version.normalized()) {
        return Err(failed(format!(
            "chart requires kubeVersion: {required} which is incompatible with Kubernetes {}",
            kube_version.version()
        )));
    }
    let (mut files, warnings) = execute(&chart, &values, release)?;
    let notes = files
        .remove(&format!("{}/templates/NOTES.txt", chart.name()))
        .unwrap_or_default();
    files.retain(|name, _| !name.ends_with("NOTES.txt"));
    let (manifests, hooks) = manifest::sort(&files)?;
    let mut crds = Vec::new();
    chart.crds(chart.name(), &mut crds);
    Ok(Rendered {
        crds,
        manifests,
        hooks,
        notes,
        warnings,
    })
}

/// A template with the dot of its chart.
struct Renderable {
    text: String,
    dot: Map,
    base_path: String,
}

/// Executes all templates: the deepest first, so that what they `set` is seen above; and of two definitions
/// of one name, the shallowest wins.
fn execute(
    chart: &Chart,
    values: &Map,
    release: &Release,
) -> Result<(BTreeMap<String, Str>, Vec<Warning>), Error> {
    let own: BTreeMap<Str, Value> = values.entries().into_iter().collect();
    let top = RootContext {
        values: Map::of(MapKind::Values, own),
        release: release_value(release),
        capabilities: Value::host(release.capabilities.clone()),
    };
    let mut renderables = BTreeMap::new();
    gather(chart, &top, None, chart.name(), &mut renderables);
    let mut order: Vec<(&String, &Renderable)> = renderables.iter().collect();
    order.sort_by_key(|(name, _)| std::cmp::Reverse((name.matches('/').count(), *name)));
    let mut templates = Templates::new(functions::all());
    for (name, renderable) in &order {
        match &release.template.parsed {
            Some(cache) => templates.add(&cache.parse(functions::all(), name, &renderable.text)?),
            None => templates.parse(name, &renderable.text)?,
        }
    }
    let mut engine = Engine::new(&templates, &release.template);
    let mut files = BTreeMap::new();
    for (name, renderable) in order {
        let base = name.rsplit('/').next().unwrap_or(name);
        if base.starts_with('_') {
            continue;
        }
        let template: BTreeMap<Str, Value> = [
            (Str::from("Name"), name.as_str().into()),
            (Str::from("BasePath"), renderable.base_path.as_str().into()),
        ]
        .into();
        renderable
            .dot
            .insert("Template", Map::of(MapKind::Values, template));
        let text = engine.execute(name, &Value::Map(renderable.dot.clone()))?;
        files.insert(name.clone(), text);
    }
    Ok((files, engine.warnings().to_vec()))
}

/// Values that are the same for all charts of a release, and the values of the top chart.
struct RootContext {
    values: Map,
    release: Value,
    capabilities: Value,
}

/// Collects the templates of a chart and of its subcharts; returns the chart's dot.
fn gather(
    chart: &Chart,
    top: &RootContext,
    parent: Option<&Map>,
    path: &str,
    into: &mut BTreeMap<String, Renderable>,
) -> Map {
    // A subchart's values are the same map as the section of the parent's values, so that each sees what the other one
    // sets. Helm looks the name up as a path.
    let values = match parent {
        None => Some(top.values.clone()),
        Some(dot) => values::path::table(dot, &format!("Values.{}", chart.name())),
    };
    let values = values.unwrap_or_else(|| Map::of(MapKind::Values, BTreeMap::new()));
    let subcharts = Map::new();
    let dot = Map::of(
        MapKind::Values,
        [
            ("Chart", chart.as_value(parent)),
            ("Files", Value::host(Files::new(&chart.files))),
            ("Release", top.release.clone()),
            ("Capabilities", top.capabilities.clone()),
            ("Values", values.into()),
            ("Subcharts", subcharts.clone().into()),
        ]
        .into_iter()
        .map(|(key, value)| (Str::from(key), value))
        .collect(),
    );
    for child in &chart.dependencies {
        let path = format!("{path}/charts/{}", child.name());
        let below = gather(child, top, Some(&dot), &path, into);
        subcharts.insert(child.name(), below);
    }
    for template in &chart.templates {
        let base = template.name.rsplit('/').next().unwrap_or_default();
        if chart.is_library() && !base.starts_with('_') {
            continue;
        }
        into.insert(
            format!("{path}/{}", template.name),
            Renderable {
                text: String::from_utf8_lossy(&template.data).into_owned(),
                dot: dot.clone(),
                base_path: format!("{path}/templates"),
            },
        );
    }
    dot
}

fn release_value(release: &Release) -> Value {
    let fields = [
        ("Name", release.name.as_str().into()),
        ("Namespace", release.namespace.as_str().into()),
        ("IsUpgrade", release.is_upgrade.into()),
        ("IsInstall", (!release.is_upgrade).into()),
        ("Revision", Value::int(release.revision)),
        ("Service", "Helm".into()),
    ];
    Value::Map(
        fields
            .into_iter()
            .map(|(key, value)| (Str::from(key), value))
            .collect(),
    )
}

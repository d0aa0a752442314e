//! Which subcharts are used, under which names, and which values their parent imports from them.

use super::{Chart, Dependency};
use crate::functions::semver::compatible;
use crate::value::{Map, MapKind, Str, Value};
use crate::values::{self, Mode, ValuesError, path};

/// Keeps the subcharts that the values enable, under their aliases, and imports the values that they export.
pub(crate) fn process(chart: &mut Chart, values: &Map) -> Result<(), ValuesError> {
    enable(chart, values, "")?;
    import_all(chart)
}

fn by_conditions(dependencies: &mut [Dependency], values: &Map, prefix: &str) {
    for dependency in dependencies {
        for condition in dependency.condition.trim().split(',') {
            if condition.is_empty() {
                continue;
            }
            let found = path::value(values, &format!("{prefix}{condition}"));
            if let Some(Value::Bool(enabled)) = found {
                dependency.enabled = enabled;
                break;
            }
        }
    }
}

fn by_tags(dependencies: &mut [Dependency], values: &Map) {
    let Some(tags) = path::table(values, "tags") else {
        return;
    };
    for dependency in dependencies {
        let mut seen = dependency
            .tags
            .iter()
            .filter_map(|tag| match tags.get(tag) {
                Some(Value::Bool(value)) => Some(value),
                _ => None,
            });
        // One true value enables it; false values count only if none is true.
        let first = seen.next();
        let on = first == Some(true) || seen.any(|value| value);
        dependency.enabled = on || first.is_none();
    }
}

/// Returns the chart that a dependency names, under its alias.
fn requested(charts: &[Chart], dependency: &Dependency) -> Option<Chart> {
    let found = charts.iter().find(|chart| {
        chart.name() == dependency.name && compatible(&dependency.version, &chart.metadata.version)
    })?;
    let mut chart = found.clone();
    if !dependency.alias.is_empty() {
        chart.metadata.name.clone_from(&dependency.alias);
    }
    Some(chart)
}

fn enable(chart: &mut Chart, values: &Map, prefix: &str) -> Result<(), ValuesError> {
    if chart.metadata.dependencies.is_empty() {
        return Ok(());
    }
    let present = std::mem::take(&mut chart.dependencies);
    // Helm also uses subcharts that the chart does not declare.
    let undeclared = present.iter().filter(|existing| {
        !chart.metadata.dependencies.iter().any(|dependency| {
            existing.name() == dependency.name
                && compatible(&dependency.version, &existing.metadata.version)
        })
    });
    let mut used: Vec<Chart> = undeclared.cloned().collect();
    for dependency in &mut chart.metadata.dependencies {
        used.extend(requested(&present, dependency));
        if !dependency.alias.is_empty() {
            dependency.name.clone_from(&dependency.alias);
        }
        dependency.enabled = true;
    }
    chart.dependencies = used;
    let coalesced = values::coalesce(chart, values, Mode::Coalesce)?;
    by_tags(&mut chart.metadata.dependencies, &coalesced);
    by_conditions(&mut chart.metadata.dependencies, &coalesced, prefix);
    let declared = &mut chart.metadata.dependencies;
    let disabled: Vec<String> = declared
        .iter()
        .filter(|dependency| !dependency.enabled)
        .map(|dependency| dependency.name.clone())
        .collect();
    declared.retain(|dependency| !disabled.contains(&dependency.name));
    chart
        .dependencies
        .retain(|subchart| !disabled.contains(&subchart.metadata.name));
    for subchart in &mut chart.dependencies {
        let prefix = format!("{prefix}{}.", subchart.metadata.name);
        enable(subchart, &coalesced, &prefix)?;
    }
    Ok(())
}

fn import_all(chart: &mut Chart) -> Result<(), ValuesError> {
    for subchart in &mut chart.dependencies {
        import_all(subchart)?;
    }
    import(chart)
}

fn import(chart: &mut Chart) -> Result<(), ValuesError> {
    if chart.metadata.dependencies.is_empty() {
        return Ok(());
    }
    let merged = values::coalesce(chart, &Map::new(), Mode::Merge)?;
    let imported = Map::new();
    for dependency in &mut chart.metadata.dependencies {
        let mut recorded = Vec::new();
        for import in &dependency.import_values {
            let (child, parent) = match import {
                Value::Map(pair) => {
                    let text = |key: &str| match pair.get(key) {
                        Some(Value::Str(text)) => text.lossy().into_owned(),
                        Some(other) => format!("{other:?}"),
                        None => "<nil>".to_owned(),
                    };
                    (text("child"), text("parent"))
                }
                Value::Str(name) => (format!("exports.{name}"), ".".to_owned()),
                _ => continue,
            };
            recorded.push(Value::Map(Map::of(
                MapKind::Str,
                [
                    (Str::from("child"), child.as_str().into()),
                    (Str::from("parent"), parent.as_str().into()),
                ]
                .into(),
            )));
            // A missing table is skipped; Helm does so with a warning.
            let Some(table) = path::table(&merged, &format!("{}.{child}", dependency.name)) else {
                continue;
            };
            let placed = if parent == "." {
                table
            } else {
                parent.rsplit('.').fold(table, |inner, key| {
                    std::iter::once((Str::from(key), Value::Map(inner))).collect()
                })
            };
            values::merge_tables(&imported, &placed);
        }
        dependency.import_values = recorded;
    }
    // The parent's own values win over what it imports.
    let own = merged.deep_copy();
    values::merge_tables(&own, &imported);
    chart.values = own;
    Ok(())
}

//! How Helm applies values over defaults, through all subcharts.

use std::collections::BTreeSet;

use super::{Mode, ValuesError};
use crate::chart::Chart;
use crate::value::{Map, Value};

const GLOBAL: &str = "global";

/// Completes `values` with the defaults of a chart and of its subcharts.
pub(super) fn chart(chart: &Chart, values: &Map, mode: Mode) -> Result<(), ValuesError> {
    defaults(chart, values, mode);
    for subchart in &chart.dependencies {
        let section = match values.get(subchart.name()) {
            None => {
                let section = Map::new();
                values.insert(subchart.name(), section.clone());
                section
            }
            Some(Value::Map(section)) => section,
            Some(other) => {
                return Err(ValuesError::Section {
                    chart: subchart.name().to_owned(),
                    given: not_a_bool(&other),
                });
            }
        };
        globals(&section, values);
        self::chart(subchart, &section, mode)?;
    }
    Ok(())
}

/// Go's `%t` of a value that is not a bool, as in Helm's message.
fn not_a_bool(value: &Value) -> String {
    match value {
        Value::Nil => "%!t(<nil>)".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Str(text) => format!("%!t(string={text})"),
        Value::Float(number) => format!("%!t(float64={number})"),
        Value::Int(number, _) => format!("%!t(int64={number})"),
        Value::List(list) => {
            let items: Vec<_> = list.items().iter().map(not_a_bool).collect();
            format!("[{}]", items.join(" "))
        }
        _ => "%!t()".to_owned(),
    }
}

/// Passes a parent's globals to a subchart; the parent's values win.
fn globals(section: &Map, parent: &Map) {
    let below = match section.get(GLOBAL) {
        None => Map::new(),
        Some(Value::Map(map)) => map,
        Some(_) => return,
    };
    let above = match parent.get(GLOBAL) {
        None => Map::new(),
        Some(Value::Map(map)) => map,
        Some(_) => return,
    };
    for (key, value) in above.entries() {
        match (value, below.get(&key)) {
            (Value::Map(table), None) => below.insert(key, copy(&table)),
            (Value::Map(table), Some(Value::Map(own))) => {
                let merged = copy(&table);
                tables(&merged, &own, Mode::Merge);
                below.insert(key, merged);
            }
            (Value::Map(_), Some(_)) | (_, Some(Value::Map(_))) => {}
            (value, _) => below.insert(key, value),
        }
    }
    section.insert(GLOBAL, below);
}

/// A map of its own with the same contents.
fn copy(map: &Map) -> Map {
    map.entries().into_iter().collect()
}

/// Completes `values` with the chart's own defaults.
fn defaults(chart: &Chart, values: &Map, mode: Mode) {
    for (key, default) in chart.values.deep_copy().entries() {
        match values.get(&key) {
            None => values.insert(key, default),
            Some(Value::Nil) if mode == Mode::Coalesce => {
                values.remove(&key);
            }
            Some(Value::Map(own)) => {
                if let Value::Map(default) = default {
                    // Keeps `null`s in a subchart's section, since coalescing the subchart still needs them.
                    let subchart = chart
                        .dependencies
                        .iter()
                        .any(|subchart| key == subchart.name());
                    tables(&own, &default, if subchart { Mode::Merge } else { mode });
                }
            }
            Some(_) => {}
        }
    }
}

/// Adds the entries to `own` that only `default` has. Both may be changed.
pub(super) fn tables(own: &Map, default: &Map, mode: Mode) {
    let set: BTreeSet<_> = default
        .entries()
        .into_iter()
        .filter(|(_, value)| !value.is_nil())
        .map(|(key, _)| key)
        .collect();
    for (key, value) in own.entries() {
        if value.is_nil() {
            default.insert(key, Value::Nil);
        }
    }
    for (key, value) in default.entries() {
        match own.get(&key) {
            Some(Value::Nil) if mode == Mode::Coalesce && set.contains(&key) => {
                own.remove(&key);
            }
            None => own.insert(key, value),
            Some(Value::Map(inner)) => {
                if let Value::Map(value) = value {
                    tables(&inner, &value, mode);
                }
            }
            Some(_) => {}
        }
    }
}

//! Differences of the objects of two renders. Values of Secrets are never shown.

use std::collections::BTreeMap;

use flotilla_render::Manifest;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use similar::{Algorithm, TextDiff};

/// Longest difference of one object that is shown, lines.
const MAX_LINES: usize = 400;

/// What a change does to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Action {
    /// It comes.
    Create,
    /// It is otherwise.
    Update,
    /// It goes.
    Delete,
}

impl Action {
    /// The word.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }
}

impl std::fmt::Display for Action {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// One object that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ObjectDifference")]
pub(crate) struct ObjectChange {
    /// `Deployment.apps web/frontend`.
    pub(crate) object: String,
    /// create, update or delete.
    #[schemars(with = "String")]
    pub(crate) action: Action,
    /// Lines that differ, with some around them; folded for what is long and hardly read.
    pub(crate) lines: Vec<String>,
}

/// Returns the differences, in the order of names.
pub(super) fn changes(was: &[Manifest], is: &[Manifest]) -> Vec<ObjectChange> {
    let by_name = |all: &[Manifest]| -> BTreeMap<String, Value> {
        let named = all
            .iter()
            .map(|manifest| (name(&manifest.value), manifest.value.clone()));
        named.collect()
    };
    let (was, is) = (by_name(was), by_name(is));
    let mut all = Vec::new();
    for (object, value) in &is {
        match was.get(object) {
            None => all.push(change(object, Action::Create, None, Some(value))),
            Some(old) if old != value => {
                all.push(change(object, Action::Update, Some(old), Some(value)));
            }
            Some(_) => {}
        }
    }
    for (object, value) in &was {
        if !is.contains_key(object) {
            all.push(change(object, Action::Delete, Some(value), None));
        }
    }
    all.sort_by(|left, other| left.object.cmp(&other.object));
    all
}

fn text<'v>(value: &'v Value, place: &str) -> &'v str {
    value
        .pointer(place)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

fn name(value: &Value) -> String {
    let group = text(value, "/apiVersion");
    let group = group.split_once('/').map_or("", |(group, _)| group);
    let dot = if group.is_empty() { "" } else { "." };
    let namespace = text(value, "/metadata/namespace");
    let slash = if namespace.is_empty() { "" } else { "/" };
    let (kind, name) = (text(value, "/kind"), text(value, "/metadata/name"));
    format!("{kind}{dot}{group} {namespace}{slash}{name}")
}

fn change(object: &str, action: Action, old: Option<&Value>, new: Option<&Value>) -> ObjectChange {
    let lines = if object.starts_with("CustomResourceDefinition.") {
        folded(old, new)
    } else {
        let (old_shown, new_shown) = if object.starts_with("Secret ") {
            masked(old, new)
        } else {
            (old.cloned(), new.cloned())
        };
        lines(old_shown.as_ref(), new_shown.as_ref())
    };
    ObjectChange {
        object: object.to_owned(),
        action,
        lines,
    }
}

/// Schemas of a CustomResourceDefinition are too long for a comment, so they are folded.
fn folded(old: Option<&Value>, new: Option<&Value>) -> Vec<String> {
    let versions = |value: Option<&Value>| -> Vec<String> {
        let all = value.and_then(|value| value.pointer("/spec/versions"));
        let all = all.and_then(Value::as_array).into_iter().flatten();
        all.map(|item| text(item, "/name").to_owned()).collect()
    };
    let (was, is) = (versions(old), versions(new));
    let mut lines = vec!["  (folded: a definition of a kind)".to_owned()];
    if was != is {
        lines.push(format!("- versions: {}", was.join(", ")));
        lines.push(format!("+ versions: {}", is.join(", ")));
    }
    lines
}

/// Tells which keys differ, without the values.
fn masked(old: Option<&Value>, new: Option<&Value>) -> (Option<Value>, Option<Value>) {
    let (mut was, mut is) = (old.cloned(), new.cloned());
    for field in ["data", "stringData"] {
        let place = format!("/{field}");
        let of = |value: Option<&Value>| {
            value
                .and_then(|value| value.pointer(&place))
                .and_then(Value::as_object)
                .cloned()
                .unwrap_or_default()
        };
        let (old, new) = (of(old), of(new));
        let mask =
            |value: &mut Option<Value>, other: &serde_json::Map<String, Value>, word: &str| {
                let data = value.as_mut().and_then(|value| value.pointer_mut(&place));
                match data {
                    Some(Value::Object(data)) => {
                        for (key, value) in data {
                            let same = other.get(key) == Some(value);
                            let word = if same { "(masked)" } else { word };
                            *value = Value::String(word.to_owned());
                        }
                    }
                    Some(other) => *other = Value::String("(masked)".to_owned()),
                    None => {}
                }
            };
        mask(&mut was, &new, "(masked, before)");
        mask(&mut is, &old, "(masked, after)");
    }
    // kubectl stores the whole object, with its secrets, in this annotation.
    for value in [&mut was, &mut is] {
        let place = "/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration";
        if let Some(copy) = value.as_mut().and_then(|value| value.pointer_mut(place)) {
            *copy = Value::String("(masked)".to_owned());
        }
    }
    (was, is)
}

fn lines(old: Option<&Value>, new: Option<&Value>) -> Vec<String> {
    let text = |value: Option<&Value>| value.map(flotilla_yaml::to_string).unwrap_or_default();
    let (old, new) = (text(old), text(new));
    let diff = TextDiff::configure()
        .algorithm(Algorithm::Myers)
        .timeout(std::time::Duration::from_millis(200))
        .diff_lines(&old, &new);
    let mut out = Vec::new();
    for (index, group) in diff.grouped_ops(2).iter().enumerate() {
        if index > 0 {
            out.push("  ...".to_owned());
        }
        for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
            let line = change.value().trim_end_matches('\n');
            out.push(format!("{} {line}", change.tag()));
        }
    }
    if out.len() > MAX_LINES {
        let more = out.len() - MAX_LINES;
        out.truncate(MAX_LINES);
        let more = flotilla_shared::words::counted(more, "line");
        out.push(format!("  ({more} more)"));
    }
    out
}

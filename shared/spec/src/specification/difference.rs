//! Differences of two specifications, and their effect on a cluster. Pure.

use std::collections::{BTreeMap, BTreeSet};

use flotilla_shared::id::{ApplicationName, ClusterName, EnvironmentName};

use super::{DeclaredApplication, Labels, Specification};
use crate::removal::Objects;

/// Highest number of lines that describe a difference; the rest is counted.
const MAX_LINES: usize = 20;
/// Characters of a value that a line shows at most.
const MAX_VALUE: usize = 80;

/// Effect on a cluster of a specification that replaces another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ClusterImpact {
    /// The cluster loses an application.
    Loses,
    /// The cluster gains an application.
    Gains,
    /// An application is rendered or applied differently.
    Changes,
    /// An application is removed on purpose, with or without its objects.
    Removes,
}

/// The difference of two specifications.
#[derive(Debug, Clone)]
pub struct Difference<'s> {
    before: &'s Specification,
    after: &'s Specification,
    /// Applications that are declared differently.
    applications: BTreeMap<&'s ApplicationName, DefinitionChange>,
    /// Applications whose removal differs.
    removed: BTreeSet<&'s ApplicationName>,
}

/// How the declaration of an application differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct DefinitionChange {
    /// It differs in more than its placement.
    definition: bool,
    /// It differs in more than its placement and directory.
    options: bool,
}

impl<'s> Difference<'s> {
    /// Compares `after` with `before`; what only one of them declares differs, too.
    #[must_use]
    pub fn between(before: &'s Specification, after: &'s Specification) -> Self {
        let names = before.applications.keys().chain(after.applications.keys());
        let names: BTreeSet<&ApplicationName> = names.collect();
        let applications = names.into_iter().filter_map(|name| {
            let pair = (before.applications.get(name), after.applications.get(name));
            if pair.0 == pair.1 {
                return None;
            }
            let otherwise = match pair {
                (Some(before), Some(other)) => otherwise(before, other),
                // A removed application has no definition.
                (_, other) => DefinitionChange {
                    definition: other.is_some(),
                    options: other.is_some(),
                },
            };
            Some((name, otherwise))
        });
        Self {
            before,
            after,
            applications: applications.collect(),
            removed: after
                .removed
                .iter()
                .filter(|(name, removed)| before.removed.get(*name) != Some(*removed))
                .map(|(name, _)| name)
                .collect(),
        }
    }

    /// Returns whether an application is new, or its definition differs, wherever it is placed.
    #[must_use]
    pub fn defines_anew(&self) -> bool {
        self.before.branch != self.after.branch
            || self.applications.values().any(|change| change.definition)
    }

    /// Returns the applications that have to be proven: those that are declared differently and still exist.
    pub fn to_prove(&self) -> impl Iterator<Item = &'s ApplicationName> {
        let after = self.after;
        let all = self.applications.keys().copied();
        all.filter(move |name| after.applications.contains_key(*name))
    }

    /// Returns the applications that are removed in places where they were not removed before.
    pub fn to_remove(&self) -> impl Iterator<Item = &'s ApplicationName> {
        self.removed.iter().copied()
    }

    /// Returns whether an application has the same definition in both, wherever it is placed.
    #[must_use]
    pub fn same_definition(&self, name: &ApplicationName) -> bool {
        match self.applications.get(name) {
            Some(otherwise) => !otherwise.definition,
            None => self.after.applications.contains_key(name),
        }
    }

    /// Returns the effect on one cluster by application, with its labels before and after.
    #[must_use]
    pub fn touches(
        &self,
        (cluster, environment): (&ClusterName, &EnvironmentName),
        (old, new): (&Labels, &Labels),
    ) -> BTreeMap<&'s ApplicationName, ClusterImpact> {
        let mut touches = BTreeMap::new();
        let moved = self.before.branch != self.after.branch;
        let whole = moved || old != new;
        let all = self
            .before
            .applications
            .keys()
            .chain(self.after.applications.keys());
        let some = self.applications.keys().copied();
        let names: Box<dyn Iterator<Item = &'s ApplicationName> + '_> =
            if whole { Box::new(all) } else { Box::new(some) };
        for name in names {
            let at = (cluster, environment);
            let touch = match (
                self.before.place(name, at, old),
                self.after.place(name, at, new),
            ) {
                (None, None) => continue,
                (Some(_), None) => ClusterImpact::Loses,
                (None, Some(_)) => ClusterImpact::Gains,
                (Some(before), Some(after)) => {
                    let options = self
                        .applications
                        .get(name)
                        .is_some_and(|change| change.options);
                    let substitutes = || {
                        let after = self.after.applications.get(name);
                        after.is_some_and(|declared| declared.application.substitute)
                    };
                    if before == after && !options && !moved && (old == new || !substitutes()) {
                        continue;
                    }
                    ClusterImpact::Changes
                }
            };
            touches.insert(name, touch);
        }
        for name in &self.removed {
            let at = (cluster, environment);
            let after = self.after.removes(name, at, new);
            if after.is_some() && after != self.before.removes(name, at, old) {
                touches.insert(*name, ClusterImpact::Removes);
            }
        }
        touches
    }

    /// Describes it in a limited number of lines: application, field, before and after.
    #[must_use]
    pub fn describe(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if self.before.branch != self.after.branch {
            let (before, after) = (&self.before.branch, &self.after.branch);
            lines.push(format!("branch: {before} → {after}"));
        }
        for name in self.applications.keys().copied() {
            let before = self.before.applications.get(name);
            let after = self.after.applications.get(name);
            match (before, after) {
                (None, Some(new)) => lines.push(format!(
                    "{name}: new, {} of {}",
                    shown(&serde_json::json!(new.application.path)),
                    new.application.repository
                )),
                (Some(_), None) if self.removed.contains(name) => {}
                (Some(_), None) => {
                    lines.push(format!("{name}: no longer declared, its objects stay"));
                }
                (Some(before), Some(after)) => {
                    let value = |declared: &DeclaredApplication| {
                        let mut value =
                            serde_json::to_value(&declared.application).unwrap_or_default();
                        if let Some(map) = value.as_object_mut() {
                            map.insert("url".to_owned(), serde_json::json!(declared.url));
                        }
                        value
                    };
                    fields(
                        &format!("{name} "),
                        &value(before),
                        &value(after),
                        &mut lines,
                    );
                }
                (None, None) => {}
            }
        }
        for name in &self.removed {
            for removed in self.after.removed.get(*name).into_iter().flatten() {
                let clusters: Vec<&str> =
                    removed.clusters.iter().map(ClusterName::as_str).collect();
                let place = match clusters.as_slice() {
                    [] => String::new(),
                    all => format!(" from {}", all.join(", ")),
                };
                let objects = match removed.objects {
                    Objects::Delete => "with its objects",
                    Objects::Keep => "and its objects stay",
                };
                lines.push(shown(&format!("{name}: removed{place}, {objects}").into()));
            }
        }
        for (cluster, after) in &self.after.labels {
            if let Some(before) = self.before.labels.get(cluster)
                && before != after
            {
                let value = |labels: &Labels| serde_json::json!({ "labels": labels });
                let place = format!("cluster {cluster} ");
                fields(&place, &value(before), &value(after), &mut lines);
            }
        }
        if lines.len() > MAX_LINES {
            let more = lines.len() - MAX_LINES;
            lines.truncate(MAX_LINES);
            lines.push(format!("and {more} more"));
        }
        lines
    }
}

fn otherwise(before: &DeclaredApplication, other: &DeclaredApplication) -> DefinitionChange {
    let mut like = other.clone();
    like.application.placement = before.application.placement.clone();
    let definition = *before != like;
    like.application.path = before.application.path.clone();
    DefinitionChange {
        definition,
        options: *before != like,
    }
}

/// Collects every field that differs, by its path.
fn fields(
    place: &str,
    before: &serde_json::Value,
    after: &serde_json::Value,
    lines: &mut Vec<String>,
) {
    use serde_json::Value;
    if before == after {
        return;
    }
    if let (Value::Object(old), Value::Object(new)) = (before, after) {
        let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        for key in keys {
            let dot = if place.ends_with(' ') { "" } else { "." };
            let value = |map: &serde_json::Map<String, Value>| map.get(key).cloned();
            let (old, new) = (
                value(old).unwrap_or_default(),
                value(new).unwrap_or_default(),
            );
            fields(&format!("{place}{dot}{key}"), &old, &new, lines);
        }
        return;
    }
    // Inline values of a chart are stored as JSON text.
    let object = |value: &Value| {
        let text = value.as_str().filter(|text| text.starts_with('{'))?;
        serde_json::from_str::<Value>(text).ok()
    };
    let (old, new) = (object(before), object(after));
    if old.is_some() || new.is_some() {
        let empty = || serde_json::json!({});
        let (old, new) = (old.unwrap_or_else(empty), new.unwrap_or_else(empty));
        return fields(place, &old, &new, lines);
    }
    lines.push(format!("{place}: {} → {}", shown(before), shown(after)));
}

fn shown(value: &serde_json::Value) -> String {
    let text = match value {
        serde_json::Value::String(text) if !text.is_empty() => text.clone(),
        serde_json::Value::Null => "nothing".to_owned(),
        value => value.to_string(),
    };
    if text.chars().count() <= MAX_VALUE {
        return text;
    }
    let cut: String = text.chars().take(MAX_VALUE).collect();
    format!("{cut}…")
}

//! Facts of the cluster in manifests: `${cluster.name}`, `${cluster.environment}`,
//! `${cluster.labels.NAME}`, each with `:-` and a default for a fact that is not there.
//!
//! Only references that start with `cluster.` are substituted: scripts with `${HOME}` stay unchanged.
//! `$${cluster.name}` becomes `${cluster.name}`. Facts are inserted into the text of rendered values,
//! never into YAML before it is parsed, so that a label cannot change an object's shape. An object with
//! the annotation `flotilla.dev/substitute: disabled` is left alone.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::{Limits, Manifest, RenderError};

/// The annotation that leaves an object alone.
const OPT_OUT: &str = "/metadata/annotations/flotilla.dev~1substitute";
const OPEN: &str = "${cluster.";

/// Facts of a cluster for substitution.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Facts {
    values: BTreeMap<String, String>,
    #[serde(skip)]
    missing: MissingFact,
}

/// A fact cannot be put into a text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum FactError {
    #[error(
        "{open} is not closed; write $${{ for a literal dollar and brace",
        open = OPEN
    )]
    NotClosed,
    /// Cut: it may be the rest of the file.
    #[error("{0:?} is not the name of a fact")]
    NoName(String),
    #[error(
        "this cluster has no fact cluster.{name}; it has {}. Give it a label, or a default with \
         ${{cluster.{name}:-...}}",
        .known.join(", ")
    )]
    Unknown {
        name: String,
        /// The facts that exist, as references name them.
        known: Vec<String>,
    },
    #[error("the substituted facts make the texts too long")]
    TooLong,
}

/// How a missing fact without a default is handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MissingFact {
    /// The render is refused.
    #[default]
    Refuse,
    /// The reference stays as it is written.
    Keep,
}

impl Facts {
    /// Facts of a cluster by name, environment and labels.
    #[must_use]
    pub fn of_cluster(name: &str, environment: &str, labels: &BTreeMap<String, String>) -> Self {
        let mut values: BTreeMap<String, String> = labels
            .iter()
            .map(|(key, value)| (format!("labels.{key}"), value.clone()))
            .collect();
        values.insert("name".to_owned(), name.to_owned());
        values.insert("environment".to_owned(), environment.to_owned());
        Self {
            values,
            missing: MissingFact::Refuse,
        }
    }

    /// The same facts, with a rule for references to missing ones.
    #[must_use]
    pub fn with_missing(mut self, missing: MissingFact) -> Self {
        self.missing = missing;
        self
    }

    /// All facts as text, to notice when one changes.
    pub fn parts(&self) -> impl Iterator<Item = &str> {
        self.values
            .iter()
            .flat_map(|(key, value)| [key.as_str(), value.as_str()])
    }
}

/// Inserts facts into all texts of all manifests.
///
/// # Errors
/// When a fact is missing or malformed, two objects become one, or the texts grow without measure.
pub(crate) fn apply(
    manifests: Vec<Manifest>,
    facts: &Facts,
    limits: &Limits,
) -> Result<Vec<Manifest>, RenderError> {
    let mut left = limits.work_bytes;
    let mut seen = BTreeSet::new();
    manifests
        .into_iter()
        .map(|manifest| {
            let Manifest { mut value, origin } = manifest;
            let disabled = value.pointer(OPT_OUT).and_then(Value::as_str) == Some("disabled");
            if !disabled {
                let mut path = String::new();
                walk(&mut value, facts, &mut path, &mut left).map_err(|error| {
                    RenderError::Substitution {
                        place: origin.to_string(),
                        path: path.clone(),
                        message: error.to_string(),
                    }
                })?;
            }
            let manifest = Manifest::built(value, origin)?;
            if !seen.insert(manifest.object()) {
                return Err(RenderError::DuplicateObject {
                    object: manifest.object().to_string(),
                    first: "another object with other facts".to_owned(),
                    second: manifest.origin.to_string(),
                });
            }
            Ok(manifest)
        })
        .collect()
}

fn walk(
    value: &mut Value,
    facts: &Facts,
    path: &mut String,
    left: &mut usize,
) -> Result<(), FactError> {
    match value {
        Value::String(text) if text.contains(OPEN) => {
            *text = substituted(text, facts)?;
            *left = left.checked_sub(text.len()).ok_or(FactError::TooLong)?;
            Ok(())
        }
        Value::Array(items) => items.iter_mut().enumerate().try_for_each(|(at, item)| {
            let parent = path.len();
            path.push_str(&format!("[{at}]"));
            walk(item, facts, path, left)?;
            path.truncate(parent);
            Ok(())
        }),
        Value::Object(map) => map.iter_mut().try_for_each(|(key, item)| {
            let parent = path.len();
            if parent > 0 {
                path.push('.');
            }
            path.push_str(key);
            walk(item, facts, path, left)?;
            path.truncate(parent);
            Ok(())
        }),
        _ => Ok(()),
    }
}

/// One text with its facts.
fn substituted(text: &str, facts: &Facts) -> Result<String, FactError> {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(OPEN) {
        let (before, reference) = rest.split_at(at);
        if let Some(before) = before.strip_suffix('$') {
            // `$${`: one dollar is removed, and the rest is text.
            result.push_str(before);
            result.push_str(OPEN);
            rest = reference.get(OPEN.len()..).unwrap_or_default();
            continue;
        }
        result.push_str(before);
        let inside = reference.get(OPEN.len()..).unwrap_or_default();
        let Some((inside, after)) = inside.split_once('}') else {
            return Err(FactError::NotClosed);
        };
        let (name, default) = match inside.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inside, None),
        };
        let fits = |c: char| c.is_ascii_alphanumeric() || "._/-".contains(c);
        if name.is_empty() || !name.chars().all(fits) {
            return Err(FactError::NoName(name.chars().take(80).collect()));
        }
        let known = facts.values.get(name).filter(|value| !value.is_empty());
        match (known, default, facts.missing) {
            (Some(value), _, _) => result.push_str(value),
            (None, Some(default), _) => result.push_str(default),
            (None, None, MissingFact::Keep) => {
                result.push_str(OPEN);
                result.push_str(inside);
                result.push('}');
            }
            (None, None, MissingFact::Refuse) => {
                let known = facts.values.keys();
                return Err(FactError::Unknown {
                    name: name.to_owned(),
                    known: known.map(|key| format!("cluster.{key}")).collect(),
                });
            }
        }
        rest = after;
    }
    result.push_str(rest);
    Ok(result)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::Origin;

    fn facts() -> Facts {
        let labels = [("region", "eu"), ("empty", ""), ("a.b/c", "x")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()));
        Facts::of_cluster("prod-eu-1", "prod", &labels.into())
    }

    #[test]
    fn facts_go_into_texts() {
        for (text, expected) in [
            ("${cluster.name}", "prod-eu-1"),
            ("a-${cluster.environment}-b", "a-prod-b"),
            ("${cluster.labels.region}${cluster.labels.a.b/c}", "eux"),
            ("${cluster.labels.zone:-z1}", "z1"),
            ("${cluster.labels.zone:-}", ""),
            ("${cluster.labels.empty:-none}", "none"),
            ("${cluster.labels.region:-us}", "eu"),
            ("$${cluster.name}", "${cluster.name}"),
            ("$$${cluster.name}", "$${cluster.name}"),
            ("${HOME} $(NAME) ${cluster}", "${HOME} $(NAME) ${cluster}"),
            ("ä${cluster.name}ö", "äprod-eu-1ö"),
        ] {
            assert_eq!(
                substituted(text, &facts()).as_deref(),
                Ok(expected),
                "{text}"
            );
        }
        // A substituted value is not substituted again.
        let labels = BTreeMap::from([("l".to_owned(), "${cluster.name}".to_owned())]);
        let facts = Facts::of_cluster("n", "e", &labels);
        assert_eq!(
            substituted("${cluster.labels.l}", &facts).as_deref(),
            Ok("${cluster.name}")
        );
    }

    #[test]
    fn missing_facts_are_refused_or_kept() {
        for text in [
            "${cluster.labels.zone}",
            "${cluster.nam}",
            "${cluster.name",
            "${cluster. }",
        ] {
            assert!(substituted(text, &facts()).is_err(), "{text}");
        }
        let lenient = facts().with_missing(MissingFact::Keep);
        assert_eq!(
            substituted("${cluster.labels.zone}!", &lenient).as_deref(),
            Ok("${cluster.labels.zone}!")
        );
    }

    fn manifest(value: Value) -> Manifest {
        Manifest {
            value,
            origin: Origin {
                file: "f.yaml".to_owned(),
                document: 0,
                line: 1,
            },
        }
    }

    #[test]
    fn objects_can_opt_out_and_must_stay_distinct() {
        let object = |name: &str, annotations: Value| {
            manifest(json!({"apiVersion": "v1", "kind": "ConfigMap",
                "metadata": {"name": name, "annotations": annotations},
                "data": {"${cluster.name}": ["${cluster.name}"]}}))
        };
        let disabled = json!({"flotilla.dev/substitute": "disabled"});
        let all = vec![object("${cluster.name}", json!({})), object("b", disabled)];
        let all = apply(all, &facts(), &Limits::default()).unwrap();
        assert_eq!(all[0].name(), "prod-eu-1");
        assert_eq!(
            all[0].value["data"],
            json!({"${cluster.name}": ["prod-eu-1"]})
        );
        assert_eq!(
            all[1].value["data"],
            json!({"${cluster.name}": ["${cluster.name}"]})
        );
        let twice = vec![
            object("${cluster.name}", json!({})),
            object("${cluster.labels.x:-prod-eu-1}", json!({})),
        ];
        assert!(apply(twice, &facts(), &Limits::default()).is_err());
        let text = apply(
            vec![manifest(
                json!({"kind": "X", "metadata": {"name": "x"}, "a": [{"b": "${cluster.x}"}]}),
            )],
            &facts(),
            &Limits::default(),
        )
        .unwrap_err()
        .to_string();
        assert!(
            text.starts_with("f.yaml:1: a[0].b: this cluster has no fact cluster.x"),
            "{text}"
        );
    }
}

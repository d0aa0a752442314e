//! Label and field selectors of lists and watches.

use serde_json::Value;

use crate::kinds::Kind;
use crate::status::{Failure, bad_request, unknown_field};

#[derive(Debug, Clone, PartialEq, Eq)]
enum Operator {
    In(Vec<String>),
    NotIn(Vec<String>),
    Exists,
    Missing,
}

/// A label selector (equality, sets, existence).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Labels(Vec<(String, Operator)>);

impl Labels {
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        let mut parts = Vec::new();
        for part in split(text) {
            parts.push(requirement(part.trim())?);
        }
        Ok(Self(parts))
    }

    /// A `metav1.LabelSelector`; an empty one matches all.
    pub(crate) fn of(selector: &Value) -> Self {
        let texts = |value: Option<&Value>| -> Vec<String> {
            let list = value.and_then(Value::as_array).into_iter().flatten();
            list.filter_map(Value::as_str).map(str::to_owned).collect()
        };
        let mut parts = Vec::new();
        let labels = selector.get("matchLabels").and_then(Value::as_object);
        for (key, value) in labels.into_iter().flatten() {
            let value = value.as_str().unwrap_or_default().to_owned();
            parts.push((key.clone(), Operator::In(vec![value])));
        }
        let list = selector.get("matchExpressions").and_then(Value::as_array);
        for expression in list.into_iter().flatten() {
            let text = |field: &str| expression.get(field).and_then(Value::as_str);
            let values = texts(expression.get("values"));
            let operator = match text("operator") {
                Some("In") => Operator::In(values),
                Some("NotIn") => Operator::NotIn(values),
                Some("Exists") => Operator::Exists,
                _ => Operator::Missing,
            };
            parts.push((text("key").unwrap_or_default().to_owned(), operator));
        }
        Self(parts)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn fits(&self, object: &Value) -> bool {
        let labels = object.pointer("/metadata/labels");
        self.0.iter().all(|(key, operator)| {
            let have = labels
                .and_then(|labels| labels.get(key))
                .and_then(Value::as_str);
            match operator {
                Operator::In(values) => {
                    have.is_some_and(|have| values.iter().any(|value| value == have))
                }
                Operator::NotIn(values) => {
                    !have.is_some_and(|have| values.iter().any(|value| value == have))
                }
                Operator::Exists => have.is_some(),
                Operator::Missing => have.is_none(),
            }
        })
    }
}

fn requirement(part: &str) -> Result<(String, Operator), Failure> {
    if let Some((head, rest)) = part.split_once('(') {
        let Some(values) = rest.strip_suffix(')') else {
            return Err(bad_request(
                "unable to parse requirement: found '', expected: ',', ')' or identifier",
            ));
        };
        let values = values.split(',').map(|v| v.trim().to_owned()).collect();
        let mut words = head.split_whitespace();
        let key = words.next().unwrap_or_default().to_owned();
        return match words.next() {
            Some("in") => Ok((key, Operator::In(values))),
            Some("notin") => Ok((key, Operator::NotIn(values))),
            other => Err(bad_request(format!(
                "unable to parse requirement: found '{}', expected: in, notin, =, ==, !=, gt, lt",
                other.unwrap_or_default()
            ))),
        };
    }
    let values = |value: &str| vec![value.trim().to_owned()];
    if let Some((key, value)) = part.split_once("!=") {
        return Ok((key.trim().to_owned(), Operator::NotIn(values(value))));
    }
    if let Some((key, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
        return Ok((key.trim().to_owned(), Operator::In(values(value))));
    }
    Ok(match part.strip_prefix('!') {
        Some(key) => (key.trim().to_owned(), Operator::Missing),
        None => (part.to_owned(), Operator::Exists),
    })
}

/// A field selector; only some fields of some kinds are supported.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Fields(Vec<(String, String, bool)>);

impl Fields {
    pub(crate) fn parse(text: &str, kind: &Kind) -> Result<Self, Failure> {
        let mut parts = Vec::new();
        for part in split(text) {
            let (key, value, equal) = match part.split_once("!=") {
                Some((key, value)) => (key, value, false),
                None => match part.split_once("==").or_else(|| part.split_once('=')) {
                    Some((key, value)) => (key, value, true),
                    None => {
                        return Err(bad_request(format!(
                            "invalid selector: '{text}'; can't understand '{part}'"
                        )));
                    }
                },
            };
            let key = key.trim();
            if !is_known(kind, key) {
                return Err(unknown_field(key, !own_fields(kind).is_empty()));
            }
            parts.push((
                format!("/{}", key.replace('.', "/")),
                value.trim().to_owned(),
                equal,
            ));
        }
        Ok(Self(parts))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn fits(&self, object: &Value) -> bool {
        self.0.iter().all(|(pointer, value, equal)| {
            let have = match object.pointer(pointer) {
                Some(Value::String(text)) => text.clone(),
                Some(Value::Null) | None => String::new(),
                Some(other) => other.to_string(),
            };
            (have == *value) == *equal
        })
    }
}

fn is_known(kind: &Kind, key: &str) -> bool {
    matches!(key, "metadata.name" | "metadata.namespace") || own_fields(kind).contains(&key)
}

/// The fields of a kind that can be selected, other than name and namespace.
fn own_fields(kind: &Kind) -> &'static [&'static str] {
    match (kind.group.as_str(), kind.kind.as_str()) {
        ("", "Pod") => &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.nominatedNodeName",
        ],
        ("", "Secret") => &["type"],
        ("", "Service") => &["spec.clusterIP", "spec.type"],
        ("", "Namespace") => &["status.phase"],
        ("", "Node") => &["spec.unschedulable"],
        ("", "ReplicationController") | ("apps", "ReplicaSet") => &["status.replicas"],
        ("batch", "Job") => &["status.successful"],
        ("", "Event") | ("events.k8s.io", "Event") => &[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "source",
            "type",
        ],
        _ => &[],
    }
}

/// Returns the name that a field selector requires, whatever else it requires.
pub(crate) fn exact_name(selector: &str) -> Option<String> {
    let mut names = split(selector).into_iter().filter_map(|part| {
        let (key, value) = part.split_once("==").or_else(|| part.split_once('='))?;
        (key.trim() == "metadata.name").then(|| value.trim().to_owned())
    });
    names.next().filter(|name| !name.is_empty())
}

fn split(selector: &str) -> Vec<String> {
    let mut parts = Vec::new();
    let mut depth = 0usize;
    let mut part = String::new();
    for c in selector.chars() {
        match c {
            ',' if depth == 0 => parts.push(std::mem::take(&mut part)),
            _ => {
                depth = match c {
                    '(' => depth + 1,
                    ')' => depth.saturating_sub(1),
                    _ => depth,
                };
                part.push(c);
            }
        }
    }
    parts.push(part);
    parts.retain(|part| !part.trim().is_empty());
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_selector_names_one_object_only_where_it_requires_it() {
        let name = |selector: &str| exact_name(selector);
        assert_eq!(name("metadata.name=a"), Some("a".to_owned()));
        let more = "metadata.namespace=b, metadata.name==a";
        assert_eq!(name(more), Some("a".to_owned()));
        for other in [
            "",
            "metadata.name!=a",
            "metadata.name=",
            "metadata.namespace=a",
        ] {
            assert_eq!(name(other), None, "{other}");
        }
    }

    #[test]
    fn labels_are_selected_by_every_operator() {
        let object = json!({"metadata": {"labels": {"app": "web", "tier": "front"}}});
        let fits = |text: &str| Labels::parse(text).unwrap().fits(&object);
        assert!(fits("app=web,tier==front"));
        assert!(fits("app in (web, api),tier notin (back)"));
        assert!(fits("app,!other,app!=api,missing!=x"));
        assert!(!fits("app=api") && !fits("!app") && !fits("other"));
        assert!(Labels::parse("a in (").is_err());
    }
}

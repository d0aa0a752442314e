//! The kinds that are served: built-in ones, and those of CustomResourceDefinitions.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::schema::{self, Schema, Subresource, builtin, named};

/// An additional printer column of a definition.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Column {
    pub(crate) definition: Value,
    /// `.spec.size`
    pub(crate) path: String,
}

/// One version of a kind.
#[derive(Debug, Clone)]
pub(crate) struct Version {
    pub(crate) schema: Arc<Schema>,
    /// The schema for `/openapi/v3`; none: the built-in type of that name.
    pub(crate) document: Option<Value>,
    pub(crate) type_name: String,
    pub(crate) columns: Vec<Column>,
    pub(crate) subresources: Vec<Subresource>,
    /// The fields of a custom kind's scale.
    pub(crate) scale: Option<Scale>,
}

/// Paths of the scale sub-resource, as JSON pointers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scale {
    pub(crate) spec: String,
    pub(crate) status: String,
    pub(crate) selector: Option<String>,
}

/// How a kind is served.
#[derive(Debug, Clone)]
pub(crate) struct Kind {
    pub(crate) group: String,
    /// Group and plural under which objects are stored; for events they differ from the requested ones.
    pub(crate) storage: (String, String),
    /// The version that is stored.
    pub(crate) stored: String,
    /// In order of preference.
    pub(crate) order: Vec<String>,
    pub(crate) versions: BTreeMap<String, Version>,
    pub(crate) kind: String,
    pub(crate) list_kind: String,
    pub(crate) plural: String,
    pub(crate) singular: String,
    pub(crate) namespaced: bool,
    pub(crate) verbs: Vec<String>,
    pub(crate) short_names: Vec<String>,
    pub(crate) categories: Vec<String>,
    /// Whether it comes from a definition.
    pub(crate) custom: bool,
}

impl Kind {
    /// `apps/v1`, `v1`.
    pub(crate) fn api_version(&self, version: &str) -> String {
        if self.group.is_empty() {
            version.to_owned()
        } else {
            format!("{}/{version}", self.group)
        }
    }

    pub(crate) fn has_subresource(&self, version: &str, name: &str) -> bool {
        let version = self.versions.get(version);
        version.is_some_and(|version| version.subresources.iter().any(|s| s.name == name))
    }

    /// Whether it is virtual, without stored objects (access reviews).
    pub(crate) fn is_virtual(&self) -> bool {
        !self.verbs.iter().any(|verb| verb == "get")
    }
}

/// The built-in kinds.
pub(crate) fn builtins() -> Vec<Kind> {
    let mut kinds: Vec<Kind> = Vec::new();
    for found in &builtin().kinds {
        let version = Version {
            schema: Arc::new(named(&found.type_name)),
            document: None,
            type_name: found.type_name.clone(),
            columns: Vec::new(),
            subresources: found.subresources.clone(),
            scale: None,
        };
        let known = kinds
            .iter_mut()
            .find(|kind| kind.group == found.group && kind.plural == found.plural);
        if let Some(kind) = known {
            kind.order.push(found.version.clone());
            kind.versions.insert(found.version.clone(), version);
            continue;
        }
        let storage_group = match found.group.as_str() {
            "events.k8s.io" => String::new(),
            group => group.to_owned(),
        };
        kinds.push(Kind {
            group: found.group.clone(),
            storage: (storage_group, found.plural.clone()),
            stored: found.version.clone(),
            order: vec![found.version.clone()],
            versions: BTreeMap::from([(found.version.clone(), version)]),
            kind: found.kind.clone(),
            list_kind: format!("{}List", found.kind),
            plural: found.plural.clone(),
            singular: found.singular.clone(),
            namespaced: found.namespaced,
            verbs: found.verbs.clone(),
            short_names: found.short_names.clone(),
            categories: found.categories.clone(),
            custom: false,
        });
    }
    kinds
}

fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    let text = value.pointer(pointer).and_then(Value::as_str);
    text.unwrap_or_default()
}

fn words(value: &Value, pointer: &str) -> Vec<String> {
    let list = value.pointer(pointer).and_then(Value::as_array);
    list.into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

/// `.spec.replicas` as a JSON pointer.
pub(crate) fn pointer(path: &str) -> String {
    path.replace('.', "/")
}

const VERBS: [&str; 8] = [
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "create",
    "update",
    "watch",
];

/// The kind of a definition.
pub(crate) fn custom(definition: &Value) -> Kind {
    let group = text(definition, "/spec/group").to_owned();
    let kind = text(definition, "/spec/names/kind").to_owned();
    let mut order = Vec::new();
    let mut stored = String::new();
    let mut versions = BTreeMap::new();
    let list = definition
        .pointer("/spec/versions")
        .and_then(Value::as_array);
    for version in list.into_iter().flatten() {
        let name = text(version, "/name").to_owned();
        if version.get("storage") == Some(&Value::Bool(true)) {
            stored.clone_from(&name);
        }
        if version.get("served") != Some(&Value::Bool(true)) {
            continue;
        }
        order.push(name.clone());
        versions.insert(name.clone(), read_version(version, &group, &name, &kind));
    }
    // Newest and most stable first (version priority of apimachinery).
    order.sort_by_key(|version| std::cmp::Reverse(priority(version)));
    let plural = text(definition, "/spec/names/plural").to_owned();
    let list_kind = match text(definition, "/spec/names/listKind") {
        "" => format!("{kind}List"),
        given => given.to_owned(),
    };
    Kind {
        storage: (group.clone(), plural.clone()),
        group,
        stored,
        order,
        versions,
        list_kind,
        plural,
        singular: match text(definition, "/spec/names/singular") {
            "" => kind.to_lowercase(),
            given => given.to_owned(),
        },
        kind,
        namespaced: text(definition, "/spec/scope") == "Namespaced",
        verbs: VERBS.iter().map(|verb| (*verb).to_owned()).collect(),
        short_names: words(definition, "/spec/names/shortNames"),
        categories: words(definition, "/spec/names/categories"),
        custom: true,
    }
}

fn read_version(version: &Value, group: &str, name: &str, kind: &str) -> Version {
    let document = version
        .pointer("/schema/openAPIV3Schema")
        .cloned()
        .unwrap_or_else(|| json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true}));
    let mut subresources = Vec::new();
    let mut add = |name: &str, group: &str, version: &str, kind: &str| {
        subresources.push(Subresource {
            name: name.to_owned(),
            group: group.to_owned(),
            version: version.to_owned(),
            kind: kind.to_owned(),
            verbs: ["get", "patch", "update"].map(str::to_owned).to_vec(),
        });
    };
    if version.pointer("/subresources/status").is_some() {
        add("status", group, name, kind);
    }
    let scale = version.pointer("/subresources/scale").map(|scale| {
        add("scale", "autoscaling", "v1", "Scale");
        let path = |name: &str| scale.get(name).and_then(Value::as_str).map(pointer);
        Scale {
            spec: path("specReplicasPath").unwrap_or_default(),
            status: path("statusReplicasPath").unwrap_or_default(),
            selector: path("labelSelectorPath"),
        }
    });
    let columns = version
        .get("additionalPrinterColumns")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .map(|column| Column {
            path: text(column, "/jsonPath").to_owned(),
            definition: json!({
                "name": text(column, "/name"),
                "type": text(column, "/type"),
                "format": text(column, "/format"),
                "description": match text(column, "/description") {
                    "" => format!("Custom resource definition column (in JSONPath format): {}", text(column, "/jsonPath")),
                    given => given.to_owned(),
                },
                "priority": column.get("priority").cloned().unwrap_or_else(|| json!(0)),
            }),
        })
        .collect();
    Version {
        schema: Arc::new(Schema::read_structural(&document).custom_root()),
        type_name: {
            let mut parts: Vec<&str> = group.split('.').collect();
            parts.reverse();
            format!("{}.{name}.{kind}", parts.join("."))
        },
        document: Some(document),
        columns,
        subresources,
        scale,
    }
}

/// Stable before beta before alpha, higher numbers first, all else last.
fn priority(version: &str) -> (u8, u32, u32) {
    let parsed = version.strip_prefix('v').and_then(|rest| {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        let major: u32 = rest.get(..digits)?.parse().ok()?;
        match rest.get(digits..)? {
            "" => Some((3, major, 0)),
            tail if tail.starts_with("beta") => Some((2, major, tail.get(4..)?.parse().ok()?)),
            tail if tail.starts_with("alpha") => Some((1, major, tail.get(5..)?.parse().ok()?)),
            _ => None,
        }
    });
    parsed.unwrap_or((0, 0, 0))
}

/// The fields of a built-in kind's scale, as far as the agent and kubectl use it.
pub(crate) fn builtin_scale() -> Scale {
    Scale {
        spec: "/spec/replicas".to_owned(),
        status: "/status/replicas".to_owned(),
        selector: None,
    }
}

/// The schema of `autoscaling/v1` Scale.
pub(crate) fn scale_schema() -> Schema {
    schema::named("io.k8s.api.autoscaling.v1.Scale")
}

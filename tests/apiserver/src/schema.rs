//! Schemas of kinds: built-in ones from `schema/builtin.json`, custom ones from their definition (OpenAPI v3
//! structural schemas, KEP-1150 list and map types).

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};

use serde::Deserialize;
use serde_json::{Map, Value};

/// Generated from a real kube-apiserver's discovery and OpenAPI documents; see the README.
const BUILTIN: &str = include_str!("schema/builtin.json");

pub(crate) const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
const INT_OR_STRING: &str = "io.k8s.apimachinery.pkg.util.intstr.IntOrString";
const QUANTITY: &str = "io.k8s.apimachinery.pkg.api.resource.Quantity";
const MICRO_TIME: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime";

/// The schema of a field.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Schema {
    pub(crate) shape: Shape,
    pub(crate) default: Option<Value>,
    /// Strategic merge patch: the key of a list's items; empty: a list of plain values.
    pub(crate) merge_key: Option<String>,
    /// Strategic merge patch: `retainKeys`.
    pub(crate) retain_keys: bool,
    /// Unknown fields stay (`x-kubernetes-preserve-unknown-fields`).
    pub(crate) preserve: bool,
    /// `x-kubernetes-embedded-resource`.
    pub(crate) embedded: bool,
    pub(crate) nullable: bool,
    /// Validation of a custom kind: the definition's own schema of this field.
    pub(crate) rules: Option<Arc<Map<String, Value>>>,
}

/// The shape of a value.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) enum Shape {
    #[default]
    Any,
    String,
    MicroTime,
    /// Whether it is 64 bits wide.
    Integer(bool),
    Number,
    Boolean,
    IntOrString,
    Quantity,
    Object(Object),
    List(List),
    /// A reference to a named built-in type.
    Named(String),
}

/// An object with fields, a map, or both.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Object {
    pub(crate) fields: BTreeMap<String, Schema>,
    pub(crate) additional: Option<Box<Schema>>,
    pub(crate) required: Vec<String>,
    /// Atomic: merged as a whole.
    pub(crate) atomic: bool,
    /// Strings whose empty value is stored: pointers in the Go type.
    pub(crate) kept: Vec<String>,
    /// Numbers and booleans whose zero value is not stored: not pointers in the Go type.
    pub(crate) dropped: Vec<String>,
    /// Lists and maps that are never left out: null if there is none.
    pub(crate) always: Vec<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct List {
    pub(crate) items: Box<Schema>,
    pub(crate) merge: Merge,
}

/// How a list's items are merged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Merge {
    /// Atomic: replaced as a whole.
    Atomic,
    /// A set of plain values.
    Set,
    /// A map of objects with these keys.
    Map(Vec<String>),
}

impl Schema {
    /// Parses an OpenAPI v3 schema.
    pub(crate) fn read(value: &Value) -> Self {
        let flag = |name: &str| value.get(name) == Some(&Value::Bool(true));
        let text = |name: &str| value.get(name).and_then(Value::as_str);
        let words = |name: &str| -> Vec<String> {
            let list = value.get(name).and_then(Value::as_array);
            list.into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect()
        };
        let shape = if let Some(name) = text("$ref") {
            match name {
                INT_OR_STRING => Shape::IntOrString,
                QUANTITY => Shape::Quantity,
                MICRO_TIME => Shape::MicroTime,
                name => Shape::Named(name.to_owned()),
            }
        } else if flag("x-kubernetes-int-or-string") {
            Shape::IntOrString
        } else {
            let kind = text("type").unwrap_or(if value.get("properties").is_some() {
                "object"
            } else {
                ""
            });
            match kind {
                "string" => Shape::String,
                "integer" => Shape::Integer(text("format") != Some("int32")),
                "number" => Shape::Number,
                "boolean" => Shape::Boolean,
                "array" => Shape::List(List {
                    items: Box::new(value.get("items").map(Self::read).unwrap_or_default()),
                    merge: match text("x-kubernetes-list-type") {
                        Some("set") => Merge::Set,
                        Some("map") => Merge::Map(words("x-kubernetes-list-map-keys")),
                        _ => Merge::Atomic,
                    },
                }),
                "object" => Shape::Object(Object {
                    fields: value
                        .get("properties")
                        .and_then(Value::as_object)
                        .into_iter()
                        .flatten()
                        .map(|(name, field)| (name.clone(), Self::read(field)))
                        .collect(),
                    additional: match value.get("additionalProperties") {
                        Some(Value::Bool(true)) => Some(Box::default()),
                        Some(schema @ Value::Object(_)) => Some(Box::new(Self::read(schema))),
                        _ => None,
                    },
                    required: words("required"),
                    atomic: text("x-kubernetes-map-type") == Some("atomic"),
                    kept: words("kept"),
                    dropped: words("dropped"),
                    always: words("always"),
                }),
                _ => Shape::Any,
            }
        };
        let merges = text("x-kubernetes-patch-strategy").is_some_and(|how| how.contains("merge"));
        Self {
            shape,
            default: value.get("default").cloned(),
            merge_key: merges.then(|| {
                text("x-kubernetes-patch-merge-key")
                    .unwrap_or_default()
                    .to_owned()
            }),
            retain_keys: text("x-kubernetes-patch-strategy")
                .is_some_and(|how| how.contains("retainKeys")),
            preserve: flag("x-kubernetes-preserve-unknown-fields"),
            embedded: flag("x-kubernetes-embedded-resource"),
            nullable: flag("nullable"),
            rules: None,
        }
    }

    /// Parses the schema of a definition, with its validation.
    pub(crate) fn read_structural(value: &Value) -> Self {
        let mut schema = Self::read(value);
        schema.attach(value);
        schema
    }

    fn attach(&mut self, value: &Value) {
        self.rules = value.as_object().map(|rules| {
            let own = rules.iter().filter(|(name, _)| {
                !matches!(name.as_str(), "properties" | "items" | "description")
            });
            Arc::new(
                own.map(|(name, rule)| (name.clone(), rule.clone()))
                    .collect(),
            )
        });
        match &mut self.shape {
            Shape::Object(object) => {
                for (name, field) in &mut object.fields {
                    if let Some(value) = value.get("properties").and_then(|all| all.get(name)) {
                        field.attach(value);
                    }
                }
                if let (Some(field), Some(value)) =
                    (&mut object.additional, value.get("additionalProperties"))
                {
                    field.attach(value);
                }
            }
            Shape::List(list) => {
                if let Some(value) = value.get("items") {
                    list.items.attach(value);
                }
            }
            _ => {}
        }
    }

    /// The schema of a custom kind's root: the definition's fields, plus those of every object.
    pub(crate) fn custom_root(mut self) -> Self {
        if !matches!(self.shape, Shape::Object(_)) {
            self.shape = Shape::Object(Object::default());
        }
        if let Shape::Object(object) = &mut self.shape {
            let text = Self {
                shape: Shape::String,
                ..Self::default()
            };
            object.fields.insert("apiVersion".to_owned(), text.clone());
            object.fields.insert("kind".to_owned(), text);
            let metadata = Self {
                shape: Shape::Named(OBJECT_META.to_owned()),
                ..Self::default()
            };
            object.fields.insert("metadata".to_owned(), metadata);
        }
        self
    }

    /// The shape; of a reference, that of the named type.
    pub(crate) fn shape(&self) -> &Shape {
        match &self.shape {
            Shape::Named(name) => builtin().types.get(name).map_or(&Shape::Any, Self::shape),
            shape => shape,
        }
    }

    /// The schema of an object's field; none if it is not declared.
    pub(crate) fn field(&self, name: &str) -> Option<&Self> {
        match self.shape() {
            Shape::Object(object) => object
                .fields
                .get(name)
                .or(object.additional.as_deref())
                .or_else(|| (self.preserve).then(any)),
            Shape::Any => Some(any()),
            _ => None,
        }
    }

    /// The schema of a list's items.
    pub(crate) fn items(&self) -> &Self {
        match self.shape() {
            Shape::List(list) => &list.items,
            _ => any(),
        }
    }

    /// How a list at this field is merged.
    pub(crate) fn merge(&self) -> &Merge {
        match self.shape() {
            Shape::List(list) => &list.merge,
            _ => &Merge::Atomic,
        }
    }

    /// Whether the map at this field is atomic.
    pub(crate) fn is_atomic(&self) -> bool {
        matches!(self.shape(), Shape::Object(Object { atomic: true, .. }))
    }
}

/// A schema that accepts any value.
pub(crate) fn any() -> &'static Schema {
    static ANY: OnceLock<Schema> = OnceLock::new();
    ANY.get_or_init(Schema::default)
}

/// A subresource as in discovery.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Subresource {
    pub(crate) name: String,
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) kind: String,
    pub(crate) verbs: Vec<String>,
}

/// A built-in kind as in discovery.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BuiltinKind {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) kind: String,
    pub(crate) plural: String,
    pub(crate) singular: String,
    pub(crate) namespaced: bool,
    pub(crate) verbs: Vec<String>,
    pub(crate) short_names: Vec<String>,
    pub(crate) categories: Vec<String>,
    #[serde(rename = "type")]
    pub(crate) type_name: String,
    pub(crate) subresources: Vec<Subresource>,
}

/// The built-in kinds and types.
pub(crate) struct Builtin {
    /// Minor version of the server that they were generated from, such as `1.36`.
    pub(crate) version: String,
    pub(crate) kinds: Vec<BuiltinKind>,
    pub(crate) types: HashMap<String, Schema>,
    /// The types as in the file, for `/openapi/v3`.
    pub(crate) documents: Map<String, Value>,
}

#[derive(Deserialize)]
struct File {
    version: String,
    kinds: Vec<BuiltinKind>,
    types: Map<String, Value>,
}

/// Parses the file once.
pub(crate) fn builtin() -> &'static Builtin {
    static READ: OnceLock<Builtin> = OnceLock::new();
    READ.get_or_init(|| {
        // The file is compiled in, and a test checks that it parses.
        let file: File = serde_json::from_str(BUILTIN).unwrap_or_else(|_| File {
            version: String::new(),
            kinds: Vec::new(),
            types: Map::new(),
        });
        Builtin {
            version: file.version,
            kinds: file.kinds,
            types: file
                .types
                .iter()
                .map(|(name, value)| (name.clone(), Schema::read(value)))
                .collect(),
            documents: file.types,
        }
    })
}

/// The schema of a named built-in type.
pub(crate) fn named(name: &str) -> Schema {
    Schema {
        shape: Shape::Named(name.to_owned()),
        ..Schema::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_read_and_every_name_is_known() {
        let builtin = builtin();
        assert!(builtin.kinds.len() > 60 && builtin.types.len() > 400);
        for kind in &builtin.kinds {
            assert!(builtin.types.contains_key(&kind.type_name), "{kind:?}");
        }
        let deployment = named("io.k8s.api.apps.v1.Deployment");
        let containers = ["spec", "template", "spec", "containers"]
            .iter()
            .fold(&deployment, |schema, name| schema.field(name).unwrap());
        assert_eq!(*containers.merge(), Merge::Map(vec!["name".to_owned()]));
        let ports = containers.items().field("ports").unwrap();
        let keys = vec!["containerPort".to_owned(), "protocol".to_owned()];
        assert_eq!(*ports.merge(), Merge::Map(keys));
    }
}

//! `crds`: OpenAPI definitions that say which fields of custom kinds are names, labels or annotations
//! (`api/internal/accumulator/loadconfigfromcrds.go`).

use flotilla_shared::reason::Reason;

use super::config::{Config, Reference};
use super::failure::{Failure, Outcome};
use super::fieldspec::{self, FieldSpec};
use super::identity::Gvk;
use super::node::{Map, Node};

/// Deepest reference from definition to definition.
const MAX_DEPTH: usize = 64;

/// Fields of all kinds in a file of definitions.
///
/// # Errors
/// When it is not such a file, or definitions refer to each other in a circle.
pub(crate) fn config(definitions: &Node) -> Outcome<Config> {
    let Some(definitions) = definitions.as_map() else {
        return Err(Failure::render(
            "crds: the file is not a mapping of definitions",
        ));
    };
    if definitions.get("apiVersion").is_some() {
        return Err(Failure::render(
            "crds: expected OpenAPI definitions by type, not CustomResourceDefinitions; those \
             belong to `resources`",
        ));
    }
    let mut config = Config::default();
    for (name, definition) in definitions.iter() {
        let is_kind = properties(definition).is_some_and(|properties| {
            ["kind", "apiVersion", "metadata"]
                .iter()
                .all(|field| properties.get(field).is_some())
        });
        if is_kind {
            let gvk = Gvk {
                kind: name.rsplit('.').next().unwrap_or_default().to_owned(),
                ..Gvk::default()
            };
            let mut path = Vec::new();
            add(&mut config, &gvk, definitions, name, &mut path)?;
        }
    }
    Ok(config)
}

fn properties(definition: &Node) -> Option<&Map> {
    definition
        .field("Schema")
        .or_else(|| definition.field("schema"))?
        .field("properties")?
        .as_map()
}

fn add(
    config: &mut Config,
    gvk: &Gvk,
    definitions: &Map,
    name: &str,
    path: &mut Vec<String>,
) -> Outcome<()> {
    if path.len() > MAX_DEPTH {
        return Err(Failure::new(
            Reason::Cycle,
            format!("crds: definitions form a cycle at {name:?}"),
        ));
    }
    let Some(properties) = definitions.get(name).and_then(properties) else {
        return Ok(());
    };
    for (field, property) in properties.iter() {
        let text = |key: &str| property.field(key).map(Node::scalar_text);
        path.push(field.replace('/', "\\/"));
        let here = FieldSpec::new(gvk.clone(), &path.join("/"));
        if text("x-kubernetes-annotation").is_some() {
            fieldspec::merge_one(&mut config.common_annotations, &here)?;
        }
        if text("x-kubernetes-label-selector").is_some() {
            fieldspec::merge_one(&mut config.common_labels, &here)?;
        }
        if text("x-kubernetes-identity").is_some() {
            fieldspec::merge_one(&mut config.name_prefix, &here)?;
        }
        if let (Some(version), Some(kind)) = (
            text("x-kubernetes-object-ref-api-version"),
            text("x-kubernetes-object-ref-kind"),
        ) {
            let key = text("x-kubernetes-object-ref-name-key").unwrap_or("name");
            let spec = FieldSpec::new(gvk.clone(), &format!("{}/{key}", path.join("/")));
            config.add_reference(&Reference {
                kind: kind.to_owned(),
                version: version.to_owned(),
                field_specs: vec![spec],
                ..Reference::default()
            })?;
        }
        if let Some(reference) = text("$ref") {
            add(config, gvk, definitions, reference, path)?;
        }
        path.pop();
    }
    Ok(())
}

//! From text to typed files, as Go's decoder reads them, but with unknown fields refused.

use flotilla_shared::reason::Reason;
use flotilla_yaml::DuplicateKeys;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::RenderError;
use crate::kustomize::failure::{Failure, Outcome};

/// Every field of every type here and in [`crate::kustomize::config`].
const FIELDS: [&str; 86] = [
    "allowKindChange",
    "allowNameChange",
    "annotationSelector",
    "annotations",
    "apiVersion",
    "bases",
    "behavior",
    "buildMetadata",
    "commonAnnotations",
    "commonLabels",
    "components",
    "configMapGenerator",
    "configurations",
    "count",
    "crds",
    "create",
    "delimiter",
    "digest",
    "disableNameSuffixHash",
    "encoding",
    "env",
    "envs",
    "fieldPath",
    "fieldPaths",
    "fieldSpecs",
    "fieldref",
    "fields",
    "files",
    "generatorOptions",
    "generators",
    "group",
    "helmChartInflationGenerator",
    "helmCharts",
    "helmGlobals",
    "imageTags",
    "images",
    "immutable",
    "includeSelectors",
    "includeTemplates",
    "includeVolumeClaimTemplates",
    "index",
    "kind",
    "labelSelector",
    "labels",
    "legacySortOptions",
    "literals",
    "metadata",
    "name",
    "namePrefix",
    "nameReference",
    "nameSuffix",
    "namespace",
    "newName",
    "newTag",
    "objref",
    "openapi",
    "options",
    "order",
    "orderFirst",
    "orderLast",
    "pairs",
    "patch",
    "patches",
    "patchesJson6902",
    "patchesStrategicMerge",
    "path",
    "reject",
    "replacements",
    "replicas",
    "resources",
    "secretGenerator",
    "select",
    "sortOptions",
    "source",
    "sourceValue",
    "tagSuffix",
    "target",
    "targets",
    "templateLabels",
    "transformers",
    "type",
    "validators",
    "varReference",
    "vars",
    "version",
    "volumeClaimTemplateLabels",
];

/// Reads a text as `T`; unknown fields are errors that name file, line and the nearest known field, and
/// a null stands for a missing field, as in Go. The last of a repeated field counts, as in Kustomize.
///
/// # Errors
/// When it is not YAML or not a `T`.
pub(crate) fn typed<T: DeserializeOwned>(file: &str, text: &str) -> Outcome<T> {
    read(file, text, DuplicateKeys::LastWins)
}

/// Like [`typed`], but a repeated field is an error.
///
/// # Errors
/// See [`typed`].
pub(crate) fn typed_strict<T: DeserializeOwned>(file: &str, text: &str) -> Outcome<T> {
    read(file, text, DuplicateKeys::Refuse)
}

fn read<T: DeserializeOwned>(file: &str, text: &str, duplicate_keys: DuplicateKeys) -> Outcome<T> {
    flotilla_yaml::config::from_str_with(file, text, duplicate_keys, |value| {
        canonical(value, Member::Fields);
        if value.is_null() {
            *value = Value::Object(serde_json::Map::new());
        }
    })
    .map_err(|error| {
        let reason = if error.message.starts_with("unknown key") {
            Reason::UnknownField
        } else {
            Reason::MalformedYaml
        };
        let at = if error.path.is_empty() {
            String::new()
        } else {
            format!("{}: ", error.path)
        };
        Failure::Located(RenderError::Kustomize {
            file: format!("{file}:{}", error.line),
            reason,
            message: format!("{at}{}", error.message),
        })
    })
}

/// The content of a mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Member {
    /// Fields of a type.
    Fields,
    /// Texts, under names that the user chose.
    Texts,
}

/// Brings a file into the form that Go's decoder would see: field names in any case, and no nulls in
/// mappings; in a mapping of texts a null is an empty text, and names are those of the user.
fn canonical(value: &mut Value, holds: Member) {
    match value {
        Value::Object(map) => {
            if holds == Member::Texts {
                for value in map.values_mut().filter(|value| value.is_null()) {
                    *value = Value::String(String::new());
                }
                return;
            }
            let other_case: Vec<(String, &str)> = map
                .keys()
                .filter(|key| !FIELDS.contains(&key.as_str()))
                .filter_map(|key| {
                    let known = FIELDS
                        .iter()
                        .find(|known| known.eq_ignore_ascii_case(key))?;
                    Some((key.clone(), *known))
                })
                .collect();
            for (written, known) in other_case {
                if let Some(value) = map.remove(&written) {
                    map.insert(known.to_owned(), value);
                }
            }
            // Only for known fields: an unknown one is refused, even if it is null.
            map.retain(|key, value| !value.is_null() || !FIELDS.contains(&key.as_str()));
            for (key, value) in map.iter_mut() {
                let texts = matches!(
                    key.as_str(),
                    "commonLabels" | "commonAnnotations" | "annotations" | "pairs"
                ) || (key == "labels" && value.is_object());
                canonical(value, if texts { Member::Texts } else { Member::Fields });
            }
        }
        Value::Array(items) => items
            .iter_mut()
            .for_each(|item| canonical(item, Member::Fields)),
        _ => {}
    }
}

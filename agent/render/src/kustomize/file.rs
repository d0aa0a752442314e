//! The kustomization file, typed; every field that Kustomize has, and none that it has not.

mod read;

use std::collections::BTreeMap;

use flotilla_shared::reason::Reason;
use serde::Deserialize;
use serde_json::Value;

pub(crate) use self::read::{typed, typed_strict};
use super::failure::{Failure, Outcome};
use super::fieldspec::FieldSpec;
use super::helm::{HelmChart, HelmGlobals};

/// Names and values.
pub(crate) type Pairs = BTreeMap<String, String>;

/// `kind` of a component.
pub(crate) const COMPONENT: &str = "Component";

/// A kustomization (`api/types/kustomization.go`).
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(crate) struct Kustomization {
    pub(crate) api_version: String,
    pub(crate) kind: String,
    pub(crate) metadata: Option<Metadata>,
    pub(crate) openapi: Pairs,
    pub(crate) name_prefix: String,
    pub(crate) name_suffix: String,
    pub(crate) namespace: String,
    pub(crate) common_labels: Pairs,
    pub(crate) labels: Vec<Label>,
    pub(crate) common_annotations: Pairs,
    pub(crate) patches_strategic_merge: Vec<String>,
    pub(crate) patches_json6902: Vec<Patch>,
    pub(crate) patches: Vec<Patch>,
    pub(crate) images: Vec<Image>,
    pub(crate) image_tags: Vec<Image>,
    pub(crate) replacements: Vec<ReplacementEntry>,
    pub(crate) replicas: Vec<Replica>,
    pub(crate) vars: Vec<Var>,
    pub(crate) sort_options: Option<SortOptions>,
    pub(crate) resources: Vec<String>,
    pub(crate) components: Vec<String>,
    pub(crate) crds: Vec<String>,
    pub(crate) bases: Vec<String>,
    pub(crate) config_map_generator: Vec<GeneratorArgs>,
    pub(crate) secret_generator: Vec<GeneratorArgs>,
    pub(crate) helm_globals: Option<HelmGlobals>,
    pub(crate) helm_charts: Vec<HelmChart>,
    pub(crate) helm_chart_inflation_generator: Vec<Value>,
    pub(crate) generator_options: Option<GeneratorOptions>,
    pub(crate) configurations: Vec<String>,
    pub(crate) generators: Vec<String>,
    pub(crate) transformers: Vec<String>,
    pub(crate) validators: Vec<String>,
    pub(crate) build_metadata: Vec<String>,
}

/// Metadata of a kustomization or of a step's own file.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(crate) struct Metadata {
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) labels: Pairs,
    pub(crate) annotations: Pairs,
}

/// Labels and where they go.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(crate) struct Label {
    pub(crate) pairs: Pairs,
    pub(crate) include_selectors: bool,
    pub(crate) include_templates: bool,
    pub(crate) include_volume_claim_templates: bool,
    pub(crate) fields: Vec<FieldSpec>,
}

/// A patch of either kind.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(crate) struct Patch {
    pub(crate) path: String,
    pub(crate) patch: String,
    pub(crate) target: Option<Selector>,
    pub(crate) options: Option<PatchOptions>,
}

/// What a patch may change in addition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(crate) struct PatchOptions {
    pub(crate) allow_name_change: bool,
    pub(crate) allow_kind_change: bool,
}

/// Resources by expressions on their identity and by labels and annotations.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(crate) struct Selector {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) annotation_selector: String,
    pub(crate) label_selector: String,
}

/// A new name, tag or digest for an image.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(crate) struct Image {
    pub(crate) name: String,
    pub(crate) new_name: String,
    pub(crate) tag_suffix: String,
    pub(crate) new_tag: String,
    pub(crate) digest: String,
}

/// How many replicas.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(crate) struct Replica {
    pub(crate) name: String,
    pub(crate) count: i64,
}

/// A replacement inline, or a file of them.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(crate) struct ReplacementEntry {
    pub(crate) path: String,
    pub(crate) source: Option<ReplacementSource>,
    pub(crate) source_value: Option<String>,
    pub(crate) targets: Option<Vec<ReplacementTarget>>,
}

/// Where a replacement's value comes from.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(crate) struct ReplacementSource {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) field_path: String,
    pub(crate) options: Option<FieldOptions>,
}

/// Where a replacement's value goes.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(crate) struct ReplacementTarget {
    pub(crate) select: Option<Selector>,
    pub(crate) reject: Vec<Selector>,
    pub(crate) field_paths: Vec<String>,
    pub(crate) options: Option<FieldOptions>,
}

/// Which part of a field.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(crate) struct FieldOptions {
    pub(crate) delimiter: String,
    pub(crate) index: i64,
    pub(crate) encoding: String,
    pub(crate) create: bool,
}

#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(crate) struct Var {
    pub(crate) name: String,
    #[serde(rename = "objref", alias = "objRef")]
    pub(crate) object: VarObject,
    #[serde(rename = "fieldref", alias = "fieldRef")]
    pub(crate) field: VarField,
}

/// The object a variable is read from.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(crate) struct VarObject {
    #[serde(alias = "apiversion")]
    pub(crate) api_version: String,
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) namespace: String,
}

/// The field a variable is read from.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(crate) struct VarField {
    #[serde(alias = "fieldpath")]
    pub(crate) field_path: String,
}

/// The order of the output.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(crate) struct SortOptions {
    pub(crate) order: String,
    pub(crate) legacy_sort_options: Option<LegacySortOptions>,
}

/// Kinds that come first and last.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(crate) struct LegacySortOptions {
    pub(crate) order_first: Vec<String>,
    pub(crate) order_last: Vec<String>,
}

/// A ConfigMap or Secret to be generated.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(crate) struct GeneratorArgs {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) behavior: String,
    pub(crate) literals: Vec<String>,
    pub(crate) files: Vec<String>,
    pub(crate) envs: Vec<String>,
    pub(crate) env: String,
    pub(crate) options: Option<GeneratorOptions>,
    /// Of Secrets only.
    #[serde(rename = "type")]
    pub(crate) secret_type: String,
}

/// Settings that generated objects share.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(crate) struct GeneratorOptions {
    pub(crate) labels: Pairs,
    pub(crate) annotations: Pairs,
    pub(crate) disable_name_suffix_hash: bool,
    pub(crate) immutable: bool,
}

impl Kustomization {
    /// Reads a kustomization file.
    ///
    /// # Errors
    /// When it is not YAML, has an unknown field, or holds what is never rendered.
    pub(crate) fn read(file: &str, text: &str) -> Outcome<Self> {
        let mut read: Self = typed(file, text)?;
        let here = |reason, message: String| Failure::new(reason, message);
        if !read.helm_chart_inflation_generator.is_empty() {
            return Err(here(
                Reason::HelmRefused,
                "helmChartInflationGenerator is obsolete; use helmCharts".to_owned(),
            ));
        }
        if read
            .helm_globals
            .as_ref()
            .is_some_and(HelmGlobals::has_config)
        {
            return Err(here(
                Reason::HelmRefused,
                "helmGlobals.configHome is a folder of Helm's own settings, which are not read; \
                 remove it"
                    .to_owned(),
            ));
        }
        if !read.validators.is_empty() {
            return Err(here(
                Reason::ExecRefused,
                "validators are programs, which are not run while rendering; remove them"
                    .to_owned(),
            ));
        }
        if read
            == (Self {
                api_version: read.api_version.clone(),
                kind: read.kind.clone(),
                ..Self::default()
            })
            && !has_a_collection(text)
        {
            return Err(here(
                Reason::RenderFailed,
                "the kustomization is empty".to_owned(),
            ));
        }
        let (kind, version) = match read.kind.as_str() {
            "" | "Kustomization" => ("Kustomization", "kustomize.config.k8s.io/v1beta1"),
            COMPONENT => (COMPONENT, "kustomize.config.k8s.io/v1alpha1"),
            other => {
                return Err(here(
                    Reason::RenderFailed,
                    format!("kind {other:?} should be Kustomization or Component"),
                ));
            }
        };
        if !read.api_version.is_empty() && read.api_version != version {
            return Err(here(
                Reason::RenderFailed,
                format!("apiVersion of a {kind} should be {version}"),
            ));
        }
        kind.clone_into(&mut read.kind);
        if let Some(option) = read.build_metadata.iter().find(|option| {
            ![
                "originAnnotations",
                "transformerAnnotations",
                "managedByLabel",
            ]
            .contains(&option.as_str())
        }) {
            return Err(here(
                Reason::UnknownField,
                format!(
                    "buildMetadata {option:?} is not one of originAnnotations, \
                     transformerAnnotations, managedByLabel"
                ),
            ));
        }
        // Deprecated fields that have newer names.
        let bases = std::mem::take(&mut read.bases);
        read.resources.extend(bases);
        let image_tags = std::mem::take(&mut read.image_tags);
        read.images.extend(image_tags);
        for generator in read
            .config_map_generator
            .iter_mut()
            .chain(&mut read.secret_generator)
        {
            let env = std::mem::take(&mut generator.env);
            if !env.is_empty() {
                generator.envs.push(env);
            }
        }
        Ok(read)
    }
}

/// Whether there is a list or mapping, even an empty one: Kustomize distinguishes `resources: []` from
/// `resources:`.
fn has_a_collection(text: &str) -> bool {
    let documents = flotilla_yaml::parse_documents(text, &flotilla_yaml::Limits::default());
    documents.is_ok_and(|documents| {
        documents
            .iter()
            .filter_map(|document| document.value.as_object())
            .flat_map(|map| map.values())
            .any(|value| value.is_array() || value.is_object())
    })
}

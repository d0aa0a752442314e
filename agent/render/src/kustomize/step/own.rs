//! Steps and generators with files of their own, under `transformers` and `generators`.

use flotilla_shared::reason::Reason;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Step;
use crate::kustomize::failure::{Failure, Outcome};
use crate::kustomize::fieldspec::{FieldSpec, Lenient};
use crate::kustomize::file::{
    self, GeneratorArgs, Image, Metadata, Pairs, Patch, PatchOptions, ReplacementEntry, Replica,
    Selector,
};
use crate::kustomize::generator::{self, GeneratedKind};
use crate::kustomize::metadata::{AffixSide, AffixStep, NamespaceStep, PairsStep, Subjects};
use crate::kustomize::node::Node;
use crate::kustomize::patch::{MergeStep, PatchStep};
use crate::kustomize::replacement::ReplacementStep;
use crate::kustomize::resource::Resource;
use crate::kustomize::session::{Directory, Session};
use crate::kustomize::value_add::{self, ValueAddStep};
use crate::kustomize::workload::{ImageStep, ReplicaStep};

/// Fields of a generator's own file.
const GENERATOR_FIELDS: [&str; 9] = [
    "namespace",
    "name",
    "behavior",
    "literals",
    "files",
    "envs",
    "env",
    "options",
    "type",
];

/// A step's or generator's own file, taken apart.
struct StepFile {
    kind: String,
    metadata: Metadata,
    rest: Value,
}

impl StepFile {
    /// # Errors
    /// When it is not one of Kustomize's built-in steps: all others are programs.
    fn new(resource: &Resource) -> Outcome<Self> {
        let kind = resource.kind().to_owned();
        let id = resource.current_id();
        let function = ["config.kubernetes.io/function", "config.k8s.io/function"]
            .iter()
            .any(|name| resource.annotation(name).is_some());
        if resource.api_version() != "builtin" || function {
            return Err(Failure::new(
                Reason::ExecRefused,
                format!(
                    "{id} is a plugin or function, and programs are not run while rendering; \
                     only built-in steps (apiVersion: builtin) can be used"
                ),
            ));
        }
        if kind == "HelmChartInflationGenerator" {
            return Err(Failure::new(
                Reason::HelmRefused,
                "HelmChartInflationGenerator is not supported under generators or transformers: \
                 put the chart in the tree, and name it under helmCharts in the kustomization",
            ));
        }
        let mut node = resource.node.clone();
        texts(&mut node);
        let mut rest = node.into_json()?;
        if let Some(map) = rest.as_object_mut() {
            map.remove("apiVersion");
            map.remove("kind");
            map.remove("metadata");
            map.retain(|_, value| !value.is_null());
        }
        Ok(Self {
            kind,
            metadata: Metadata {
                name: resource.name().to_owned(),
                namespace: resource.namespace().to_owned(),
                ..Metadata::default()
            },
            rest,
        })
    }

    /// Without fields that are not known: Kustomize overlooks them in a step's own file, and its cases
    /// have such files.
    fn read_known<T: DeserializeOwned>(mut self, known: &[&str]) -> Outcome<T> {
        if let Some(map) = self.rest.as_object_mut() {
            map.retain(|key, _| known.contains(&key.as_str()));
        }
        self.read()
    }

    fn read<T: DeserializeOwned>(self) -> Outcome<T> {
        serde_json::from_value(self.rest).map_err(|error| {
            let text = error.to_string();
            let reason = if text.starts_with("unknown field") {
                Reason::UnknownField
            } else {
                Reason::RenderFailed
            };
            Failure::new(
                reason,
                format!("{} {:?}: {text}", self.kind, self.metadata.name),
            )
        })
    }
}

/// Turns scalars into text where Kustomize's own types have text: it reads `newTag: 1.10` in a step's own
/// file as people mean it.
fn texts(node: &mut Node) {
    const TEXTS: [&str; 11] = [
        "newTag",
        "newName",
        "name",
        "digest",
        "prefix",
        "suffix",
        "value",
        "namespace",
        "patch",
        "path",
        "tagSuffix",
    ];
    let Some(map) = node.as_map_mut() else {
        return;
    };
    for (key, value) in map.iter_mut() {
        let all = matches!(&**key, "labels" | "annotations");
        match value {
            Node::Map(inner) if all => {
                for (_, value) in inner.iter_mut() {
                    *value = Node::text(value.scalar_text());
                }
            }
            Node::Map(_) => texts(value),
            Node::Scalar(_) if TEXTS.contains(&&**key) && !value.is_null() => {
                *value = Node::text(value.scalar_text());
            }
            _ => {}
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct OwnPairs {
    labels: Pairs,
    annotations: Pairs,
    field_specs: Vec<Lenient>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct OwnNamespace {
    field_specs: Vec<Lenient>,
    unset_only: bool,
    set_role_binding_subjects: Subjects,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct OwnPatch {
    path: String,
    patch: String,
    json_op: String,
    target: Option<Selector>,
    options: Option<PatchOptions>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct OwnMerge {
    paths: Vec<String>,
    patches: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct OwnAffix {
    prefix: String,
    suffix: String,
    field_specs: Vec<Lenient>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct OwnReplacements {
    replacements: Vec<ReplacementEntry>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct OwnReplica {
    replica: Replica,
    field_specs: Vec<Lenient>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct OwnImage {
    image_tag: Image,
    field_specs: Vec<Lenient>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct OwnValueAdd {
    value: String,
    targets: Vec<value_add::Target>,
    target_file_path: String,
}

fn specs(lenient: Vec<Lenient>) -> Vec<FieldSpec> {
    lenient.into_iter().map(FieldSpec::from).collect()
}

/// Steps of one file under `transformers`.
///
/// # Errors
/// When it is not built in, or malformed.
pub(crate) fn of_file(
    resource: &Resource,
    session: &Session<'_>,
    directory: &Directory,
) -> Outcome<Vec<Step>> {
    let own = StepFile::new(resource)?;
    let kind = own.kind.clone();
    let step = match kind.as_str() {
        "AnnotationsTransformer" | "LabelTransformer" => {
            let read: OwnPairs = own.read()?;
            let pairs = if kind == "LabelTransformer" {
                read.labels
            } else {
                read.annotations
            };
            let fields = specs(read.field_specs);
            Step::Pairs(PairsStep { pairs, fields })
        }
        "NamespaceTransformer" => {
            let namespace = own.metadata.namespace.clone();
            let read: OwnNamespace = own.read()?;
            Step::Namespace(NamespaceStep {
                namespace,
                fields: specs(read.field_specs),
                unset_only: read.unset_only,
                subjects: read.set_role_binding_subjects,
            })
        }
        "PatchTransformer" | "PatchJson6902Transformer" => {
            let read: OwnPatch = own.read()?;
            let json = kind == "PatchJson6902Transformer";
            let patch = Patch {
                path: read.path,
                patch: if json { read.json_op } else { read.patch },
                target: read.target,
                options: read.options,
            };
            Step::Patch(if json {
                PatchStep::json(&patch, session, directory)?
            } else {
                PatchStep::new(&patch, session, directory)?
            })
        }
        "PatchStrategicMergeTransformer" => {
            let read: OwnMerge = own.read()?;
            let mut entries = read.paths;
            if !read.patches.is_empty() {
                entries.push(read.patches);
            }
            Step::Merge(MergeStep::new(&entries, session, directory)?)
        }
        "PrefixTransformer" | "SuffixTransformer" | "PrefixSuffixTransformer" => {
            let read: OwnAffix = own.read()?;
            if read.field_specs.is_empty() {
                return Err(Failure::render(format!("{kind}: fieldSpecs are required")));
            }
            let fields = specs(read.field_specs);
            let mut steps = Vec::new();
            for (end, text, only) in [
                (AffixSide::Prefix, read.prefix, "PrefixTransformer"),
                (AffixSide::Suffix, read.suffix, "SuffixTransformer"),
            ] {
                if kind == only || kind == "PrefixSuffixTransformer" {
                    let fields = fields.clone();
                    steps.push(Step::Affix(AffixStep { end, text, fields }));
                }
            }
            return Ok(steps);
        }
        "ReplacementTransformer" => {
            let read: OwnReplacements = own.read()?;
            let step = ReplacementStep::new(&read.replacements, session, directory)?;
            Step::Replacement(step)
        }
        "ReplicaCountTransformer" => {
            let read: OwnReplica = own.read()?;
            Step::Replicas(ReplicaStep {
                replica: read.replica,
                fields: specs(read.field_specs),
            })
        }
        "ImageTagTransformer" => {
            let read: OwnImage = own.read()?;
            Step::Image(ImageStep::new(read.image_tag, specs(read.field_specs)))
        }
        "ValueAddTransformer" => Step::ValueAdd(value_add_step(own, session, directory)?),
        "HashTransformer" => Step::Hash,
        other => {
            return Err(Failure::render(format!("unknown built-in step {other:?}")));
        }
    };
    Ok(vec![step])
}

fn value_add_step(
    own: StepFile,
    session: &Session<'_>,
    directory: &Directory,
) -> Outcome<ValueAddStep> {
    let mut read: OwnValueAdd = own.read()?;
    let mut value = read.value.trim().to_owned();
    if value.is_empty() {
        let base = directory.path.rsplit('/').next().unwrap_or_default();
        if base.is_empty() {
            return Err(Failure::render(
                "ValueAddTransformer: `value` is required in the repository's root directory",
            ));
        }
        base.clone_into(&mut value);
    }
    if !read.target_file_path.is_empty() {
        let text = session.load_text(directory, &read.target_file_path)?;
        let place = session.place(directory, &read.target_file_path);
        let more: OwnValueAdd = file::typed(&place, text)?;
        read.targets.extend(more.targets);
    }
    Ok(ValueAddStep {
        value,
        targets: read.targets,
    })
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct OwnPolicy {
    cloud: String,
    kubernetes_service: PolicyName,
    service_account: PolicyAccount,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PolicyName {
    name: String,
    namespace: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PolicyAccount {
    name: String,
    project_id: String,
}

/// The objects of one file under `generators`.
///
/// # Errors
/// When it is not built in, or malformed.
pub(crate) fn generate(
    resource: &Resource,
    session: &Session<'_>,
    directory: &Directory,
) -> Outcome<Resource> {
    let own = StepFile::new(resource)?;
    let kind = own.kind.clone();
    let origin = resource.origin.clone();
    match kind.as_str() {
        "ConfigMapGenerator" | "SecretGenerator" => {
            let metadata = own.metadata.clone();
            let mut args: GeneratorArgs = own.read_known(&GENERATOR_FIELDS)?;
            let env = std::mem::take(&mut args.env);
            if !env.is_empty() {
                args.envs.push(env);
            }
            if args.name.is_empty() {
                args.name = metadata.name;
            }
            if args.namespace.is_empty() {
                args.namespace = metadata.namespace;
            }
            let made = if kind == "SecretGenerator" {
                GeneratedKind::Secret
            } else {
                GeneratedKind::ConfigMap
            };
            generator::generate(made, &args, session, directory, origin)
        }
        "IAMPolicyGenerator" => {
            let read: OwnPolicy = own.read()?;
            if read.cloud != "gke" {
                return Err(Failure::render(format!(
                    "IAMPolicyGenerator: cloud {:?} is not gke",
                    read.cloud
                )));
            }
            let mut account = serde_json::json!({
                "apiVersion": "v1",
                "kind": "ServiceAccount",
                "metadata": {
                    "name": read.kubernetes_service.name,
                    "annotations": {"iam.gke.io/gcp-service-account": format!(
                        "{}@{}.iam.gserviceaccount.com",
                        read.service_account.name, read.service_account.project_id
                    )},
                },
            });
            if !read.kubernetes_service.namespace.is_empty() {
                account["metadata"]["namespace"] = read.kubernetes_service.namespace.into();
            }
            let node = Node::from_json(account);
            Ok(Resource::new(node, origin, &session.schema))
        }
        other => Err(Failure::render(format!(
            "unknown built-in generator {other:?}"
        ))),
    }
}

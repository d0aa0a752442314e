//! Steps: what changes resources, from a kustomization's own fields or from files and inline texts
//! under `transformers`.

use flotilla_shared::reason::Reason;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::config::Config;
use super::failure::{Failure, Outcome};
use super::fieldspec::{self, FieldSpec, Lenient};
use super::file::{
    GeneratorArgs, Image, Kustomization, Metadata, Pairs, Patch, PatchOptions, ReplacementEntry,
    Replica, Selector,
};
use super::generator::{self, Made};
use super::hash;
use super::metadata::{AffixStep, End, NamespaceStep, PairsStep, Subjects};
use super::node::Node;
use super::patch::{MergeStep, PatchStep};
use super::replacement::ReplacementStep;
use super::resource::Resource;
use super::resources::Resources;
use super::session::{Directory, Session};
use super::value_add::{self, ValueAddStep};
use super::workload::{ImageStep, ReplicaStep};

/// One step.
#[derive(Debug)]
pub(crate) enum Step {
    Merge(MergeStep),
    Patch(PatchStep),
    Namespace(NamespaceStep),
    Affix(AffixStep),
    Pairs(PairsStep),
    Replicas(ReplicaStep),
    Image(ImageStep),
    Replacement(ReplacementStep),
    ValueAdd(ValueAddStep),
    Hash,
}

impl Step {
    /// Changes the resources.
    ///
    /// # Errors
    /// When something it needs is missing or has the wrong shape.
    pub(crate) fn apply(&self, resources: &mut Resources, session: &Session<'_>) -> Outcome<()> {
        let budget = &session.budget;
        match self {
            Self::Merge(step) => step.apply(resources, session),
            Self::Patch(step) => step.apply(resources, session),
            Self::Namespace(step) => step.apply(resources, budget),
            Self::Affix(step) => step.apply(resources, budget),
            Self::Pairs(step) => step.apply(resources, budget),
            Self::Replicas(step) => step.apply(resources, budget),
            Self::Image(step) => step.apply(resources),
            Self::Replacement(step) => step.apply(resources, budget),
            Self::ValueAdd(step) => step.apply(resources),
            Self::Hash => add_hashes(resources),
        }
    }
}

/// Appends hashes to the names of generated resources.
///
/// # Errors
/// When a resource cannot be hashed.
pub(crate) fn add_hashes(resources: &mut Resources) -> Outcome<()> {
    for resource in resources.iter_mut() {
        if resource.history.needs_hash {
            let name = format!("{}-{}", resource.name(), hash::suffix(resource)?);
            resource.remember_id();
            resource.set_metadata("name", &name);
        }
    }
    Ok(())
}

/// The steps of a kustomization's own fields with the names of their kinds, in Kustomize's order.
///
/// # Errors
/// When one of them is malformed.
pub(crate) fn of_fields(
    file: &Kustomization,
    config: &Config,
    session: &Session<'_>,
    directory: &Directory,
) -> Outcome<Vec<(&'static str, Step)>> {
    let mut steps = Vec::new();
    if !file.patches_strategic_merge.is_empty() {
        let step = MergeStep::new(&file.patches_strategic_merge, session, directory)?;
        steps.push(("PatchStrategicMergeTransformer", Step::Merge(step)));
    }
    for patch in &file.patches {
        let step = PatchStep::new(patch, session, directory)?;
        steps.push(("PatchTransformer", Step::Patch(step)));
    }
    if !file.namespace.is_empty() {
        steps.push((
            "NamespaceTransformer",
            Step::Namespace(NamespaceStep {
                namespace: file.namespace.clone(),
                fields: config.namespace.clone(),
                unset_only: false,
                subjects: Subjects::Default,
            }),
        ));
    }
    for (kind, end, text, fields) in [
        (
            "PrefixTransformer",
            End::Prefix,
            &file.name_prefix,
            &config.name_prefix,
        ),
        (
            "SuffixTransformer",
            End::Suffix,
            &file.name_suffix,
            &config.name_suffix,
        ),
    ] {
        if !text.is_empty() {
            let (text, fields) = (text.clone(), fields.clone());
            steps.push((kind, Step::Affix(AffixStep { end, text, fields })));
        }
    }
    if !file.labels.is_empty() || !file.common_labels.is_empty() {
        for label in &file.labels {
            let mut fields = label.fields.clone();
            let mut add = |specs: &[FieldSpec]| -> Outcome<()> {
                specs
                    .iter()
                    .try_for_each(|spec| fieldspec::merge_one(&mut fields, spec))
            };
            add(&config.labels)?;
            if label.include_selectors {
                add(&config.common_labels)?;
            } else {
                if label.include_templates {
                    add(&config.template_labels)?;
                }
                if label.include_volume_claim_templates {
                    add(&config.volume_claim_template_labels)?;
                }
                add(&[FieldSpec::of_any("metadata/labels", true)])?;
            }
            let pairs = label.pairs.clone();
            steps.push(("LabelTransformer", Step::Pairs(PairsStep { pairs, fields })));
        }
        steps.push((
            "LabelTransformer",
            Step::Pairs(PairsStep {
                pairs: file.common_labels.clone(),
                fields: config.common_labels.clone(),
            }),
        ));
    }
    if !file.common_annotations.is_empty() {
        steps.push((
            "AnnotationsTransformer",
            Step::Pairs(PairsStep {
                pairs: file.common_annotations.clone(),
                fields: config.common_annotations.clone(),
            }),
        ));
    }
    for patch in &file.patches_json6902 {
        let step = PatchStep::json(patch, session, directory)?;
        steps.push(("PatchJson6902Transformer", Step::Patch(step)));
    }
    for replica in &file.replicas {
        let step = ReplicaStep {
            replica: replica.clone(),
            fields: config.replicas.clone(),
        };
        steps.push(("ReplicaCountTransformer", Step::Replicas(step)));
    }
    for image in &file.images {
        let step = ImageStep::new(image.clone(), config.images.clone());
        steps.push(("ImageTagTransformer", Step::Image(step)));
    }
    if !file.replacements.is_empty() {
        let step = ReplacementStep::new(&file.replacements, session, directory)?;
        steps.push(("ReplacementTransformer", Step::Replacement(step)));
    }
    Ok(steps)
}

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
struct Own {
    kind: String,
    metadata: Metadata,
    rest: Value,
}

impl Own {
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
                    "{id} is a plugin or function, which is a program, and nothing is run while \
                     rendering; only built-in steps (apiVersion: builtin) can be used"
                ),
            ));
        }
        if kind == "HelmChartInflationGenerator" {
            return Err(Failure::new(
                Reason::HelmRefused,
                "Helm charts are not rendered; commit what `helm template` prints",
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

/// Makes scalars text where Kustomize's own types have text: it reads `newTag: 1.10` in a step's own file
/// as people mean it.
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
    let own = Own::new(resource)?;
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
                return Err(Failure::render(format!("{kind}: fieldSpecs are needed")));
            }
            let fields = specs(read.field_specs);
            let mut steps = Vec::new();
            for (end, text, only) in [
                (End::Prefix, read.prefix, "PrefixTransformer"),
                (End::Suffix, read.suffix, "SuffixTransformer"),
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
            return Err(Failure::render(format!(
                "there is no built-in step {other:?}"
            )));
        }
    };
    Ok(vec![step])
}

fn value_add_step(own: Own, session: &Session<'_>, directory: &Directory) -> Outcome<ValueAddStep> {
    let mut read: OwnValueAdd = own.read()?;
    let mut value = read.value.trim().to_owned();
    if value.is_empty() {
        let base = directory.path.rsplit('/').next().unwrap_or_default();
        if base.is_empty() {
            return Err(Failure::render(
                "ValueAddTransformer: `value` is needed in the repository's root directory",
            ));
        }
        base.clone_into(&mut value);
    }
    if !read.target_file_path.is_empty() {
        let text = session.load_text(directory, &read.target_file_path)?;
        let place = session.place(directory, &read.target_file_path);
        let more: OwnValueAdd = super::file::typed(&place, text)?;
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

/// What one file under `generators` makes.
///
/// # Errors
/// When it is not built in, or malformed.
pub(crate) fn generate(
    resource: &Resource,
    session: &Session<'_>,
    directory: &Directory,
) -> Outcome<Resource> {
    let own = Own::new(resource)?;
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
                Made::Secret
            } else {
                Made::ConfigMap
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
            "there is no built-in generator {other:?}"
        ))),
    }
}

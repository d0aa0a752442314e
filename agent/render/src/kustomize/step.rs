//! Steps that change resources, from a kustomization's own fields or from files and inline texts
//! under `transformers`.

mod own;

pub(crate) use own::{generate, of_file};

use super::config::Config;
use super::failure::Outcome;
use super::fieldspec::{self, FieldSpec};
use super::file::Kustomization;
use super::hash;
use super::metadata::{AffixSide, AffixStep, NamespaceStep, PairsStep, Subjects};
use super::patch::{MergeStep, PatchStep};
use super::replacement::ReplacementStep;
use super::resources::Resources;
use super::session::{Directory, Session};
use super::value_add::ValueAddStep;
use super::workload::{ImageStep, ReplicaStep};

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
            AffixSide::Prefix,
            &file.name_prefix,
            &config.name_prefix,
        ),
        (
            "SuffixTransformer",
            AffixSide::Suffix,
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
        steps.extend(labels(file, config)?);
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

/// The steps of both kinds of labels.
fn labels(file: &Kustomization, config: &Config) -> Outcome<Vec<(&'static str, Step)>> {
    let mut steps = Vec::new();
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
            add(&[FieldSpec::of_any("metadata/labels").creating()])?;
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
    Ok(steps)
}

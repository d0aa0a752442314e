//! Where steps look for fields: Kustomize's defaults, and additions by `configurations` and `crds`
//! (`api/internal/plugins/builtinconfig`).

use std::sync::{Arc, OnceLock};

use serde::Deserialize;

use super::failure::Outcome;
use super::fieldspec::{self, FieldSpec};
use super::file;
use super::identity::Gvk;

const DEFAULTS: &str = include_str!("default_fields.yaml");

/// Fields by the step that uses them.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(crate) struct Config {
    pub(crate) name_prefix: Vec<FieldSpec>,
    pub(crate) name_suffix: Vec<FieldSpec>,
    pub(crate) namespace: Vec<FieldSpec>,
    pub(crate) common_labels: Vec<FieldSpec>,
    pub(crate) labels: Vec<FieldSpec>,
    pub(crate) template_labels: Vec<FieldSpec>,
    pub(crate) volume_claim_template_labels: Vec<FieldSpec>,
    pub(crate) common_annotations: Vec<FieldSpec>,
    pub(crate) name_reference: Vec<Reference>,
    pub(crate) var_reference: Vec<FieldSpec>,
    pub(crate) images: Vec<FieldSpec>,
    pub(crate) replicas: Vec<FieldSpec>,
}

/// Fields that hold the name of an object of one kind.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(crate) struct Reference {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) kind: String,
    pub(crate) field_specs: Vec<FieldSpec>,
}

impl Reference {
    /// The kind that is referred to.
    pub(crate) fn gvk(&self) -> Gvk {
        Gvk {
            group: self.group.clone(),
            version: self.version.clone(),
            kind: self.kind.clone(),
        }
    }
}

impl Config {
    /// Kustomize's defaults.
    pub(crate) fn defaults() -> Arc<Self> {
        static DEFAULT: OnceLock<Arc<Config>> = OnceLock::new();
        // The table is compiled in, and a test parses it.
        Arc::clone(DEFAULT.get_or_init(|| {
            let mut config: Self = file::typed("default_fields.yaml", DEFAULTS).unwrap_or_default();
            config.sort();
            Arc::new(config)
        }))
    }

    /// Reads a configuration file.
    ///
    /// # Errors
    /// When it is not YAML or has an unknown field.
    pub(crate) fn read(file: &str, text: &str) -> Outcome<Self> {
        let mut config: Self = file::typed_strict(file, text)?;
        config.sort();
        Ok(config)
    }

    /// Two configurations as one.
    ///
    /// # Errors
    /// When they contradict each other.
    pub(crate) fn merge(first: &Arc<Self>, second: &Arc<Self>) -> Outcome<Arc<Self>> {
        // In nearly all cases both are the defaults.
        if Arc::ptr_eq(first, second) || **second == Self::default() {
            return Ok(Arc::clone(first));
        }
        // Merging into an empty configuration is not the same as replacing it: a wide specification is
        // dropped where a narrow one of the same path sorts before it. Kustomize's own tests rely on
        // that.
        if **first == Self::default() && Arc::ptr_eq(second, &Self::defaults()) {
            return Ok(Arc::clone(second));
        }
        let mut merged = (**first).clone();
        for (all, new) in [
            (&mut merged.name_prefix, &second.name_prefix),
            (&mut merged.name_suffix, &second.name_suffix),
            (&mut merged.namespace, &second.namespace),
            (&mut merged.common_labels, &second.common_labels),
            (&mut merged.labels, &second.labels),
            (&mut merged.template_labels, &second.template_labels),
            (
                &mut merged.volume_claim_template_labels,
                &second.volume_claim_template_labels,
            ),
            (&mut merged.common_annotations, &second.common_annotations),
            (&mut merged.var_reference, &second.var_reference),
            (&mut merged.images, &second.images),
            (&mut merged.replicas, &second.replicas),
        ] {
            for spec in new {
                fieldspec::merge_one(all, spec)?;
            }
        }
        for reference in &second.name_reference {
            merged.add_reference(reference)?;
        }
        merged.sort();
        Ok(Arc::new(merged))
    }

    /// Adds fields that hold names.
    ///
    /// # Errors
    /// When they contradict known ones.
    pub(crate) fn add_reference(&mut self, new: &Reference) -> Outcome<()> {
        match self
            .name_reference
            .iter_mut()
            .find(|old| old.gvk() == new.gvk())
        {
            Some(old) => new
                .field_specs
                .iter()
                .try_for_each(|spec| fieldspec::merge_one(&mut old.field_specs, spec)),
            None => {
                self.name_reference.push(new.clone());
                Ok(())
            }
        }
    }

    fn sort(&mut self) {
        for specs in [
            &mut self.name_prefix,
            &mut self.name_suffix,
            &mut self.namespace,
            &mut self.common_labels,
            &mut self.labels,
            &mut self.template_labels,
            &mut self.volume_claim_template_labels,
            &mut self.common_annotations,
            &mut self.var_reference,
            &mut self.images,
            &mut self.replicas,
        ] {
            specs.sort_by_cached_key(|spec| super::order::stable_key(&spec.gvk));
        }
        self.name_reference
            .sort_by_cached_key(|reference| super::order::stable_key(&reference.gvk()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_fields_are_all_there() {
        let config = Config::defaults();
        assert_eq!(config.name_reference.len(), 16);
        assert_eq!(config.name_prefix.len(), 1);
        assert_eq!(config.images.len(), 6);
        assert!(config.var_reference.len() > 60);
        assert!(file::typed::<Config>("f", DEFAULTS).is_ok());
    }
}

//! Namespaces, prefixes, suffixes, labels and annotations.

use std::collections::HashSet;

use super::budget::Budget;
use super::failure::{Failure, Outcome};
use super::fieldspec::{Create, FieldSpec};
use super::file::Pairs;
use super::node::Node;
use super::resource::Resource;
use super::resources::Resources;

/// Which subjects of role bindings get the namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
pub(crate) enum Subjects {
    /// Those called `default`.
    #[default]
    #[serde(rename = "defaultOnly", alias = "")]
    Default,
    /// All service accounts.
    #[serde(rename = "allServiceAccounts")]
    ServiceAccounts,
    #[serde(rename = "none")]
    None,
}

/// `namespace`.
#[derive(Debug)]
pub(crate) struct NamespaceStep {
    pub(crate) namespace: String,
    /// Fields besides `metadata.namespace`.
    pub(crate) fields: Vec<FieldSpec>,
    /// Whether only empty fields are set.
    pub(crate) unset_only: bool,
    pub(crate) subjects: Subjects,
}

impl NamespaceStep {
    /// Applies the transformer to all resources.
    ///
    /// # Errors
    /// When two objects become one, or a field is not a scalar.
    pub(crate) fn apply(&self, resources: &mut Resources, budget: &Budget) -> Outcome<()> {
        if self.namespace.is_empty() {
            return Ok(());
        }
        budget.work(resources.len().saturating_mul(self.namespace.len()))?;
        for resource in resources.iter_mut() {
            if resource.is_deleted()
                || resource.annotation("internal.config.kubernetes.io/helm-generated")
                    == Some("true")
            {
                continue;
            }
            resource.remember_id();
            self.apply_to(resource).map_err(|error| {
                error.context(&format!("namespace of {}", resource.current_id()))
            })?;
        }
        let mut seen = HashSet::with_capacity(resources.len());
        for resource in resources.iter() {
            let id = resource.current_id();
            if !seen.insert(id.key()) {
                return Err(Failure::render(format!(
                    "the namespace makes two objects the same: {id}"
                )));
            }
        }
        Ok(())
    }

    fn apply_to(&self, resource: &mut Resource) -> Outcome<()> {
        let core = resource.api_version() == "v1";
        let binding = matches!(resource.kind(), "RoleBinding" | "ClusterRoleBinding");
        let mut set = |node: &mut Node| match node {
            Node::Scalar(scalar) => {
                let has_one = !node_is_blank(scalar);
                if !(self.unset_only && has_one) {
                    *node = Node::text(&self.namespace);
                }
                Ok(())
            }
            _ => Err(Failure::render("namespace fields must be scalars")),
        };
        if !resource.current_id().cluster_scoped {
            FieldSpec::of_any("metadata/namespace").creating().apply(
                &mut resource.node,
                Create::Text,
                &mut set,
            )?;
        }
        if binding && let Some(Node::Sequence(subjects)) = resource.node.field_mut("subjects") {
            for subject in subjects {
                let text = |field: &str| subject.field(field).map_or("", Node::scalar_text);
                let is_meant = match self.subjects {
                    Subjects::None => false,
                    Subjects::Default => text("name") == "default",
                    Subjects::ServiceAccounts => text("kind") == "ServiceAccount",
                };
                if is_meant && let Some(subject) = subject.as_map_mut() {
                    set(subject.entry("namespace", || Node::text("")))?;
                }
            }
        }
        for field in &self.fields {
            let hard_coded = field.path == "metadata/namespace"
                || (field.path == "metadata/name" && !core)
                || (binding
                    && field.path == "subjects/namespace"
                    && matches!(
                        field.gvk.kind.as_str(),
                        "RoleBinding" | "ClusterRoleBinding"
                    ));
            if !hard_coded {
                field.apply(&mut resource.node, Create::Text, &mut set)?;
            }
        }
        Ok(())
    }
}

fn node_is_blank(scalar: &super::node::Scalar) -> bool {
    scalar.text.is_empty() || scalar.tag == super::node::Tag::Null
}

/// Which end of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AffixSide {
    Prefix,
    Suffix,
}

/// `namePrefix` or `nameSuffix`.
#[derive(Debug)]
pub(crate) struct AffixStep {
    pub(crate) end: AffixSide,
    pub(crate) text: String,
    pub(crate) fields: Vec<FieldSpec>,
}

impl AffixStep {
    /// Applies the transformer to all resources.
    ///
    /// # Errors
    /// When a field is not a scalar.
    pub(crate) fn apply(&self, resources: &mut Resources, budget: &Budget) -> Outcome<()> {
        budget.work(resources.len().saturating_mul(self.text.len()))?;
        for resource in resources.iter_mut() {
            let original = resource.original_id().gvk;
            // The names of these kinds have a meaning outside the set, so they are not changed.
            if matches!(
                original.kind.as_str(),
                "CustomResourceDefinition" | "Namespace"
            ) || (original.kind == "APIService" && original.group == "apiregistration.k8s.io")
            {
                continue;
            }
            for field in &self.fields {
                if !original.is_selected(&field.gvk) {
                    continue;
                }
                if field.path == "metadata/name" && !self.text.is_empty() {
                    let list = match self.end {
                        AffixSide::Prefix => &mut resource.history.prefixes,
                        AffixSide::Suffix => &mut resource.history.suffixes,
                    };
                    list.push(self.text.clone());
                    resource.remember_id();
                }
                field.apply(&mut resource.node, Create::Text, &mut |node| match node {
                    Node::Scalar(scalar) => {
                        let old = &scalar.text;
                        *node = Node::text(&match self.end {
                            AffixSide::Prefix => format!("{}{old}", self.text),
                            AffixSide::Suffix => format!("{old}{}", self.text),
                        });
                        Ok(())
                    }
                    _ => Err(Failure::render("a name must be a scalar")),
                })?;
            }
        }
        Ok(())
    }
}

/// Labels or annotations.
#[derive(Debug)]
pub(crate) struct PairsStep {
    pub(crate) pairs: Pairs,
    /// Mappings that get them.
    pub(crate) fields: Vec<FieldSpec>,
}

impl PairsStep {
    /// Applies the transformer to all resources.
    ///
    /// # Errors
    /// When a field is not a mapping.
    pub(crate) fn apply(&self, resources: &mut Resources, budget: &Budget) -> Outcome<()> {
        if self.pairs.is_empty() {
            return Ok(());
        }
        let bytes: usize = self
            .pairs
            .iter()
            .map(|(key, value)| 64 + key.len() + value.len())
            .sum();
        budget.work(resources.len().saturating_mul(bytes))?;
        for resource in resources.iter_mut() {
            for field in &self.fields {
                field
                    .apply(&mut resource.node, Create::Map, &mut |node| {
                        let kind = node.kind_name();
                        match node {
                            Node::Map(map) => {
                                for (key, value) in &self.pairs {
                                    map.insert(key, Node::text(value));
                                }
                                Ok(())
                            }
                            // A null that must not be created stays null.
                            node if node.is_null() => Ok(()),
                            _ => Err(Failure::render(format!("expected a mapping, found {kind}"))),
                        }
                    })
                    .map_err(|error| error.context(&resource.origin.to_string()))?;
            }
        }
        Ok(())
    }
}

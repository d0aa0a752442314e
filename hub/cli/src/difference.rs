//! Effect of a change of a repository on a fleet: both trees rendered for every application, environment and distinct
//! facts of clusters, and equal differences merged. Pure, given two trees.

mod comparison;
mod objects;
mod pairs;
mod placement;
mod removals;
mod ways;

use std::collections::{BTreeMap, BTreeSet};

use flotilla_render::Tree;
use flotilla_shared::id::{ApplicationName, RepositoryName};
use flotilla_spec::Spec;
use schemars::JsonSchema;
use serde::Serialize;

use comparison::Comparison;
pub(crate) use objects::{Action, ObjectChange};
pub(crate) use removals::Taken;

/// Everything that differs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Difference {
    /// Differences of what is rendered, each once.
    pub(crate) changes: Vec<Group>,
    /// Who gets an application that was not placed there, and who loses one.
    pub(crate) placements: Vec<Moved>,
    /// What the fleet file takes away on purpose.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) removals: Vec<Taken>,
    /// What the fleet file says otherwise of an application.
    pub(crate) settings: Vec<ChangedSettings>,
    /// Renders that came out the same.
    pub(crate) unchanged: usize,
    /// What cannot be rendered here, and why.
    pub(crate) left_out: Vec<LeftOut>,
}

/// One difference, and where it comes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "DifferenceGroup")]
pub(crate) struct Group {
    /// Object by object.
    pub(crate) objects: Vec<ObjectChange>,
    /// Why the new tree does not render; empty: it does.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) error: String,
    /// Why the old tree did not render; empty: it did.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) error_before: String,
    /// Where it comes.
    pub(crate) at: Vec<At>,
}

/// Clusters of one environment with one application.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[schemars(rename = "DifferencePlace")]
pub(crate) struct At {
    /// Its name in the fleet file.
    pub(crate) application: String,
    /// Its name in the fleet file.
    pub(crate) environment: String,
    /// Clusters that the fleet file declares; none: whichever follow the environment.
    pub(crate) clusters: Vec<String>,
}

/// Placements of one application in one environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "MovedPlacement")]
pub(crate) struct Moved {
    /// Its name in the fleet file.
    pub(crate) application: String,
    /// Its name in the fleet file.
    pub(crate) environment: String,
    /// Clusters that get it; an empty name is whichever follow the environment.
    pub(crate) gained: Vec<String>,
    /// Clusters that lose it. Its objects stay there, unless it is among `removals`.
    pub(crate) lost: Vec<String>,
}

/// What is set otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct ChangedSettings {
    /// Its name in the fleet file.
    pub(crate) application: String,
    /// Keys of the fleet file.
    pub(crate) keys: Vec<&'static str>,
}

/// What cannot be rendered here.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub(crate) struct LeftOut {
    /// Its name in the fleet file.
    pub(crate) application: String,
    /// The environment; empty: all.
    pub(crate) environment: String,
    /// Why, for a person.
    pub(crate) why: String,
}

impl Difference {
    /// Whether anything differs.
    pub(crate) fn differs(&self) -> bool {
        !self.changes.is_empty()
            || !self.placements.is_empty()
            || !self.removals.is_empty()
            || !self.settings.is_empty()
    }

    /// Whether some of the new tree does not render.
    pub(crate) fn fails(&self) -> bool {
        self.changes.iter().any(|group| !group.error.is_empty())
    }
}

/// One side: the fleet file, and the tree of the repository.
pub(crate) struct Side<'t> {
    pub(crate) spec: &'t Spec,
    pub(crate) tree: &'t dyn Tree,
}

/// Everything that determines a render, besides the tree.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    path: String,
    /// Number of the renderer.
    renderer: u8,
    /// All inputs of a chart, as text.
    chart: String,
    /// Facts; none: the application does not substitute them.
    facts: Option<(String, String, BTreeMap<String, String>)>,
}

/// Compares two sides of one repository.
pub(crate) fn compare(old: &Side<'_>, new: &Side<'_>, repository: &RepositoryName) -> Difference {
    let names: BTreeSet<&ApplicationName> = old
        .spec
        .applications
        .keys()
        .chain(new.spec.applications.keys())
        .collect();
    let mut comparison = Comparison::of(old, new, repository);
    for name in names {
        comparison.application(name);
    }
    comparison.finish()
}

#[cfg(test)]
mod tests;

//! Removals that a change of the fleet file declares.

use flotilla_spec::{Objects, Spec};
use schemars::JsonSchema;
use serde::Serialize;

/// An application that is to be removed where it was not before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Removal")]
pub(crate) struct Taken {
    /// Its name in the fleet file.
    pub(crate) application: String,
    /// Where; none: everywhere.
    pub(crate) environments: Vec<String>,
    /// Which clusters of them; none: all.
    pub(crate) clusters: Vec<String>,
    /// Whether its objects stay.
    pub(crate) keep_objects: bool,
}

impl Taken {
    /// Whether objects of an application are removed in an environment.
    pub(crate) fn deletes(&self, application: &str, environment: &str) -> bool {
        !self.keep_objects
            && self.application == application
            && (self.environments.is_empty()
                || self.environments.iter().any(|named| named == environment))
    }

    pub(crate) fn words(&self) -> String {
        let place = match self.environments.as_slice() {
            [] => "everywhere".to_owned(),
            some => format!("in {}", some.join(", ")),
        };
        let clusters = match self.clusters.as_slice() {
            [] => String::new(),
            some => format!(", from {}", some.join(", ")),
        };
        let objects = match self.keep_objects {
            true => "its objects are kept, unmanaged",
            false => "its objects are deleted",
        };
        format!(
            "{} is removed {place}{clusters}; {objects}",
            self.application
        )
    }
}

pub(super) fn taken(old: &Spec, new: &Spec) -> Vec<Taken> {
    let entries = new.removed.iter();
    entries
        .filter(|entry| !old.removed.contains(entry))
        .map(|entry| Taken {
            application: entry.application.to_string(),
            environments: entry.environments.iter().map(ToString::to_string).collect(),
            clusters: entry.clusters.iter().map(ToString::to_string).collect(),
            keep_objects: entry.objects == Objects::Keep,
        })
        .collect()
}

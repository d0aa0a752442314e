//! The fleet file's removals, and what they may not say.

use std::collections::BTreeSet;

use flotilla_shared::id::{ApplicationName, ClusterName, EnvironmentName};
use serde::Deserialize;

use super::Checker;
use crate::removal::{MAX_REMOVALS, Objects, Removal};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct RemovalEntry {
    application: ApplicationName,
    #[serde(default)]
    environments: BTreeSet<EnvironmentName>,
    #[serde(default)]
    clusters: BTreeSet<ClusterName>,
    #[serde(default)]
    keep_objects: bool,
}

impl Checker<'_> {
    /// After everything else was read: a removal is held against what is declared.
    pub(super) fn removals(&mut self) {
        let entries = &self.file.value.removed;
        if entries.len() > MAX_REMOVALS {
            let message = format!(
                "{} are more than {MAX_REMOVALS}: take those out that were carried out everywhere",
                flotilla_shared::words::counted(entries.len(), "entry")
            );
            return self.error("removed", message);
        }
        for (index, entry) in entries.iter().enumerate() {
            self.removal(index, entry);
        }
    }

    fn removal(&mut self, index: usize, entry: &RemovalEntry) {
        let path = format!("removed[{index}]");
        for environment in &entry.environments {
            if self.spec.environment(environment).is_none() {
                let message = format!("there is no environment {environment}");
                self.error(&format!("{path}.environments"), message);
            }
        }
        let removal = Removal {
            application: entry.application.clone(),
            environments: entry.environments.clone(),
            clusters: entry.clusters.clone(),
            objects: Objects::from(entry.keep_objects),
        };
        let name = &removal.application;
        let declared = self.spec.applications.get(name);
        if declared.is_some_and(|declared| removal.contradicts(declared, &self.spec)) {
            let message = format!(
                "{name} is declared there, too: take it out of applications, or out of its placement, or \
                 name here the clusters that lose it"
            );
            self.error(&path, message);
        }
        let mut others = self.spec.removed.iter();
        if others.any(|other| other.overlaps(&removal)) {
            let message = format!("{name} is already removed there by an entry before this one");
            self.error(&path, message);
        }
        self.spec.removed.push(removal);
    }
}

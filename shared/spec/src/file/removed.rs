//! Reads and checks the fleet file's removals.

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
    /// Reads the removals last, since they are checked against what is declared.
    pub(super) fn removals(&mut self) {
        let entries = &self.file.value.removed;
        if entries.len() > MAX_REMOVALS {
            let message = format!(
                "{} are more than {MAX_REMOVALS}: delete those that are complete everywhere",
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
                "{name} is declared there, too: remove it from applications or from its \
                 placement, or name the clusters here that lose it"
            );
            self.error(&path, message);
        }
        let mut others = self.spec.removed.iter();
        if others.any(|other| other.overlaps(&removal)) {
            let message = format!("{name} is already removed there by an earlier entry");
            self.error(&path, message);
        }
        self.spec.removed.push(removal);
    }
}

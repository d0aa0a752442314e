//! Reads and checks the fleet file's previews.

use flotilla_shared::id::{EnvironmentName, RepositoryName};
use flotilla_shared::revision::BranchName;
use serde::Deserialize;

use super::Checker;
use crate::preview::{MAX_PREVIEWS, Preview, Role};

/// Longest name of a label on any forge, bytes.
const MAX_LABEL: usize = 255;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct PreviewEntry {
    environment: EnvironmentName,
    #[serde(default)]
    repository: Option<RepositoryName>,
    branch: BranchName,
    #[serde(default)]
    label: Option<String>,
    #[serde(default)]
    role: Option<Role>,
}

impl Checker<'_> {
    /// Reads the previews, after repositories and environments.
    pub(super) fn previews(&mut self) {
        let entries = &self.file.value.previews;
        if entries.len() > MAX_PREVIEWS {
            let count = flotilla_shared::words::counted(entries.len(), "entry");
            return self.error("previews", format!("{count} are more than {MAX_PREVIEWS}"));
        }
        for (index, entry) in entries.iter().enumerate() {
            self.preview(&format!("previews[{index}]"), entry);
        }
    }

    fn preview(&mut self, path: &str, entry: &PreviewEntry) {
        if self.spec.environment(&entry.environment).is_none() {
            let message = format!("there is no environment {}", entry.environment);
            self.error(&format!("{path}.environment"), message);
        }
        let all = &self.spec.repositories;
        let repository = match (&entry.repository, all.len()) {
            (Some(name), _) if !all.contains_key(name) => {
                let message = format!("there is no repository {name}");
                return self.error(&format!("{path}.repository"), message);
            }
            (Some(name), _) => name.clone(),
            (None, 1) => match all.keys().next() {
                Some(name) => name.clone(),
                None => return,
            },
            (None, _) => {
                let message = "pull requests belong to one repository, and this file does not have exactly one: \
                               name it with repository";
                return self.error(path, message);
            }
        };
        if entry.label.is_none() && entry.role.is_none() {
            let message = "give label, role or both to say who may request plans: a plan is work for the agents \
                           and reaches the clusters' admission webhooks";
            self.error(path, message);
        }
        let label = entry.label.as_deref();
        if label.is_some_and(|label| label.trim().is_empty() || label.len() > MAX_LABEL) {
            let message = format!("a label must have 1 to {MAX_LABEL} bytes");
            self.error(&format!("{path}.label"), message);
        }
        let preview = Preview {
            environment: entry.environment.clone(),
            repository,
            branch: entry.branch.clone(),
            label: entry.label.clone(),
            role: entry.role,
        };
        let same = |other: &Preview| {
            other.environment == preview.environment
                && other.repository == preview.repository
                && other.branch == preview.branch
        };
        if self.spec.previews.iter().any(same) {
            let message =
                "an entry before this one has the same environment, repository and branch";
            self.error(path, message);
        }
        self.spec.previews.push(preview);
    }
}

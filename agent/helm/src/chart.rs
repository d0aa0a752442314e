//! Charts in a tree of files, or in an archive.
//!
//! ```text
//!   files --ignore--> load (metadata, archive for .tgz in charts/) --> Chart --dependencies--> Chart with
//!                                                             the subcharts that its values ask for
//! ```

mod archive;
mod dependencies;
mod files;
mod glob;
mod ignore;
mod load;
mod lock;
mod metadata;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::fields::Mismatch;
use crate::functions::semver::compatible;
use crate::message::Message;
use crate::value::{Map, Value};

pub(crate) use dependencies::process as process_dependencies;
pub use files::Files;
pub use glob::path_match;
pub use lock::{Lock, digest, is_named};
pub use metadata::{Dependency, Maintainer, Metadata};

/// A file with its path from the chart's folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// With `/` between its parts.
    pub name: String,
    /// As it is.
    pub data: Arc<[u8]>,
}

impl File {
    /// Takes the path as it is: parts joined by `/`, from the chart's folder.
    pub fn new(name: impl Into<String>, data: impl Into<Arc<[u8]>>) -> Self {
        Self {
            name: name.into(),
            data: data.into(),
        }
    }
}

/// Why a chart cannot be loaded: Helm's own text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct LoadError(String);

impl From<String> for LoadError {
    fn from(message: String) -> Self {
        Self(message)
    }
}

impl From<&str> for LoadError {
    fn from(message: &str) -> Self {
        Self(message.to_owned())
    }
}

impl From<Mismatch> for LoadError {
    fn from(mismatch: Mismatch) -> Self {
        Self(mismatch.to_string())
    }
}

/// A chart with the charts below it.
#[derive(Clone, Debug)]
pub struct Chart {
    /// `Chart.yaml`.
    pub metadata: Metadata,
    /// Files in `templates/`.
    pub templates: Vec<File>,
    /// All other files.
    pub files: Vec<File>,
    /// `values.yaml`, after import of values from subcharts.
    pub values: Map,
    /// `values.schema.json`.
    pub schema: Option<Arc<[u8]>>,
    /// Charts in `charts/`.
    pub dependencies: Vec<Chart>,
    /// `Chart.lock`, or the older `requirements.lock`.
    pub lock: Option<Lock>,
}

impl Chart {
    /// Loads a chart's folder. `.helmignore` is obeyed.
    ///
    /// # Errors
    ///
    /// What is malformed or missing, in Helm's words.
    pub fn from_folder(files: Vec<File>) -> Result<Self, LoadError> {
        load::folder(files)
    }

    /// Returns the files of a chart's folder that belong to the chart: what `.helmignore` leaves, in the order of a
    /// directory walk.
    ///
    /// # Errors
    ///
    /// As [`Chart::from_folder`].
    pub fn kept(files: Vec<File>) -> Result<Vec<File>, LoadError> {
        load::kept(files)
    }

    /// Loads a `.tgz`.
    ///
    /// # Errors
    ///
    /// As [`Chart::from_folder`], and what makes an archive unusable: paths that leave it, sizes beyond
    /// Helm's own limits.
    pub fn from_archive(archive: &[u8]) -> Result<Self, LoadError> {
        load::archive(archive)
    }

    /// Its name, which is the alias where it is used under one.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.metadata.name
    }

    /// A chart of definitions only, which renders nothing itself.
    #[must_use]
    pub fn is_library(&self) -> bool {
        self.metadata.kind.eq_ignore_ascii_case("library")
    }

    /// What `.Chart` is in its templates; `parent` is the dot of the chart above, where there is one.
    pub(crate) fn as_value(&self, parent: Option<&Map>) -> Value {
        let map = self.metadata.as_map();
        map.insert("IsRoot", parent.is_none());
        Value::Map(map)
    }

    /// Declared dependencies that are not in `charts/`.
    ///
    /// # Errors
    ///
    /// Their names, and the command that brings them.
    pub fn check_dependencies(&self) -> Result<(), Message> {
        let missing: Vec<&str> = self
            .metadata
            .dependencies
            .iter()
            .map(|dependency| dependency.name.as_str())
            .filter(|name| !self.dependencies.iter().any(|chart| chart.name() == *name))
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        Err(Message::from(format!(
            "an error occurred while checking for chart dependencies. You may need to run `helm dependency \
             build` to fetch missing dependencies: found in Chart.yaml, but missing in charts/ directory: {}",
            missing.join(", ")
        )))
    }

    /// Returns where `Chart.lock` differs from `Chart.yaml` and `charts/`. `helm template` checks none of that, so it
    /// is a warning and not an error.
    #[must_use]
    pub fn lock_faults(&self) -> Vec<String> {
        let Some(lock) = &self.lock else {
            return Vec::new();
        };
        if let Some(fault) = lock.fault(&self.metadata) {
            return vec![format!("the lock is out of sync with Chart.yaml: {fault}")];
        }
        let locked = lock.dependencies.iter().filter(|locked| {
            let mut present = self
                .dependencies
                .iter()
                .filter(|chart| chart.name() == locked.name);
            let other = |chart: &Chart| !compatible(&locked.version, &chart.metadata.version);
            !locked.repository.is_empty() && present.clone().next().is_some() && present.all(other)
        });
        locked
            .map(|locked| {
                format!(
                    "the lock has {} {}, but charts/ holds another version of it",
                    locked.name, locked.version
                )
            })
            .collect()
    }

    /// The files of `crds/`, here and below, with their paths from `path`.
    pub(crate) fn crds(&self, path: &str, into: &mut Vec<File>) {
        let manifest = |name: &str| {
            let extension = name
                .rsplit('/')
                .next()
                .and_then(|base| base.rsplit_once('.'));
            extension.is_some_and(|(_, extension)| {
                ["yaml", "yml", "json"]
                    .iter()
                    .any(|known| extension.eq_ignore_ascii_case(known))
            })
        };
        for file in &self.files {
            if file.name.starts_with("crds/") && manifest(&file.name) {
                into.push(File {
                    name: format!("{path}/{}", file.name),
                    data: Arc::clone(&file.data),
                });
            }
        }
        for chart in &self.dependencies {
            chart.crds(&format!("{path}/charts/{}", chart.name()), into);
        }
    }
}

//! How an application's Helm chart is rendered.

use crate::revision::TreePath;

/// Most values files of one application.
pub const MAX_VALUES_FILES: usize = 32;
/// Longest inline values, bytes of JSON.
pub const MAX_VALUES_BYTES: usize = 64 << 10;

/// Options of an application's Helm chart, all with defaults. The hub's store keeps them as part of the
/// declared application: a new field has to be left out where it has its default.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ChartOptions {
    /// `.Release.Name`; empty: the application's name.
    pub release_name: String,
    /// Values files, each overriding the chart's own values and the files before it.
    pub values_files: Vec<ValuesFile>,
    /// Inline values that override all files, as the text of a JSON object; empty: none.
    pub values: Box<str>,
    /// How the chart's `crds/` are handled.
    pub crds: Crds,
    /// Whether `lookup` is an error instead of empty with a warning.
    pub strict: bool,
    /// How functions of randomness and time are handled.
    pub generated: Generated,
    /// Whether to ignore `values.schema.json`.
    pub skip_schema: bool,
}

/// One file of values.
#[derive(Debug, Clone, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ValuesFile {
    /// Path from the repository's root.
    pub path: TreePath,
    /// Whether the file may be missing.
    pub optional: bool,
}

/// How a chart's `crds/` are handled. They are never deleted.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Default, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Crds {
    /// Created, and kept up to date with the chart.
    #[default]
    Apply,
    /// Created where they are missing, and never updated, as Helm does.
    Create,
    /// Left out.
    Skip,
}

/// How a chart's functions of randomness and time are handled.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Default, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Generated {
    /// They are errors that name file and line.
    #[default]
    Refuse,
    /// Their results are derived from application, cluster, template and call, so that every render is the same.
    Derived,
}

//! How an application's Helm chart is rendered.

use crate::revision::TreePath;

/// Most values files of one application.
pub const MAX_VALUES_FILES: usize = 32;
/// Longest inline values, bytes of JSON.
pub const MAX_VALUES_BYTES: usize = 64 << 10;

/// What an application says of its chart; all of it has a default. In a hub's store like the rest of what is
/// declared: a new field is to be left out of it where it has its default.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ChartOptions {
    /// `.Release.Name`; empty: the application's name.
    pub release_name: String,
    /// Over the chart's own values, each over those before it.
    pub values_files: Vec<ValuesFile>,
    /// Over all files: a JSON object as text; empty: none.
    pub values: Box<str>,
    /// The chart's `crds/`.
    pub crds: Crds,
    /// `lookup` is an error instead of empty with a warning.
    pub strict: bool,
    /// What becomes of functions of chance and time.
    pub generated: Generated,
    /// `values.schema.json` is left aside.
    pub skip_schema: bool,
}

/// One file of values.
#[derive(Debug, Clone, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ValuesFile {
    /// From the repository's root.
    pub path: TreePath,
    /// It may be missing.
    pub optional: bool,
}

/// What becomes of a chart's `crds/`. Nothing of it is ever deleted.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Default, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Crds {
    /// Created, and kept as the chart has them.
    #[default]
    Apply,
    /// Created where they are missing, and left alone where they are there, as Helm does.
    Create,
    /// The chart's `crds/` are left out.
    Skip,
}

/// What becomes of a chart's functions of chance and time.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Default, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Generated {
    /// They are errors that name file and line.
    #[default]
    Refuse,
    /// They are functions of application, cluster, template and call, the same at every render.
    Derived,
}

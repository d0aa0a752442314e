//! What was done, and what could be.

use schemars::JsonSchema;
use serde::Serialize;

/// What became of a chart's dependencies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "VendoredCharts")]
pub struct Vendored {
    /// In the order of `Chart.yaml`.
    pub dependencies: Vec<VendoredChart>,
    /// Archives that were in `charts/` and are of no use any more.
    pub removed: Vec<String>,
    /// What became of `Chart.lock`.
    pub lock: LockChange,
    /// What a person should know.
    pub warnings: Vec<String>,
}

/// A dependency at the version that was chosen for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VendoredChart {
    /// Its name, not its alias.
    pub name: String,
    /// The exact one.
    pub version: String,
    /// Where it came from; empty for what lies in `charts/` as a folder.
    pub repository: String,
    /// The file in `charts/`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// SHA-256 of the archive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// What the archive was held against.
    pub checked: Vec<Checked>,
    /// Who signed its provenance file: the fingerprint of an OpenPGP certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signed_by: Option<String>,
    /// What became of the file.
    pub change: Change,
}

/// What an archive was held against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "CheckedAgainst")]
pub enum Checked {
    /// The sum in the repository's index.
    Index,
    /// The sum in the registry's manifest.
    Manifest,
    /// A provenance file, signed by a key of the keyring.
    Provenance,
}

/// What became of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ArchiveChange")]
pub enum Change {
    /// It is new.
    Added,
    /// It was there with other bytes.
    Updated,
    /// It was there.
    Unchanged,
}

/// What became of the lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum LockChange {
    /// It has other content.
    Written,
    /// It is as it was.
    Unchanged,
    /// A chart without dependencies has none.
    None,
}

/// How a dependency stands against what there is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "OutdatedChart")]
pub struct Outdated {
    /// Its name, not its alias.
    pub name: String,
    /// Where it comes from.
    pub repository: String,
    /// What `Chart.yaml` asks for.
    pub range: String,
    /// What `Chart.lock` says, or else what lies in `charts/`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current: Option<String>,
    /// The newest in the range.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_range: Option<String>,
    /// The newest of all that is no pre-release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub newest: Option<String>,
    /// What that comes to.
    pub standing: Standing,
}

/// How a dependency stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ChartStanding")]
pub enum Standing {
    /// Nothing newer is there.
    Current,
    /// `flotilla chart vendor --update` brings a newer one.
    Update,
    /// Only another range in `Chart.yaml` brings a newer one.
    Beyond,
    /// It is not vendored.
    Missing,
    /// It comes from this tree, where nothing is newer than itself.
    Local,
}

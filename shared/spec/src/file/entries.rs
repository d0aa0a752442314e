//! The keys of the fleet file, in its YAML form.

use std::collections::{BTreeMap, BTreeSet};

use flotilla_shared::assignment::{Drift, IgnoreRule, Prune, Renderer};
use flotilla_shared::id::{ApplicationName, ClusterName, EnvironmentName, RepositoryName};
use flotilla_shared::revision::{BranchName, RepositoryUrl};
use serde::Deserialize;

use super::super::Merge;
use super::super::helm::HelmEntry;
use super::super::strategy::{GatesEntry, StrategyEntry};
use super::previews::PreviewEntry;
use super::removed::RemovalEntry;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct FleetFile {
    pub(super) api_version: String,
    pub(super) kind: String,
    #[serde(default)]
    pub(super) repositories: Vec<RepositoryEntry>,
    #[serde(default)]
    pub(super) environments: Vec<EnvironmentEntry>,
    #[serde(default)]
    pub(super) clusters: Vec<ClusterEntry>,
    #[serde(default)]
    pub(super) applications: Vec<ApplicationEntry>,
    #[serde(default)]
    pub(super) removed: Vec<RemovalEntry>,
    #[serde(default)]
    pub(super) previews: Vec<PreviewEntry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct RepositoryEntry {
    pub(super) name: RepositoryName,
    pub(super) url: RepositoryUrl,
    #[serde(default)]
    pub(super) poll_interval: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct EnvironmentEntry {
    pub(super) name: EnvironmentName,
    pub(super) branch: BranchName,
    #[serde(default)]
    pub(super) promotes_from: Option<EnvironmentName>,
    #[serde(default)]
    pub(super) strategy: Option<StrategyEntry>,
    #[serde(default)]
    pub(super) gates: Option<GatesEntry>,
    #[serde(default)]
    pub(super) auto_promote: bool,
    #[serde(default)]
    pub(super) merge: Option<Merge>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct ClusterEntry {
    pub(super) name: ClusterName,
    pub(super) environment: EnvironmentName,
    #[serde(default)]
    pub(super) labels: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct ApplicationEntry {
    pub(super) name: ApplicationName,
    pub(super) repository: RepositoryName,
    pub(super) path: String,
    #[serde(default)]
    pub(super) renderer: Renderer,
    #[serde(default)]
    pub(super) helm: Option<HelmEntry>,
    #[serde(default)]
    pub(super) placement: PlacementEntry,
    #[serde(default)]
    pub(super) depends_on: Vec<ApplicationName>,
    #[serde(default)]
    pub(super) namespace: String,
    #[serde(default)]
    pub(super) substitute: bool,
    #[serde(default)]
    pub(super) sync_policy: SyncPolicyEntry,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct PlacementEntry {
    #[serde(default)]
    pub(super) environments: BTreeSet<EnvironmentName>,
    #[serde(default)]
    pub(super) clusters: BTreeSet<ClusterName>,
    #[serde(default)]
    pub(super) selector: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct SyncPolicyEntry {
    #[serde(default)]
    pub(super) prune: Prune,
    #[serde(default)]
    pub(super) drift: Drift,
    #[serde(default)]
    pub(super) force_conflicts: bool,
    #[serde(default)]
    pub(super) health_timeout: Option<String>,
    #[serde(default)]
    pub(super) ignore: Vec<IgnoreRule>,
}

//! Health rules of a policy or of the library.

use serde::Deserialize;

/// One rule of the policy file.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct HealthRule {
    /// API group; empty: the core group.
    #[serde(default)]
    pub group: String,
    #[serde(default)]
    pub kind: String,
    /// Expression that is true if what the object represents is missing.
    #[serde(default)]
    pub not_found: String,
    /// True: it failed.
    #[serde(default)]
    pub failed: String,
    /// Expression that is true if the health is unknown.
    #[serde(default)]
    pub unknown: String,
    /// Expression that is true if it waits for an operator.
    #[serde(default)]
    pub suspended: String,
    /// True: it is in progress.
    #[serde(default)]
    pub in_progress: String,
    /// True: it is as its specification says; otherwise it is in progress. Empty: judged by its
    /// conditions and states, as for kinds without a rule.
    #[serde(default)]
    pub current: String,
}

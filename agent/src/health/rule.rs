//! A health rule as it is written, in a policy or in the library.

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
    /// True: what it stands for is gone.
    #[serde(default)]
    pub not_found: String,
    /// True: it failed.
    #[serde(default)]
    pub failed: String,
    /// True: nobody can say.
    #[serde(default)]
    pub unknown: String,
    /// True: it waits for a person.
    #[serde(default)]
    pub suspended: String,
    /// True: it is on its way.
    #[serde(default)]
    pub in_progress: String,
    /// True: it is as its specification says; anything else is still on its way. Empty: what its
    /// conditions and states say, as for kinds without a rule.
    #[serde(default)]
    pub current: String,
}

//! Mirrors `flotilla_shared::findings`, which agents also link, and which therefore does not depend on schemas.

#![allow(
    dead_code,
    reason = "only their shape is asked for; a test holds it against what is printed"
)]

use schemars::JsonSchema;

/// Everything that was looked at.
#[derive(JsonSchema)]
pub(super) struct Findings {
    /// The worst of all.
    outcome: Outcome,
    /// Group by group; those without findings are left out.
    groups: Vec<FindingGroup>,
}

/// Findings that belong together.
#[derive(JsonSchema)]
struct FindingGroup {
    /// Of what.
    name: String,
    /// In the order in which they were looked at.
    findings: Vec<Finding>,
}

/// One thing that was looked at.
#[derive(JsonSchema)]
struct Finding {
    /// How it stands.
    outcome: Outcome,
    /// What was found.
    text: String,
    /// What to do; empty: nothing.
    #[serde(skip_serializing_if = "String::is_empty")]
    hint: String,
}

/// How one thing stands.
#[derive(JsonSchema)]
#[serde(rename_all = "camelCase")]
enum Outcome {
    /// As it should be.
    Well,
    /// Nothing is broken yet, or it may be meant so; somebody should look.
    Look,
    /// It could not be found out.
    Unknown,
    /// Something is wrong.
    Wrong,
}

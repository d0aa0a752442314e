//! The operators' model of a fleet: clusters, environments, rollouts, gates and plans as domain values.
//!
//! It is the shape of `-o json`, and tables, pages and messages are made of it. The hub makes it, and sends it on the
//! wire; wire types are converted here with every limit, and are not used beyond.
//!
//! Keys are camelCase and only ever added; moments are RFC 3339. Each type has its own JSON Schema, from which the
//! command line makes the published one (`deploy/schemas/output.schema.json`). Texts are cut and stripped of control
//! characters here, once, so that no hub, agent or repository can write control sequences to a terminal.

mod cluster;
mod compared;
mod decisions;
mod environment;
mod fleet_plan;
mod hub;
mod log;
pub mod markdown;
mod plan;
pub mod plan_comment;
mod rollout;
mod schema;
mod step;
mod wire;
mod words;

pub use cluster::{Application, Cluster, Connectivity, Object, ObjectAction, Placement};
pub use compared::{ClusterDifference, EnvironmentDifference};
pub use decisions::{
    Approval, Decisions, Good, GoodCommit, Held, Mark, Pin, Quarantine, RollbackTarget, Seen,
};
pub use environment::{Branch, Environment, Fleet, Heading};
pub use fleet_plan::{
    Answer, FleetPlan, PlanGroup, PlanVerdict, PlannedApplication, PlannedChange,
};
pub use hub::{GivenUp, Hub, Move, NewToken, Promotion, Right, Step, Token};
pub use log::{AuditAction, Entry, HUB_ACTOR, Operator};
pub use plan::{ApplicationPlan, Change, Field, PlannedAction};
pub use rollout::{
    Apart, Budget, BudgetKind, Phase, Progress, RepositoryCommit, Rollout, RolloutState,
    RolloutSummary, Wave,
};
pub use step::{GateKind, StepKind, StepState};
pub use wire::moment;

pub use flotilla_shared::report::ObjectCounts;
use flotilla_shared::report::plain_line;
use schemars::JsonSchema;
use serde::Serialize;

/// Longest text that is shown, bytes.
const MAX_TEXT: usize = 4096;

/// Makes a text safe to show: cut at 4 KiB, without control characters or characters that change its direction.
#[must_use]
pub fn text(text: &str) -> String {
    // C1 controls, and the marks that turn the direction of text, can mislead a reader too.
    plain_line(text, MAX_TEXT)
        .chars()
        .map(|c| match c {
            '\u{80}'..='\u{9f}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' => ' ',
            '\u{2066}'..='\u{2069}' => ' ',
            c => c,
        })
        .collect()
}

fn is_empty(text: &str) -> bool {
    text.is_empty()
}

/// A commit on a branch of a repository.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Revision {
    /// The repository's name in the fleet file.
    pub repository: String,
    /// Short branch name.
    pub branch: String,
    /// Full commit id.
    pub commit: String,
}

impl Revision {
    /// Returns the usual short form, `prod@sha1:3f2a9c1`.
    #[must_use]
    pub fn short(&self) -> String {
        format!("{}@{}", self.branch, short_commit(&self.commit))
    }
}

impl From<&flotilla_shared::revision::Revision> for Revision {
    fn from(revision: &flotilla_shared::revision::Revision) -> Self {
        Self {
            repository: revision.repository.to_string(),
            branch: revision.branch.to_string(),
            commit: revision.commit.to_string(),
        }
    }
}

/// Returns the short form of a commit with its algorithm, `sha1:3f2a9c1`.
#[must_use]
pub fn short_commit(commit: &str) -> String {
    let algorithm = if commit.len() == 64 { "sha256" } else { "sha1" };
    format!("{algorithm}:{}", digits(commit))
}

/// Returns the first digits of a commit, `3f2a9c1`, as tables show them.
#[must_use]
pub fn digits(commit: &str) -> &str {
    // A hub may send text that is not a commit.
    let end = commit.char_indices().nth(7);
    end.and_then(|(end, _)| commit.get(..end)).unwrap_or(commit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_steers_a_terminal_is_left() {
        let bad = "a\u{1b}[2Jb\u{9b}31mc\nd\re\u{202e}f";
        let shown = text(bad);
        assert!(!shown.chars().any(char::is_control), "{shown:?}");
        assert!(!shown.contains('\u{202e}'), "{shown:?}");
    }
}

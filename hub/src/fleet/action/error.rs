//! Errors of operators' actions.

use flotilla_shared::id::EnvironmentName;

/// An action cannot be performed. The text is for the operator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ActionError {
    /// No such environment; the text names the one that was likely meant.
    #[error("{0}")]
    NoEnvironment(String),
    /// No such cluster; the text names the one that was likely meant.
    #[error("{0}")]
    NoCluster(String),
    /// The environment has no rollouts that could be steered.
    #[error(
        "{0} has no rollout strategy: its clusters follow every commit of the branch directly, \
         so there is no rollout to control{1}"
    )]
    NoStrategy(EnvironmentName, String),
    /// Nothing to act on.
    #[error("{0}")]
    Nothing(String),
    /// It would let a commit past the gates, which only an admin may do.
    #[error("{0}")]
    NeedsAdmin(String),
}

//! Why nothing comes of what a person does.

use flotilla_shared::id::EnvironmentName;

/// An action cannot be taken. The text is for the person.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ActionError {
    /// No such environment; the text names the one that was likely meant.
    #[error("{0}")]
    NoEnvironment(String),
    /// No such cluster; the text names the one that was likely meant.
    #[error("{0}")]
    NoCluster(String),
    /// What has no rollouts cannot be steered.
    #[error(
        "{0} has no rollout strategy: its clusters follow every commit of the branch directly, \
         so there is no rollout to control{1}"
    )]
    NoStrategy(EnvironmentName, String),
    /// Nothing to act on.
    #[error("{0}")]
    Nothing(String),
    /// It lets a commit past the gates.
    #[error("{0}")]
    NeedsAdmin(String),
}

//! Errors of a policy, each with its key.

use flotilla_trust::KeyError;

use crate::health::RuleError;

/// The policy can be parsed but is not valid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// An account whose name is not a valid name in Kubernetes.
    #[error("serviceAccounts: {application}: {account:?} is not namespace/name")]
    Account {
        /// The application whose objects it would write.
        application: String,
        /// Value in the policy file.
        account: String,
    },
    /// A kind that no object can have.
    #[error(
        "{key}: {kind:?} is not a kind: write it as manifests do, with its group where it has one, such as \
         ConfigMap or Deployment.apps"
    )]
    Kind {
        /// Key in the policy file.
        key: &'static str,
        /// Value in the policy file.
        kind: String,
    },
    /// The name is not valid for a namespace.
    #[error("namespaces: {0:?} is not the name of a namespace; give full names")]
    Namespace(String),
    /// A path has a wildcard, which is not supported.
    #[error(
        "{key}: {path:?} is read literally, `*` is not a wildcard: name the directory above, \
         which includes everything below it"
    )]
    Wildcard {
        /// Key in the policy file.
        key: &'static str,
        /// Value in the policy file.
        path: String,
    },
    /// The rate limit would block all requests.
    #[error(
        "requestsPerSecond: 0 would block all requests; to stop all writes, annotate the \
         agent's namespace with flotilla.dev/freeze"
    )]
    NoRequests,
    /// A pinned key cannot be used.
    #[error("keys: {0}")]
    Key(KeyError),
    /// A rule names a key that is not pinned.
    #[error("{place}: key {name:?} is not in `keys`")]
    UnknownKey {
        place: String,
        /// The key's name.
        name: String,
    },
    /// A rule requires signatures but names no key.
    #[error("{0}: it requires signatures but names no key: no commit could ever be accepted")]
    Nobody(String),
    /// A rule has `since`, but its mode does not check history.
    #[error("{0}: `since` requires mode `range`")]
    Since(String),
    /// Rollbacks require approvals, which are signed with SSH keys, but no SSH key is named.
    #[error("rollback: mode `approve` names no SSH key: no rollback could ever be approved")]
    NoApprover,
    /// A health rule is not CEL.
    #[error(transparent)]
    Health(#[from] RuleError),
}

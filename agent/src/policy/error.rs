//! What can be wrong with a policy, each with the key that it stands at.

use flotilla_trust::KeyError;

use crate::health::RuleError;

/// The rules can be read, and cannot be used as a whole.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// An account that is not named as Kubernetes names one.
    #[error("serviceAccounts: {application}: {account:?} is not namespace/name")]
    Account {
        /// Whose objects it would write.
        application: String,
        /// As it is written.
        account: String,
    },
    /// A kind that no object can have.
    #[error(
        "{key}: {kind:?} is not a kind: write it as manifests do, with its group where it has one, such as \
         ConfigMap or Deployment.apps"
    )]
    Kind {
        /// Where it stands.
        key: &'static str,
        /// As it is written.
        kind: String,
    },
    /// A namespace that there can never be.
    #[error("namespaces: {0:?} is not the name of a namespace; each is named in full")]
    Namespace(String),
    /// A path with a wildcard, which none is.
    #[error(
        "{key}: {path:?} is taken as it is written, a `*` stands for nothing: name the directory above, \
         whatever is below it is meant, too"
    )]
    Wildcard {
        /// Where it stands.
        key: &'static str,
        /// As it is written.
        path: String,
    },
    /// No request would ever be sent.
    #[error(
        "requestsPerSecond: with 0 nothing could ever be asked; to stop all writes, annotate the agent's \
         namespace with flotilla.dev/freeze"
    )]
    NoRequests,
    /// A pinned key cannot be used.
    #[error("keys: {0}")]
    Key(KeyError),
    /// A rule names a key that is not pinned.
    #[error("{place}: there is no key {name:?} in `keys`")]
    UnknownKey {
        place: String,
        /// The key's name.
        name: String,
    },
    /// A rule wants signatures, and nobody's.
    #[error("{0}: it asks for signatures and names no key: nothing could ever be accepted")]
    Nobody(String),
    /// A rule says where the signed history begins, and does not look at history.
    #[error("{0}: `since` is for mode `range`")]
    Since(String),
    /// Going back wants approvals, which are signed with SSH keys, and there is none for it.
    #[error("rollback: mode `approve` names no SSH key: nothing could ever be approved")]
    NoApprover,
    /// A health rule is not CEL.
    #[error(transparent)]
    Health(#[from] RuleError),
}

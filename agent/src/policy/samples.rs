//! What tests of the agent's decisions are given.

use flotilla_shared::assignment::{ApplicationAssignment, Renderer, SyncPolicy};
use flotilla_shared::revision::Revision;

/// An application of the repository `fleet`, with nothing said that need not be.
pub(crate) fn application(url: &str, branch: &str, path: &str) -> ApplicationAssignment {
    ApplicationAssignment {
        revision: Revision {
            repository: "fleet".parse().unwrap(),
            branch: branch.parse().unwrap(),
            commit: "a".repeat(40).parse().unwrap(),
        },
        url: url.parse().unwrap(),
        path: path.parse().unwrap(),
        renderer: Renderer::Auto,
        sync_policy: SyncPolicy::default(),
        depends_on: Vec::new(),
        substitute: false,
        rollout: String::new(),
        namespace: String::new(),
        helm: None,
    }
}

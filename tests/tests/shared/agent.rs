//! An agent in this process, for tests that also inspect it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use flotilla_agent::args::{ApiArgs, Run, SecretArgs};

/// The agent of `cluster`, with all of its files below `root`: the join token that the test writes to [`token`], the
/// hub's roots in `ca.crt`, and its data in its own directory.
pub(crate) fn run(root: &Path, cluster: &str, hub: &str) -> Run {
    Run {
        hub: hub.to_owned(),
        data_dir: root.join(format!("agent-{cluster}")),
        identity_dir: None,
        cluster: cluster.parse().unwrap(),
        token_file: Some(token(root, cluster)),
        trust_bundle: Some(root.join("ca.crt")),
        policy: None,
        api: api(None),
        secrets: SecretArgs {
            git_credentials: None,
            sops_age_keys: None,
        },
        interval: Duration::from_secs(2),
        listen: None,
        instance: None,
        share_identity: false,
    }
}

/// The API server of a kubeconfig file.
pub(crate) fn api(kubeconfig: Option<PathBuf>) -> ApiArgs {
    ApiArgs {
        kubeconfig,
        context: None,
        namespace: "flotilla-system".to_owned(),
    }
}

/// The path of a cluster's join token.
pub(crate) fn token(root: &Path, cluster: &str) -> PathBuf {
    root.join(format!("token-{cluster}"))
}

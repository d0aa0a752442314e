//! Names as a rollout's notes say them.

use flotilla_shared::id::{ClusterName, EnvironmentName};

/// Clusters that a note names at most; the rest is counted.
pub(super) const NAMED: usize = 5;

/// What helps where clusters of an environment are waited for that do not come.
pub(super) fn leave_out(environment: &EnvironmentName) -> String {
    format!(
        "; flotilla pin --cluster NAME --reason TEXT leaves one out, flotilla abort {environment} --reason TEXT \
         ends it"
    )
}

pub(super) fn listed(names: &[ClusterName]) -> String {
    let mut text: Vec<String> = names.iter().take(NAMED).map(ToString::to_string).collect();
    if names.len() > NAMED {
        text.push(format!("and {} more", names.len() - NAMED));
    }
    text.join(", ")
}

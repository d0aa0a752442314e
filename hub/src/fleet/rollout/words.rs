//! Names as a rollout's notes say them.

use flotilla_shared::id::ClusterName;

/// Clusters that a note names at most; the rest is counted.
pub(super) const NAMED: usize = 5;

/// What helps where clusters are waited for that do not come.
pub(super) const LEAVE_OUT: &str = "; flotilla pin --cluster NAME --reason TEXT leaves one out";

pub(super) fn listed(names: &[ClusterName]) -> String {
    let mut text: Vec<String> = names.iter().take(NAMED).map(ToString::to_string).collect();
    if names.len() > NAMED {
        text.push(format!("and {} more", names.len() - NAMED));
    }
    text.join(", ")
}

//! Numbers and names as a rollout's notes say them.

use flotilla_shared::id::ClusterName;

/// Clusters that a note names at most; the rest is counted.
pub(super) const NAMED: usize = 5;

/// A number of things, in words.
pub(super) fn counted(number: usize, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}

pub(super) fn listed(names: &[ClusterName]) -> String {
    let mut text: Vec<String> = names.iter().take(NAMED).map(ToString::to_string).collect();
    if names.len() > NAMED {
        text.push(format!("and {} more", names.len() - NAMED));
    }
    text.join(", ")
}

//! Names as a rollout's notes say them.

use flotilla_shared::id::{ClusterName, EnvironmentName};

use super::World;

/// Clusters that a note names at most; the rest is counted.
const NAMED: usize = 5;

/// What helps where clusters of an environment are waited for that do not come. What runs nothing cannot be kept
/// on that: it is suspended.
pub(super) fn leave_out(
    environment: &EnvironmentName,
    waited_for: &[ClusterName],
    world: &World<'_>,
) -> String {
    let seen = |name: &ClusterName| {
        let found = world.clusters.binary_search_by(|(one, _)| one.cmp(name));
        let found = found.ok().and_then(|index| world.clusters.get(index));
        found.is_some_and(|(_, seen)| seen.can_be_pinned)
    };
    let act = match (
        waited_for.iter().find(|name| seen(name)),
        waited_for.first(),
    ) {
        (Some(name), _) => {
            format!("flotilla pin --cluster {name} --reason TEXT leaves it out, ")
        }
        (None, Some(name)) => format!("flotilla suspend {name} --reason TEXT leaves it out, "),
        (None, None) => String::new(),
    };
    format!("; {act}flotilla abort {environment} --reason TEXT ends it")
}

pub(in crate::fleet) fn listed<T: ToString>(
    names: impl IntoIterator<Item = T, IntoIter: ExactSizeIterator>,
) -> String {
    let names = names.into_iter();
    let more = names.len().saturating_sub(NAMED);
    let mut text: Vec<String> = names.take(NAMED).map(|name| name.to_string()).collect();
    if more > 0 {
        text.push(format!("and {more} more"));
    }
    text.join(", ")
}

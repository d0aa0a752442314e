//! What a rollout's notes say of clusters that are not heard from.

use flotilla_shared::id::{ClusterName, EnvironmentName};

use super::words::listed;
use super::world::{Observation, World};

/// What helps where clusters of an environment are waited for that do not come. What runs nothing cannot be kept
/// on that: it is suspended.
fn leave_out(
    environment: &EnvironmentName,
    waited_for: &[&ClusterName],
    world: &World<'_>,
) -> String {
    let can_be_pinned =
        |name: &ClusterName| seen(name, world).is_some_and(|observation| observation.can_be_pinned);
    let act = match (
        waited_for.iter().find(|name| can_be_pinned(name)),
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

/// What it says of clusters that are not heard from, of which so many may be left behind. A hub that has just
/// begun has heard from nobody, and advises nothing yet.
pub(super) fn waits_for_offline(
    environment: &EnvironmentName,
    offline: &[ClusterName],
    budget: Option<usize>,
    world: &World<'_>,
) -> String {
    let is_awaited = |name: &&ClusterName| seen(name, world).is_some_and(|seen| seen.awaited);
    let (awaited, away): (Vec<_>, Vec<_>) = offline.iter().partition(is_awaited);
    let awaited = (!awaited.is_empty()).then(|| {
        format!(
            "waits to hear again from clusters, as this hub has just begun: {}",
            listed(&awaited)
        )
    });
    let away = (!away.is_empty()).then(|| {
        let at_most = budget.map_or_else(String::new, |budget| {
            format!(", at most {budget} may be left behind")
        });
        format!(
            "waits for offline clusters{at_most}: {}{}",
            listed(&away),
            leave_out(environment, &away, world)
        )
    });
    let parts: Vec<String> = awaited.into_iter().chain(away).collect();
    parts.join("; ")
}

fn seen<'w>(name: &ClusterName, world: &World<'w>) -> Option<&'w Observation> {
    let found = world
        .clusters
        .binary_search_by(|(other, _)| other.cmp(name));
    let found = found.ok().and_then(|index| world.clusters.get(index));
    found.map(|(_, seen)| seen)
}

//! Notes on offline clusters.

use flotilla_shared::id::{ClusterName, EnvironmentName};

use super::words::listed;
use super::world::{Observation, World};

/// Returns what to do where offline clusters are waited for. A cluster that runs nothing cannot be pinned: it is
/// suspended.
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
            format!("to exclude {name}: flotilla pin --cluster {name} --reason TEXT; ")
        }
        (None, Some(name)) => format!("to exclude {name}: flotilla suspend {name} --reason TEXT; "),
        (None, None) => String::new(),
    };
    format!("; {act}to end the rollout: flotilla abort {environment} --reason TEXT")
}

/// Returns the note on offline clusters, with their budget. A hub that has just started gives no advice yet.
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
            "this hub has just started and waits for clusters to report: {}",
            listed(&awaited)
        )
    });
    let away = (!away.is_empty()).then(|| {
        let at_most = budget.map_or_else(String::new, |budget| format!(" (budget {budget})"));
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

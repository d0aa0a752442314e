//! Waves of clusters.

use std::collections::BTreeMap;

use flotilla_shared::id::ClusterName;

use crate::spec::{Members, Strategy};

/// Returns the wave of each cluster: the first that names or selects it; shares are then filled, in the strategy's
/// order, from those that are left; the last wave takes the rest.
#[must_use]
pub fn wave_of_each(
    strategy: &Strategy,
    clusters: &BTreeMap<ClusterName, BTreeMap<String, String>>,
) -> BTreeMap<ClusterName, usize> {
    let mut waves = BTreeMap::new();
    let mut left = Vec::new();
    for (name, labels) in clusters {
        let chosen = strategy.waves.iter().position(|wave| match &wave.members {
            Members::Selector(selector) => selector.matches(labels),
            Members::Clusters(names) => names.contains(name),
            Members::Share(_) | Members::Rest => false,
        });
        match chosen {
            Some(wave) => {
                waves.insert(name.clone(), wave);
            }
            None => left.push((strategy.sort_key(labels), name)),
        }
    }
    left.sort();
    let mut left = left.into_iter().map(|(_, name)| name);
    for (index, wave) in strategy.waves.iter().enumerate() {
        let take = match wave.members {
            Members::Share(share) => (clusters.len() * usize::from(share)).div_ceil(100),
            Members::Rest => usize::MAX,
            Members::Selector(_) | Members::Clusters(_) => 0,
        };
        for name in left.by_ref().take(take) {
            waves.insert(name.clone(), index);
        }
    }
    waves
}

//! Pairs of an old and a new render: each render is made once, and equal differences are merged.

use std::collections::BTreeMap;

use flotilla_render::{Options, Rendered, Tree, render};
use flotilla_shared::id::{ApplicationName, EnvironmentName};

use super::placement::PlacedCluster;
use super::{At, Difference, Group, Key, objects};

type Outcome = Result<Rendered, String>;

/// Clusters by the application and environment of a render.
type Uses = BTreeMap<(ApplicationName, EnvironmentName), Vec<String>>;

/// Cache of renders.
struct Renders<'t> {
    tree: &'t dyn Tree,
    done: BTreeMap<Key, Outcome>,
}

impl<'t> Renders<'t> {
    fn of(tree: &'t dyn Tree) -> Self {
        Self {
            tree,
            done: BTreeMap::new(),
        }
    }

    fn get(&mut self, key: &Key, options: &Options) -> &Outcome {
        let tree = self.tree;
        self.done.entry(key.clone()).or_insert_with(|| {
            render(tree, &key.path, options).map_err(|error| format!("{}: {error}", error.reason()))
        })
    }
}

/// Renders to compare.
#[derive(Default)]
pub(super) struct Pairs {
    /// Compared pairs, and where they are used.
    uses: BTreeMap<(Key, Key), Uses>,
    options: BTreeMap<Key, Options>,
}

impl Pairs {
    /// Adds an application in one place, with its options on both sides.
    pub(super) fn add(
        &mut self,
        (old_key, old_way): (Key, Options),
        (new_key, new_way): (Key, Options),
        (name, place): (&ApplicationName, &PlacedCluster),
    ) {
        self.options.insert(old_key.clone(), old_way);
        self.options.insert(new_key.clone(), new_way);
        self.uses
            .entry((old_key, new_key))
            .or_default()
            .entry((name.clone(), place.environment.clone()))
            .or_default()
            .push(place.cluster.clone());
    }

    /// Renders each pair, and adds the differences and the number of equal pairs to `all`.
    pub(super) fn render(self, (old, new): (&dyn Tree, &dyn Tree), all: &mut Difference) {
        let (mut before, mut after) = (Renders::of(old), Renders::of(new));
        let none = Options::default();
        let of = |key: &Key| self.options.get(key).unwrap_or(&none);
        for ((old_key, new_key), uses) in self.uses {
            let was = before.get(&old_key, of(&old_key));
            let is = after.get(&new_key, of(&new_key));
            match difference(was, is) {
                Some(group) => tell(&mut all.changes, group, places_of(uses)),
                None => all.unchanged += 1,
            }
        }
        for group in &mut all.changes {
            gather(&mut group.at);
        }
    }
}

/// Converts the uses of a pair for the output: clusters that are not declared have no name.
fn places_of(uses: Uses) -> Vec<At> {
    uses.into_iter()
        .map(|((application, environment), mut clusters)| {
            clusters.retain(|name| !name.is_empty());
            At {
                application: application.to_string(),
                environment: environment.to_string(),
                clusters,
            }
        })
        .collect()
}

/// Adds places to the group with the same difference, or adds a new group.
fn tell(changes: &mut Vec<Group>, mut group: Group, at: Vec<At>) {
    let same = changes.iter_mut().find(|known| {
        known.objects == group.objects
            && known.error == group.error
            && known.error_before == group.error_before
    });
    match same {
        Some(same) => same.at.extend(at),
        None => {
            group.at = at;
            changes.push(group);
        }
    }
}

/// Merges them into one entry for each application and environment.
fn gather(at: &mut Vec<At>) {
    at.sort();
    let mut gathered: Vec<At> = Vec::new();
    for mut place in at.drain(..) {
        match gathered.last_mut() {
            Some(last)
                if last.application == place.application
                    && last.environment == place.environment =>
            {
                last.clusters.append(&mut place.clusters);
                last.clusters.sort();
            }
            _ => gathered.push(place),
        }
    }
    *at = gathered;
}

fn difference(was: &Outcome, is: &Outcome) -> Option<Group> {
    let group = |objects, error: &str, error_before: &str| Group {
        objects,
        error: error.to_owned(),
        error_before: error_before.to_owned(),
        at: Vec::new(),
    };
    match (was, is) {
        (Ok(was), Ok(is)) => {
            let objects = objects::changes(&was.manifests, &is.manifests);
            (!objects.is_empty()).then(|| group(objects, "", ""))
        }
        (Err(was), Ok(is)) => Some(group(objects::changes(&[], &is.manifests), "", was)),
        (Ok(_), Err(is)) => Some(group(Vec::new(), is, "")),
        (Err(was), Err(is)) => Some(group(Vec::new(), is, was)),
    }
}

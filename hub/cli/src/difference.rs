//! What a change of a repository does to a fleet: both trees rendered for every application, environment
//! and distinct facts of clusters, and equal differences told once. Pure, given two trees.

mod objects;
mod placement;
mod removals;
mod ways;

use std::collections::{BTreeMap, BTreeSet};

use flotilla_render::{Options, Rendered, Tree, render};
use flotilla_shared::id::{ApplicationName, EnvironmentName, RepositoryName};
use flotilla_spec::{Application, Spec};
use serde::Serialize;

pub(crate) use objects::ObjectChange;
use placement::{Place, places};
pub(crate) use removals::Taken;

/// Everything that differs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Difference {
    /// Differences of what is rendered, each once.
    pub(crate) changes: Vec<Group>,
    /// Who gets an application that was not placed there, and who loses one.
    pub(crate) placements: Vec<Moved>,
    /// What the fleet file takes away on purpose.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) removals: Vec<Taken>,
    /// What the fleet file says otherwise of an application.
    pub(crate) settings: Vec<Setting>,
    /// Renders that came out the same.
    pub(crate) unchanged: usize,
    /// What cannot be rendered here, and why.
    pub(crate) left_out: Vec<LeftOut>,
}

/// One difference, and where it comes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Group {
    /// Object by object.
    pub(crate) objects: Vec<ObjectChange>,
    /// Why the new tree does not render; empty: it does.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) error: String,
    /// Why the old tree did not render; empty: it did.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) error_before: String,
    /// Where.
    pub(crate) at: Vec<At>,
}

/// Clusters of one environment with one application.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct At {
    /// The application.
    pub(crate) application: String,
    /// The environment.
    pub(crate) environment: String,
    /// Clusters that the fleet file declares; none: whichever follow the environment.
    pub(crate) clusters: Vec<String>,
}

/// Placements of one application in one environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Moved {
    /// The application.
    pub(crate) application: String,
    /// The environment.
    pub(crate) environment: String,
    /// Clusters that get it; an empty name is whichever follow the environment.
    pub(crate) gained: Vec<String>,
    /// Clusters that lose it. Its objects stay there, unless it is among `removals`.
    pub(crate) lost: Vec<String>,
}

/// What is set otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Setting {
    /// The application.
    pub(crate) application: String,
    /// Keys of the fleet file.
    pub(crate) keys: Vec<&'static str>,
}

/// What cannot be rendered here.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct LeftOut {
    /// The application.
    pub(crate) application: String,
    /// The environment; empty: all.
    pub(crate) environment: String,
    /// Why.
    pub(crate) why: String,
}

impl Difference {
    /// Whether anything differs.
    pub(crate) fn differs(&self) -> bool {
        !self.changes.is_empty()
            || !self.placements.is_empty()
            || !self.removals.is_empty()
            || !self.settings.is_empty()
    }

    /// Whether some of the new tree does not render.
    pub(crate) fn fails(&self) -> bool {
        self.changes.iter().any(|group| !group.error.is_empty())
    }
}

/// One side: what the fleet file says, and what the repository holds.
pub(crate) struct Side<'t> {
    pub(crate) spec: &'t Spec,
    pub(crate) tree: &'t dyn Tree,
}

/// What decides over a render, besides the tree.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    path: String,
    /// A number of its own for each.
    renderer: u8,
    /// All that is said of a chart, as text.
    chart: String,
    /// Only where the application asks for them.
    facts: Option<(String, String, BTreeMap<String, String>)>,
}

type Outcome = Result<Rendered, String>;

/// Which application and environment a render is for, and in which clusters.
type Uses = BTreeMap<(ApplicationName, EnvironmentName), Vec<String>>;

/// Renders each thing once.
struct Renders<'t> {
    tree: &'t dyn Tree,
    done: BTreeMap<Key, Outcome>,
}

impl Renders<'_> {
    fn get(&mut self, key: &Key, options: &Options) -> &Outcome {
        let tree = self.tree;
        self.done.entry(key.clone()).or_insert_with(|| {
            render(tree, &key.path, options).map_err(|error| format!("{}: {error}", error.reason()))
        })
    }
}

/// Compares two sides of one repository.
pub(crate) fn compare(old: &Side<'_>, new: &Side<'_>, repository: &RepositoryName) -> Difference {
    let mut all = Difference {
        removals: removals::taken(old.spec, new.spec),
        ..Difference::default()
    };
    let (mut before, mut after) = (
        Renders {
            tree: old.tree,
            done: BTreeMap::new(),
        },
        Renders {
            tree: new.tree,
            done: BTreeMap::new(),
        },
    );
    let names: BTreeSet<&ApplicationName> = old
        .spec
        .applications
        .keys()
        .chain(new.spec.applications.keys())
        .collect();
    // What each pair of renders comes to, and where it comes.
    let mut pairs: BTreeMap<(Key, Key), Uses> = BTreeMap::new();
    let mut options: BTreeMap<Key, Options> = BTreeMap::new();
    for name in names {
        let (was, is) = (
            old.spec.applications.get(name),
            new.spec.applications.get(name),
        );
        if let (Some(was), Some(is)) = (was, is) {
            let keys = settings(was, is);
            if !keys.is_empty() {
                let application = name.to_string();
                all.settings.push(Setting { application, keys });
            }
        }
        let old_places = was.map(|was| places(old.spec, was, &mut Vec::new()));
        let mut unknown = Vec::new();
        let new_places = is.map(|is| places(new.spec, is, &mut unknown));
        let (old_places, new_places) = (
            old_places.unwrap_or_default(),
            new_places.unwrap_or_default(),
        );
        all.left_out
            .extend(unknown.into_iter().map(|(environment, why)| LeftOut {
                application: name.to_string(),
                environment,
                why,
            }));
        all.placements.extend(moved(name, &old_places, &new_places));
        let (Some(was), Some(is)) = (was, is) else {
            continue;
        };
        if is.repository != *repository {
            all.left_out.push(LeftOut {
                application: name.to_string(),
                environment: String::new(),
                why: format!("it is from repository {}", is.repository),
            });
            continue;
        }
        for (place, _) in new_places
            .iter()
            .filter(|(place, _)| old_places.contains_key(*place))
        {
            let keys = old_places.get(place).zip(new_places.get(place));
            let Some((Ok(old_path), Ok(new_path))) = keys else {
                let failed = keys.and_then(|(_, new)| new.clone().err());
                if let Some(why) = failed {
                    all.left_out.push(LeftOut {
                        application: name.to_string(),
                        environment: place.environment.to_string(),
                        why: match place.cluster.as_str() {
                            "" => why,
                            cluster => format!("{cluster}: {why}"),
                        },
                    });
                }
                continue;
            };
            let sides = ways::way(old.spec, (name, was), place, old_path)
                .and_then(|old| Ok((old, ways::way(new.spec, (name, is), place, new_path)?)));
            let ((old_key, old_way), (new_key, new_way)) = match sides {
                Ok(sides) => sides,
                Err(why) => {
                    all.left_out.push(LeftOut {
                        application: name.to_string(),
                        environment: place.environment.to_string(),
                        why,
                    });
                    continue;
                }
            };
            options.insert(old_key.clone(), old_way);
            options.insert(new_key.clone(), new_way);
            pairs
                .entry((old_key, new_key))
                .or_default()
                .entry((name.clone(), place.environment.clone()))
                .or_default()
                .push(place.cluster.clone());
        }
    }
    let none = Options::default();
    let of = |key: &Key| options.get(key).unwrap_or(&none);
    for ((old_key, new_key), at) in pairs {
        let was = before.get(&old_key, of(&old_key));
        let is = after.get(&new_key, of(&new_key));
        let group = difference(was, is);
        let Some(mut group) = group else {
            all.unchanged += 1;
            continue;
        };
        let at: Vec<At> = at
            .into_iter()
            .map(|((application, environment), mut clusters)| {
                clusters.retain(|name| !name.is_empty());
                At {
                    application: application.to_string(),
                    environment: environment.to_string(),
                    clusters,
                }
            })
            .collect();
        let same = all.changes.iter_mut().find(|one| {
            one.objects == group.objects
                && one.error == group.error
                && one.error_before == group.error_before
        });
        match same {
            Some(same) => same.at.extend(at),
            None => {
                group.at = at;
                all.changes.push(group);
            }
        }
    }
    for group in &mut all.changes {
        gather(&mut group.at);
    }
    all.left_out.sort();
    all.left_out.dedup();
    all
}

/// One entry for each application and environment.
fn gather(at: &mut Vec<At>) {
    at.sort();
    let mut gathered: Vec<At> = Vec::new();
    for mut one in at.drain(..) {
        match gathered.last_mut() {
            Some(last)
                if last.application == one.application && last.environment == one.environment =>
            {
                last.clusters.append(&mut one.clusters);
                last.clusters.sort();
            }
            _ => gathered.push(one),
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

fn settings(was: &Application, is: &Application) -> Vec<&'static str> {
    let differs = [
        ("repository", was.repository != is.repository),
        ("renderer", was.renderer != is.renderer),
        ("helm", was.helm != is.helm),
        ("dependsOn", was.depends_on != is.depends_on),
        ("namespace", was.namespace != is.namespace),
        ("substitute", was.substitute != is.substitute),
        ("syncPolicy", was.sync_policy != is.sync_policy),
    ];
    let differs = differs.into_iter().filter(|(_, differs)| *differs);
    differs.map(|(key, _)| key).collect()
}

type Places = BTreeMap<Place, Result<String, String>>;

fn moved(name: &ApplicationName, old: &Places, new: &Places) -> Vec<Moved> {
    let mut by: BTreeMap<&EnvironmentName, (Vec<String>, Vec<String>)> = BTreeMap::new();
    for place in new.keys().filter(|place| !old.contains_key(*place)) {
        let (gained, _) = by.entry(&place.environment).or_default();
        gained.push(place.cluster.clone());
    }
    for place in old.keys().filter(|place| !new.contains_key(*place)) {
        let (_, lost) = by.entry(&place.environment).or_default();
        lost.push(place.cluster.clone());
    }
    by.into_iter()
        .map(|(environment, (gained, lost))| Moved {
            application: name.to_string(),
            environment: environment.to_string(),
            gained,
            lost,
        })
        .collect()
}

#[cfg(test)]
mod tests;

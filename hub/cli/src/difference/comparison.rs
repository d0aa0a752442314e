//! Comparison of two fleet files, application by application.

use std::collections::BTreeMap;

use flotilla_shared::id::{ApplicationName, EnvironmentName, RepositoryName};
use flotilla_spec::Application;

use super::pairs::Pairs;
use super::placement::{PlacedCluster, places};
use super::{ChangedSettings, Difference, LeftOut, Moved, Side, removals, ways};

/// A comparison of two sides in progress.
pub(super) struct Comparison<'t> {
    old: &'t Side<'t>,
    new: &'t Side<'t>,
    repository: &'t RepositoryName,
    all: Difference,
    pairs: Pairs,
}

/// A directory, or why there is none.
type Directory = Result<String, String>;

type Placements = BTreeMap<PlacedCluster, Directory>;

impl<'t> Comparison<'t> {
    /// Starts with the removals of the new fleet file; no application is compared yet.
    pub(super) fn of(old: &'t Side<'t>, new: &'t Side<'t>, repository: &'t RepositoryName) -> Self {
        Self {
            old,
            new,
            repository,
            all: Difference {
                removals: removals::taken(old.spec, new.spec),
                ..Difference::default()
            },
            pairs: Pairs::default(),
        }
    }

    /// Compares one application on both sides, and notes what to render for it.
    pub(super) fn application(&mut self, name: &ApplicationName) {
        let (old, new) = (self.old.spec, self.new.spec);
        let (was, is) = (old.applications.get(name), new.applications.get(name));
        if let (Some(was), Some(is)) = (was, is) {
            let keys = settings(was, is);
            if !keys.is_empty() {
                let application = name.to_string();
                self.all
                    .settings
                    .push(ChangedSettings { application, keys });
            }
        }
        let old_places = was.map(|was| places(old, was, &mut Vec::new()));
        let mut unknown = Vec::new();
        let new_places = is.map(|is| places(new, is, &mut unknown));
        let (old_places, new_places) = (
            old_places.unwrap_or_default(),
            new_places.unwrap_or_default(),
        );
        for (environment, why) in unknown {
            self.leave_out(name, environment, why);
        }
        let moved = moved(name, &old_places, &new_places);
        self.all.placements.extend(moved);
        let (Some(was), Some(is)) = (was, is) else {
            return;
        };
        if is.repository != *self.repository {
            let why = format!("it is from repository {}", is.repository);
            self.leave_out(name, String::new(), why);
            return;
        }
        for (place, new_path) in &new_places {
            if let Some(old_path) = old_places.get(place) {
                self.pair(name, (was, is), place, (old_path, new_path));
            }
        }
    }

    /// Notes the renders of an application in a place that both sides have, or why it cannot be rendered.
    fn pair(
        &mut self,
        name: &ApplicationName,
        (was, is): (&Application, &Application),
        place: &PlacedCluster,
        (old_path, new_path): (&Directory, &Directory),
    ) {
        let (Ok(old_path), Ok(new_path)) = (old_path, new_path) else {
            if let Err(why) = new_path {
                let why = match place.cluster.as_str() {
                    "" => why.clone(),
                    cluster => format!("{cluster}: {why}"),
                };
                self.leave_out(name, place.environment.to_string(), why);
            }
            return;
        };
        let sides = ways::way(self.old.spec, (name, was), place, old_path).and_then(|old| {
            let new = ways::way(self.new.spec, (name, is), place, new_path)?;
            Ok((old, new))
        });
        match sides {
            Ok((old, new)) => self.pairs.add(old, new, (name, place)),
            Err(error) => {
                self.leave_out(name, place.environment.to_string(), error.to_string());
            }
        }
    }

    /// Notes something that cannot be rendered here; an empty environment stands for all.
    fn leave_out(&mut self, name: &ApplicationName, environment: String, why: String) {
        self.all.left_out.push(LeftOut {
            application: name.to_string(),
            environment,
            why,
        });
    }

    /// Renders everything noted, and returns all differences.
    pub(super) fn finish(mut self) -> Difference {
        self.pairs
            .render((self.old.tree, self.new.tree), &mut self.all);
        self.all.left_out.sort();
        self.all.left_out.dedup();
        self.all
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

fn moved(name: &ApplicationName, old: &Placements, new: &Placements) -> Vec<Moved> {
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

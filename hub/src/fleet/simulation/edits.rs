//! Edits of the fleet file.

use super::file::{App, ENVIRONMENTS, File};
use super::*;

/// Names that applications may have; an edit may rename them.
pub(super) const NAMES: [&str; 4] = ["db", "extra", "store", "web"];
/// Labels that clusters may have.
pub(super) const TIERS: [&str; 3] = ["canary", "edge", "rest"];

pub(super) const WEB: [&str; 3] = [
    "apps/web/{environment}",
    "apps/web2",
    "apps/web/{labels.tier}",
];
const REST: [&str; 4] = ["apps/db", "apps/db2", "apps/db/{labels.tier}", "missing/db"];

impl File {
    /// Makes one edit. `clusters` may be named, the movable ones last.
    pub(super) fn edit(&mut self, rng: &mut StdRng, number: u32, clusters: &[ClusterName]) {
        let names: Vec<&'static str> = self.apps.keys().copied().collect();
        let Some(name) = names.choose(rng).copied() else {
            return self.give_back();
        };
        let environment = *ENVIRONMENTS.choose(rng).unwrap();
        match rng.random_range(0..20) {
            0..3 => self.take_or_give(rng),
            3..5 => self.rename(name, rng),
            5..8 => {
                let all: &[&str] = if name == "web" { &WEB } else { &REST };
                self.app(name, |app| {
                    app.path = (*all.choose(rng).unwrap()).to_owned();
                });
            }
            8..10 => {
                let repository = *["fleet", "fleet", "other", "other", "lost"]
                    .choose(rng)
                    .unwrap();
                self.app(name, |app| app.repository = repository);
            }
            10 => self.app(name, |app| app.namespace = format!("n{number}")),
            11 => self.app(name, |app| app.namespace.clear()),
            12 => self.app(name, |app| app.timeout = 300 + number),
            // Every cluster runs `web`, so that the law about kept applications always has one to check.
            13..15 if name != "web" => {
                let cluster = clusters.choose(rng).unwrap().to_string();
                let place = rng.random_range(0..4);
                let tier = *TIERS.choose(rng).unwrap();
                self.app(name, |app| {
                    app.environments.clear();
                    app.clusters.clear();
                    app.tier = "";
                    match place {
                        0 => app.environments = vec![environment],
                        1 => app.tier = tier,
                        2 => app.clusters = vec!["c2".to_owned(), cluster],
                        _ => {}
                    }
                });
            }
            15..17 => {
                let index = rng.random_range(0..clusters.len());
                let name = &clusters[index];
                let tier = rng.random_bool(0.7).then(|| *TIERS.choose(rng).unwrap());
                // The first five stay: an environment without clusters proves nothing to the next.
                let fixed = ["dev", "stage", "prod", "prod", "prod"].get(index).copied();
                let place = fixed.unwrap_or(environment);
                if rng.random_bool(0.3) || !self.has(place) {
                    self.clusters.remove(name);
                } else {
                    self.clusters.insert(name.clone(), (place, tier));
                }
            }
            17..19 => {
                let what = rng.random_range(0..4);
                let strategies = if environment == "stage" {
                    &mut self.stage
                } else {
                    &mut self.prod
                };
                let Some(strategy) = strategies else { return };
                match what {
                    0 => strategy.mode = ["supersede", "queue", "finish"].choose(rng).unwrap(),
                    1 => strategy.failure = ["halt", "rollback"].choose(rng).unwrap(),
                    2 => strategy.asks = !strategy.asks,
                    _ => strategy.has_waves = !strategy.has_waves,
                }
            }
            19 => self.environment(environment),
            _ => {}
        }
    }

    fn app(&mut self, name: &str, change: impl FnOnce(&mut App)) {
        if let Some(app) = self.apps.get_mut(name) {
            change(app);
        }
    }

    /// Removes an application in one of three ways, or adds it.
    fn take_or_give(&mut self, rng: &mut StdRng) {
        let name = *["db", "extra"].choose(rng).unwrap();
        let environment = *ENVIRONMENTS.choose(rng).unwrap();
        if self.apps.remove(name).is_none() {
            self.removed.remove(name);
            self.apps
                .insert(name, App::new("fleet", &format!("apps/{name}")));
            return;
        }
        let environment = Some(environment).filter(|name| rng.random_bool(0.5) && self.has(name));
        match rng.random_range(0..3) {
            0 => {}
            1 => {
                self.removed.insert(name, (environment, false));
            }
            _ => {
                self.removed.insert(name, (environment, true));
            }
        }
    }

    /// Removes all declarations at once. Or an application is renamed and moved, possibly to a repository that cannot
    /// be read, while its old name is removed or taken by another one.
    pub(super) fn take(&mut self, rng: &mut StdRng) {
        let names: Vec<&'static str> = self.apps.keys().copied().collect();
        let Some(old) = names.choose(rng).copied() else {
            return self.give_back();
        };
        if rng.random_bool(0.3) {
            self.apps.clear();
            for name in names {
                self.removed.insert(name, (None, rng.random_bool(0.2)));
            }
            return;
        }
        let free = NAMES.iter().filter(|name| !self.apps.contains_key(*name));
        let free: Vec<&&str> = free.collect();
        let Some(new) = free.choose(rng).map(|new| **new) else {
            return;
        };
        let Some(mut app) = self.apps.remove(old) else {
            return;
        };
        app.repository = *["other", "lost"].choose(rng).unwrap();
        self.removed.remove(new);
        self.apps.insert(new, app);
        if rng.random_bool(0.7) {
            self.removed.insert(old, (None, false));
        } else {
            self.apps.insert(old, App::new("fleet", "apps/extra"));
        }
    }

    /// Declares again, as at the start, what is no longer declared.
    fn give_back(&mut self) {
        self.removed.clear();
        self.apps = Self::new("supersede").apps;
    }

    /// Renames an application.
    fn rename(&mut self, name: &'static str, rng: &mut StdRng) {
        let free = NAMES.iter().filter(|name| !self.apps.contains_key(*name));
        let free: Vec<&&str> = free.collect();
        if name != "web"
            && let Some(new) = free.choose(rng)
            && let Some(app) = self.apps.remove(name)
        {
            self.removed.remove(**new);
            self.apps.insert(new, app);
        }
    }

    /// Adds or removes an environment's strategy, or prod as a whole.
    fn environment(&mut self, name: &str) {
        let strategies = if name == "stage" {
            &mut self.stage
        } else {
            &mut self.prod
        };
        *strategies = match strategies {
            Some(_) => None,
            None => {
                let all = File::new("supersede");
                if name == "stage" { all.stage } else { all.prod }
            }
        };
        if self.prod.is_none() {
            self.clusters
                .retain(|_, (environment, _)| *environment != "prod");
            self.removed
                .retain(|_, (environment, _)| *environment != Some("prod"));
            for app in self.apps.values_mut() {
                app.environments
                    .retain(|environment| *environment != "prod");
            }
        }
    }

    /// Declares everything in a valid way that was never declared before; moved clusters stay.
    pub(super) fn mend(&mut self, number: u32) {
        let mut new = File::new("supersede");
        for app in new.apps.values_mut() {
            app.timeout = 600 + number;
        }
        new.clusters = std::mem::take(&mut self.clusters);
        // Prod gets a canary again.
        for (_, tier) in new.clusters.values_mut() {
            *tier = None;
        }
        *self = new;
    }
}

//! What a fleet file would change if it were in force: which clusters gain, lose or change which applications. The data
//! is copied out of the fleet first, so that the comparison blocks nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use flotilla_shared::id::{ApplicationName, ClusterName, EnvironmentName, RepositoryName};
use flotilla_shared::words::counted;

use super::Fleet;
use crate::spec::{ClusterImpact, Difference, Environment, Spec, Specification};

/// Highest number of clusters of an environment that are listed; the rest is counted.
const LISTED: usize = 200;

type Labels = BTreeMap<String, String>;

/// What is currently in force.
#[derive(Debug, Clone)]
pub struct Baseline {
    spec: Arc<Spec>,
    /// Specification in force in each environment.
    specifications: BTreeMap<EnvironmentName, Arc<Specification>>,
    /// Rollouts in progress that change it.
    rollouts: BTreeMap<EnvironmentName, String>,
    /// Accepted clusters, with environment and labels of their records.
    clusters: Vec<(ClusterName, Option<EnvironmentName>, Labels)>,
}

/// What changes in one environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvironmentChange {
    pub environment: EnvironmentName,
    /// Changes of declarations, one line each.
    pub changes: Vec<String>,
    /// Some of the clusters that it affects.
    pub clusters: Vec<ClusterChange>,
    /// Number of further clusters that it affects.
    pub more_clusters: usize,
    /// Whether it is rolled out in waves.
    pub in_waves: bool,
    /// Running rollout that already changes what is declared there.
    pub rollout: Option<String>,
}

/// What changes on one cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterChange {
    pub cluster: ClusterName,
    /// Its present environment, if that changes.
    pub moves_from: Option<EnvironmentName>,
    /// Applications that it gains.
    pub gains: Vec<ApplicationName>,
    /// Applications that it loses; their objects stay.
    pub loses: Vec<ApplicationName>,
    /// Applications that are rendered or applied differently.
    pub changes: Vec<ApplicationName>,
}

impl ClusterChange {
    /// Returns whether the cluster gains or changes anything.
    fn brings(&self) -> bool {
        self.moves_from.is_some() || !self.gains.is_empty() || !self.changes.is_empty()
    }
}

impl Fleet {
    /// Returns what [`Baseline::compare`] needs.
    #[must_use]
    pub fn in_force(&self) -> Baseline {
        let source = RepositoryName::fleet_file();
        let kept = self.environments.iter().filter_map(|(name, state)| {
            let specification = self.specification(state.approved.get(source)?)?;
            Some((name.clone(), specification))
        });
        let mut specifications: BTreeMap<_, _> = kept.collect();
        for (name, (_, declared)) in self.declarations.present() {
            // Nothing was in force there yet.
            let declared = || Arc::clone(declared);
            specifications.entry(name.clone()).or_insert_with(declared);
        }
        let rollouts = self.rollouts.values();
        let rollouts = rollouts
            .filter(|rollout| !rollout.state.is_over() && rollout.specification().is_some());
        let clusters = self.clusters.iter();
        let clusters = clusters.filter(|(_, cluster)| cluster.record.pending.is_none());
        Baseline {
            spec: Arc::clone(self.spec()),
            specifications,
            rollouts: rollouts
                .map(|rollout| (rollout.environment.clone(), rollout.id.clone()))
                .collect(),
            clusters: clusters
                .map(|(name, cluster)| {
                    let record = &cluster.record;
                    (
                        name.clone(),
                        record.environment.clone(),
                        record.labels.clone(),
                    )
                })
                .collect(),
        }
    }
}

/// A cluster as one of both files has it.
struct Side<'s> {
    environment: &'s EnvironmentName,
    specification: &'s Specification,
    labels: Labels,
}

impl Side<'_> {
    fn placed(&self, cluster: &ClusterName) -> BTreeSet<ApplicationName> {
        let place = (cluster, self.environment);
        let all = self.specification.applications.keys();
        all.filter(|app| self.specification.place(app, place, &self.labels).is_some())
            .cloned()
            .collect()
    }
}

fn labels(record: &Labels, declared: Option<&Labels>) -> Labels {
    let mut labels = record.clone();
    labels.extend(declared.cloned().unwrap_or_default());
    labels
}

impl Baseline {
    /// Returns what would change, by environment.
    #[must_use]
    pub fn compare(&self, new: &Spec) -> Vec<EnvironmentChange> {
        let recorded: BTreeMap<_, _> = self
            .clusters
            .iter()
            .map(|(name, environment, _)| (name, environment.as_ref()))
            .collect();
        let becomes = |name: &ClusterName| {
            let declared = new.clusters.get(name).map(|cluster| &cluster.environment);
            declared.or_else(|| recorded.get(name).copied().flatten())
        };
        let after: BTreeMap<&EnvironmentName, Specification> = new
            .environments
            .iter()
            .filter_map(|environment| {
                let place = |name: &ClusterName| becomes(name).cloned();
                let specification = Specification::of(new, &environment.name, place)?;
                Some((&environment.name, specification))
            })
            .collect();
        let gone = self.spec.environments.iter();
        let gone = gone.filter(|environment| new.environment(&environment.name).is_none());
        let mut changes: Vec<EnvironmentChange> = new
            .environments
            .iter()
            .chain(gone)
            .map(|environment| self.declared(environment, new, after.get(&environment.name)))
            .collect();
        let differences: BTreeMap<&EnvironmentName, Difference<'_>> = after
            .iter()
            .filter_map(|(name, after)| {
                let before = self.specifications.get(*name)?;
                Some((*name, Difference::between(before, after)))
            })
            .collect();
        let mut bringing: BTreeSet<&EnvironmentName> = BTreeSet::new();
        for (name, environment, own) in &self.clusters {
            let declared = self
                .spec
                .clusters
                .get(name)
                .map(|cluster| &cluster.environment);
            let was = declared.or(environment.as_ref());
            let before = was.and_then(|environment| {
                let specification = self.specifications.get(environment)?;
                Some(Side {
                    environment,
                    specification,
                    labels: labels(own, specification.labels.get(name)),
                })
            });
            let next = becomes(name).and_then(|environment| {
                Some(Side {
                    environment,
                    specification: after.get(environment)?,
                    labels: labels(own, new.clusters.get(name).map(|cluster| &cluster.labels)),
                })
            });
            // A cluster that leaves all environments keeps what it runs (P10).
            let Some(next) = next else { continue };
            let difference = differences.get(next.environment);
            let Some(change) = cluster(name, difference, before.as_ref(), &next) else {
                continue;
            };
            if change.brings() {
                bringing.insert(next.environment);
            }
            let mut places = changes.iter_mut();
            if let Some(place) = places.find(|place| place.environment == *next.environment) {
                if place.clusters.len() < LISTED {
                    place.clusters.push(change);
                } else {
                    place.more_clusters += 1;
                }
            }
        }
        for change in &mut changes {
            let difference = differences.get(&change.environment);
            let takes = difference.is_some_and(|difference| {
                !difference.defines_anew() && difference.to_remove().next().is_none()
            });
            // A change that only takes applications away, and keeps their objects, needs no rollout.
            change.in_waves &= !takes || bringing.contains(&change.environment);
        }
        changes.retain(|change| !change.changes.is_empty() || !change.clusters.is_empty());
        changes
    }

    /// Returns the changes of declarations of an environment of either file.
    fn declared(
        &self,
        environment: &Environment,
        new: &Spec,
        after: Option<&Specification>,
    ) -> EnvironmentChange {
        let name = &environment.name;
        let old = self.spec.environment(name);
        let before = self.specifications.get(name);
        let mut changes = Vec::new();
        match (old, after) {
            (_, None) => {
                let left = self.clusters.iter().filter(|(cluster, recorded, _)| {
                    let declared = self
                        .spec
                        .clusters
                        .get(cluster)
                        .map(|cluster| &cluster.environment);
                    let moves = new.clusters.contains_key(cluster);
                    declared.or(recorded.as_ref()) == Some(name) && !moves
                });
                let text = match left.count() {
                    0 => "the environment is removed".to_owned(),
                    1 => "the environment is removed: its cluster belongs to none and keeps what it runs".to_owned(),
                    count => format!(
                        "the environment is removed: its {} belong to none and keep what they run",
                        counted(count, "cluster")
                    ),
                };
                changes.push(text);
            }
            (None, Some(_)) => changes.push("the environment is new".to_owned()),
            (Some(old), Some(after)) => {
                if let Some(before) = before {
                    changes = Difference::between(before, after).describe();
                }
                let moves = |old: &Environment| Environment {
                    branch: environment.branch.clone(),
                    ..old.clone()
                };
                if moves(old) != *environment {
                    let text = "its waves, gates or promotion source";
                    changes.push(text.to_owned());
                }
            }
        }
        EnvironmentChange {
            environment: name.clone(),
            changes,
            clusters: Vec::new(),
            more_clusters: 0,
            in_waves: environment.strategy.is_some(),
            rollout: self.rollouts.get(name).cloned(),
        }
    }
}

/// Returns what changes for one cluster; none: nothing.
fn cluster(
    name: &ClusterName,
    difference: Option<&Difference<'_>>,
    before: Option<&Side<'_>>,
    after: &Side<'_>,
) -> Option<ClusterChange> {
    let mut change = ClusterChange {
        cluster: name.clone(),
        moves_from: None,
        gains: Vec::new(),
        loses: Vec::new(),
        changes: Vec::new(),
    };
    match (before, difference) {
        (Some(before), Some(difference)) if before.environment == after.environment => {
            let place = (name, after.environment);
            for (app, touch) in difference.touches(place, (&before.labels, &after.labels)) {
                match touch {
                    ClusterImpact::Gains => &mut change.gains,
                    // Whether their objects are deleted is part of the environment's own changes.
                    ClusterImpact::Loses | ClusterImpact::Removes => &mut change.loses,
                    ClusterImpact::Changes => &mut change.changes,
                }
                .push(app.clone());
            }
            change.loses.dedup();
        }
        _ => {
            let had = before.map(|before| before.placed(name)).unwrap_or_default();
            let has = after.placed(name);
            change.moves_from = before.map(|before| before.environment.clone());
            change.gains = has.difference(&had).cloned().collect();
            change.loses = had.difference(&has).cloned().collect();
            // In another environment each application follows another branch.
            change.changes = has.intersection(&had).cloned().collect();
        }
    }
    let nothing = change.moves_from.is_none()
        && change.gains.is_empty()
        && change.loses.is_empty()
        && change.changes.is_empty();
    (!nothing).then_some(change)
}

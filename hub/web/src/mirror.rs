//! Copy of the fleet for pages: the operators' model, updated by the hub's stream of changes.

use std::collections::BTreeMap;
use std::sync::Arc;

use flotilla_status::{Cluster, Environment};
use jiff::Timestamp;

/// A message of the stream.
#[derive(Debug, Clone)]
pub enum Change {
    /// A new connection: everything until [`Change::Complete`] is the full state.
    Began,
    /// New state of an environment.
    Environment(Box<Environment>),
    /// New state of a cluster.
    Cluster(Box<Cluster>),
    /// A cluster left the fleet.
    Removed(String),
    /// The full state is complete.
    Complete,
    /// The connection ended.
    Lost,
}

/// The fleet, as far as it is known here. Cheap to clone; a clone does not change.
#[derive(Debug, Clone, Default)]
pub struct Mirror {
    /// Environments in the order of the fleet file.
    pub environments: Vec<Arc<Environment>>,
    /// Clusters by name, including those that wait to be accepted.
    pub clusters: Arc<BTreeMap<String, Arc<Cluster>>>,
    /// Increases with each visible change.
    pub revision: u64,
    /// Whether a full state was ever received.
    pub known: bool,
    /// When the last message was received.
    pub heard: Option<Timestamp>,
    /// Since when the hub is unreachable; none: it is not.
    pub lost: Option<Timestamp>,
    /// State from a new connection; it replaces the previous one when it is complete.
    next: Option<Box<Mirror>>,
}

impl Mirror {
    /// Applies a message of the stream.
    pub fn apply(&mut self, change: Change, now: Timestamp) {
        self.heard = Some(now);
        match change {
            Change::Began => self.next = Some(Box::default()),
            Change::Lost => {
                self.next = None;
                self.lost.get_or_insert(now);
                self.revision += 1;
            }
            Change::Complete => {
                if let Some(next) = self.next.take() {
                    self.environments = next.environments;
                    self.clusters = next.clusters;
                    self.known = true;
                    self.lost = None;
                    self.revision += 1;
                }
            }
            change => {
                let mirror = match &mut self.next {
                    Some(next) => next,
                    None => {
                        self.revision += 1;
                        self
                    }
                };
                mirror.absorb(change);
            }
        }
    }

    fn absorb(&mut self, change: Change) {
        match change {
            Change::Environment(new) => {
                let new = Arc::new(*new);
                match self
                    .environments
                    .iter_mut()
                    .find(|old| old.name == new.name)
                {
                    Some(old) => *old = new,
                    None => self.environments.push(new),
                }
            }
            Change::Cluster(cluster) => {
                Arc::make_mut(&mut self.clusters).insert(cluster.name.clone(), Arc::new(*cluster));
            }
            Change::Removed(name) => {
                Arc::make_mut(&mut self.clusters).remove(&name);
            }
            Change::Began | Change::Complete | Change::Lost => {}
        }
    }

    /// Returns an environment by name; none: it is not known.
    #[must_use]
    pub fn environment(&self, name: &str) -> Option<&Environment> {
        let mut all = self.environments.iter();
        all.find(|environment| environment.name == name)
            .map(AsRef::as_ref)
    }

    /// Returns the clusters of an environment, by name.
    pub fn clusters_of<'m>(&'m self, environment: &'m str) -> impl Iterator<Item = &'m Cluster> {
        self.clusters
            .values()
            .map(AsRef::as_ref)
            .filter(move |cluster| cluster.environment == environment)
    }

    /// Returns environments in the order of promotion: sources before their targets.
    #[must_use]
    pub fn in_promotion_order(&self) -> Vec<&Environment> {
        let mut left: Vec<&Environment> = self.environments.iter().map(AsRef::as_ref).collect();
        let mut ordered: Vec<&Environment> = Vec::with_capacity(left.len());
        while !left.is_empty() {
            let ready = left.iter().position(|environment| {
                environment.promotes_from.is_empty()
                    || !left
                        .iter()
                        .any(|other| other.name == environment.promotes_from)
            });
            // The fleet file allows no cycle; should one come, its first member breaks it.
            ordered.push(left.remove(ready.unwrap_or(0)));
        }
        ordered
    }
}

#[cfg(test)]
mod tests {
    use super::{Change, Mirror};
    use crate::samples::{cluster, environment, moment};

    #[test]
    fn a_new_connection_counts_once_it_is_complete() {
        let mut mirror = Mirror::default();
        let now = moment(0);
        mirror.apply(Change::Began, now);
        mirror.apply(Change::Cluster(Box::new(cluster("a", "dev"))), now);
        assert!(mirror.clusters.is_empty() && !mirror.known);
        mirror.apply(Change::Complete, now);
        assert_eq!(mirror.clusters.len(), 1);
        mirror.apply(Change::Lost, now);
        assert!(
            mirror.lost.is_some() && mirror.clusters.len() == 1,
            "what was known stays"
        );
        mirror.apply(Change::Began, now);
        assert_eq!(mirror.clusters.len(), 1, "until the new state is whole");
        mirror.apply(Change::Complete, now);
        assert!(mirror.clusters.is_empty() && mirror.lost.is_none());
    }

    #[test]
    fn lanes_stand_in_the_order_of_promotion() {
        let mut mirror = Mirror::default();
        for (name, from) in [
            ("prod", "stage"),
            ("stage", "dev"),
            ("dev", ""),
            ("lab", "gone"),
        ] {
            let mut new = environment(name);
            new.promotes_from = from.to_owned();
            mirror.apply(Change::Environment(Box::new(new)), moment(0));
        }
        let names: Vec<&str> = mirror
            .in_promotion_order()
            .iter()
            .map(|environment| environment.name.as_str())
            .collect();
        assert_eq!(names, ["dev", "stage", "prod", "lab"]);
    }
}

//! The clusters of the fleet. All changes go through here, so that their consequences are not forgotten: they are shown
//! and stored, environments get other members, pins expire, and assignments are computed again.

pub(super) mod cluster;
mod due;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, btree_map};
use std::sync::Arc;

use flotilla_shared::id::{ClusterName, EnvironmentName};
use jiff::SignedDuration;

use self::cluster::Cluster;
use self::due::DueClusters;
use super::event::{ClusterRecord, Effect, SessionId, StoredCluster};
use super::shared::Shared;
use super::versions::Versions;
use super::{labels, place, rollout};
use crate::spec::{Environment, Spec, Strategy};

/// Clusters by name, each shared with earlier states of the fleet until it changes.
pub type Clusters = BTreeMap<ClusterName, Shared<Cluster>>;

/// The clusters of an environment, with wave and place within it.
pub(super) type Members = BTreeMap<ClusterName, (usize, Arc<str>)>;

/// The clusters, with what is computed about all of them.
#[derive(Debug, Clone, Default)]
pub(super) struct Roster {
    all: Clusters,
    /// Members, as far as they were requested since a cluster came, left or moved.
    members: BTreeMap<EnvironmentName, Waves>,
    /// Number of clusters whose pin expires.
    expiring_pins: usize,
    due: DueClusters,
}

/// Members by a fleet file and a strategy.
#[derive(Debug, Clone)]
struct Waves {
    spec: Arc<Spec>,
    strategy: Strategy,
    members: Arc<Members>,
}

/// The effect of a change of a cluster's record on others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RecordChange {
    /// Whether it belongs, or may belong, to another environment.
    pub(super) moves: bool,
    /// Whether its environment's rollout has to be advanced.
    pub(super) matters: bool,
}

impl RecordChange {
    fn between(before: &ClusterRecord, after: &ClusterRecord) -> Self {
        let moves = before.environment != after.environment
            || before.labels != after.labels
            || before.pending != after.pending;
        let matters = moves
            || before.pin != after.pin
            || before.suspended != after.suspended
            || before.let_go != after.let_go
            || before.credential.locked != after.credential.locked;
        Self { moves, matters }
    }
}

impl Roster {
    /// Returns all clusters by name.
    pub(super) const fn all(&self) -> &Clusters {
        &self.all
    }

    pub(super) fn get(&self, name: &ClusterName) -> Option<&Cluster> {
        self.all.get(name).map(|cluster| &**cluster)
    }

    pub(super) fn contains_key(&self, name: &ClusterName) -> bool {
        self.all.contains_key(name)
    }

    pub(super) fn iter(&self) -> btree_map::Iter<'_, ClusterName, Shared<Cluster>> {
        self.all.iter()
    }

    pub(super) fn keys(&self) -> btree_map::Keys<'_, ClusterName, Shared<Cluster>> {
        self.all.keys()
    }

    pub(super) fn values(&self) -> btree_map::Values<'_, ClusterName, Shared<Cluster>> {
        self.all.values()
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// Returns a cluster for a visible change.
    pub(super) fn change(
        &mut self,
        name: &ClusterName,
        versions: &mut Versions,
    ) -> Option<&mut Cluster> {
        let cluster = &mut **self.all.get_mut(name)?;
        cluster.version = versions.of_cluster();
        Some(cluster)
    }

    /// Returns a cluster for a change that is not visible, such as a heartbeat.
    pub(super) fn note(&mut self, name: &ClusterName) -> Option<&mut Cluster> {
        self.all.get_mut(name).map(|cluster| &mut **cluster)
    }

    /// Returns whether a stream is the cluster's present one; messages of older ones are ignored.
    pub(super) fn is_live(&self, name: &ClusterName, session: SessionId) -> bool {
        let present = self.get(name).and_then(|cluster| cluster.session);
        present.is_some_and(|(present, _)| present == session)
    }

    /// Changes the record of a cluster, which is then stored. None: the cluster does not exist.
    pub(super) fn change_record(
        &mut self,
        name: &ClusterName,
        versions: &mut Versions,
        effects: &mut Vec<Effect>,
        change: impl FnOnce(&mut ClusterRecord),
    ) -> Option<RecordChange> {
        let cluster = &mut **self.all.get_mut(name)?;
        let before = ClusterRecord::clone(&cluster.record);
        change(cluster.record.write());
        cluster.version = versions.of_cluster();
        let after: &ClusterRecord = &cluster.record;
        effects.push(Effect::StoreCluster(name.clone(), Box::new(after.clone())));
        let pins = self.expiring_pins + usize::from(has_expiring_pin(after));
        self.expiring_pins = pins.saturating_sub(usize::from(has_expiring_pin(&before)));
        let found = RecordChange::between(&before, after);
        if found.moves {
            self.members.clear();
        }
        Some(found)
    }

    /// Like the function above, for a cluster that may be new.
    pub(super) fn put_record(
        &mut self,
        name: &ClusterName,
        versions: &mut Versions,
        effects: &mut Vec<Effect>,
        change: impl FnOnce(&mut ClusterRecord),
    ) {
        self.all.entry(name.clone()).or_default();
        self.change_record(name, versions, effects, change);
        // The fleet file may give it an environment, whatever its record says.
        self.members.clear();
    }

    /// Restores a cluster from the store.
    pub(super) fn restore(&mut self, stored: StoredCluster, versions: &mut Versions) {
        let name = stored.name.clone();
        let mut cluster = Cluster::restored(stored);
        cluster.version = versions.of_cluster();
        self.expiring_pins += usize::from(has_expiring_pin(&cluster.record));
        self.all.insert(name, cluster.into());
        self.members.clear();
    }

    pub(super) fn remove(&mut self, name: &ClusterName) -> Option<Shared<Cluster>> {
        let removed = self.all.remove(name)?;
        let pins = usize::from(has_expiring_pin(&removed.record));
        self.expiring_pins = self.expiring_pins.saturating_sub(pins);
        self.due.forget(name);
        self.members.clear();
        Some(removed)
    }

    /// Copies connections from a later state of the clusters, since they are not stored.
    pub(super) fn hear(&mut self, later: &Self) {
        for (name, cluster) in &mut self.all {
            if let Some(other) = later.all.get(name)
                && !cluster.hears(other)
            {
                cluster.hear(other);
            }
        }
    }

    /// Subtracts time that did not pass, or was counted twice, from the time for which clusters are current.
    pub(super) fn lose(&mut self, lost: SignedDuration) {
        for cluster in self.all.values_mut() {
            cluster.lose(lost);
        }
    }

    /// Returns whether there are clusters whose pin expires.
    pub(super) const fn has_expiring_pins(&self) -> bool {
        self.expiring_pins > 0
    }

    /// Returns the clusters of an environment with their waves.
    pub(super) fn members(
        &mut self,
        spec: &Arc<Spec>,
        environment: &Environment,
        strategy: &Strategy,
    ) -> Arc<Members> {
        let members = self.members_now(spec, environment, strategy);
        let known = Waves {
            spec: Arc::clone(spec),
            strategy: strategy.clone(),
            members: Arc::clone(&members),
        };
        self.members.insert(environment.name.clone(), known);
        members
    }

    /// Like [`Self::members`], for readers: the result is not cached.
    pub(super) fn members_now(
        &self,
        spec: &Arc<Spec>,
        environment: &Environment,
        strategy: &Strategy,
    ) -> Arc<Members> {
        let known = self.members.get(&environment.name);
        let known =
            known.filter(|known| Arc::ptr_eq(&known.spec, spec) && known.strategy == *strategy);
        if let Some(known) = known {
            return Arc::clone(&known.members);
        }
        let mut there = BTreeMap::new();
        for (name, cluster) in &self.all {
            let record: &ClusterRecord = &cluster.record;
            if record.pending.is_none()
                && place(spec, name, Some(record)) == Some(&environment.name)
            {
                there.insert(name.clone(), labels(spec, name, Some(record)));
            }
        }
        let waves = rollout::wave_of_each(strategy, &there);
        let members = there.into_iter().map(|(name, labels)| {
            let wave = waves.get(&name).copied().unwrap_or_default();
            let key = strategy.sort_key(&labels).into();
            (name, (wave, key))
        });
        Arc::new(members.collect())
    }

    /// Returns whether there are clusters whose assignment has to be computed.
    pub(super) fn has_due(&self) -> bool {
        !self.due.is_empty()
    }

    /// Marks clusters, so that their assignments are computed.
    pub(super) fn mark_due(&mut self, names: BTreeSet<ClusterName>) {
        let round = self.due.round();
        for name in names {
            if let Some(cluster) = self.all.get_mut(&name) {
                cluster.due = cluster.due.or(Some(round));
                self.due.add(name);
            }
        }
    }

    /// Marks all clusters that match.
    pub(super) fn mark_due_where(
        &mut self,
        is_meant: impl Fn(&ClusterName, &ClusterRecord) -> bool,
    ) {
        let round = self.due.round();
        let marked = self.all.iter_mut().filter_map(|(name, cluster)| {
            if !is_meant(name, &cluster.record) {
                return None;
            }
            cluster.due = cluster.due.or(Some(round));
            Some(name.clone())
        });
        self.due.add_all(marked.collect());
    }

    /// Returns the next batch of marked clusters.
    pub(super) fn next_due(&self) -> Vec<ClusterName> {
        self.due.next()
    }

    /// Ends a round: its batch is computed, and clusters that are still due wait for another step.
    pub(super) const fn end_round(&mut self) {
        self.due.end_round();
    }

    /// Returns a cluster whose assignment is computed now. If it was due since an earlier step and turns out to be
    /// current, that is a visible change: meanwhile it may have been shown as not current.
    pub(super) fn no_longer_due(
        &mut self,
        name: &ClusterName,
        versions: &mut Versions,
    ) -> Option<&Cluster> {
        self.due.forget(name);
        let cluster = self.all.get_mut(name)?;
        if let Some(since) = cluster.due {
            cluster.due = None;
            if since < self.due.round() && cluster.is_current() {
                cluster.version = versions.of_cluster();
                versions.raise_environments();
            }
        }
        Some(cluster)
    }
}

#[cfg(test)]
impl Roster {
    /// Marks all agents as heard from.
    pub(super) fn hear_all(&mut self, now: jiff::Timestamp) {
        for cluster in self.all.values_mut() {
            cluster.last_seen = Some(now);
            cluster.vouched_at = Some(now);
        }
    }

    /// Sets the number of assignments that are computed at a time.
    pub(super) fn work_out_at_once(&mut self, count: usize) {
        self.due.at_once(count);
    }
}

impl<'r> IntoIterator for &'r Roster {
    type Item = (&'r ClusterName, &'r Shared<Cluster>);
    type IntoIter = btree_map::Iter<'r, ClusterName, Shared<Cluster>>;

    fn into_iter(self) -> Self::IntoIter {
        self.all.iter()
    }
}

fn has_expiring_pin(record: &ClusterRecord) -> bool {
    let pin = record.pin.as_ref();
    pin.is_some_and(|pin| pin.expires_at.is_some())
}

//! Events of clusters, gathered for a minute and by reason: a site that loses its network is one message, not two
//! hundred.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use crate::event::{Event, Kind};

/// Time for which events are gathered, from the first on.
const MINUTE: SignedDuration = SignedDuration::from_secs(60);
/// Highest number of names that are kept of one kind and reason.
const NAMES: usize = 20;
/// Highest number of kinds, environments and reasons that are gathered at a time.
const KEYS: usize = 256;

/// An event of one cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterEvent {
    /// Its kind; `ClusterBack` and `ClusterOffline` cancel each other until one of them is sent.
    pub kind: Kind,
    /// Environment of the cluster; only events of the same one are sent together.
    pub environment: String,
    /// Name of the cluster; of clusters that are sent together, the first 20 are named.
    pub cluster: String,
    /// The reason, by which events are grouped.
    pub reason: Reason,
}

/// A reason, which several clusters may share.
pub type Reason = String;

/// Gathers events of clusters.
#[derive(Debug, Clone, Default)]
pub struct Gather {
    waiting: BTreeMap<(Kind, String, Reason), EventGroup>,
}

#[derive(Debug, Clone)]
struct EventGroup {
    since: Timestamp,
    clusters: BTreeSet<String>,
    /// Number of clusters beyond the named ones.
    more: usize,
}

impl Gather {
    /// Adds an event of a cluster. A cluster that comes back before it was reported offline is not reported at all.
    pub fn add(&mut self, happening: ClusterEvent, now: Timestamp) {
        let opposite = match happening.kind {
            Kind::ClusterBack => Some(Kind::ClusterOffline),
            Kind::ClusterOffline => Some(Kind::ClusterBack),
            _ => None,
        };
        if let Some(opposite) = opposite {
            let mut undone = false;
            for ((kind, environment, _), bunch) in &mut self.waiting {
                if *kind == opposite && *environment == happening.environment {
                    undone |= bunch.clusters.remove(&happening.cluster);
                }
            }
            self.waiting
                .retain(|_, bunch| !bunch.clusters.is_empty() || bunch.more > 0);
            if undone {
                return;
            }
        }
        let key = (happening.kind, happening.environment, happening.reason);
        if self.waiting.len() >= KEYS && !self.waiting.contains_key(&key) {
            return self.squeeze(key.0, &key.1, now);
        }
        let bunch = self.waiting.entry(key).or_insert_with(|| EventGroup {
            since: now,
            clusters: BTreeSet::new(),
            more: 0,
        });
        // Keeps every name, so that a cluster that comes back is found; names are short.
        bunch.clusters.insert(happening.cluster);
    }

    /// Counts an event without its reason, where there are too many reasons at a time.
    fn squeeze(&mut self, kind: Kind, environment: &str, now: Timestamp) {
        let key = (kind, environment.to_owned(), String::new());
        let bunch = self.waiting.entry(key).or_insert_with(|| EventGroup {
            since: now,
            clusters: BTreeSet::new(),
            more: 0,
        });
        bunch.more += 1;
    }

    /// Returns the events whose minute has passed.
    pub fn ripe(&mut self, now: Timestamp) -> Vec<Event> {
        let mut ripe = Vec::new();
        self.waiting.retain(|(kind, environment, reason), bunch| {
            // `abs`: a clock that was set back must not hold events back for ever.
            if now.duration_since(bunch.since).abs() < MINUTE {
                return true;
            }
            ripe.push(Event {
                kind: *kind,
                at: now,
                environment: environment.clone(),
                rollout: String::new(),
                commit: String::new(),
                count: bunch.clusters.len() + bunch.more,
                clusters: bunch.clusters.iter().take(NAMES).cloned().collect(),
                actor: String::new(),
                reason: reason.clone(),
            });
            false
        });
        ripe
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::new(1_790_000_000 + second, 0).unwrap()
    }

    fn happens(kind: Kind, cluster: usize, reason: &str) -> ClusterEvent {
        ClusterEvent {
            kind,
            environment: "prod".to_owned(),
            cluster: format!("c{cluster}"),
            reason: reason.to_owned(),
        }
    }

    #[test]
    fn a_site_that_goes_away_is_one_message() {
        let mut gather = Gather::default();
        for cluster in 0..200 {
            gather.add(
                happens(Kind::ClusterOffline, cluster, "not heard from"),
                at(cluster as i64 / 10),
            );
        }
        gather.add(
            happens(Kind::ClusterLocked, 7, "an old copy of its identity"),
            at(5),
        );
        assert!(gather.ripe(at(59)).is_empty());
        let ripe = gather.ripe(at(66));
        let told: Vec<_> = ripe
            .iter()
            .map(|event| (event.kind, event.count, event.clusters.len()))
            .collect();
        assert_eq!(
            told,
            [(Kind::ClusterOffline, 200, 20), (Kind::ClusterLocked, 1, 1)]
        );
        assert!(gather.ripe(at(1000)).is_empty(), "nothing is told twice");
    }

    #[test]
    fn who_comes_back_at_once_was_never_away() {
        let mut gather = Gather::default();
        for cluster in 0..3 {
            gather.add(happens(Kind::ClusterOffline, cluster, "x"), at(0));
        }
        gather.add(happens(Kind::ClusterBack, 1, ""), at(10));
        let ripe = gather.ripe(at(61));
        assert_eq!((ripe.len(), ripe[0].count), (1, 2));
        // It was reported offline, so its return is reported, too.
        gather.add(happens(Kind::ClusterBack, 0, ""), at(70));
        assert_eq!(gather.ripe(at(200))[0].kind, Kind::ClusterBack);
    }

    #[test]
    fn ten_thousand_reasons_cost_little_and_lose_nobody() {
        let mut gather = Gather::default();
        for cluster in 0..10_000 {
            gather.add(
                happens(Kind::Fight, cluster, &format!("reason {cluster}")),
                at(0),
            );
        }
        let ripe = gather.ripe(at(61));
        assert!(ripe.len() <= KEYS + 1, "{}", ripe.len());
        assert_eq!(ripe.iter().map(|event| event.count).sum::<usize>(), 10_000);
    }
}

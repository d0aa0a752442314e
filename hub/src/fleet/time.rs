//! Effects of the passing of time.

use std::collections::BTreeSet;

use flotilla_shared::id::{ClusterName, EnvironmentName};
use jiff::{SignedDuration, Timestamp};

use super::Fleet;
use super::cluster::OFFLINE_AFTER;
use super::environment::Pin;
use super::event::Effect;

impl Fleet {
    /// Notes how late it is. Time that jumped, or that passed while the hub was stopped, does not count as healthy time
    /// of any cluster.
    pub(super) fn pass(&mut self, now: Timestamp) {
        let Some(last) = self.looked_at.replace(now) else {
            self.began_at = Some(now);
            return;
        };
        let passed = now.duration_since(last);
        let lost = if passed.is_negative() {
            passed
        } else {
            passed
                .saturating_sub(OFFLINE_AFTER)
                .max(SignedDuration::ZERO)
        };
        if lost.is_zero() {
            return;
        }
        self.clusters.lose(lost);
    }

    /// Returns whether this hub has just started, so that clusters that have not reconnected yet need not be offline.
    pub(super) fn has_just_begun(&self, now: Timestamp) -> bool {
        let since = self.began_at.map(|began| now.duration_since(began));
        since.is_some_and(|since| since.abs() <= OFFLINE_AFTER)
    }

    /// Returns whether time alone may change something, so that ticks are needed.
    #[must_use]
    pub fn needs_ticks(&self) -> bool {
        self.environments.is_any_dirty() || !self.ticking().is_empty()
    }

    /// Returns environments in which time alone may change something.
    fn ticking(&self) -> BTreeSet<EnvironmentName> {
        let mut names = BTreeSet::new();
        for environment in &self.spec().environments {
            let running = self.rollouts.running(&environment.name).is_some();
            let unproven = environment.gates.proof.is_some()
                && environment.promotes_from.as_ref().is_some_and(|source| {
                    let good = self
                        .spec()
                        .environment(source)
                        .map(|source| self.good(source));
                    let state = self.environments.get(&environment.name);
                    good.is_some_and(|good| {
                        !good.is_empty()
                            && !state.is_some_and(|state| {
                                state.proven.iter().any(|proven| proven.commits == good)
                            })
                    })
                });
            if running || unproven || self.pins_expire(&environment.name) {
                names.insert(environment.name.clone());
            }
        }
        names
    }

    fn pins_expire(&self, environment: &EnvironmentName) -> bool {
        let expires = |pin: &Pin| pin.expires_at.is_some();
        let own = self
            .environments
            .get(environment)
            .and_then(|state| state.pin.as_ref());
        own.is_some_and(expires) || self.clusters.has_expiring_pins()
    }

    /// Advances everything that time alone may change, and ends pins that have expired.
    pub(super) fn tick(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        let ticking = self.ticking();
        self.environments.mark_dirty(ticking);
        let ended: Vec<ClusterName> = self
            .clusters
            .iter()
            .filter(|_| self.clusters.has_expiring_pins())
            .filter(|(_, cluster)| expired(&cluster.record.pin, now))
            .map(|(name, _)| name.clone())
            .collect();
        for name in ended {
            self.change_record(&name, effects, |record| record.pin = None);
            self.assign(&name, now, effects);
        }
        let all = self.environments.iter();
        let ended = all.filter(|(_, state)| expired(&state.pin, now));
        let ended: BTreeSet<EnvironmentName> = ended.map(|(name, _)| name.clone()).collect();
        for name in &ended {
            self.decide(name, effects, |state| state.pin = None);
        }
        if !ended.is_empty() {
            self.assign_later(|environment| ended.contains(&environment.name));
        }
    }
}

fn expired(pin: &Option<Pin>, now: Timestamp) -> bool {
    pin.as_ref().is_some_and(|pin| !pin.holds(now))
}

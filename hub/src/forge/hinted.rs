//! When a hint about a repository's pull requests leads to a poll of them: soon, once for a burst, and never more often
//! than the forge's limits allow. Pure: time is passed in.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use flotilla_shared::id::RepositoryName;
use flotilla_shared::rate::{Bucket, Rate};

/// Time in which a burst of hints is gathered for one poll: a push comes with a hook for each check that begins.
const DEBOUNCE: Duration = Duration::from_secs(1);
/// Shortest average time between polls that hints cause, however many arrive.
const EVERY: Duration = Duration::from_secs(20);
/// Number of polls at once, each after a new hint, before they are rationed.
const LOOKS: Rate = Rate {
    per_second: 1.0 / EVERY.as_secs_f64(),
    burst: 6.0,
};

/// Repositories with hints.
#[derive(Debug, Default)]
pub(super) struct HintedRepositories(BTreeMap<RepositoryName, Pending>);

#[derive(Debug)]
struct Pending {
    /// The first hint without a poll since.
    since: Option<Instant>,
    looks: Bucket,
}

impl Pending {
    fn due(&self) -> Option<Instant> {
        Some((self.since? + DEBOUNCE).max(self.looks.ready(LOOKS)))
    }
}

impl HintedRepositories {
    /// Notes a hint.
    pub(super) fn hint(&mut self, repository: RepositoryName, now: Instant) {
        let pending = self.0.entry(repository).or_insert_with(|| Pending {
            since: None,
            looks: Bucket::full(LOOKS, now),
        });
        pending.since.get_or_insert(now);
    }

    /// Returns when the next poll is due; none: there are no hints.
    #[must_use]
    pub(super) fn due(&self) -> Option<Instant> {
        self.0.values().filter_map(Pending::due).min()
    }

    /// Returns the repositories to poll now. Later hints count as new ones.
    pub(super) fn take(&mut self, now: Instant) -> BTreeSet<RepositoryName> {
        let mut due = BTreeSet::new();
        for (name, pending) in &mut self.0 {
            if pending.due().is_some_and(|at| at <= now) {
                pending.since = None;
                pending.looks.take(LOOKS, 1.0, now);
                due.insert(name.clone());
            }
        }
        self.0
            .retain(|_, pending| pending.since.is_some() || !pending.looks.is_full(LOOKS, now));
        due
    }
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{Rng as _, SeedableRng as _};

    use super::*;

    fn name(text: &str) -> RepositoryName {
        text.parse().unwrap()
    }

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_burst_is_one_look_and_each_repository_has_its_own() {
        let start = Instant::now();
        let at = |millis| start + ms(millis);
        let mut hinted = HintedRepositories::default();
        assert_eq!(hinted.due(), None);
        for millis in [0, 100, 900] {
            hinted.hint(name("fleet"), at(millis));
        }
        hinted.hint(name("other"), at(500));
        assert_eq!(
            hinted.due(),
            Some(at(1000)),
            "the last one puts nothing off"
        );
        assert_eq!(hinted.take(at(999)), BTreeSet::new());
        assert_eq!(hinted.take(at(1000)), [name("fleet")].into());
        assert_eq!(hinted.take(at(1500)), [name("other")].into());
        assert_eq!(hinted.due(), None);
        hinted.take(at(100_000_000));
        assert!(hinted.0.is_empty(), "nothing is remembered for ever");
    }

    /// A caller with the secret, or a broken forge, that sends hints all the time.
    #[test]
    fn hints_without_end_cause_a_look_every_twenty_seconds_and_none_is_forgotten() {
        let start = Instant::now();
        let mut hinted = HintedRepositories::default();
        let mut looks = Vec::new();
        for second in 0..3600 {
            hinted.hint(name("fleet"), start + ms(second * 1000));
            if !hinted.take(start + ms(second * 1000 + 999)).is_empty() {
                looks.push(second);
            }
        }
        assert!((180..=190).contains(&looks.len()), "{}", looks.len());
        let first: Vec<u64> = looks.iter().copied().take(6).collect();
        assert!(first.iter().all(|second| *second < 15), "{first:?}");

        for seed in 0..50 {
            let mut rng = StdRng::seed_from_u64(seed);
            let mut hinted = HintedRepositories::default();
            let (mut now, mut looked, mut last_hint) = (start, None, None);
            let mut count = 0u32;
            for _ in 0..2000 {
                now += ms(rng.random_range(1..8000));
                if rng.random_bool(0.7) {
                    hinted.hint(name("fleet"), now);
                    last_hint = Some(now);
                }
                if !hinted.take(now).is_empty() {
                    looked = Some(now);
                    count += 1;
                }
            }
            if let Some(due) = hinted.due() {
                let taken = hinted.take(due);
                assert_eq!(taken, [name("fleet")].into(), "seed {seed}");
                assert!(due <= now + EVERY + DEBOUNCE, "seed {seed}: {due:?}");
                looked = Some(due);
            }
            assert!(looked >= last_hint, "seed {seed}: a hint was forgotten");
            let most = (now - start).as_secs() / EVERY.as_secs() + 6 + 1;
            assert!(u64::from(count) <= most, "seed {seed}: {count} > {most}");
        }
    }
}

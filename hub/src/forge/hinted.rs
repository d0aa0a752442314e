//! When a hint about a repository's pull requests becomes a look at them: soon, once for a burst, and never
//! oftener than the forge's limits bear. Pure: time is how long its owner lives.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use flotilla_shared::id::RepositoryName;

/// A burst of hints is one look: a push comes with a hook for each check that begins.
const SETTLES: Duration = Duration::from_secs(1);
/// Looks at once, each followed by a new hint, before they are rationed.
const BURST: u32 = 6;
/// In the long run hints cause a look in so long and not more, whoever sends them how often.
const EVERY: Duration = Duration::from_secs(20);

/// Repositories of which somebody said something.
#[derive(Debug, Default)]
pub(super) struct Hinted(BTreeMap<RepositoryName, One>);

#[derive(Debug, Default)]
struct One {
    /// The first hint that no look followed yet.
    since: Option<Duration>,
    /// The moment up to which looks are paid for; a burst runs ahead of the clock.
    paid: Duration,
}

impl One {
    fn due(&self) -> Option<Duration> {
        let ahead = EVERY * (BURST - 1);
        let since = self.since?;
        Some((since + SETTLES).max(self.paid.saturating_sub(ahead)))
    }
}

impl Hinted {
    /// Somebody said something.
    pub(super) fn hint(&mut self, repository: RepositoryName, now: Duration) {
        let one = self.0.entry(repository).or_default();
        one.since.get_or_insert(now);
    }

    /// When the next look is due; none: nobody said anything.
    #[must_use]
    pub(super) fn due(&self) -> Option<Duration> {
        self.0.values().filter_map(One::due).min()
    }

    /// Whom to look at now. What is said from here on is another hint.
    pub(super) fn take(&mut self, now: Duration) -> BTreeSet<RepositoryName> {
        let mut due = BTreeSet::new();
        for (name, one) in &mut self.0 {
            if one.due().is_some_and(|at| at <= now) {
                one.since = None;
                one.paid = one.paid.max(now) + EVERY;
                due.insert(name.clone());
            }
        }
        self.0
            .retain(|_, one| one.since.is_some() || one.paid > now);
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
        let mut hinted = Hinted::default();
        assert_eq!(hinted.due(), None);
        for millis in [0, 100, 900] {
            hinted.hint(name("fleet"), ms(millis));
        }
        hinted.hint(name("other"), ms(500));
        assert_eq!(
            hinted.due(),
            Some(ms(1000)),
            "the last one puts nothing off"
        );
        assert_eq!(hinted.take(ms(999)), BTreeSet::new());
        assert_eq!(hinted.take(ms(1000)), [name("fleet")].into());
        assert_eq!(hinted.take(ms(1500)), [name("other")].into());
        assert_eq!(hinted.due(), None);
        hinted.take(ms(100_000_000));
        assert!(hinted.0.is_empty(), "nothing is remembered for ever");
    }

    /// Whoever knows the secret, or a forge that has gone mad, says something all the time.
    #[test]
    fn hints_without_end_cause_a_look_every_twenty_seconds_and_none_is_forgotten() {
        let mut hinted = Hinted::default();
        let mut looks = Vec::new();
        for second in 0..3600 {
            hinted.hint(name("fleet"), ms(second * 1000));
            if !hinted.take(ms(second * 1000 + 999)).is_empty() {
                looks.push(second);
            }
        }
        assert!((180..=190).contains(&looks.len()), "{}", looks.len());
        let first: Vec<u64> = looks.iter().copied().take(6).collect();
        assert!(first.iter().all(|second| *second < 15), "{first:?}");

        for seed in 0..50 {
            let mut rng = StdRng::seed_from_u64(seed);
            let mut hinted = Hinted::default();
            let (mut now, mut looked, mut last_hint) = (Duration::ZERO, None, None);
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
                assert!(due <= now + EVERY + SETTLES, "seed {seed}: {due:?}");
                looked = Some(due);
            }
            assert!(looked >= last_hint, "seed {seed}: a hint was forgotten");
            let most = now.as_secs() / EVERY.as_secs() + u64::from(BURST) + 1;
            assert!(u64::from(count) <= most, "seed {seed}: {count} > {most}");
        }
    }
}

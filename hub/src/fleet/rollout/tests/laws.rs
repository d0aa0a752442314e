//! Random sequences of steps, each of which has to keep the laws of a rollout.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};

use super::*;
use crate::fleet::tests::seeds;

/// Many random worlds for the pure state machine: no wave starts before its turn, no cluster that is offline, pinned or
/// suspended is started, budgets hold, and a rollout that is over does not change. `FLOTILLA_SEQUENCES` sets the
/// number; CI runs 100,000.
#[test]
fn i07_random_sequences_keep_the_laws_of_a_rollout() {
    let seed = seeds::first();
    eprintln!("FLOTILLA_SEED={seed}");
    let bench = Bench::new(
        "{waves: [{name: canary, selector: tier=canary}, {name: half, share: '40%'}], maxConcurrent: 2, \
         soak: 3s, progressDeadline: 20s, budgets: {failed: 1, unavailable: 1, offline: 1}, \
         onFailure: rollback}",
        TIERS,
    );
    let names: Vec<ClusterName> = bench.seen.keys().cloned().collect();
    let mut ends = BTreeMap::<State, u64>::new();
    for run in 0..seeds::number("FLOTILLA_SEQUENCES").unwrap_or(10_000) {
        let end = sequence(&bench, &names, seed.wrapping_add(run));
        *ends.entry(end).or_default() += 1;
    }
    eprintln!("{ends:?}");
}

/// Sixteen steps through a world that changes at random, each checked against the laws. Returns the state that the
/// rollout reached.
fn sequence(bench: &Bench, names: &[ClusterName], seed: u64) -> State {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut rollout = bench.rollout.clone();
    let mut seen = bench.seen.clone();
    let mut second = 0;
    for _ in 0..16 {
        second += rng.random_range(-2..8);
        change_one(&mut seen, names, &mut rng);
        hear_most(&mut seen, at(second), &mut rng);
        let clusters = Vec::from_iter(seen.clone());
        let world = World {
            strategy: &bench.strategy,
            clusters: &clusters,
            joining: 0,
            closed: None,
            held: None,
            paused: rng.random_bool(0.05).then(|| "lunch".to_owned()),
            failing: None,
            unanswered: None,
            approvals: &bench.approvals,
        };
        let before = rollout.clone();
        let changes = rollout.advance(&world, at(second));
        let step = Step {
            seed,
            world: &world,
            seen: &seen,
            before: &before,
            after: &rollout,
            changes: &changes,
        };
        step.hold_against_the_laws();
    }
    rollout.state
}

/// Changes one cluster.
fn change_one(
    seen: &mut BTreeMap<ClusterName, Observation>,
    names: &[ClusterName],
    rng: &mut StdRng,
) {
    let name = names.choose(rng).unwrap();
    let observation = seen.get_mut(name).unwrap();
    match rng.random_range(0..10) {
        0 => observation.online = !observation.online,
        1 => observation.pinned = rng.random_bool(0.3),
        2 if rng.random_bool(0.5) => observation.suspended = rng.random_bool(0.5),
        2 => {
            observation.verdict = bad();
            observation.blameless = rng.random_bool(0.3);
        }
        3 => observation.verdict = Verdict::NotYet,
        _ => observation.verdict = Verdict::Healthy(Digest::of(b"after")),
    }
}

/// Most online clusters report now.
fn hear_most(seen: &mut BTreeMap<ClusterName, Observation>, now: Timestamp, rng: &mut StdRng) {
    for observation in seen.values_mut() {
        observation.heard_at = (observation.online && rng.random_bool(0.8)).then_some(now);
    }
}

/// One step of a rollout: its input, and the rollout after it.
struct Step<'a> {
    /// Seed of the sequence, for failure messages.
    seed: u64,
    world: &'a World<'a>,
    seen: &'a BTreeMap<ClusterName, Observation>,
    before: &'a Rollout,
    after: &'a Rollout,
    changes: &'a Changes,
}

impl Step<'_> {
    fn law(&self, holds: bool, text: &str) {
        let Self {
            seed,
            before,
            after,
            ..
        } = self;
        assert!(
            holds,
            "{text}: FLOTILLA_SEED={seed}: {before:#?} {after:#?}"
        );
    }

    /// Checks the laws of the whole rollout, and of each of its clusters.
    fn hold_against_the_laws(&self) {
        let (before, rollout) = (self.before, self.after);
        self.law(
            !before.state.is_over() || rollout == before,
            "what is over stays",
        );
        self.law(
            rollout.state != State::RolledBack || rollout.is_to_blame(),
            "rolled back for what was so before",
        );
        self.law(rollout.wave >= before.wave, "waves do not go back");
        let mut started = 0;
        for (name, progress) in &rollout.clusters {
            self.each_change_is_told(name, progress);
            if self.has_started(name, progress) {
                self.start_was_allowed(name, progress);
                started += 1;
            }
            self.part_is_rightful(name, progress);
        }
        self.law(started <= 2, "more at once than allowed");
        if !rollout.state.is_over() && rollout.state != State::Halted {
            self.law(
                rollout.count(Phase::Failed) <= 1,
                "more failed than the budget",
            );
        }
    }

    fn each_change_is_told(&self, name: &ClusterName, progress: &Progress) {
        // The counted time is stored only now and then.
        let same = self.before.clusters.get(name).map(|old| Progress {
            counted: progress.counted,
            ..old.clone()
        });
        if same.as_ref() != Some(progress) {
            self.law(self.changes.clusters.contains(name), "each change is told");
        }
    }

    /// Returns whether the step assigned the commits to a cluster that did not have them.
    fn has_started(&self, name: &ClusterName, progress: &Progress) -> bool {
        let old = self.before.clusters.get(name);
        // A cluster that was suspended after its start continues.
        let resumed =
            old.is_some_and(|old| old.phase == Phase::Suspended && old.started_at.is_some());
        let touched = resumed || old.is_some_and(|old| old.phase.is_touched());
        progress.phase.is_touched() && !touched
    }

    fn start_was_allowed(&self, name: &ClusterName, progress: &Progress) {
        let seen = &self.seen[name];
        self.law(seen.online && !seen.pinned, "offline or pinned started");
        self.law(progress.wave == self.after.wave, "started out of its wave");
        self.law(self.world.paused.is_none(), "started while paused");
    }

    /// A suspended cluster does not take part, and none is done without a report.
    fn part_is_rightful(&self, name: &ClusterName, progress: &Progress) {
        let old = self.before.clusters.get(name);
        self.law(
            self.before.state.is_over()
                || !self.seen[name].suspended
                || progress.phase == Phase::Suspended,
            "suspended and taking part",
        );
        if progress.phase == Phase::Done && old.is_some_and(|old| old.phase != Phase::Done) {
            self.law(
                matches!(self.seen[name].verdict, Verdict::Healthy(_)) && self.seen[name].online,
                "done without being seen healthy",
            );
        }
    }
}

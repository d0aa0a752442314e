//! Random sequences, after each of which the laws hold.

use super::*;
use crate::fleet::tests::seeds;

/// Random worlds against the pure core, very many of them: nothing runs ahead of its wave, nothing
/// offline, pinned or suspended is started, budgets hold, and a rollout that is over stays as it is.
/// `FLOTILLA_SEQUENCES` sets how many; CI asks for 100,000.
#[test]
fn i07_random_sequences_keep_the_laws_of_a_rollout() {
    use rand::seq::IndexedRandom as _;
    use rand::{Rng as _, SeedableRng as _};
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
        let run_seed = seed.wrapping_add(run);
        let mut rng = rand::rngs::StdRng::seed_from_u64(run_seed);
        let mut rollout = bench.rollout.clone();
        let mut seen = bench.seen.clone();
        let mut second = 0;
        for _ in 0..16 {
            second += rng.random_range(-2..8);
            let name = names.choose(&mut rng).unwrap();
            let one = seen.get_mut(name).unwrap();
            match rng.random_range(0..10) {
                0 => one.online = !one.online,
                1 => one.pinned = rng.random_bool(0.3),
                2 if rng.random_bool(0.5) => one.suspended = rng.random_bool(0.5),
                2 => {
                    one.verdict = bad();
                    one.blameless = rng.random_bool(0.3);
                }
                3 => one.verdict = Verdict::NotYet,
                _ => one.verdict = Verdict::Healthy(Digest::of(b"after")),
            }
            for one in seen.values_mut() {
                one.heard_at = (one.online && rng.random_bool(0.8)).then(|| at(second));
            }
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
            let law = |holds: bool, text: &str| {
                assert!(
                    holds,
                    "{text}: FLOTILLA_SEED={run_seed}: {before:#?} {rollout:#?}"
                );
            };
            law(
                !before.state.is_over() || rollout == before,
                "what is over stays",
            );
            law(
                rollout.state != State::RolledBack || rollout.is_to_blame(),
                "rolled back for what was so before",
            );
            law(rollout.wave >= before.wave, "waves do not go back");
            let mut started = 0;
            for (name, progress) in &rollout.clusters {
                let old = before.clusters.get(name);
                // The time that counts is told now and then.
                let same = old.map(|old| Progress {
                    counted: progress.counted,
                    ..old.clone()
                });
                if same.as_ref() != Some(progress) {
                    law(changes.clusters.contains(name), "each change is told");
                }
                // Whoever was suspended on its way goes on with it.
                let resumed = old
                    .is_some_and(|old| old.phase == Phase::Suspended && old.started_at.is_some());
                let touched = resumed || old.is_some_and(|old| old.phase.is_touched());
                if progress.phase.is_touched() && !touched {
                    law(
                        seen[name].online && !seen[name].pinned,
                        "offline or pinned started",
                    );
                    law(progress.wave == rollout.wave, "started out of its wave");
                    law(world.paused.is_none(), "started while paused");
                    started += 1;
                }
                law(
                    before.state.is_over()
                        || !seen[name].suspended
                        || progress.phase == Phase::Suspended,
                    "suspended and taking part",
                );
                if progress.phase == Phase::Done && old.is_some_and(|old| old.phase != Phase::Done)
                {
                    law(
                        matches!(seen[name].verdict, Verdict::Healthy(_)) && seen[name].online,
                        "done without being seen healthy",
                    );
                }
            }
            law(started <= 2, "more at once than allowed");
            if !rollout.state.is_over() && rollout.state != State::Halted {
                law(
                    rollout.count(Phase::Failed) <= 1,
                    "more failed than the budget",
                );
            }
        }
        *ends.entry(rollout.state).or_default() += 1;
    }
    eprintln!("{ends:?}");
}

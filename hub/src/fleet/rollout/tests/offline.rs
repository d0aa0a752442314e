//! Clusters that are away.

use super::*;

#[test]
fn offline_clusters_are_not_started_and_hold_nothing_within_their_budget() {
    let mut bench = Bench::new("{maxConcurrent: 5, budgets: {offline: 1}}", TIERS);
    bench.online(&["b"], false);
    assert_eq!(bench.step(0), ["a", "c", "d", "e"]);
    bench.healthy(&["a", "c", "d", "e"]);
    bench.step(1);
    assert_eq!(bench.rollout.state, State::Succeeded);
    assert!(bench.rollout.note.contains("1 left behind"));
}

#[test]
fn offline_clusters_over_their_budget_are_waited_for_never_failed() {
    let mut bench = Bench::new("{budgets: {offline: 1}, progressDeadline: 5s}", TIERS);
    bench.online(&["b", "c"], false);
    bench.step(0);
    bench.healthy(&["a", "d", "e"]);
    bench.step(1);
    bench.step(1000);
    assert_eq!(bench.rollout.state, State::Running);
    assert!(bench.rollout.note.contains("waits for offline clusters"));
    bench.online(&["b"], true);
    assert_eq!(bench.step(1001), ["b"]);
    bench.healthy(&["b"]);
    bench.step(1002);
    assert_eq!(bench.rollout.state, State::Succeeded);
}

#[test]
fn a_wave_that_is_wholly_offline_proves_nothing_and_is_waited_for() {
    let mut bench = Bench::new(
        "{waves: [{name: canary, selector: tier=canary}], budgets: {offline: '100%'}}",
        TIERS,
    );
    bench.online(&["a"], false);
    assert!(bench.step(0).is_empty());
    assert_eq!(bench.rollout.wave, 0);
}

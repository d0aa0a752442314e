//! Offline clusters.

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

/// A hub that has just started has not heard from its clusters yet, which is not their fault: it waits for them, and
/// does not suggest to exclude them.
#[test]
fn h14_a_hub_that_has_just_begun_waits_for_its_clusters_and_advises_nothing() {
    let mut bench = Bench::new("{maxConcurrent: 5, budgets: {offline: 0}}", TIERS);
    bench.online(&["b", "c"], false);
    let awaited = |bench: &mut Bench, who: &str, is: bool| {
        bench.seen.get_mut(&name(who)).unwrap().awaited = is;
    };
    awaited(&mut bench, "b", true);
    bench.step(0);
    bench.healthy(&["a", "d", "e"]);
    bench.step(1);
    let note = &bench.rollout.note;
    let both = "this hub has just started and waits for clusters to report: b; waits for offline \
                clusters (budget 0): c; to exclude c: flotilla pin --cluster c ";
    assert!(note.starts_with(both), "{note}");
    awaited(&mut bench, "c", true);
    bench.step(2);
    let note = &bench.rollout.note;
    assert!(note.ends_with("clusters to report: b, c"), "{note}");
    awaited(&mut bench, "b", false);
    awaited(&mut bench, "c", false);
    bench.step(3);
    let note = &bench.rollout.note;
    assert!(
        note.starts_with("waits for offline clusters (budget 0)"),
        "{note}"
    );
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

/// At the last wave the clusters of all waves are judged, also where that wave was excluded.
#[test]
fn who_fell_ill_and_away_counts_when_the_last_wave_is_pinned_away() {
    let mut bench = Bench::new(
        "{waves: [{name: canary, selector: tier!=edge}], maxConcurrent: 5, budgets: {offline: 0}}",
        TIERS,
    );
    bench.step(0);
    bench.healthy(&["a", "b", "c", "d"]);
    bench.step(1);
    assert_eq!(bench.rollout.wave, 1, "{}", bench.rollout.note);
    bench.says(&["a"], &Verdict::NotYet);
    bench.step(2);
    assert_eq!(bench.phase("a"), Phase::Unavailable);
    bench.online(&["a"], false);
    bench.seen.get_mut(&name("e")).unwrap().pinned = true;
    bench.step(3);
    assert_eq!(
        bench.rollout.state,
        State::Running,
        "{}",
        bench.rollout.note
    );
    bench.online(&["a"], true);
    bench.healthy(&["a"]);
    bench.step(4);
    assert_eq!(
        bench.rollout.state,
        State::Succeeded,
        "{}",
        bench.rollout.note
    );
}

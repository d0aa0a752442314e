//! Clusters that fail, fall ill or are late.

use super::*;

#[test]
fn a_relapse_begins_the_soak_anew_and_holds_new_starts() {
    let mut bench = Bench::new("{maxConcurrent: 2, soak: 10s}", TIERS);
    assert_eq!(bench.step(0), ["a", "b"]);
    bench.healthy(&["a"]);
    assert!(bench.step(5).is_empty(), "soaking holds a slot");
    let relapse = progressing(Reason::Unhealthy, "not ready");
    bench.says(&["a"], &relapse);
    bench.healthy(&["b"]);
    assert!(bench.step(6).is_empty(), "one is unavailable, none may be");
    assert!(
        bench
            .rollout
            .note
            .contains("became unhealthy on it (budget 0): a")
    );
    bench.healthy(&["a"]);
    assert!(bench.step(7).is_empty(), "both soak");
    assert_eq!(bench.rollout.clusters[&name("a")].since, at(7));
    assert_eq!(bench.step(16), ["c"], "the other one's soak is over");
}

#[test]
fn failures_over_budget_halt_and_name_cluster_object_and_reason() {
    let mut bench = Bench::new("{maxConcurrent: 2, budgets: {failed: 1}}", TIERS);
    bench.step(0);
    bench.says(&["a"], &bad());
    assert_eq!(bench.step(1), ["c"], "one failure is allowed");
    bench.says(&["b"], &bad());
    assert!(bench.step(2).is_empty());
    assert_eq!(bench.rollout.state, State::Halted);
    assert!(
        bench
            .rollout
            .note
            .contains("a (Deployment web/web: crashes)")
    );
    bench.healthy(&["c"]);
    assert!(bench.step(3).is_empty(), "a person decides");
    bench.rollout.retry(at(4));
    bench.healthy(&["a", "b"]);
    assert_eq!(bench.step(4), ["d", "e"]);
}

#[test]
fn a_cluster_that_is_not_healthy_in_time_has_failed() {
    let mut bench = Bench::new("{maxConcurrent: 1, progressDeadline: 30s}", TIERS);
    bench.step(0);
    bench.step(30);
    assert_eq!(bench.rollout.state, State::Running);
    bench.step(31);
    assert_eq!(bench.rollout.state, State::Halted);
    let progress = &bench.rollout.clusters[&name("a")];
    assert_eq!(progress.reason, Some(Reason::ProgressDeadline));
}

#[test]
fn clocks_that_jump_back_neither_panic_nor_finish_a_soak() {
    let mut bench = Bench::new(
        "{maxConcurrent: 5, soak: 10s, progressDeadline: 60s}",
        TIERS,
    );
    bench.step(100);
    bench.healthy(&["a", "b", "c", "d", "e"]);
    bench.step(101);
    bench.step(0);
    assert_eq!(bench.rollout.state, State::Soaking);
    bench.step(111);
    assert_eq!(bench.rollout.state, State::Succeeded);
}

#[test]
fn a_failed_rollout_rolls_back_where_it_is_told_to() {
    let mut bench = Bench::new("{onFailure: rollback, maxConcurrent: 1}", TIERS);
    bench.step(0);
    bench.says(&["a"], &bad());
    bench.step(1);
    assert_eq!(bench.rollout.state, State::RolledBack);
    assert_eq!(bench.rollout.ended_at, Some(at(1)));
    let long = SignedDuration::from_hours(1);
    assert!(bench.step(long.as_secs()).is_empty());
}

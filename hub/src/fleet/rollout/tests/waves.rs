//! The order in which clusters are started, and when.

use super::*;

#[test]
fn waves_go_one_after_the_other_and_the_rest_comes_last() {
    let mut bench = Bench::new(
        "{waves: [{name: canary, selector: tier=canary}, {name: half, share: '40%'}], soak: 10s}",
        TIERS,
    );
    assert_eq!(bench.step(0), ["a"]);
    bench.healthy(&["a"]);
    assert!(bench.step(1).is_empty());
    assert_eq!(bench.rollout.state, State::Soaking);
    assert!(bench.step(10).is_empty(), "9 seconds are no 10");
    assert_eq!(bench.step(11), ["b", "c"], "40 % of five");
    bench.healthy(&["b", "c"]);
    bench.step(12);
    assert_eq!(bench.step(22), ["d", "e"]);
    assert_eq!(
        bench.rollout.waves.len(),
        0,
        "names are the fleet's to keep"
    );
    bench.healthy(&["d", "e"]);
    bench.step(23);
    bench.step(33);
    assert_eq!(bench.rollout.state, State::Succeeded);
}

#[test]
fn joiners_come_to_the_present_wave_at_the_earliest_and_leavers_abort_nothing() {
    let mut bench = Bench::new("{waves: [{name: canary, selector: tier=canary}]}", TIERS);
    bench.step(0);
    bench.healthy(&["a"]);
    assert_eq!(bench.step(1), ["b", "c", "d", "e"]);
    bench.fleet(&[("b", "prod"), ("c", "prod"), ("d", "prod"), ("z", "canary")]);
    assert_eq!(bench.step(2), ["z"], "its own wave is over");
    bench.healthy(&["b", "c", "d", "z"]);
    bench.step(3);
    assert_eq!(bench.rollout.state, State::Succeeded);
    assert_eq!(bench.rollout.clusters.len(), 4);
}

#[test]
fn a_changed_label_moves_only_who_has_not_started() {
    let mut bench = Bench::new("{waves: [{name: canary, selector: tier=canary}]}", TIERS);
    bench.step(0);
    bench.fleet(&[("a", "prod"), ("b", "canary"), ("c", "prod")]);
    assert_eq!(bench.step(1), ["b"]);
    assert_eq!(bench.rollout.clusters[&name("a")].wave, 0);
}

#[test]
fn what_renders_from_the_same_files_passes_without_soak() {
    let mut bench = Bench::new("{maxConcurrent: 5, soak: 1h}", TIERS);
    bench.step(0);
    let same = Verdict::Healthy(Digest::of(b"before"));
    bench.says(&["a", "b", "c", "d", "e"], &same);
    bench.step(1);
    assert_eq!(bench.rollout.state, State::Succeeded);
}

#[test]
fn gates_pauses_and_approvals_hold_starts_and_only_those() {
    let mut bench = Bench::new(
        "{waves: [{name: canary, selector: tier=canary, soak: 5s}, {name: all, approvals: 2}]}",
        TIERS,
    );
    bench.closed = Some("approval: 0 of 1".to_owned());
    assert!(bench.step(0).is_empty());
    assert_eq!(bench.rollout.state, State::Pending);
    bench.closed = None;
    assert_eq!(bench.step(1), ["a"]);
    bench.paused = Some("ada: lunch".to_owned());
    bench.healthy(&["a"]);
    bench.step(2);
    assert_eq!(bench.rollout.state, State::Paused);
    assert_eq!(bench.rollout.count(Phase::Soaking), 1, "judging goes on");
    bench.paused = None;
    bench.approvals = [("all".to_owned(), 1)].into();
    assert!(bench.step(7).is_empty());
    assert!(bench.rollout.note.contains("waits for approval: 1 of 2"));
    bench.approvals = [("all".to_owned(), 2)].into();
    bench.held = Some("window: no change window is open".to_owned());
    assert!(bench.step(8).is_empty());
    bench.held = None;
    assert_eq!(bench.step(9).len(), 4);
}

//! What a rollout must not take for proof: clusters that take no part or are offline, old reports, and jumps of a
//! clock.

use super::*;

const CANARY: &str = "{waves: [{name: canary, selector: tier=canary}, {name: rest}], soak: 10s, progressDeadline: 20s";

fn canary(more: &str) -> Bench {
    Bench::new(&format!("{CANARY}{more}}}"), &TIERS[..3])
}

#[test]
fn roll_01_a_wave_within_its_budget_that_nobody_can_prove_any_more_halts() {
    for (more, end) in [
        (", budgets: {failed: 1}", State::Halted),
        (
            ", budgets: {failed: 1}, onFailure: rollback",
            State::RolledBack,
        ),
    ] {
        let mut bench = canary(more);
        bench.step(0);
        bench.says(&["a"], &bad());
        assert!(bench.step(1).is_empty());
        assert_eq!(bench.rollout.state, end);
        assert!(
            bench.rollout.note.contains("wave canary"),
            "{}",
            bench.rollout.note
        );
    }
}

#[test]
fn roll_01_a_failure_within_the_budget_beside_a_success_goes_on() {
    let mut bench = Bench::new(
        &format!("{CANARY}, budgets: {{failed: 1}}}}"),
        &[("a", "canary"), ("b", "canary"), ("c", "rest")],
    );
    bench.step(0);
    bench.says(&["a"], &bad());
    bench.healthy(&["b"]);
    assert_eq!(bench.step(11), ["c"]);
}

#[test]
fn roll_21_a_newer_commit_with_the_same_content_goes_on_with_the_soak_and_skips_nothing() {
    let mut bench = canary("");
    bench.step(0);
    bench.healthy(&["a"]);
    bench.step(7);
    // The new commit changes only a file that no application reads, but the cluster does not run the good commits.
    bench.supersede(8);
    bench.seen.get_mut(&name("a")).unwrap().rendered_from = Digest::of(b"after");
    bench.seen.get_mut(&name("a")).unwrap().change = Change::Nothing;
    assert_eq!(bench.step(8), ["a"]);
    bench.healthy(&["a"]);
    assert!(bench.step(9).is_empty());
    assert_eq!(bench.phase("a"), Phase::Soaking);
    assert!(!bench.rollout.clusters[&name("a")].unchanged);
    assert!(bench.step(11).is_empty(), "three seconds are missing still");
    assert_eq!(
        bench.step(13),
        ["b", "c"],
        "they are not counted twice, either"
    );
}

#[test]
fn roll_21_other_content_soaks_anew_and_what_was_good_needs_none() {
    for (content, soaks) in [(&b"third"[..], true), (b"before", false)] {
        let mut bench = canary("");
        bench.step(0);
        bench.healthy(&["a"]);
        bench.step(7);
        bench.supersede(8);
        bench.step(8);
        bench.says(&["a"], &Verdict::Healthy(Digest::of(content)));
        assert_eq!(bench.step(15).is_empty(), soaks);
    }
}

#[test]
fn roll_21_over_many_commits_nothing_is_forgotten() {
    let mut bench = canary("");
    bench.step(0);
    bench.healthy(&["a"]);
    bench.step(4);
    for round in 0..3 {
        // It was assigned the next commit and has not reported yet when another one arrives.
        bench.supersede(5 + round);
        bench.step(5 + round);
    }
    bench.healthy_as_good(&["a"]);
    bench.step(9);
    assert_eq!(bench.phase("a"), Phase::Done, "back to what was good");
    assert!(bench.rollout.clusters[&name("a")].unchanged);
}

impl Bench {
    fn healthy_as_good(&mut self, clusters: &[&str]) {
        self.says(clusters, &Verdict::Healthy(Digest::of(b"before")));
    }
}

#[test]
fn roll_24_nobody_who_takes_part_is_no_success() {
    let mut bench = canary("");
    for cluster in ["a", "b", "c"] {
        bench.seen.get_mut(&name(cluster)).unwrap().pinned = true;
    }
    bench.step(100);
    assert_eq!(bench.rollout.state, State::Pending);
    assert!(
        bench.rollout.note.contains("pinned: a, b, c"),
        "{}",
        bench.rollout.note
    );
    for cluster in ["a", "b", "c"] {
        bench.seen.get_mut(&name(cluster)).unwrap().pinned = false;
    }
    assert_eq!(bench.step(101), ["a"], "in waves, when they are let go");
    let mut empty = canary("");
    empty.fleet(&[]);
    empty.step(100);
    assert_eq!(empty.rollout.state, State::Pending);
    assert!(
        empty.rollout.note.contains("no cluster"),
        "{}",
        empty.rollout.note
    );
}

#[test]
fn roll_25_a_wave_without_clusters_asks() {
    let mut bench = canary("");
    bench.step(0);
    bench.healthy(&["a"]);
    bench.step(3);
    bench.fleet(&[("b", "prod"), ("c", "prod")]);
    assert!(bench.step(60).is_empty());
    assert!(
        bench.rollout.note.contains("wave canary has no clusters")
            && bench
                .rollout
                .note
                .contains("flotilla approve prod --wave canary"),
        "{}",
        bench.rollout.note
    );
    bench.approvals.insert("canary".to_owned(), 1);
    assert_eq!(bench.step(61), ["b", "c"]);
}

#[test]
fn roll_25_a_pinned_canary_proves_nothing_and_a_wave_may_be_skipped_by_configuration() {
    let mut bench = canary("");
    bench.seen.get_mut(&name("a")).unwrap().pinned = true;
    assert!(bench.step(1).is_empty());
    assert!(
        bench.rollout.note.contains("excluded by pins (a)"),
        "{}",
        bench.rollout.note
    );
    let mut bench = Bench::new(
        "{waves: [{name: canary, selector: tier=none, whenEmpty: skip}, {name: rest}]}",
        &TIERS[..3],
    );
    assert_eq!(bench.step(0).len(), 3);
    // A required approval is also required for a wave without clusters.
    let mut bench = Bench::new(
        "{waves: [{name: canary, selector: tier=none, whenEmpty: skip, approvals: 2}, {name: rest}]}",
        &TIERS[..3],
    );
    assert!(bench.step(0).is_empty());
    assert!(
        bench.rollout.note.contains("0 of 2 approvals"),
        "{}",
        bench.rollout.note
    );
}

#[test]
fn roll_27_time_in_which_the_hub_was_away_is_nobodys_fault() {
    let mut bench = canary("");
    bench.step(0);
    bench.step(5);
    // The hub returns after an hour.
    bench.look(3605);
    assert_eq!(bench.rollout.state, State::Running);
    bench.step(3614);
    assert_eq!(bench.rollout.state, State::Running);
    bench.step(3640);
    assert_eq!(bench.rollout.state, State::Halted);
}

#[test]
fn roll_27_time_in_which_a_cluster_was_away_is_not_its_fault_either() {
    let mut bench = canary(", budgets: {offline: 1}");
    bench.step(0);
    bench.online(&["a"], false);
    bench.step(100);
    bench.online(&["a"], true);
    bench.step(110);
    assert_eq!(bench.phase("a"), Phase::Started);
}

#[test]
fn roll_28_budgets_hold_over_all_clusters_until_the_end() {
    let mut bench = canary(", budgets: {unavailable: 0}");
    bench.step(0);
    bench.healthy(&["a"]);
    assert_eq!(bench.step(11), ["b", "c"]);
    bench.says(&["a"], &progressing(Reason::ClusterUnavailable, "gone"));
    bench.healthy(&["b", "c"]);
    bench.step(25);
    assert_eq!(
        bench.rollout.state,
        State::Running,
        "{}",
        bench.rollout.note
    );
    assert!(
        bench
            .rollout
            .note
            .contains("became unhealthy on it (budget 0): a")
    );
    bench.step(40);
    assert_eq!(
        bench.rollout.state,
        State::Halted,
        "and after its deadline it has failed"
    );
}

#[test]
fn roll_36_what_the_outside_says_counts_until_the_end() {
    let mut bench = canary(", onFailure: rollback");
    bench.failing = Some("check errors: HTTP 500".to_owned());
    bench.held = bench.failing.clone();
    bench.step(0);
    assert_eq!(bench.rollout.state, State::Pending, "nobody has it yet");
    (bench.failing, bench.held) = (None, None);
    bench.step(1);
    bench.healthy(&["a"]);
    bench.step(15);
    bench.healthy(&["b", "c"]);
    bench.step(16);
    bench.failing = Some("check errors: HTTP 500".to_owned());
    bench.step(17);
    assert_eq!(bench.rollout.state, State::RolledBack);
    assert!(bench.rollout.note.contains("HTTP 500"));
    // A missing answer is not a success.
    let mut bench = canary("");
    bench.step(1);
    bench.healthy(&["a"]);
    bench.step(15);
    bench.healthy(&["b", "c"]);
    bench.unanswered = Some("check errors: no answer yet".to_owned());
    bench.step(60);
    assert_ne!(bench.rollout.state, State::Succeeded);
    assert!(bench.rollout.note.contains("no answer"));
    bench.unanswered = None;
    bench.step(61);
    assert_eq!(bench.rollout.state, State::Succeeded);
}

#[test]
fn roll_37_a_soak_counts_the_time_in_which_the_cluster_was_heard() {
    let mut bench = canary("");
    bench.step(0);
    bench.healthy(&["a"]);
    bench.step(3);
    bench.online(&["a"], false);
    assert!(bench.step(40).is_empty());
    bench.online(&["a"], true);
    assert!(bench.step(41).is_empty(), "its old report is no proof");
    assert_eq!(bench.step(49), ["b", "c"], "seven more seconds");
}

#[test]
fn roll_37_when_the_soak_is_over_the_cluster_says_so_once_more() {
    let mut bench = canary("");
    bench.step(0);
    bench.healthy(&["a"]);
    bench.look(1);
    // It sends no messages, and does not count as offline yet.
    for second in 2..30 {
        let changes = bench.look_silently(second);
        let asked = changes.asked.contains(&name("a"));
        assert_eq!(asked, second == 11, "asked once, at {second}");
    }
    assert_eq!(bench.phase("a"), Phase::Soaking);
    bench.look(30);
    assert_eq!(bench.phase("a"), Phase::Done);
}

#[test]
fn roll_34_a_clock_that_is_set_ends_no_soak_and_no_deadline() {
    let mut bench = canary("");
    bench.step(0);
    bench.healthy(&["a"]);
    bench.step(1);
    bench.look(100_000);
    assert_eq!(bench.phase("a"), Phase::Soaking);
    bench.look(50);
    assert_eq!(bench.phase("a"), Phase::Soaking);
    bench.step(56);
    assert_eq!(bench.phase("a"), Phase::Done);
}

#[test]
fn max_concurrent_counts_clusters_that_soak() {
    let mut bench = Bench::new("{maxConcurrent: 1, soak: 10s}", TIERS);
    assert_eq!(bench.step(0), ["a"]);
    bench.healthy(&["a"]);
    assert!(bench.step(9).is_empty());
    assert_eq!(bench.step(11), ["b"]);
}

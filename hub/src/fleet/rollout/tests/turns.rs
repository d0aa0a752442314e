//! The order of clusters: waves, shares, approvals, and what a wave waits for.

use super::*;

impl Bench {
    fn see(&mut self, cluster: &str) -> &mut Observation {
        self.seen.get_mut(&name(cluster)).unwrap()
    }
}

#[test]
fn who_goes_away_on_its_way_frees_its_place() {
    for soaks in [false, true] {
        let yaml = "{maxConcurrent: 1, soak: 1h, progressDeadline: 1h, budgets: {offline: 1}}";
        let mut bench = Bench::new(yaml, TIERS);
        assert_eq!(bench.step(0), ["a"]);
        if soaks {
            bench.healthy(&["a"]);
        }
        assert!(bench.step(2).is_empty(), "one at a time");
        bench.online(&["a"], false);
        assert_eq!(bench.step(3), ["b"]);
        bench.online(&["a"], true);
        assert!(bench.step(5).is_empty(), "it is back, and has its place");
    }
}

#[test]
fn a_waves_share_is_of_those_who_are_in_it() {
    let yaml =
        "{waves: [{name: canary, selector: tier=canary}, {name: rest, maxConcurrent: '50%'}]}";
    let mut bench = Bench::new(yaml, TIERS);
    bench.step(0);
    bench.healthy(&["a"]);
    assert_eq!(bench.step(1), ["b", "c"], "half of four");
    // Excluded clusters do not count for a share.
    let mut bench = Bench::new(yaml, TIERS);
    bench.see("d").pinned = true;
    bench.see("e").suspended = true;
    bench.step(0);
    bench.healthy(&["a"]);
    assert_eq!(bench.step(1), ["b"], "half of two");
}

#[test]
fn within_a_wave_the_label_decides_and_before_it_who_was_on_the_way() {
    let mut bench = Bench::new("{maxConcurrent: 1, sortLabel: tier}", &TIERS[..4]);
    bench.see("d").sort_key = "a".into();
    assert_eq!(bench.step(0), ["d"], "by the label");
    bench.healthy(&["d"]);
    assert_eq!(bench.step(1), ["a"], "canary before prod");
    // Clusters that a superseded rollout left in doubt come first.
    let mut bench = Bench::new("{maxConcurrent: 1}", TIERS);
    bench.see("c").carried = true;
    assert_eq!(bench.step(0), ["c"]);
    bench.healthy(&["c"]);
    assert_eq!(bench.step(1), ["a"]);
    bench.healthy(&["a"]);
    assert_eq!(bench.step(2), ["b"]);
}

#[test]
fn who_fell_ill_and_is_away_holds_no_start() {
    let mut bench = Bench::new("{maxConcurrent: 1, budgets: {offline: 1}}", TIERS);
    bench.step(0);
    bench.healthy(&["a"]);
    assert_eq!(bench.step(1), ["b"]);
    let relapse = progressing(Reason::Unhealthy, "not ready");
    bench.says(&["a"], &relapse);
    bench.healthy(&["b"]);
    assert!(bench.step(2).is_empty(), "none may be ill");
    bench.online(&["a"], false);
    assert_eq!(bench.step(3), ["c"], "it has a budget of its own");
}

const THREE: &str = "{waves: [{name: canary, selector: tier=canary}, {name: prod, selector: tier=prod, approvals: 1}], soak: 5s, progressDeadline: 1h}";
const FLEET: &[(&str, &str)] = &[("a", "canary"), ("b", "prod"), ("e", "edge")];

/// Its clusters were excluded when the wave was passed, and have returned.
#[test]
fn a_wave_that_was_passed_while_it_was_left_out_still_asks_for_its_approval() {
    for approved in [false, true] {
        let mut bench = Bench::new(THREE, &[FLEET, &[("d", "canary")]].concat());
        bench.step(0);
        bench.healthy(&["a", "d"]);
        assert!(bench.step(6).is_empty());
        bench.see("e").pinned = true;
        if approved {
            // Here it was not excluded, and is done.
            bench.approvals.insert("prod".to_owned(), 1);
            assert_eq!(bench.step(7), ["b"]);
            bench.healthy(&["b"]);
            bench.step(11);
            bench.approvals.clear();
        } else {
            bench.see("b").pinned = true;
        }
        // The canary soaks again, so that the rollout is not over yet.
        bench.says(&["a"], &Verdict::Healthy(Digest::of(b"third")));
        bench.step(if approved { 13 } else { 8 });
        assert_eq!(bench.rollout.wave, 2);
        bench.see("e").pinned = false;
        assert_eq!(
            bench.step(if approved { 14 } else { 9 }).is_empty(),
            !approved
        );
        let asks = bench.rollout.note.contains("wave prod waits for approval");
        assert_eq!(asks, !approved, "{}", bench.rollout.note);
    }
}

#[test]
fn a_wave_waits_for_its_approval_and_says_how_many_there_are() {
    let mut bench = Bench::new(THREE, FLEET);
    bench.step(0);
    bench.healthy(&["a"]);
    assert!(bench.step(10).is_empty());
    assert_eq!(
        bench.rollout.note,
        "wave prod waits for approval: 0 of 1; to approve: flotilla approve prod --wave prod"
    );
    bench.approvals.insert("prod".to_owned(), 1);
    assert_eq!(bench.step(11), ["b"]);
    bench.healthy(&["b"]);
    bench.step(12);
    // The approval counted when the wave began: a withdrawal does not stop a later wave.
    bench.approvals.clear();
    assert_eq!(bench.step(18), ["e"]);
}

#[test]
fn whoever_is_on_the_way_again_is_waited_for_before_all_is_over() {
    let mut bench = Bench::new(
        "{waves: [{name: canary, selector: tier=canary}], soak: 5s, budgets: {offline: 1}}",
        &TIERS[..2],
    );
    bench.step(0);
    bench.healthy(&["a"]);
    assert_eq!(bench.step(6), ["b"]);
    bench.healthy(&["b"]);
    bench.step(9);
    // The canary renders from other files now.
    bench.says(&["a"], &Verdict::Healthy(Digest::of(b"third")));
    bench.step(12);
    assert_eq!(bench.phase("b"), Phase::Done);
    assert_eq!(bench.phase("a"), Phase::Soaking);
    assert_ne!(bench.rollout.state, State::Succeeded);
    let mut away = Bench {
        strategy: bench.strategy.clone(),
        rollout: bench.rollout.clone(),
        seen: bench.seen.clone(),
        joining: 0,
        approvals: BTreeMap::new(),
        paused: None,
        closed: None,
        held: None,
        failing: None,
        unanswered: None,
    };
    bench.step(15);
    assert_eq!(bench.rollout.state, State::Succeeded);
    // An offline cluster within its budget may be left behind.
    away.online(&["a"], false);
    away.step(13);
    assert_eq!(
        away.rollout.state,
        State::Succeeded,
        "{}",
        away.rollout.note
    );
}

/// No cluster of the last wave takes part any longer, so the clusters of all waves are judged.
#[test]
fn a_last_wave_that_was_left_out_ends_nothing_while_too_many_others_are_ill() {
    for (budget, online, over) in [
        (0, true, false),
        (1, true, true),
        (2, true, true),
        (0, false, true),
    ] {
        let yaml = format!(
            "{{waves: [{{name: canary, selector: tier=canary}}], soak: 2s, progressDeadline: 1h, \
             budgets: {{unavailable: {budget}, offline: 1}}}}"
        );
        let mut bench = Bench::new(&yaml, &[("a", "canary"), ("b", "canary"), ("c", "prod")]);
        bench.step(0);
        bench.healthy(&["a", "b"]);
        assert_eq!(bench.step(3), ["c"]);
        let ill = progressing(Reason::Unhealthy, "not ready");
        bench.says(&["a"], &ill);
        bench.step(4);
        bench.online(&["a"], online);
        bench.see("c").pinned = true;
        bench.step(6);
        let is_over = bench.rollout.state == State::Succeeded;
        assert_eq!(is_over, over, "{budget} {online}: {}", bench.rollout.note);
    }
}

/// The offline clusters are not waited for, and no other takes part, so nothing was proven.
#[test]
fn a_last_wave_without_clusters_is_no_success_of_nobody() {
    let mut bench = Bench::new(
        "{waves: [{name: canary, selector: tier=canary}], budgets: {offline: 1}}",
        &[("a", "canary"), ("c", "prod")],
    );
    bench.online(&["a"], false);
    bench.see("a").change = Change::Nothing;
    bench.see("c").pinned = true;
    bench.step(0);
    assert_eq!(bench.rollout.state, State::Running);
    let note = &bench.rollout.note;
    assert!(note.starts_with("no cluster takes part yet"), "{note}");
}

#[test]
fn budgets_hold_at_exactly_their_number() {
    for (budget, over) in [(0, false), (1, false), (2, true), (3, true)] {
        let yaml = format!("{{budgets: {{offline: {budget}}}}}");
        let mut bench = Bench::new(&yaml, TIERS);
        bench.online(&["d", "e"], false);
        bench.step(0);
        bench.healthy(&["a", "b", "c"]);
        bench.step(1);
        assert_eq!(bench.rollout.state == State::Succeeded, over, "{budget}");
    }
    let canaries = [("a", "canary"), ("b", "canary"), ("c", "prod")];
    for (budget, over) in [(1, false), (2, true), (3, true)] {
        let yaml = format!(
            "{{waves: [{{name: canary, selector: tier=canary}}], progressDeadline: 1h, soak: 2s, \
             budgets: {{unavailable: {budget}}}}}"
        );
        let mut bench = Bench::new(&yaml, &canaries);
        bench.step(0);
        bench.healthy(&["a", "b"]);
        assert_eq!(bench.step(3), ["c"]);
        let ill = progressing(Reason::Unhealthy, "not ready");
        bench.says(&["a", "b"], &ill);
        bench.healthy(&["c"]);
        bench.step(7);
        assert_eq!(bench.rollout.state == State::Succeeded, over, "{budget}");
    }
}

/// Whether an offline cluster is affected may be known, or not.
#[test]
fn an_offline_wave_for_which_nothing_changes_holds_nobody_up() {
    for change in [Change::Nothing, Change::Something] {
        let mut bench = Bench::new(
            "{waves: [{name: canary, selector: tier=canary}], budgets: {offline: 2}}",
            &[("a", "canary"), ("b", "canary"), ("c", "prod")],
        );
        bench.online(&["a", "b"], false);
        bench.see("a").change = Change::Nothing;
        bench.see("b").change = change;
        let nothing = change == Change::Nothing;
        assert_eq!(bench.step(0).is_empty(), !nothing);
        assert_eq!(bench.rollout.wave, usize::from(nothing));
        let note = &bench.rollout.note;
        assert_eq!(
            note.contains(
                "no cluster of wave canary has proven the rollout yet; waits for offline \
                 clusters: a, b"
            ),
            !nothing,
            "{note}"
        );
    }
}

#[test]
fn clusters_for_which_nothing_changes_prove_nothing_beside_one_that_failed() {
    let mut bench = Bench::new(
        "{waves: [{name: canary, selector: tier=canary}], budgets: {failed: 1}}",
        &[("a", "canary"), ("b", "canary"), ("c", "prod")],
    );
    bench.see("b").change = Change::Nothing;
    bench.step(0);
    bench.says(&["b"], &Verdict::Healthy(Digest::of(b"before")));
    bench.says(&["a"], &bad());
    assert!(bench.step(1).is_empty());
    assert_eq!(bench.rollout.state, State::Halted);
    assert_eq!(
        bench.rollout.note,
        "no cluster of wave canary has proven the rollout, and none is left that could: a \
         (Deployment web/web: crashes)"
    );
}

#[test]
fn what_speaks_against_it_outside_condemns_nobody_for_whom_nothing_changed() {
    let mut bench = Bench::new("{onFailure: rollback, maxConcurrent: 1}", TIERS);
    bench.see("a").change = Change::Nothing;
    bench.held = Some("freeze".to_owned());
    bench.step(0);
    bench.held = None;
    bench.closed = None;
    for cluster in ["b", "c", "d", "e"] {
        bench.online(&[cluster], false);
    }
    assert_eq!(bench.step(1), ["a"]);
    bench.failing = Some("check errors: HTTP 500".to_owned());
    bench.step(2);
    assert_eq!(
        bench.rollout.state,
        State::Running,
        "{}",
        bench.rollout.note
    );
    bench.failing = None;
    bench.online(&["b"], true);
    assert_eq!(bench.step(3), ["b"]);
    bench.failing = Some("check errors: HTTP 500".to_owned());
    bench.step(4);
    assert_eq!(bench.rollout.state, State::RolledBack);
    assert_eq!(bench.rollout.note, "check errors: HTTP 500");
}

/// A cluster that was suspended before its start waits for its turn; one that was suspended after it continues.
#[test]
fn who_is_resumed_goes_on_where_it_was() {
    let mut bench = Bench::new("{maxConcurrent: 1, soak: 10s, progressDeadline: 1h}", TIERS);
    assert_eq!(bench.step(0), ["a"]);
    bench.see("a").suspended = true;
    bench.see("b").suspended = true;
    assert_eq!(bench.step(1), ["c"]);
    bench.see("a").suspended = false;
    bench.see("b").suspended = false;
    bench.step(2);
    assert_eq!(bench.phase("a"), Phase::Started);
    assert_eq!(bench.phase("b"), Phase::Waiting);
    // The rollout that took over starts it again, in its turn.
    bench.see("a").suspended = true;
    bench.step(3);
    bench.rollout.clusters.get_mut(&name("a")).unwrap().before = PriorProblems::default().doubted();
    bench.supersede(4);
    let carried = &bench.rollout.clusters[&name("a")];
    assert_eq!((carried.phase, carried.since), (Phase::Waiting, at(4)));
    bench.step(5);
    bench.online(&["a"], false);
    bench.see("a").suspended = false;
    bench.step(6);
    assert_eq!(
        bench.phase("a"),
        Phase::Waiting,
        "away, and nobody came to it"
    );
}

#[test]
fn while_something_is_held_nobody_for_whom_nothing_changes_is_let_through_either() {
    let mut bench = Bench::new(THREE, FLEET);
    assert_eq!(bench.step(0), ["a"]);
    bench.held = Some("freeze: frozen until Monday".to_owned());
    bench.see("e").change = Change::Nothing;
    assert!(bench.step(2).is_empty());
    bench.held = None;
    assert_eq!(bench.step(3), ["e"]);
}

#[test]
fn that_nothing_changes_for_a_cluster_is_told_once_and_goes_to_no_other_rollout() {
    let mut bench = Bench::new(THREE, FLEET);
    bench.closed = Some("approval: 0 of 1".to_owned());
    bench.step(0);
    bench.see("e").change = Change::Nothing;
    assert_eq!(bench.look(1).clusters, [name("e")].into());
    assert!(bench.look(2).clusters.is_empty());
    bench.see("e").change = Change::Something;
    assert_eq!(bench.look(3).clusters, [name("e")].into());
    bench.see("e").change = Change::Nothing;
    bench.step(4);
    let progress = bench.rollout.clusters.get_mut(&name("e")).unwrap();
    progress.before = PriorProblems::default().doubted();
    assert!(progress.unchanged);
    bench.supersede(5);
    assert!(
        !bench.rollout.clusters[&name("e")].unchanged,
        "by its commits"
    );
}

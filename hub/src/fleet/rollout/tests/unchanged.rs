//! Clusters for which a commit changes nothing.

use super::*;

impl Bench {
    fn changes(&mut self, clusters: &[&str], change: Change) {
        for cluster in clusters {
            self.seen.get_mut(&name(cluster)).unwrap().change = change;
        }
    }

    /// Reports on the new commits, rendered from the same files as before.
    fn healthy_as_before(&mut self, clusters: &[&str]) {
        self.says(clusters, &Verdict::Healthy(Digest::of(b"before")));
    }
}

const WAVES: &str = "{waves: [{name: canary, selector: tier=canary}, {name: rest}], maxConcurrent: 1, soak: 1h, progressDeadline: 24h}";
const FLEET: &[(&str, &str)] = &[
    ("a", "canary"),
    ("b", "rest"),
    ("c", "rest"),
    ("d", "rest"),
    ("e", "rest"),
];

#[test]
fn clusters_for_which_nothing_changes_wait_for_no_wave() {
    let mut bench = Bench::new(WAVES, FLEET);
    assert_eq!(bench.step(0), ["a"], "nothing is known yet");
    bench.changes(&["a", "b"], Change::Something);
    bench.changes(&["c", "d"], Change::Nothing);
    assert_eq!(bench.step(1), ["c", "d"], "known, all at once");
    bench.healthy_as_before(&["c"]);
    bench.step(2);
    assert_eq!(bench.rollout.clusters[&name("c")].phase, Phase::Done);
    assert_eq!(bench.rollout.clusters[&name("d")].phase, Phase::Started);
    assert_eq!(bench.rollout.wave, 0, "the wave goes on as ever");
    bench.healthy(&["a"]);
    bench.step(3);
    assert_eq!(bench.rollout.state, State::Soaking);
    // `d` is in progress and does not count against the limit of concurrency.
    assert_eq!(bench.step(3 + 3600), ["b"]);
    bench.healthy(&["b"]);
    assert!(bench.step(4000).is_empty(), "one at a time");
    assert_eq!(bench.step(8000), ["e"], "not known: as before");
    bench.healthy(&["e"]);
    bench.healthy_as_before(&["d"]);
    bench.step(8001);
    bench.step(12_000);
    assert_eq!(bench.rollout.state, State::Succeeded);
    assert_eq!(bench.rollout.note, "5 clusters, 2 of them unchanged");
}

#[test]
fn promise_4_who_reports_other_files_nevertheless_soaks_like_any_other() {
    let mut bench = Bench::new(WAVES, FLEET);
    bench.changes(&["a", "b", "c", "d", "e"], Change::Nothing);
    assert_eq!(bench.step(0).len(), 5);
    bench.healthy_as_before(&["a", "b", "c", "d"]);
    bench.healthy(&["e"]);
    bench.step(1);
    let progress = &bench.rollout.clusters[&name("e")];
    assert_eq!(
        (progress.phase, progress.unchanged),
        (Phase::Soaking, false)
    );
    assert_eq!(bench.rollout.wave, 1);
    bench.step(3601);
    assert_eq!(bench.rollout.state, State::Succeeded);
}

#[test]
fn nobody_is_let_through_a_closed_gate() {
    let all = ["a", "b", "c", "d", "e"];
    let mut bench = Bench::new(WAVES, FLEET);
    bench.changes(&all, Change::Nothing);
    bench.closed = Some("proof".to_owned());
    assert!(bench.step(0).is_empty());
    let known = bench
        .rollout
        .clusters
        .values()
        .all(|progress| progress.unchanged);
    assert!(known, "told before the gates open");
    bench.closed = None;
    bench.held = Some("freeze".to_owned());
    assert!(bench.step(1).is_empty());
    bench.held = None;
    bench.paused = Some("ada".to_owned());
    assert!(bench.step(2).is_empty());
    bench.paused = None;
    bench.seen.get_mut(&name("b")).unwrap().pinned = true;
    bench.online(&["c"], false);
    assert_eq!(bench.step(3), ["a", "d", "e"]);
    // A halted rollout stays halted.
    bench.says(&["a"], &bad());
    bench.online(&["c"], true);
    assert!(bench.step(4).is_empty());
    assert_eq!(bench.rollout.state, State::Halted);
}

#[test]
fn they_are_no_word_on_a_wave_that_waits_for_approval() {
    let yaml = "{waves: [{name: canary, selector: tier=canary, approvals: 1}, {name: rest}]}";
    let mut bench = Bench::new(yaml, &[("a", "canary"), ("b", "canary"), ("c", "rest")]);
    bench.changes(&["a", "c"], Change::Nothing);
    bench.changes(&["b"], Change::Something);
    assert_eq!(bench.step(0), ["a", "c"]);
    bench.healthy_as_before(&["a", "c"]);
    assert!(bench.step(1).is_empty());
    assert!(bench.rollout.note.contains("waits for approval"));
    bench.approvals.insert("canary".to_owned(), 1);
    assert_eq!(bench.step(2), ["b"]);
}

#[test]
fn a_wave_of_nothing_else_is_complete_by_itself() {
    let yaml = "{waves: [{name: canary, selector: tier=canary, approvals: 1}, {name: rest}]}";
    let mut bench = Bench::new(yaml, &[("a", "canary"), ("b", "rest")]);
    bench.changes(&["a"], Change::Nothing);
    assert_eq!(bench.step(0), ["a"]);
    bench.healthy_as_before(&["a"]);
    assert_eq!(bench.step(1), ["b"]);
}

#[test]
fn what_was_known_before_a_restart_is_not_forgotten_and_lets_nobody_through() {
    let mut bench = Bench::new(WAVES, FLEET);
    bench.closed = Some("proof".to_owned());
    bench.changes(&["c"], Change::Nothing);
    bench.step(0);
    bench.changes(&["c"], Change::Unknown);
    bench.closed = None;
    assert_eq!(bench.step(1), ["a"]);
    assert!(bench.rollout.clusters[&name("c")].unchanged);
    bench.changes(&["c"], Change::Something);
    bench.step(2);
    assert!(!bench.rollout.clusters[&name("c")].unchanged);
}

use std::collections::BTreeMap;

use flotilla_shared::digest::Digest;
use flotilla_shared::id::ClusterName;
use flotilla_shared::reason::Reason;
use jiff::{SignedDuration, Timestamp};

use super::*;
use crate::spec::{self, Strategy};

fn at(second: i64) -> Timestamp {
    Timestamp::new(1_790_000_000 + second, 0).unwrap()
}

fn strategy(yaml: &str) -> Strategy {
    let file = format!(
        "apiVersion: flotilla.dev/v1alpha1\nkind: Fleet\nenvironments:\n- name: prod\n  branch: prod\n  strategy: {yaml}\n"
    );
    let spec = spec::parse("f", &file).unwrap();
    spec.environments[0].strategy.clone().unwrap()
}

fn name(text: &str) -> ClusterName {
    text.parse().unwrap()
}

struct Bench {
    strategy: Strategy,
    rollout: Rollout,
    seen: BTreeMap<ClusterName, Observation>,
    paused: Option<String>,
    closed: Option<String>,
    held: Option<String>,
    approvals: BTreeMap<String, u32>,
}

impl Bench {
    fn new(yaml: &str, clusters: &[(&str, &str)]) -> Self {
        let strategy = strategy(yaml);
        let rollout = Rollout {
            id: "prod-1".to_owned(),
            environment: "prod".parse().unwrap(),
            target: Commits::new(),
            from: Commits::new(),
            from_id: String::new(),
            state: State::Pending,
            carried: Vec::new(),
            waves: Vec::new(),
            wave: 0,
            created_at: at(0),
            started_at: None,
            ended_at: None,
            note: String::new(),
            clusters: BTreeMap::new(),
        };
        let mut bench = Self {
            strategy,
            rollout,
            seen: BTreeMap::new(),
            paused: None,
            closed: None,
            held: None,
            approvals: BTreeMap::new(),
        };
        bench.fleet(clusters);
        bench
    }

    /// Clusters with their tier.
    fn fleet(&mut self, clusters: &[(&str, &str)]) {
        let labels = clusters
            .iter()
            .map(|(cluster, tier)| {
                let labels = [("tier".to_owned(), (*tier).to_owned())].into();
                (name(cluster), labels)
            })
            .collect();
        let waves = wave_of_each(&self.strategy, &labels);
        self.seen.retain(|name, _| labels.contains_key(name));
        for (cluster, labels) in &labels {
            let seen = self.seen.entry(cluster.clone()).or_insert(Observation {
                wave: 0,
                sort_key: "".into(),
                pinned: false,
                online: true,
                verdict: Verdict::NotYet,
                rendered_from: Digest::of(b"before"),
                change: Change::Unknown,
                carried: false,
            });
            seen.wave = waves[cluster];
            seen.sort_key = self.strategy.sort_key(labels).into();
        }
    }

    fn step(&mut self, second: i64) -> Vec<String> {
        let before: Vec<ClusterName> = self.touched();
        let world = World {
            strategy: &self.strategy,
            clusters: &Vec::from_iter(self.seen.clone()),
            closed: self.closed.clone(),
            held: self.held.clone(),
            paused: self.paused.clone(),
            approvals: &self.approvals,
        };
        self.rollout.advance(&world, at(second));
        self.touched()
            .into_iter()
            .filter(|name| !before.contains(name))
            .map(|name| name.to_string())
            .collect()
    }

    fn touched(&self) -> Vec<ClusterName> {
        let all = self.rollout.clusters.iter();
        all.filter(|(_, progress)| progress.phase.is_touched())
            .map(|(name, _)| name.clone())
            .collect()
    }

    fn says(&mut self, clusters: &[&str], verdict: &Verdict) {
        for cluster in clusters {
            self.seen.get_mut(&name(cluster)).unwrap().verdict = verdict.clone();
        }
    }

    fn healthy(&mut self, clusters: &[&str]) {
        self.says(clusters, &Verdict::Healthy(Digest::of(b"after")));
    }

    fn online(&mut self, clusters: &[&str], online: bool) {
        for cluster in clusters {
            self.seen.get_mut(&name(cluster)).unwrap().online = online;
        }
    }
}

fn bad() -> Verdict {
    Verdict::Failed(Reason::Unhealthy, "Deployment web/web: crashes".to_owned())
}

const TIERS: &[(&str, &str)] = &[
    ("a", "canary"),
    ("b", "prod"),
    ("c", "prod"),
    ("d", "prod"),
    ("e", "edge"),
];

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
fn a_relapse_begins_the_soak_anew_and_holds_new_starts() {
    let mut bench = Bench::new("{maxConcurrent: 1, soak: 10s}", TIERS);
    assert_eq!(bench.step(0), ["a"]);
    bench.healthy(&["a"]);
    assert_eq!(bench.step(5), ["b"], "soaking holds no slot");
    let relapse = Verdict::Progressing(Reason::Unhealthy, "not ready".to_owned());
    bench.says(&["a"], &relapse);
    bench.healthy(&["b"]);
    assert!(bench.step(6).is_empty(), "one is unavailable, none may be");
    assert!(
        bench
            .rollout
            .note
            .contains("healthy on it and are not now: a")
    );
    bench.healthy(&["a"]);
    assert_eq!(bench.step(7), ["c"]);
    assert_eq!(bench.rollout.clusters[&name("a")].since, at(7));
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

/// Random worlds against the pure core, very many of them: nothing runs ahead of its wave, nothing
/// offline or pinned is started, budgets hold, and a rollout that is over stays as it is.
/// `FLOTILLA_SEQUENCES` sets how many; CI asks for 100,000.
#[test]
fn i07_random_sequences_keep_the_laws_of_a_rollout() {
    use rand::seq::IndexedRandom as _;
    use rand::{Rng as _, SeedableRng as _};
    let number = |name: &str| {
        std::env::var(name)
            .ok()
            .and_then(|text| text.parse::<u64>().ok())
    };
    let seed = number("FLOTILLA_SEED").unwrap_or_else(|| rand::rng().random());
    eprintln!("FLOTILLA_SEED={seed}");
    let bench = Bench::new(
        "{waves: [{name: canary, selector: tier=canary}, {name: half, share: '40%'}], maxConcurrent: 2, \
         soak: 3s, progressDeadline: 20s, budgets: {failed: 1, unavailable: 1, offline: 1}, \
         onFailure: rollback}",
        TIERS,
    );
    let names: Vec<ClusterName> = bench.seen.keys().cloned().collect();
    let mut ends = BTreeMap::<State, u64>::new();
    for run in 0..number("FLOTILLA_SEQUENCES").unwrap_or(10_000) {
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
                2 => one.verdict = bad(),
                3 => one.verdict = Verdict::NotYet,
                _ => one.verdict = Verdict::Healthy(Digest::of(b"after")),
            }
            let clusters = Vec::from_iter(seen.clone());
            let world = World {
                strategy: &bench.strategy,
                clusters: &clusters,
                closed: None,
                held: None,
                paused: rng.random_bool(0.05).then(|| "lunch".to_owned()),
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
            law(rollout.wave >= before.wave, "waves do not go back");
            let mut started = 0;
            for (name, progress) in &rollout.clusters {
                let old = before.clusters.get(name);
                if old != Some(progress) {
                    law(changes.clusters.contains(name), "each change is told");
                }
                let touched = old.is_some_and(|old| old.phase.is_touched());
                if progress.phase.is_touched() && !touched {
                    law(
                        seen[name].online && !seen[name].pinned,
                        "offline or pinned started",
                    );
                    law(progress.wave == rollout.wave, "started out of its wave");
                    law(world.paused.is_none(), "started while paused");
                    started += 1;
                }
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

mod unchanged {
    use super::*;

    impl Bench {
        fn changes(&mut self, clusters: &[&str], change: Change) {
            for cluster in clusters {
                self.seen.get_mut(&name(cluster)).unwrap().change = change;
            }
        }

        /// Reports of the new commits, rendered from what was there before.
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
        // `d` is still on its way and takes nobody's place.
        assert_eq!(bench.step(3 + 3600), ["b"]);
        bench.healthy(&["b"]);
        assert_eq!(bench.step(4000), ["e"], "not known: as before");
        bench.healthy(&["e"]);
        bench.healthy_as_before(&["d"]);
        bench.step(8001);
        bench.step(12_000);
        assert_eq!(bench.rollout.state, State::Succeeded);
        assert_eq!(
            bench.rollout.note,
            "5 clusters, nothing changed in 2 of them"
        );
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
        let known = bench.rollout.clusters.values().all(|one| one.unchanged);
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
        // What was halted stays halted.
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
}

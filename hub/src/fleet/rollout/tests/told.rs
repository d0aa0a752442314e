//! The notes of a rollout: which clusters it waits for, which it excludes, and why none takes part.

use super::*;

impl Bench {
    fn observation(&mut self, cluster: &str) -> &mut Observation {
        self.seen.get_mut(&name(cluster)).unwrap()
    }
}

#[test]
fn at_its_end_a_rollout_names_who_is_left_behind_pinned_and_suspended() {
    let mut bench = Bench::new("{budgets: {offline: 2}}", TIERS);
    bench.online(&["b"], false);
    bench.observation("c").pinned = true;
    bench.observation("d").suspended = true;
    assert_eq!(bench.step(0), ["a", "e"]);
    bench.healthy(&["a", "e"]);
    bench.step(1);
    assert_eq!(bench.rollout.state, State::Succeeded);
    assert_eq!(
        bench.rollout.note,
        "2 clusters; 1 left behind, still to follow: b; excluded by pins: c; \
         excluded as suspended: d"
    );
    assert_eq!(
        bench.rollout.wave, 1,
        "its waves are over, and no more than those"
    );
    // No cluster was excluded or left behind.
    let mut bench = Bench::new("{}", &TIERS[..1]);
    bench.step(0);
    bench.healthy(&["a"]);
    bench.step(1);
    assert_eq!(bench.rollout.note, "1 cluster");
}

#[test]
fn a_step_says_whether_anything_changed() {
    let mut bench = Bench::new("{soak: 10s}", TIERS);
    assert!(bench.look(0).rollout, "it begins");
    assert!(!bench.look(1).rollout && bench.look(2).clusters.is_empty());
    bench.healthy(&["a"]);
    let changes = bench.look(3);
    assert_eq!(changes.clusters, [name("a")].into());
    bench.paused = Some("ada".to_owned());
    assert!(bench.look(4).rollout && !bench.look(5).rollout);
}

#[test]
fn who_is_kept_out_is_so_since_it_was() {
    let mut bench = Bench::new("{maxConcurrent: 1}", TIERS);
    bench.observation("b").pinned = true;
    bench.observation("c").suspended = true;
    bench.step(1);
    for second in 2..5 {
        let changes = bench.look(second);
        assert!(changes.clusters.is_empty(), "{changes:?}");
    }
    for (cluster, phase) in [("b", Phase::Pinned), ("c", Phase::Suspended)] {
        let progress = &bench.rollout.clusters[&name(cluster)];
        assert_eq!((progress.phase, progress.since), (phase, at(1)));
    }
}

#[test]
fn a_wave_soaks_only_while_nobody_of_it_who_is_there_has_anything_to_do() {
    let mut bench = Bench::new("{soak: 10s, budgets: {offline: 1, unavailable: 1}}", TIERS);
    bench.online(&["e"], false);
    bench.step(0);
    bench.healthy(&["a", "b", "c"]);
    bench.step(1);
    assert_eq!(bench.rollout.state, State::Running, "d is on its way");
    bench.healthy(&["d"]);
    bench.step(2);
    assert_eq!(bench.rollout.state, State::Soaking, "e is not there");
    let relapse = progressing(Reason::Unhealthy, "not ready");
    bench.says(&["d"], &relapse);
    bench.step(3);
    assert_eq!(bench.rollout.state, State::Running, "d fell ill");
    bench.step(20);
    assert_eq!(bench.rollout.count(Phase::Done), 3);
    assert_eq!(bench.rollout.state, State::Running, "and it is not over");
    // All online clusters are done, and the rollout waits for the offline one.
    let mut bench = Bench::new("{soak: 10s, budgets: {offline: 0}}", TIERS);
    bench.online(&["e"], false);
    bench.step(0);
    bench.healthy(&["a", "b", "c", "d"]);
    bench.step(20);
    assert_eq!(bench.rollout.state, State::Running);
    assert_eq!(
        bench.rollout.note,
        "waits for offline clusters (budget 0): e; to exclude e: flotilla pin --cluster e \
         --reason TEXT; to end the rollout: flotilla abort prod --reason TEXT"
    );
}

#[test]
fn who_is_away_is_told_once_nobody_is_on_the_way() {
    let mut bench = Bench::new(
        "{waves: [{name: canary, selector: tier=canary}], budgets: {offline: 1}}",
        &[
            ("a", "canary"),
            ("b", "canary"),
            ("c", "canary"),
            ("d", "canary"),
            ("z", "prod"),
        ],
    );
    bench.online(&["b", "c", "d", "z"], false);
    bench.observation("c").pinned = true;
    assert_eq!(bench.step(0), ["a"]);
    assert_eq!(bench.rollout.note, "", "a is on its way");
    bench.step(1);
    assert_eq!(bench.rollout.note, "");
    bench.healthy(&["a"]);
    bench.step(2);
    let note = &bench.rollout.note;
    // A pinned cluster, or one of a later wave, is not waited for.
    assert!(note.contains("clusters (budget 1): b, d; "), "{note}");
    // The reason for which nothing may be started comes first.
    bench.held = Some("freeze: frozen until Monday".to_owned());
    bench.step(3);
    assert_eq!(bench.rollout.note, "freeze: frozen until Monday");
}

#[test]
fn where_nobody_takes_part_it_says_who_keeps_them_out_and_what_lets_them_in() {
    let note = |pinned: &[&str], suspended: &[&str]| {
        let mut bench = Bench::new("{}", &TIERS[..3]);
        for cluster in pinned {
            bench.observation(cluster).pinned = true;
        }
        for cluster in suspended {
            bench.observation(cluster).suspended = true;
        }
        bench.step(0);
        assert_eq!(bench.rollout.state, State::Pending);
        bench.rollout.note
    };
    let all = note(&["a", "b", "c"], &[]);
    assert!(
        all.starts_with("every cluster is pinned: a, b, c; "),
        "{all}"
    );
    assert!(all.contains("flotilla unpin --cluster NAME"), "{all}");
    let all = note(&[], &["a", "b", "c"]);
    assert!(
        all.starts_with("every cluster is excluded, suspended: a, b, c; the rollout starts"),
        "{all}"
    );
    assert!(all.contains("flotilla resume NAME"), "{all}");
    let all = note(&["b"], &["a", "c"]);
    assert!(
        all.starts_with("every cluster is excluded, suspended: a, c; pinned: b; the rollout"),
        "{all}"
    );
    let mut bench = Bench::new("{}", &[]);
    bench.step(0);
    let note = &bench.rollout.note;
    assert!(
        note.starts_with("prod has no clusters yet; the rollout starts"),
        "{note}"
    );
    bench.joining = 2;
    bench.step(1);
    let note = &bench.rollout.note;
    assert!(
        note.starts_with("prod has no clusters yet, and 2 wait to be accepted"),
        "{note}"
    );
}

#[test]
fn a_wave_of_which_nobody_takes_part_says_why() {
    let fleet = [("a", "canary"), ("b", "canary"), ("c", "prod")];
    for (pinned, suspended, why) in [
        (
            &["a", "b"][..],
            &[][..],
            "is excluded by pins (a, b) and cannot",
        ),
        (&[], &["a", "b"], "is suspended (a, b) and cannot"),
        (
            &["a"],
            &["b"],
            "is excluded by pins (a) or suspended (b) and cannot",
        ),
    ] {
        let mut bench = Bench::new("{waves: [{name: canary, selector: tier=canary}]}", &fleet);
        for cluster in pinned {
            bench.observation(cluster).pinned = true;
        }
        for cluster in suspended {
            bench.observation(cluster).suspended = true;
        }
        assert!(bench.step(0).is_empty());
        let note = &bench.rollout.note;
        assert!(note.starts_with(&format!("wave canary {why}")), "{note}");
        assert!(note.contains("0 of 1 approval to continue"), "{note}");
    }
}

#[test]
fn of_many_clusters_the_first_five_are_named() {
    use super::super::words::listed;
    assert_eq!(listed(["a", "b", "c", "d", "e"]), "a, b, c, d, e");
    assert_eq!(
        listed(["a", "b", "c", "d", "e", "f"]),
        "a, b, c, d, e, and 1 more"
    );
    assert_eq!(listed::<&str>([]), "");
}

#[test]
fn who_fails_for_another_reason_says_so_and_has_failed_since_it_did() {
    let mut bench = Bench::new(
        "{maxConcurrent: 1, budgets: {failed: 1, unavailable: 1}}",
        TIERS,
    );
    bench.step(0);
    bench.says(&["a"], &bad());
    bench.step(3);
    let other = failing(Reason::ApplyFailed, "quota");
    bench.says(&["a"], &other);
    bench.step(5);
    let progress = &bench.rollout.clusters[&name("a")];
    assert_eq!((progress.phase, progress.since), (Phase::Failed, at(1)));
    assert_eq!(progress.reason, Some(Reason::ApplyFailed));
    assert_eq!(progress.message, "quota");
    assert!(bench.look(6).clusters.is_empty(), "nothing new");
}

#[test]
fn who_fails_by_what_it_was_ill_of_has_failed() {
    let mut bench = Bench::new("{maxConcurrent: 1, soak: 10s}", TIERS);
    bench.step(0);
    bench.healthy(&["a"]);
    bench.step(1);
    let ill = progressing(Reason::Unhealthy, "quota");
    bench.says(&["a"], &ill);
    bench.step(2);
    assert_eq!(bench.phase("a"), Phase::Unavailable);
    let failed = failing(Reason::Unhealthy, "quota");
    bench.says(&["a"], &failed);
    bench.step(3);
    assert_eq!(bench.phase("a"), Phase::Failed);
}

#[test]
fn who_is_late_says_what_it_waits_for() {
    for (verdict, text) in [
        (Verdict::NotYet, "no report on these commits"),
        (
            progressing(Reason::Unhealthy, ""),
            "no report on these commits",
        ),
        (
            progressing(Reason::Unhealthy, "1 of 3 ready"),
            "1 of 3 ready",
        ),
    ] {
        let mut bench = Bench::new("{maxConcurrent: 1, progressDeadline: 20s}", TIERS);
        bench.step(0);
        bench.says(&["a"], &verdict);
        bench.step(21);
        let message = &bench.rollout.clusters[&name("a")].message;
        assert_eq!(*message, format!("not healthy within 20 s: {text}"));
    }
}

/// Programs and rows of the store rely on these words.
#[test]
fn the_word_of_a_state_is_the_one_that_it_is_stored_by() {
    for state in State::ALL {
        let word = serde_json::to_value(state).unwrap();
        assert_eq!(state.as_str(), word);
        assert_eq!(state.to_string(), word);
        assert_eq!(format!("{state:>11}|").len(), 12, "in columns");
    }
}

#[test]
fn a_rollout_is_named_by_its_environment_and_its_number() {
    let numbered = |id: &str| {
        let mut rollout = Bench::new("{}", TIERS).rollout;
        rollout.id = id.to_owned();
        rollout.number()
    };
    assert_eq!(numbered("prod-17"), 17);
    assert_eq!(numbered("eu-west-1-3"), 3);
    assert_eq!(numbered("prod"), 0);
    assert_eq!(numbered("prod-x"), 0);
}

#[test]
fn what_it_brings_and_from_where_is_shown_with_the_fleet_file_only_where_that_changes() {
    let commit = |digit: char| -> Commit { digit.to_string().repeat(40).parse().unwrap() };
    let commits = |all: &[(&str, char)]| -> Commits {
        let all = all.iter();
        all.map(|(source, digit)| (source.parse().unwrap(), commit(*digit)))
            .collect()
    };
    let file = RepositoryName::fleet_file().as_str();
    let mut rollout = Bench::new("{}", TIERS).rollout;
    assert_eq!(rollout.title(), "nothing");
    rollout.from = commits(&[("shop", 'a'), ("tools", 'b'), (file, 'f')]);
    rollout.target = commits(&[("shop", 'c'), ("tools", 'b'), (file, 'f')]);
    let short = |digit| commit(digit).short().to_owned();
    assert_eq!(rollout.changed(), commits(&[("shop", 'c')]));
    assert_eq!(rollout.specification(), None);
    assert_eq!(rollout.shown(), commits(&[("shop", 'c'), ("tools", 'b')]));
    assert_eq!(
        rollout.shown_from(),
        commits(&[("shop", 'a'), ("tools", 'b')])
    );
    assert_eq!(rollout.title(), format!("{}+{}", short('c'), short('b')));
    rollout.target = commits(&[("shop", 'c'), (file, 'e')]);
    assert_eq!(rollout.specification(), Some(&commit('e')));
    assert_eq!(rollout.shown(), rollout.target);
    assert_eq!(rollout.shown_from(), rollout.from);
    let title = format!("{} as of fleet file {}", short('c'), short('e'));
    assert_eq!(rollout.title(), title);
    let only = commits(&[(file, 'e')]);
    assert_eq!(title_of(&only), format!("fleet file {}", short('e')));
}

fn title_of(commits: &Commits) -> String {
    title(commits)
}

/// After a restart the problems are still known; otherwise they would be blamed on the next commit.
#[test]
fn what_was_wrong_before_is_stored() {
    let mut progress = Progress::waiting(0, at(0));
    for before in [
        PriorProblems::default(),
        PriorProblems::of(["b".parse().unwrap()].into(), None),
        PriorProblems::of(BTreeSet::new(), Some(Reason::ProtectedKind)),
        PriorProblems::default().doubted(),
    ] {
        progress.before = before;
        let row = serde_json::to_string(&progress).unwrap();
        assert_eq!(serde_json::from_str::<Progress>(&row).unwrap(), progress);
    }
}

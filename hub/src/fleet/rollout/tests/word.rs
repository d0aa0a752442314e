//! What a cluster's report proves, and for how long.

use super::*;

fn progress<'b>(bench: &'b Bench, cluster: &str) -> &'b Progress {
    &bench.rollout.clusters[&name(cluster)]
}

fn after() -> Verdict {
    Verdict::Healthy(Digest::of(b"after"))
}

/// Only an uninterrupted soak is carried over to a newer commit with the same content.
#[test]
fn who_falls_ill_on_the_same_content_soaks_from_the_beginning() {
    let mut bench = Bench::new("{maxConcurrent: 5, soak: 10s, progressDeadline: 1h}", TIERS);
    bench.step(0);
    bench.healthy(&["a"]);
    bench.step(7);
    bench.supersede(8);
    bench.step(8);
    let ill = progressing(Reason::Unhealthy, "not ready");
    bench.healthy(&["a"]);
    bench.step(9);
    bench.says(&["a"], &ill);
    bench.step(10);
    assert_eq!(bench.phase("a"), Phase::Unavailable);
    assert_eq!(progress(&bench, "a").message, "not ready");
    assert_eq!(progress(&bench, "a").reason, Some(Reason::Unhealthy));
    bench.healthy(&["a"]);
    bench.step(20);
    assert_eq!(bench.phase("a"), Phase::Soaking, "nine of ten");
    bench.step(21);
    assert_eq!(bench.phase("a"), Phase::Done);
}

#[test]
fn of_what_nobody_knows_nothing_is_the_same() {
    // Neither the cluster nor the good commits report what they rendered from.
    let mut bench = Bench::new("{maxConcurrent: 1, soak: 10s}", TIERS);
    bench.seen.get_mut(&name("a")).unwrap().rendered_from = Digest::default();
    bench.step(0);
    let unknown = Verdict::Healthy(Digest::default());
    bench.says(&["a"], &unknown);
    bench.step(1);
    assert_eq!(bench.phase("a"), Phase::Soaking);
    bench.step(8);
    // Unknown content does not match unknown content of the rollout before.
    bench.supersede(9);
    bench.step(9);
    bench.says(&["a"], &unknown);
    bench.step(10);
    bench.step(19);
    assert_eq!(bench.phase("a"), Phase::Soaking, "from the beginning");
    bench.step(20);
    assert_eq!(bench.phase("a"), Phase::Done);
}

/// A cluster was let through as unchanged, and then reports other content.
#[test]
fn who_reports_other_files_is_not_counted_among_the_unchanged() {
    let mut bench = Bench::new("{soak: 3s}", &TIERS[..2]);
    for seen in bench.seen.values_mut() {
        seen.change = Change::Nothing;
    }
    bench.step(0);
    bench.says(&["a"], &Verdict::Healthy(Digest::of(b"before")));
    bench.says(&["b"], &after());
    bench.step(2);
    assert!(progress(&bench, "a").unchanged && !progress(&bench, "b").unchanged);
    bench.step(5);
    assert_eq!(bench.rollout.state, State::Succeeded);
    assert_eq!(bench.rollout.note, "2 clusters, 1 of them unchanged");
}

#[test]
fn without_a_soak_one_word_is_enough() {
    let mut bench = Bench::new("{}", &TIERS[..1]);
    bench.step(0);
    bench.healthy(&["a"]);
    bench.seen.get_mut(&name("a")).unwrap().heard_at = None;
    bench.look_silently(1);
    assert_eq!(bench.phase("a"), Phase::Done);
}

#[test]
fn what_was_said_before_it_was_asked_is_no_answer() {
    let mut bench = Bench::new("{soak: 3s}", &TIERS[..1]);
    bench.step(0);
    bench.healthy(&["a"]);
    bench.look(1);
    bench.look(3);
    // Its soak is over, and its last report is a second old.
    assert_eq!(bench.look_silently(4).asked, [name("a")].into());
    for heard in [2, 3] {
        bench.seen.get_mut(&name("a")).unwrap().heard_at = Some(at(heard));
        assert!(bench.look_silently(5).asked.is_empty());
        assert_eq!(bench.phase("a"), Phase::Soaking);
    }
    bench.seen.get_mut(&name("a")).unwrap().heard_at = Some(at(4));
    bench.look_silently(6);
    assert_eq!(bench.phase("a"), Phase::Done);
}

/// By the new time it was not asked yet: a report from now counts, and one that the former clock dated does not.
#[test]
fn a_clock_that_is_set_back_asks_again() {
    let mut bench = Bench::new("{soak: 3s}", &TIERS[..1]);
    bench.step(0);
    bench.healthy(&["a"]);
    bench.look(1);
    bench.look(3);
    bench.look_silently(4);
    assert_eq!(progress(&bench, "a").asked_at, Some(at(4)));
    assert_eq!(bench.look_silently(-100).asked, BTreeSet::new());
    assert_eq!(progress(&bench, "a").asked_at, Some(at(-100)));
    bench.look(-99);
    assert_eq!(bench.phase("a"), Phase::Done);
}

/// A crash of the hub loses little of a long soak, and the hub does not write each second.
#[test]
fn the_time_of_a_soak_is_stored_each_eighth_of_it_and_no_more_than_each_minute() {
    for (soak, stored) in [
        ("400s", &[60, 120, 180, 240, 300, 360][..]),
        ("800s", &[100, 200, 300, 400, 500, 600, 700]),
    ] {
        let mut bench = Bench::new(&format!("{{soak: {soak}}}"), &TIERS[..1]);
        bench.step(0);
        bench.healthy(&["a"]);
        bench.look(1);
        let mut told = Vec::new();
        for second in 2.. {
            let changes = bench.look(second);
            if bench.phase("a") == Phase::Done {
                break;
            }
            if !changes.clusters.is_empty() {
                told.push(second - 1);
            }
        }
        assert_eq!(told, stored, "{soak}");
    }
}

/// A soak counts time with reports, and a deadline time without them.
#[test]
fn who_is_there_and_says_nothing_runs_out_of_time_and_soaks_none() {
    let mut bench = Bench::new("{soak: 5s, progressDeadline: 10s}", &TIERS[..1]);
    bench.step(0);
    bench.healthy(&["a"]);
    bench.look(1);
    bench.seen.get_mut(&name("a")).unwrap().heard_at = None;
    for second in 2..30 {
        bench.look_silently(second);
    }
    assert_eq!(progress(&bench, "a").counted, std::time::Duration::ZERO);
    assert_eq!(bench.phase("a"), Phase::Soaking);
    // It becomes unhealthy and stays so.
    bench.says(&["a"], &Verdict::NotYet);
    bench.step(40);
    assert_eq!(bench.phase("a"), Phase::Unavailable);
    bench.step(41);
    assert_eq!(bench.phase("a"), Phase::Failed);
}

#[test]
fn what_a_newer_rollout_takes_over_is_what_was_good_and_what_soaked() {
    let mut bench = Bench::new("{maxConcurrent: 2, soak: 10s}", TIERS);
    bench.step(0);
    bench.healthy(&["a"]);
    bench.step(5);
    let carried = bench.rollout.carry(at(9));
    assert_eq!(carried.len(), 2, "of who was not come to there is nothing");
    let progress = &carried[&name("a")];
    assert_eq!((progress.phase, progress.since), (Phase::Waiting, at(9)));
    assert_eq!(progress.rendered_from, Digest::of(b"before"));
    let soaked = progress.carried.clone().unwrap();
    assert_eq!(soaked.content, Digest::of(b"after"));
    assert_eq!(soaked.counted, std::time::Duration::from_secs(4));
    assert!(progress.before.is_doubted());
    let soaked = carried[&name("b")].carried.clone().unwrap();
    assert!(soaked.content.is_none() && soaked.counted.is_zero());
    // For a cluster that the next rollout did not reach, it is carried over to the one after that.
    bench.supersede(9);
    let again = bench.rollout.carry(at(12));
    let progress = &again[&name("a")];
    assert_eq!((progress.phase, progress.since), (Phase::Waiting, at(12)));
    assert_eq!(progress.rendered_from, Digest::of(b"before"));
    assert_eq!(progress.carried, carried[&name("a")].carried);
    assert!(!progress.unchanged && progress.started_at.is_none());
}

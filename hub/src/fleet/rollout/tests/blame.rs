//! Whose fault a failure is.

use flotilla_shared::id::ApplicationName;

use super::*;

fn apps(names: &[&str]) -> BTreeSet<ApplicationName> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

fn unhealthy(bench: &Bench, cluster: &str) -> BTreeSet<ApplicationName> {
    bench.rollout.clusters[&name(cluster)]
        .before
        .unhealthy
        .clone()
}

#[test]
fn what_was_wrong_before_is_what_was_wrong_before_the_first_that_never_became_good() {
    for (over, recovery, left) in [
        // After a takeover, new problems stay in doubt, whatever was seen since.
        (State::Superseded, Recovery::NotSeen, &["b"][..]),
        (State::Superseded, Recovery::Seen, &["b"][..]),
        // After a rollback, they are in doubt until all was well there.
        (State::RolledBack, Recovery::NotSeen, &["b"][..]),
        (State::RolledBack, Recovery::Seen, &["b", "c"][..]),
    ] {
        let mut bench = Bench::new("{maxConcurrent: 1}", TIERS);
        assert_eq!(bench.step(0), ["a"]);
        let found = PriorProblems::of(apps(&["b", "d"]), None);
        bench.rollout.comes_to(&name("a"), found, Recovery::NotSeen);
        bench.rollout.state = over;
        bench.supersede(1);
        bench.step(1);
        let found = PriorProblems::of(apps(&["b", "c"]), None);
        bench.rollout.comes_to(&name("a"), found, recovery);
        assert_eq!(unhealthy(&bench, "a"), apps(left), "{over} {recovery:?}");
        // No rollout was on this cluster before.
        assert!(bench.rollout.clusters[&name("b")].before.is_nothing());
    }
}

#[test]
fn who_is_left_out_in_the_middle_is_in_doubt_like_who_was_given_back() {
    let mut bench = Bench::new("{maxConcurrent: 1}", TIERS);
    bench.step(0);
    bench
        .rollout
        .comes_to(&name("a"), PriorProblems::default(), Recovery::NotSeen);
    bench.seen.get_mut(&name("a")).unwrap().pinned = true;
    bench.step(1);
    bench.seen.get_mut(&name("a")).unwrap().pinned = false;
    bench.step(2);
    let found = PriorProblems::of(apps(&["b"]), None);
    bench.rollout.comes_to(&name("a"), found, Recovery::NotSeen);
    assert!(unhealthy(&bench, "a").is_empty());
}

#[test]
fn who_failed_as_before_is_halted_for_and_never_rolled_back() {
    for blameless in [true, false] {
        let mut bench = Bench::new(
            "{onFailure: rollback, maxConcurrent: 2, budgets: {failed: 1}}",
            TIERS,
        );
        bench.step(0);
        bench.says(&["a", "b"], &bad());
        bench.seen.get_mut(&name("b")).unwrap().blameless = true;
        bench.seen.get_mut(&name("a")).unwrap().blameless = blameless;
        bench.step(1);
        assert_eq!(
            bench.rollout.state,
            State::Halted,
            "one at most is its fault"
        );
        assert_eq!(bench.rollout.is_to_blame(), !blameless);
        // Now two failures count.
        bench.rollout.retry(at(2));
        bench.seen.get_mut(&name("a")).unwrap().blameless = false;
        bench.seen.get_mut(&name("b")).unwrap().blameless = false;
        bench.step(3);
        assert_eq!(bench.rollout.state, State::RolledBack);
    }
}

/// No cluster of the wave has proven it, since all wait for problems from before.
#[test]
fn a_deadline_that_passes_for_what_was_ill_before_condemns_nothing() {
    for (blameless, state) in [(true, State::Halted), (false, State::RolledBack)] {
        let mut bench = Bench::new(
            "{onFailure: rollback, maxConcurrent: 1, progressDeadline: 10s, budgets: {failed: 5}, \
             waves: [{name: canary, selector: tier=canary}]}",
            TIERS,
        );
        bench.step(0);
        let waits = progressing(Reason::DependencyNotReady, "waits for b");
        bench.says(&["a"], &waits);
        bench.seen.get_mut(&name("a")).unwrap().blameless = blameless;
        bench.step(20);
        assert_eq!(bench.rollout.state, state, "{}", bench.rollout.note);
        assert_eq!(bench.rollout.note.contains("before the rollout"), blameless);
        assert_eq!(bench.rollout.is_to_blame(), !blameless);
    }
}

#[test]
fn what_is_left_aside_is_told_and_proves_nothing_alone() {
    let mut bench = Bench::new("{maxConcurrent: 5, soak: 5s}", TIERS);
    bench.step(0);
    let aside = |names: &[&str], leaves_nothing| {
        Some(Exemptions {
            applications: apps(names),
            leaves_nothing,
            ..Exemptions::default()
        })
    };
    bench.seen.get_mut(&name("a")).unwrap().aside = aside(&["b", "c"], false);
    bench.seen.get_mut(&name("b")).unwrap().aside = aside(&["b"], true);
    bench.healthy(&["a", "b", "c", "d", "e"]);
    bench.step(1);
    assert_eq!(bench.phase("a"), Phase::Soaking);
    assert_eq!(bench.phase("b"), Phase::Done);
    assert!(bench.rollout.clusters[&name("b")].unchanged);
    bench.step(10);
    assert_eq!(bench.rollout.state, State::Succeeded);
    let note = &bench.rollout.note;
    assert!(
        note.contains("ignoring b, c, unhealthy there before: a, b"),
        "{note}"
    );
    let message = &bench.rollout.clusters[&name("a")].message;
    assert_eq!(message, "ignoring b, c, unhealthy here before");
}

/// An outage of the Git server overnight fails no commit, and clusters that waited for it continue by themselves.
#[test]
fn what_keeps_agents_from_any_commit_condemns_none_and_is_waited_for() {
    let away = |reason| progressing(reason, "web: cannot be reached");
    for (reason, outside) in [
        (Reason::RepositoryUnavailable, true),
        (Reason::AuthenticationFailed, true),
        (Reason::Frozen, true),
        // A commit may have caused this one.
        (Reason::WebhookUnavailable, false),
        (Reason::Unhealthy, false),
    ] {
        let mut bench = Bench::new(
            "{onFailure: rollback, maxConcurrent: 5, progressDeadline: 10s, soak: 2s, budgets: {failed: 1}}",
            TIERS,
        );
        bench.step(0);
        bench.says(&["a", "b", "c", "d", "e"], &away(reason));
        bench.step(20);
        let state = if outside {
            State::Halted
        } else {
            State::RolledBack
        };
        assert_eq!(
            bench.rollout.state, state,
            "{reason}: {}",
            bench.rollout.note
        );
        assert_eq!(bench.rollout.is_to_blame(), !outside);
        if !outside {
            continue;
        }
        assert!(
            bench
                .rollout
                .why()
                .contains("continues when the cause is resolved")
        );
        let note = &bench.rollout.note;
        assert!(
            note.contains("for a cause outside the rollout") && !note.contains("as before"),
            "{note}"
        );
        bench.healthy(&["a", "b", "c", "d"]);
        bench.step(24);
        assert_eq!(bench.rollout.state, State::Halted, "one is still there");
        bench.healthy(&["e"]);
        bench.step(30);
        assert_eq!(
            bench.rollout.state,
            State::Succeeded,
            "{}",
            bench.rollout.note
        );
        assert!(!bench.rollout.blameless);
    }
}

/// A halt that an operator has to resolve stays when the cluster recovers.
#[test]
fn who_failed_by_what_it_brings_stays_halted_when_it_recovers() {
    let mut bench = Bench::new("{onFailure: halt, maxConcurrent: 5, soak: 2s}", TIERS);
    bench.step(0);
    bench.says(&["a"], &bad());
    bench.step(2);
    assert_eq!(bench.rollout.state, State::Halted);
    bench.healthy(&["a", "b", "c", "d", "e"]);
    bench.step(20);
    assert_eq!(bench.rollout.state, State::Halted);
}

/// A cluster that runs nothing of what changes proves nothing, even if it is healthy.
#[test]
fn who_runs_nothing_of_what_changes_proves_nothing() {
    let mut bench = Bench::new("{maxConcurrent: 5, soak: 2s, budgets: {failed: 1}}", TIERS);
    bench.step(0);
    for (name, seen) in &mut bench.seen {
        seen.concerned = name.as_str() == "e";
    }
    bench.healthy(&["a", "b", "c", "d"]);
    bench.says(&["e"], &bad());
    bench.step(10);
    assert_eq!(bench.rollout.state, State::Halted, "{}", bench.rollout.note);
    let note = &bench.rollout.note;
    assert!(note.contains("has proven the rollout"), "{note}");
}

//! A failed or halted commit of one repository delays no other.

use super::*;

#[test]
fn roll_03_a_commit_that_failed_is_not_tried_again_for_another_repository() {
    let mut world = World::rolled_out(&file("maxConcurrent: 3, onFailure: rollback", "", "prod"));
    world.bad = vec![commit(2)];
    world.push("fleet", "prod", 2);
    world.pass(10);
    assert_eq!(world.rollout().state, State::RolledBack);
    assert_eq!(world.state().quarantined.len(), 1);
    for n in 2..5 {
        world.push("second", "prod", n);
        world.pass(15);
        assert_eq!(world.rollout().state, State::Succeeded);
        assert_eq!(
            world.having(&of_second(n)).len(),
            3,
            "the good one comes in"
        );
        assert!(
            world.having(&commit(2)).is_empty(),
            "and the bad one does not"
        );
    }
}

/// Each is explained with the command that retries it.
#[test]
fn promise_6_every_commit_in_quarantine_is_explained() {
    let mut world = World::rolled_out(&file("maxConcurrent: 3, onFailure: rollback", "", "prod"));
    world.bad = vec![commit(2), of_second(2)];
    world.push("fleet", "prod", 2);
    world.pass(15);
    world.push("second", "prod", 2);
    world.pass(15);
    assert_eq!(world.state().quarantined.len(), 2);
    let told = crate::status::explain(&world.fleet, "p3", at(world.second)).unwrap();
    for failed in [commit(2), of_second(2)] {
        let again = format!("--force --commit {}", failed.short());
        let mut texts = told.iter().map(|step| &step.text);
        assert!(texts.any(|text| text.contains(&again)), "{told:?}");
    }
}

#[test]
fn roll_03_a_repository_that_nobody_uses_here_starts_nothing_here() {
    let mut world = World::rolled_out(&file("maxConcurrent: 3", "", "dev"));
    let last = world.rollout().id.clone();
    world.push("second", "prod", 2);
    world.pass(5);
    assert_eq!(world.rollout().id, last);
}

#[test]
fn promise_5_of_two_commits_that_failed_together_the_good_one_comes_in() {
    let mut world = World::rolled_out(&file("maxConcurrent: 3, onFailure: rollback", "", "prod"));
    world.bad = vec![commit(2)];
    world.act(&Action::Pause("prod".parse().unwrap())).unwrap();
    world.push("fleet", "prod", 2);
    world.push("second", "prod", 2);
    world.act(&Action::Resume("prod".parse().unwrap())).unwrap();
    world.pass(60);
    assert_eq!(
        world.having(&of_second(2)).len(),
        3,
        "{}",
        world.rollout().note
    );
    assert!(world.having(&commit(2)).is_empty());
    let failed = &world.state().quarantined;
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0].commits.len(), 1);
    assert!(world.state().suspects.is_empty());
}

#[test]
fn promise_5_what_was_halted_holds_up_no_other_repository() {
    let mut world = World::rolled_out(&file("maxConcurrent: 3", "", "prod"));
    world.bad = vec![commit(2)];
    world.push("fleet", "prod", 2);
    world.pass(10);
    assert_eq!(world.rollout().state, State::Halted);
    world.push("second", "prod", 2);
    world.pass(20);
    world.stands(State::Succeeded);
    assert_eq!(world.having(&of_second(2)).len(), 3);
    assert!(world.having(&commit(2)).is_empty(), "its canary went back");
}

#[test]
fn roll_02_09_a_halted_rollout_yields_to_what_waits_in_every_mode() {
    for mode in ["supersede", "queue", "finish"] {
        let strategy = format!("maxConcurrent: 3, onNewCommit: {mode}");
        let mut world = World::rolled_out(&file(&strategy, "", "prod"));
        world.bad = vec![commit(2)];
        world.push("fleet", "prod", 2);
        // The repair arrives before the failure is known.
        world.push("fleet", "prod", 3);
        world.push("fleet", "prod", 4);
        world.pass(60);
        assert_eq!(
            world.rollout().state,
            State::Succeeded,
            "{mode}: {}",
            world.rollout().note
        );
        assert_eq!(world.having(&commit(4)).len(), 3, "{mode}");
    }
}

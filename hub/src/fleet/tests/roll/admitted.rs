//! Which of several requested commits are rolled out, and what they bring with them.

use super::turns::{brings, let_in, waiting};
use super::*;

/// During a freeze the commits wait together, visibly; afterwards one without approval delays no other.
#[test]
fn what_waits_for_a_freeze_to_end_waits_together_and_is_parted_then() {
    let freeze =
        "freezes: [{from: 2020-01-01T00:00, to: 2099-01-01T00:00, timeZone: UTC, reason: x}]";
    let text = |gates: &str| file("maxConcurrent: 3", gates, "prod");
    let mut world = World::rolled_out(&text(&format!("approvals: 1, {freeze}")));
    world.push("fleet", "prod", 2);
    world.push("second", "prod", 2);
    let id = world.rollout().id.clone();
    let_in(&mut world, "bob", "fleet", &commit(2));
    world.pass(2);
    assert_eq!(world.rollout().id, id, "{}", world.rollout().why());
    assert_eq!(brings(&world, "fleet"), Some(commit(2)));
    assert_eq!(brings(&world, "second"), Some(of_second(2)));
    world.stands(State::Pending);
    world.declare(&text("approvals: 1"));
    world.pass(20);
    assert_eq!(world.having(&commit(2)).len(), 3);
    assert!(world.having(&of_second(2)).is_empty());
    world.stands(State::Pending);
}

#[test]
fn promise_5_of_three_that_wait_the_one_that_was_let_in_waits_for_no_other() {
    let text = file("maxConcurrent: 3", "approvals: 1", "prod");
    let mut world = World::rolled_out(&text);
    world.declare(&text.replace("path: b,", "path: moved,"));
    world.push("second", "prod", 2);
    world.push("fleet", "prod", 2);
    world.pass(2);
    world.stands(State::Pending);
    assert_eq!(world.rollout().changed().len(), 3);
    let_in(&mut world, "bob", "fleet", &commit(2));
    world.pass(20);
    assert_eq!(world.having(&commit(2)).len(), 3);
    assert!(world.having(&of_second(2)).is_empty());
    world.stands(State::Pending);
    assert_eq!(world.rollout().changed().len(), 2);
}

/// A revision that uses a repository for the first time needs a commit of it, and a failed one does not count.
#[test]
fn promise_5_what_failed_is_not_tried_again_with_what_had_its_turn_behind_it() {
    let strategy = "maxConcurrent: 3, onNewCommit: queue, onFailure: rollback";
    let mut world = World::new(&file(strategy, "approvals: 1", "prod"));
    // The second repository has no commit in prod yet.
    world.push("second", "dev", 1);
    world.push("fleet", "prod", 1);
    let_in(&mut world, "bob", "fleet", &commit(1));
    world.pass(20);
    world.stands(State::Succeeded);
    assert_eq!(brings(&world, "second"), None);
    world.bad = vec![of_second(1)];
    world.push("second", "prod", 1);
    let_in(&mut world, "bob", "second", &of_second(1));
    let number = world.rollout().number();
    assert!(world.rollout().started_at.is_some());
    // The next commit would bring the failed one along; its repair was not approved yet.
    world.push("fleet", "prod", 2);
    let_in(&mut world, "bob", "fleet", &commit(2));
    world.push("second", "prod", 2);
    assert_eq!(waiting(&world, "fleet"), [commit(2)]);
    assert_eq!(waiting(&world, "second"), [of_second(1)]);
    world.second += 1;
    world.report("p1");
    let second: RepositoryName = "second".parse().unwrap();
    let state = world.state();
    assert!(state.quarantine_of(&second, &of_second(1)).is_some());
    assert_eq!(world.rollout().number(), number + 1);
    assert_eq!(brings(&world, "fleet"), Some(commit(2)));
    assert_eq!(brings(&world, "second"), None, "it has failed");
}

/// A hub that has not read a branch yet does not know what should run from it.
#[test]
fn what_is_taken_from_a_repository_that_was_never_read_comes_with_its_first_commit() {
    let text = file("maxConcurrent: 3", "", "prod");
    let mut world = World::rolled_out(&text);
    let number = world.rollout().number();
    let third = "- {name: third, url: 'https://git.example.com/third.git'}\nenvironments:\n";
    let more = text.replace("environments:\n", third);
    let taken = "- {name: c, repository: third, path: c, placement: {environments: [prod]}}\n";
    world.declare(&(more + taken));
    world.pass(5);
    assert_eq!(world.rollout().number(), number, "half of it is not known");
    world.push("third", "prod", 50);
    assert_eq!(brings(&world, "third"), Some(commit(50)));
    assert!(world.rollout().specification().is_some());
    world.pass(20);
    world.stands(State::Succeeded);
    assert_eq!(world.rollout().number(), number + 1, "they come together");
    assert_eq!(world.having(&commit(50)).len(), 3);
}

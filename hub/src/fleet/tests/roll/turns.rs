//! Commits that queue (`onNewCommit: queue`, `finish`): which one has its turn, keeps it, or gives it up.

use super::super::super::environment::MAX_QUEUE;
use super::super::super::rollout::Phase;
use super::*;

/// Returns the rollout's commit of a repository.
pub(super) fn brings(world: &World, repository: &str) -> Option<Commit> {
    let repository: RepositoryName = repository.parse().unwrap();
    world.rollout().target.get(&repository).cloned()
}

/// Returns the queued commits of a repository, the first one first.
pub(super) fn waiting(world: &World, repository: &str) -> Vec<Commit> {
    let repository: RepositoryName = repository.parse().unwrap();
    let queue = world.state().queue.iter();
    queue
        .filter_map(|commits| commits.get(&repository).cloned())
        .collect()
}

/// Lets a commit in, while no agent reports.
pub(super) fn let_in(world: &mut World, person: &str, repository: &str, commit: &Commit) {
    let action = approve(repository, commit, Scope::Commit);
    world.act_as(person, &action).unwrap();
}

/// A second later one cluster reports, and no other.
fn says(world: &mut World, cluster: &str) {
    world.second += 1;
    world.report(cluster);
}

/// Returns whether a rollout brought a commit to a cluster, even if another one has taken over since.
fn came_to(world: &World, cluster: &str, repository: &str, commit: &Commit) -> bool {
    let repository: RepositoryName = repository.parse().unwrap();
    let key = (name(cluster), repository, commit.clone());
    world.touched.contains(&key)
}

fn in_turn(mode: &str, more: &str, gates: &str) -> String {
    let strategy = format!("maxConcurrent: 3, onNewCommit: {mode}{more}");
    file(&strategy, gates, "prod")
}

#[test]
fn what_waits_longer_has_its_turn_before_what_comes_as_the_rollout_fails() {
    for mode in ["queue", "finish"] {
        let mut world = World::rolled_out(&in_turn(mode, "", ""));
        world.bad = vec![commit(2)];
        world.push("fleet", "prod", 2);
        world.push("fleet", "prod", 3);
        assert_eq!(waiting(&world, "fleet"), [commit(3)], "{mode}");
        says(&mut world, "p1");
        world.stands(State::Halted);
        world.push("fleet", "prod", 4);
        assert_eq!(brings(&world, "fleet"), Some(commit(3)), "{mode}");
        assert_eq!(waiting(&world, "fleet"), [commit(4)], "{mode}");
        world.pass(60);
        world.stands(State::Succeeded);
        assert_eq!(world.having(&commit(4)).len(), 3, "{mode}");
        assert!(came_to(&world, "p3", "fleet", &commit(3)), "{mode}");
    }
}

#[test]
fn i09_a_full_queue_loses_nobody_to_what_comes_as_its_first_has_its_turn() {
    let mut world = World::rolled_out(&in_turn("queue", "", ""));
    world.bad = vec![commit(2)];
    world.push("fleet", "prod", 2);
    let last = 2 + MAX_QUEUE as u64;
    for n in 3..=last {
        world.push("fleet", "prod", n);
    }
    assert_eq!(world.state().queue.len(), MAX_QUEUE);
    says(&mut world, "p1");
    world.stands(State::Halted);
    world.push("fleet", "prod", last + 1);
    assert_eq!(brings(&world, "fleet"), Some(commit(3)));
    let expected: Vec<Commit> = (4..=last + 1).map(commit).collect();
    assert_eq!(waiting(&world, "fleet"), expected);
    // Once the queue is full, the newest entry replaces the last.
    world.push("fleet", "prod", last + 2);
    let mut expected: Vec<Commit> = (4..=last).map(commit).collect();
    expected.push(commit(last + 2));
    assert_eq!(waiting(&world, "fleet"), expected);
}

#[test]
fn what_waits_for_its_approval_gives_up_no_turn_to_what_does_too() {
    for mode in ["queue", "finish"] {
        let mut world = World::rolled_out(&in_turn(mode, "", "approvals: 1"));
        world.push("fleet", "prod", 2);
        world.pass(2);
        world.stands(State::Pending);
        let id = world.rollout().id.clone();
        world.push("fleet", "prod", 3);
        world.pass(2);
        assert_eq!(world.rollout().id, id, "{mode}: {}", world.rollout().why());
        assert_eq!(waiting(&world, "fleet"), [commit(3)], "{mode}");
        let_in(&mut world, "bob", "fleet", &commit(2));
        world.pass(20);
        assert_eq!(world.having(&commit(2)).len(), 3, "{mode}");
        world.stands(State::Pending);
        assert_eq!(brings(&world, "fleet"), Some(commit(3)), "{mode}");
        let_in(&mut world, "bob", "fleet", &commit(3));
        world.pass(20);
        world.stands(State::Succeeded);
        assert_eq!(world.having(&commit(3)).len(), 3, "{mode}");
    }
}

/// An approval may come until the commit has its turn, and a later commit does not replace it.
#[test]
fn what_comes_during_a_rollout_has_its_turn_though_nobody_has_let_it_in_yet() {
    let mut world = World::rolled_out(&in_turn("queue", "", "approvals: 1"));
    world.push("fleet", "prod", 2);
    let_in(&mut world, "bob", "fleet", &commit(2));
    world.push("fleet", "prod", 3);
    world.push("fleet", "prod", 4);
    assert_eq!(waiting(&world, "fleet"), [commit(3), commit(4)]);
    let_in(&mut world, "bob", "fleet", &commit(3));
    let_in(&mut world, "bob", "fleet", &commit(4));
    world.pass(60);
    world.stands(State::Succeeded);
    assert_eq!(world.having(&commit(4)).len(), 3);
    assert!(came_to(&world, "p3", "fleet", &commit(3)));
}

#[test]
fn of_two_repositories_whose_commits_nobody_has_let_in_yet_both_have_their_turn() {
    let mut world = World::rolled_out(&in_turn("queue", "", "approvals: 1"));
    world.push("fleet", "prod", 2);
    let_in(&mut world, "bob", "fleet", &commit(2));
    world.push("fleet", "prod", 3);
    world.push("second", "prod", 2);
    assert_eq!(waiting(&world, "second"), [of_second(1), of_second(2)]);
    // The branch has moved on when the commit is approved.
    world.push("second", "prod", 3);
    let_in(&mut world, "bob", "second", &of_second(2));
    world.pass(40);
    assert_eq!(world.having(&of_second(2)).len(), 3);
    assert_eq!(world.having(&commit(2)).len(), 3);
    world.stands(State::Pending);
}

/// The gates of a rollout in progress were open when it began.
#[test]
fn an_approval_that_is_withdrawn_in_the_middle_of_a_rollout_changes_nothing_of_who_waits() {
    for withdrawn in [false, true] {
        let mut world = World::rolled_out(&in_turn("queue", "", "approvals: 1"));
        world.push("fleet", "prod", 2);
        let_in(&mut world, "bob", "fleet", &commit(2));
        if withdrawn {
            let prod: EnvironmentName = "prod".parse().unwrap();
            world.step(Event::Demoted("bob".to_owned(), vec![prod]));
        }
        // Beside the rollout in progress it waits by itself.
        world.push("second", "prod", 2);
        world.pass(1);
        assert!(world.state().queue.is_empty(), "{withdrawn}");
        world.pass(20);
        assert_eq!(world.having(&commit(2)).len(), 3, "{withdrawn}");
        assert!(world.having(&of_second(2)).is_empty(), "{withdrawn}");
        world.stands(State::Pending);
        assert_eq!(brings(&world, "second"), Some(of_second(2)), "{withdrawn}");
    }
}

#[test]
fn a_rollout_whose_approval_was_withdrawn_when_it_had_begun_keeps_its_turn() {
    let mut world = World::rolled_out(&in_turn("queue", "", "approvals: 1"));
    world.push("fleet", "prod", 2);
    let_in(&mut world, "bob", "fleet", &commit(2));
    let prod: EnvironmentName = "prod".parse().unwrap();
    world.step(Event::Demoted("bob".to_owned(), vec![prod]));
    let id = world.rollout().id.clone();
    world.push("fleet", "prod", 3);
    let_in(&mut world, "alice", "fleet", &commit(3));
    assert_eq!(world.rollout().id, id, "{}", world.rollout().why());
    assert_eq!(waiting(&world, "fleet"), [commit(3)]);
    world.pass(40);
    world.stands(State::Succeeded);
    assert!(came_to(&world, "p3", "fleet", &commit(2)));
    assert_eq!(world.having(&commit(3)).len(), 3);
}

/// A Job may never end.
#[test]
fn promise_5_what_waits_for_its_job_holds_up_no_other_repository_behind_it() {
    let job = "jobs: [{name: smoke, application: a, path: gates/smoke, timeout: 1m}]";
    let mut world = World::rolled_out(&in_turn("queue", "", job));
    world.push("fleet", "prod", 2);
    world.act(&override_of("fleet", &commit(2))).unwrap();
    world.push("fleet", "prod", 3);
    world.push("second", "prod", 2);
    assert_eq!(waiting(&world, "fleet"), [commit(3), commit(3)]);
    assert_eq!(waiting(&world, "second"), [of_second(1), of_second(2)]);
    world.pass(40);
    assert_eq!(world.having(&commit(2)).len(), 3);
    assert_eq!(world.having(&of_second(2)).len(), 3);
    assert!(world.having(&commit(3)).is_empty());
    world.stands(State::Pending);
    assert_eq!(brings(&world, "fleet"), Some(commit(3)));
}

/// A branch moves to a commit and back while an older one is rolled out.
#[test]
fn what_is_there_when_its_turn_comes_begins_no_rollout() {
    let mut world = World::rolled_out(&in_turn("queue", ", onFailure: rollback", ""));
    world.bad = vec![commit(3)];
    for n in [2, 3, 2] {
        world.push("fleet", "prod", n);
    }
    assert_eq!(waiting(&world, "fleet"), [commit(3), commit(2)]);
    for _ in 0..60 {
        if world.rollout().state == State::RolledBack {
            break;
        }
        world.pass(1);
    }
    world.stands(State::RolledBack);
    assert_eq!(brings(&world, "fleet"), Some(commit(3)));
    let number = world.rollout().number();
    assert!(world.state().queue.is_empty());
    world.pass(10);
    assert_eq!(world.rollout().number(), number, "it runs already");
    assert_eq!(world.having(&commit(2)).len(), 3);
}

#[test]
fn behind_what_is_there_already_the_next_has_its_turn_at_once() {
    let text = in_turn("queue", ", onFailure: rollback", "approvals: 1");
    let mut world = World::rolled_out(&text);
    world.bad = vec![commit(3)];
    for n in [2, 3, 2, 4] {
        world.push("fleet", "prod", n);
        if n < 4 {
            let_in(&mut world, "bob", "fleet", &commit(n));
        }
    }
    let queue = [commit(3), commit(2), commit(4)];
    assert_eq!(waiting(&world, "fleet"), queue);
    for _ in 0..60 {
        if brings(&world, "fleet") == Some(commit(3)) {
            break;
        }
        world.pass(1);
    }
    assert_eq!(waiting(&world, "fleet"), [commit(2), commit(4)]);
    // It fails, and no other event happens.
    says(&mut world, "p1");
    world.stands(State::Pending);
    assert_eq!(brings(&world, "fleet"), Some(commit(4)));
    assert!(world.state().queue.is_empty());
    world.pass(3);
    let_in(&mut world, "bob", "fleet", &commit(4));
    world.pass(30);
    world.stands(State::Succeeded);
    assert_eq!(world.having(&commit(4)).len(), 3);
}

/// In a large fleet repeated checks would be wasted.
#[test]
fn what_waits_for_its_turn_is_looked_at_when_something_happens_and_not_on_and_on() {
    let mut world = World::rolled_out(&in_turn("queue", "", ""));
    assert!(!world.fleet.needs_ticks(), "nobody waits for anything");
    world.push("fleet", "prod", 2);
    world.push("fleet", "prod", 3);
    world.pass(1);
    assert_eq!(waiting(&world, "fleet"), [commit(3)]);
    assert!(!world.fleet.environments.is_any_dirty());
}

/// A rollout that only a cluster with its commits can judge keeps its turn, also when that cluster goes offline. Before
/// a cluster has them, it gives up its turn (`promise_4_who_is_away_proves_nothing_and_holds_up_nobody_else`).
#[test]
fn promise_4_a_rollout_keeps_its_turn_while_who_has_it_has_not_said_how_it_is() {
    let text = in_turn("queue", "", "").replace(
        "path: b, placement: {environments: [prod]}",
        "path: b, placement: {environments: [prod], clusters: [p2]}",
    );
    for away in [false, true] {
        let mut world = World::rolled_out(&text);
        world.silent.push("p2".to_owned());
        world.push("second", "prod", 2);
        world.pass(1);
        let of = |cluster: &str| {
            let progress = &world.rollout().clusters[&name(cluster)];
            (progress.phase, progress.unchanged)
        };
        assert_eq!(of("p1"), (Phase::Done, true));
        assert_eq!(of("p2"), (Phase::Started, false));
        let id = world.rollout().id.clone();
        if away {
            world.connect("p2", false);
        }
        world.push("fleet", "prod", 2);
        assert_eq!(world.rollout().id, id, "{away}: {}", world.rollout().why());
        assert_eq!(waiting(&world, "fleet"), [commit(2)], "{away}");
        world.silent.clear();
        world.connect("p2", true);
        world.pass(40);
        world.stands(State::Succeeded);
        assert_eq!(world.having(&of_second(2)), ["p2"], "{away}");
        assert_eq!(world.having(&commit(2)).len(), 3, "{away}");
    }
}

#[test]
fn promise_6_what_was_rolled_back_is_not_called_superseded_when_the_next_begins() {
    let text = file("maxConcurrent: 3, onFailure: rollback", "", "prod");
    let mut world = World::rolled_out(&text);
    world.bad = vec![commit(2)];
    world.push("fleet", "prod", 2);
    world.pass(10);
    world.stands(State::RolledBack);
    let superseded = |world: &World| {
        let all = world.audit.iter();
        all.filter(|entry| entry.action == AuditAction::RolloutSuperseded)
            .count()
    };
    let before = superseded(&world);
    world.push("fleet", "prod", 3);
    world.pass(1);
    assert_eq!(superseded(&world), before, "it was over");
    // A rollout in progress is superseded by the next one.
    world.push("fleet", "prod", 4);
    assert_eq!(superseded(&world), before + 1);
    world.pass(20);
    world.stands(State::Succeeded);
}

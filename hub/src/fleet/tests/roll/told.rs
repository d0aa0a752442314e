//! Suggested commands are accepted, and end what waits.

use super::*;

fn prod() -> EnvironmentName {
    "prod".parse().unwrap()
}

#[test]
fn who_is_waited_for_and_runs_nothing_is_suspended_and_not_pinned() {
    let text = file("maxConcurrent: 3, budgets: {offline: 0}", "", "prod")
        .replace("prod]}", "prod], clusters: [d1, p1, p2, p3]}");
    let mut world = World::rolled_out(&text);
    // The cluster was added, its agent has never connected, and nothing is placed on it.
    world.step(put("p4", "prod", None));
    world.push("fleet", "prod", 2);
    world.pass(20);
    let why = world.rollout().why();
    assert!(
        why.contains("to exclude p4: flotilla suspend p4 --reason TEXT; "),
        "{why}"
    );
    let mut kept = pin(None, false);
    if let Action::Pin { subject, .. } = &mut kept {
        *subject = Subject::Cluster(name("p4"));
    }
    let refused = world.act(&kept).unwrap_err().to_string();
    assert!(refused.contains("runs no commit yet"), "{refused}");
    // Of several clusters one that runs something is named.
    world.connect("p3", false);
    world.push("fleet", "prod", 3);
    world.pass(20);
    let why = world.rollout().why();
    assert!(
        why.contains("to exclude p3: flotilla pin --cluster p3 --reason TEXT; "),
        "{why}"
    );
    world.connect("p3", true);
    world.act(&Action::Suspend(name("p4"))).unwrap();
    world.pass(20);
    world.stands(State::Succeeded);
}

#[test]
fn a_rollout_whose_strategy_left_the_file_is_steered_to_its_end() {
    let text = file("maxConcurrent: 3", "", "prod");
    let bare = bare(&text);
    let mut world = World::rolled_out(&text);
    world.bad = vec![commit(2)];
    world.push("fleet", "prod", 2);
    world.pass(10);
    assert_eq!(world.rollout().state, State::Halted);
    world.declare(&bare);
    world.pass(2);
    let why = world.rollout().why();
    assert!(
        why.contains("flotilla retry prod") && why.contains("flotilla abort prod"),
        "{why}"
    );
    world.act(&Action::Pause(prod())).unwrap();
    world.act(&Action::Resume(prod())).unwrap();
    world.act(&Action::Retry(prod())).unwrap();
    world.pass(10);
    world.act(&Action::Abort(prod())).unwrap();
    world.pass(2);
    // Now there is nothing to control, and the suggested command is accepted.
    let refused = world.act(&Action::Pause(prod())).unwrap_err().to_string();
    assert!(
        refused.contains("flotilla pin --env prod --reason TEXT"),
        "{refused}"
    );
    world.act(&pin(None, false)).unwrap();
}

/// No cluster runs anything yet that it could be pinned to, so no pin is suggested.
#[test]
fn nobody_is_told_to_keep_what_does_not_run() {
    let text = file("maxConcurrent: 3", "", "prod");
    let bare = bare(&text);
    let mut world = World::new(&bare);
    let refused = world.act(&Action::Pause(prod())).unwrap_err().to_string();
    assert!(!refused.contains("flotilla"), "{refused}");
    assert!(world.act(&pin(None, false)).is_err());
    let mut world = World::new(&text);
    let refused = world
        .act(&pin(Some(&commit(5)), false))
        .unwrap_err()
        .to_string();
    assert!(
        refused.contains("needs an admin") && !refused.contains("flotilla"),
        "{refused}"
    );
}
